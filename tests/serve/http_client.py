"""HTTP over a Unix socket for tests, of the standard library alone.

    with HttpServer(hearth, [model], "-c", "512") as server:
        status, headers, answer = server.post("/v1/completions", prompt="Hi", max_tokens=8)
"""
import http.client
import json
import pathlib
import socket
import struct
import tempfile

from wire import Server, TOKEN

AUTH = {"Authorization": f"Bearer {TOKEN}"}


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("hearth", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, headers=AUTH):
        """Status, headers, and the body: what JSON says, or the text."""
        self.request(method, path, body, headers)
        r = self.getresponse()
        text = r.read()
        is_json = r.getheader("Content-Type") == "application/json"
        return r.status, r.headers, json.loads(text) if is_json and text else text.decode()


def events(text):
    """The events of a stream, checked for their form; [DONE] is the text."""
    out = text.split("\n\n")
    assert out.pop() == "" and all(e.startswith("data: ") and "\n" not in e for e in out), text
    return [e[6:] if e == "data: [DONE]" else json.loads(e[6:]) for e in out]


class HttpServer(Server):
    def __init__(self, command, models, *options, **more):
        self.http_directory = tempfile.TemporaryDirectory(prefix="hearth-")
        self.http_path = pathlib.Path(self.http_directory.name) / "http"
        super().__init__(command, models, "--http", str(self.http_path), *options, **more)

    def __exit__(self, *args):
        super().__exit__(*args)
        self.http_directory.cleanup()

    def connection(self, **options):
        return Connection(self.http_path, **options)

    def ask(self, method, path, body=None, headers=AUTH):
        c = self.connection()
        try:
            return c.ask(method, path, body, headers)
        finally:
            c.close()

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **fields):
        return self.ask("POST", path, json.dumps(fields))

    def socket(self, data=b"", timeout=20):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(str(self.http_path))
        s.sendall(data)
        return s


TEMPLATE = ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}assistant:{% endif %}")


def with_template(model, out):
    """A copy of a GGUF file with one more key in front: as many bytes as keep its tensors aligned."""
    key, data = b"tokenizer.chat_template", pathlib.Path(model).read_bytes()
    text = TEMPLATE.encode()
    fixed = 8 + len(key) + 4 + 8
    text += b"{##}" + b" " * (-(fixed + len(text) + 4) % 32)
    text = text[:-(len(text) - len(TEMPLATE))] + b"{#" + b" " * (len(text) - len(TEMPLATE) - 4) + b"#}"
    n_keys, = struct.unpack_from("<Q", data, 16)
    row = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text
    assert len(row) % 32 == 0
    pathlib.Path(out).write_bytes(data[:16] + struct.pack("<Q", n_keys + 1) + row + data[24:])
    return out
