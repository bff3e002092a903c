"""Reading safetensors: u64 length, a JSON header, then data. Tensors are mapped and turned into float32
when asked for."""
import json
import pathlib
import struct

import numpy as np

TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}


class Tensors:
    def __init__(self, directory):
        directory = pathlib.Path(directory)
        index = directory / "model.safetensors.index.json"
        if index.exists():
            files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        else:
            files = sorted(p.name for p in directory.glob("*.safetensors"))
        if not files:
            raise SystemExit(f"{directory}: no .safetensors files")
        self.at = {}
        for name in files:
            self._read(directory / name)

    def _read(self, path):
        data = np.memmap(path, dtype="u1", mode="r")
        n = struct.unpack("<Q", data[:8].tobytes())[0]
        header = json.loads(data[8 : 8 + n].tobytes())
        for name, t in header.items():
            if name == "__metadata__":
                continue
            begin, end = t["data_offsets"]
            self.at[name] = (data[8 + n + begin : 8 + n + end], t["dtype"], tuple(t["shape"]))

    def names(self):
        return list(self.at)

    def shape(self, name):
        return self.at[name][2]

    def load(self, name):
        raw, kind, shape = self.at[name]
        if kind not in TYPES:
            raise SystemExit(f"{name} has type {kind}; {' '.join(TYPES)} are known")
        x = np.frombuffer(raw.tobytes(), dtype=TYPES[kind]).reshape(shape)
        if kind == "BF16":
            return (x.astype("<u4") << 16).view("<f4")
        return x.astype("<f4")
