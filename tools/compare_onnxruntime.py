#!/usr/bin/env python3
"""Time encoders beside ONNX Runtime, cell by cell in the same run, and print the ratios.

usage: tools/compare_onnxruntime.py BENCH_INFER MODEL.onnx... [--seq 16,64,128,256] [--batch 1] [--threads 1] [--runs 40]

BENCH_INFER is the program built from bench/bench_infer.c. Ratios are hearth / ONNX Runtime, below 1 is
faster; cpu is the CPU time of the process, which others on the machine disturb less than wall time.
"""
import argparse
import json
import pathlib
import subprocess
import time

import numpy
import onnxruntime


def ort(path, seq, batch, threads, runs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    k = numpy.arange(batch * seq, dtype=numpy.int64)
    feed = {}
    for i in session.get_inputs():
        values = numpy.ones_like(k) if "mask" in i.name else 5 + k * 7919 % 1000 if "input_ids" in i.name else k * 0
        feed[i.name] = values.reshape(batch, seq)
    for _ in range(2):
        session.run(None, feed)
    wall, cpu = [], []
    for _ in range(runs):
        w, c = time.perf_counter(), time.process_time()
        session.run(None, feed)
        wall.append(1e3 * (time.perf_counter() - w))
        cpu.append(1e3 * (time.process_time() - c))
    row = {}
    for name, ms in (("wall", sorted(wall)), ("cpu", sorted(cpu))):
        row.update({f"{name}_min": ms[0], f"{name}_p50": ms[len(ms) // 2], f"{name}_p95": ms[len(ms) * 95 // 100]})
    return row


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("models", nargs="+")
    for name, default in (("seq", "16,64,128,256"), ("batch", "1"), ("threads", "1")):
        args.add_argument("--" + name, default=default)
    args.add_argument("--runs", type=int, default=40)
    args = args.parse_args()
    numbers = lambda text: [int(x) for x in text.split(",")]
    print("| model | threads | batch | seq | hearth p50 / p95 ms | ORT p50 / p95 ms | p50 ratio | cpu ratio (min) |")
    print("|---|---|---|---|---|---|---|---|")
    for model in args.models:
        for threads in numbers(args.threads):
            for batch in numbers(args.batch):
                for seq in numbers(args.seq):
                    ours = subprocess.run([args.program, model, str(seq), str(batch), str(threads), str(args.runs)],
                                          capture_output=True, text=True, check=True)
                    a, b = json.loads(ours.stdout), ort(model, seq, batch, threads, args.runs)
                    print(f"| {pathlib.Path(model).stem} | {threads} | {batch} | {seq} | {a['wall_p50']:.2f} / {a['wall_p95']:.2f} | "
                          f"{b['wall_p50']:.2f} / {b['wall_p95']:.2f} | {a['wall_p50'] / b['wall_p50']:.2f} | "
                          f"{a['cpu_min'] / b['cpu_min']:.2f} |", flush=True)


main()
