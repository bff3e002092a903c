"""The wire of docs/wire.md in Python, from messages.def alone: what the tests speak with the client and the server.

    body = encode("generate", {"id": 1, "prompt": b"Hi"}, version=2)      bytes behind the length
    name, fields = decode(body)
    peer = Peer(connection); peer.send(...); name, fields = peer.receive()

Texts are bytes, lists are lists, fields that are not set are absent.
"""
import json
import pathlib
import socket
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from gen_tables import wire_messages_list  # noqa: E402

MESSAGES = wire_messages_list()
BY_NUMBER = {m["number"]: n for n, m in MESSAGES.items() if m["from"] != "P"}


def put_varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def take_varint(data, at):
    n = shift = 0
    while True:
        b = data[at]
        n |= (b & 127) << shift
        at, shift = at + 1, shift + 7
        if b < 128:
            return n, at


def put_field(number, kind, v):
    def tagged(wire_type, payload):
        return put_varint(number << 3 | wire_type) + payload

    def counted(payload):
        return tagged(2, put_varint(len(payload)) + payload)

    if kind == "U64":
        return tagged(0, put_varint(v))
    if kind == "F32":
        return tagged(5, struct.pack("<f", v))
    if kind == "BYTES":
        return counted(v)
    if kind == "TOKENS":
        return counted(b"".join(map(put_varint, v)))
    if kind == "FLOATS":
        return counted(struct.pack(f"<{len(v)}f", *v))
    if kind == "TEXTS":
        return b"".join(counted(t) for t in v)
    return b"".join(counted(put_fields(kind[5:-1], item)) for item in v)


def put_fields(name, fields):
    left = dict(fields)
    out = b"".join(put_field(number, kind, left.pop(field))
                   for number, kind, _, field in MESSAGES[name]["fields"] if field in left)
    assert not left, (name, left)
    return out


def take_fields(name, data):
    kinds = {number: (kind, field) for number, kind, _, field in MESSAGES[name]["fields"]}
    out, at = {}, 0
    while at < len(data):
        tag, at = take_varint(data, at)
        kind, field = kinds[tag >> 3]
        if kind == "U64":
            out[field], at = take_varint(data, at)
            continue
        if kind == "F32":
            out[field], = struct.unpack_from("<f", data, at)
            at += 4
            continue
        n, at = take_varint(data, at)
        part, at = data[at:at + n], at + n
        if kind == "BYTES":
            out[field] = part
        elif kind == "TOKENS":
            ids, k = [], 0
            while k < n:
                v, k = take_varint(part, k)
                ids.append(v)
            out[field] = ids
        elif kind == "FLOATS":
            out[field] = list(struct.unpack(f"<{n // 4}f", part))
        elif kind == "TEXTS":
            out.setdefault(field, []).append(part)
        else:
            out.setdefault(field, []).append(take_fields(kind[5:-1], part))
    return out


def to_json(v):
    if isinstance(v, bytes):
        return v.decode(errors="replace")
    if isinstance(v, list):
        return [to_json(x) for x in v]
    if isinstance(v, dict):
        return {k: to_json(x) for k, x in v.items()}
    return str(v) if isinstance(v, int) and v > 2**53 else v


def from_json(name, obj):
    out = {}
    for _, kind, _, field in MESSAGES[name]["fields"]:
        if field not in obj:
            continue
        v = obj[field]
        if kind == "U64":
            v = int(v)
        elif kind == "BYTES":
            v = v.encode()
        elif kind == "TEXTS":
            v = [t.encode() for t in v]
        elif kind.startswith("LIST"):
            v = [from_json(kind[5:-1], item) for item in v]
        out[field] = v
    return out


def encode(name, fields, version=2):
    if version == 1:
        return json.dumps({"type": name, **to_json(fields)}).encode()
    return bytes([MESSAGES[name]["number"]]) + put_fields(name, fields)


def decode(body):
    if body[:1] == b"{":
        obj = json.loads(body)
        return obj["type"], from_json(obj["type"], obj)
    return BY_NUMBER[body[0]], take_fields(BY_NUMBER[body[0]], body[1:])


class Closed(Exception):
    """The other side closed the connection."""


class Peer:
    """One end of a connection, either side's."""

    def __init__(self, connection, version=2, timeout=60):
        self.socket, self.version = connection, version
        self.socket.settimeout(timeout)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise Closed
            data += more
        return data

    def send(self, name, fields):
        body = encode(name, fields, self.version)
        self.socket.sendall(struct.pack("<I", len(body)) + body)

    def receive(self):
        n, = struct.unpack("<I", self.exactly(4))
        return decode(self.exactly(n))

    def close(self):
        self.socket.close()


def connect(path, token=None, version=2, timeout=60):
    """A client that was welcomed."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(str(path))
    peer = Peer(s, version, timeout)
    hello = {"min_version": 1, "max_version": version, "client": b"test"}
    if token is not None:
        hello["token"] = token
    peer.send("hello", hello)
    name, fields = peer.receive()
    if name != "welcome":
        raise AssertionError((name, fields))
    peer.version = fields["version"]
    return peer
