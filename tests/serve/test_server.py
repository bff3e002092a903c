#!/usr/bin/env python3
"""A real server process over its socket: the conversation, every kind of request, streams, cancelling.

    test_server.py HEARTH [unittest arguments]
"""
import os
import pathlib
import socket
import stat
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from wire import Client, Closed, ROOT, Server  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
BOOKS = f"{MODELS}/books-draft-6m-q8_0.gguf,books"
CLASSIFIER = f"{MODELS}/tinybert-classifier-int8.onnx,mood"
EMBEDDER = f"{MODELS}/sentence-embedder-int8.onnx,sentences"


class Conversation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(HEARTH, [BOOKS, CLASSIFIER, EMBEDDER], "-c", "512")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_the_socket_is_for_its_owner_alone(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.server.path).st_mode), 0o600)

    def test_each_version_answers_alike(self):
        answers = []
        for version in (1, 2):
            with self.server.client(version=version) as c:
                self.assertEqual(c.welcome["version"], version)
                self.assertEqual(len(c.welcome["session"]), 64)
                answers.append(c.ask("generate", prompt="The old man", max_tokens=12, temperature=0))
        for key in ("text", "tokens", "reason", "prompt_tokens", "generated_tokens"):
            self.assertEqual(answers[0][key], answers[1][key])
        self.assertEqual(answers[0]["reason"], 1)
        self.assertEqual(len(answers[0]["tokens"]), 12)

    def test_streams_say_what_whole_answers_say(self):
        with self.server.client() as c:
            whole = c.ask("generate", prompt="It was", max_tokens=20, temperature=0.8, seed=7)
            streamed = c.ask("generate", prompt="It was", max_tokens=20, temperature=0.8, seed=7, stream=1)
            self.assertEqual("".join(m.get("text", "") for m in streamed["chunks"]), whole["text"])
            self.assertEqual([t for m in streamed["chunks"] for t in m["tokens"]], whole["tokens"])
            self.assertEqual([m["index"] for m in streamed["chunks"]], list(range(len(streamed["chunks"]))))
            self.assertNotIn("text", streamed)
            self.assertEqual(streamed["seed"], 7)

    def test_seeds_differ_unless_given(self):
        with self.server.client() as c:
            seeds = {c.ask("generate", prompt="a", max_tokens=1)["seed"] for _ in range(4)}
        self.assertEqual(len(seeds), 4)

    def test_encoders_and_tokenizer(self):
        with self.server.client() as c:
            a = c.ask("classify", model="mood", texts=["I love it", "I hate it"])
            self.assertEqual(a["type"], "classified")
            self.assertEqual(len(a["items"]), 2)
            for item in a["items"]:
                self.assertAlmostEqual(sum(x["score"] for x in item["labels"]), 1, 5)
            one = c.ask("classify", model="mood", texts=["I hate it"])
            self.assertEqual(one["items"][0], a["items"][1])
            v = c.ask("embed", model="sentences", texts=["a", "a cat sat"])
            self.assertAlmostEqual(sum(x * x for x in v["items"][1]["values"]), 1, 5)
            ids = c.ask("tokenize", text="The old man")["tokens"]
            by_ids = c.ask("generate", prompt_tokens=ids, max_tokens=4, temperature=0)
            by_text = c.ask("generate", prompt="The old man", max_tokens=4, temperature=0)
            self.assertEqual(by_ids["text"], by_text["text"])

    def test_chat_is_answered_or_says_why_not(self):
        with self.server.client() as c:
            a = c.ask("chat", turns=[{"role": "user", "content": "Hi"}], max_tokens=4)
            self.assertIn(a["type"], ("done", "error"))

    def test_health_models_and_unknown_ones(self):
        with self.server.client() as c:
            self.assertEqual(c.ask("health")["ok"], 1)
            self.assertEqual(c.ask("health", kind=1)["ok"], 1)
            names = {m["name"]: m["kind"] for m in c.ask("models")["items"]}
            self.assertEqual(names, {"books": "generate", "mood": "classify", "sentences": "embed"})
            self.assertEqual(c.ask("generate", model="nobody", prompt="a")["code"], 404)
            self.assertEqual(c.ask("classify", model="books", texts=["a"])["code"], 400)

    def test_cancel_ends_a_stream(self):
        with self.server.client() as c:
            own = c.begin("generate", prompt="a", max_tokens=400, ignore_end=1, stream=1)
            for _ in range(3):
                self.assertEqual(c.receive()["type"], "chunk")
            c.send("cancel", id=own)
            while (m := c.receive())["type"] == "chunk":
                pass
            self.assertEqual((m["type"], m["reason"]), ("done", 3))
            self.assertLess(m["generated_tokens"], 400)

    def test_a_deadline_ends_with_what_there_is(self):
        with self.server.client() as c:
            a = c.ask("generate", prompt="a", max_tokens=500, ignore_end=1, timeout_ms=50)
            self.assertEqual((a["type"], a["reason"]), ("done", 4))

    def test_a_wrong_token_is_refused(self):
        with self.assertRaises(Closed) as e:
            self.server.client(token="0123456789abcdef-wrong.")
        self.assertEqual(e.exception.args[0]["code"], 401)

    def test_without_a_token_only_health(self):
        with self.server.client(token=None) as c:
            self.assertEqual(c.welcome["session"], "")
            self.assertEqual(c.ask("health")["ok"], 1)
            self.assertEqual(c.ask("models")["code"], 401)
            self.assertTrue(c.closed())


class Company(unittest.TestCase):
    def test_a_long_prompt_keeps_nobody_waiting_for_its_end(self):
        model = f"{MODELS}/books-33m-q4_k_m.gguf,large"
        with Server(HEARTH, [model], "-c", "2048", "-t", "1", "--limit", "rate=0", "--limit", "step_ms=20") as server:
            with server.client() as long, server.client() as other:
                long.ask("generate", prompt="a " * 500, max_tokens=1)  # steps are measured now
                start = time.monotonic()
                long.begin("generate", prompt="The old man and the sea. " * 200, max_tokens=2, ignore_end=1,
                           timeout_ms=600000)
                took, gaps = 0, []
                long.socket.setblocking(False)
                while not took:
                    before = time.monotonic()
                    self.assertEqual(other.ask("health")["ok"], 1)
                    gaps.append(time.monotonic() - before)
                    try:
                        if long.socket.recv(1, socket.MSG_PEEK):
                            took = time.monotonic() - start
                    except BlockingIOError:
                        pass
                long.socket.setblocking(True)
                self.assertEqual(long.receive()["reason"], 1)
        self.assertGreater(len(gaps), 5)
        self.assertLess(sorted(gaps)[len(gaps) // 2], took / 5, (took, gaps))
        print(f"prompt of {took:.2f} s; {len(gaps)} answers meanwhile, median {sorted(gaps)[len(gaps) // 2] * 1e3:.1f} "
              f"ms, longest {max(gaps) * 1e3:.1f} ms", file=sys.stderr)

    def test_priorities_go_first(self):
        with Server(HEARTH, [BOOKS], "-c", "256", "--parallel", "1") as server, server.client() as c:
            c.begin("generate", prompt="a", max_tokens=200, ignore_end=1, stream=1)
            c.receive()  # it runs
            order = [c.begin("generate", prompt="a", max_tokens=1, priority=p) for p in (0, 1, 2, 3, 0, 3)]
            ends = []
            while len(ends) < 7:
                m = c.receive()
                if m["type"] == "done":
                    ends.append(m["id"])
            self.assertEqual(ends[1:], [order[i] for i in (3, 5, 2, 1, 0, 4)])

    def test_a_small_request_does_not_wait_for_a_large_one(self):
        with Server(HEARTH, [CLASSIFIER], "--limit", "step_ms=5") as server:
            with server.client() as large, server.client() as small:
                large.begin("classify", texts=["It was a good film, and long. " * 4] * 32, timeout_ms=600000)
                one = small.ask("classify", texts=["It was a bad film"])
                self.assertEqual(one["type"], "classified")
                large.socket.setblocking(False)
                with self.assertRaises(BlockingIOError):
                    large.socket.recv(1)
                large.socket.setblocking(True)
                self.assertEqual(len(large.receive()["items"]), 32)

    def test_texts_that_are_too_long(self):
        with Server(HEARTH, [CLASSIFIER]) as server, server.client() as c:
            text = "word " * 2000
            self.assertEqual(c.ask("classify", texts=[text])["code"], 413)
            item = c.ask("classify", texts=[text], truncate=1)["items"][0]
            self.assertEqual(item["truncated"], 1)
            self.assertEqual(c.ask("classify", texts=["a"] * 33)["code"], 413)
            self.assertEqual(len(c.ask("classify", texts=["a"] * 32)["items"]), 32)

    def test_texts_at_the_edge_of_the_context(self):
        with Server(HEARTH, [BOOKS], "-c", "64") as server, server.client() as c:
            full = c.ask("generate", prompt_tokens=[5] * 60, max_tokens=100, ignore_end=1)
            self.assertEqual((full["reason"], full["generated_tokens"]), (2, 4))
            exact = c.ask("generate", prompt_tokens=[5] * 60, max_tokens=4, ignore_end=1)
            self.assertEqual((exact["reason"], exact["generated_tokens"]), (1, 4))
            self.assertEqual(c.ask("generate", prompt_tokens=[5] * 63, max_tokens=9, ignore_end=1)["reason"], 2)
            for n in (64, 65, 1000):
                m = c.ask("generate", prompt_tokens=[5] * n, max_tokens=1)
                self.assertEqual(m["code"], 413)
                self.assertIn(str(n), m["message"])
                self.assertIn("64", m["message"])

    def test_constrained_texts_and_stops(self):
        with Server(HEARTH, [BOOKS], "-c", "128") as server, server.client() as c:
            m = c.ask("generate", prompt="a", max_tokens=20, grammar='root ::= "yes" | "no"')
            self.assertIn(m["text"], ("yes", "no"))
            for _ in range(2):
                self.assertEqual(c.ask("generate", prompt="a", grammar="root ::= (")["code"], 400)
            for i in range(80):  # more than are kept, some of them again
                m = c.ask("generate", prompt="a", max_tokens=20, grammar=f'root ::= "n{i % 50}"')
                self.assertEqual(m["text"], f"n{i % 50}")
            own = [c.begin("generate", prompt="a", max_tokens=20, grammar=f'root ::= "m{i}"') for i in range(16)]
            ends = {m["id"]: m["text"] for m in (c.receive() for _ in own)}
            self.assertEqual([ends[i] for i in own], [f"m{i}" for i in range(16)])
            m = c.ask("generate", prompt="a", max_tokens=40, json_schema='{"type": "boolean"}')
            self.assertIn(m["text"].strip(), ("true", "false"))
            plain = c.ask("generate", prompt="The old man", max_tokens=30, temperature=0)["text"]
            stop = plain[8:12]
            m = c.ask("generate", prompt="The old man", max_tokens=30, temperature=0, stop=[stop], stream=1)
            self.assertEqual(m["reason"], 0)
            self.assertEqual("".join(x.get("text", "") for x in m["chunks"]), plain[:plain.index(stop)])


class Ends(unittest.TestCase):
    def test_sigterm_lets_requests_finish_and_removes_the_socket(self):
        with Server(HEARTH, [BOOKS]) as server, server.client() as c:
            c.begin("generate", prompt="a", max_tokens=40, ignore_end=1, stream=1)
            c.receive()
            server.process.terminate()
            while (m := c.receive())["type"] == "chunk":
                pass
            self.assertEqual((m["type"], m["reason"]), ("done", 1))
            self.assertEqual(server.process.wait(20), 0)
            self.assertFalse(server.path.exists())


if __name__ == "__main__":
    unittest.main()
