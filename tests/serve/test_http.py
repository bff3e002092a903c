#!/usr/bin/env python3
"""HTTP over its socket, from a real server process: answers, streams, refusals, vanished and hostile clients.

    test_http.py HEARTH [unittest arguments]
"""
import base64
import json
import os
import pathlib
import random
import signal
import socket
import stat
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from http_client import AUTH, HttpServer, events, with_template  # noqa: E402
from wire import ROOT, TOKEN  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
BOOKS = MODELS / "books-draft-6m-q8_0.gguf"
CLASSIFIER = f"{MODELS}/tinybert-classifier-int8.onnx,mood"
EMBEDDER = f"{MODELS}/sentence-embedder-int8.onnx,sentences"
CHAT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}


def head(path, body=b"", extra=""):
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def read_all(s):
    out = b""
    try:
        while more := s.recv(1 << 16):
            out += more
    except ConnectionResetError:
        pass
    return out


SANITIZED = "HEARTH_SANITIZED" in os.environ


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="hearth-")
        books = with_template(BOOKS, pathlib.Path(cls.directory.name) / "books.gguf")
        cls.server = HttpServer(HEARTH, [f"{books},books", CLASSIFIER, EMBEDDER], "-c", "512", "--limit", "rate=0")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.directory.cleanup()

    def refused(self, answer, code, param=None, text=""):
        status, headers, body = answer
        self.assertEqual(status, code, body)
        self.assertEqual(body["error"]["param"], param, body)
        self.assertIn(text, body["error"]["message"])


class Answers(Case):
    def test_the_socket_is_for_its_owner_alone(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.server.http_path).st_mode), 0o600)

    def test_completions_are_those_of_the_wire(self):
        with self.server.client() as c:
            wire = c.ask("generate", prompt="It was a dark", max_tokens=20, temperature=0)
        status, _, body = self.server.post("/v1/completions", model="books", prompt="It was a dark", max_tokens=20, temperature=0)
        self.assertEqual(status, 200)
        self.assertEqual(body["choices"][0]["text"], wire["text"])
        self.assertEqual(body["usage"]["prompt_tokens"], wire["prompt_tokens"])
        self.assertEqual(body["usage"]["completion_tokens"], 20)
        self.assertEqual(body["choices"][0]["finish_reason"], "length")
        with self.server.client() as c:
            ids = c.ask("tokenize", text="It was a dark")["tokens"]
        _, _, by_ids = self.server.post("/v1/completions", model="books", prompt=ids, max_tokens=20, temperature=0)
        self.assertEqual(by_ids["choices"][0]["text"], wire["text"])

    def test_streams_say_what_whole_answers_say(self):
        fields = dict(model="books", prompt="It was", max_tokens=24, temperature=0.8, seed=7)
        _, _, whole = self.server.post("/v1/completions", **fields)
        _, headers, text = self.server.post("/v1/completions", **fields, stream=True, stream_options={"include_usage": True})
        self.assertEqual(headers["Content-Type"], "text/event-stream")
        *chunks, usage, done = events(text)
        self.assertEqual(done, "[DONE]")
        self.assertEqual("".join(c["choices"][0]["text"] for c in chunks), whole["choices"][0]["text"])
        self.assertGreater(len(chunks), 5)
        self.assertEqual([c["choices"][0]["finish_reason"] for c in chunks], [None] * (len(chunks) - 1) + ["length"])
        self.assertEqual(usage["choices"], [])
        for key in ("prompt_tokens", "completion_tokens", "total_tokens"):
            self.assertEqual(usage["usage"][key], whole["usage"][key])

    def test_choices_have_seeds_of_their_own(self):
        _, _, body = self.server.post("/v1/completions", prompt=["It was", "He said"], n=2, seed=5, max_tokens=8)
        self.assertEqual([c["index"] for c in body["choices"]], [0, 1, 2, 3])
        self.assertEqual([c["seed"] for c in body["choices"]], [5, 6, 5, 6])
        _, _, one = self.server.post("/v1/completions", prompt="He said", seed=6, max_tokens=8)
        self.assertEqual(one["choices"][0]["text"], body["choices"][3]["text"])

    def test_chats(self):
        status, _, body = self.server.post("/v1/chat/completions", model="books", **CHAT)
        self.assertEqual(status, 200, body)
        self.assertEqual(body["object"], "chat.completion")
        self.assertEqual(body["choices"][0]["message"]["role"], "assistant")
        status, _, text = self.server.post("/v1/chat/completions", model="books", **CHAT, stream=True, n=2)
        chunks = events(text)[:-1]
        for index in (0, 1):
            own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == index]
            self.assertEqual([c["delta"].get("role") for c in own], ["assistant"] + [None] * (len(own) - 1))
            self.assertEqual(own[-1]["finish_reason"], "length")

    def test_schemas_are_kept(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"],
                  "additionalProperties": False}
        _, _, body = self.server.post("/v1/chat/completions", messages=CHAT["messages"], max_tokens=64, seed=1, response_format={
            "type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}})
        self.assertEqual(body["choices"][0]["finish_reason"], "stop", body)
        self.assertIn(json.loads(body["choices"][0]["message"]["content"])["n"], range(10))

    def test_embeddings_in_both_forms(self):
        texts = ["The ship sailed at dawn.", "He ate bread."]
        _, _, plain = self.server.post("/v1/embeddings", model="sentences", input=texts)
        _, _, coded = self.server.post("/v1/embeddings", model="sentences", input=texts, encoding_format="base64")
        for p, c in zip(plain["data"], coded["data"]):
            raw = base64.b64decode(c["embedding"])
            self.assertEqual([struct.unpack("<f", struct.pack("<f", v))[0] for v in p["embedding"]],
                             list(struct.unpack(f"<{len(raw) // 4}f", raw)))
            self.assertAlmostEqual(sum(v * v for v in p["embedding"]), 1, places=4)
        with self.server.client() as c:
            wire = c.ask("embed", model="sentences", texts=texts)
        self.assertEqual(plain["usage"]["prompt_tokens"], sum(v["n_tokens"] for v in wire["items"]))
        self.assertEqual([d["index"] for d in plain["data"]], [0, 1])
        self.assertEqual(struct.pack("<f", plain["data"][0]["embedding"][5]), struct.pack("<f", wire["items"][0]["values"][5]))

    def test_many_texts_are_split_and_put_together(self):
        texts = [f"text number {i}" for i in range(70)]
        _, _, body = self.server.post("/v1/embeddings", model="sentences", input=texts, timeout_ms=60000)
        self.assertEqual([d["index"] for d in body["data"]], list(range(70)))
        _, _, one = self.server.post("/v1/embeddings", model="sentences", input=texts[69])
        self.assertEqual(one["data"][0]["embedding"], body["data"][69]["embedding"])

    def test_labels(self):
        _, _, body = self.server.post("/v1/classify", model="mood", input=["A wonderful picture.", "It was dull."])
        self.assertEqual(len(body["data"]), 2)
        for d in body["data"]:
            self.assertEqual(d["label"], d["scores"][0]["label"])
            self.assertAlmostEqual(sum(s["score"] for s in d["scores"]), 1, places=4)

    def test_models_and_health(self):
        _, _, body = self.server.get("/v1/models")
        self.assertEqual([m["id"] for m in body["data"]], ["books", "mood", "sentences"])
        self.assertEqual(self.server.get("/v1/models/mood")[2]["kind"], "classify")
        self.refused(self.server.get("/v1/models/none"), 404, "model")
        self.assertEqual(self.server.ask("GET", "/health", headers={})[0], 200)
        self.assertEqual(self.server.ask("GET", "/health/ready", headers={})[0], 200)
        self.assertEqual(self.server.ask("GET", "/health/full", headers={})[0], 401)

    def test_many_clients_at_once(self):
        want = self.server.post("/v1/completions", prompt="It was", max_tokens=30, temperature=0)[2]["choices"][0]["text"]
        got = []

        def one():
            c = self.server.connection()
            for _ in range(3):
                got.append(c.ask("POST", "/v1/completions", json.dumps(
                    dict(prompt="It was", max_tokens=30, temperature=0)))[2]["choices"][0]["text"])
            c.close()

        threads = [threading.Thread(target=one) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(got, [want] * 36)


class Refusals(Case):
    TABLE = [  # fields, status, param, a part of the sentence
        (dict(colour=1), 400, "colour", "unknown"),
        (dict(tools=[{"type": "function"}]), 400, "tools", "no tools"),
        (dict(logprobs=True), 400, "logprobs", ""),
        (dict(n=17), 400, "n", "1 to 16"),
        (dict(temperature="warm"), 400, "temperature", ""),
        (dict(max_tokens=-1), 400, "max_tokens", ""),
        (dict(max_tokens=2.5), 400, "max_tokens", ""),
        (dict(top_k=-1), 400, "top_k", ""),
        (dict(seed=1e30), 400, "seed", ""),
        (dict(stop=5), 400, "stop", ""),
        (dict(messages=[]), 400, "messages", "missing"),
        (dict(messages="Hello"), 400, "messages", ""),
        (dict(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]), 400, "messages", "image_url"),
        (dict(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}), 400, None, ""),
        (dict(model="none"), 404, "model", "none"),
    ]

    def test_parameters(self):
        for fields, code, param, text in self.TABLE:
            with self.subTest(fields=fields):
                self.refused(self.server.post("/v1/chat/completions", **{**CHAT, **fields}), code, param, text)

    BODIES = [  # hardening of JSON: the body, and what it is answered
        (b"[" * 10000, 400), (b'{"prompt":' + b"[" * 65 + b"]" * 65 + b"}", 400),
        (b'{"prompt":"a","prompt":"b"}', 400), (b'{"prompt":"a","temperature":1e999}', 400),
        (b'{"prompt":"a","max_tokens":-0,"temperature":-0.0}', None), (b'{"prompt":"a","max_tokens":1,"seed":9007199254740993}', 200),
        (b'{"prompt":"a","max_tokens":1,"seed":9223372036854775808}', 400), (b'{"prompt":"a","max_tokens":1,"seed":"18446744073709551615"}', 200),
        (b'{"prompt":"\\ud800"}', 400), (b'{"prompt":"\\udc00\\ud800"}', 400), (b'{"prompt":"\xff"}', 400),
        (b'{"prompt":"a', 400), (b'{"prompt":"a"', 400), (b'{"prompt":"a"} {}', 400), (b'{"prompt":"a"}\0', 400),
        (b'{"prompt":"a\\u0000b","max_tokens":1}', 200), (b'{"pro\\u0000mpt":"a"}', 400), (b"", 400), (b"null", 400),
        (b'{"prompt":"a","temperature":NaN}', 400), (b'{"prompt":"a","temperature":Infinity}', 400),
    ]

    BOUNDS = [  # field, values that are taken, values that are not
        ("temperature", [0, 1e-38, 2], [-1, 2.001, 1e38]),
        ("top_k", [0, 1, 2**31 - 1], [-1, 2**31]),
        ("top_p", [1, 0.5], [0, -0.1, 1.001]),
        ("min_p", [0, 0.999], [-0.1, 1]),
        ("repeat_penalty", [1], [0, -1, 1e30]),
        ("presence_penalty", [0, -2], [1e30]),
        ("frequency_penalty", [0, 2], [-1e30]),
        ("max_tokens", [1], [0, -1, 2**31]),
        ("seed", [0, -1, -2**63, 2**63 - 1, str(2**64 - 1)], [2**64, str(2**64), 0.5, ""]),
        ("stop", ["a", ["a"] * 16, "x" * 256, []], ["", [""], ["a"] * 17, ["a"] * 10000, "x" * 257, "x" * (1 << 20)]),
        ("priority", [0, 3], [-1, 4]),
        ("timeout_ms", [3600000], [0, 3600001]),
        ("logit_bias", [{}], [{"0": 1}, {"999999999": 100}]),
    ]

    def test_bounds(self):
        for field, good, bad in self.BOUNDS:
            for value, code in [(v, 200) for v in good] + [(v, 400) for v in bad]:
                code = 413 if code == 400 and field == "stop" and len(value) > 1 else code
                with self.subTest(field=field, value=str(value)[:40]):
                    status, _, body = self.server.post("/v1/completions", **{"prompt": "a", "max_tokens": 1, field: value})
                    self.assertEqual(status, code, body)
                    if code != 200 and value != 2**64:  # which is no number of the JSON library's
                        self.assertEqual(body["error"]["param"], field, body)

    def test_bodies(self):
        for body, code in self.BODIES:
            with self.subTest(body=body[:60]):
                status, _, answer = self.server.ask("POST", "/v1/completions", body)
                self.assertIn(status, [code] if code else [200, 400], answer)
                if status == 400:
                    self.assertTrue(answer["error"]["message"])

    def test_a_body_of_64_mib(self):
        s = self.server.socket(head("/v1/completions", b"")[:-2].replace(b"Content-Length: 0", b"Content-Length: 67108864") + b"\r\n")
        answer = read_all(s)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer)
        # one that does not say so
        s = self.server.socket(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n".encode())
        before = self.server.status("VmRSS")
        for i in range(64):
            s.sendall(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
        s.sendall(b"0\r\n\r\n")
        self.assertTrue(s.recv(1 << 16).startswith(b"HTTP/1.1 413"))
        if not SANITIZED:
            self.assertLess(self.server.status("VmRSS") - before, 40 << 10)

    def test_the_largest_body_is_taken(self):
        body = b'{"prompt":"a","max_tokens":1}'
        body += b" " * ((16 << 20) - len(body))
        self.assertEqual(self.server.ask("POST", "/v1/completions", body)[0], 200)
        s = self.server.socket(head("/v1/completions", body + b" ")[:4096])
        self.assertTrue(read_all(s).startswith(b"HTTP/1.1 413"))
        s.close()

    def test_tokens(self):
        for headers in ({}, {"Authorization": TOKEN}, {"Authorization": "Bearer "}, {"Authorization": "Basic " + TOKEN}):
            status, got, body = self.server.ask("GET", "/v1/models", headers=headers)
            self.assertEqual((status, got["WWW-Authenticate"], body["error"]["code"]), (401, "Bearer", "invalid_api_key"))


class Clients(Case):
    def test_a_vanished_client_frees_its_place(self):
        for stream in (False, True):
            body = json.dumps(dict(prompt="It was", max_tokens=400, ignore_end=True, stream=stream)).encode()
            gone = [self.server.socket(head("/v1/completions", body)) for _ in range(4)]
            if stream:
                for s in gone:
                    text = b""
                    while b"data: " not in text:
                        text += s.recv(4096)
            else:
                time.sleep(0.05)
            for s in gone:
                s.close()
            begun = time.monotonic()
            self.assertEqual(self.server.post("/v1/completions", prompt="a", max_tokens=1)[0], 200)
            self.assertLess(time.monotonic() - begun, 2)

    def test_a_slow_reader_does_not_hold_others_up(self):
        s = socket.socket(socket.AF_UNIX)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(str(self.server.http_path))
        s.sendall(head("/v1/completions", json.dumps(dict(prompt="It was", max_tokens=400, ignore_end=True, stream=True, n=4)).encode()))
        for _ in range(5):
            self.assertEqual(self.server.post("/v1/completions", prompt="a", max_tokens=4)[0], 200)
        s.close()

    def test_pipelined_requests(self):
        s = self.server.socket(b"".join(head("/v1/completions", json.dumps(dict(prompt="It was", max_tokens=3 + i, temperature=0)).encode(),
                                             "Connection: close\r\n" if i == 9 else "") for i in range(10)))
        text = read_all(s).decode()
        counts = [int(part.split(",")[0]) for part in text.split('"completion_tokens":')[1:]]
        self.assertEqual(counts, [3 + i for i in range(10)])

    def test_half_closed_clients_are_answered(self):
        s = self.server.socket(head("/v1/completions", b'{"prompt":"It was","max_tokens":5}'))
        s.shutdown(socket.SHUT_WR)
        self.assertIn(b'"completion_tokens":5', read_all(s))

    @unittest.skipIf(SANITIZED, "the memory is the sanitizer's")
    def test_idle_connections_cost_little(self):
        warm = [self.server.connection() for _ in range(8)]
        for c in warm:
            c.ask("GET", "/v1/models")
        before = self.server.status("VmRSS")
        more = [self.server.connection() for _ in range(50)]
        for c in more:
            c.ask("GET", "/v1/models")
        self.assertLess(self.server.status("VmRSS") - before, 50 * 16)  # 64: 1 MiB
        for c in warm + more:
            c.close()

    def test_any_bytes_do_no_harm(self):
        rng = random.Random(3)
        good = head("/v1/chat/completions", json.dumps(dict(CHAT, n=2, max_tokens=1, stop=["a"], temperature=0.5)).encode())
        at = good.index(b"Bearer ") + 7
        fixed = range(at, at + len(TOKEN))  # wrong tokens would only lock this user out
        fds = self.server.fds()
        for i in range(400):
            data = bytearray(good)
            if i % 4 == 0:
                data = bytearray(rng.randbytes(rng.randrange(1, 600)))
            elif i % 4 == 1:
                del data[rng.randrange(len(data)):]
            else:
                for _ in range(rng.randrange(1, 5)):
                    where = rng.randrange(len(data))
                    data[where] ^= 0 if where in fixed else 1 << rng.randrange(8)
            s = self.server.socket()
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(5)
                read_all(s)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
            s.close()
        self.assertEqual(self.server.ask("GET", "/health", headers={})[0], 200)
        for _ in range(50):
            if self.server.fds() <= fds:
                break
            time.sleep(0.1)
        self.assertLessEqual(self.server.fds(), fds)


class Ends(unittest.TestCase):
    def test_a_stream_is_finished_before_the_end(self):
        server = HttpServer(HEARTH, [BOOKS], "-c", "512")
        c = server.connection()
        c.request("POST", "/v1/completions", json.dumps(dict(prompt="It was", max_tokens=100, ignore_end=True, stream=True)), AUTH)
        r = c.getresponse()
        text = r.read1(4096).decode()
        server.process.terminate()
        text += r.read().decode()
        self.assertEqual(events(text)[-1], "[DONE]")
        self.assertEqual(server.process.wait(30), 0)
        self.assertFalse(server.http_path.exists())
        server.__exit__()

    def test_a_dead_worker_is_followed_by_another(self):
        server = HttpServer(HEARTH, [BOOKS], "-c", "512")
        c = server.connection()
        c.request("POST", "/v1/completions", json.dumps(dict(prompt="It was", max_tokens=400, ignore_end=True, stream=True)), AUTH)
        self.assertIn("data: ", c.getresponse().read1(4096).decode())
        with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as f:
            worker = int(f.read().split()[0])
        os.kill(worker, signal.SIGKILL)
        begun = time.monotonic()  # the socket stays: who connects meanwhile waits for the next one
        self.assertEqual(server.post("/v1/completions", prompt="It was", max_tokens=2)[0], 200)
        self.assertLess(time.monotonic() - begun, 20)
        c.close()
        server.__exit__()

    def test_requests_of_a_connection_are_counted(self):
        server = HttpServer(HEARTH, [BOOKS], "-c", "512", "--limit", "rate=5")
        c = server.connection()
        answers = [c.ask("GET", "/v1/models") for _ in range(6)]
        self.assertEqual([a[0] for a in answers], [200] * 5 + [429])
        self.assertLessEqual(int(answers[5][1]["Retry-After"]), 13)
        c.close()
        server.__exit__()

    def test_a_shared_socket_is_for_the_group(self):
        server = HttpServer(HEARTH, [BOOKS], "-c", "512", "--http-shared")
        self.assertEqual(stat.S_IMODE(os.stat(server.http_path).st_mode), 0o660)
        server.__exit__()


if __name__ == "__main__":
    if HEARTH is None:
        sys.exit("usage: test_http.py HEARTH")
    unittest.main()
