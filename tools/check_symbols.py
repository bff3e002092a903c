#!/usr/bin/env python3
"""Checks the symbols of libhearth.a, as nm prints them.

    tools/check_symbols.py LIBRARY [--nm PROGRAM]
    tools/check_symbols.py --one LIBRARY [--bare] [--nm PROGRAM]

1. Every external symbol carries the prefix of a room: in a static archive it meets the product's own.
2. Every object outside base/os and serve needs nothing but the rooms and the few functions that a
   machine without an operating system has too: no heap, no console, no environment, no libm.

With --one the library is the linked one that products get: nothing but hearth_* is defined for others.
With --bare it also needs nothing but the few functions of (2) and those of the compiler's own runtime.
"""
import argparse
import re
import subprocess
import sys

PREFIX = re.compile(r"(hearth|hb|hk|ht|hv|hg|hx|hr|hs)_")
FREESTANDING = {
    "memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strcmp", "strncmp",
    "strchr", "strrchr", "strstr",
    "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail",
}
# Atomic operations of the compiler's own runtime (AArch64: with or without LSE, chosen at start).
ATOMICS = re.compile(r"^__aarch64_(cas|swp|ld(add|set|clr|eor))\d+_\w+$")
# What the compiler calls by itself on machines that lack an instruction: wide integers, soft floats.
RUNTIME = re.compile(r"^(__aeabi_\w+|__gnu_[fdh]\w+_ieee|__(add|sub|mul|div|neg|cmp|eq|ne|lt|le|gt|ge|unord)[sdt]f[23]|"
                     r"__(extend|trunc)[hsdt]f[hsdt]f2|__(fix|fixuns|float|floatun)[sdt][if][sdt][if]|"
                     r"__(u?div|u?mod|u?divmod|mul|ashl|ashr|lshr|ctz|clz|popcount|bswap)[sdt]i[234])$")
# Objects that may call the operating system.
SYSTEM_OBJECTS = re.compile(r"^(os_|cpu_features\.|serve_)")
# Objects behind an option that bring a library along: what they may need of it.
LIBRARIES = [
    (re.compile(r"^hv_normalize_utf8proc\."), re.compile(r"utf8proc_")),
    (re.compile(r"^(hv_json|grammar_schema|labels_json)"), re.compile(r"json_|jansson_")),
    (re.compile(r"^(onnx\.pb-c|hx_load)\."), re.compile(r"protobuf_c_message_")),
]


def symbols(nm, library):
    """(object, letter, name) of every external symbol."""
    text = subprocess.run([nm, "-A", "-g", library], check=True, capture_output=True,
                          text=True).stdout
    for line in text.splitlines():
        match = re.match(r"(?:.*:)?([^:]+\.o(?:bj)?):(?:[0-9a-f]+)?\s+(\w) (\S+)$", line)
        if match:
            yield match.groups()


def may_need(obj, name):
    return (SYSTEM_OBJECTS.match(obj) or PREFIX.match(name) or name in FREESTANDING
            or ATOMICS.match(name) or any(o.match(obj) and n.match(name) for o, n in LIBRARIES))


def check_one(rows, bare):
    """Breaches of the linked library. Calls of the compiler's runtime may have been linked in."""
    for _, letter, name in rows:
        if letter not in "Uvw" and not name.startswith("hearth_"):
            yield f"defines {name}; names that start with hearth_ are accepted"
        if letter == "U" and bare and name not in FREESTANDING and not RUNTIME.match(name):
            yield f"needs {name}; accepted: {' '.join(sorted(FREESTANDING))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library")
    parser.add_argument("--one", action="store_true")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--nm", default="nm")
    args = parser.parse_args()
    rows = list(symbols(args.nm, args.library))
    if not rows:
        print(f"{args.library}: nm shows no symbols; a library with symbols is accepted")
        return 1
    if args.one:
        problems = list(check_one(rows, args.bare))
        for problem in problems:
            print(f"{args.library}: {problem}")
        print(f"{len(rows)} external symbols, {len(problems)} breaches")
        return 1 if problems else 0
    bad = 0
    for obj, letter, name in rows:
        if letter != "U" and not PREFIX.match(name):
            print(f"{obj}: defines {name}; names that start with a room's prefix are accepted")
            bad += 1
        if letter == "U" and not may_need(obj, name):
            print(f"{obj}: needs {name}; accepted: {' '.join(sorted(FREESTANDING))}")
            bad += 1
    print(f"{len({row[0] for row in rows})} objects, {len(rows)} external symbols, {bad} breaches")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
