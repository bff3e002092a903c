"""hearth classify and embed from end to end, on the encoders of fixtures/.

    test_encode_command.py PROGRAM [ARGUMENT...]    the command, perhaps behind an emulator

encoder_reference.json holds what ONNX Runtime gives for a few sentences; tools/make_encoder_reference.py
makes it.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "fixtures/models"
CLASSIFIER = MODELS / "tinybert-classifier-int8.onnx"
EMBEDDER = MODELS / "sentence-embedder-int8.onnx"
REFERENCE = json.loads((pathlib.Path(__file__).parent / "encoder_reference.json").read_text())
PROGRAM = sys.argv[1:]


def run(*args, **kwargs):
    return subprocess.run([*PROGRAM, *map(str, args)], capture_output=True, timeout=300, **kwargs)


def rows(*args, **kwargs):
    r = run(*args, "--json", **kwargs)
    assert r.returncode == 0, r.stderr
    return [json.loads(line) for line in r.stdout.splitlines()]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def sentences_file():
    f = tempfile.NamedTemporaryFile("w", suffix=".txt")
    f.write("\n".join(REFERENCE["sentences"]) + "\n")
    f.flush()
    return f


class Base(unittest.TestCase):
    def assert_refused(self, status, pattern, *args):
        r = run(*args, stdin=subprocess.DEVNULL)
        text = r.stderr.decode()
        self.assertEqual(r.returncode, status, (args, text))
        self.assertRegex(text, r"\Ahearth: [^\n]+: [^\n]+\n\Z", args)
        self.assertRegex(text, pattern, args)


class Classify(Base):
    def test_logits_are_those_of_the_reference(self):
        with sentences_file() as f:
            got = rows("classify", "-m", CLASSIFIER, "-f", f.name)
        self.assertEqual(len(got), len(REFERENCE["sentences"]))
        for row, want, ids in zip(got, REFERENCE["logits"], REFERENCE["ids"]):
            self.assertEqual(row["n_tokens"], len(ids))
            for a, b in zip(row["logits"], want):
                self.assertAlmostEqual(a, b, delta=2e-2)
            self.assertEqual(row["logits"][0] > row["logits"][1], want[0] > want[1])

    def test_scores_are_sorted_and_sum_to_one(self):
        row, = rows("classify", "-m", CLASSIFIER, "-p", "Dull.", "--labels", "NEGATIVE,POSITIVE")
        scores = [s["score"] for s in row["scores"]]
        self.assertEqual(sorted(scores, reverse=True), scores)
        self.assertAlmostEqual(sum(scores), 1, delta=1e-6)
        self.assertEqual((row["label"], row["score"]), (row["scores"][0]["label"], scores[0]))
        self.assertEqual({s["label"] for s in row["scores"]}, {"NEGATIVE", "POSITIVE"})

    def test_a_text_alone_is_the_text_among_others(self):
        with sentences_file() as f:
            together = rows("classify", "-m", CLASSIFIER, "-f", f.name, "-t", 2)
        for sentence, row in zip(REFERENCE["sentences"], together):
            alone, = rows("classify", "-m", CLASSIFIER, "-p", sentence, "-t", 1)
            self.assertEqual(alone, row)

    def test_texts_of_p_come_before_the_lines_of_f(self):
        with sentences_file() as f:
            got = rows("classify", "-m", CLASSIFIER, "-p", "x", "-f", f.name)
        self.assertEqual(len(got), 1 + len(REFERENCE["sentences"]))
        self.assertEqual(got[0], got[-1])

    def test_labels_come_from_a_config_beside_the_model(self):
        with tempfile.TemporaryDirectory() as d:
            for name in (CLASSIFIER.name, "vocab.txt"):
                (pathlib.Path(d) / name).symlink_to(MODELS / name)
            (pathlib.Path(d) / "config.json").write_text('{"id2label": {"0": "bad", "1": "good"}}')
            row, = rows("classify", "-m", pathlib.Path(d) / CLASSIFIER.name, "-p", "A joy.")
            self.assertEqual({s["label"] for s in row["scores"]}, {"bad", "good"})
            self.assertEqual(row["n_tokens"], 5)  # vocab.txt alone: [CLS] a joy . [SEP]

    def test_plain_output_is_a_line_a_text(self):
        r = run("classify", "-m", CLASSIFIER, "--labels", "N,P", "-p", "A joy.", "-p", "Awful.")
        self.assertEqual((r.returncode, r.stdout.count(b"\n")), (0, 2))

    def test_what_is_refused(self):
        m = ("classify", "-m", CLASSIFIER)
        self.assert_refused(2, "-p", *m)
        self.assert_refused(2, "3 names; the model has 2", *m, "-p", "x", "--labels", "a,b,c")
        self.assert_refused(3, "cannot be opened|No such", *m, "-p", "x", "--tokenizer", "/nowhere")
        self.assert_refused(3, "[Tt]ext", "classify", "-m", ROOT / "fixtures/models/books-draft-6m-q8_0.gguf",
                            "-p", "x", "--tokenizer", MODELS / "tokenizer.json")
        self.assert_refused(1, "text 1: .*no tokens", *m, "-p", "")


class Long(Base):
    def test_a_long_text_is_an_error_or_marked(self):
        text = "word " * 2000
        self.assert_refused(4, r"text 2: .*2000 tokens; the model takes \d+", "classify", "-m", CLASSIFIER, "-p", "x",
                            "-p", text, "--max-tokens", 64)
        short, cut = rows("classify", "-m", CLASSIFIER, "-p", "x", "-p", text, "--max-tokens", 64, "--truncate")
        self.assertEqual((short["truncated"], cut["truncated"], cut["n_tokens"]), (False, True, 64))
        self.assertEqual(cut["logits"], rows("classify", "-m", CLASSIFIER, "-p", "word " * 64)[0]["logits"])

    def test_the_position_table_is_a_limit(self):
        self.assert_refused(4, r"20000 tokens; the model takes \d+", "embed", "-m", EMBEDDER, "-p", "word " * 20000)


class Embed(Base):
    def test_embeddings_are_those_of_the_reference(self):
        with sentences_file() as f:
            got = rows("embed", "-m", EMBEDDER, "-f", f.name)
        for row, want in zip(got, REFERENCE["embeddings"]):
            self.assertGreater(cosine(row["embedding"], want), 0.999)
            self.assertAlmostEqual(sum(x * x for x in row["embedding"]), 1, delta=1e-6)

    def test_poolings_differ_and_lengths_stay_when_asked(self):
        args = ("embed", "-m", EMBEDDER, "-p", "The boat left the bay.", "--no-normalize")
        mean, cls, last = (rows(*args, "--pooling", k)[0]["embedding"] for k in ("mean", "cls", "last"))
        self.assertNotEqual(mean, cls)
        self.assertNotEqual(cls, last)
        self.assertNotAlmostEqual(sum(x * x for x in mean), 1, delta=1e-3)
        self.assert_refused(2, "--pooling", *args, "--pooling", "max")

    def test_similar_sentences_are_similar(self):
        r = run("embed", "-m", EMBEDDER, "--similarity", *sum((["-p", s] for s in REFERENCE["sentences"][2:5]), []))
        table = [[float(x) for x in line.split()] for line in r.stdout.splitlines()]
        self.assertGreater(table[0][1], table[0][2])
        self.assertEqual([table[i][i] for i in range(3)], [1, 1, 1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
