#!/usr/bin/env python3
"""Builds without features: every offered combination can be configured, and a cover of all pairs compiles.

    test_builds.py SOURCE --configure          all 2^n combinations, configured only (long)
    test_builds.py SOURCE --pairs              for any two features all four states are in some build; the command is
                                               built and says what it is
    test_builds.py SOURCE --only gguf|onnx     one format alone: built with its tests, and tested

Each in a folder of its own that is removed.
"""
import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

FEATURES = ["GGUF", "ONNX", "V2_ENCODING", "MMAP", "KV_CACHE", "THREAD_POOL", "ARENA", "SIMD_TOKENIZER", "SPECULATION",
            "BENCHMARKS"]


def pairs_cover():
    """Greedy: the combination that has most of the pairs that are still missing, until none is."""
    wanted = {(a, b, x, y) for a, b in itertools.combinations(range(len(FEATURES)), 2) for x in (0, 1) for y in (0, 1)}
    while wanted:
        best, gain = None, -1
        for states in itertools.product((1, 0), repeat=len(FEATURES)):
            has = sum((a, b, states[a], states[b]) in wanted for a, b in itertools.combinations(range(len(FEATURES)), 2))
            if has > gain:
                best, gain = states, has
        wanted -= {(a, b, best[a], best[b]) for a, b in itertools.combinations(range(len(FEATURES)), 2)}
        yield best


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def configure(source, folder, states, *more):
    options = [f"-DHEARTH_{name}={'ON' if on else 'OFF'}" for name, on in zip(FEATURES, states)]
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DHEARTH_WERROR=ON", *options, *more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--configure", action="store_true")
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", choices=["gguf", "onnx"])
    args = parser.parse_args()
    jobs = str(os.cpu_count())
    if args.list:
        for states in pairs_cover():
            print(" ".join(f"{n}={s}" for n, s in zip(FEATURES, states)))
        return
    with tempfile.TemporaryDirectory(prefix="hearth-builds-") as folder:
        if args.configure:
            for states in itertools.product((1, 0), repeat=len(FEATURES)):
                configure(args.source, pathlib.Path(folder) / "one", states, "-DHEARTH_TESTS=OFF")
            print(f"{2 ** len(FEATURES)} combinations can be configured")
        if args.pairs:
            n = 0
            for n, states in enumerate(pairs_cover(), 1):
                here = pathlib.Path(folder) / str(n)
                configure(args.source, here, states, "-DHEARTH_TESTS=OFF")
                run("cmake", "--build", here, "--target", "hearth_command", "-j", jobs)
                run(here / "hearth", "--version")
                subprocess.run(["rm", "-rf", here], check=True)
            print(f"{n} builds hold every pair of states of {len(FEATURES)} features")
        if args.only:
            states = [name == args.only.upper() or name not in ("GGUF", "ONNX") for name in FEATURES]
            configure(args.source, folder, states, "-DHEARTH_TESTS=ON")
            run("cmake", "--build", folder, "-j", jobs)
            print(run("ctest", "--test-dir", folder, "-LE", "full|slow|accept", "-j", jobs, "--output-on-failure")[-300:])


main()
