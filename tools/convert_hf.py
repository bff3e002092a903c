#!/usr/bin/env python3
"""A Hugging Face model directory (config.json, *.safetensors, tokenizer.json or tokenizer.model) to GGUF.

    tools/convert_hf.py DIR OUT.gguf [--outtype f32|f16|bf16|q8_0] [--name NAME]

Needs python3 and numpy, nothing else. Architectures: llama (Mistral, SmolLM, Mixtral too), qwen2, qwen3,
qwen3moe, gpt-oss (not in its packed form), phi3, gemma2, gemma3 (text), bert (with the pooling of
sentence-transformers). What a config says and the GGUF architecture cannot is refused by name.

What changes on the way:
  llama    rows of q and k are permuted from halves to neighbouring pairs; Llama 3 rope scaling becomes
           rope_freqs.weight
  gemma    1 is added to norm weights
  phi3     long and short rope factors become tensors, the attention factor a key
  experts  matrices of one kind are stacked; gpt-oss' are transposed, gate and up taken apart
  vectors  stay f32 whatever the type; q8_0 falls back to f16 for rows that are no multiple of 32
"""
import argparse
import json
import math
import pathlib
import re
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from convert import bert, gguf, vocab  # noqa: E402
from convert.safetensors import Tensors  # noqa: E402

ARCHS = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3", "Phi3ForCausalLM": "phi3", "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3", "Gemma3ForConditionalGeneration": "gemma3",
    "MixtralForCausalLM": "llama", "Qwen3MoeForCausalLM": "qwen3moe", "GptOssForCausalLM": "gpt-oss",
}
WITH_EXPERTS = ("MixtralForCausalLM", "Qwen3MoeForCausalLM", "GptOssForCausalLM")
MODEL_NAMES = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}
LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up", "self_attn.sinks": "attn_sinks",
    "mlp.gate": "ffn_gate_inp", "mlp.router": "ffn_gate_inp", "block_sparse_moe.gate": "ffn_gate_inp",
}
GPT_OSS_NAMES = {**LAYER_NAMES, "post_attention_layernorm": "post_attention_norm"}
# One expert's matrix among many: layer, expert, which.
EXPERT = re.compile(r"model\.layers\.(\d+)\.(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(\w+)\.weight")
EXPERT_NAMES = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps",
                "w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}
# All experts of gpt-oss in one tensor.
PACKED = re.compile(r"model\.layers\.(\d+)\.mlp\.experts\.(gate_up_proj|down_proj)(_bias)?")
GEMMA_NAMES = {**LAYER_NAMES, "post_attention_layernorm": "post_attention_norm",
               "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
SKIP = re.compile(r"rotary_emb\.inv_freq|vision_tower|multi_modal_projector|vision_model")


def refuse(what):
    raise SystemExit(f"convert_hf: {what}")


class Config:
    def __init__(self, raw):
        self.arch = next((ARCHS[a] for a in raw.get("architectures", []) if a in ARCHS), None)
        if not self.arch:
            refuse(f"architectures {raw.get('architectures')}; known: {' '.join(ARCHS)}")
        c = self.c = {**raw, **raw.get("text_config", {})}
        self.n_layers, self.n_embd = c["num_hidden_layers"], c["hidden_size"]
        self.n_heads = c["num_attention_heads"]
        self.n_kv = c.get("num_key_value_heads") or self.n_heads
        self.d_k = c.get("head_dim") or self.n_embd // self.n_heads
        self.n_experts = c.get("num_local_experts") or c.get("num_experts") or 0
        if self.n_experts and not set(WITH_EXPERTS) & set(raw["architectures"]):
            refuse(f"{self.arch} with a mixture of experts; it is known without")
        if self.arch == "qwen3moe" and (c.get("norm_topk_prob") is False or c.get("mlp_only_layers")
                                        or c.get("decoder_sparse_step", 1) != 1):
            refuse("qwen3moe with dense layers, or without normalised expert weights")
        if self.arch == "gpt-oss" and c.get("swiglu_limit", 7.0) != 7.0:
            refuse(f"swiglu_limit {c['swiglu_limit']}; 7 is known")
        act = c.get("hidden_activation") or c.get("hidden_act")
        gemma = self.arch.startswith("gemma")
        if act not in (("gelu_pytorch_tanh",) if gemma else ("silu", "swish")):
            refuse(f"activation {act} in {self.arch}")
        self.gemma = gemma

    def rope(self, kind=None):
        """Rope parameters in the newer form: one dict, for gemma3 one per kind of layer."""
        c = self.c
        p = c.get("rope_parameters")
        if p is None:
            p = dict(c.get("rope_scaling") or {})
            p.setdefault("rope_theta", c.get("rope_theta", 10000.0))
            p["rope_type"] = p.get("rope_type", p.get("type", "default"))
            if kind == "sliding_attention":
                p = {"rope_type": "default", "rope_theta": c.get("rope_local_base_freq", 10000.0)}
        elif kind and kind in p:
            p = p[kind]
        p = dict(p)
        p.setdefault("rope_theta", c.get("rope_theta") or 10000.0)
        if p.get("rope_type") in ("su", None):
            p["rope_type"] = "longrope" if p.get("rope_type") else "default"
        return p

    def n_rot(self):
        factor = self.rope().get("partial_rotary_factor") or self.c.get("partial_rotary_factor") or 1.0
        return int(self.d_k * factor)


def llama3_factors(p, n_rot):
    """Llama 3.1: how much slower each pair turns (transformers, modeling_rope_utils)."""
    orig, factor = p["original_max_position_embeddings"], p["factor"]
    low, high = p["low_freq_factor"], p["high_freq_factor"]
    out = []
    for i in range(n_rot // 2):
        turn = 2 * math.pi * p["rope_theta"] ** (2 * i / n_rot)
        if turn < orig / high:
            out.append(1.0)
        elif turn > orig / low:
            out.append(factor)
        else:
            smooth = (orig / turn - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, dtype="<f4")


def rope_keys(cfg, meta, extra):
    """Rope metadata into meta, factor tensors into extra."""
    a, p = cfg.arch, cfg.rope("full_attention")
    meta[f"{a}.rope.freq_base"] = float(p["rope_theta"])
    meta[f"{a}.rope.dimension_count"] = cfg.n_rot()
    kind = p["rope_type"]
    orig = p.get("original_max_position_embeddings") or cfg.c.get("original_max_position_embeddings")
    if kind == "linear":
        meta[f"{a}.rope.scaling.type"] = "linear"
        meta[f"{a}.rope.scaling.factor"] = float(p["factor"])
    elif kind == "yarn":
        factor = float(p["factor"])
        if p.get("mscale") or p.get("mscale_all_dim") or (p.get("truncate") is False) != (a == "gpt-oss"):
            refuse("yarn with mscale, or without truncation where the architecture has it, or with")
        usual = 1 + 0.1 * math.log(factor) if factor > 1 else 1.0
        meta[f"{a}.rope.scaling.type"] = "yarn"
        meta[f"{a}.rope.scaling.factor"] = factor
        meta[f"{a}.rope.scaling.original_context_length"] = int(
            orig or cfg.c["max_position_embeddings"])
        meta[f"{a}.rope.scaling.attn_factor"] = float(p.get("attention_factor") or usual) / usual
        meta[f"{a}.rope.scaling.yarn_beta_fast"] = float(p.get("beta_fast") or 32)
        meta[f"{a}.rope.scaling.yarn_beta_slow"] = float(p.get("beta_slow") or 1)
    elif kind == "llama3":
        extra["rope_freqs.weight"] = llama3_factors(p, cfg.n_rot())
    elif kind == "longrope":
        stretch = cfg.c["max_position_embeddings"] / orig
        usual = math.sqrt(1 + math.log(stretch) / math.log(orig)) if stretch > 1 else 1.0
        meta[f"{a}.rope.scaling.type"] = "longrope"
        meta[f"{a}.rope.scaling.original_context_length"] = int(orig)
        meta[f"{a}.rope.scaling.attn_factor"] = float(p.get("attention_factor") or usual)
        extra["rope_factors_long.weight"] = np.array(p["long_factor"], dtype="<f4")
        extra["rope_factors_short.weight"] = np.array(p["short_factor"], dtype="<f4")
    elif kind != "default":
        refuse(f"rope scaling {kind}")
    if a == "gemma3":
        meta[f"{a}.rope.freq_base_swa"] = float(cfg.rope("sliding_attention")["rope_theta"])


def window_keys(cfg, meta):
    a, c, window = cfg.arch, cfg.c, cfg.c.get("sliding_window")
    types = c.get("layer_types")
    if a in ("gemma2", "gemma3", "gpt-oss"):
        period = 6 if a == "gemma3" else 2
        usual = [(i + 1) % period != 0 for i in range(cfg.n_layers)]
        windowed = [t == "sliding_attention" for t in types] if types else usual
        if not types and (c.get("sliding_window_pattern") or period) != period:
            windowed = [(i + 1) % c["sliding_window_pattern"] != 0 for i in range(cfg.n_layers)]
        meta[f"{a}.attention.sliding_window"] = int(window)
        if windowed != usual:
            meta[f"{a}.attention.sliding_window_pattern"] = windowed
        return
    if a in ("qwen2", "qwen3", "qwen3moe") and not c.get("use_sliding_window"):
        return
    if window and types and len(set(types)) > 1:
        refuse(f"{a} with a window in some layers only")
    if window and (not types or types[0] == "sliding_attention"):
        meta[f"{a}.attention.sliding_window"] = int(window)


def hyper_keys(cfg, meta):
    a, c = cfg.arch, cfg.c
    meta[f"{a}.context_length"] = c["max_position_embeddings"]
    meta[f"{a}.embedding_length"] = cfg.n_embd
    meta[f"{a}.block_count"] = cfg.n_layers
    meta[f"{a}.feed_forward_length"] = c["intermediate_size"]
    meta[f"{a}.attention.head_count"] = cfg.n_heads
    meta[f"{a}.attention.head_count_kv"] = cfg.n_kv
    meta[f"{a}.attention.key_length"] = cfg.d_k
    meta[f"{a}.attention.value_length"] = cfg.d_k
    meta[f"{a}.attention.layer_norm_rms_epsilon"] = float(c["rms_norm_eps"])
    if cfg.n_experts:
        meta[f"{a}.expert_count"] = cfg.n_experts
        meta[f"{a}.expert_used_count"] = c["num_experts_per_tok"]
        meta[f"{a}.expert_feed_forward_length"] = c.get("moe_intermediate_size") or c["intermediate_size"]
    if cfg.gemma:
        meta[f"{a}.attention.scale"] = float(c["query_pre_attn_scalar"]) ** -0.5
        for key, name in (("attn_logit_softcapping",) * 2, ("final_logit_softcapping",) * 2):
            if a == "gemma2" or c.get(name):
                meta[f"{a}.{key}"] = float(c.get(name) or 0)


def permute(x, n_heads):
    """Rows of each head from halves (i, i + n/2) to neighbouring pairs (2i, 2i + 1)."""
    return x.reshape(n_heads, 2, -1, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def gguf_name(cfg, name):
    name = re.sub(r"^(model\.)?language_model\.", "", name)
    name = re.sub(r"^model\.", "", name)
    if name in MODEL_NAMES:
        return MODEL_NAMES[name]
    m = re.fullmatch(r"layers\.(\d+)\.(.*?)(?:\.(weight|bias))?", name)
    names = GEMMA_NAMES if cfg.gemma else GPT_OSS_NAMES if cfg.arch == "gpt-oss" else LAYER_NAMES
    if not m or m[2] not in names:
        refuse(f"tensor {name} is no part of {cfg.arch} as known here")
    return f"blk.{m[1]}.{names[m[2]]}.{m[3] or 'weight'}"


def change(cfg, name, x):
    if cfg.arch == "llama" and re.search(r"\.attn_[qk]\.", name):
        return permute(x, cfg.n_heads if ".attn_q." in name else cfg.n_kv)
    if cfg.gemma and name.endswith("norm.weight"):
        return x + np.float32(1)
    return x


def stacked(source, names):
    """[n_experts][...] of one kind of matrix."""
    return (len(names), *source.shape(names[0])), lambda: np.stack([source.load(n) for n in names])


def unpacked(source, name, layer, which, bias):
    """A tensor of all gpt-oss experts: down [E][f][n], or gate and up [E][n][2f] with their columns
    alternating; biases without n."""
    def part(first, step):
        x = source.load(name)[..., first::step]
        return np.ascontiguousarray(x if bias else x.swapaxes(1, 2))
    shape, ending = source.shape(name), "bias" if bias else "weight"
    kinds = (("gate", 0, 2), ("up", 1, 2)) if which == "gate_up_proj" else (("down", 0, 1),)
    for kind, first, step in kinds:
        n = shape[-1] // step
        yield (f"blk.{layer}.ffn_{kind}_exps.{ending}", (shape[0], n) if bias else (shape[0], n, shape[1]),
               lambda f=first, s=step: part(f, s))


def expert_tensors(cfg, source):
    """Tensors of experts, and the names they come from."""
    single, tensors, used = {}, [], set()
    for hf in source.names():
        if m := EXPERT.fullmatch(hf):
            single.setdefault((int(m[1]), EXPERT_NAMES[m[3]]), {})[int(m[2])] = hf
            used.add(hf)
        elif cfg.arch == "gpt-oss" and (m := PACKED.fullmatch(hf)):
            tensors += unpacked(source, hf, m[1], m[2], bool(m[3]))
            used.add(hf)
    for (layer, kind), names in sorted(single.items()):
        if sorted(names) != list(range(cfg.n_experts)):
            refuse(f"layer {layer} has {len(names)} experts; {cfg.n_experts} were announced")
        tensors.append((f"blk.{layer}.{kind}.weight", *stacked(source, [names[i] for i in sorted(names)])))
    return tensors, used


def tensor_list(cfg, source, extra):
    tensors = [(name, x.shape, lambda x=x: x) for name, x in extra.items()]
    experts, used = expert_tensors(cfg, source)
    tensors += experts
    tied = cfg.c.get("tie_word_embeddings", cfg.gemma)
    for hf in sorted(source.names(), key=lambda n: [int(p) if p.isdigit() else 0 for p in n.split(".")]):
        if SKIP.search(hf) or hf in used:
            continue
        name = gguf_name(cfg, hf)
        if name == "output.weight" and tied:
            continue
        tensors.append((name, source.shape(hf), lambda n=name, h=hf: change(cfg, n, source.load(h))))
    return tensors


def convert_encoder(directory, raw, out, outtype, name):
    meta = {"general.architecture": "bert", "general.name": name}
    bert.hyper_keys(raw, meta)
    bert.pooling_keys(directory, meta)
    meta.update(bert.vocab_keys(directory))
    source = Tensors(directory)
    tensors = [(bert.tensor_name(n), source.shape(n), lambda n=n: source.load(n))
               for n in sorted(source.names()) if not bert.SKIP.search(n)]
    report(out, "bert", gguf.write(out, meta, tensors, outtype))


def convert(directory, out, outtype, name):
    directory = pathlib.Path(directory)
    raw = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if raw.get("architectures", [""])[0].startswith("Bert"):
        convert_encoder(directory, raw, out, outtype, name or directory.name)
        return
    cfg = Config(raw)
    source = Tensors(directory)
    meta, extra = {"general.architecture": cfg.arch, "general.name": name or directory.name}, {}
    hyper_keys(cfg, meta)
    rope_keys(cfg, meta, extra)
    window_keys(cfg, meta)
    rows = next(source.shape(n)[0] for n in source.names() if n.endswith("embed_tokens.weight"))
    meta.update(vocab.keys(directory, cfg.c, rows))
    meta = {k: v for k, v in meta.items() if v != []}
    kinds = gguf.write(out, meta, tensor_list(cfg, source, extra), outtype)
    report(out, cfg.arch, kinds)


def report(out, arch, kinds):
    print(f"{out}: {arch}, {len(kinds)} tensors, {pathlib.Path(out).stat().st_size} bytes")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("directory")
    p.add_argument("out")
    p.add_argument("--outtype", choices=sorted(gguf.TENSOR_TYPES), default="f16")
    p.add_argument("--name")
    a = p.parse_args()
    convert(a.directory, a.out, a.outtype, a.name)


if __name__ == "__main__":
    main()
