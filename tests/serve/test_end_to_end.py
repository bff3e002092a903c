"""From the socket through scheduler and model to the stream, and back: what a server answers is what the local
command prints, id by id and bit by bit; alone and in company; inside the sandbox and outside.

    test_end_to_end.py HEARTH [unittest arguments]
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import ROOT, Server  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/tools"))
from test_same_text import PROMPT as KNOWN_PROMPT  # noqa: E402

HEARTH = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None
MODELS = ROOT / "fixtures/models"
BOOKS = MODELS / "books-33m-q4_k_m.gguf"
CLASSIFIER = MODELS / "tinybert-classifier-int8.onnx"
EMBEDDER = MODELS / "sentence-embedder-int8.onnx"
REFERENCE = json.loads((ROOT / "tests/tools/encoder_reference.json").read_text())
KNOWN = json.loads((ROOT / "tests/tools/same_text.json").read_text())
PROMPTS = ["It was a dark and stormy night, and the old house", "The captain", "She said that", "\"No,\" he answered, \"",
           "In the year of", "Crème brûlée", "x", "When the morning came they went down to the harbour, where"]
TEMPLATE = ("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}")


def with_template(path, to):
    """A copy of a GGUF file that has a chat template: a key more in front, of a length that moves nothing."""
    raw = path.read_bytes()
    n_keys, = struct.unpack_from("<Q", raw, 16)
    key = b"tokenizer.chat_template"
    text = TEMPLATE.encode()
    text += b"{#" + b"." * (-(8 + len(key) + 4 + 8 + len(text) + 4) % 32) + b"#}"
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text
    assert len(pair) % 32 == 0
    to.write_bytes(raw[:16] + struct.pack("<Q", n_keys + 1) + pair + raw[24:])


def run(*args, status=0, **kwargs):
    r = subprocess.run([str(HEARTH), *map(str, args)], capture_output=True, timeout=300, **kwargs)
    assert r.returncode == status, (args, r.returncode, r.stderr)
    return r.stdout


def lines(*args, **kwargs):
    return [json.loads(line) for line in run(*args, "--json", **kwargs).splitlines()]


def single(x):
    """The float32 next to x: scores go over the wire as such."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Base(unittest.TestCase):
    options = []

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.books = pathlib.Path(cls.folder.name) / "books.gguf"
        with_template(BOOKS, cls.books)
        cls.server = Server(HEARTH, [f"{cls.books},books", f"{CLASSIFIER},mood", f"{EMBEDDER},sentences"],
                            "-c", "512", "--limit", "rate=0", *cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.folder.cleanup()

    def client(self, *args, **kwargs):
        token = self.server.path.parent / "token"
        return run("client", "--socket", self.server.path, "--token-file", token, *args, **kwargs)

    def client_lines(self, *args):
        return [json.loads(line) for line in self.client(*args, "--json").splitlines()]


class EndToEnd(Base):
    def assert_same_text(self, prompt, *flags, command="generate", local=(), remote=()):
        want, = lines(command, "-m", self.books, "-c", 512, "-p", prompt, *flags, *local)
        for version in (1, 2):
            got, = self.client_lines("--wire", version, "-m", "books", command, "-p", prompt, *flags, *remote)
            for key in ("text", "tokens", "finish_reason", *(["prompt_tokens"] if command == "generate" else [])):
                self.assertEqual(got[key], want[key], (prompt, flags, version, key))
            self.assertEqual(got["timings"]["prompt_n"], want["timings"]["prompt_n"])
        return got

    def test_greedy_texts(self):
        for prompt in PROMPTS:
            self.assert_same_text(prompt, "--temp", 0, "--repeat-penalty", 1, "-n", 24)

    def test_the_known_text(self):
        known = KNOWN[BOOKS.name]["greedy"]
        got = self.assert_same_text(KNOWN_PROMPT, "--temp", 0, "--repeat-penalty", 1, "-n", len(known))
        self.assertEqual(got["tokens"], known)

    def test_sampled_texts_of_a_seed(self):
        flags = ["--temp", 0.8, "--top-k", 40, "--top-p", 0.95, "--min-p", 0.05, "--repeat-penalty", 1.1, "-n", 24]
        texts = {self.assert_same_text(PROMPTS[1], *flags, "-s", seed)["text"] for seed in (1, 2, 2**33)}
        self.assertEqual(len(texts), 3)

    def test_defaults_are_those_of_the_wire(self):
        flags = ["-s", 5, "-n", 24]
        self.assert_same_text(PROMPTS[1], *flags, local=["--temp", 0.7, "--top-k", 40, "--top-p", 0.9, "--min-p", 0,
                                                         "--repeat-penalty", 1.1])

    def test_penalties_stops_and_grammars(self):
        greedy = ["--temp", 0, "--repeat-penalty", 1, "-n", 40]
        self.assert_same_text(PROMPTS[2], *greedy, "--presence-penalty", 0.5, "--frequency-penalty", 0.25)
        got = self.assert_same_text(PROMPTS[0], *greedy, "--stop", "was")
        self.assertEqual(got["finish_reason"], "stop")
        with tempfile.NamedTemporaryFile("w", suffix=".gbnf") as f:
            f.write('root ::= " " [a-z]+ " " [a-z]+ "."')
            f.flush()
            got = self.assert_same_text(PROMPTS[4], *greedy, "--grammar", f.name)
            self.assertRegex(got["text"], r"\A [a-z]+ [a-z]+\.\Z")

    def test_chat(self):
        self.assert_same_text("How is the weather?", "--temp", 0, "--repeat-penalty", 1, "-n", 24, "--system",
                              "Be brief.", command="chat")

    def test_classification(self):
        texts = [x for s in REFERENCE["sentences"] for x in ("-p", s)]
        want = lines("classify", "-m", CLASSIFIER, *texts)
        got = self.client_lines("-m", "mood", "classify", *texts)
        self.assertEqual(len(got), len(want))
        for a, b, logits in zip(got, want, REFERENCE["logits"]):
            self.assertEqual([s["label"] for s in a["scores"]], [s["label"] for s in b["scores"]])
            self.assertEqual([s["score"] for s in a["scores"]], [single(s["score"]) for s in b["scores"]])
            self.assertEqual((a["label"], a["n_tokens"]), (b["label"], b["n_tokens"]))
            self.assertEqual(a["label"], f"LABEL_{int(logits[1] > logits[0])}")  # another implementation's
        self.assertEqual(self.client("-m", "mood", "classify", *texts), run("classify", "-m", CLASSIFIER, *texts))

    def test_embeddings_bit_by_bit(self):
        texts = [x for s in REFERENCE["sentences"] for x in ("-p", s)]
        for flags in ([], ["--no-normalize"], ["--pooling", "cls"], ["--similarity"]):
            self.assertEqual(self.client("-m", "sentences", "embed", *texts, *flags, "--json"),
                             run("embed", "-m", EMBEDDER, *texts, *flags, "--json"))
        row = self.client_lines("-m", "sentences", "embed", "-p", REFERENCE["sentences"][0])[0]["embedding"]
        dot = sum(a * b for a, b in zip(row, REFERENCE["embeddings"][0]))
        self.assertGreater(dot / sum(b * b for b in REFERENCE["embeddings"][0]) ** 0.5, 0.999)

    def test_many_texts_and_long_ones(self):
        texts = [f"Sentence number {i}, " + "and so on " * (i % 9) for i in range(70)]
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("\n".join(texts))
            f.flush()
            self.assertEqual(self.client("-m", "sentences", "embed", "-f", f.name, "--json"),
                             run("embed", "-m", EMBEDDER, "-f", f.name, "--json"))
        long = "word " * 3000
        self.assertEqual(self.client("-m", "sentences", "embed", "-p", long, "--truncate", "--json"),
                         run("embed", "-m", EMBEDDER, "-p", long, "--truncate", "--json"))
        r = subprocess.run([str(HEARTH), "client", "--socket", str(self.server.path), "--token-file",
                            str(self.server.path.parent / "token"), "-m", "sentences", "embed", "-p", long],
                           capture_output=True, timeout=60)
        self.assertNotEqual(r.returncode, 0)
        self.assertRegex(r.stderr.decode(), r"\Ahearth: [^\n]+: 4\d\d, [^\n]+\n\Z")

    def test_ids(self):
        for text in (*PROMPTS, "", "</s> and <s>", "a\nb\t\u00e9\U0001f525"):
            for flags in ([], ["--no-bos"], ["--parse-special"]):
                self.assertEqual(self.client("-m", "books", "tokenize", "-p", text, *flags),
                                 run("tokenize", "-m", BOOKS, "-p", text, *flags), (text, flags))

    def test_who_looks_after_it(self):
        for kind in ("--liveness", "--readiness"):  # without the token
            self.assertEqual(run("client", "--socket", self.server.path, "health", kind), b"")
        names = {m["name"]: m for m in json.loads(self.client("models", "--json"))}
        self.assertEqual({n: m["kind"] for n, m in names.items()},
                         {"books": "generate", "mood": "classify", "sentences": "embed"})
        self.assertEqual({m["state"] for m in names.values()}, {"loaded"})
        self.assertRegex(self.client("status").decode(), r"(?s)\Ahearth [\d.]+, wire 2, ready\n.*models\n  books ")

    def test_company_changes_nothing(self):
        """Prompts that are generated together, chunks of one between those of others, give what each gives alone."""
        prompts = [f"{p} {'and ' * (i % 5)}" for i, p in enumerate(PROMPTS * 2)]
        want = [lines("generate", "-m", BOOKS, "-c", 512, "-p", p, "--temp", 0, "--repeat-penalty", 1, "-n",
                      16 + 3 * (i % 7))[0]["tokens"] for i, p in enumerate(prompts)]
        got, failures = [None] * len(prompts), []

        def ask(i):
            try:
                with self.server.client(version=1 + i % 2, timeout=120) as c:
                    m = c.ask("generate", model="books", prompt=prompts[i], temperature=0, repeat_penalty=1,
                              max_tokens=16 + 3 * (i % 7), stream=int(i % 3 > 0), timeout_ms=120000)
                    got[i] = m["tokens"] if i % 3 == 0 else [t for k in m["chunks"] for t in k["tokens"]]
            except Exception as e:  # noqa: B902  told below
                failures.append((i, e))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        self.assertEqual(got, want)


class ManyAtOnce(EndToEnd):
    """The same with sixteen texts to a step, prompts in small chunks and steps that are short."""
    options = ["--parallel", "16", "-b", "32", "--limit", "step_ms=5"]


class Outside(EndToEnd):
    """One process and no sandbox; the others have both, as far as the system gives them."""
    options = ["--no-supervisor", "--sandbox", "off"]


if __name__ == "__main__":
    unittest.main()
