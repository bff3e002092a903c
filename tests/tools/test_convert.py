#!/usr/bin/env python3
"""The parts of tools/convert that need no model: stored types, rope layouts, SentencePiece files,
recognition of pre-tokenizers, refusals. Skipped where numpy is missing (exit 77)."""
import pathlib
import struct
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed")
    sys.exit(77)
import convert_hf  # noqa: E402
from convert import gguf, vocab  # noqa: E402


def field(number, wire, payload):
    head = bytes([number << 3 | wire])
    return head + (bytes([len(payload)]) if wire == 2 else b"") + payload


class Convert(unittest.TestCase):
    def test_q8_0_rounds_halves_away_and_keeps_zero_blocks(self):
        x = np.zeros(64, dtype="<f4")
        x[:4] = [127, 0.5, -0.5, 1.49]
        b = gguf.to_bytes("q8_0", x)
        self.assertEqual(len(b), 68)
        self.assertEqual(struct.unpack("<e4b", b[:6]), (1.0, 127, 1, -1, 1))
        self.assertEqual(b[34:], bytes(34))

    def test_bf16_rounds_to_even_and_keeps_nan(self):
        x = np.array([0x3F808000, 0x3F818000, 0x7F800001], dtype="<u4").view("<f4")
        y = np.frombuffer(gguf.to_bytes("bf16", x), dtype="<u2")
        self.assertEqual([hex(v) for v in y[:2]], ["0x3f80", "0x3f82"])
        self.assertEqual(y[2] & 0x7F80, 0x7F80)
        self.assertNotEqual(y[2] & 0x7F, 0)

    def test_permutation_puts_pairs_beside_each_other(self):
        x = np.arange(16, dtype="<f4").reshape(16, 1)  # two heads of 8 rows
        y = convert_hf.permute(x, 2)[:, 0].astype(int).tolist()
        self.assertEqual(y, [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15])

    def test_sentencepiece_model_is_read(self):
        pieces = [(b"<unk>", 0.0, 2), (b"\xe2\x96\x81a", -1.5, 1), (b"<0x0A>", 0.0, 6)]
        data = b""
        for text, score, kind in pieces:
            data += field(1, 2, field(1, 2, text) + field(2, 5, struct.pack("<f", score))
                          + field(3, 0, bytes([kind])))
        data += field(2, 2, field(3, 0, b"\x02")) + field(3, 2, field(3, 0, b"\x00"))
        with tempfile.TemporaryDirectory() as tmp:
            path = pathlib.Path(tmp) / "tokenizer.model"
            path.write_bytes(data)
            tokens, scores, types, prefix = vocab.sentencepiece(path)
        self.assertEqual(tokens, ["<unk>", "\u2581a", "<0x0A>"])
        self.assertEqual(scores, [0.0, -1.5, 0.0])
        self.assertEqual((types, prefix), ([2, 1, 6], False))

    def test_known_pre_tokenizers_have_their_names_and_others_are_refused(self):
        bytes_only = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
        gpt2 = {"type": "ByteLevel", "add_prefix_space": False}
        digits = {"type": "Digits", "individual_digits": True}
        for name, expression in (("qwen2", vocab.WORDS % r"\p{N}"),
                                 ("llama-bpe", vocab.WORDS % r"\p{N}{1,3}"), ("tekken", vocab.TEKKEN)):
            split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated"}
            tok = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_only]}}
            self.assertEqual(vocab.pre_tokenizer(tok), name)
        self.assertEqual(vocab.pre_tokenizer({"pre_tokenizer": gpt2}), "gpt-2")
        self.assertEqual(vocab.pre_tokenizer(
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, gpt2]}}), "smollm")
        for other in (None, digits, {"type": "Whitespace"}):
            with self.assertRaises(SystemExit):
                vocab.pre_tokenizer({"pre_tokenizer": other})

    def test_what_is_not_known_is_refused_by_name(self):
        base = {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 8,
                "num_attention_heads": 2, "hidden_act": "silu"}
        for change, words in (({"architectures": ["RwkvForCausalLM"]}, "RwkvForCausalLM"),
                              ({"num_local_experts": 8}, "mixture of experts"),
                              ({"hidden_act": "relu"}, "activation relu")):
            with self.assertRaises(SystemExit) as e:
                convert_hf.Config({**base, **change})
            self.assertIn(words, str(e.exception))

    def test_the_older_and_newer_form_of_rope_settings_agree(self):
        base = {"architectures": ["Gemma3ForCausalLM"], "num_hidden_layers": 1, "hidden_size": 8,
                "num_attention_heads": 2, "hidden_activation": "gelu_pytorch_tanh"}
        old = convert_hf.Config({**base, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
                                 "rope_scaling": {"rope_type": "linear", "factor": 8.0}})
        new = convert_hf.Config({**base, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}})
        for kind in ("full_attention", "sliding_attention"):
            a, b = old.rope(kind), new.rope(kind)
            self.assertEqual({k: a.get(k) for k in b}, b)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
