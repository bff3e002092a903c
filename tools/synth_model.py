#!/usr/bin/env python3
"""Writes GGUF and ONNX files with random weights in the exact shapes and type mixes of real models, to measure
speed and memory on. They speak noise; their names say "synthetic", in the file and wherever hearth prints it.

    tools/synth_model.py --list
    tools/synth_model.py smollm-360m-q8_0 OUT.gguf [--seed N] [--layers N]
    tools/synth_model.py minilm-embedder OUT.onnx [--seed N]

Blocks hold random codes with half-float scales chosen so that weights have mean 0 and a standard
deviation near 0.02: logits stay finite and flat. The vocabulary has the right size and is made up:
bytes, a few merges, and unused entries. Same arguments, same bytes. Python's own library is enough.

Shapes: the published config.json of each model. Type mixes: what llama-quantize chooses. Widths that
are no multiple of 256 (960, 896) cannot hold K-quants, so there Q4_K becomes Q5_0 and Q6_K Q8_0.
"""
import argparse
import dataclasses
import random
import struct
import sys

import synth_onnx

# ---- block types: GGUF number, elements, bytes, and how random bytes become blocks ----------------

STD = 0.02
ALL = bytes(range(256))


def half(x):
    return struct.pack("<e", x)


# A byte picks one of 256 half floats between 3/4 and 5/4 of a middle value.
def put_scales(blocks, stride, at, middle, rng):
    table = [half(middle * (0.75 + i / 510)) for i in range(256)]
    pick = rng.randbytes(len(blocks) // stride)
    blocks[at::stride] = pick.translate(bytes(t[0] for t in table))
    blocks[at + 1::stride] = pick.translate(bytes(t[1] for t in table))
    return pick


def fill_q8_0(blocks, rng):  # half d; 32 int8 in [-127, 127]
    blocks[:] = blocks.translate(ALL.replace(b"\x80", b"\x7f", 1))
    put_scales(blocks, 34, 0, STD / 73.6, rng)


def fill_q4_0(blocks, rng):  # half d; 32 codes of 4 bits, minus 8
    put_scales(blocks, 18, 0, STD / 4.6, rng)


def fill_q5_0(blocks, rng):  # half d; 4 bytes of fifth bits; 16 bytes of nibbles; minus 16
    put_scales(blocks, 22, 0, STD / 9.2, rng)


def fill_q4_k(blocks, rng):
    """half d, half dmin; 12 bytes of 6-bit scales and mins; 128 bytes of nibbles. Each min equals its
    scale and dmin is 7.5 d, so that a weight is d * scale * (code - 7.5)."""
    middle = STD / (36.7 * 4.6)
    pick = put_scales(blocks, 144, 0, middle, rng)
    mins = [half(7.5 * struct.unpack("<e", half(middle * (0.75 + i / 510)))[0]) for i in range(256)]
    blocks[2::144] = pick.translate(bytes(t[0] for t in mins))
    blocks[3::144] = pick.translate(bytes(t[1] for t in mins))
    twice = bytes((i & 15) * 17 for i in range(256))
    for j in range(4):
        blocks[8 + j::144] = blocks[4 + j::144]
        blocks[12 + j::144] = blocks[12 + j::144].translate(twice)


def fill_q6_k(blocks, rng):  # 128 low, 64 high, 16 int8 scales, half d; codes of 6 bits, minus 32
    scales = bytes((16 + i % 32) if i < 128 else 256 - (16 + i % 32) for i in range(256))
    for j in range(16):
        blocks[192 + j::210] = blocks[192 + j::210].translate(scales)
    put_scales(blocks, 210, 208, STD / (32.9 * 18.5), rng)


TYPES = {  # name: GGUF number, elements, bytes, fill
    "f32": (0, 1, 4, None),
    "q4_0": (2, 32, 18, fill_q4_0),
    "q5_0": (6, 32, 22, fill_q5_0),
    "q8_0": (8, 32, 34, fill_q8_0),
    "q4_k": (12, 256, 144, fill_q4_k),
    "q6_k": (14, 256, 210, fill_q6_k),
}
PIECE = 1 << 15  # blocks made at a time


def tensor_data(name, shape, kind, seed):
    """Pieces of the tensor's bytes."""
    rng = random.Random(f"{seed}/{name}")
    count = 1
    for dim in shape:
        count *= dim
    _, elements, size, fill = TYPES[kind]
    if fill is None:
        middle = 0.0 if name.endswith((".bias", "ffn_gate_inp.weight")) else 1.0
        yield struct.pack(f"<{count}f", *(rng.gauss(middle, STD) for _ in range(count)))
        return
    left = count // elements
    while left:
        n = min(left, PIECE)
        blocks = bytearray(rng.randbytes(n * size))
        fill(blocks, rng)
        yield blocks
        left -= n


# ---- the models -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shape:
    arch: str
    title: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    ff: int
    vocab: int
    context: int
    base: float
    eps: float
    pre: str
    window: int = 0
    head: int = 0  # width / heads
    experts: int = 0
    experts_used: int = 0


SMOLLM = Shape("llama", "SmolLM-360M", 32, 960, 15, 5, 2560, 49152, 2048, 1e4, 1e-5, "smollm")
QWEN = Shape("qwen2", "Qwen2.5-0.5B", 24, 896, 14, 2, 4864, 151936, 32768, 1e6, 1e-6, "qwen2")
PHI3 = Shape("phi3", "Phi-3-mini-4k", 32, 3072, 32, 32, 8192, 32064, 4096, 1e4, 1e-5, "gpt-2", 2047)
QWEN_MOE = Shape("qwen3moe", "Qwen3-30B-A3B", 48, 2048, 32, 4, 768, 151936, 40960, 1e6, 1e-6, "qwen2", 0,
                 128, 128, 8)


def more_bits(layer, layers):
    """The layers whose attn_v and ffn_down a Q4_K_M file stores in more bits."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def narrow_q4_k_m(role, layer, s):  # widths that are no multiple of 256
    if role == "token_embd":
        return "q8_0"
    if role == "ffn_down":
        return "q6_k" if more_bits(layer, s.layers) else "q4_k"
    if role == "attn_v":
        return "q8_0" if s.arch == "qwen2" or more_bits(layer, s.layers) else "q5_0"
    return "q5_0"


def wide_q4_k_m(role, layer, s):
    if role == "output" or (role in ("ffn_down", "ffn_down_exps") and more_bits(layer, s.layers)):
        return "q6_k"
    return "q4_k"


MODELS = {  # name: shape, file type number and name, type of each role
    "smollm-360m-q8_0": (SMOLLM, 7, "Q8_0", lambda role, layer, s: "q8_0"),
    "smollm-360m-q4_k_m": (SMOLLM, 15, "Q4_K_M", narrow_q4_k_m),
    "qwen2.5-0.5b-q4_0": (QWEN, 2, "Q4_0",
                          lambda role, layer, s: "q8_0" if role == "token_embd" else "q4_0"),
    "qwen2.5-0.5b-q4_k_m": (QWEN, 15, "Q4_K_M", narrow_q4_k_m),
    "qwen3-30b-a3b-q4_k_m": (QWEN_MOE, 15, "Q4_K_M", wide_q4_k_m),
    "phi-3-mini-q4_k_m": (PHI3, 15, "Q4_K_M", wide_q4_k_m),
}


def tensors(s, kind_of):
    """(name, shape with the fastest dimension first, type)"""
    head = s.head or s.width // s.heads
    kv = head * s.kv_heads

    def weight(role, layer, n_in, n_out):
        name = f"blk.{layer}.{role}.weight" if layer >= 0 else f"{role}.weight"
        return name, (n_in, n_out), kind_of(role, layer, s)

    def experts(role, layer, n_in, n_out):
        return f"blk.{layer}.{role}.weight", (n_in, n_out, s.experts), kind_of(role, layer, s)

    def vector(name, n):
        return name, (n,), "f32"

    yield weight("token_embd", -1, s.width, s.vocab)
    for i in range(s.layers):
        yield vector(f"blk.{i}.attn_norm.weight", s.width)
        if s.arch == "phi3":
            yield weight("attn_qkv", i, s.width, s.width + 2 * kv)
        else:
            if s.arch == "qwen3moe":
                yield vector(f"blk.{i}.attn_q_norm.weight", head)
                yield vector(f"blk.{i}.attn_k_norm.weight", head)
            for role, n in (("attn_q", head * s.heads), ("attn_k", kv), ("attn_v", kv)):
                yield weight(role, i, s.width, n)
                if s.arch == "qwen2":
                    yield vector(f"blk.{i}.{role}.bias", n)
        yield weight("attn_output", i, head * s.heads, s.width)
        yield vector(f"blk.{i}.ffn_norm.weight", s.width)
        if s.experts:
            yield f"blk.{i}.ffn_gate_inp.weight", (s.width, s.experts), "f32"
            yield experts("ffn_gate_exps", i, s.width, s.ff)
            yield experts("ffn_up_exps", i, s.width, s.ff)
            yield experts("ffn_down_exps", i, s.ff, s.width)
            continue
        if s.arch == "phi3":
            yield weight("ffn_up", i, s.width, 2 * s.ff)
        else:
            yield weight("ffn_gate", i, s.width, s.ff)
            yield weight("ffn_up", i, s.width, s.ff)
        yield weight("ffn_down", i, s.ff, s.width)
    yield vector("output_norm.weight", s.width)
    if s.arch in ("phi3", "qwen3moe"):
        yield weight("output", -1, s.width, s.vocab)


# ---- a vocabulary of the right size ---------------------------------------------------------------


def byte_characters():
    """The printable character that stands for each byte in byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def vocabulary(size):
    tokens, kinds, merges = ["<|endoftext|>"], [3], []
    for c in byte_characters():
        tokens.append(c)
        kinds.append(1)
    letters = "etaoinshrdlcumwfgypbvkjxqz"
    pairs = [(a, b) for a in letters for b in letters]
    pairs += [("\u0120", a) for a in letters] + [("\u0120", a + b) for a, b in pairs[:400]]
    for a, b in pairs:
        merges.append(f"{a} {b}")
        tokens.append(a + b)
        kinds.append(1)
    for i in range(size - len(tokens)):
        tokens.append(f"<|unused{i}|>")
        kinds.append(5)
    return tokens, kinds, merges


# ---- GGUF -----------------------------------------------------------------------------------------

ALIGNMENT = 32


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    """One key: u32, f32, bool, str, [str] or [i32]."""
    head = text(key)
    if kind == "u32":
        return head + struct.pack("<II", 4, value)
    if kind == "f32":
        return head + struct.pack("<If", 6, value)
    if kind == "bool":
        return head + struct.pack("<IB", 7, value)
    if kind == "str":
        return head + struct.pack("<I", 8) + text(value)
    if kind == "[str]":
        return head + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    return head + struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def metadata(s, label, file_type):
    tokens, kinds, merges = vocabulary(s.vocab)
    a = s.arch
    rows = [
        ("general.architecture", "str", a),
        ("general.name", "str", f"synthetic {label} (random weights in the shape of {s.title})"),
        ("general.file_type", "u32", file_type),
        ("general.quantization_version", "u32", 2),
        (f"{a}.context_length", "u32", s.context),
        (f"{a}.embedding_length", "u32", s.width),
        (f"{a}.block_count", "u32", s.layers),
        (f"{a}.feed_forward_length", "u32", s.ff),
        (f"{a}.attention.head_count", "u32", s.heads),
        (f"{a}.attention.head_count_kv", "u32", s.kv_heads),
        (f"{a}.attention.layer_norm_rms_epsilon", "f32", s.eps),
        (f"{a}.rope.dimension_count", "u32", s.head or s.width // s.heads),
        (f"{a}.rope.freq_base", "f32", s.base),
        (f"{a}.vocab_size", "u32", s.vocab),
        ("tokenizer.ggml.model", "str", "gpt2"),
        ("tokenizer.ggml.pre", "str", s.pre),
        ("tokenizer.ggml.tokens", "[str]", tokens),
        ("tokenizer.ggml.token_type", "[i32]", kinds),
        ("tokenizer.ggml.merges", "[str]", merges),
        ("tokenizer.ggml.bos_token_id", "u32", 0),
        ("tokenizer.ggml.eos_token_id", "u32", 0),
        ("tokenizer.ggml.add_bos_token", "bool", 0),
    ]
    if s.experts:
        rows += [(f"{a}.attention.key_length", "u32", s.head), (f"{a}.attention.value_length", "u32", s.head),
                 (f"{a}.expert_count", "u32", s.experts), (f"{a}.expert_used_count", "u32", s.experts_used),
                 (f"{a}.expert_feed_forward_length", "u32", s.ff)]
    if s.window:
        rows.append((f"{a}.attention.sliding_window", "u32", s.window))
        rows.append((f"{a}.rope.scaling.original_context_length", "u32", s.context))
    return rows


def data_bytes(shape, kind):
    count = 1
    for dim in shape:
        count *= dim
    _, elements, size, _ = TYPES[kind]
    assert shape[0] % elements == 0, (shape, kind)
    return count // elements * size


def padding(n):
    return bytes(-n % ALIGNMENT)


def write(path, name, seed, layers):
    shape, file_type, label, kind_of = MODELS[name]
    if layers:
        shape = dataclasses.replace(shape, layers=layers)
    rows = metadata(shape, f"{shape.title} {label}", file_type)
    list_of_tensors = list(tensors(shape, kind_of))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(list_of_tensors), len(rows))
    head += b"".join(pair(*row) for row in rows)
    offset = 0
    for tensor, dims, kind in list_of_tensors:
        head += text(tensor) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, TYPES[kind][0],
                                           offset)
        size = data_bytes(dims, kind)
        offset += size + len(padding(size))
    with open(path, "wb") as f:
        f.write(head + padding(len(head)))
        for tensor, dims, kind in list_of_tensors:
            for piece in tensor_data(tensor, dims, kind, seed):
                f.write(piece)
            f.write(padding(data_bytes(dims, kind)))
        return f.tell()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--list", action="store_true", help="the names of the models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=0, help="fewer layers than the real model")
    parser.add_argument("model", nargs="?", choices=sorted([*MODELS, *synth_onnx.ENCODERS]))
    parser.add_argument("out", nargs="?")
    args = parser.parse_args()
    if args.list:
        print("\n".join([*MODELS, *synth_onnx.ENCODERS]))
        return 0
    if not args.out:
        parser.error("a model and an output file are needed")
    if args.model in synth_onnx.ENCODERS:
        if args.layers:
            parser.error("--layers is for GGUF models")
        size = synth_onnx.write(args.out, args.model, args.seed)
    else:
        size = write(args.out, args.model, args.seed, args.layers)
    print(f"{args.out}: {size} bytes, synthetic weights")
    return 0


if __name__ == "__main__":
    sys.exit(main())
