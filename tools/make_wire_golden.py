#!/usr/bin/env python3
"""Golden vectors of the wire, made by the protobuf library from docs/wire.proto: another implementation.

    tools/make_wire_golden.py > tests/serve/golden.txt

Needs the Python package protobuf and protoc's compiler module grpcio-tools, or protoc on the PATH. A line a
message: its name, the binary frame in hexadecimal, the JSON object, between tabs. Every message stands there
with all of its fields, and with those alone that it must have; numbers are from the edges of their encodings.
"""
import importlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from gen_tables import wire_messages_list  # noqa: E402

NUMBERS = [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455, 268435456, 2**32 - 1, 2**53, 2**53 + 1,
           2**63, 2**64 - 1]
FLOATS = [0.0, 1.0, -1.5, 0.699999988, 3.40282347e38, 1.40129846e-45]
TEXTS = ["", "a", "The kettle sang.", "naïve 火 🔥 \" \\ \n\t\u0001", "é" * 100]


class Values:
    def __init__(self):
        self.n = 0

    def take(self, pool):
        self.n += 1
        return pool[self.n % len(pool)]


def fill(messages, name, msg, values, every):
    """Sets the fields of a protobuf message and gives the JSON object that says the same."""
    out = {}
    for number, kind, need, field in messages[name]["fields"]:
        if need == "MAY" and not every:
            continue
        if kind in ("U64", "I64"):
            v = values.take(NUMBERS)
            if kind == "I64":
                v = v % 2**62 * (-1 if v % 2 else 1)
            setattr(msg, field, v)
            out[field] = v if abs(v) <= 2**53 else str(v)
        elif kind == "F32":
            v = values.take(FLOATS)
            setattr(msg, field, v)
            out[field] = f32(v)
        elif kind == "BYTES":
            v = values.take(TEXTS)
            setattr(msg, field, v.encode())
            out[field] = v
        elif kind == "TOKENS":
            v = [n for n in NUMBERS if n < 2**32] * 3
            v = v if values.n % 2 else []
            values.n += 1
            getattr(msg, field).extend(v)
            out[field] = v
        elif kind == "FLOATS":
            getattr(msg, field).extend(FLOATS)
            out[field] = [f32(v) for v in FLOATS]
        elif kind == "TEXTS":
            getattr(msg, field).extend(v.encode() for v in TEXTS)
            out[field] = list(TEXTS)
        else:
            part = kind[5:-1]
            out[field] = [fill(messages, part, getattr(msg, field).add(), values, i == 0) for i in range(2)]
    return out


class f32(float):
    """Printed with nine digits, as the wire does."""

    def __init__(self, v):
        super().__init__()

    def __repr__(self):
        return "%.9g" % struct.unpack("<f", struct.pack("<f", self))[0]


def dump(value):
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    if isinstance(value, f32):
        return repr(value)
    if isinstance(value, str):
        plain = {'"': '\\"', "\\": "\\\\"}
        return '"' + "".join(plain.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    return str(value)


def module():
    with tempfile.TemporaryDirectory() as tmp:
        args = ["-I", str(ROOT / "docs"), "--python_out", tmp, "wire.proto"]
        try:
            subprocess.run(["protoc", *args], check=True)
        except FileNotFoundError:
            subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *args], check=True)
        sys.path.insert(0, tmp)
        return importlib.import_module("wire_pb2")


def main():
    messages, pb, values = wire_messages_list(), module(), Values()
    for name, m in messages.items():
        if m["from"] == "P":
            continue
        for every in (True, False):
            msg = getattr(pb, name)()
            obj = {"type": name, **fill(messages, name, msg, values, every)}
            body = bytes([m["number"]]) + explicit(messages, name, msg, every)
            print(name, (struct.pack("<I", len(body)) + body).hex(), dump(obj), sep="\t")


def explicit(messages, name, msg, every):
    """protobuf leaves empty packed fields out; the wire says that they are there."""
    body = msg.SerializeToString(deterministic=True)
    for number, kind, need, field in messages[name]["fields"]:
        if kind == "TOKENS" and not getattr(msg, field) and (every or need == "MUST"):
            parts = [type(msg)(), type(msg)()]
            for f, v in msg.ListFields():
                target = parts[f.number > number]
                getattr(target, f.name).extend(v) if isinstance(v, list) or hasattr(v, "extend") else setattr(
                    target, f.name, v)
            body = parts[0].SerializeToString() + bytes([number << 3 | 2, 0]) + parts[1].SerializeToString()
    return body


if __name__ == "__main__":
    main()
