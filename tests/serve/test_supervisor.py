#!/usr/bin/env python3
"""The supervisor of a real server: workers that are killed, stopped, hung and drained, and what clients see of it.

    test_supervisor.py HEARTH [unittest arguments]

HEARTH_KILLS (20) is the number of kills of the campaign.
"""
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from wire import Client, Closed, ROOT, Server, TERMINAL  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
BOOKS = f"{MODELS}/books-draft-6m-q8_0.gguf,books"
SLOW = f"{MODELS}/books-33m-q4_k_m.gguf,books"
FAST = ("--limit", "restart_ms=1", "--limit", "restart_most_ms=20", "--limit", "crashes=65536", "--limit", "blames=65536", "--limit", "rate=0")


def worker(server):
    """The worker's number, 0 while there is none."""
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as f:
        children = f.read().split()
    return int(children[0]) if children else 0


def next_worker(server, old):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        new = worker(server)
        if new and new != old:
            return new
        time.sleep(0.005)
    raise AssertionError("no worker was started again:\n" + server.text())


def to_the_end(c):
    while (m := c.receive())["type"] == "chunk":
        pass
    return m


class Lost(unittest.TestCase):
    def test_requests_in_flight_are_told_and_the_connection_goes_on(self):
        with Server(HEARTH, [SLOW], *FAST) as server:
            for version in (1, 2):
                with server.client(version=version) as c:
                    for _ in range(10):  # until both are in flight when it dies
                        own = [c.begin("generate", prompt="a", max_tokens=400, ignore_end=1, stream=1),
                               c.begin("generate", prompt="b", max_tokens=400, ignore_end=1)]
                        while c.receive()["type"] != "chunk":
                            pass
                        os.kill(worker(server), signal.SIGKILL)
                        ends = [to_the_end(c), to_the_end(c)]
                        self.assertEqual(sorted(m["id"] for m in ends), own)
                        if all(m["type"] == "error" for m in ends):
                            break
                    for m in ends:
                        self.assertEqual((m["type"], m["code"], m["message"]), ("error", 503, "the worker was lost"))
                    # the same session, in the same form, without another hello
                    again = c.ask("generate", prompt="It was", max_tokens=8, temperature=0)
                    self.assertEqual(again["type"], "done")
                    self.assertEqual(c.ask("models")["items"][0]["name"], "books")

    def test_an_idle_stranger_stays_one(self):
        with Server(HEARTH, [BOOKS], *FAST) as server, server.client(token=None) as c:
            time.sleep(0.3)  # until the worker has noted that its welcome is sent
            old = worker(server)
            os.kill(old, signal.SIGKILL)
            next_worker(server, old)
            self.assertEqual(c.ask("health")["ok"], 1)
            self.assertEqual(c.ask("models")["code"], 401)

    def test_half_a_request_is_not_given_to_the_next_worker(self):
        with Server(HEARTH, [BOOKS], *FAST) as server, server.client() as c:
            c.ask("health")
            c.socket.sendall(b"\x40\x00\x00\x00\x02")
            time.sleep(0.2)
            os.kill(worker(server), signal.SIGKILL)
            self.assertTrue(c.closed())

    def test_connections_that_come_while_there_is_none_wait(self):
        with Server(HEARTH, [BOOKS], "--limit", "restart_ms=300") as server:
            old = worker(server)
            os.kill(old, signal.SIGKILL)
            while worker(server) == old:
                pass
            self.assertEqual(worker(server), 0)
            with server.client() as c:
                self.assertEqual(c.ask("health")["ok"], 1)


class Restarts(unittest.TestCase):
    def test_a_crash_loop_ends_the_server_with_a_sentence(self):
        with Server(HEARTH, [BOOKS], "--limit", "restart_ms=1", "--limit", "crashes=3") as server, server.client() as c:
            for _ in range(3):
                old = worker(server) or next_worker(server, 0)
                os.kill(old, signal.SIGKILL)
                end = time.monotonic() + 10
                while worker(server) in (old, 0) and server.process.poll() is None and time.monotonic() < end:
                    time.sleep(0.002)
            self.assertNotEqual(server.process.wait(20), 0)
            self.assertRegex(server.text(), r"3 workers died within 60 s, the last by .*signal 9")
            self.assertFalse(server.path.exists())
            self.assertTrue(c.closed())

    def test_pauses_double(self):
        with Server(HEARTH, [BOOKS], "--limit", "restart_ms=40") as server:
            waits, old = [], worker(server)
            for _ in range(4):
                os.kill(old, signal.SIGKILL)
                start = time.monotonic()
                old = next_worker(server, old)
                waits.append(time.monotonic() - start)
        for n, wait in enumerate(waits):
            self.assertGreaterEqual(wait, 0.039 * 2 ** n)

    def test_a_model_that_cannot_be_opened_is_an_error_of_the_start(self):
        with tempfile.TemporaryDirectory() as d:
            got = subprocess.run([HEARTH, "serve", "-m", "/no/such.gguf", "--socket", f"{d}/s", "--no-token"],
                                 capture_output=True, text=True, timeout=20)
            self.assertEqual(os.listdir(d), [])
        self.assertEqual(got.returncode, 3)
        self.assertIn("/no/such.gguf: cannot be opened", got.stderr)
        self.assertNotIn("start=2", got.stderr)


class Watchdog(unittest.TestCase):
    def test_a_stopped_worker_is_told_and_goes_on(self):
        with Server(HEARTH, [SLOW], "--limit", "watchdog_ms=200") as server, server.client() as c:
            c.begin("generate", prompt="a", max_tokens=300, ignore_end=1, stream=1)
            c.receive()
            os.kill(worker(server), signal.SIGSTOP)
            end = time.monotonic() + 10
            while "worker_late" not in server.text() and time.monotonic() < end:
                time.sleep(0.02)
            self.assertIn("worker_late", server.text())
            os.kill(worker(server), signal.SIGCONT)
            self.assertEqual(to_the_end(c)["type"], "done")
            while "worker_answers" not in server.text() and time.monotonic() < end:
                time.sleep(0.02)
            self.assertIn("worker_answers", server.text())

    def test_a_deadline_holds_over_a_stop(self):
        with Server(HEARTH, [SLOW]) as server, server.client() as c:
            c.begin("generate", prompt="a", max_tokens=500, ignore_end=1, stream=1, timeout_ms=300)
            c.receive()
            os.kill(worker(server), signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(worker(server), signal.SIGCONT)
            m = to_the_end(c)
            self.assertEqual((m["type"], m["reason"]), ("done", 4))

    def test_one_that_hangs_is_ended_where_that_is_wanted(self):
        with Server(HEARTH, [SLOW], "--limit", "watchdog_ms=200", "--watchdog-kill", *FAST) as server:
            with server.client() as c:
                c.begin("generate", prompt="a", max_tokens=400, ignore_end=1, stream=1)
                c.receive()
                old = worker(server)
                os.kill(old, signal.SIGSTOP)
                m = to_the_end(c)
                self.assertEqual((m["type"], m.get("code")), ("error", 503))
                self.assertEqual(c.ask("health")["ok"], 1)
                self.assertNotEqual(worker(server), old)


class Drain(unittest.TestCase):
    def test_a_worker_that_died_in_a_drain_is_the_end(self):
        with Server(HEARTH, [SLOW]) as server, server.client() as c:
            c.begin("generate", prompt="a", max_tokens=400, ignore_end=1, stream=1)
            c.receive()
            old = worker(server)
            os.kill(old, signal.SIGSTOP)
            server.process.terminate()
            time.sleep(0.1)
            os.kill(old, signal.SIGKILL)
            m = to_the_end(c)
            self.assertEqual((m["type"], m["code"]), ("error", 503))
            self.assertEqual(server.process.wait(20), 0)

    def test_a_third_signal_does_not_wait_for_a_worker_that_hangs(self):
        with Server(HEARTH, [BOOKS]) as server, server.client() as c:
            os.kill(worker(server), signal.SIGSTOP)
            for _ in range(3):
                server.process.terminate()
                time.sleep(0.1)
            self.assertEqual(server.process.wait(5), 0)
            self.assertTrue(c.closed())

    def test_without_its_supervisor_no_worker_stays(self):
        with Server(HEARTH, [BOOKS]) as server, server.client():
            old = worker(server)
            server.process.kill()
            server.process.wait()
            end = time.monotonic() + 5
            while os.path.exists(f"/proc/{old}/status") and time.monotonic() < end:
                time.sleep(0.01)
            with self.assertRaises(ProcessLookupError):
                os.kill(old, 0)


class Activation(unittest.TestCase):
    """As systemd does it: the listening socket is descriptor 3, readiness is a datagram."""

    def test_a_socket_that_is_handed_in_is_used_and_left(self):
        with tempfile.TemporaryDirectory() as d, socket.socket(socket.AF_UNIX) as listener, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            listener.bind(f"{d}/s")
            listener.listen()
            notify.bind(f"{d}/notify")
            notify.settimeout(20)
            waiting = socket.socket(socket.AF_UNIX)  # before there is a server
            waiting.connect(f"{d}/s")
            sandbox = "--sandbox off" if "HEARTH_SANITIZED" in os.environ else ""
            script = (f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET={d}/notify; '
                      f'exec {HEARTH} serve --no-token {sandbox} -m {BOOKS}')
            process = subprocess.Popen(["sh", "-c", script], pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
            self.assertEqual(notify.recv(100), b"READY=1")
            waiting.close()
            with Client(f"{d}/s", token=None) as c:
                self.assertEqual(c.ask("generate", prompt="a", max_tokens=2, ignore_end=1)["reason"], 1)
            process.terminate()
            self.assertEqual(process.wait(20), 0)
            self.assertEqual(notify.recv(100), b"STOPPING=1")
            self.assertTrue(os.path.exists(f"{d}/s"), "the socket is systemd's")

    def test_without_one_the_path_is_missed(self):
        got = subprocess.run([HEARTH, "serve", "--no-token", "-m", BOOKS], capture_output=True, text=True, timeout=20,
                             env=os.environ | {"LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.assertEqual(got.returncode, 2)
        self.assertIn("--socket", got.stderr)


class Faults(unittest.TestCase):
    """faults.c preloaded: a third of the calls on sockets are interrupted, short, or fail for a while."""

    @unittest.skipUnless("HEARTH_FAULTS_LIBRARY" in os.environ, "HEARTH_FAULTS_LIBRARY is not given")
    def test_answers_are_the_same(self):
        def answers(server):
            found = []
            for version in (1, 2):
                for _ in range(4):
                    with server.client(version=version) as c:
                        own = [c.begin("generate", prompt=p, max_tokens=40, temperature=0, ignore_end=1, stream=s)
                               for s, p in enumerate(("It was", "The old man"))]
                        texts = dict.fromkeys(own, "")
                        ends = 0
                        while ends < len(own):
                            m = c.receive()
                            texts[m["id"]] += m.get("text", "")
                            ends += m["type"] in TERMINAL
                        found.append(sorted(texts.items()))
                        found.append(c.ask("tokenize", text="x y " * 5000)["tokens"])
            return found

        with Server(HEARTH, [BOOKS]) as server:
            expected = answers(server)
        for seed in (1, 2, 3):
            env = os.environ | {"LD_PRELOAD": os.environ["HEARTH_FAULTS_LIBRARY"], "HEARTH_FAULTS": str(seed)}
            with Server(HEARTH, [BOOKS], env=env) as server:
                self.assertEqual(answers(server), expected)
                old = worker(server)
                os.kill(old, signal.SIGKILL)
                next_worker(server, old)
                self.assertEqual(answers(server), expected)
                self.assertEqual(server.stop(), 0)


class Campaign(unittest.TestCase):
    """Kills at random times under load: every request ends exactly once, or with its connection."""

    def client_loop(self, server, seed, stop, counts):
        rng = random.Random(seed)
        version = 1 + seed % 2
        c, expected = None, set()
        try:
            while not stop.is_set() or expected:
                try:
                    if c is None:
                        c, finished = server.client(version=version), set()
                except Closed: # in the middle of hello
                    counts["closed"] += 1
                    continue
                while len(expected) < 3 and not stop.is_set():
                    c.id += 1
                    expected.add(c.id)
                    counts["asked"] += 1
                    try:
                        c.send("generate", id=c.id, prompt="It was", max_tokens=rng.randrange(1, 60), ignore_end=1,
                               stream=rng.randrange(2))
                    except OSError: # told by what is received
                        break
                try:
                    m = c.receive()
                except Closed:
                    c.close()
                    counts["closed"] += 1
                    counts["with_connection"] += len(expected)
                    c, expected = None, set()
                    continue
                if m["type"] not in TERMINAL:
                    self.assertIn(m["id"], expected)
                    continue
                if m["id"] in finished and m["type"] == "error" and m["code"] == 503:
                    counts["twice"] += 1  # the window of one system call: docs/wire.md
                    continue
                self.assertIn(m["id"], expected)
                expected.discard(m["id"])
                finished.add(m["id"])
                counts[m["type"]] += 1
        except Exception as e:  # noqa: BLE001
            counts["failures"].append(repr(e))
        if c:
            c.close()

    def test_kills(self):
        kills = int(os.environ.get("HEARTH_KILLS", "20"))
        rng = random.Random(7)
        with Server(HEARTH, [BOOKS], "-c", "256", *FAST) as server:
            stop, all_counts, threads = threading.Event(), [], []
            for n in range(4):
                counts = dict.fromkeys(("asked", "done", "error", "closed", "with_connection", "twice"), 0) | {"failures": []}
                all_counts.append(counts)
                threads.append(threading.Thread(target=self.client_loop, args=(server, n, stop, counts)))
                threads[-1].start()
            old = 0
            for _ in range(kills):
                old = next_worker(server, old)
                time.sleep(rng.random() * 0.25)
                os.kill(old, signal.SIGKILL)
            next_worker(server, old)
            time.sleep(0.1)
            stop.set()
            for t in threads:
                t.join(60)
                self.assertFalse(t.is_alive(), "a client still waits for an answer")
            after = sorted(int(x) for x in re.findall(r"worker_ready .*after_ms=(\d+)", server.text()))
            with server.client() as c:
                self.assertEqual(c.ask("health")["ok"], 1)
        total = {k: sum(c[k] for c in all_counts) for k in ("asked", "done", "error", "closed", "with_connection", "twice")}
        print(f"\n{kills} kills: {total}; ready again after ms: p50 {after[len(after) // 2]}, "
              f"p95 {after[len(after) * 95 // 100]}, most {after[-1]} ({len(after)} starts)", file=sys.stderr)
        self.assertEqual([c["failures"] for c in all_counts], [[]] * 4)
        self.assertEqual(total["asked"], total["done"] + total["error"] + total["with_connection"])
        self.assertGreater(total["done"], 0)


if __name__ == "__main__":
    unittest.main()
