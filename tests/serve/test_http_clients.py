#!/usr/bin/env python3
"""Programs of others against the server: curl, the official OpenAI client, nginx as a front. What is not installed is
skipped; the OpenAI client is fetched once into a directory of the build where pip reaches an index.

    test_http_clients.py HEARTH DIRECTORY [unittest arguments]
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from http_client import Connection, HttpServer, events, with_template  # noqa: E402
from wire import ROOT, TOKEN  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve()
DIRECTORY = pathlib.Path(sys.argv.pop(1)).resolve()
MODELS = ROOT / "fixtures/models"
BEARER = f"Authorization: Bearer {TOKEN}"


def openai_python():
    """A Python that has the client; a sentence if there is none."""
    if subprocess.run([sys.executable, "-c", "import openai"], capture_output=True).returncode == 0:
        return sys.executable, None
    python = DIRECTORY / "bin/python"
    if not python.exists() and subprocess.run([sys.executable, "-m", "venv", str(DIRECTORY)], capture_output=True).returncode:
        return None, "python3 -m venv does not work"
    if subprocess.run([python, "-c", "import openai"], capture_output=True).returncode == 0:
        return python, None
    pip = [python, "-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "10", "openai"]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None, "pip gave up after two minutes"
    return (python, None) if done.returncode == 0 else (None, "pip reaches no index: " + (done.stderr.strip() or "?").splitlines()[-1])


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="hearth-")
        books = with_template(MODELS / "books-draft-6m-q8_0.gguf", pathlib.Path(cls.directory.name) / "books.gguf")
        cls.server = HttpServer(HEARTH, [f"{books},books", f"{MODELS}/tinybert-classifier-int8.onnx,mood",
                                         f"{MODELS}/sentence-embedder-int8.onnx,sentences"], "-c", "512", "--limit", "rate=0",
                                "--http-shared")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.directory.cleanup()

    def curl(self, *args, data=None):
        command = ["curl", "--silent", "--show-error", "--max-time", "60", "--unix-socket", str(self.server.http_path),
                   "--header", BEARER, *args]
        return subprocess.run(command, input=data, capture_output=True, text=True, check=True).stdout

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        body = json.dumps({"prompt": "It was", "max_tokens": 8, "temperature": 0})
        whole = json.loads(self.curl("http://hearth/v1/completions", "-d", body))["choices"][0]["text"]
        streamed = self.curl("-N", "http://hearth/v1/completions", "-d", body[:-1] + ',"stream":true}')
        self.assertEqual("".join(e["choices"][0]["text"] for e in events(streamed)[:-1]), whole)
        self.assertIn("200 OK", self.curl("--head", "http://hearth/health"))
        big = json.dumps({"prompt": "a", "max_tokens": 1, "metadata": {"x": "y" * (3 << 20)}})  # Expect: 100-continue
        self.assertIn("usage", self.curl("http://hearth/v1/completions", "-d", "@-", data=big))
        self.assertIn("usage", self.curl("-H", "Transfer-Encoding: chunked", "http://hearth/v1/completions", "-d", "@-", data=big))
        self.assertIn("usage", self.curl("--http1.0", "http://hearth/v1/completions", "-d", body))
        self.assertEqual(self.curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "http://hearth/v1/completions"), "405")
        self.assertIn("hearth_queue_depth 0", self.curl("http://hearth/metrics"))

    def test_openai(self):
        python, why = openai_python()
        if not python:
            self.skipTest(why)
        done = subprocess.run([python, str(ROOT / "tests/serve/openai_client.py"), str(self.server.http_path), TOKEN],
                              capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout.splitlines()[-1], file=sys.stderr)

    def test_nginx(self):
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not nginx:
            self.skipTest("nginx is not installed")
        with tempfile.TemporaryDirectory(prefix="nginx-") as d:
            front, config = pathlib.Path(d) / "front", pathlib.Path(d) / "nginx.conf"
            user = "user root;" if os.geteuid() == 0 else ""
            paths = "".join(f"{k}_temp_path {d}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            config.write_text(f"""daemon off; {user} pid {d}/pid; error_log {d}/error; events {{}}
                http {{ access_log off; {paths} upstream hearth {{ server unix:{self.server.http_path}; }}
                    server {{ listen unix:{front}; location / {{ proxy_pass http://hearth; client_max_body_size 16m; }} }} }}""")
            process = subprocess.Popen([nginx, "-p", d, "-c", str(config)], stderr=subprocess.DEVNULL)
            try:
                for _ in range(200):
                    if front.exists():
                        break
                    time.sleep(0.05)
                self.through(front)
            finally:
                process.terminate()
                process.wait(20)

    def through(self, front):
        c = Connection(front)
        body = dict(prompt="It was", max_tokens=30, temperature=0)
        status, _, whole = c.ask("POST", "/v1/completions", json.dumps(body))
        self.assertEqual(status, 200, whole)
        c.request("POST", "/v1/completions", json.dumps(dict(body, stream=True)), {"Authorization": f"Bearer {TOKEN}"})
        r = c.getresponse()
        pieces = []
        while piece := r.read1(1 << 16):
            pieces.append(piece)
        self.assertGreater(len(pieces), 3)  # as they came, not all at the end
        got = events(b"".join(pieces).decode())
        self.assertEqual("".join(e["choices"][0]["text"] for e in got[:-1]), whole["choices"][0]["text"])
        self.assertEqual(c.ask("GET", "/health")[0], 200)
        self.assertEqual(c.ask("GET", "/v1/models", headers={})[0], 401)
        self.assertEqual(c.ask("POST", "/v1/completions", json.dumps(dict(body, n=99)))[0], 400)
        c.close()


if __name__ == "__main__":
    unittest.main()
