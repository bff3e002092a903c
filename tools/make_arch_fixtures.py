#!/usr/bin/env python3
"""Tiny seeded random models of every architecture, with the logits transformers gives: fixtures/arch.

    tools/make_arch_fixtures.py OUT_DIR

Needs torch, transformers and tokenizers. Each case is saved as a Hugging Face directory, converted by
convert_hf.py, and described by a reference file that tests/gguf/test_arch_logits.c replays:

    NAME.gguf          the model
    NAME.ref           "HREF", u32 n_ctx, n_tokens, n_rows, n_vocab; i32 tokens[n_tokens];
                       i32 row[n_rows]; f32 logits[n_rows][n_vocab] that follow token row[i]
    NAME.tok           cases with a tokenizer: per text u32 length, text, u32 n, i32 ids[n]

The cases are small and odd on purpose: windows and original contexts shorter than the prompt, soft-caps
near the values they cap, heads that do not divide the width, biases and norm weights away from 0 and 1.
Experts are chosen by comparison, so a stored type's rounding may choose another one and change logits by
anything; the settings of the cases with experts are such that it does not here.
"""
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch
import transformers as tf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
BASE = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=64, max_position_embeddings=64, rms_norm_eps=1e-5,
            tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GEMMA = dict(head_dim=16, query_pre_attn_scalar=12, sliding_window=8, rms_norm_eps=1e-6,
             hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, num_attention_heads=2,
             num_key_value_heads=1)
SMALL = dict(num_hidden_layers=1, hidden_size=16, intermediate_size=16)
PHI3_ROPE = dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=16,
                 partial_rotary_factor=0.5,
                 long_factor=[1.1, 2.5], short_factor=[1.0, 1.3])


def default_rope(theta):
    return dict(rope_type="default", rope_theta=theta)


# name, class, settings, prompt length, session context, tokenizer, other types to store
CASES = [
    ("llama", "Llama", dict(rope_parameters=default_rope(10000.0)), 40, 64, None, ["f16", "q8_0"]),
    ("llama3-bias", "Llama",
     dict(SMALL, head_dim=10, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, vocab_size=352,
          rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
                               high_freq_factor=4.0, original_max_position_embeddings=32)),
     40, 64, "llama-bpe", []),
    ("llama-yarn", "Llama",
     dict(SMALL, num_key_value_heads=4, head_dim=8,
          rope_parameters=dict(rope_type="yarn", rope_theta=100.0, factor=4.0,
                               original_max_position_embeddings=16)), 40, 64, None, []),
    ("mistral-window", "Mistral",
     dict(SMALL, sliding_window=9, head_dim=8, rope_parameters=dict(rope_type="linear", factor=2.0,
                                                             rope_theta=10000.0)), 40, 64, None, []),
    ("qwen2", "Qwen2", dict(SMALL, num_attention_heads=2, tie_word_embeddings=True, vocab_size=352,
                            rope_parameters=default_rope(1e6)), 40, 64, "qwen2", []),
    ("qwen3", "Qwen3", dict(num_hidden_layers=1, head_dim=16, num_key_value_heads=1,
                            rope_parameters=default_rope(1e6)), 40, 64, None, ["q8_0"]),
    ("phi3-short", "Phi3", dict(num_hidden_layers=1, sliding_window=7, original_max_position_embeddings=16,
                                rope_parameters=PHI3_ROPE), 15, 16, None, []),
    ("phi3-long", "Phi3", dict(sliding_window=13, original_max_position_embeddings=16,
                               rope_parameters=PHI3_ROPE), 40, 64, None, ["q8_0"]),
    ("gemma2", "Gemma2", dict(GEMMA, num_hidden_layers=3, attn_logit_softcapping=1.5,
                              final_logit_softcapping=3.0,
                              rope_parameters=default_rope(10000.0)), 40, 64, None, ["q8_0"]),
    ("gemma3", "Gemma3",
     dict(GEMMA, num_hidden_layers=7, hidden_size=16, intermediate_size=16, head_dim=10, vocab_size=416,
          rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                               sliding_attention=default_rope(10000.0))), 40, 64, "spm", []),
    ("mixtral", "Mixtral", dict(SMALL, num_local_experts=5, num_experts_per_tok=2, sliding_window=None,
                                rope_parameters=default_rope(10000.0)), 40, 64, None, []),
    ("qwen3moe", "Qwen3Moe", dict(head_dim=16, num_key_value_heads=1, num_experts=6, num_experts_per_tok=3, num_hidden_layers=1,
                                  moe_intermediate_size=32, norm_topk_prob=True, use_sliding_window=False,
                                  rope_parameters=default_rope(1e6)), 40, 64, None, ["q8_0"]),
    ("gpt-oss", "GptOss", dict(head_dim=16, num_key_value_heads=1, num_local_experts=4,
                               num_experts_per_tok=2, sliding_window=7, attention_bias=True,
                               rope_parameters=dict(rope_type="yarn", rope_theta=150.0, factor=4.0,
                                                    original_max_position_embeddings=16, beta_fast=0.5,
                                                    beta_slow=0.05, truncate=False)), 40, 64, None, ["mxfp4"]),
]
CLASSES = {"Llama": (tf.LlamaConfig, tf.LlamaForCausalLM), "Mistral": (tf.MistralConfig, tf.MistralForCausalLM),
           "Qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM), "Qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM),
           "Phi3": (tf.Phi3Config, tf.Phi3ForCausalLM), "Gemma2": (tf.Gemma2Config, tf.Gemma2ForCausalLM),
           "Mixtral": (tf.MixtralConfig, tf.MixtralForCausalLM),
           "Qwen3Moe": (tf.Qwen3MoeConfig, tf.Qwen3MoeForCausalLM),
           "GptOss": (tf.GptOssConfig, tf.GptOssForCausalLM),
           "Gemma3": (tf.Gemma3TextConfig, tf.Gemma3ForCausalLM)}

CORPUS = [
    "The kettle sang on the hearth while the rain drew long lines down the window.",
    "She counted 1, 12, 123 and 1234 sheep; it's late, we've all said, and they'll not sleep.",
    "Warm bread, cold butter; the fire's glow, the dog's slow breath, the clock's small steps.",
    "In the morning the hills were white and the road had gone, and nobody minded.",
    "Ein Löffel Honig, zwei Äpfel, drei Gläser Öl. Où est la clé? Тёплый вечер у огня.",
    "for (int i = 0; i < n; i++) { sum += x[i] * w[i]; }\n\treturn sum;\n",
]
TEXTS = ["The kettle sang.", "it's 12345 o'clock, WE'LL see", "  two  spaces\n\n\tand a tab ", "naïve Löffel огня 火 🔥",
         "a", "", "the <eos> in the text", "x[i] * w[i];\r\n"]


def byte_level(name):
    from convert import vocab
    regex = next(k[0] for k, v in vocab.PRE_TOKENIZERS.items() if v == name)
    tok = Tokenizer(models.BPE(ignore_merges=name == "llama-bpe"))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tok.train_from_iterator(CORPUS, trainer)
    tok.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "<bos>", "<eos>")])
    return tok


def sentencepiece_like():
    """As a SentencePiece BPE model looks in tokenizer.json: byte tokens, and every way to make a piece is
    a merge, in the order of the pieces."""
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.Replace(" ", "\u2581")
    words.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    words.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=150, show_progress=False))
    trained = json.loads(words.to_str())["model"]
    made = [m if isinstance(m, str) else " ".join(m) for m in trained["merges"]]
    made = list(dict.fromkeys(m.replace(" ", "", 1) for m in made))
    chars = [t for t in trained["vocab"] if t not in made]
    pieces = (["<pad>", "<bos>", "<eos>", "<unk>"] + [f"<0x{i:02X}>" for i in range(256)] + made + chars)
    vocab = {t: i for i, t in enumerate(dict.fromkeys(pieces))}
    merges = [(t[:i], t[i:]) for t in made for i in range(1, len(t))
              if t[:i] in vocab and t[i:] in vocab]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True,
                               unk_token="<unk>"))
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                     decoders.Fuse()])
    tok.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "<bos>", "<eos>", "<unk>")])
    return tok


def write_tokenizer(kind, directory, out):
    tok = sentencepiece_like() if kind == "spm" else byte_level(kind)
    tok.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "add_bos_token": False}))
    with open(out, "wb") as f:
        for text in TEXTS:
            ids = tok.encode(text, add_special_tokens=False).ids
            b = text.encode()
            f.write(struct.pack("<I", len(b)) + b + struct.pack("<I", len(ids)))
            f.write(struct.pack(f"<{len(ids)}i", *ids))
    return tok.get_vocab_size()


def fp4(r):
    """The nearest numbers that MXFP4 holds with a scale of 1, so that files of that type hold the same weights;
    the sixes make every block of 32 choose that scale."""
    from convert.gguf import FP4
    grid = torch.from_numpy(FP4)
    x = grid[(r.abs()[..., None] - grid).abs().argmin(-1)] * r.sign()
    flat = x.transpose(-1, -2).contiguous() if x.dim() == 3 else x
    flat[..., ::32] = 6 * flat[..., ::32].sign() + 6 * (flat[..., ::32] == 0)
    return flat.transpose(-1, -2) if x.dim() == 3 else flat


@torch.no_grad()
def randomize(model, seed):
    gen = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=gen)
        if "norm" in name:
            gemma = type(model).__name__.startswith("Gemma")
            p.copy_((0.0 if gemma else 1.0) + 0.3 * r)
        elif name.endswith("bias") or name.endswith("sinks"):
            p.copy_(0.5 * r)
        elif "embed_tokens" in name:
            p.copy_(r * (0.5 if model.config.tie_word_embeddings else 1.0))
        elif type(model).__name__.startswith("GptOss") and ".experts." in name:
            p.copy_(fp4(r) * 0.125)
        else:
            p.copy_(1.5 * r / math.sqrt(p.shape[-1]))


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, cls, settings, n, n_ctx, tokenizer, others) in enumerate(CASES):
        config_class, model_class = CLASSES[cls]
        config = config_class(**{**BASE, **settings})
        config._attn_implementation = "eager"
        torch.manual_seed(seed)
        model = model_class(config).eval()
        randomize(model, seed)
        gen = torch.Generator().manual_seed(1000 + seed)
        ids = torch.randint(3, config.vocab_size, (1, n), generator=gen)
        with torch.no_grad():
            logits = model(ids).logits[0].float()
        rows = list(range(n)) if config.vocab_size == 64 else list(range(n - 8, n))
        with open(out / f"{name}.ref", "wb") as f:
            f.write(b"HREF" + struct.pack("<IIII", n_ctx, n, len(rows), config.vocab_size))
            f.write(struct.pack(f"<{n}i", *ids[0].tolist()) + struct.pack(f"<{len(rows)}i", *rows))
            f.write(logits[rows].contiguous().numpy().astype("<f4").tobytes())
        with tempfile.TemporaryDirectory() as tmp:
            tmp = pathlib.Path(tmp)
            model.save_pretrained(tmp)
            if tokenizer:
                size = write_tokenizer(tokenizer, tmp, out / f"{name}.tok")
                assert size <= config.vocab_size, size
            for kind in ["f32"] + others:
                file = out / (f"{name}.gguf" if kind == "f32" else f"{name}-{kind}.gguf")
                subprocess.run([sys.executable, str(HERE / "convert_hf.py"), str(tmp), str(file),
                                "--outtype", kind, "--name", name], check=True)
        print(f"{name}: logits from {logits.min():.2f} to {logits.max():.2f}")


if __name__ == "__main__":
    main()
