#!/usr/bin/env python3
"""Writes the library as two files, hearth.c and hearth.h, for products that compile it themselves.

    tools/amalgamate.py FOLDER [--generated FOLDER]

    cc -O2 -fno-math-errno -c hearth.c              everything that needs no library, all levels
    ... -DHEARTH_LEVEL=avx2                         up to one level of src/kernels/levels.def
    ... -DHEARTH_WITH_JINJA=0                       a feature less; the list stands at the top of hearth.c

The files of cmake/HearthSources.cmake come one after the other with their headers in place, under the
conditions that CMake has for them. Level files stand between pragmas that give them their instructions.
Names that two files use for something of their own get the file's name behind them. With --generated, the
folder of the ONNX messages' code, ONNX is there too (HEARTH_WITH_ONNX=1, which links protobuf-c).
"""
import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OFF = {"ONNX", "JSON", "UTF8PROC"}  # need a library
FEATURES = ["GGUF", "TENSORS", "JINJA", "SPECULATION", "THREAD_POOL", "ARENA", "KV_CACHE", "MMAP",
            "SIMD_TOKENIZER", "ONNX", "JSON", "UTF8PROC"]
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)".*$', re.M)
GUARD = re.compile(r"^#ifndef (\w+_H)\n#define \1\n", re.M)
# Headers of the kernels that are the same for all levels.
SHARED_KERNELS = {"kernels.h", "hk_bodies.h", "hk_left_out.h", "hk_block_sizes.h", "hk_bits.h", "hk_half.h",
                  "hk_tile_neon_parts.h"}


def levels():
    """(name, what the compiler is told, machine) in the order of levels.def."""
    cmake = (ROOT / "cmake/HearthLevels.cmake").read_text()
    names = re.findall(r"^HK_LEVEL\((\w+)", (ROOT / "src/kernels/levels.def").read_text(), flags=re.M)
    for name in names:
        flags = re.search(rf'set\(HEARTH_FLAGS_{name}\s+"([^"]*)"\)', cmake)[1]
        target = ",".join(f.removeprefix("-march=").join(("arch=", "")) if f.startswith("-march=")
                          else f.removeprefix("-m") for f in flags.split(";") if f)
        machine = "1" if name == "scalar" else ("defined(__aarch64__) && !defined(__AARCH64EB__)"
                                                if name.startswith("neon") else "defined(__x86_64__)")
        yield name, target, machine


LEVELS = list(levels())


def level_of(path):
    """The level of a kernel's file by the end of its name."""
    if not str(path.relative_to(ROOT)).startswith("src/kernels/"):
        return None
    names = [name for name, _, _ in LEVELS if path.stem.endswith("_" + name)]
    return max(names, key=len) if names else None


def condition(text):
    if text == 'HEARTH_OS STREQUAL "posix"':
        return "!HEARTH_BARE"
    return re.sub(r"HEARTH_(\w+)", r"HEARTH_WITH_\1", text)


def sources(with_onnx):
    """(path, conditions) as cmake/HearthSources.cmake lists them, without the server."""
    text = (ROOT / "cmake/HearthSources.cmake").read_text().split("# The server")[0]
    stack = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if match := re.match(r"if\((.*)\)$", line):
            stack.append(condition(match[1]) if re.match(r"HEARTH_", match[1]) else None)
        elif line == "else()":
            stack[-1] = f"!({stack[-1]})"
        elif line == "endif()":
            stack.pop()
        for name in re.findall(r"src/[\w/.*${}]+\.c\b", line):
            conditions = [c for c in stack if c]
            if "HEARTH_WITH_ONNX" in conditions and not with_onnx:
                continue
            if "${HEARTH_OS}" in name:
                yield ROOT / name.replace("${HEARTH_OS}", "posix"), conditions + ["!HEARTH_BARE"]
                yield ROOT / name.replace("${HEARTH_OS}", "bare"), conditions + ["HEARTH_BARE"]
                continue
            for path in sorted(ROOT.glob(name)):
                yield path, conditions
        if "${HEARTH_KERNEL_SOURCES}" in line:
            for name in ("qtypes", "cpu", "dispatch"):
                yield ROOT / f"src/kernels/{name}.c", []
            for level, _, _ in LEVELS:
                for path in sorted([*(ROOT / "src/kernels").glob(f"*_{level}.c"),
                                    *(ROOT / "src/kernels/quant").glob(f"*_{level}.c")]):
                    if level_of(path) == level:
                        yield path, [f"HEARTH_HAS_{level}"]
        if line == "${hearth_pb}/onnx.pb-c.c" and with_onnx:
            yield with_onnx / "onnx/onnx.pb-c.c", ["HEARTH_WITH_ONNX"]


def strip(text):
    return COMMENT.sub(lambda m: m[0] if m[0].startswith('"') else " ", text)


def own_names(text):
    """Names of file scope that a text defines for itself, and macros."""
    code = strip(text)
    macros = set(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", code, flags=re.M))
    code = re.sub(r"^[ \t]*#.*(?:\\\n.*)*$", "", code, flags=re.M)
    code = re.sub(r"HB_ALIGNAS\(\d+\)", "", code)
    names = set(re.findall(r"^(?:static|HB_INLINE)\b[^;={(]*?\b(\w+)\s*(?=[(\[=;])", code, flags=re.M))
    names |= set(re.findall(r"^(?:typedef )?(?:struct|union|enum)\s+(\w+)\s*\{", code, flags=re.M))
    names |= set(re.findall(r"^(?:static const |static )?struct\s+(\w+)\s*\{", code, flags=re.M))
    names |= set(re.findall(r"^typedef [^{};]*?\b(\w+)(?:\([^;{}]*\))?;", code, flags=re.M))
    names |= set(re.findall(r"^TILE_K\((tile_\w+),", code, flags=re.M))  # which defines a function of that name
    names = {name for name in names if not name.isupper()}  # HB_ALIGNAS(64), KV_FN(name)
    for body in re.findall(r"^(?:typedef )?enum\s*\w*\s*\{([^}]*)\}", code, flags=re.M):
        names |= set(re.findall(r"(?:^|,)\s*(\w+)(?!\w*\s*##)", body))
    return names - {"inline", "const"}, macros


def is_kernel_header(path):
    """Headers that differ from level to level: their functions are compiled for the level around them."""
    return path.parent.name in ("kernels", "quant") and path.name not in SHARED_KERNELS


class Unit:
    """One file; headers with a guard stand in front of it, everything else it includes in place."""

    def __init__(self, path, conditions, roots):
        self.path, self.conditions, self.roots = path, conditions, roots
        self.level = level_of(path) if level_of(path) != "scalar" else None
        self.headers = []
        self.names, self.macros = set(), set()
        # flags that the file sets before its first header, which may look at them
        self.flags = re.findall(r"^#define \w+$", path.read_text().split("#include")[0], flags=re.M)
        self.text = self.inline(path)

    def find(self, name, beside):
        for folder in (beside.parent, *self.roots):
            if (folder / name).is_file():
                return (folder / name).resolve()
        sys.exit(f"{beside}: includes {name}, which is nowhere")

    def inline(self, path):
        text = path.read_text()
        names, macros = own_names(text)
        self.names |= names
        self.macros |= macros
        return INCLUDE.sub(lambda m: self.include(m[1], path, strip(text[:m.start()])), text)

    def include(self, name, beside, before):
        """A header behind code of the file may use that code, so it stays where it is."""
        path = self.find(name, beside)
        if path.name == "hearth.h":
            return ""
        text = path.read_text()
        behind_code = is_kernel_header(path) and ";" in before
        if path.suffix == ".h" and not behind_code and (GUARD.search(text) or "pb-c" in path.name):
            self.headers.append(path)
            return ""
        return f"/* {name} */\n{self.inline(path)}"

    def all_headers(self):
        """Every header with a guard, those that a header includes before it."""
        found = {}

        def visit(path):
            if path in found:
                return
            found[path] = None  # keeps circles out
            body = INCLUDE.sub(lambda m: inner(m, path), path.read_text())
            del found[path]
            found[path] = body

        def inner(match, path):
            header = self.find(match[1], path)
            if header.name == "hearth.h":
                return ""
            if GUARD.search(header.read_text()) or "pb-c" in header.name:
                visit(header)
                return ""
            return header.read_text()

        for header in self.headers:
            visit(header)
        return found


def wrapped(conditions, text):
    for c in reversed(conditions):
        text = f"#if {c}\n{text}\n#endif /* {c} */\n"
    return text


def emit_headers(unit, done, want, conditions=()):
    """Headers that did not stand under these conditions, or some of them, yet; their guards do the rest."""
    text = ""
    for path, body in unit.all_headers().items():
        if want(path) and not any(set(before) <= set(conditions) for before in done[path]):
            done[path].append(conditions)
            text += f"\n/* ==== {path.name} ==== */\n{body}"
    return wrapped(conditions, text) if text else ""


def emit_unit(unit, clashing):
    stem = re.sub(r"\W", "_", unit.path.stem)
    renamed = sorted(unit.names & clashing)
    lines = [f"\n/* ==== {unit.path.name} ==== */"]
    lines += [f"#define {name} {name}_in_{stem}" for name in renamed]
    lines.append(unit.text)
    lines += [f"#undef {name}" for name in sorted(set(renamed) | unit.macros - {"_GNU_SOURCE"})]
    return "\n".join(lines)


def emit_level(level, target, units, clashing, shared, out):
    """All files of a level between the pragmas that give it its instructions."""
    units = [unit for unit in units if unit.level == level]
    for unit in units:
        out.append(emit_headers(unit, shared, lambda path: not is_kernel_header(path)))
    names, macros, done, body = set(), set(), collections.defaultdict(list), ""
    for unit in units:
        for path in unit.all_headers():
            if is_kernel_header(path):
                found = own_names(path.read_text())
                names |= found[0]
                macros |= found[1]
        body += "\n".join(["", *unit.flags, emit_headers(unit, done, is_kernel_header),
                           emit_unit(unit, clashing)])
    lines = [f"#define {name} {name}_at_{level}" for name in sorted(names)]
    lines += ["#define HK_FMA_HARDWARE 1", "#if defined(__clang__)"]
    if target:
        clang = re.sub(r",prefer-vector-width=\d+", "", target)
        lines.append(f'#pragma clang attribute push(__attribute__((target("{clang}"))), apply_to = function)')
    lines += ["#else", "#pragma GCC push_options"]
    if target:
        lines.append(f'#pragma GCC target("{target}")')
    lines += ["#endif", body, "#if defined(__clang__)"]
    if target:
        lines.append("#pragma clang attribute pop")
    lines += ["#else", "#pragma GCC pop_options", "#endif", "#undef HK_FMA_HARDWARE"]
    lines += [f"#undef {name}" for name in sorted(names | macros)]
    out.append(wrapped([f"HEARTH_HAS_{level}"], "\n".join(lines)))


def opening():
    ranks = "\n".join(f"#define HEARTH_RANK_{name} {i + 1}" for i, (name, _, _) in enumerate(LEVELS))
    has = "\n".join(f"""#if HEARTH_RANK >= {i + 1} && {machine}
#define HEARTH_HAS_{name} 1
#define HK_WITH_{name} 1
#else
#define HEARTH_HAS_{name} 0
#define HK_WITH_{name} 0
#endif""" for i, (name, _, machine) in enumerate(LEVELS))
    features = "\n".join(f"""#ifndef HEARTH_WITH_{name}
#define HEARTH_WITH_{name} {0 if name in OFF else 1}
#endif""" for name in FEATURES)
    return f"""/* hearth in one file, made by tools/amalgamate.py. Compile it beside hearth.h as C11, with -fno-math-errno:
 * square roots are an instruction then, and nothing of libm is linked.
 *
 *   -DHEARTH_LEVEL=NAME   the highest kernel level: {" ".join(name for name, _, _ in LEVELS)}; all without it
 *   -DHEARTH_WITH_X=0|1   X: {" ".join(FEATURES)}
 *                         {", ".join(sorted(OFF))} are off: they link protobuf-c, jansson, utf8proc
 *   -DHEARTH_BARE=1       without an operating system (docs/embedding.md)
 *   -DHEARTH_ERROR_TEXT=0 without sentences
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef HEARTH_BARE
#define HEARTH_BARE 0
#endif
#ifndef HEARTH_ERROR_TEXT
#define HEARTH_ERROR_TEXT 1
#endif
#ifndef HEARTH_DEBUG
#define HEARTH_DEBUG 0
#endif
{features}
{ranks}
#ifdef HEARTH_LEVEL
#define HEARTH_RANK_CAT2(a, b) a##b
#define HEARTH_RANK_CAT(a, b) HEARTH_RANK_CAT2(a, b)
#define HEARTH_RANK HEARTH_RANK_CAT(HEARTH_RANK_, HEARTH_LEVEL)
#if HEARTH_RANK == 0
#error "HEARTH_LEVEL is no name of a level"
#endif
#else
#define HEARTH_RANK {len(LEVELS)}
#endif
{has}
/* Floats: what is written is what is computed, on every level. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-math-errno", "no-trapping-math")
#endif

#include "hearth.h"
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--generated", type=pathlib.Path)
    args = parser.parse_args()
    generated = args.generated and args.generated.resolve()
    roots = [ROOT / "src", ROOT / "include", *([generated] if generated else [])]
    units = [Unit(path, conditions, roots) for path, conditions in sources(generated)]
    count = collections.Counter(name for unit in units for name in unit.names)
    clashing = {name for name, n in count.items() if n > 1}
    out, shared = [opening()], collections.defaultdict(list)
    for name, target, _ in LEVELS[1:]:
        emit_level(name, target, units, clashing, shared, out)
    for unit in units:
        if not unit.level:
            conditions = tuple(c for c in unit.conditions if not c.endswith("_scalar"))
            out.append(emit_headers(unit, shared, lambda path: True, conditions))
            out.append(wrapped(conditions, emit_unit(unit, clashing)))
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "hearth.c").write_text("\n".join(out))
    (args.folder / "hearth.h").write_text((ROOT / "include/hearth.h").read_text())
    print(f"{args.folder}: {len(units)} files, {sum(t.count(chr(10)) for t in out)} lines, "
          f"{len(clashing)} names made distinct")
    return 0


if __name__ == "__main__":
    sys.exit(main())
