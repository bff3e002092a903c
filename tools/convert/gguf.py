"""Writing GGUF version 3: metadata, tensor records, then data converted one tensor at a time."""
import struct

import numpy as np

ALIGN = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "mxfp4": 39}
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype="<f4")  # magnitudes of e2m1


def _text(s):
    b = s.encode("utf-8") if isinstance(s, str) else s
    return struct.pack("<Q", len(b)) + b


def _array(elem_type, body, n):
    return struct.pack("<IIQ", ARRAY, elem_type, n) + body


def encode(value, kind=None):
    """A metadata value with its type in front. bool, int (u32), float (f32), str, or a list of one of
    them; kind "i32" for lists of signed numbers."""
    if isinstance(value, bool):
        return struct.pack("<IB", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, (str, bytes)):
        return struct.pack("<I", STRING) + _text(value)
    first = value[0]
    if isinstance(first, bool):
        return _array(BOOL, bytes(value), len(value))
    if isinstance(first, int):
        t, code = (I32, "i") if kind == "i32" else (U32, "I")
        return _array(t, struct.pack(f"<{len(value)}{code}", *value), len(value))
    if isinstance(first, float):
        return _array(F32, struct.pack(f"<{len(value)}f", *value), len(value))
    return _array(STRING, b"".join(map(_text, value)), len(value))


def to_bf16(x):
    """Round to nearest even; NaN stays NaN."""
    u = x.astype("<f4").view("<u4")
    rounded = ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2")
    return np.where(np.isnan(x), ((u >> 16) | 64).astype("<u2"), rounded)


def to_q8_0(x):
    """Blocks of 32: f16 scale = max|x| / 127, then int8 = x / scale, halves away from zero."""
    blocks = x.reshape(-1, 32)
    d = (np.abs(blocks).max(axis=1) / np.float32(127)).astype(np.float32)
    inverse = np.where(d > 0, np.float32(1) / np.where(d > 0, d, 1), 0).astype(np.float32)
    v = blocks * inverse[:, None]
    q = (np.sign(v) * np.floor(np.abs(v) + np.float32(0.5))).astype(np.int8)
    out = np.zeros(len(blocks), dtype=[("d", "<f2"), ("q", "i1", 32)])
    out["d"], out["q"] = d.astype("<f2"), q
    return out


def to_mxfp4(x):
    """Blocks of 32 of the OCP microscaling format: a power of two (e8m0) whose exponent is that of max|x| less
    that of 6, and the nearest e2m1 numbers; element i is the low half of byte i, i + 16 the high half."""
    blocks = x.reshape(-1, 32).astype(np.float64)
    top = np.abs(blocks).max(axis=1)
    e = np.clip(np.floor(np.log2(np.where(top > 0, top, 2.0 ** -120))) - 2, -126, 127)
    v = blocks / np.exp2(e)[:, None]
    code = np.abs(np.abs(v)[..., None] - FP4).argmin(axis=-1).astype("u1") | np.where(v < 0, 8, 0).astype("u1")
    out = np.zeros(len(blocks), dtype=[("e", "u1"), ("q", "u1", 16)])
    out["e"], out["q"] = (e + 127).astype("u1"), code[:, :16] | code[:, 16:] << 4
    return out


def n_bytes(kind, shape):
    n = int(np.prod(shape))
    return {"f32": 4 * n, "f16": 2 * n, "bf16": 2 * n, "q8_0": n // 32 * 34, "mxfp4": n // 32 * 17}[kind]


def to_bytes(kind, x):
    x = np.ascontiguousarray(x, dtype="<f4")
    if kind == "f32":
        return x.tobytes()
    if kind == "f16":
        return x.astype("<f2").tobytes()
    return {"bf16": to_bf16, "q8_0": to_q8_0, "mxfp4": to_mxfp4}[kind](x).tobytes()


def choose(name, outtype, shape):
    """The type of one tensor: vectors, routers and experts' biases stay f32, rows that are no whole number of
    blocks f16; mxfp4 is for experts and q8_0 for the rest."""
    if len(shape) == 1 or name.endswith((".bias", "ffn_gate_inp.weight")):
        return "f32"
    if outtype == "mxfp4" and "_exps." not in name:
        outtype = "q8_0"
    if outtype in ("q8_0", "mxfp4") and shape[-1] % 32:
        return "f16"
    return outtype


def write(path, meta, tensors, outtype):
    """meta: {key: value}, a value may be (value, kind). tensors: [(name, shape, load)] where load()
    gives the float32 array."""
    kinds, offset = [], 0
    with open(path, "wb") as f:
        f.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)))
        for key, value in meta.items():
            value, kind = value if isinstance(value, tuple) else (value, None)
            f.write(_text(key) + encode(value, kind))
        for name, shape, _ in tensors:
            kind = choose(name, outtype, shape)
            kinds.append(kind)
            f.write(_text(name) + struct.pack("<I", len(shape)))
            f.write(struct.pack(f"<{len(shape)}Q", *reversed(shape)))
            f.write(struct.pack("<IQ", TENSOR_TYPES[kind], offset))
            offset += -(-n_bytes(kind, shape) // ALIGN) * ALIGN
        f.write(bytes(-f.tell() % ALIGN))
        for (name, shape, load), kind in zip(tensors, kinds):
            x = load()
            if tuple(x.shape) != tuple(shape):
                raise SystemExit(f"{name}: shape {x.shape}; {shape} was announced")
            data = to_bytes(kind, x)
            f.write(data + bytes(-len(data) % ALIGN))
    return dict(zip((t[0] for t in tensors), kinds))
