#!/usr/bin/env python3
"""A real server process over its socket: the conversation, every kind of request, streams, cancelling.

    test_server.py HEARTH [unittest arguments]
"""
import os
import pathlib
import socket
import stat
import sys
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
