#!/usr/bin/env python3
"""Holds every function's use of the stack against a bound, by the .su files of -fstack-usage.

    tools/check_stack.py FOLDER [--show N]

The compiler writes FILE.su beside each object: function, bytes, and whether they are known. What is of
unknown size (alloca, arrays of variable length) is a breach too. The bound is 4096 bytes, but for the files
below, none of which is in a firmware build of the scalar level without graphs of tensors.
"""
import argparse
import pathlib
import re
import sys

MOST = 4096
EXCEPTIONS = [
    # files, bytes, why
    (r"_(avx2|avx2_vnni|avx512|neon|neon_dot|neon_i8mm)\.c", 64 << 10, "tiles of vectors, unrolled"),
    (r"op_flow\.c", 32 << 10, "a frame of a loop's body"),
    (r"os_limits\.c", 12 << 10, "files of the system's"),
    (r"(op_resize|op_map|encoder)\.c", 9 << 10, "tables of a call"),
]


def most(source):
    return next((size for files, size, _ in EXCEPTIONS if re.search(files + "$", source)), MOST)


def functions(folder):
    """(bytes, kind, function, object) of every function below the folder."""
    for path in pathlib.Path(folder).rglob("*.su"):
        for line in path.read_text().splitlines():
            where, size, kind = line.split("\t")
            yield int(size), kind, where.rsplit(":", 1)[-1], path.name.removesuffix(".su")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--show", type=int, default=5, help="print so many of the largest")
    args = parser.parse_args()
    found = sorted(functions(args.folder), reverse=True)
    if not found:
        print(f"{args.folder}: no .su file; a build with -fstack-usage is accepted")
        return 1
    bad = [f for f in found if f[0] > most(f[3]) or (f[1] != "static" and "bounded" not in f[1])]
    for size, kind, name, source in bad:
        print(f"{source}: {name} takes {size} bytes of the stack ({kind}); at most {most(source)} are accepted")
    for size, _, name, source in found[:args.show]:
        print(f"{size:6} {source} {name}")
    small = sum(f[0] <= MOST for f in found)
    print(f"{len(found)} functions, {small} within {MOST} bytes, {len(bad)} past their bound")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
