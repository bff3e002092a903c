#!/usr/bin/env python3
"""hearth.c and hearth.h of tools/amalgamate.py are the library: test_amalgamation.py CC FOLDER HOST_DEMO
MODEL LEVEL.

They are compiled alone, up to one level, with the demonstration of examples/firmware; it must print what
the library's does. Everything that a build may switch is at least parsed.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PARSED = [
    [],
    ["-DHEARTH_LEVEL=scalar", "-DHEARTH_WITH_JINJA=0", "-DHEARTH_WITH_TENSORS=0", "-DHEARTH_WITH_SPECULATION=0",
     "-DHEARTH_ERROR_TEXT=0"],
    ["-DHEARTH_LEVEL=scalar", "-DHEARTH_BARE=1"],
    ["-DHEARTH_LEVEL=scalar", "-DHEARTH_WITH_GGUF=0"],
]


def run(*args):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
        sys.exit(f"{' '.join(map(str, args))}: exit status {done.returncode}")
    return done.stdout


def answer(output):
    return [line for line in output.splitlines() if line.startswith(("tokens:", "text:"))]


def main():
    cc, folder, host_demo, model, level = sys.argv[1:]
    folder = pathlib.Path(folder)
    print(run(sys.executable, ROOT / "tools/amalgamate.py", folder), end="")
    for options in PARSED:
        run(cc, "-std=c11", "-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-Werror", "-fsyntax-only", *options,
            folder / "hearth.c")
    refused = subprocess.run([cc, "-std=c11", "-fsyntax-only", "-DHEARTH_LEVEL=avx3", folder / "hearth.c"],
                             capture_output=True, text=True)
    if refused.returncode == 0 or "no name of a level" not in refused.stderr:
        sys.exit("HEARTH_LEVEL=avx3 is not refused")
    run(cc, "-std=c11", "-O1", "-fno-math-errno", f"-DHEARTH_LEVEL={level}", "-c", folder / "hearth.c", "-o", folder / "hearth.o")
    demo = ROOT / "examples/firmware"
    run(cc, "-std=c11", "-I", folder, demo / "demo.c", demo / "board_host.c", folder / "hearth.o", "-lpthread",
        "-o", folder / "demo")
    here, there = answer(run(host_demo, model)), answer(run(folder / "demo", model))
    print(*there, sep="\n")
    if len(here) != 2 or here != there:
        print("the library says:", *here, sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
