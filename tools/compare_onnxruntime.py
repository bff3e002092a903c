#!/usr/bin/env python3
"""Time encoders beside ONNX Runtime, A B A B in the same run, and print the ratios.

usage: tools/compare_onnxruntime.py BENCH_INFER MODEL.onnx... [--seq 16,64,128,256] [--batch 1,8] [--threads 1,2]
           [--rounds 7] [--runs 20] [--weights q8_0|bf16] [--peak-f32 GFLOPS --peak-int8 GOPS]

BENCH_INFER is the program built from bench/bench_infer.c. Each cell is --rounds times --runs runs of the one and
then of the other; a figure is the median over rounds, "least" the least of all. Ratios are hearth / ONNX Runtime,
below 1 is faster. On a machine that others use too, believe the least CPU time (of one thread). Share: matmul
operations of the graph per second of the fastest run, of the given peak of one core times threads. RSS:
resident size of bench_infer behind the runs over the file's size. --weights converts on our side alone.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy
import onnx
import onnxruntime


def session(path, seq, batch, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    made = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    k = numpy.arange(batch * seq, dtype=numpy.int64)
    feed = {}
    for i in made.get_inputs():
        values = numpy.ones_like(k) if "mask" in i.name else 5 + k * 7919 % 1000 if "input_ids" in i.name else k * 0
        feed[i.name] = values.reshape(batch, seq)
    return made, feed


def ort(made, feed, runs):
    for _ in range(2):
        made.run(None, feed)
    wall, cpu = [], []
    for _ in range(runs):
        w, c = time.perf_counter(), time.process_time()
        made.run(None, feed)
        wall.append(1e3 * (time.perf_counter() - w))
        cpu.append(1e3 * (time.process_time() - c))
    row = {}
    for name, ms in (("wall", sorted(wall)), ("cpu", sorted(cpu))):
        row.update({f"{name}_min": ms[0], f"{name}_p50": ms[len(ms) // 2], f"{name}_p95": ms[len(ms) * 95 // 100]})
    return row


def operations(path, seq, batch):
    """Multiplies and adds of the matmuls: constant matrices for every token, and two products per softmax."""
    graph = onnx.load(path).graph
    shape = {t.name: list(t.dims) for t in graph.initializer}
    hidden, macs = 0, 0
    for node in graph.node:
        if node.op_type in ("MatMul", "MatMulInteger") and len(shape.get(node.input[1], [])) == 2:
            if any(part in node.name for part in ("pooler", "classifier")):
                continue  # one token a text
            k, n = shape[node.input[1]]
            hidden = hidden or k
            macs += k * n * seq
        elif node.op_type == "Softmax":
            macs += 2 * seq * seq * hidden
    return 2 * macs * batch


def median(rounds, key):
    return statistics.median(r[key] for r in rounds)


def cell(args, model, threads, batch, seq):
    made, feed = session(model, seq, batch, threads)
    command = [args.program, model, str(seq), str(batch), str(threads), str(args.runs)]
    command += [args.weights] if args.weights else []
    ours, theirs = [], []
    for _ in range(args.rounds):
        time.sleep(0.3)  # ONNX Runtime's workers spin on for a while when a run is over
        ours.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        theirs.append(ort(made, feed, args.runs))
    a, b = median(ours, "wall_p50"), median(theirs, "wall_p50")
    least = lambda key: min(r[key] for r in ours) / min(r[key] for r in theirs)
    peak = args.peak_int8 if "int8" in model or args.weights == "q8_0" else args.peak_f32
    fastest = min(min(r["wall_min"], r["cpu_min"] if threads == 1 else r["wall_min"]) for r in ours)
    rate = operations(model, seq, batch) * 1e-6 / fastest
    share = f"{100 * rate / peak / threads:.0f} %" if peak else "-"
    print(f"| {pathlib.Path(model).stem} | {threads} | {batch} | {seq} | {a:.2f} / {median(ours, 'wall_p95'):.2f} | "
          f"{b:.2f} / {median(theirs, 'wall_p95'):.2f} | {a / b:.2f} | {least('wall_min'):.2f} | {least('cpu_min'):.2f} | "
          f"{share} | {max(r['rss'] for r in ours) / ours[0]['file']:.2f} |", flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("models", nargs="+")
    for name, default in (("seq", "16,64,128,256"), ("batch", "1,8"), ("threads", "1,2")):
        args.add_argument("--" + name, default=default)
    args.add_argument("--rounds", type=int, default=7)
    args.add_argument("--runs", type=int, default=20)
    args.add_argument("--weights", choices=("q8_0", "bf16"))
    args.add_argument("--peak-f32", type=float, default=0)
    args.add_argument("--peak-int8", type=float, default=0)
    args = args.parse_args()
    numbers = lambda text: [int(x) for x in text.split(",")]
    print("| model | threads | batch | seq | hearth p50 / p95 ms | ORT p50 / p95 ms | p50 ratio | least wall | least CPU | "
          "share of peak | RSS / file |")
    print("|" + "---|" * 11)
    for model in args.models:
        for threads in numbers(args.threads):
            for batch in numbers(args.batch):
                for seq in numbers(args.seq):
                    cell(args, model, threads, batch, seq)


main()
