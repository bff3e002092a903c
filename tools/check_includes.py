#!/usr/bin/env python3
"""Checks which room includes which, and that the core computes and does not act.

    tools/check_includes.py [--root DIR]

Rooms (docs/architecture.md) stand in one order and look only to their left:

    kernels, base < graph, tokenizer < gguf | onnx < runtime < serve < tools

1. Every `#include "..."` of a room names a file that the room's row below allows.
2. Every `#include <...>` of the core is on the short list of headers that need no operating system.
3. No file of the core calls the heap, the console, the environment, or ends the process.
4. File names are unique over the source rooms.

Prints `file:line: what was found; what is accepted` for each breach and exits 1 if there was one.
"""
import argparse
import fnmatch
import pathlib
import re
import sys

# room: patterns of what its files may include, from the source root or include/. A room may always
# include its own files. First match of a file's path in ROOMS decides its room.
LEFT_OF_GRAPH = ["hearth.h", "base/*", "kernels/*"]
QTYPES = ["kernels/kernels.h", "kernels/qtypes.def", "kernels/kvtypes.def"]
ROOMS = [
    # path                  may include
    ("src/base/os/",        ["hearth.h", "base/*"]),
    ("src/base/",           ["hearth.h", "base/*"]),
    ("src/kernels/",        ["base/hb_port.h", "kernels/*"]),
    ("src/graph/",          LEFT_OF_GRAPH + ["graph/*"]),
    ("src/tokenizer/",      ["hearth.h", "base/*", "tokenizer/*"]),
    ("src/gguf/",           ["hearth.h", "base/*", "graph/*", "tokenizer/*", "gguf/*"] + QTYPES),
    ("src/onnx/",           ["hearth.h", "base/*", "graph/*", "tokenizer/*", "onnx/*"] + QTYPES),
    ("src/runtime/",        LEFT_OF_GRAPH + ["graph/*", "tokenizer/*", "gguf/*", "onnx/*", "runtime/*"]),
    ("src/serve/",          LEFT_OF_GRAPH + ["serve/*", "bench/instruments/bn_latency.h"]),
    ("tools/quantize/",     ["hearth.h", "base/*", "kernels/*", "gguf/*"]),  # rewrites stored blocks
    ("tools/",              ["hearth.h", "tools/*", "bench/*", "commit.h"]),  # commit.h is made by the build
]
# Tools that need a loader or another room, with the reason.
EXCEPTIONS = {
    "tools/tensor_io.c": ["onnx/hx_model.h", "base/*"],  # TensorProto files of the ONNX tests
    "tools/cmd_serve.c": ["serve/*", "base/*", "kernels/*"],
    "tools/serve_http.h": ["serve/*"],
    "tools/serve_desk.h": ["serve/*"],
    "tools/serve_desk.c": ["serve/*", "base/*"],
    "tools/serve_process.h": ["serve/*"],
    "tools/serve_process.c": ["serve/*", "base/*"],
    # the client's end of the wire: the codec of the server's room, its clock and its arena
    "tools/wire_client.h": ["serve/hs_wire.h"],
    "tools/wire_client.c": ["base/*"],
    "tools/cmd_quantize.c": ["gguf/*", "kernels/*", "base/*"],  # with the parts below tools/quantize
}

# Headers of the C library that a machine without an operating system has too; string.h for
# memcpy and its family, math.h for INFINITY and NAN (no function of it may be called in kernels).
FREESTANDING = {
    "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h", "stdatomic.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "string.h",
}
SYSTEM = [
    # path                  system headers
    ("src/tokenizer/hv_json", FREESTANDING | {"jansson.h"}),  # HEARTH_JSON
    ("src/runtime/grammar_schema", FREESTANDING | {"jansson.h"}),  # HEARTH_JSON
    ("src/runtime/labels_json", FREESTANDING | {"jansson.h"}),  # HEARTH_JSON
    ("src/runtime/hr_schema_walk.h", FREESTANDING | {"jansson.h"}),
    ("src/tokenizer/hv_normalize_utf8proc.c", FREESTANDING | {"utf8proc.h"}),  # HEARTH_UTF8PROC
    ("src/base/os/",        None),  # any: this is where the operating system is called
    ("src/serve/",          None),
    ("tools/",              None),
    ("src/kernels/",        FREESTANDING | {"immintrin.h", "arm_neon.h"}),
    ("src/",                FREESTANDING),
]
ACTS = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|free|printf|fprintf|sprintf|snprintf|vsnprintf|puts|putchar|"
    r"fopen|exit|_exit|abort|getenv|assert|strdup|atoi|strtol|strtod|qsort|rand|time|clock)\s*\(")
NO_LIBM = re.compile(
    r"(?<![\w.>])(expf?|exp2f?|logf?|log2f?|powf?|sinf?|cosf?|tanhf?|erff?|sqrtf?|fmaf?|floorf?|"
    r"ceilf?|roundf?|rintf?|nearbyintf?|lrintf?|ldexpf?|fabsf?|fmaxf?|fminf?)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def first_row(rows, path):
    return next((row for row in rows if path.startswith(row[0])), None)


def without_comments_and_texts(source):
    """The code alone, with line breaks kept so that line numbers stay true."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        text = match.group(0)
        return "\n" * text.count("\n") if text.startswith("/") else text[0] + text[0]

    return pattern.sub(blank, source)


def check_include(path, quote, name, root):
    if quote == "<":
        allowed = first_row(SYSTEM, path)
        if allowed and allowed[1] is not None and name not in allowed[1]:
            return f"includes <{name}>; accepted here: {' '.join(sorted(allowed[1]))}"
        return None
    room = first_row(ROOMS, path)
    if room is None:
        return None
    # Headers beside the file may be named without their folder.
    beside = pathlib.PurePosixPath(path).parent / name
    if (root / beside).is_file():
        name = str(beside).removeprefix("src/")
    own = room[0].removeprefix("src/") + "*"
    allowed = room[1] + [own] + EXCEPTIONS.get(path, [])
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
        return f'includes "{name}"; accepted in {room[0]}: {" ".join(sorted(set(allowed)))}'
    return None


def check_file(root, path):
    source = (root / path).read_text(encoding="utf-8")
    breaches = []
    for number, line in enumerate(source.split("\n"), 1):
        match = INCLUDE.match(line)
        problem = match and check_include(path, match.group(1), match.group(2), root)
        if problem:
            breaches.append((number, problem))
    core = path.startswith("src/") and not path.startswith(("src/base/os/", "src/serve/"))
    if core:
        for number, line in enumerate(without_comments_and_texts(source).split("\n"), 1):
            for pattern, kind in ((ACTS, "acts"), (NO_LIBM, "calls libm")):
                match = pattern.search(line)
                if match and not re.match(r"\s*#", line):
                    breaches.append((number, f"{kind}: {match.group(1)}(); the core takes bytes and "
                                             "returns a status, with its own polynomials"))
    return breaches


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    files = sorted(str(p.relative_to(root)) for top in ("src", "include", "tools")
                   for p in (root / top).rglob("*") if p.suffix in (".c", ".h", ".def"))
    bad = 0
    for path in files:
        for number, problem in check_file(root, path):
            print(f"{path}:{number}: {problem}")
            bad += 1
    seen = {}
    for path in files:
        name = path.rsplit("/", 1)[-1]
        if name in seen:
            print(f"{path}:1: has the name of {seen[name]}; file names are unique over the tree")
            bad += 1
        seen.setdefault(name, path)
    print(f"{len(files)} files, {bad} breaches of the room rules")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
