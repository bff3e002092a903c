"""hearth quantize from end to end on the draft model of the fixtures.

    test_quantize.py COMMAND MODEL.gguf      MODEL is q8_0
"""
import json
import math
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile


def run(command, *args, before=None):
    return subprocess.run([command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before)


def perplexity(command, model, text):
    done = run(command, "perplexity", "-m", model, "-f", text, "-c", "128", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["ppl"]


def write_text(command, model, path):
    """What the model itself writes: whatever changes it makes that less likely."""
    with open(path, "w") as f:
        for seed in range(1, 5):
            done = run(command, "generate", "-m", model, "-p", "The old man", "-n", "250", "--temp", "1", "--top-k", "0",
                       "--top-p", "1", "--min-p", "0", "-s", str(seed), "--ignore-eos")
            assert done.returncode == 0, done.stderr
            f.write(done.stdout + "\n")


def inspect(command, model):
    done = run(command, "inspect", "-m", model, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_types(command, model, folder, text):
    """Every mix gives a file that runs and reads about as well as its bits allow."""
    plain, before = perplexity(command, model, text), os.path.getsize(model)
    for mix, most in [("q8_0", 1.001), ("q6_k", 1.02), ("q5_k_m", 1.05), ("q5_0", 1.05), ("q4_k_m", 1.10), ("q4_0", 1.15),
                      ("iq4_xs", 1.10), ("q3_k_m", 1.25), ("q2_k", 1.8), ("f16", 1.005)]:
        out = os.path.join(folder, mix + ".gguf")
        done = run(command, "quantize", model, out, mix, "--allow-requantize", "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["bytes"] == os.path.getsize(out), said
        assert said["type"] == mix and (mix in ("q8_0", "f16") or said["bytes"] < before), said
        assert not os.path.exists(out + ".partial")
        ratio = perplexity(command, out, text) / plain
        print(f"{mix:7} {said['bytes']:9} bytes, perplexity {ratio:.4f} of q8_0's, "
              f"rms error {said['relative_rms_error']:.4f}")
        assert 0.9 < ratio < most, f"{mix}: {ratio}"
    return os.path.join(folder, "f16.gguf")


def check_same_bytes(command, f16, folder):
    """Threads do not matter; a float source needs no permission."""
    files = []
    for threads in ("1", "3"):
        out = os.path.join(folder, f"t{threads}.gguf")
        done = run(command, "quantize", f16, out, "Q4_K_M", "-t", threads)
        assert done.returncode == 0, done.stderr
        files.append(open(out, "rb").read())
    assert files[0] == files[1], "threads change the file"
    assert "bits a weight" in done.stdout


def check_importance(command, f16, folder):
    """A matrix in the legacy form is used; one of another size is refused by name."""
    name, width = b"blk.0.ffn_up.weight", inspect(command, f16)["n_embd"]
    path, out = os.path.join(folder, "imatrix.dat"), os.path.join(folder, "weighted.gguf")

    def write(n):
        values = [100.0 if i % 4 == 0 else 0.5 for i in range(n)]
        with open(path, "wb") as f:
            f.write(struct.pack("<ii", 1, len(name)) + name + struct.pack(f"<ii{n}f", 1, n, *values))

    write(width)
    done = run(command, "quantize", f16, out, "q4_0", "--imatrix", path)
    assert done.returncode == 0, done.stderr
    assert "are not in the importance matrix" in done.stderr
    plain = os.path.join(folder, "plain.gguf")
    run(command, "quantize", f16, plain, "q4_0")
    assert open(out, "rb").read() != open(plain, "rb").read()
    write(width - 1)
    done = run(command, "quantize", f16, out, "q4_0", "--imatrix", path)
    assert done.returncode == 3 and "blk.0.ffn_up.weight" in done.stderr, done.stderr


def check_divergence(command, model, folder, text):
    """KL from the saved run: nothing from itself, more with fewer bits; another text is refused."""
    base = os.path.join(folder, "base")
    args = ("perplexity", "-f", text, "-c", "128", "--json")
    assert run(command, *args, "-m", model, "--save-base", base).returncode == 0
    seen = []
    for mix in ("q8_0", "q6_k", "q4_k_m", "q2_k"):
        done = run(command, *args, "-m", os.path.join(folder, mix + ".gguf"), "--base", base)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        ratio = said["ppl"] / json.loads(run(command, *args, "-m", model).stdout)["ppl"]
        assert abs(said["kl"]["ln_ppl_ratio"] - math.log(ratio)) < 1e-5, said
        seen.append(said["kl"])
        print(f"{mix:7} KL {said['kl']['mean']:.5f}, same likeliest token {said['kl']['same_top']:.3f}")
    assert seen[0]["max"] < 1e-6 and seen[0]["same_top"] == 1, seen[0]
    assert 1e-5 < seen[1]["mean"] < seen[2]["mean"] < seen[3]["mean"], seen
    assert seen[1]["same_top"] > seen[3]["same_top"], seen
    for bad, sentence in ((("-c", "64"), "of another text, context"), (("--save-base", base), "given with")):
        done = run(command, *args, *bad, "-m", model, "--base", base)
        assert done.returncode in (2, 3) and sentence in done.stderr, done.stderr
    with open(base, "r+b") as f:
        f.truncate(os.path.getsize(base) - 4)
    done = run(command, *args, "-m", model, "--base", base)
    assert done.returncode == 3 and "bytes" in done.stderr, done.stderr
    done = run(command, *args, "-m", model, "--base", model)
    assert done.returncode == 3 and "--save-base" in done.stderr, done.stderr


def check_refusals(command, model, folder):
    out = os.path.join(folder, "no.gguf")
    garbage = os.path.join(folder, "garbage")
    open(garbage, "wb").write(b"GGUF" + bytes(60))
    rows = [
        ((model, out, "q4_k_m"), 3, "is q8_0 already"),
        ((model, out, "q4_9"), 2, "q4_9: no type; accepted are"),
        ((model, model, "q4_0"), 2, "is the input"),
        ((model, out), 2, "IN OUT TYPE"),
        ((garbage, out, "q4_0"), 3, "garbage"),
        ((out + "x", out, "q4_0"), 3, "no.ggufx"),
        ((model, os.path.join(folder, "nowhere", "x.gguf"), "q4_0", "--allow-requantize"), 1, "nowhere"),
        ((model, out, "q4_0", "--allow-requantize", "--imatrix", garbage), 3, "garbage"),
    ]
    for args, status, sentence in rows:
        done = run(command, "quantize", *args)
        assert done.returncode == status and sentence in done.stderr, (args, done.returncode, done.stderr)
        assert not os.path.exists(out) and not os.path.exists(out + ".partial")
    done = run(command, "quantize", model, out, "q4_0", "--allow-requantize", "--dry-run")
    assert done.returncode == 0 and "token_embd.weight" in done.stderr and not os.path.exists(out), done.stderr

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    done = run(command, "quantize", model, out, "q4_0", "--allow-requantize", before=small_files)
    assert done.returncode == 1 and "could not be written" in done.stderr, done.stderr
    assert not os.path.exists(out) and not os.path.exists(out + ".partial")


def main():
    command, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        write_text(command, model, text)
        f16 = check_types(command, model, folder, text)
        check_same_bytes(command, f16, folder)
        check_importance(command, f16, folder)
        check_divergence(command, model, folder, text)
        check_refusals(command, model, folder)


if __name__ == "__main__":
    main()
