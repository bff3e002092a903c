#!/usr/bin/env python3
"""tools/fetch-models.sh against files of this machine and a small server that cuts, fails and continues."""
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = bytes(i * 7 & 255 for i in range(50000))
SUM = hashlib.sha256(DATA).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        at = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(at[1]) if at and self.path != "/whole-only" else 0
        self.asked.append((self.path, first))
        times = sum(1 for p, _ in self.asked if p == self.path)
        if self.path == "/missing" or (self.path == "/third" and times < 3):
            self.send_error(503)
            return
        body = DATA[:100] + b"x" + DATA[101:] if self.path == "/damaged" else DATA
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        end = 20000 if self.path == "/cut" and times == 1 else len(body)  # the connection ends early
        self.wfile.write(body[first:end])

    def log_message(self, *args):
        pass


class Case:
    def __init__(self, base, *sources, size=len(DATA), digest=SUM, group="small"):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        row = "\t".join(["model.gguf", str(size), digest, "MIT", group, *[base + s for s in sources]])
        (self.dir / "manifest.tsv").write_text(f"# comment\n{row}\n")
        self.file = self.dir / "model.gguf"

    def run(self, *options):
        env = dict(os.environ, HEARTH_FETCH_WAIT="0", HEARTH_FETCH_TRIES="3", no_proxy="*", NO_PROXY="*")
        done = subprocess.run([ROOT / "tools/fetch-models.sh", "--manifest", self.dir / "manifest.tsv", "--dir", self.dir,
                               *options], capture_output=True, text=True, env=env, timeout=60)
        self.out = done.stdout + done.stderr
        return done.returncode

    def whole(self):
        return self.file.exists() and self.file.read_bytes() == DATA and not list(self.dir.glob("*.part*"))


def expect(what, text=""):
    if not what:
        sys.exit(f"not so: {text}")


def main():
    if not shutil.which("curl") or not shutil.which("bash"):
        print("skipped: curl and bash are needed")
        sys.exit(77)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"

    case = Case(base, "/plain")
    expect(case.run() == 0 and case.whole() and "licence MIT" in case.out, case.out)
    n = len(Server.asked)
    expect(case.run() == 0 and len(Server.asked) == n, "a file that is there is not fetched again")
    case.file.write_bytes(DATA[:-1])
    expect(case.run("--check") == 1 and "49999 bytes found, 50000 expected" in case.out, case.out)
    case.file.write_bytes(b"not a model\n   ")
    expect(case.run("--check") == 1 and "a placeholder: 15 bytes found, 50000 expected" in case.out, case.out)
    expect(case.run() == 0 and case.whole(), "a placeholder is replaced: " + case.out)

    case = Case(base, "/cut")
    expect(case.run() == 0 and case.whole(), case.out)
    expect(("/cut", 20000) in Server.asked, "the second request continues where the first was cut")

    case = Case(base, "/whole-only")
    (case.dir / "model.gguf.part").write_bytes(DATA[:1000])
    expect(case.run() == 0 and case.whole(), "a server without ranges: " + case.out)

    case = Case(base, "/third")
    expect(case.run() == 0 and case.whole() and case.out.count("trying again") == 2, case.out)

    case = Case(base, "/missing", "/plain")
    expect(case.run() == 0 and case.whole(), "the second source: " + case.out)

    case = Case(base, "/damaged")
    expect(case.run() == 1 and not case.file.exists() and "SHA-256" in case.out and SUM in case.out, case.out)

    case = Case("http://127.0.0.1:9", "/nobody")  # nobody listens there
    expect(case.run() == 1 and "could not be fetched after 3 tries" in case.out and "network" in case.out, case.out)

    source = pathlib.Path(tempfile.mkdtemp()) / "file"
    source.write_bytes(DATA)
    case = Case("file://", str(source), group="large")
    expect(case.run("--small") == 0 and not case.file.exists(), "--small leaves the large ones out")
    expect(case.run() == 0 and case.whole(), case.out)
    expect(case.run("other.gguf") == 1 and "is in" in case.out, case.out)
    expect(case.run("--nonsense") == 2, case.out)

    done = subprocess.run([ROOT / "tools/fetch-models.sh", "--check", "books-33m-q4_k_m.gguf",
                           "tinybert-classifier-int8.onnx"], capture_output=True, text=True, timeout=60)
    expect(done.returncode == 0 and done.stdout.count("whole (CC0-1.0)") == 2, "the tree's own files: " + done.stdout)


main()
