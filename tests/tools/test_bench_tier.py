#!/usr/bin/env python3
"""hearth bench tier and its suites in smoke mode: every suite runs once and checks its results; what is wrong in a tier's
file is refused by name; every row of the targets has a verdict; a planted slowdown is found, noise is not."""
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEARTH = pathlib.Path(sys.argv[1]).resolve()
BUILT = set(sys.argv[2].split(","))
SUITES = re.findall(r"^BN_SUITE\((\w+),", (ROOT / "bench/suites/suites.def").read_text(), re.M)
ROWS = [(m[1], m[2]) for m in re.finditer(r'^BN_ROW\("([^"]+)", ([T123 |]+),', (ROOT / "bench/tiers/targets.def").read_text(), re.M)]
TMP = pathlib.Path(tempfile.mkdtemp())


def run(*args, expect=0):
    done = subprocess.run([HEARTH, *map(str, args)], capture_output=True, text=True, cwd=ROOT, timeout=300)
    if done.returncode != expect:
        sys.exit(f"hearth {' '.join(map(str, args))}: status {done.returncode}, {expect} expected\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def expect(what, text):
    if not what:
        sys.exit(f"not so: {text}")


def smoke():
    out = TMP / "smoke"
    run("bench", "tier", "full", "--smoke", "--out", out)
    report = json.loads((out / "report.json").read_text())
    ran = {s["name"]: s for s in report["suites"]}
    expect(set(ran) == set(SUITES), "every suite is in the report")
    for name, s in ran.items():
        expect(s["ran"] or "check_kernels" in s["why"], f"{name}: {s['why']}")
    expect({v["metric"] for v in report["verdicts"]} == {m for m, t in ROWS if "T3" in t}, "a verdict for every row of tier 3")
    expect(all(v["verdict"] == "not run" and v.get("reason") for v in report["verdicts"]), "smoke mode says nothing of speed")
    expect(all(f["on"] for f in report["features"] if f["name"] != "benchmarks"), "full has every feature on")
    for r in report["results"]:
        expect(("why" in r) or r["value"] is not None, f"{r['name']}: neither a value nor a reason")
        expect(not r["model"] or r["weights"] in ("own weights", "synthetic weights", "real weights"), f"{r['model']}: {r['weights']}")
    served = [r for r in report["results"] if r["name"].startswith("server, ") or r["name"] == "peak / peak without sandbox"]
    expect(len(served) > 3 and not any("why" in r for r in served), f"a server is measured: {[r.get('why') for r in served]}")
    md, html = (out / "report.md").read_text(), (out / "report.html").read_text()
    expect("Smoke mode" in md and "Smoke mode" in html and report["machine"]["cpu"] in md, "the reports say what they are")
    expect("<svg" in html and not re.search(r"(src|href)=|https?://(?!www\.w3\.org)", html), "the page needs no network")


def tiers():
    text = (ROOT / "fixtures/tiers/tier2.json").read_text()
    for number, name in ((1, "tier1"), (2, "tier2"), (3, "tier3"), ("full", "full")):
        tier = json.loads((ROOT / f"fixtures/tiers/{name}.json").read_text())
        expect(tier["name"] == name, name)
    bad = [
        ('"name"', '"nmae"', "the key nmae is not known"),
        ('"memory_ratio"', '"memory_ration"', "targets.memory_ration is not known"),
        ('"classification_p95_ms": 20', '"classification_p95_ms": "20"', "is no number above 0"),
        ('"purpose"', '"porpoise"', "porpoise is not known"),
        ('"embedder"', '"embeder"', "models.embeder is not known"),
        ('"ipc_throughput"', '"ipc_thruput"', "benchmarks.ipc_thruput is no suite"),
        ('"ipc_throughput": true', '"ipc_throughput": 1', "neither true nor false"),
        ('"kv_cache"', '"kv_cash"', "is no feature: kv_cash"),
        ('"minilm-embedder.onnx"', '"../minilm-embedder.onnx"', "a name without folders"),
        ("{", "", "is no JSON"),
    ]
    for old, new, says in bad:
        expect(old in text, old)
        (TMP / "bad.json").write_text(text.replace(old, new, 1))
        said = run("bench", "tier", TMP / "bad.json", "--smoke", "--out", TMP / "bad", expect=3)
        expect(says in said, f"{new}: {said}")
    for missing in sorted(set(json.loads(text)["features"]) - BUILT):
        said = run("bench", "tier", "2", "--smoke", "--out", TMP / "bad", expect=3)
        expect(f"asks for the feature" in said and "without it" in said, said)
        break
    # the short form: a list of suites and targets of the infrastructure alone
    (TMP / "s1.json").write_text(json.dumps({
        "name": "tier1", "description": "short", "benchmarks": ["ipc_throughput", "scheduler_throughput"],
        "targets": {"infrastructure_overhead_us": 20, "input_validation_ns": 10, "memory_acquire_us": 2, "result_creation_ns": 200}}))
    run("bench", "tier", TMP / "s1.json", "--smoke", "--out", TMP / "s1")
    ran = [s["name"] for s in json.loads((TMP / "s1/report.json").read_text())["suites"] if s["ran"]]
    expect(ran == ["ipc_throughput", "scheduler_throughput"], f"exactly the listed suites: {ran}")
    run("bench", "tier", "4", expect=2)
    run("bench", "tier", "1", "--no-mmap", "--out", TMP / "x", expect=2)
    run("bench", "no_such_suite", expect=2)


def features():
    """Tier 1 has features off: its report says so, and the suites obey."""
    tier = json.loads((ROOT / "fixtures/tiers/tier1.json").read_text())
    tier["benchmarks"] = ["ipc_throughput", "generation_throughput"]
    (TMP / "t1.json").write_text(json.dumps(tier))
    run("bench", "tier", TMP / "t1.json", "--smoke", "--out", TMP / "t1")
    report = json.loads((TMP / "t1/report.json").read_text())
    on = {f["name"] for f in report["features"] if f["on"]}
    expect(on == {"onnx", "gguf", "benchmarks"}, f"exactly the listed features: {on}")
    expect(report["threads"] == 1, "without the pool there is one thread")
    expect(not any("binary" in r["name"] for r in report["results"]), "without v2_encoding there is JSON alone")
    expect(any("which is off" in r["params"] for r in report["results"]), "the cache is off")


def planted():
    """Two runs of one suite; then one of them made slower in its file, and one with noise alone."""
    args = ("bench", "scheduler_throughput", "--out")
    run(*args, TMP / "a")
    before = json.loads((TMP / "a/report.json").read_text())
    gated = [r for r in before["results"] if r["gate"] != "none"]
    expect(len(gated) > 10, "results with a gate")
    rng = random.Random(1)
    for r in before["results"]:  # as a quiet machine gives them
        if "samples" in r:
            r["samples"] = [r["p50"] * rng.gauss(1, 0.01) for _ in r["samples"]]

    def write(name, by, who):
        report = json.loads(json.dumps(before))
        for r in report["results"]:
            if "samples" in r and r["gate"] != "none":
                factor = by if r["name"] in who else 1
                r["samples"] = [x * factor * rng.gauss(1, 0.01) for x in r["samples"]]
        (TMP / name).write_text(json.dumps(report))
        return TMP / name

    base, noise = write("base.json", 1, ()), write("noise.json", 1, ())
    said = run("bench", "compare", base, noise)
    expect(" 0 worse" in said, said)
    slow = write("slow.json", 1.15, ("cancel", "cancel, mixed"))
    said = run("bench", "compare", base, slow, expect=1)
    lines = [line for line in said.split("\n") if line.startswith("worse")]
    expect(lines and all("cancel" in line for line in lines), said)
    expect(len(lines) == len([r for r in gated if r["name"] in ("cancel", "cancel, mixed")]), said)
    said = run("bench", "compare", slow, base)
    expect(said.count("better ") >= len(lines), said)
    run("bench", "compare", base, TMP / "smoke/report.json", expect=3)
    (TMP / "none.json").write_text("{}")
    expect("is no report" in run("bench", "compare", base, TMP / "none.json", expect=3), "other files are refused")


def probe():
    out = json.loads(run("bench", "probe", "-m", "fixtures/models/books-draft-6m-q8_0.gguf", "-c", "128", "-p", "16", "-n", "2"))
    expect(out["peak"] > 1 << 20 and out["file_bytes"] == 7537760 and out["first_ms"] > 0, str(out))


smoke()
tiers()
features()
planted()
probe()
