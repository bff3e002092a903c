#!/usr/bin/env python3
"""What clients may do wrong, against a running server: hardening rows I-01 to I-14 and negative tests 1-7, 11, 15, 17,
18 and 22. After every row a fresh client is served and the server's descriptors are what they were.

    test_hostile.py HEARTH [unittest arguments]
"""
import array
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from wire import Client, Closed, MESSAGES, ROOT, Server, TOKEN, body, decode, encode, frame, varint  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
BOOKS = f"{MODELS}/books-draft-6m-q8_0.gguf,books"
OTHER = f"{ROOT}/fixtures/arch/llama-q8_0.gguf,other"
MIB = 1 << 20
SANITIZED = "HEARTH_SANITIZED" in os.environ  # memory is that of the sanitizer then
FAST = [x for limit in ("head_ms=300", "body_ms=600", "hello_ms=300", "stranger_ms=2000", "idle_ms=1500",
                        "stall_ms=700", "failures_ms=3000", "block_ms=1200", "rate=0", "in_flight=16")
        for x in ("--limit", limit)]


def hello(version=2, **more):
    return encode("hello", version, min_version=version, max_version=version, token=TOKEN, **more)


class Hostile(unittest.TestCase):
    options = FAST
    models = [BOOKS, OTHER]

    @classmethod
    def setUpClass(cls):
        cls.server = Server(HEARTH, cls.models, "-c", "512", *cls.options)
        with cls.server.client() as c:
            c.ask("generate", prompt="a", max_tokens=2)
        time.sleep(0.1)
        cls.fds = cls.server.fds()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def tearDown(self):
        self.assertIsNone(self.server.process.poll(), self.server.text())
        with self.server.client() as c:
            self.assertEqual(c.ask("generate", prompt="a", max_tokens=2, temperature=0)["reason"], 1)
        for _ in range(60):
            if self.server.fds() == self.fds:
                return
            time.sleep(0.05)
        self.assertEqual(self.server.fds(), self.fds, "descriptors are left")

    def raw(self, data=b""):
        c = self.server.client(hello=False)
        if data:
            c.raw(data)
        return c

    def refused(self, c, code):
        m = c.receive()
        self.assertEqual((m["type"], m["code"]), ("error", code), m)
        return m

    # ---- I-01

    def test_i01_lengths_of_frames_before_the_token(self):
        for length in (0, 4097, 1 << 31, (1 << 32) - 1):
            with self.subTest(length), self.raw(struct.pack("<I", length) + b"x") as c:
                self.refused(c, 413)
                self.assertTrue(c.closed())
        with self.raw(frame(b"\x08")) as c:  # health without its id: whole, and wrong
            self.refused(c, 400)
            self.assertEqual(c.ask("health")["ok"], 1)
        largest = encode("hello", min_version=2, max_version=2, token=TOKEN, client="")
        room = 4096 - (len(largest) - 4) - 1  # the length of client takes two bytes then
        with self.raw(hello(client="c" * room)) as c:
            self.assertEqual(c.receive()["type"], "welcome")
        with self.raw(hello(client="c" * (room + 1))) as c:
            self.refused(c, 413)

    def test_i01_lengths_of_frames_behind_it(self):
        before = self.server.status("VmHWM")
        for length in (0, 16 * MIB + 1, 1 << 31, (1 << 32) - 1):
            with self.subTest(length), self.server.client() as c:
                c.raw(struct.pack("<I", length) + b"x" * 64)
                self.refused(c, 413)
                self.assertTrue(c.closed())
        with self.server.client() as c:  # said, and not sent
            c.raw(struct.pack("<I", 16 * MIB) + b"\x02" * 1000)
            time.sleep(0.2)
        if not SANITIZED:
            self.assertLess(self.server.status("VmHWM") - before, 1024, "KiB for frames that never came")
        head = body("tokenize", {"id": 1})
        size = 16 * MIB - 1 - len(head) - 5
        with self.server.client() as c:
            c.raw(frame(b"\x06" + head + b"\x1a" + varint(size) + b"a" * size))
            m = self.refused(c, 413)  # the text is too long, and the frame is not
            self.assertEqual(m["id"], 1)
            self.assertEqual(c.ask("health")["ok"], 1)
        time.sleep(0.2)
        if not SANITIZED:
            self.assertLess(self.server.status("VmRSS") - before, 8192, "KiB kept of a large frame")

    # ---- I-02

    def test_i02_slow_clients_are_closed_in_each_phase(self):
        rows = [("nothing at all", False, b"", b"", 0.3),
                ("half a head", False, b"\x10\0", b"", 0.3),
                ("a head byte by byte", True, b"", b"\x10\0\0", 0.3),
                ("a body byte by byte", True, b"\x10\0\0\0", b"\x02\x08\x01\x02\x08\x01\x02\x08\x01\x02", 0.6),
                ("silence behind hello", True, b"", b"", 1.5)]
        for name, known, first, rest, limit in rows:
            with self.subTest(name), self.raw() as c:
                if known:
                    c.raw(hello())
                    c.receive()
                start = time.monotonic()
                c.socket.sendall(first)
                for byte in rest:
                    try:
                        c.socket.sendall(bytes([byte]))
                    except BrokenPipeError:
                        break
                    time.sleep(0.14)
                try:
                    self.refused(c, 408)
                except Closed:
                    pass  # what was sent behind the end resets a connection
                took = time.monotonic() - start
                self.assertGreater(took, limit * 0.9)
                self.assertLess(took, limit + 1.2)

    # ---- I-03, I-04

    def test_i03_every_cut_of_every_message(self):
        rows = {"generate": {"prompt": "a", "max_tokens": 1}, "tokenize": {"text": "a"}, "cancel": {},
                "classify": {"texts": ["a"]}, "embed": {"texts": ["a"]}, "health": {}, "models": {}, "metrics": {},
                "chat": {"turns": [{"role": "user", "content": "a"}]}, "manage": {"model": "books", "action": 0}}
        for name, fields in rows.items():
            data = encode(name, id=1, **fields)
            for cut in range(len(data)):
                c = self.server.client()
                c.raw(data[:cut])
                c.close()
        data = hello()
        for cut in range(0, len(data), 3):
            self.raw(data[:cut]).close()

    def test_i04_what_is_not_canonical_is_refused_and_the_connection_goes_on(self):
        bodies = [b"\x02\x08", b"\x02\x08\x80", b"\x02\x08" + b"\xff" * 10 + b"\x01", b"\x02\x08\x80\x00",
                  b"\x02\x08\x01\x1a\x05a", b"\x02\x08\x01\x1a" + b"\xff" * 9 + b"\x01a",
                  b"\x02\x1a\x01a\x08\x01", b"\x02\x08\x01\x08\x02", b"\x02\x08\x01\x1a\x01a\xf8\x01\x01", b"\x02",
                  b"\x02\x08\x01\x22\x06\xff\xff\xff\xff\xff\x01", b"\x02\x08\x01\x35\0\0", b"\x02\x0d\0\0\0\0"]
        with self.server.client() as c:
            for data in bodies:
                with self.subTest(data):
                    c.raw(frame(data))
                    self.refused(c, 400)
            self.assertEqual(c.ask("health")["ok"], 1)

    # ---- I-05

    def test_i05_messages_at_the_wrong_time(self):
        rows = [("generate before hello", encode("generate", id=1, prompt="a"), 401, True),
                ("manage before hello", encode("manage", id=1, model="books", action=0), 401, True),
                ("cancel before hello", encode("cancel", id=1), 401, True),
                ("unknown message before hello", frame(b"\x3f"), 400, False),
                ("no version in common", encode("hello", min_version=3, max_version=9, token=TOKEN), 400, True),
                ("versions upside down", encode("hello", min_version=2, max_version=1, token=TOKEN), 400, True),
                ("wrong token", encode("hello", min_version=2, max_version=2, token=TOKEN + "x"), 401, True),
                ("empty token", encode("hello", min_version=2, max_version=2, token=""), 401, True),
                ("answer from a client", encode("done", id=1, reason=0, prompt_tokens=0, generated_tokens=0), 400,
                 True)]
        for name, data, code, ends in rows:
            with self.subTest(name), self.raw(data) as c:
                self.refused(c, code)
                if ends:
                    self.assertTrue(c.closed())
                else:
                    self.assertEqual(c.ask("health")["ok"], 1)
        time.sleep(3.1)  # the wrong tokens are forgotten
        with self.server.client() as c:
            c.raw(hello())
            self.refused(c, 400)
            self.assertTrue(c.closed())
        with self.server.client() as c:  # unknown: refused, and the connection goes on
            for number in (0, 12, 63, 64, 90, 127, 200, 255):
                c.raw(frame(bytes([number]) + b"\x08\x01"))
                self.refused(c, 400)
            c.raw(frame(b'{"type": "health", "id": 1}'))  # version 2 was agreed
            self.refused(c, 400)
            self.assertEqual(c.ask("health")["ok"], 1)
        with self.server.client() as c:
            c.send("chunk", id=1, index=0, tokens=[])
            self.refused(c, 400)
            self.assertTrue(c.closed())

    def test_i05_versions_of_both_sides(self):
        for low, high, agreed in [(1, 1, 1), (1, 2, 2), (2, 2, 2), (1, 99, 2), (2, 99, 2), (0, 1, 1), (0, 0, None),
                                  (3, 3, None)]:
            for form in (1, 2):
                with self.subTest((low, high, form)):
                    with self.raw(encode("hello", form, min_version=low, max_version=high, token=TOKEN)) as c:
                        first = c.receive()
                        if agreed is None:
                            self.assertEqual(first["code"], 400)
                            continue
                        self.assertEqual(first["version"], agreed)
                        c.version = agreed
                        self.assertEqual(c.ask("health")["ok"], 1)

    def test_negative_2_before_the_token_nothing_is_queued_or_warmed_up(self):
        with self.raw(encode("manage", id=1, model="books", action=0)) as c:
            self.refused(c, 401)
        with self.raw(encode("generate", id=1, prompt="a" * 2000, max_tokens=400)) as c:
            self.refused(c, 401)
        start = self.server.cpu()
        time.sleep(0.3)
        self.assertLess(self.server.cpu() - start, 0.1)

    # ---- I-06

    def test_i06_storms_of_connections(self):
        for _ in range(2000):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.server.path))

    def test_i06_more_connections_than_there_are_places(self):
        clients = []
        with self.assertRaises(Closed) as e:
            for _ in range(80):
                clients.append(self.server.client())
        self.assertEqual(len(clients), 64)
        self.assertEqual(e.exception.args[0]["code"], 503)
        for c in clients:
            c.close()
        time.sleep(0.2)
        strangers = [self.raw() for _ in range(12)]  # eight are let in, the others wait for these to time out
        with self.server.client() as c:
            self.assertEqual(c.ask("health")["ok"], 1)
        for c in strangers:
            c.close()

    def test_i06_no_descriptor_is_left_to_accept_with(self):
        with Server(HEARTH, [BOOKS], *FAST) as server:
            import resource
            with server.client() as c:
                c.ask("health")
            time.sleep(0.3)  # both have let go of what has come so far
            have = server.fds(server.pid)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (have + 2, have + 2))
            held = [server.client(), server.client()]
            waiting = socket.socket(socket.AF_UNIX)
            waiting.connect(str(server.path))
            start = server.cpu()
            time.sleep(1)
            self.assertLess(server.cpu() - start, 0.2, "it spins")
            self.assertEqual(held[0].ask("health")["ok"], 1)
            held[1].close()
            waiting.settimeout(5)
            waiting.sendall(hello())
            self.assertTrue(waiting.recv(1))
            waiting.close()
            held[0].close()

    # ---- I-07, I-08

    def test_i07_a_client_that_never_reads_stops_itself_alone(self):
        with Server(HEARTH, [BOOKS], "-c", "2048", "--limit", "out_bytes=4096", *FAST) as server:
            lazy = server.client()
            lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(3):  # one place is left for others
                lazy.begin("generate", prompt="a", max_tokens=1900, ignore_end=1, stream=1, timeout_ms=60000)
            with server.client() as c:
                for _ in range(20):
                    self.assertEqual(c.ask("generate", prompt="a", max_tokens=4)["reason"], 1)
                own = [c.begin("generate", prompt="a", max_tokens=4) for _ in range(8)]  # need its places too
                self.assertEqual(sorted(c.receive()["id"] for _ in own), own)
            time.sleep(2)
            reasons, lost = [], False
            try:
                while len(reasons) < 3:
                    m = lazy.receive()
                    if m["type"] != "chunk":
                        reasons.append(m.get("reason"))
            except Closed:
                lost = True
            self.assertTrue(lost or 3 in reasons, reasons)
            with server.client() as c:  # its places are free again
                self.assertEqual(c.ask("generate", prompt="a", max_tokens=4)["reason"], 1)
            lazy.close()

    def test_i08_a_client_that_is_killed_frees_its_places(self):
        code = ("import sys; sys.path.insert(0, sys.argv[2]); from wire import Client\n"
                "c = Client(sys.argv[1])\n"
                "for _ in range(16): c.begin('generate', prompt='a', max_tokens=490, ignore_end=1, stream=1)\n"
                "c.receive(); print('ready', flush=True)\nwhile True: c.receive()\n")
        for _ in range(3):
            child = subprocess.Popen([sys.executable, "-c", code, str(self.server.path), os.path.dirname(__file__)],
                                     stdout=subprocess.PIPE)
            child.stdout.readline()
            child.kill()
            child.wait()
            child.stdout.close()
            start = time.monotonic()
            with self.server.client() as c:
                c.ask("generate", prompt="a", max_tokens=1)
            self.assertLess(time.monotonic() - start, 0.5)

    # ---- I-09

    def test_i09_a_thousand_requests_at_once(self):
        with self.server.client() as c:
            data = b"".join(encode("tokenize", id=i, text="The old man") for i in range(1, 1001))
            c.raw(data)
            got = sorted(c.receive()["id"] for _ in range(1000))
            self.assertEqual(got, list(range(1, 1001)))
            data = b"".join(encode("generate", id=i, prompt="a", max_tokens=1) for i in range(1, 1001))
            threading.Thread(target=c.raw, args=(data,)).start()
            ends = [c.receive() for _ in range(1000)]
            self.assertEqual(sorted(m["id"] for m in ends), list(range(1, 1001)))
            self.assertGreaterEqual(sum(m["type"] == "done" for m in ends), 16)
            self.assertTrue(all(m["code"] == 429 for m in ends if m["type"] == "error"))

    def test_i09_ids(self):
        with self.server.client() as c, self.server.client() as other:
            long = dict(prompt="a", max_tokens=480, ignore_end=1, stream=1)
            c.send("generate", id=7, **long)
            self.assertEqual(c.receive()["type"], "chunk")
            c.send("tokenize", id=7, text="a")  # in flight
            c.send("cancel", id=8)              # unknown
            other.send("cancel", id=7)          # another session's
            other.send("generate", id=7, prompt="a", max_tokens=2)
            self.assertEqual(other.receive()["generated_tokens"], 2)
            seen = []
            while 409 not in seen:
                seen.append(c.receive().get("code"))
            c.send("cancel", id=7)
            c.send("cancel", id=7)              # twice
            while (m := c.receive())["type"] == "chunk":
                pass
            self.assertEqual((m["id"], m["reason"]), (7, 3))
            c.send("cancel", id=7)              # behind its end
            for i in range(8):                  # more than run at once: some are cancelled before they start
                c.send("generate", id=20 + i, **long)
            for i in range(8):
                c.send("cancel", id=27 - i)
            ends = []
            while len(ends) < 8:
                m = c.receive()
                if m["type"] != "chunk":
                    ends.append((m["id"], m["reason"]))
            self.assertEqual(sorted(ends), [(20 + i, 3) for i in range(8)])
            for i in (0, 1, 255, 2**32, 2**53, 2**64 - 1):  # numbers of any size
                c.send("tokenize", id=i, text="a")
                self.assertEqual(c.receive()["id"], i)

    # ---- I-10: ids of sessions are told and never taken, so none can be wrong; they are random and expire

    def test_i10_sessions_are_random_and_expire(self):
        seen = set()
        for _ in range(20):
            with self.server.client() as c:
                self.assertRegex(c.welcome["session"], "^[0-9a-f]{64}$")
                seen.add(c.welcome["session"])
        self.assertEqual(len(seen), 20)
        with Server(HEARTH, [BOOKS], "--limit", "session_ms=600", *FAST) as server, server.client() as c:
            time.sleep(0.3)
            self.assertEqual(c.ask("health")["ok"], 1)
            self.refused(c, 401)
            self.assertTrue(c.closed())

    # ---- I-11

    def test_i11_descriptors_are_refused(self):
        for n in (1, 253):
            with self.subTest(n), self.server.client() as c:
                fds = [os.dup(0) for _ in range(n)]
                c.socket.sendmsg([encode("health", id=1)],
                                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                for fd in fds:
                    os.close(fd)
                self.refused(c, 400)
                self.assertTrue(c.closed())

    # ---- I-12

    def test_i12_wrong_tokens_block_for_a_while(self):
        time.sleep(3.1)
        codes = []
        for _ in range(6):
            with self.raw(encode("hello", min_version=2, max_version=2, token="wrong" * 5)) as c:
                codes.append(c.receive())
        self.assertTrue(all(m["code"] == 401 for m in codes))
        self.assertNotIn("retry_ms", codes[3])
        self.assertIn("retry_ms", codes[4])
        with self.assertRaises(Closed):  # the right one is not looked at either
            self.server.client()
        time.sleep(1.3)
        self.server.client().close()

    def test_i12_a_session_has_a_rate_of_its_own(self):
        with Server(HEARTH, [BOOKS], "--limit", "rate=20") as server:
            with server.client() as c, server.client() as other:
                ends = [c.ask("tokenize", text="a") for _ in range(30)]
                self.assertEqual([m["type"] for m in ends], ["tokenized"] * 20 + ["error"] * 10)
                self.assertEqual(ends[20]["code"], 429)
                self.assertEqual(other.ask("tokenize", text="a")["type"], "tokenized")

    # ---- I-13, I-14

    def test_i13_chunks_of_any_size_on_many_connections(self):
        rng = random.Random(5)
        clients = [self.server.client(version=1 + i % 2) for i in range(12)]
        data = [b"".join(encode("tokenize", c.version, id=i, text="word " * i) for i in range(1, 20)) for c in clients]
        at = [0] * len(clients)
        while any(a < len(d) for a, d in zip(at, data)):
            i = rng.randrange(len(clients))
            n = 1 if i < 4 else rng.randrange(1, 40)
            clients[i].raw(data[i][at[i]:at[i] + n])
            at[i] += n
        answers = [[tuple(c.receive()["tokens"]) for _ in range(19)] for c in clients]
        self.assertEqual(len({tuple(a) for a in answers}), 1)
        for c in clients:
            c.close()

    def test_i14_noise(self):
        rng = random.Random(6)
        whole = hello() + b"".join(encode("tokenize", id=i, text="a b c") + encode("cancel", id=i) for i in range(8))
        for i in range(300):
            data = bytearray(rng.randbytes(rng.randrange(200)) if i % 3 == 0 else whole)
            for _ in range(rng.randrange(1, 6) if i % 3 else 0):
                bit = rng.randrange(8 * len(data))
                data[bit // 8] ^= 1 << bit % 8
            with self.server.client(hello=False) as c:
                try:
                    c.raw(bytes(data))
                except BrokenPipeError:
                    pass
        time.sleep(3.1)  # tokens were wrong, and that is forgotten

    # ---- negative tests

    def test_negative_5_and_6_cancel_and_deadline_are_seen_while_a_text_grows(self):
        with self.server.client() as c:
            took = []
            for k in (1, 3, 8, 20):
                own = c.begin("generate", prompt="a", max_tokens=480, ignore_end=1, stream=1)
                for _ in range(k):
                    c.receive()
                start = time.monotonic()
                c.send("cancel", id=own)
                while (m := c.receive())["type"] == "chunk":
                    pass
                took.append(time.monotonic() - start)
                self.assertEqual(m["reason"], 3)
            self.assertLess(max(took), 0.25)
            start = time.monotonic()
            m = c.ask("generate", prompt="a " * 400, max_tokens=100, ignore_end=1, timeout_ms=50)
            self.assertEqual(m["reason"], 4)
            self.assertLess(time.monotonic() - start, 0.5)

    def test_negative_7_errors_with_hostile_names(self):
        name = 'a"b\\c\nd\0e\x7f\u2028é'
        for version in (1, 2):
            with self.server.client(version=version) as c:
                m = c.ask("generate", model=name, prompt="a")
                self.assertEqual(m["code"], 404)
                self.assertIn("a", m["message"])
                self.assertNotIn("\n", m["message"])

    def test_negative_11_two_sequences_equal_two_alone(self):
        with self.server.client() as c:
            rows = [dict(prompt=p, max_tokens=40, temperature=0, ignore_end=1) for p in ("The old man", "Once upon")]
            alone = [c.ask("generate", **r)["text"] for r in rows] * 3
            ids = [c.begin("generate", **r) for r in rows * 3]
            ends = {}
            while len(ends) < len(ids):
                m = c.receive()
                ends[m["id"]] = m["text"]
            self.assertEqual([ends[i] for i in ids], alone)

    def copies(self, secret):
        """Of these bytes in the server's writable memory."""
        found = 0
        pid = (self.server.workers() or [self.server.pid])[0]
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
            for line in maps:
                if "rw-p" not in line or "vvar" in line:
                    continue
                low, high = (int(x, 16) for x in line.split()[0].split("-"))
                try:
                    mem.seek(low)
                    found += mem.read(high - low).count(secret)
                except (OSError, ValueError):
                    pass
        return found

    @unittest.skipIf(SANITIZED, "memory that was freed is kept by the sanitizer")
    def test_negative_15_nothing_of_one_session_is_in_another(self):
        secret = "xyzzy-" + "q" * 50
        with self.server.client() as c:
            for _ in range(8):
                c.ask("generate", prompt=secret, max_tokens=1, stop=[secret])
                c.ask("tokenize", text=secret)
            self.assertGreater(self.copies(secret.encode()), 0)  # where the last frame was: this can see one
        time.sleep(0.2)
        self.assertEqual(self.copies(secret.encode()), 0, "copies of a text whose session is over")

    def test_negative_17_what_stands_at_the_path(self):
        with tempfile.TemporaryDirectory() as d:
            path = pathlib.Path(d)
            (path / "token").touch(0o600)
            (path / "token").write_text(TOKEN)

            def serve(socket_path, **options):
                return subprocess.run([HEARTH, "serve", "-m", BOOKS, "--socket", str(socket_path), "--token-file",
                                       str(path / "token")], capture_output=True, text=True, timeout=20, **options)
            (path / "file").write_text("dear")
            self.assertNotEqual(serve(path / "file").returncode, 0)
            self.assertEqual((path / "file").read_text(), "dear")
            os.symlink(path / "file", path / "link")
            self.assertNotEqual(serve(path / "link").returncode, 0)
            self.assertEqual((path / "file").read_text(), "dear")
            self.assertTrue((path / "link").is_symlink())
            self.assertNotEqual(serve(self.server.path).returncode, 0)  # a live one
            self.assertNotEqual(serve(path / "nowhere" / "socket").returncode, 0)
            for n in (108, 200):
                self.assertNotEqual(serve(path / ("s" * (n - len(d) - 1))).returncode, 0)
            for mode in (0o640, 0o604):
                (path / "token").chmod(mode)
                self.assertIn("0600", serve(path / "socket").stderr)

    def test_negative_17_a_dead_socket_is_replaced(self):
        with Server(HEARTH, [BOOKS]) as server:
            server.process.kill()
            server.process.wait()
            self.assertTrue(server.path.is_socket())
            again = subprocess.Popen([HEARTH, "serve", "-m", BOOKS, "--socket", str(server.path), "--no-token"],
                                     stderr=subprocess.DEVNULL)
            for _ in range(100):
                try:
                    with Client(server.path, token=None) as c:
                        self.assertEqual(c.ask("tokenize", text="a")["type"], "tokenized")
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                self.fail("no server at the dead socket's path")
            again.terminate()
            self.assertEqual(again.wait(20), 0)

    @unittest.skipIf(SANITIZED, "memory is the sanitizer's")
    def test_negative_18_idle_connections_cost_little(self):
        time.sleep(0.3)
        clients = [self.server.client() for _ in range(8)]  # warm up what all share
        for c in clients:
            c.close()
        time.sleep(0.2)
        before = self.server.status("VmRSS")
        clients = [self.server.client() for _ in range(64)]
        grown = self.server.status("VmRSS") - before
        for c in clients:
            c.close()
        self.assertLess(grown, 1024, "KiB for 64 connections")
        time.sleep(0.1)


class Queue(unittest.TestCase):
    def test_negative_1_ten_thousand_requests_on_a_queue_of_256(self):
        with Server(HEARTH, [BOOKS], "-c", "64", "--limit", "rate=0") as server, server.client() as c:
            for _ in range(10000):
                m = c.ask("generate", prompt_tokens=[5], max_tokens=1, temperature=0)
                self.assertEqual(m["reason"], 1)

    def test_negative_22_the_cache_knows_models_and_parameters(self):
        with Server(HEARTH, [BOOKS, f"{MODELS}/books-33m-q4_k_m.gguf,large"], "--cache", "--limit", "cache_ms=1000",
                    "-c", "128") as server, server.client() as c:
            base = dict(prompt="The old man", max_tokens=12, temperature=0)
            first = c.ask("generate", **base)
            again = c.ask("generate", **base)
            self.assertEqual((again["text"], again["tokens"]), (first["text"], first["tokens"]))
            self.assertEqual(again["cached_tokens"], again["prompt_tokens"])
            self.assertNotIn("cached_tokens", first)
            streamed = c.ask("generate", stream=1, **base)
            self.assertEqual("".join(m.get("text", "") for m in streamed["chunks"]), first["text"])
            for change in (dict(model="large"), dict(max_tokens=13), dict(repeat_penalty=1.5), dict(stop=["z"]),
                           dict(temperature=0.5, seed=1), dict(temperature=0.5, seed=2), dict(prompt="The old men"),
                           dict(top_k=3), dict(top_p=0.5), dict(min_p=0.5), dict(presence_penalty=1.0),
                           dict(frequency_penalty=1.0), dict(ignore_end=1)):
                with self.subTest(change):
                    other = c.ask("generate", **{**base, **change})
                    self.assertLess(other.get("cached_tokens", 0), other["prompt_tokens"])
            for _ in range(2):  # not deterministic: never cached
                m = c.ask("generate", prompt="The old man", max_tokens=12)
                self.assertLess(m.get("cached_tokens", 0), m["prompt_tokens"])
            time.sleep(1.1)
            self.assertLess(c.ask("generate", **base).get("cached_tokens", 0), first["prompt_tokens"])


if __name__ == "__main__":
    unittest.main()
