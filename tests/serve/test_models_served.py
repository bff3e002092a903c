#!/usr/bin/env python3
"""A running server's models, guards, filter, figures and log: hardening rows M, J-03, J-04, T-10 and section 13, rows 8, 9.

    test_models_served.py HEARTH [unittest arguments]
"""
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from wire import Client, Closed, ROOT, Server  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
DRAFT = MODELS / "books-draft-6m-q8_0.gguf"
BOOKS = f"{DRAFT},books"


def sha(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Directory:
    """A directory of models and its manifest."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="hearth-models-")
        self.path = pathlib.Path(self.directory.name)
        self.rows = []
        self.copy(DRAFT, "draft.gguf")
        self.copy(MODELS / "tinybert-classifier-int8.onnx", "mood.onnx")
        self.copy(MODELS / "vocab.txt", "vocab.txt")
        (self.path / "config.json").write_text('{"id2label": {"0": "bad", "1": "good"}}')

    def copy(self, source, name):
        shutil.copy(source, self.path / name)

    def part(self, name):
        return {"file": name, "sha256": sha(self.path / name), "size": (self.path / name).stat().st_size}

    def row(self, name, file="draft.gguf", kind="generate", **more):
        row = {"name": name, "kind": kind, **self.part(file), **more}
        self.rows = [r for r in self.rows if r["name"] != name] + [row]
        return row

    def text(self, name="draft", **more):
        return self.row(name, **{"context": 256, "sequences": 2, "batch": 64, **more})

    def mood(self, **more):
        return self.row("mood", "mood.onnx", "classify", tokenizer=self.part("vocab.txt"),
                        labels=self.part("config.json"), memory=64 << 20, **more)

    def write(self, text=None):
        (self.path / "manifest.json").write_text(text or json.dumps({"version": 1, "models": self.rows}))
        return self

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.directory.cleanup()


def states(client):
    return {m["name"]: m["state"] for m in client.ask("models").get("items", [])}


def until(client, name, state, seconds=30):
    end = time.monotonic() + seconds
    while states(client).get(name) != state:
        if time.monotonic() > end:
            raise AssertionError(f"{name}: {states(client)}, not {state}: {client.ask('health', kind=2)['body']}")
        time.sleep(0.05)


LOAD, UNLOAD, PIN, UNPIN = 1, 2, 3, 4


class Models(unittest.TestCase):
    def test_a_manifest_is_served(self):
        with Directory() as d:
            d.text(preload=True, licence="MIT")
            d.mood()
            d.write()
            with Server(HEARTH, [], "--models", d.path, "--limit", "rate=0") as server, server.client() as c:
                self.assertEqual(states(c), {"draft": "loaded", "mood": "absent"})
                m = {m["name"]: m for m in c.ask("models")["items"]}
                self.assertEqual(m["draft"]["sha256"], sha(DRAFT))
                self.assertEqual((m["draft"]["licence"], m["draft"]["bytes"]), ("MIT", DRAFT.stat().st_size))
                self.assertEqual(c.ask("generate", prompt="Once", max_tokens=4, model="draft")["type"], "done")
                # a request brings it, and is told to come again
                e = c.ask("classify", model="mood", texts=["A joy."])
                self.assertEqual((e["type"], e["code"]), ("error", 503))
                self.assertGreater(e["retry_ms"], 0)
                until(c, "mood", "loaded")
                a = c.ask("classify", model="mood", texts=["A joy."])
                self.assertEqual({x["name"] for x in a["items"][0]["labels"]}, {"bad", "good"})
                self.assertEqual(c.ask("manage", model="draft", action=UNLOAD)["type"], "model_list")
                until(c, "draft", "absent")
                self.assertEqual(c.ask("manage", model="draft", action=LOAD)["type"], "model_list")
                until(c, "draft", "loaded")
                self.assertEqual(c.ask("generate", prompt="Once", max_tokens=4, model="draft")["type"], "done")
                for name in ("nobody", "../draft", "", "a\nb", "x" * 5000):
                    self.assertIn(c.ask("manage", model=name, action=LOAD)["code"], (400, 404, 413), name)

    def test_files_that_are_not_what_the_manifest_says(self):
        with Directory() as d:
            good = d.text("good")
            for name, change in (("hash", {"sha256": "0" * 64}), ("size", {"size": 5}), ("none", {"file": "nothing"}),
                                 ("up", {"file": "../draft.gguf"}), ("root", {"file": "/etc/passwd"}),
                                 ("link", {"file": "link.gguf"}), ("linkdir", {"file": "dir/draft.gguf"}),
                                 ("upper", {"sha256": good["sha256"].upper()}), ("hard", {"file": "hard.gguf"}),
                                 ("fifo", {"file": "fifo"}), ("kind", {"kind": "embed"})):
                d.rows.append({**good, "name": name, **change})
            (d.path / "link.gguf").symlink_to("draft.gguf")
            (d.path / "dir").symlink_to(".")
            os.link(d.path / "draft.gguf", d.path / "hard.gguf")
            os.mkfifo(d.path / "fifo")
            d.write()
            for options in ((), ("--no-supervisor", "--sandbox", "off")):
                with Server(HEARTH, [BOOKS], "--models", d.path, "--limit", "rate=0", *options) as server, server.client() as c:
                    for r in d.rows:
                        c.ask("manage", model=r["name"], action=LOAD)
                        until(c, r["name"], "loaded" if r["name"] in ("good", "upper", "hard") else "failed")
                    told = {m["name"]: m.get("error", "") for m in json.loads(c.ask("health", kind=2)["body"])["registry"]}
                    self.assertIn("sha256", told["hash"])
                    self.assertIn("the manifest says 5", told["size"])
                    self.assertIn("path down", told["up"])
                    self.assertIn("link", told["link"])
                    self.assertIn("link", told["linkdir"])
                    self.assertEqual(c.ask("generate", model="hash", prompt="x", max_tokens=1)["code"], 404)
                    self.assertEqual(c.ask("generate", model="books", prompt="x", max_tokens=1)["type"], "done")

    def test_a_swap_drops_nothing(self):
        with Directory() as d:
            d.text(preload=True)
            d.write()
            with Server(HEARTH, [], "--models", d.path, "--limit", "rate=0") as server, server.client() as c:
                answers, stop = [], threading.Event()

                def ask():
                    with server.client() as own:
                        while not stop.is_set():
                            answers.append(own.ask("generate", prompt="Once upon", max_tokens=16, ignore_end=1,
                                                   model="draft", temperature=0))

                askers = [threading.Thread(target=ask) for _ in range(4)]
                for t in askers:
                    t.start()
                for i in range(4):
                    d.text(preload=True, context=256 + 16 * (i + 1))
                    d.write()
                    before = json.loads(c.ask("health", kind=2)["body"])["registry"][0]["loads"]
                    c.ask("manage", model="draft", action=LOAD)
                    end = time.monotonic() + 30
                    while json.loads(c.ask("health", kind=2)["body"])["registry"][0]["loads"] == before:
                        self.assertLess(time.monotonic(), end)
                        time.sleep(0.02)
                stop.set()
                for t in askers:
                    t.join()
                self.assertGreater(len(answers), 8)
                self.assertEqual({(a["type"], a.get("text")) for a in answers}, {("done", answers[0]["text"])})

    def test_cycles_of_load_and_unload_with_requests_leave_nothing(self):
        with Directory() as d:
            d.text()
            d.mood()
            d.write()
            with Server(HEARTH, [], "--models", d.path, "--limit", "rate=0", "--limit", "queue=64") as server:
                with server.client() as c, server.client() as busy:
                    baseline = None
                    for cycle in range(25):
                        for name in ("draft", "mood"):
                            c.ask("manage", model=name, action=LOAD)
                            until(c, name, "loaded")
                        ids = [busy.begin("generate", model="draft", prompt="a", max_tokens=8, ignore_end=1)
                               for _ in range(6)]
                        for name in ("draft", "mood"):
                            c.ask("manage", model=name, action=UNLOAD)
                        ends = []
                        while len(ends) < len(ids):
                            m = busy.receive()
                            ends.append((m["id"], m["type"]))
                        self.assertEqual(sorted(i for i, _ in ends), ids)
                        for name in ("draft", "mood"):
                            until(c, name, "absent")
                        now = (server.fds(), server.status("Threads"))
                        if cycle == 4:
                            baseline, rss = now, server.status("VmRSS")
                    self.assertEqual(now, baseline)
                    if b"__asan_init" not in HEARTH.read_bytes():  # which keeps what was freed
                        self.assertLess(server.status("VmRSS"), rss + 4096)

    def test_idle_models_leave_and_pinned_ones_stay(self):
        with Directory() as d:
            d.text("idle", idle_s=1, preload=True)
            d.text("kept", idle_s=1, preload=True, pinned=True)
            d.write()
            with Server(HEARTH, [], "--models", d.path, "--limit", "rate=0") as server, server.client() as c:
                until(c, "idle", "absent", 10)
                self.assertEqual(states(c)["kept"], "loaded")
                c.ask("manage", model="kept", action=UNPIN)
                until(c, "kept", "absent", 10)

    def test_manifests_that_are_refused_end_the_start(self):
        with Directory() as d:
            row = json.dumps(d.text())
            for text, says in (("{", "line 1"), ('{"version": 1, "models": [], "x": 1}', '"x"'),
                               ('{"version": 1, "models": [%s, %s]}' % (row, row), "twice"),
                               ('{"version": 1, "models": [{"name": "a/b"}]}', "name"),
                               ("\ufeff{}", "byte order mark"), (" " * (2 << 20), "bytes")):
                d.write(text)
                r = subprocess.run([HEARTH, "serve", "--models", d.path, "--socket", d.path / "s", "--no-token"],
                                   stderr=subprocess.PIPE, timeout=60)
                self.assertNotEqual(r.returncode, 0, text[:40])
                self.assertIn(says, r.stderr.decode(), text[:40])
            r = subprocess.run([HEARTH, "serve", "--models", d.path / "nothing", "--socket", d.path / "s", "--no-token"],
                               stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(r.returncode, 3)

    def test_a_directory_that_anybody_writes_to_is_told(self):
        with Directory() as d:
            d.text()
            d.write()
            d.path.chmod(0o777)
            link = pathlib.Path(str(d.path) + "-link")
            link.symlink_to(d.path)
            try:
                with Server(HEARTH, [BOOKS], "--models", link, "--limit", "rate=0") as server, server.client() as c:
                    self.assertIn("anybody", server.text())
                    self.assertIn("a link", server.text())
                    link.unlink()  # the directory is the one that was opened
                    c.ask("manage", model="draft", action=LOAD)
                    until(c, "draft", "loaded")
            finally:
                link.unlink(missing_ok=True)


class Guards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(HEARTH, [BOOKS], "-c", "512", "--limit", "rate=0")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_j04_parameters(self):
        bad = [{"temperature": v} for v in (-1.0, 2.001, 1e38, math.nan, math.inf, -math.inf)]
        bad += [{"top_p": v} for v in (0.0, -0.1, 1e-38, 1.01, math.nan)] + [{"min_p": v} for v in (-0.1, 1.0, math.nan)]
        bad += [{"repeat_penalty": v} for v in (0.0, -1.0, 1e30)] + [{"presence_penalty": v} for v in (1e30, math.nan)]
        bad += [{"top_k": 2 ** 31}, {"max_tokens": 0}, {"max_tokens": 2 ** 31}, {"priority": 4}, {"timeout_ms": 0},
                {"stop": [""]}, {"stop": ["x"] * 17}, {"stop": ["x"] * 10000}, {"stop": ["x" * 257]},
                {"stop": ["x" * (1 << 20)]}, {"stream": 2}, {"grammar": ""}, {"model": ""}]
        good = [{"temperature": v} for v in (0.0, 1e-38, 1e-45, 2.0)]
        good += [{"top_k": 0}, {"top_k": 16384}, {"top_k": 2 ** 31 - 1}, {"top_p": 1.0}, {"top_p": 1e-8},
                 {"seed": 0}, {"seed": 2 ** 64 - 1}, {"stop": []}, {"stop": ["x" * 256] * 16}, {"repeat_penalty": 1000.0}]
        for version in (1, 2):
            with self.server.client(version=version) as c:
                for fields in bad:
                    if version == 1 and any(isinstance(v, float) and not math.isfinite(v) for v in fields.values()):
                        continue  # JSON has no such numbers
                    m = c.ask("generate", prompt="x", **{"max_tokens": 1, **fields})
                    self.assertEqual(m["type"], "error", fields)
                    self.assertIn(m["code"], (400, 413), fields)
                    if "model" not in fields:
                        self.assertIn(next(iter(fields)), m["message"])
                for fields in good:
                    if version == 1:  # whole numbers above 2^53 are texts there
                        fields = {k: str(v) if isinstance(v, int) and v > 2 ** 53 else v for k, v in fields.items()}
                    m = c.ask("generate", prompt="x", **{"max_tokens": 1, **fields})
                    self.assertEqual(m["type"], "done", (fields, m))

    def test_lengths_at_their_limits(self):
        with self.server.client() as c:
            for n, code in ((65536, 413), (65537, 413)):  # 64 KiB of text are more tokens than the context takes
                m = c.ask("generate", prompt="a" * n, max_tokens=1)
                self.assertEqual(m["code"], code)
                self.assertEqual("bytes" in m["message"], n > 65536, m)
            self.assertEqual(c.ask("tokenize", text="a" * 65536)["type"], "tokenized")
            self.assertEqual(c.ask("tokenize", text="a" * 65537)["code"], 413)
            self.assertEqual(c.ask("generate", prompt="", max_tokens=1)["code"], 400)
            self.assertEqual(c.ask("generate", max_tokens=1)["code"], 400)
            self.assertEqual(c.ask("generate", prompt="a", prompt_tokens=[1], max_tokens=1)["code"], 400)

    def test_multi_byte_prompts_at_the_limit(self):
        """Section 13, row 9: bytes are bytes, tokens are tokens, and no character is split."""
        with self.server.client() as c:
            m = c.ask("tokenize", text="\u20ac" * 21845)  # 65535 bytes
            self.assertEqual(m["type"], "tokenized")
            self.assertEqual(c.ask("tokenize", text="\u20ac" * 21846)["code"], 413)
            tokens = c.ask("tokenize", text="\u20ac" * 100)["tokens"]
            self.assertLess(len(tokens), 512)
            self.assertEqual(c.ask("generate", prompt="\u20ac" * 100, max_tokens=2)["type"], "done")

    def raw(self, c, text):
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        c.raw(struct.pack("<I", len(data)) + data)
        return c.receive()

    def test_j03_json_that_is_refused(self):
        base = '{"type": "generate", "id": 5, "prompt": "x", "max_tokens": 1'
        cases = [base + ', "stop": ' + "[" * 10000 + "]" * 10000 + "}", base + ', "prompt": "y"}', base + ', "min_p": 1e999}',
                 base + ', "seed": -1}', base + ', "seed": 1.5}', base + ', "seed": 18446744073709551616}',
                 base + ', "model": "\\ud800"}', base + ', "stream": true}', base + ', "stream": null}', base + "} x",
                 base, base + ', "unknown": 1}', base + ', "temperature": "0"}', b'{"type": "generate", "id": 5, "prompt": "\xff"}',
                 '{"type": "nothing", "id": 5}', '{"id": 5}', '{"type": 5}', "{", "{}", '{"type": "generate", "id": 1e3}',
                 base + ', "stop": {"a": 1}}', base + ', "prompt_tokens": [1, -1]}', base + ', "prompt_tokens": [4294967296]}']
        with self.server.client(version=1) as c:
            for text in cases:
                m = self.raw(c, text)
                self.assertEqual((m["type"], m["code"]), ("error", 400), (text[:80], m))
                self.assertTrue(m["message"])
                self.assertEqual(c.ask("generate", prompt="x", max_tokens=1)["type"], "done")  # it goes on
            m = self.raw(c, base + ', "temperature": -0, "seed": 9007199254740993}')
            self.assertEqual((m["type"], int(m["seed"])), ("done", 9007199254740993))
            m = self.raw(c, base + ', "seed": "9007199254740993"}')
            self.assertEqual(int(m["seed"]), 9007199254740993)
            m = self.raw(c, '{"type": "generate", "id": 6, "prompt": "a\\u0000b", "max_tokens": 1}')
            self.assertIn(m["type"], ("done", "error"))
        with self.server.client(version=1) as c:  # 64 MiB: nothing of it is read
            c.raw(struct.pack("<I", 64 << 20))
            self.assertEqual(c.receive()["code"], 413)
        with self.server.client() as c:
            self.assertEqual(c.ask("generate", prompt="x", max_tokens=1)["type"], "done")

    def test_errors_are_encoded_whatever_is_in_them(self):
        """Section 13, row 7."""
        for version in (1, 2):
            with self.server.client(version=version) as c:
                for name in ('a"b', "a\\b", "a\nb", "\u2028", "%s%n"):
                    m = c.ask("generate", model=name, prompt="x", max_tokens=1)
                    self.assertEqual((m["type"], m["code"]), ("error", 404))


WORDS = ["the", "and", "he", "of", "Stra\u00dfe", "caf\u00e9", "was", "\u0130x", "in", "to", "a"]


def folded(text):
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


class Filter(unittest.TestCase):
    def setUp(self):
        self.list = tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False)
        self.list.write("\n".join(WORDS) + "\r\n\n")
        self.list.close()

    def tearDown(self):
        os.unlink(self.list.name)

    def test_nothing_blocked_comes_out(self):
        words = [folded(w) for w in WORDS]
        with Server(HEARTH, [BOOKS], "-c", "256", "--blocklist", self.list.name, "--replacement", "#",
                    "--limit", "rate=0") as server:
            found = 0
            for version in (1, 2):
                with server.client(version=version) as c:
                    for seed in range(20):
                        fields = {"prompt": "It was", "max_tokens": 60, "temperature": 1.2, "seed": seed, "ignore_end": 1}
                        whole = c.ask("generate", **fields)
                        streamed = c.ask("generate", stream=1, **fields)
                        text = "".join(m.get("text", "") for m in streamed["chunks"])
                        self.assertEqual(text, whole["text"])
                        self.assertEqual(sum(len(m["tokens"]) for m in streamed["chunks"]), 0)  # ids would tell
                        self.assertFalse(whole.get("tokens"))
                        self.assertEqual([w for w in words if w in folded(text)], [])
                        found += text.count("#")
            self.assertGreater(found, 100)

    def test_a_word_may_end_the_answer(self):
        with Server(HEARTH, [BOOKS], "-c", "256", "--blocklist", self.list.name, "--block-stops") as server, \
                server.client() as c:
            reasons = set()
            for seed in range(10):
                m = c.ask("generate", prompt="It was", max_tokens=60, temperature=1.0, seed=seed, ignore_end=1)
                self.assertEqual([w for w in WORDS if folded(w) in folded(m["text"])], [])
                self.assertNotIn("***", m["text"])
                reasons.add(m["reason"])
            self.assertIn(5, reasons)
            self.assertEqual(c.ask("generate", prompt="x", max_tokens=1)["type"], "done")

    def test_words_may_be_kept_out(self):
        with Server(HEARTH, [BOOKS], "-c", "256", "--block-input", self.list.name) as server, server.client() as c:
            for text in ("STRASSE", "Cafe\u0301", "cAF\u00c9"):  # section 13, row 8
                self.assertEqual(c.ask("generate", prompt=f"xx {text}!", max_tokens=1)["code"], 400, text)
            self.assertEqual(c.ask("generate", prompt="xyz", max_tokens=1)["type"], "done")

    def test_length_in_characters(self):
        with Server(HEARTH, [BOOKS], "-c", "256", "--limit", "answer_chars=20") as server, server.client() as c:
            for stream in (0, 1):
                m = c.ask("generate", prompt="It was", max_tokens=100, temperature=0, ignore_end=1, stream=stream)
                text = m["text"] if not stream else "".join(x.get("text", "") for x in m["chunks"])
                self.assertEqual((len(text), m["reason"]), (20, 1))
                self.assertLess(m["generated_tokens"], 40)


class Figures(unittest.TestCase):
    def test_metrics_health_and_log(self):
        with Server(HEARTH, [BOOKS], "-c", "256", "--log", "info") as server, server.client() as c:
            for _ in range(3):
                c.ask("generate", prompt="Whispered secretly", max_tokens=8, ignore_end=1)
            c.ask("generate", prompt="", max_tokens=8)
            text = c.ask("metrics", prometheus=1)["body"]
            values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
            self.assertEqual(values['hearth_requests_total{message="generate",result="length"}'], "3")
            self.assertEqual(values['hearth_requests_total{message="generate",result="error_400"}'], "1")
            self.assertEqual(values["hearth_generated_tokens_total"], "24")
            self.assertGreater(int(values["hearth_resident_bytes"]), 1 << 20)
            self.assertEqual(values["hearth_connections"], "1")
            for line in text.splitlines():
                self.assertRegex(line, r'^(# (HELP|TYPE) hearth_\w+ .*|hearth_\w+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.e]+)$')
            full = json.loads(c.ask("health", kind=2)["body"])
            self.assertIn(full["sandbox_level"], ("none", "partial", "full"))
            self.assertEqual(full["sandbox"]["level"], full["sandbox_level"])
            self.assertEqual(full["limits"]["queue"], 256)
            self.assertEqual(full["latency_ms"]["request"]["n"], 3)
            self.assertEqual(full["models"][0]["name"], "books")
            self.assertEqual(c.ask("health", kind=1)["ok"], 1)
            log = server.text()
            self.assertEqual(len(re.findall(r"event=request .*answer=done", log)), 3)
            self.assertNotIn("hispered", log)

    def test_strangers_learn_nothing(self):
        with Server(HEARTH, [BOOKS], "-c", "256") as server:
            with server.client(token=None) as c:
                m = c.ask("health")
                self.assertEqual((m["ok"], m.get("body")), (1, None))
                self.assertEqual(c.ask("health", kind=2)["code"], 401)

    def test_the_client_command_reads_it(self):
        with Server(HEARTH, [BOOKS], "-c", "256") as server:
            args = ["--socket", server.path, "--token-file", pathlib.Path(server.directory.name) / "token"]
            r = subprocess.run([HEARTH, "client", *args, "status"], stdout=subprocess.PIPE, timeout=60)
            self.assertEqual(r.returncode, 0)
            self.assertIn(b"books", r.stdout)
            r = subprocess.run([HEARTH, "client", *args, "metrics", "--prometheus"], stdout=subprocess.PIPE, timeout=60)
            self.assertIn(b"# TYPE hearth_requests_total counter", r.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
