"""What the storage types of the KV cache cost: perplexity of the books model at a context of 4096 beside
f16, and bytes per token. Types of blocks must stay close: a bug in one is a text that reads wrong while
every speed test looks fine.

    test_kv_types.py COMMAND MODEL TOKENS        exit status 77: model or tokens are not there
"""
import json
import os
import subprocess
import sys

# type of K, type of V, most that perplexity may be off, bits per value
CASES = [
    ("q8_0", "q8_0", 0.001, 8.5),
    ("q4_0", "q4_0", 0.02, 4.5),
    ("q4_0+h", "q4_0", 0.02, 4.5),
    ("q8_0", "q4_0", 0.005, 6.5),
]


def run(command, *args):
    out = subprocess.run([command, *args, "--json"], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)


def perplexity(command, model, tokens, k, v):
    got = run(command, "perplexity", "-m", model, "--tokens", tokens, "-c", "4096",
              "--ctk", k, "--ctv", v)
    assert got["n"] == 4 * 4095, f"{got['n']} predictions"
    return got["ppl"]


def find(value, key):
    """The first `key` anywhere in a parsed JSON value."""
    if isinstance(value, dict) and key in value:
        return value[key]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return next((found for found in (find(c, key) for c in children) if found is not None), None)


def token_bytes(command, model, k, v):
    return find(run(command, "inspect", "-m", model, "-c", "512", "--ctk", k, "--ctv", v),
                "kv_token_bytes")


def main():
    command, model, tokens = sys.argv[1:]
    for path in (model, tokens):
        if not os.path.exists(path):
            print(f"skipped: {path} is not there")
            return 77
    plain, plain_bytes = perplexity(command, model, tokens, "f16", "f16"), token_bytes(
        command, model, "f16", "f16")
    print(f"k f16    v f16:  {plain:.4f}, {plain_bytes} bytes a token")
    failed = 0
    for k, v, most, bits in CASES:
        ppl, size = perplexity(command, model, tokens, k, v), token_bytes(command, model, k, v)
        off = ppl / plain - 1
        print(f"k {k:6} v {v:4}: {ppl:.4f} ({100 * off:+.3f} %), {size} bytes a token, "
              f"{plain_bytes / size:.2f} times less than f16")
        if abs(off) > most or size * 16 != plain_bytes * bits:
            print(f"FAILED: at most {100 * most:.1f} % and {bits} bits a value are accepted")
            failed = 1
    return failed


sys.exit(main())
