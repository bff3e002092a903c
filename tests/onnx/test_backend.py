#!/usr/bin/env python3
"""hearth conformance over the ONNX backend cases that Debian's libonnx-testdata installs, and over our own
cases of com.microsoft and quantisation (tests/onnx/cases, answers by ONNX Runtime).

    tests/onnx/test_backend.py HEARTH [LEAST_PASSED]

Exit status 77 when the backend cases are not installed and our own pass."""
import glob
import os
import re
import subprocess
import sys


def run(hearth, dirs):
    r = subprocess.run([hearth, "conformance", *dirs], capture_output=True, text=True, timeout=600)
    lines = r.stdout.strip().split("\n")
    m = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) unsupported", lines[-1])
    if not m:
        sys.exit(f"no summary: {lines[-1]} {r.stderr[-200:]}")
    for line in lines:
        if line.startswith("FAIL"):
            print(line)
    print(lines[-1])
    return [int(n) for n in m.groups()]


def main():
    hearth, least = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 850
    own = sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "*")))
    passed, failed, unsupported = run(hearth, own)
    if failed or unsupported or passed != len(own):
        sys.exit(1)
    backend = sorted(os.path.dirname(p)
                     for p in glob.glob("/usr/share/libonnx-testdata/data/*/*/model.onnx"))
    if not backend:
        print("skipped: libonnx-testdata is not installed")
        sys.exit(77)
    passed, failed, _ = run(hearth, backend)
    if failed or passed < least:
        sys.exit(f"{failed} failed, {passed} passed; 0 and at least {least} are wanted")


main()
