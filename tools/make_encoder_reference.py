#!/usr/bin/env python3
"""Make tests/tools/encoder_reference.json: what ONNX Runtime and the tokenizers package give for a few
sentences with the encoders of fixtures/models, each sentence by itself.

usage: tools/make_encoder_reference.py > tests/tools/encoder_reference.json
"""
import json
import pathlib

import numpy
import onnxruntime
from tokenizers import Tokenizer

MODELS = pathlib.Path(__file__).resolve().parent.parent / "fixtures/models"
SENTENCES = [
    "A lovely evening, and the actors were splendid.",
    "I have seldom been so bored; two hours of nothing.",
    "The boat left the bay in the early morning.",
    "At daybreak the ship put to sea.",
    "She poured the tea and cut the cake.",
    "Crème brûlée — 3 €! 東京 №7",
    "x",
]


def session(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(MODELS / name, options, providers=["CPUExecutionProvider"])


def run(s, ids):
    n = len(ids)
    known = {"input_ids": [ids], "attention_mask": [[1] * n], "token_type_ids": [[0] * n]}
    feed = {i.name: numpy.array(known[i.name], dtype=numpy.int64) for i in s.get_inputs()}
    return s.run(None, feed)[0][0]


def main():
    tokenizer = Tokenizer.from_file(str(MODELS / "tokenizer.json"))
    ids = [tokenizer.encode(t).ids for t in SENTENCES]
    classifier, embedder = session("tinybert-classifier-int8.onnx"), session("sentence-embedder-int8.onnx")
    logits = [run(classifier, i).tolist() for i in ids]
    pooled = [run(embedder, i).mean(axis=0) for i in ids]
    rounded = lambda rows, digits: [[round(float(x), digits) for x in r] for r in rows]
    print(json.dumps({"onnxruntime": onnxruntime.__version__, "sentences": SENTENCES, "ids": ids,
                      "logits": rounded(logits, 6),
                      "embeddings": rounded([p / numpy.linalg.norm(p) for p in pooled], 6)}, ensure_ascii=False))


main()
