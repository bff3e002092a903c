"""hearth client against a peer that says what a test tells it to, byte by byte where that matters.

    test_client.py PROGRAM [ARGUMENT...]    the command, perhaps behind an emulator
"""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../serve"))
import wire  # noqa: E402

PROGRAM = sys.argv[1:]
GOLDEN = wire.ROOT / "tests/serve/golden.txt"
SESSION = "ab" * 32


def encode(name, fields, version):
    """A frame; `wire.encode` has a parameter of the name of a field of welcome."""
    if version == 1:
        return wire.frame(json.dumps({"type": name, **fields}).encode())
    return wire.frame(bytes([wire.MESSAGES[name]["number"]]) + wire.body(name, fields))


class Peer:
    """The server's end of a connection."""

    def __init__(self, connection, slow):
        self.socket, self.version, self.slow = connection, 2, slow
        self.socket.settimeout(60)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise wire.Closed
            data += more
        return data

    def receive(self):
        n, = struct.unpack("<I", self.exactly(4))
        fields = wire.decode(self.exactly(n))
        return fields.pop("type"), fields

    def send(self, name, fields):
        frame = encode(name, fields, self.version)
        for i in range(0, len(frame), 1 if self.slow else len(frame)):
            self.socket.sendall(frame[i:i + (1 if self.slow else len(frame))])

    def close(self):
        self.socket.close()


class Server:
    """A listening socket; each connection is welcomed and then given to `talk(peer, name, fields)` for each message
    that comes, which may answer by peer.send."""

    def __init__(self, talk, token=None, version=2, slow=False, on_hello=None):
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(pathlib.Path(self.folder.name) / "s")
        self.talk, self.token, self.version, self.on_hello = talk, token, version, on_hello
        self.hellos, self.heard, self.slow = [], [], slow
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        peer = Peer(s, self.slow)
        try:
            name, hello = peer.receive()
            self.hellos.append((name, hello))
            peer.version = min(hello["max_version"], 2)
            if self.on_hello:
                return self.on_hello(peer)
            if self.token is not None and hello.get("token") != self.token:
                peer.send("error", {"code": 401, "message": "the token is wrong"})
                return peer.close()
            version = min(hello["max_version"], self.version)
            peer.send("welcome", {"version": version, "session": SESSION, "max_frame": 16 << 20,
                                  "server": "scripted 1"})
            peer.version = version
            while True:
                name, fields = peer.receive()
                self.heard.append((name, fields))
                self.talk(peer, name, fields)
        except (wire.Closed, OSError):
            pass
        finally:
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()  # else it might accept for the next test, whose socket gets the same number
        self.listener.close()
        self.folder.cleanup()


def client(server, *args, **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([*PROGRAM, "client", "--socket", getattr(server, "path", server), *map(str, args)],
                          capture_output=True, timeout=120, **kwargs)


def chunks(peer, request, pieces, reason=0, **more):
    """Streams pieces (text, ids), then done."""
    n = 0
    for i, (text, ids) in enumerate(pieces):
        chunk = {"id": request["id"], "index": i, "tokens": ids}
        if text:
            chunk["text"] = text
        peer.send("chunk", chunk)
        n += len(ids)
    peer.send("done", {"id": request["id"], "reason": reason, "prompt_tokens": 3, "generated_tokens": n, "seed": 7,
                       "queue_us": 1500, "prompt_us": 2000, "generate_us": 4000, **more})


def story(peer, name, fields):
    """Answers every request with something that shows what was asked."""
    if name in ("generate", "chat"):
        chunks(peer, fields, [("The ", [5]), ("", [300]), ("ké", [70000])])
    elif name == "tokenize":
        peer.send("tokenized", {"id": fields["id"], "tokens": list(fields["text"].encode())})
    elif name == "classify":
        peer.send("classified", {"id": fields["id"], "items": [
            {"labels": [{"name": "good", "score": 0.75}, {"name": "bad", "score": 0.25}], "n_tokens": len(t),
             **({"truncated": 1} if "truncate" in fields and len(t) > 5 else {})} for t in fields["texts"]]})
    elif name == "embed":
        peer.send("embedded", {"id": fields["id"], "items": [
            {"values": [1.0, 0.5, float(len(t))], "n_tokens": len(t)} for t in fields["texts"]]})
    elif name == "health":
        peer.send("report", {"id": fields["id"], "ok": 1, "body": '{"uptime_s":5,"sandbox":{"level":"full"}}'})
    elif name == "metrics":
        body = "hearth_up 1\n" if fields.get("prometheus") else '{"requests":3,"load":0.5}'
        peer.send("report", {"id": fields["id"], "ok": 1, "body": body})
    elif name in ("models", "manage"):
        peer.send("model_list", {"id": fields["id"], "items": [
            {"name": "books", "kind": "generate", "state": "loaded", "bytes": 3 << 20, "pinned": 1,
             "sha256": "0123456789abcdef" * 4}]})


class Base(unittest.TestCase):
    def assert_failed(self, r, status, pattern):
        text = r.stderr.decode()
        self.assertEqual(r.returncode, status, text)
        self.assertRegex(text, pattern)
        self.assertRegex(text, r"\Ahearth: [^\n]+: [^\n]+\n\Z")


class Codec(Base):
    def test_the_tests_own_codec_gives_the_golden_bytes(self):
        n = 0
        for line in GOLDEN.read_text().splitlines():
            name, frame, _ = line.split("\t")
            message = wire.decode(bytes.fromhex(frame)[4:])
            self.assertEqual(message.pop("type"), name)
            self.assertEqual(encode(name, message, 2).hex(), frame)
            n += 1
        self.assertGreater(n, 30)


class Connection(Base):
    def test_both_versions_carry_the_same(self):
        outputs = set()
        for version in (1, 2):
            with Server(story) as s:
                r = client(s, "--wire", version, "generate", "-p", "Hi", "--json")
                self.assertEqual(r.returncode, 0, r.stderr)
                outputs.add(r.stdout)
                self.assertEqual(s.hellos[0][1]["max_version"], version)
        self.assertEqual(len(outputs), 1)

    def test_a_server_that_speaks_json_only_is_spoken_to_in_json(self):
        with Server(story, version=1) as s:
            r = client(s, "generate", "-p", "Hi")
            self.assertEqual((r.returncode, r.stdout), (0, "The ké".encode()), r.stderr)

    def test_bytes_may_come_one_by_one(self):
        with Server(story, slow=True) as s:
            r = client(s, "embed", "-p", "abc", "--json")
            self.assertEqual(json.loads(r.stdout), {"embedding": [1, 0.5, 3], "n_tokens": 3})

    def test_the_token_comes_from_a_file_without_its_line_end(self):
        with Server(story, token="s3cret") as s, tempfile.NamedTemporaryFile() as f:
            f.write(b"s3cret\n")
            f.flush()
            self.assertEqual(client(s, "--token-file", f.name, "tokenize", "-p", "A").stdout, b"[65]\n")
            self.assertEqual(client(s, "tokenize", "-p", "A", "--token-file", f.name).stdout, b"[65]\n")
            self.assert_failed(client(s, "tokenize", "-p", "A"), 1, "refused with 401: the token is wrong")
            f.truncate(0)
            self.assert_failed(client(s, "--token-file", f.name, "tokenize", "-p", "A"), 4, "secret of 1 to")

    def test_no_server(self):
        with tempfile.TemporaryDirectory() as d:
            self.assert_failed(client(d + "/s", "status"), 1, "No such file")
            self.assert_failed(client(d + "/" + "x" * 120, "status"), 1, "bytes; 1 to 107 are accepted")
            start = time.time()
            self.assert_failed(client(d + "/s", "--retry", 1, "status"), 1, "No such file")
            self.assertGreater(time.time() - start, 0.9)
        r = subprocess.run([*PROGRAM, "client", "status"], capture_output=True)
        self.assert_failed(r, 2, "--socket: not given")

    def test_retry_waits_for_a_server_that_comes_later(self):
        with Server(story) as s:
            late = s.path + "-late"
            threading.Timer(0.5, lambda: os.link(s.path, late)).start()
            self.assertEqual(client(late, "--retry", 10, "tokenize", "-p", "A").stdout, b"[65]\n")

    def test_what_is_no_message_ends_it(self):
        for raw, pattern in ((b"\0\0\0\0", "frame of 0 bytes"), (struct.pack("<I", 17 << 20), "frame of 17825792"),
                             (b"\x01\0\0\0\x20", "number 32, which is none"), (b"", "closed the connection")):
            def on_hello(peer, raw=raw):
                peer.socket.sendall(raw)
                peer.close()
            with Server(story, on_hello=on_hello) as s:
                self.assert_failed(client(s, "status"), 1, pattern)

    def test_a_client_message_from_the_server_is_refused(self):
        with Server(lambda peer, name, fields: peer.send("cancel", {"id": fields["id"]})) as s:
            self.assert_failed(client(s, "tokenize", "-p", "A"), 1, "cancel, which is a client's message")

    def test_errors_keep_their_kinds(self):
        for code, status in ((400, 2), (404, 3), (413, 4), (429, 4), (500, 1), (503, 1), (408, 1)):
            def talk(peer, name, fields, code=code):
                peer.send("error", {"id": fields["id"], "code": code, "message": "no\nway", "retry_ms": 20})
            with Server(talk) as s:
                self.assert_failed(client(s, "generate", "-p", "x"), status, rf"{code}, no\\nway; try again in 20 ms")


class Doubles(Base):
    """A second terminal message of an id is dropped."""

    def test_second_terminals_and_late_chunks_are_dropped(self):
        def talk(peer, name, fields):
            if fields["id"] > 1:  # those of the request before
                peer.send("error", {"id": fields["id"] - 1, "code": 503, "message": "the worker was lost"})
                peer.send("chunk", {"id": fields["id"] - 1, "index": 0, "tokens": [1], "text": "WRONG"})
            story(peer, name, fields)
        with Server(talk) as s:
            r = client(s, "generate", "-p", "Hi", "--json")  # tokenize, then generate
            self.assertEqual(json.loads(r.stdout)["text"], "The ké", r.stderr)
            self.assertEqual([n for n, _ in s.heard], ["tokenize", "generate"])

    def test_load_counts_them(self):
        def talk(peer, name, fields):
            story(peer, name, fields)
            if fields["id"] == 2:
                peer.send("error", {"id": 2, "code": 503, "message": "the worker was lost"})
        with Server(talk) as s:
            got = json.loads(client(s, "load", "--requests", 10, "--clients", 1, "--json").stdout)
            self.assertEqual((got["ok"], got["double_terminals"], got["lost"]), (10, 1, 0))


class Generate(Base):
    def test_text_and_json(self):
        with Server(story) as s:
            r = client(s, "generate", "-p", "Hi")
            self.assertEqual((r.returncode, r.stdout), (0, "The ké".encode()))
            self.assertRegex(r.stderr.decode(), r"prompt 3 tokens.*text 3 tokens in 4\.0 ms.*; stop; seed 7")
            got = json.loads(client(s, "generate", "-p", "Hi", "--json").stdout)
            self.assertEqual(got["prompt_tokens"], list(b"Hi"))
        self.assertEqual((got["text"], got["tokens"], got["finish_reason"]), ("The ké", [5, 300, 70000], "stop"))
        self.assertEqual(got["timings"], {"prompt_n": 2, "prompt_ms": 2, "predicted_n": 3, "predicted_ms": 4})

    def test_what_is_asked_is_sent_and_nothing_else(self):
        with Server(story) as s, tempfile.NamedTemporaryFile() as f:
            f.write(b'root ::= "x"')
            f.flush()
            client(s, "generate", "-p", "Hi")
            client(s, "-m", "books", "--priority", 3, "--timeout", 900, "generate", "-p", "Hi", "-n", 9, "--temp", 0,
                   "--top-k", 0, "--top-p", 0.5, "--min-p", 0.25, "--repeat-penalty", 1.5, "-s", 2**40, "--stop", "a",
                   "--stop", "b", "--ignore-eos", "--grammar", f.name, "--parse-special", "--presence-penalty", 0.5,
                   "--frequency-penalty", -0.5)
            client(s, "chat", "-p", "Hello", "--system", "Be brief.", "-n", 3)
        plain, full, chat = (fields for _, fields in s.heard)
        self.assertEqual(plain, {"id": 1, "prompt": "Hi", "stream": 1})
        self.assertEqual(full, {
            "id": 1, "model": "books", "prompt": "Hi", "max_tokens": 9, "temperature": 0, "top_k": 0, "top_p": 0.5,
            "min_p": 0.25, "repeat_penalty": 1.5, "seed": 2**40, "stop": ["a", "b"], "priority": 3,
            "timeout_ms": 900, "stream": 1, "ignore_end": 1, "parse_special": 1, "grammar": 'root ::= "x"',
            "presence_penalty": 0.5, "frequency_penalty": -0.5})
        self.assertEqual(chat, {"id": 1, "turns": [{"role": "system", "content": "Be brief."},
                                                   {"role": "user", "content": "Hello"}],
                                "max_tokens": 3, "stream": 1})

    def test_a_server_that_does_not_stream_is_understood(self):
        def talk(peer, name, fields):
            peer.send("done", {"id": fields["id"], "reason": 1, "prompt_tokens": 1, "generated_tokens": 2,
                               "text": "all of it", "tokens": [1, 2]})
        with Server(talk) as s:
            self.assertEqual(client(s, "generate", "-p", "x").stdout, b"all of it")

    def test_ctrl_c_sends_cancel_and_prints_what_there_is(self):
        class Talk:
            request = None

            def __call__(self, peer, name, fields):
                if name == "generate":
                    self.request = fields
                    peer.send("chunk", {"id": fields["id"], "index": 0, "tokens": [5], "text": "Once "})
                elif name == "cancel":
                    chunks(peer, self.request, [("more", [6])], reason=3)

        with Server(Talk()) as s:
            args = [*PROGRAM, "client", "--socket", s.path, "generate", "-p", "x"]
            with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
                self.assertEqual(p.stdout.read(5), b"Once ")
                p.send_signal(signal.SIGINT)
                out, err = p.communicate(timeout=30)
            self.assertEqual((p.returncode, out), (1, b"more"))
            self.assertRegex(err.decode(), "cancelled.*\nhearth: text: stopped by Ctrl-C after 2 tokens\n")
            self.assertEqual(s.heard[-1], ("cancel", {"id": 1}))

    def test_a_conversation_is_sent_whole_and_survives_a_connection(self):
        class Talk:
            n = 0

            def __call__(self, peer, name, fields):
                self.n += 1
                story(peer, name, fields)
                if self.n == 1:  # between two turns
                    raise wire.Closed

        with Server(Talk()) as s:
            args = [*PROGRAM, "client", "--socket", s.path, "chat"]
            with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as p:
                p.stdin.write(b"One\n")
                p.stdin.flush()
                self.assertEqual(p.stdout.read(8), "The ké\n".encode())
                time.sleep(0.3)
                out, err = p.communicate(b"Two\n", timeout=30)
        self.assertEqual((p.returncode, out), (0, "The ké\n".encode()), err)
        self.assertEqual(len(s.hellos), 2)
        self.assertEqual([t["content"] for t in s.heard[-1][1]["turns"]], ["One", "The ké", "Two"])


class Encode(Base):
    def test_classify(self):
        with Server(story) as s:
            r = client(s, "classify", "-p", "abc", "-p", "a longer one", "--truncate", "--json")
            got = [json.loads(line) for line in r.stdout.splitlines()]
            self.assertEqual(got[1], {"label": "good", "score": 0.75, "n_tokens": 12, "truncated": True, "scores": [
                {"label": "good", "score": 0.75}, {"label": "bad", "score": 0.25}]})
            self.assertFalse(got[0]["truncated"])
            self.assertEqual(client(s, "classify", "-p", "abc").stdout, b"good         0.7500  abc\n")

    def test_texts_go_in_requests_of_32_in_order(self):
        texts = [f"{'x' * (i % 7)}{i}" for i in range(70)]
        with Server(story) as s:
            r = client(s, "embed", "-p", texts[0], "-f", "-", "--json", stdin=None, input="\n".join(texts[1:]).encode())
            got = [json.loads(line) for line in r.stdout.splitlines()]
            self.assertEqual([g["n_tokens"] for g in got], [len(t) for t in texts])
            self.assertEqual([len(f["texts"]) for _, f in s.heard], [32, 32, 6])

    def test_embed_says_what_it_was_told(self):
        with Server(story) as s:
            client(s, "embed", "-p", "a", "--pooling", "cls", "--no-normalize")
            self.assertEqual(s.heard[0][1], {"id": 1, "texts": ["a"], "pooling": 2, "no_normalize": 1})
            self.assertEqual(client(s, "embed", "-p", "a", "-p", "a", "--similarity").stdout,
                             b"1.0000  1.0000\n1.0000  1.0000\n")
            self.assert_failed(client(s, "embed", "-p", "a", "--pooling", "x"), 2, "mean, cls and last")

    def test_too_few_results_are_an_error(self):
        def talk(peer, name, fields):
            peer.send("embedded", {"id": fields["id"], "items": [{"values": [1.0], "n_tokens": 1}]})
        with Server(talk) as s:
            r = client(s, "embed", "-p", "a", "-p", "b")
            self.assertEqual(r.returncode, 1)
            self.assertIn("1 results for 2 texts", r.stderr.decode())

    def test_tokenize(self):
        with Server(story) as s:
            self.assertEqual(client(s, "tokenize", "-p", "AB", "--no-bos", "--parse-special").stdout, b"[65,66]\n")
            self.assertEqual(s.heard[0][1], {"id": 1, "text": "AB", "no_special": 1, "parse_special": 1})


class Watch(Base):
    def test_health_is_an_exit_status(self):
        def sick(peer, name, fields):
            peer.send("report", {"id": fields["id"], "ok": 0})
        with Server(story) as s:
            for flag, kind in (("--liveness", 0), ("--readiness", 1)):
                r = client(s, "health", flag)
                self.assertEqual((r.returncode, r.stdout, r.stderr), (0, b"", b""))
                self.assertEqual(s.heard[-1][1]["kind"], kind)
            self.assertEqual(json.loads(client(s, "health", "--full").stdout)["uptime_s"], 5)
            self.assert_failed(client(s, "health", "--full", "--liveness"), 2, "more than one kind")
        with Server(sick) as s:
            self.assert_failed(client(s, "health", "--readiness"), 1, "not ready")
        with Server(lambda *_: None) as s:
            self.assert_failed(client(s, "--timeout", 300, "health"), 1, "no answer to health in 300 ms")

    def test_status_metrics_models(self):
        with Server(story) as s:
            text = client(s, "status").stdout.decode()
            self.assertRegex(text, r"(?s)scripted 1, wire 2, ready\n.*uptime_s +5\n.*sandbox +level full\n.*"
                                   r"models\n +books +generate +loaded +3\.0 MiB +pinned 0123456789ab\n")
            got = json.loads(client(s, "status", "--json").stdout)
            self.assertEqual((got["server"], got["ready"], got["health"]["uptime_s"], got["metrics"]["requests"],
                              got["models"][0]["name"]), ("scripted 1", True, 5, 3, "books"))
            self.assertEqual(client(s, "metrics", "--prometheus").stdout, b"hearth_up 1\n")
            self.assertEqual(json.loads(client(s, "metrics").stdout)["requests"], 3)
            self.assertEqual(json.loads(client(s, "models", "--json").stdout), [
                {"name": "books", "kind": "generate", "state": "loaded", "bytes": 3 << 20, "pinned": True,
                 "sha256": "0123456789abcdef" * 4}])

    def test_manage(self):
        with Server(story) as s:
            for i, action in enumerate(("warm", "load", "unload", "pin", "unpin")):
                self.assertIn(b"books", client(s, "manage", action, "books").stdout)
                self.assertEqual(s.heard[-1][1], {"id": 1, "model": "books", "action": i})
            self.assert_failed(client(s, "manage", "drop", "books"), 2, "no action")
            self.assert_failed(client(s, "manage", "load"), 2, "1 arguments")


class Load(Base):
    def test_times_count_from_the_intended_start(self):
        # A server that stalls for half a second delays what should have started meanwhile: open loops show it.
        class Talk:
            stalled = False

            def __call__(self, peer, name, fields):
                if not self.stalled and fields["id"] == 5:
                    self.stalled = True
                    time.sleep(0.5)
                story(peer, name, fields)

        with Server(Talk()) as s:
            got = json.loads(client(s, "load", "--rate", 100, "--requests", 100, "--clients", 1, "--json").stdout)
        self.assertEqual((got["sent"], got["ok"], got["lost"], got["loop"]), (100, 100, 0, "open"))
        total = got["latency_ms"]["generate"]
        self.assertGreater(total["max"], 450)
        self.assertGreater(total["p95"], 300)  # half of the schedule passed while it stood
        self.assertGreater(total["mean"], 60)
        self.assertEqual(total["n"], 100)
        self.assertEqual(got["latency_ms"]["first_token"]["n"], 100)
        self.assertEqual(got["latency_ms"]["inter_token"]["n"], 200)

    def test_mix_refusals_and_fairness(self):
        def talk(peer, name, fields):
            if name == "classify" and fields["id"] % 2:
                peer.send("error", {"id": fields["id"], "code": 429, "message": "the queue is full"})
            else:
                story(peer, name, fields)
        with Server(talk) as s:
            r = client(s, "load", "--requests", 90, "--clients", 3, "--rate", 500, "--classify", 1, "--embed", 1,
                       "--classify-model", "c", "--embed-model", "e", "-m", "g", "--json")
            got = json.loads(r.stdout)
        self.assertEqual(got["ok"] + got["refused"], 90, r.stderr)
        self.assertEqual(list(got["refusals"]), ["429"])
        models = {(n, f["model"]) for n, f in s.heard}
        self.assertEqual(models, {("generate", "g"), ("classify", "c"), ("embed", "e")})
        self.assertGreater(got["fairness"]["jain_requests"], 0.8)
        self.assertTrue(all(k in got["latency_ms"] for k in ("generate", "classify", "embed", "late")))

    def test_one_starved_client_shows(self):
        class Talk:
            first, lock = None, threading.Lock()

            def __call__(self, peer, name, fields):
                with self.lock:
                    self.first = self.first or peer
                if peer is self.first:
                    time.sleep(0.2)
                story(peer, name, fields)

        with Server(Talk()) as s:
            got = json.loads(client(s, "load", "--duration", 1, "--clients", 4, "--json").stdout)
        self.assertEqual(got["loop"], "closed")
        self.assertLess(got["fairness"]["jain_requests"], 0.85)
        self.assertLess(got["fairness"]["min_requests"], 10)

    def test_unanswered_requests_are_lost(self):
        def talk(peer, name, fields):
            if fields["id"] != 3:
                story(peer, name, fields)
        with Server(talk) as s:
            r = client(s, "load", "--requests", 5, "--rate", 100, "--clients", 1, "--drain", 1, "--json")
        self.assertEqual(r.returncode, 1)
        self.assertEqual(json.loads(r.stdout)["lost"], 1)
        self.assertIn("1 requests were not answered", r.stderr.decode())

    def test_a_lost_connection_is_made_again(self):
        class Talk:
            n = 0

            def __call__(self, peer, name, fields):
                self.n += 1
                if self.n == 3:
                    raise wire.Closed
                story(peer, name, fields)

        with Server(Talk()) as s:
            r = client(s, "load", "--requests", 30, "--rate", 50, "--clients", 1, "--json")
        got = json.loads(r.stdout)
        self.assertEqual(got["reconnects"], 1)
        self.assertGreaterEqual(got["lost"], 1)  # those in flight just then
        self.assertEqual(got["ok"] + got["lost"], got["sent"])
        self.assertGreater(got["ok"], 10)

    def test_cancelled_and_abandoned(self):
        class Talk:
            open = {}

            def __call__(self, peer, name, fields):
                if name == "cancel":
                    if self.open.pop((peer, fields["id"]), None):
                        chunks(peer, fields, [], reason=3)
                    return
                self.open[peer, fields["id"]] = True
                for i in range(8):
                    peer.send("chunk", {"id": fields["id"], "index": i, "tokens": [1], "text": "x"})

        with Server(Talk()) as s:
            r = client(s, "load", "--requests", 40, "--rate", 200, "--clients", 4, "-n", 8, "--cancel-share", 1,
                       "--json")
            got = json.loads(r.stdout)
        self.assertEqual((got["cancelled"], got["lost"]), (40, 0), r.stderr)
        self.assertEqual(got["latency_ms"]["cancel"]["n"], 40)
        self.assertEqual(got["reasons"], {"cancelled": 40})
        with Server(Talk()) as s:
            r = client(s, "load", "--requests", 20, "--rate", 200, "--clients", 2, "-n", 8, "--vanish-share", 1,
                       "--json")
            got = json.loads(r.stdout)
        self.assertEqual((got["abandoned"], got["lost"]), (20, 0), r.stderr)

    def test_cancel_measures_the_end(self):
        class Talk:
            def __call__(self, peer, name, fields):
                if name == "generate":
                    for i in range(4):
                        peer.send("chunk", {"id": fields["id"], "index": i, "tokens": [1]})
                else:
                    time.sleep(0.05)
                    chunks(peer, fields, [], reason=3)

        with Server(Talk()) as s:
            got = json.loads(client(s, "cancel", "--times", 3, "--json").stdout)
        self.assertEqual((got["n"], got["cancelled"]), (3, 3))
        self.assertGreater(got["p50_ms"], 49)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
