#!/usr/bin/env python3
"""What the sandbox costs a server: runs it with --sandbox on and off in turns, and prints one JSON line.

    tools/bench_sandbox.py HEARTH MODEL [--rounds 5] [--tokens 256]

For each mode the best of its rounds (least time, most tokens/s; the median for latencies), and the ratios on/off:
tokens_s (sequential greedy generations), cpu_s (processor time of these, which a busy machine disturbs least), p50_us and p95_us of a tokenize round trip, start_ms (until the worker is
ready), peak_kib (VmHWM of the worker). Every round's tokens must be the same.
"""
import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "serve"))
from wire import Server  # noqa: E402


def peak(server):
    pid = (server.workers() or [server.pid])[0]
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def run(hearth, model, mode, n_tokens):
    start = time.monotonic()
    with Server(hearth, [f"{model},m"], "--sandbox", mode, "--limit", "rate=0") as server, server.client() as c:
        c.ask("health")
        result = {"start_ms": (time.monotonic() - start) * 1e3}
        c.ask("generate", prompt="It was", max_tokens=8)
        start, cpu, tokens, n = time.monotonic(), server.cpu(), [], 0
        for prompt in ("It was", "The old", "In the"):
            a = c.ask("generate", prompt=prompt, max_tokens=n_tokens, temperature=0, ignore_end=1)
            tokens += a["tokens"]
            n += a["generated_tokens"]
        result["tokens_s"] = n / (time.monotonic() - start)
        result["cpu_s"] = server.cpu() - cpu
        times = []
        for _ in range(2000):
            start = time.monotonic()
            c.ask("tokenize", text="It was a dark and stormy night")
            times.append((time.monotonic() - start) * 1e6)
        times.sort()
        result |= {"p50_us": times[1000], "p95_us": times[1900], "peak_kib": peak(server), "tokens": tokens}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("hearth", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=256)
    args = parser.parse_args()
    runs = {"on": [], "off": []}
    for i in range(args.rounds):
        for mode in ("on", "off") if i % 2 else ("off", "on"):
            runs[mode].append(run(args.hearth.resolve(), args.model, mode, args.tokens))
    if len({tuple(r["tokens"]) for mode in runs.values() for r in mode}) != 1:
        sys.exit("the tokens differ")
    out = {}
    for mode, rounds in runs.items():
        out[mode] = {}
        for key in ("tokens_s", "cpu_s", "p50_us", "p95_us", "start_ms", "peak_kib"):
            values = sorted(r[key] for r in rounds)
            out[mode][key] = round(values[-1] if key == "tokens_s" else values[0] if key in ("start_ms", "cpu_s")
                                   else values[len(values) // 2], 2)
    out["ratio"] = {key: round(out["on"][key] / out["off"][key], 4) for key in out["on"]}
    print(json.dumps({"bench": "sandbox", "rounds": args.rounds} | out))


if __name__ == "__main__":
    main()
