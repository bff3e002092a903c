#!/usr/bin/env python3
"""Makes fixtures/quant/blocks.bin: blocks of every format with the floats that the numpy decoders of
the `gguf` package (https://pypi.org/project/gguf, MIT) give for them.

    python3 tools/make_quant_fixture.py fixtures/quant/blocks.bin

Per type, little endian: u32 type number of GGUF, u32 elements, u32 bytes, then the blocks, then the
elements as f32. Blocks are random bytes with ordinary scales, all 0x00, all 0xFF, and random codes
under scales that are infinite, NaN, subnormal, negative, largest.
"""
import struct
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# offsets of the half-precision fields
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0], T.MXFP4: [],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_XS: [0],
}
SPECIAL = [0x7C00, 0xFC00, 0x7E01, 0x0001, 0x83FF, 0x8000, 0x7BFF, 0xC123]


def blocks_of(rng, qtype, size):
    halves = HALVES[qtype]
    n_random = 4 if size > 64 else 12
    rows = rng.integers(0, 256, (n_random + len(SPECIAL), size), dtype=np.uint8)
    for i, row in enumerate(rows):
        for at in halves:
            if i < n_random:
                row[at:at + 2] = np.frombuffer(np.float16(rng.normal() * 0.05).tobytes(), np.uint8)
            else:
                special = SPECIAL[(i - n_random + at // 2) % len(SPECIAL)]
                row[at:at + 2] = np.frombuffer(struct.pack("<H", special), np.uint8)
    if qtype == T.MXFP4:
        rows[:, 0] = [0, 1, 2, 3, 100, 120, 126, 127, 128, 129, 140, 200, 250, 251, 252, 253, 254, 255,
                      64, 5]
    return np.concatenate([rows, np.zeros((1, size), np.uint8), np.full((1, size), 255, np.uint8)])


def main():
    rng = np.random.default_rng(20240607)
    with open(sys.argv[1], "wb") as out, np.errstate(all="ignore"):
        for qtype in HALVES:
            elements, size = GGML_QUANT_SIZES[qtype]
            blocks = blocks_of(rng, qtype, size)
            values = dequantize(blocks, qtype).astype("<f4")
            out.write(struct.pack("<III", int(qtype), blocks.shape[0] * elements, blocks.size))
            out.write(blocks.tobytes())
            out.write(values.tobytes())


main()
