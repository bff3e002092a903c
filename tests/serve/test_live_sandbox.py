#!/usr/bin/env python3
"""Probes from inside a worker that serves clients (live_worker.c), and what the built command can call at all.

    test_live_sandbox.py LIVE_WORKER HEARTH NM [unittest arguments]
"""
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from wire import Client, Closed, ROOT, Server  # noqa: E402

LIVE, HEARTH, NM = (sys.argv.pop(1) for _ in range(3)) if len(sys.argv) > 3 else (None,) * 3
MODEL = ROOT / "fixtures/models/books-draft-6m-q8_0.gguf"
PROBES = re.findall(r"^    X\((\w+)\)", (ROOT / "src/serve/hs_sandbox.h").read_text().split("HS_PROBES(X)")[1]
                    .split("enum hs_probe")[0], re.M)
EACCES, EPERM = 13, 1


class Live:
    def __init__(self, mode, *more):
        self.directory = tempfile.TemporaryDirectory(prefix="hearth-")
        self.path = f"{self.directory.name}/socket"
        self.process = subprocess.Popen([LIVE, str(MODEL), self.path, mode, *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=open(f"{self.directory.name}/log", "w"), bufsize=0)
        for _ in range(400):
            if os.path.exists(self.path):
                break
            time.sleep(0.05)

    def log(self):
        return pathlib.Path(f"{self.directory.name}/log").read_text()

    def client(self):
        return Client(self.path, token=None)

    def worker(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int((f.read().split() or ["0"])[0])

    def probe(self, number):
        """The error; None: the worker has ended."""
        old = self.worker()
        self.process.stdin.write(bytes([number]))
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.01)[0]:
                return self.process.stdout.read(1)[0]
            if self.worker() not in (0, old):
                return None
        raise AssertionError("no result and no end:\n" + self.log())

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close(), self.process.stdout.close()
        self.directory.cleanup()


def says(c):
    return c.ask("generate", prompt="It was", max_tokens=8, temperature=0)["text"]


class Probes(unittest.TestCase):
    def test_each_ends_the_worker_and_the_next_one_serves(self):
        with Live("kill") as live, live.client() as c:
            text = says(c)
            for number, name in enumerate(PROBES):
                with self.subTest(name):
                    c.begin("generate", prompt="a", max_tokens=1)  # and something to say to it
                    c.receive()
                    time.sleep(0.05)
                    result = live.probe(number)
                    if name in ("open_read", "open_write"):  # which libraries try, and so are refused
                        self.assertEqual(result, EACCES)
                    else:
                        self.assertIsNone(result)
                        self.assertIn("a system call that syscalls.def does not list", live.log())
                    self.assertEqual(says(c), text)  # on the same connection
            deaths = live.log().count(f"signal={int(signal.SIGSYS)} ")
            self.assertEqual(deaths, len(PROBES) - 2)

    def test_for_development_each_is_refused_and_the_worker_goes_on(self):
        with Live("errno") as live, live.client() as c:
            text, worker = says(c), live.worker()
            for number, name in enumerate(PROBES):
                with self.subTest(name):
                    self.assertEqual(live.probe(number), EACCES if name.startswith("open_") else EPERM)
                    self.assertEqual(says(c), text)
            self.assertEqual(live.worker(), worker)

    def test_these_would_get_through_without_a_sandbox(self):
        with Live("off") as live, live.client() as c:
            text = says(c)
            for name in ("socket_inet", "open_read", "open_write", "fork", "mmap_exec", "mprotect_exec"):
                self.assertEqual(live.probe(PROBES.index(name)), 0, name)
            self.assertEqual(says(c), text)

    def test_what_proc_says_of_a_worker(self):
        with Server(HEARTH, [f"{MODEL},books"]) as server, server.client() as c:
            c.ask("health")
            (worker,) = server.workers()
            for task in os.listdir(f"/proc/{worker}/task"):
                status = pathlib.Path(f"/proc/{worker}/task/{task}/status").read_text()
                for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"):
                    self.assertIn(line + "\n", status)
            self.assertIn("event=sandbox level=", server.text())

    def test_without_supervisor_it_is_closed_too(self):
        with Server(HEARTH, [f"{MODEL},books"], "--no-supervisor") as server, server.client() as c:
            self.assertEqual(c.ask("health")["ok"], 1)
            self.assertIn("Seccomp:\t2\n", pathlib.Path(f"/proc/{server.pid}/status").read_text())
            self.assertEqual(len(says(c)) > 0, True)
            server.process.terminate()
            self.assertEqual(server.process.wait(20), 0)

    def test_a_mode_that_is_none_is_refused(self):
        for mode, code in (("full", 2), ("", 2)):
            got = subprocess.run([HEARTH, "serve", "-m", str(MODEL), "--socket", "/tmp/none", "--no-token", "--sandbox",
                                  mode], capture_output=True, text=True)
            self.assertEqual(got.returncode, code)
            self.assertIn("on, require and off are accepted", got.stderr)


class Files(unittest.TestCase):
    def test_a_file_that_shrinks_ends_the_worker_not_the_server(self):
        """hardening G-36: the pages behind the new end are gone; reading them is SIGBUS."""
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"x" * (1 << 20))
            f.flush()
            with Live("kill", f.name) as live, live.client() as c:
                text = says(c)
                self.assertEqual(live.probe(255), ord("x"))
                f.truncate(4096)
                self.assertIsNone(live.probe(255))
                self.assertIn(f"signal={int(signal.SIGBUS)} ", live.log())
                self.assertEqual(says(c), text)


class Symbols(unittest.TestCase):
    """What cannot be called is not linked. The kernel's filter is the wall; this shows nobody leans on it."""

    RESOLVER = re.compile(r"^(getaddrinfo|gethostby\w+|getnameinfo|res_\w+|ns_\w+|getservby\w+|gai_\w+|dn_\w+)$")

    def undefined(self, path):
        out = subprocess.run([NM, "-A", "--undefined-only", path], check=True, capture_output=True, text=True).stdout
        for line in out.splitlines():
            m = re.search(r"([^:/]+):\s+U (\w+)", line)
            if m:
                yield m[1], m[2]

    def test_no_resolver_and_no_program_is_started(self):
        build = pathlib.Path(HEARTH).parent
        seen = 0
        for library in ("libhearth.a", "libhearth_serve.a"):
            for obj, name in self.undefined(build / library) if (build / library).exists() else ():
                seen += 1
                self.assertNotRegex(name, self.RESOLVER, f"{obj} of {library}")
                self.assertNotIn(name, ("execve", "execv", "execvp", "execl", "execlp", "system", "popen", "posix_spawn",
                                        "posix_spawnp", "inet_pton", "inet_addr"), f"{obj} of {library}")
                if name == "dlopen":  # the HTTP library, where it is asked for, before the door is closed
                    self.assertEqual(obj, "http_library.c.o")
                if name in ("socket", "connect", "bind", "listen"):
                    self.assertEqual((library, obj), ("libhearth_serve.a", "listen.c.o"), name)
        self.assertGreater(seen, 100)
        for _, name in self.undefined(HEARTH):
            self.assertNotRegex(name, self.RESOLVER, "hearth")

    def test_sockets_are_unix_sockets(self):
        for source in [*ROOT.glob("src/**/*.c"), *ROOT.glob("tools/*.c")]:
            text = source.read_text()
            if source.name != "probe.c":  # which tries one, to see that it fails
                self.assertNotRegex(text, r"\b(AF|PF)_(INET6?|PACKET|NETLINK)\b", source)
            for m in re.finditer(r"(?<!\w)socket(?:pair)?\((\w+),", text):
                self.assertIn(m[1], ("AF_UNIX", "int"), source)


if __name__ == "__main__":
    unittest.main()
