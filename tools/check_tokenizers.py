#!/usr/bin/env python3
"""Compare ids with the `tokenizers` and `sentencepiece` packages on random and given texts.

usage: tools/check_tokenizers.py [--n 20000] [--seed 1] [--text FILE] ENCODE_PIPE FILE...

ENCODE_PIPE is the program built from tests/tokenizer/encode_pipe.c. A FILE is a GGUF vocabulary
(gpt2 kind: its merges run under every distinct pre-tokenizer; llama kind: sentencepiece) or a
vocab.txt or tokenizer.json beside it (WordPiece).
"""
import argparse
import os
import random
import struct
import subprocess
import sys
import unicodedata

import check_pretokenizers as pretok


class Ours:
    def __init__(self, *args):
        self.p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, text):
        data = text.encode()
        self.p.stdin.write(struct.pack("<I", len(data)) + data)
        self.p.stdin.flush()
        count, = struct.unpack("<I", self.p.stdout.read(4))
        return list(struct.unpack(f"<{count}i", self.p.stdout.read(4 * count)))


def bpe_references(field):
    """One reference per distinct pre-tokenizer, over the file's own tokens and merges."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    tokens, types = field("tokens"), field("token_type")
    merges = [tuple(m.split(" ")) for m in field("merges")]
    user = [t for t, kind in zip(tokens, types) if kind == 4]
    for stages, names in pretok.VARIANTS:
        name = names.split()[0]
        t = Tokenizer(models.BPE({s: i for i, s in enumerate(tokens)}, merges,
                                 ignore_merges=name in ("llama-bpe", "tekken", "minicpm5")))
        t.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(s), "isolated") for s in stages]
            + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        yield name, (lambda text, t=t: t.encode(text, add_special_tokens=False).ids), user


def spm_reference(field):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto()
    for text, score, kind in zip(field("tokens"), field("scores"), field("token_type")):
        p = m.pieces.add()
        # user-defined pieces are cut out of text before; here they would be matched differently
        p.piece, p.score, p.type = text, score, kind if kind != 4 else 3
    if not any(p.type == 2 for p in m.pieces):
        m.pieces[0].type = 2
    seen = False
    for p in m.pieces:
        if p.type == 2:
            p.type = 3 if seen else 2
            seen = True
    m.trainer_spec.model_type = 2
    m.trainer_spec.byte_fallback = True
    m.trainer_spec.vocab_size = len(m.pieces)
    m.normalizer_spec.name = "identity"
    m.normalizer_spec.add_dummy_prefix = True
    m.normalizer_spec.remove_extra_whitespaces = False
    m.normalizer_spec.escape_whitespaces = True
    sp = sentencepiece.SentencePieceProcessor()
    sp.LoadFromSerializedProto(m.SerializeToString())
    return lambda text: sp.EncodeAsIds(text)


def newer_characters():
    """Punctuation and marks that another version of Unicode than the package's sees otherwise."""
    from tokenizers import normalizers, pre_tokenizers
    pre, norm = pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer()
    newer = []
    for c in map(chr, range(0x80, 0x20000)):
        kind = unicodedata.category(c)
        if kind == "Cs":
            continue
        if kind[0] != "Z" and (kind[0] == "P") != (len(pre.pre_tokenize_str("a" + c)) > 1):
            newer.append(c)
        if kind in ("Mn", "Cf") and norm.normalize_str(c):
            newer.append(c)
    return newer


def references(path, pipe):
    if path.endswith(".txt"):
        from tokenizers import Tokenizer
        t = Tokenizer.from_file(os.path.join(os.path.dirname(path), "tokenizer.json"))
        t.no_truncation()
        yield "wordpiece", lambda s: t.encode(s, add_special_tokens=False).ids, Ours(pipe, path), newer_characters()
        return
    from gguf import GGUFReader
    reader = GGUFReader(path)

    def field(name):
        return reader.fields["tokenizer.ggml." + name].contents()
    if field("model") == "gpt2":
        for name, ref, user in bpe_references(field):
            yield name, ref, Ours(pipe, path, name), user
    elif field("model") == "llama":
        user = [t for t, kind in zip(field("tokens"), field("token_type")) if kind == 4]
        yield "spm", spm_reference(field), Ours(pipe, path), user
    elif field("model") == "bert":
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
        tokens = field("tokens")
        special = {i for i, k in enumerate(field("token_type")) if k == 3}
        vocab = {t if i in special else t[1:] if t[0] == "▁" else "##" + t: i for i, t in enumerate(tokens)}
        t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
        t.normalizer = normalizers.BertNormalizer()
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        yield "wordpiece", lambda s: t.encode(s, add_special_tokens=False).ids, Ours(pipe, path), newer_characters()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("pipe")
    args.add_argument("files", nargs="+")
    args.add_argument("--n", type=int, default=20000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--text")
    args = args.parse_args()
    given = []
    if args.text:
        words = open(args.text, encoding="utf-8", errors="replace").read()
        given = [words[i:i + 2000] for i in range(0, len(words), 2000)]
    failed = 0
    for path in args.files:
        for name, ref, ours, user in references(path, args.pipe):
            rng, bad, n = random.Random(args.seed), 0, 0
            for text in pretok.CORPUS + given + [pretok.random_text(rng) for _ in range(args.n)]:
                if any(u in text for u in user):
                    continue  # cut out first, which the reference here does not do
                want, got = ref(text), ours(text)
                n += 1
                if want != got:
                    bad += 1
                    if bad <= 3:
                        print(f"{name}: {text[:100]!r}\n  want {want[:40]}\n  got  {got[:40]}")
            print(f"{os.path.basename(path)} {name}: {n} texts, {bad} differ", flush=True)
            failed += bad > 0
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
