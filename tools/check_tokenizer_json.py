#!/usr/bin/env python3
"""Compare tokenizer.json files with the `tokenizers` package, id by id.

usage: tools/check_tokenizer_json.py [--n 2000] [--seed 1] PIPE_IDS [FILE...]
       tools/check_tokenizer_json.py --store tests/tokenizer/pipe_cases.json PIPE_IDS

PIPE_IDS is the program built from tests/tokenizer/pipe_ids.c. Without FILE, tokenizers of every kind
this reader knows are trained on the corpus below and compared too. Texts: the corpus of
check_pretokenizers.py, random strings over its pool, and texts with added tokens in them. The second
form writes small tokenizers with the ids of some texts, which tests/tokenizer/test_pipe.c replays.
"""
import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_pretokenizers import CORPUS, GPT2, LLAMA3, QWEN2, random_text  # noqa: E402

N, P = normalizers, pre_tokenizers
WORDS = ("the quick brown fox jumps over lazy dogs while reading books about naïve café owners and "
         "İstanbul straße Σίσυφος Привет мир 日本語 テスト 한국어 12345 3.14 it's we've don't e\u0301cole ﬁne ①").split()
EXTRA = ["[CLS] hello [SEP] world [MASK]", "a[MASK]b", " [MASK]  x", "<new>thing <NEW> <new> new", "x<new>",
         "newword anewword newword! NEWWORD", "İ ẞ ß ſ ǅ Σας", "\u1100\u1161\u11a8 각 \uac01", "\u0344 \u0958 \u212b \u1e9b\u0323",
         "e\u0301\u0323 e\u0323\u0301 \u0301\u0323\u0301 a\u0315\u0300\u05ae\u0301b", "ﷺ ㌖ ½ ① ｶﾞ ﬀ", "a\u0302\u0302\u0302" * 30,
         "\u200b\u200d\ufeff\u00ad x\u0007y\x0bz\x85w", "\u2581 \u2581a \u2581\u2581", "<0x0A> <0xE2>", "👩‍👩‍👧‍👦👍🏽🇩🇪"]


def ours(program, path, texts, parse):
    data = b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)
    args = [program, path] + (["parse-special"] if parse else [])
    r = subprocess.run(args, input=data, capture_output=True)
    if r.returncode:
        return None, r.stderr.decode().strip()
    out, pos, rows = r.stdout, 0, []
    while pos < len(out):
        n, = struct.unpack_from("<I", out, pos)
        rows.append(list(struct.unpack_from(f"<{n}i", out, pos + 4)))
        pos += 4 + 4 * n
    return rows, None


def trained(model, trainer, normalizer=None, pre=None, post=None, added=()):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    rng = random.Random(5)
    corpus = [c.replace("\0", "") for c in CORPUS]  # no token with a NUL: jansson refuses such keys
    t.train_from_iterator([" ".join(rng.choices(WORDS, k=12)) for _ in range(300)] + corpus, trainer)
    if added:
        t.add_tokens([a for a in added if not a.special])
        t.add_special_tokens([a for a in added if a.special])
    if post:
        t.post_processor = post(t)
    return t


STORED = ("bert-template bert-cased wp-NFC wp-NFKD wp-accents wp-replace wp-punct2 wp-split bpe-fuse bpe-bytes-True "
          "bpe-llama3 bpe-clip bpe-llama uni-always uni-t5 uni-bytes").split()


def variants(size=600):
    SP = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    wp = lambda: trainers.WordPieceTrainer(vocab_size=size, special_tokens=SP, show_progress=False)
    bpe = lambda **k: trainers.BpeTrainer(vocab_size=size + 100, special_tokens=k.pop("sp", SP), show_progress=False, **k)
    uni = lambda **k: trainers.UnigramTrainer(vocab_size=max(size, 420), special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                              show_progress=False, **k)
    wpm = lambda: models.WordPiece(unk_token="[UNK]")
    template = lambda t: processors.TemplateProcessing(
        single="[CLS] $A:1 [SEP]:1", special_tokens=[("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))])
    bert = lambda t: processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    roberta = lambda t: processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1))
    alphabet = P.ByteLevel.alphabet()
    ADDED = [AddedToken("<new>", normalized=True), AddedToken("newword", single_word=True, normalized=False),
             AddedToken("[MASK]", lstrip=True, rstrip=True, special=True, normalized=False)]
    yield "bert", trained(wpm(), wp(), N.BertNormalizer(), P.BertPreTokenizer(), bert)
    yield "bert-template", trained(wpm(), wp(), N.BertNormalizer(), P.BertPreTokenizer(), template, ADDED)
    yield "bert-cased", trained(wpm(), wp(), N.BertNormalizer(lowercase=False), P.BertPreTokenizer())
    yield "bert-accents", trained(wpm(), wp(), N.BertNormalizer(lowercase=True, strip_accents=False, clean_text=False), P.BertPreTokenizer())
    yield "bert-nochinese", trained(wpm(), wp(), N.BertNormalizer(handle_chinese_chars=False), P.BertPreTokenizer())
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt"):
        yield "wp-" + name, trained(wpm(), wp(), getattr(N, name)(), P.Whitespace(), None, ADDED)
    yield "wp-accents", trained(wpm(), wp(), N.Sequence([N.NFD(), N.StripAccents(), N.Strip(), N.Lowercase()]), P.WhitespaceSplit())
    yield "wp-replace", trained(wpm(), wp(), N.Sequence([N.Replace("a", "bb"), N.Replace(Regex(" {2,}"), "_"), N.Prepend("x")]), P.Whitespace())
    yield "wp-punct", trained(wpm(), wp(), None, P.Sequence([P.Punctuation("merged_with_previous"), P.WhitespaceSplit()]))
    yield "wp-punct2", trained(wpm(), wp(), None, P.Sequence([P.WhitespaceSplit(), P.Punctuation("merged_with_next"), P.Digits(False)]))
    yield "wp-punct3", trained(wpm(), wp(), None, P.Sequence([P.Punctuation("contiguous"), P.Split(" ", "removed"), P.Digits(True)]))
    yield "wp-split", trained(wpm(), wp(), None, P.Sequence([P.Split("a", "isolated", invert=True), P.CharDelimiterSplit(" "), P.Punctuation()]))
    yield "bpe-chars", trained(models.BPE(unk_token="[UNK]"), bpe(limit_alphabet=60), None, P.Whitespace())
    yield "bpe-fuse", trained(models.BPE(unk_token="[UNK]", fuse_unk=True), bpe(limit_alphabet=40), None, P.WhitespaceSplit())
    yield "bpe-suffix", trained(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"), bpe(end_of_word_suffix="</w>"), N.Lowercase(), P.BertPreTokenizer())
    for space in (False, True):
        yield f"bpe-bytes-{space}", trained(models.BPE(), bpe(initial_alphabet=alphabet), None, P.ByteLevel(add_prefix_space=space), roberta, ADDED)
    for name, regex in (("gpt2", GPT2), ("llama3", LLAMA3), ("qwen2", QWEN2)):
        pre = P.Sequence([P.Split(Regex(regex), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
        yield "bpe-" + name, trained(models.BPE(ignore_merges=name == "llama3"), bpe(initial_alphabet=alphabet), N.NFC() if name == "qwen2" else None, pre)
    yield "bpe-digits", trained(models.BPE(), bpe(initial_alphabet=alphabet), None,
                                P.Sequence([P.Digits(True), P.ByteLevel(add_prefix_space=False)]))
    yield "bpe-clip", trained(models.BPE(end_of_word_suffix="</w>"), bpe(initial_alphabet=alphabet, end_of_word_suffix="</w>"),
                              N.Sequence([N.NFC(), N.Lowercase()]), P.ByteLevel(add_prefix_space=False))
    llama = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                    bpe(sp=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=70),
                    N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]))
    llama = json.loads(llama.to_str())  # byte tokens are ordinary ones
    llama["added_tokens"] = llama["added_tokens"][:3]
    yield "bpe-llama", Tokenizer.from_str(json.dumps(llama))
    for scheme in ("always", "first", "never"):
        yield "uni-" + scheme, trained(models.Unigram(), uni(), N.NFKC(), P.Metaspace(prepend_scheme=scheme), None, ADDED)
    yield "uni-nosplit", trained(models.Unigram(), uni(), None, P.Metaspace(split=False))
    yield "uni-t5", trained(models.Unigram(), uni(), N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]),
                            P.Sequence([P.WhitespaceSplit(), P.Metaspace()]))
    fallback = json.loads(trained(models.Unigram(), uni()).to_str())
    fallback["model"]["vocab"] += [[f"<0x{b:02X}>", -30.0] for b in range(256)]
    fallback["model"]["byte_fallback"] = True
    yield "uni-bytes", Tokenizer.from_str(json.dumps(fallback))


def store(path):
    cases = []
    texts = CORPUS[:6] + CORPUS[30:52:3] + EXTRA
    for name, t in variants(380):
        if name not in STORED:
            continue
        rows = []
        for text in texts:
            ids = []
            for inert in (False, True):
                t.encode_special_tokens = inert
                ids.append(t.encode(text).ids)
            rows.append([text] + ids)
        cases.append({"name": name, "tokenizer": json.loads(t.to_str()), "texts": rows})
    with open(path, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":"), ensure_ascii=False) for c in cases) + "]\n")


def compare(program, name, tokenizer, path, texts):
    bad = 0
    for parse in (True, False):
        tokenizer.encode_special_tokens = not parse
        got, error = ours(program, path, texts, parse)
        if error:
            print(f"{name}: {error}")
            return 1
        for text, ids in zip(texts, got):
            want = tokenizer.encode(text).ids
            if want != ids:
                bad += 1
                if bad <= 3:
                    print(f"{name}: {text!r}\n  want {want}\n  got  {ids}")
    print(f"{name}: {2 * len(texts)} texts, {bad} differ", flush=True)
    return bad


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("files", nargs="*")
    args.add_argument("--n", type=int, default=2000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--only")
    args.add_argument("--store")
    args = args.parse_args()
    if args.store:
        return store(args.store)
    rng = random.Random(args.seed)
    texts = CORPUS + EXTRA + [random_text(rng) for _ in range(args.n)]
    texts += ["".join(rng.sample(EXTRA + WORDS + ["[MASK]", " ", "<new>", "newword"], 4)) for _ in range(args.n // 4)]
    texts = [t.encode("utf-8", "ignore").decode() for t in texts]
    bad = 0
    for path in args.files:
        t = Tokenizer.from_file(path)
        t.no_truncation()
        t.no_padding()
        bad += compare(args.program, path, t, path, texts)
    if not args.files:
        for name, t in variants():
            if args.only and args.only != name:
                continue
            with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
                f.write(t.to_str())
                f.flush()
                bad += compare(args.program, name, t, f.name, texts)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
