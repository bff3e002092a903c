#!/usr/bin/env python3
"""Holds the public binary interface against the list of it that is kept in the tree.

    tools/check_abi.py --cc CC [--library libhearth.so] [--nm NM] [--list FILE] [--update]

The list has a line per function of include/hearth.h, per constant, per struct with its size and per
field with its offset and size, as the compiler sees them. A line that changed or went away breaks
programs that were built before, and the exit status is 1. A new line is said and breaks nothing; before a
release it belongs into the list (--update). Fields may be added at the end of structs that begin with
struct_size, and such a struct may grow. With --library its exported symbols must be the functions of
the header.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/hearth.h"
FIELD = re.compile(r"(?:\(\s*\*\s*(\w+)\s*\)\s*\(.*\)|\**\s*(\w+)\s*(?:\[[^\]]*\])?)$", re.S)


def header_text():
    return re.sub(r"/\*.*?\*/", " ", HEADER.read_text(), flags=re.S)


def functions(text):
    return sorted(set(re.findall(r"HEARTH_API[^;{]*?\b(hearth_\w+)\s*\(", text)))


def fields(body):
    """Names of a struct's fields, in order."""
    for declaration in body.split(";"):
        declaration = " ".join(declaration.split())
        if not declaration:
            continue
        if "(" in declaration:
            parts = [declaration]
        else:
            parts = declaration.split(",")
        for part in parts:
            match = FIELD.search(part.strip())
            if not match:
                sys.exit(f"{HEADER}: field not understood: {declaration}")
            yield match[1] or match[2]


def structs(text):
    for name, body in re.findall(r"typedef struct (hearth_\w+) \{(.*?)\n\} \1;", text, flags=re.S):
        yield name, list(fields(body))


def constants(text):
    for body in re.findall(r"typedef enum hearth_\w+ \{(.*?)\n\} ", text, flags=re.S):
        yield from re.findall(r"(HEARTH_[A-Z0-9_]+)\s*=", body)
    for name in re.findall(r"X\((\w+), \d+,", text):
        yield f"HEARTH_{name}"
    yield from re.findall(r"^#define (HEARTH_[A-Z0-9_]+)\s+\d+u?\s*$", text, flags=re.M)


def program(text):
    yield '#include <hearth.h>\n#include <stdio.h>\nint main(void)\n{'
    for name in sorted(set(constants(text))):
        if not name.startswith("HEARTH_VERSION"):
            yield f'    printf("constant {name} %lld\\n", (long long){name});'
    for name, names in structs(text):
        yield f'    printf("struct {name} size %zu\\n", sizeof({name}));'
        for f in names:
            yield (f'    printf("field {name}.{f} at %zu size %zu\\n", offsetof({name}, {f}), '
                   f'sizeof((({name} *)0)->{f}));')
    yield "    return 0;\n}\n"


def interface(cc):
    text = header_text()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "abi.c"
        source.write_text("\n".join(program(text)))
        binary = pathlib.Path(folder) / "abi"
        subprocess.run([cc, "-std=c11", "-I", HEADER.parent, source, "-o", binary], check=True)
        lines = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()
    return [f"function {name}" for name in functions(text)] + lines


def growing(text):
    return {name for name, names in structs(text) if names[0] == "struct_size"}


def compare(known, now, may_grow):
    """Sentences about what differs: breaks first."""
    def key(line):
        return line.split(" ")[1]
    before, after = ({key(line): line for line in lines} for lines in (known, now))
    for name, line in before.items():
        if name not in after:
            yield f"breaks: {line}: is gone"
        elif after[name] != line and not (line.startswith("struct ") and name in may_grow
                                          and int(after[name].split()[-1]) > int(line.split()[-1])):
            yield f"breaks: {line}: is now `{after[name]}`"
    for name, line in after.items():
        if name not in before:
            yield f"new: {line}: not in the list yet"
        elif before[name] != line and line.startswith("struct "):
            yield f"new: {line}: not in the list yet"


def exported(nm, library):
    text = subprocess.run([nm, "-D", "--defined-only", library], check=True, capture_output=True,
                          text=True).stdout
    for line in text.splitlines():
        letter, name = line.split()[-2:]
        if letter != "A":  # the version itself
            yield name


def check_library(nm, library, names):
    seen = set(exported(nm, library))
    for name in names:
        if not any(s.startswith(f"{name}@@HEARTH_") for s in seen):
            yield f"{library}: does not export {name} with a version"
    for symbol in sorted(seen):
        if symbol.split("@")[0] not in names:
            yield f"{library}: exports {symbol}, which is no function of hearth.h"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--library")
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--list", type=pathlib.Path, default=ROOT / "tests/tools/abi_lp64.txt")
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    now = interface(args.cc)
    if args.update:
        args.list.write_text("\n".join(now) + "\n")
        return 0
    problems = list(compare(args.list.read_text().splitlines(), now, growing(header_text())))
    if args.library:
        names = [line.split()[1] for line in now if line.startswith("function ")]
        problems += check_library(args.nm, args.library, names)
    for problem in problems:
        print(problem)
    breaks = [problem for problem in problems if not problem.startswith("new: ")]
    print(f"{len(now)} lines of the interface, {len(problems)} differences, {len(breaks)} of them breaches")
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main())
