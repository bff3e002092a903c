#!/usr/bin/env python3
"""bindings/python/hearth.py against the shared library: test_python.py LIBRARY COMMAND MODELS.

Its structs lie as tests/tools/abi_lp64.txt says; a text comes out as from the hearth command; errors raise with the
library's sentence. Embeddings and classes are compared with the command's where numpy is installed.
"""
import ctypes
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
library, command, models = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
os.environ["HEARTH_LIBRARY"] = library
sys.path.insert(0, str(ROOT / "bindings/python"))
import hearth  # noqa: E402


def check(what, good):
    print(("ok: " if good else "FAILED: ") + what)
    return 0 if good else 1


def layout():
    """Differences between the structs here and in the stored interface."""
    known = {line.split()[1]: line.split() for line in (ROOT / "tests/tools/abi_lp64.txt").read_text().splitlines()}
    shorter = {"hearth_sampler_config", "hearth_generation_config", "hearth_piece"}  # struct_size says so
    for name, kind in hearth.STRUCTS.items():
        if name not in shorter and ctypes.sizeof(kind) != int(known[name][3]):
            yield f"{name} has {ctypes.sizeof(kind)} bytes, {known[name][3]} in the header"
        for field, _ in kind._fields_:
            at, row = getattr(kind, field), known[f"{name}.{field}"]
            if (at.offset, at.size) != (int(row[3]), int(row[5])):
                yield f"{name}.{field} lies at {at.offset}, at {row[3]} in the header"


def answer(*args):
    return subprocess.run([command, *args], check=True, capture_output=True, text=True).stdout


def texts():
    model = hearth.Model(models / "books-draft-6m-q8_0.gguf")
    told = json.loads(answer("generate", "-m", models / "books-draft-6m-q8_0.gguf", "-p", "The old man", "-n", "16",
                             "--temp", "0", "--json"))
    pieces = list(model.generate("The old man", max_tokens=16))
    bad = check("greedy text is the command's", "".join(pieces) == told["text"])
    bad += check("it comes in pieces", len(pieces) > 8)
    bad += check("tokens are the command's", model.tokenize("The old man") == told["prompt_tokens"])
    stopped = "".join(model.generate("The old man", max_tokens=16, stop=[" world"]))
    bad += check("a stop string ends it", stopped and told["text"].startswith(stopped) and "world" not in stopped)
    seeded = ["".join(model.generate("The old man", max_tokens=16, temperature=1.0, seed=s)) for s in (1, 1, 2)]
    bad += check("a seed repeats a text, another does not", seeded[0] == seeded[1] != seeded[2])
    return bad


def errors():
    try:
        hearth.Model("/nowhere/model.gguf")
    except hearth.Error as e:
        return check("a missing file raises with a sentence", "/nowhere/model.gguf" in str(e) and e.status == 24)
    return check("a missing file raises", False)


def arrays():
    try:
        import numpy
    except ImportError:
        print("left out: arrays, for which numpy is not installed")
        return 0
    lines = ["A fine film.", "It was a waste of time."]
    encoder = hearth.Encoder(models / "sentence-embedder-int8.onnx", models / "tokenizer.json")
    got = encoder.embed(lines)
    said = [json.loads(line)["embedding"] for line in answer(
        "embed", "-m", models / "sentence-embedder-int8.onnx", "--tokenizer", models / "tokenizer.json", "--json",
        *[a for text in lines for a in ("-p", text)]).splitlines()]
    bad = check("embeddings are the command's", got.dtype == numpy.float32 and
                numpy.allclose(got, numpy.array(said), atol=1e-5))
    classifier = hearth.Encoder(models / "tinybert-classifier-int8.onnx", models / "vocab.txt")
    got = classifier.classify(lines)
    said = [json.loads(line)["logits"] for line in answer(
        "classify", "-m", models / "tinybert-classifier-int8.onnx", "--tokenizer", models / "vocab.txt", "--json",
        *[a for text in lines for a in ("-p", text)]).splitlines()]
    return bad + check("classes are the command's", numpy.allclose(got, numpy.array(said), atol=1e-4))


def main():
    problems = list(layout())
    print(*problems, sep="\n", end="\n" if problems else "")
    bad = check("structs lie as in the header", not problems)
    bad += texts() + errors() + arrays()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
