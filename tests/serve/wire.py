"""A client of the wire for tests, from messages.def and docs/wire.md alone, and a server to talk to.

    with Server([model], "--rate", "0") as server:
        with server.client() as c:
            print(c.ask("generate", prompt="Hi", max_tokens=8)["text"])

Messages are dicts: {"type": "done", "id": 1, ...}. Of the standard library alone.
"""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TOKEN = "0123456789abcdef-secret"
TERMINAL = {"done", "classified", "embedded", "tokenized", "report", "model_list", "error"}


def load_messages():
    text = (ROOT / "src/serve/messages.def").read_text()
    found = {}
    for m in re.finditer(r"^HS_MESSAGE\((\w+), (\d+), (\w)", text, re.M):
        found[m[1]] = {"number": int(m[2]), "from": m[3], "fields": []}
    for f in re.finditer(r"^HS_FIELD\((\w+), (\d+), (\w+)(?:\((\w+)\))?, (\w+), (\w+),", text, re.M):
        found[f[1]]["fields"].append((int(f[2]), f[3], f[4], f[6]))
    return found


MESSAGES = load_messages()
BY_NUMBER = {m["number"]: name for name, m in MESSAGES.items()}


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def take_varint(data, at):
    v = shift = 0
    while True:
        b = data[at]
        at += 1
        v |= (b & 0x7F) << shift
        shift += 7
        if b < 0x80:
            return v, at


def as_bytes(v):
    return v.encode() if isinstance(v, str) else v


def body(name, msg):
    out = b""
    for number, kind, part, field in MESSAGES[name]["fields"]:
        if field not in msg:
            continue
        v = msg[field]
        if kind == "U64":
            out += varint(number << 3) + varint(v)
        elif kind == "F32":
            out += varint(number << 3 | 5) + struct.pack("<f", v)
        else:
            if kind == "BYTES":
                items = [as_bytes(v)]
            elif kind == "TOKENS":
                items = [b"".join(varint(t) for t in v)]
            elif kind == "FLOATS":
                items = [struct.pack(f"<{len(v)}f", *v)]
            elif kind == "TEXTS":
                items = [as_bytes(t) for t in v]
            else:
                items = [body(part, t) for t in v]
            for item in items:
                out += varint(number << 3 | 2) + varint(len(item)) + item
    return out


def parse(name, data):
    msg, at = {}, 0
    fields = {n: (kind, part, field) for n, kind, part, field in MESSAGES[name]["fields"]}
    while at < len(data):
        tag, at = take_varint(data, at)
        kind, part, field = fields[tag >> 3]
        if tag & 7 == 0:
            msg[field], at = take_varint(data, at)
            continue
        if tag & 7 == 5:
            msg[field] = struct.unpack_from("<f", data, at)[0]
            at += 4
            continue
        n, at = take_varint(data, at)
        item, at = data[at:at + n], at + n
        if kind == "BYTES":
            msg[field] = item.decode("utf-8", "surrogateescape")
        elif kind == "TOKENS":
            ids, pos = [], 0
            while pos < len(item):
                v, pos = take_varint(item, pos)
                ids.append(v)
            msg[field] = ids
        elif kind == "FLOATS":
            msg[field] = list(struct.unpack(f"<{len(item) // 4}f", item))
        elif kind == "TEXTS":
            msg.setdefault(field, []).append(item.decode("utf-8", "surrogateescape"))
        else:
            msg.setdefault(field, []).append(parse(part, item))
    return msg


def frame(payload):
    return struct.pack("<I", len(payload)) + payload


def encode(name, version=2, **fields):
    if version == 1:
        return frame(json.dumps({"type": name, **fields}).encode())
    return frame(bytes([MESSAGES[name]["number"]]) + body(name, fields))


def decode(payload):
    if payload[:1] == b"{":
        return json.loads(payload)
    name = BY_NUMBER[payload[0]]
    return {"type": name, **parse(name, payload[1:])}


class Closed(Exception):
    """The server has closed the connection."""


class Client:
    def __init__(self, path, version=2, token=TOKEN, hello=True, timeout=20):
        self.version = version
        self.id = 0
        self.waiting = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.settimeout(timeout)
        if hello:
            fields = {"min_version": version, "max_version": version}
            if token is not None:
                fields["token"] = token
            try:
                self.send("hello", **fields)
            except BrokenPipeError:
                pass  # turned away already, which is there to be read
            self.welcome = self.receive()
            if self.welcome["type"] != "welcome":
                self.close()
                raise Closed(self.welcome)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, name, **fields):
        self.socket.sendall(encode(name, self.version, **fields))

    def raw(self, data):
        self.socket.sendall(data)

    def read(self, n):
        while len(self.waiting) < n:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed(self.waiting)
            self.waiting += more
        data, self.waiting = self.waiting[:n], self.waiting[n:]
        return data

    def receive(self):
        return decode(self.read(struct.unpack("<I", self.read(4))[0]))

    def begin(self, name, **fields):
        self.id += 1
        self.send(name, id=self.id, **fields)
        return self.id

    def ask(self, name, **fields):
        """The terminal message; chunks come in it as "chunks"."""
        own, chunks = self.begin(name, **fields), []
        while True:
            m = self.receive()
            if m["type"] == "error" and m["code"] == 503 and m.get("id", own) < own:
                continue  # answered already: the worker died in the window of docs/wire.md
            assert m.get("id", own) == own, m
            if m["type"] in TERMINAL:
                m["chunks"] = chunks
                return m
            chunks.append(m)

    def closed(self, timeout=None):
        """Does the server close without another word?"""
        if timeout:
            self.socket.settimeout(timeout)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


class Server:
    def __init__(self, command, models, *options, token=TOKEN, env=None):
        self.directory = tempfile.TemporaryDirectory(prefix="hearth-")
        self.path = pathlib.Path(self.directory.name) / "socket"
        token_file = pathlib.Path(self.directory.name) / "token"
        token_file.touch(0o600)
        token_file.write_text(token + "\n")
        args = [str(command), "serve", "--socket", str(self.path), "--token-file", str(token_file)]
        for m in models:
            args += ["-m", str(m)]
        if "HEARTH_SANITIZED" in os.environ and "--sandbox" not in options:
            args += ["--sandbox", "off"]  # a sanitizer has threads and system calls of its own
        self.log = open(pathlib.Path(self.directory.name) / "log", "w+")
        self.process = subprocess.Popen(args + list(options), stderr=self.log, env=env)
        self.pid = self.process.pid
        self.wait()

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"the server has ended: {self.text()}")
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(str(self.path))
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server does not listen")

    def text(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def client(self, **options):
        return Client(self.path, **options)

    def workers(self):
        """Of the supervisor; none with --no-supervisor."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            return [int(x) for x in f.read().split()]

    def fds(self, *pids):
        """Of supervisor and worker together, or of these processes."""
        return sum(len(os.listdir(f"/proc/{p}/fd")) for p in pids or [self.pid, *self.workers()])

    def status(self, key):
        total = 0
        for p in [self.pid, *self.workers()]:
            with open(f"/proc/{p}/status") as f:
                total += int(next(line for line in f if line.startswith(key + ":")).split()[1])
        return total

    def cpu(self):
        ticks = 0
        for p in [self.pid, *self.workers()]:
            with open(f"/proc/{p}/stat") as f:
                t = f.read().rsplit(")", 1)[1].split()
            ticks += int(t[11]) + int(t[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, number=signal.SIGTERM, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        self.directory.cleanup()
