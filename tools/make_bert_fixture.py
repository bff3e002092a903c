#!/usr/bin/env python3
"""A tiny seeded random BERT, with the hidden states transformers gives: fixtures/arch/bert*.

    tools/make_bert_fixture.py OUT_DIR

Needs torch, transformers and tokenizers. tests/gguf/test_encoder.c replays what it writes:

    bert.gguf, bert-q8_0.gguf   the model with a WordPiece vocabulary; pooling_type says cls
    bert.ref                    "HENC", u32 n_texts, n_embd; per text u32 length, text, u32 n, i32 ids[n],
                                f32 hidden[n][n_embd]

Epsilon is large, biases and norm weights are away from 0 and 1, the rows of token type 0 are not zero.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_arch_fixtures import CORPUS, HERE, randomize

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["The kettle sang on the hearth.", "a", "", "It's 12 o'clock: WARM bread, cold butter?", "naïve Löffel 火 é",
         "the dog's slow breath the clock's small steps the fire's glow the rain drew long lines down"]


def tokenizer():
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL,
                                                              show_progress=False))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tok


def main():
    out = pathlib.Path(sys.argv[1])
    tok = tokenizer()
    config = tf.BertConfig(vocab_size=tok.get_vocab_size(), hidden_size=32, num_hidden_layers=2,
                           num_attention_heads=4, intermediate_size=64, max_position_embeddings=48,
                           layer_norm_eps=1e-3)
    model = tf.BertModel(config, add_pooling_layer=False).eval()
    randomize(model, 77)
    with open(out / "bert.ref", "wb") as f, torch.no_grad():
        f.write(b"HENC" + struct.pack("<II", len(TEXTS), config.hidden_size))
        for text in TEXTS:
            ids, b = tok.encode(text).ids, text.encode()
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
            f.write(struct.pack("<I", len(b)) + b + struct.pack("<I", len(ids)))
            f.write(struct.pack(f"<{len(ids)}i", *ids) + hidden.contiguous().numpy().astype("<f4").tobytes())
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        model.save_pretrained(tmp)
        tok.save(str(tmp / "tokenizer.json"))
        (tmp / "1_Pooling").mkdir()
        (tmp / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
        for kind in ("f32", "q8_0"):
            file = out / ("bert.gguf" if kind == "f32" else f"bert-{kind}.gguf")
            subprocess.run([sys.executable, str(HERE / "convert_hf.py"), str(tmp), str(file), "--outtype", kind,
                            "--name", "bert"], check=True)


if __name__ == "__main__":
    main()
