#!/usr/bin/env python3
"""Writes the prompt fixtures: fixtures/prompts/small.json, medium.json and large.json.

    tools/make_prompts.py [--check] [DIR]
    tools/make_prompts.py --variant zipf|unicode [--tokens N]     to standard output

100, 1 000 and 4 000 token ids, 1 to N, with a prompt text of as many words. Same arguments, same bytes: UTF-8
without a byte order mark, a line end at the end. --check compares instead of writing.

The ids are chosen to be awkward: 1 and 2 begin and end a text in many vocabularies, 100 to 103 are special to BERT,
and 4 000 ids with 100 to come are more than several models have room for. Variants: ids as frequent as words are
(zipf), and a text of many scripts (unicode).
"""
import argparse
import json
import pathlib
import random
import sys

SIZES = {"small": 100, "medium": 1000, "large": 4000}
WORDS = """the of and a to in was he his that it had as with her at on for she is not by be from but they which him
were said all one there so when have this their would no been what them will if more an or we who could out up into do
time then some like now than other about house old night door long made ship came sea day down hand might never way
over before little men great must room only own after light eyes through man back went where first upon two""".split()
SCRIPTS = ["na\u00efve", "caf\u00e9", "stra\u00dfe", "\u03bb\u03cc\u03b3\u03bf\u03c2", "\u043c\u0438\u0440", "\u05e9\u05dc\u05d5\u05dd",
           "\u0633\u0644\u0627\u0645", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4", "\U0001f469\u200d\U0001f680", "e\u0301", "\u2028", "\U00010348"]


def message(name, ids, words):
    return {"id": name, "model_id": "default", "prompt": " ".join(words), "prompt_tokens": ids,
            "parameters": {"max_tokens": 100, "temperature": 0.7}}


def prompt(name):
    rng = random.Random(f"prompt/{name}")
    n = SIZES[name]
    return message(name, list(range(1, n + 1)), [rng.choice(WORDS) for _ in range(n)])


def variant(name, n):
    rng = random.Random(f"variant/{name}")
    if name == "zipf":  # id i about as often as 1 / i
        ids = [min(int(32000 ** rng.random()), 31999) for _ in range(n)]
        return message(name, ids, [WORDS[i % len(WORDS)] for i in ids])
    return message(name, [rng.randrange(1, 32000) for _ in range(n)], [rng.choice(SCRIPTS) for _ in range(n)])


def encode(value):
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--variant", choices=["zipf", "unicode"])
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("dir", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent.parent / "fixtures/prompts")
    args = parser.parse_args()
    if args.variant:
        sys.stdout.buffer.write(encode(variant(args.variant, args.tokens)))
        return 0
    for name in SIZES:
        path, data = args.dir / f"{name}.json", encode(prompt(name))
        if not args.check:
            args.dir.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        elif path.read_bytes() != data:
            sys.exit(f"{path} is not what tools/make_prompts.py writes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
