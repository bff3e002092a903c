#!/usr/bin/env python3
"""Time text models beside a llama-bench, in turns within one run, and print the ratios.

usage: tools/compare_llama_bench.py HEARTH MODEL.gguf... --peer LLAMA_BENCH [--config NAME=FLAGS]... [--ours FLAGS]
           [--threads 1,2] [--prompt 512,32] [--gen 128] [--depth 0] [--rounds 5] [--json FILE]

LLAMA_BENCH is llama.cpp's program of that name or a fork's. Every --config is one more way to run it ("plain=-fa 1",
"repacked=-fa 1 -rtr 1", "q8=-ctk q8_0 -ctv q8_0"); of all ways the fastest stands for it, test by test. --ours are
options of `hearth bench`. A round runs each program once for each number of threads, all tests in one process, and every
other round runs them backwards. A figure is the median over rounds; the ratio is the median of the rounds' own ratios,
hearth / peer, above 1 is faster, with the least and the greatest behind it. --depth D adds text behind D positions.

Beside each row stand what the machine read per second and how far apart its cores were, least and greatest of the
rounds, and the CPUs that others kept busy (where a test ran for a second). --json keeps everything: commands, versions,
samples of every round, load.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

PAUSE = 0.3  # seconds; workers of the program before may still spin


def output(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


class Hearth:
    """`hearth bench`; its rows say which test they are."""

    def __init__(self, program, flags):
        self.name, self.program, self.flags = "hearth", program, flags

    def commands(self, model, threads, args):
        base = [self.program, "bench", "-m", model, "-t", str(threads), "-r", "1", "-o", "json"]
        own = self.flags.split()
        yield base + ["-p", args.prompt, "-n", args.gen] + own
        for depth in numbers(args.depth):
            if depth:
                yield base + ["-p", "0", "-n", args.gen, "-d", str(depth)] + own

    @staticmethod
    def test(row):
        return (row["n_prompt"], row["n_gen"], row["n_depth"])


class LlamaBench:
    """A llama-bench, one way to run it. Depth is -d, or in forks that have none -gp: a prompt, then text that
    alone is timed."""

    def __init__(self, program, name, flags):
        self.name, self.program, self.flags = name, program, flags
        help_text = subprocess.run([program, "--help"], capture_output=True, text=True)
        self.has_depth = "--n-depth" in help_text.stdout + help_text.stderr

    def commands(self, model, threads, args):
        base = [self.program, "-m", model, "-t", str(threads), "-r", "1", "-o", "json"]
        own = self.flags.split()
        yield base + ["-p", args.prompt, "-n", args.gen] + own
        for depth in numbers(args.depth):
            for gen in numbers(args.gen) if depth else []:
                how = ["-n", str(gen), "-d", str(depth)] if self.has_depth else ["-n", "0", "-gp", f"{depth},{gen}"]
                yield base + ["-p", "0"] + how + own

    @staticmethod
    def test(row):
        if row["n_prompt"] and row["n_gen"]:
            return (0, row["n_gen"], row["n_prompt"])
        return (row["n_prompt"], row["n_gen"], row.get("n_depth", 0))


def numbers(text):
    return [int(x) for x in text.split(",")]


def label(test):
    prompt, gen, depth = test
    return (f"pp{prompt}" if prompt else f"tg{gen}") + (f" @ d{depth}" if depth else "")


def run(side, model, threads, args, record):
    """{test: row} of one round of one side."""
    rows = {}
    for command in side.commands(model, threads, args):
        time.sleep(PAUSE)
        load = os.getloadavg()[0]
        for row in json.loads(output(command)):
            rows[side.test(row)] = row
            record.append({"side": side.name, "command": command, "load": load, "row": row})
    return rows


def spread(values):
    known = [v for v in values if v and not math.isnan(v)]
    if not known:
        return "-"
    low, high = f"{min(known):.3g}", f"{max(known):.3g}"
    return low if low == high else f"{low} to {high}"


def report(name, threads, test, rounds, peers):
    """One line: our median, the best way of the peer, the ratios of the rounds."""
    speeds = lambda side: [r[side][test]["avg_ts"] for r in rounds]
    there = [p.name for p in peers if all(test in r[p.name] for r in rounds)]
    best = max(there, key=lambda side: statistics.median(speeds(side)))
    ours, theirs = speeds("hearth"), speeds(best)
    ratios = [a / b for a, b in zip(ours, theirs)]
    beside = lambda key: spread([r["hearth"][test].get(key) for r in rounds])
    print(f"| {name} | {threads} | {label(test)} | {statistics.median(ours):.4g} | {statistics.median(theirs):.4g} ({best}) | "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {beside('gb_s')} | "
          f"{beside('bandwidth_gb_s')} | {beside('core_to_core_ns')} | {beside('foreign_cpus')} |", flush=True)
    return {"model": name, "threads": threads, "test": label(test), "hearth_ts": ours, "peer_ts": theirs, "peer": best,
            "ratios": ratios, "ratio": statistics.median(ratios)}


def main():
    args = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    args.add_argument("program")
    args.add_argument("models", nargs="+")
    args.add_argument("--peer", required=True)
    args.add_argument("--config", action="append")
    args.add_argument("--ours", default="")
    args.add_argument("--json", type=pathlib.Path)
    args.add_argument("--rounds", type=int, default=5)
    for name, default in (("threads", "1,2"), ("prompt", "512,32"), ("gen", "128"), ("depth", "0")):
        args.add_argument("--" + name, default=default)
    args = args.parse_args()
    peers = [LlamaBench(args.peer, *c.split("=", 1)) for c in args.config or ["plain="]]
    sides = [Hearth(args.program, args.ours)] + peers
    record, lines = [], []
    print("| model | threads | test | hearth t/s | peer t/s | ratio | weights GB/s | machine GB/s | core to core ns | "
          "others' CPUs |")
    print("|" + "---|" * 10)
    for model in args.models:
        for threads in numbers(args.threads):
            rounds = []
            for i in range(args.rounds):
                turn = sides if i % 2 == 0 else sides[::-1]
                rounds.append({side.name: run(side, model, threads, args, record) for side in turn})
            for test in rounds[0]["hearth"]:
                lines.append(report(pathlib.Path(model).stem, threads, test, rounds, peers))
    if args.json:
        args.json.write_text(json.dumps({"rows": lines, "runs": record}, indent=1) + "\n")


main()
