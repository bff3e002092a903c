"""The same text on every machine: tokens, and perplexity to the last digit, of the two models of
fixtures/ against what is stored in same_text.json: the small one at every kernel level, the other at
the highest.

    test_same_text.py PROGRAM [ARGUMENT...]     the command, perhaps behind an emulator
    test_same_text.py --update PROGRAM ...      write same_text.json
"""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORED = pathlib.Path(__file__).with_name("same_text.json")
LEVELS = (ROOT / "src/kernels/levels.def").read_text().split("HK_LEVEL(")[1:]
PROMPT = ("It was a dark and stormy night, and the old house on the hill stood empty. The captain looked at "
          "the sea, counted his ships for the third time, and said nothing")
MODELS = ("books-draft-6m-q8_0.gguf", "books-33m-q4_k_m.gguf")


def run(program, *args):
    return subprocess.run([*program, *map(str, args), "--json"], capture_output=True, text=True,
                          timeout=300, stdin=subprocess.DEVNULL)


def results(program, model, text, level):
    """None if the machine does not have the level."""
    common = ["-m", ROOT / "fixtures/models" / model, "--level", level]
    generate = ["generate", *common, "-p", PROMPT, "-n", 16]
    greedy = run(program, *generate, "--temp", 0)
    if greedy.returncode == 2 and "this machine runs" in greedy.stderr:
        return None
    sampled = run(program, *generate, "--temp", 1.2, "-s", 7, "-b", 5)
    perplexity = run(program, "perplexity", *common, "-f", text, "-c", 32)
    for r in (greedy, sampled, perplexity):
        assert r.returncode == 0, r.stderr
    return {"greedy": json.loads(greedy.stdout)["tokens"],
            "sampled": json.loads(sampled.stdout)["tokens"],
            "perplexity": json.loads(perplexity.stdout)}


def main():
    program = sys.argv[1:]
    update = program[:1] == ["--update"]
    if update:
        del program[0]
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text"
        text.write_text(PROMPT + " for a long while.\n")
        if update:
            found = {m: results(program, m, text, "scalar") for m in MODELS}
            STORED.write_text(json.dumps(found, indent=1) + "\n")
            return 0
        stored, different, highest = json.loads(STORED.read_text()), 0, None

        def compare(model, level):
            nonlocal different, highest
            found = results(program, model, text, level)
            if found is None:
                print(f"{level:10} not on this machine")
                return
            highest = level
            different += found != stored[model]
            print(f"{level:10} {model:26}", "the same" if found == stored[model] else found)

        for row in LEVELS:
            compare(MODELS[0], row.split(",")[0])
        compare(MODELS[1], highest)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
