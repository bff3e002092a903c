#!/usr/bin/env python3
"""Writes the tables of the documents from the .def lists that the code is built from.

    tools/gen_tables.py            rewrite the tables
    tools/gen_tables.py --check    only say which are out of date; exit status 1 if one is

A table stands between <!-- table NAME --> and <!-- end of table --> in README.md or docs/*.md.
"""
import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def rows(path, macro):
    """The arguments of each row macro(...) of a list; quotes are taken off texts."""
    source = re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.S)
    for match in re.finditer(rf"^{macro}\((.*)\)\s*$", source, flags=re.M):
        parts = re.findall(r'\s*("(?:\\.|[^"\\])*"|(?:[^,()]|\([^()]*\))+)\s*(?:,|$)', match[1])
        yield [p.strip().strip('"') for p in parts]


def table(*columns, lines):
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for line in lines:
        yield "| " + " | ".join(map(str, line)) + " |"


def arch_name(stem):
    """What files say, which need not be a C identifier: .name of struct hg_arch."""
    return re.search(r'\.name = "([^"]+)"', (ROOT / f"src/gguf/arch/arch_{stem}.c").read_text())[1]


def architectures():
    return table("`general.architecture`", "models",
                 lines=[(f"`{arch_name(stem)}`", text) for stem, text in rows("src/gguf/archs.def", "HG_ARCH")])


def weights():
    def line(row):
        name, elements, size = row[1], int(row[3]), int(row[4])
        return f"`{name}`", elements, size, f"{size * 8 / elements:.4g}"
    return table("type", "elements in a block", "bytes", "bits per weight",
                 lines=[line(r) for r in rows("src/kernels/qtypes.def", "HK_QTYPE")
                        if r[5] != "PLAIN"])


def caches():
    return table("type of the KV cache (`--ctk`, `--ctv`)",
                 lines=[(f"`{name}`",) for _, name in rows("src/kernels/kvtypes.def", "HK_KVTYPE")])


FEATURES = {"HB_CPU_AVX2": "AVX2, FMA, F16C", "HB_CPU_AVX512": "AVX-512 F, BW, DQ, VL, VNNI",
            "HB_CPU_AVX_VNNI": "AVX-VNNI", "HB_CPU_AVX512_BF16": "AVX-512 BF16, VBMI",
            "HB_CPU_NEON": "Advanced SIMD", "HB_CPU_NEON_DOT": "dot products",
            "HB_CPU_NEON_I8MM": "int8 matrix multiply", "0": "nothing"}


def levels():
    return table("level (`--level`)", "needs",
                 lines=[(f"`{name}`", ", ".join(FEATURES[f.strip()] for f in needs.split("|")))
                        for name, needs in rows("src/kernels/levels.def", "HK_LEVEL")])


def pretokenizers():
    groups = collections.OrderedDict()
    for name, stages, _ in rows("src/tokenizer/pretokenizers.def", "HV_PRETOK"):
        groups.setdefault(stages, []).append(f"`{name}`")
    return table("`tokenizer.ggml.pre`; a line has one expression",
                 lines=[(", ".join(names),) for names in groups.values()])


def commands():
    have = [(f"`{n}`", t) for n, t in rows("tools/commands.def", "HC_COMMAND")]
    later = [(f"`{n}`", f"not there yet, waits for {t}")
             for n, t in rows("tools/commands.def", "HC_LATER_COMMAND")
             if n not in dict(rows("tools/commands.def", "HC_COMMAND"))]  # both: a build without
    return table("`hearth` …", "", lines=have + later)


def wire_messages_list():
    """{name: number, from, text, fields: [(number, kind, need, name)], texts} of the wire, in its order."""
    out = {n: {"number": int(number), "from": who, "text": text, "fields": [], "texts": []}
           for n, number, who, text in rows("src/serve/messages.def", "HS_MESSAGE")}
    for message, number, kind, need, name, text in rows("src/serve/messages.def", "HS_FIELD"):
        out[message]["fields"].append((int(number), kind, need, name))
        out[message]["texts"].append(text)
    return out


def wire_messages():
    who = {"C": "client", "S": "server"}
    return table("number", "message", "from", "", lines=[
        (m["number"], f"`{n}`", who[m["from"]], m["text"])
        for n, m in wire_messages_list().items() if m["from"] != "P"])


def wire_fields():
    lines = []
    for name, m in wire_messages_list().items():
        for (number, kind, need, field), text in zip(m["fields"], m["texts"]):
            lines.append((f"`{name}`", number, f"`{field}`", kind, "must" if need == "MUST" else "may", text))
    return table("message", "number", "field", "kind", "", "", lines=lines)


def wire_proto():
    """The same as a schema for Protocol Buffers."""
    types = {"U64": "optional uint64", "I64": "optional sint64", "F32": "optional float", "BYTES": "optional bytes",
             "TOKENS": "repeated uint32", "FLOATS": "repeated float", "TEXTS": "repeated bytes"}
    yield "// The binary messages of docs/wire.md. Made from src/serve/messages.def by tools/gen_tables.py."
    yield 'syntax = "proto3";\npackage hearth.wire;\n'
    for name, m in wire_messages_list().items():
        number = "" if m["from"] == "P" else f", number {m['number']} in front of the body"
        yield f"// {m['text']}{number}\nmessage {name} {{"
        for i, kind, need, field in m["fields"]:
            kind = types.get(kind) or f"repeated {kind[5:-1]}"
            yield f"  {kind} {field} = {i};" + ("  // required" if need == "MUST" else "")
        yield "}\n"


def limits():
    """Of the server, with the values of the constants that the list names."""
    header = (ROOT / "src/serve/hs_limits.h").read_text()

    def value(name):
        text = re.search(rf"#define {name} +(\([^)]*\)|\S+)", header)[1]
        base, _, shift = text.strip("()").replace("u", "").partition("<<")
        return int(base) << int(shift or 0)

    return table("`--limit`", "value", "", lines=[
        (f"`{name}`", value(constant), text)
        for name, constant, _, _, text in rows("src/serve/hs_limits.def", "HS_LIMIT")])


def http_routes():
    return table("", "path", "token", "", lines=[
        (f"`{method}`", f"`{path}`", {"CLOSED": "yes", "OPEN": "no"}[token], text)
        for _, method, path, token, text in rows("src/serve/http.def", "HS_ROUTE")])


HTTP_ON = {"C": "chat", "P": "completions", "E": "embeddings", "L": "classify"}


def http_params():
    """What is taken, passed over and refused; in this order, as the lines of the table go."""
    def line(on, how, name, arg, text):
        arg = arg.replace('\\"', '"')
        what = {"FIELD": "taken", "FLAG": "taken", "OWN": "taken", "SKIP": "passed over", "NEVER": "refused",
                "ONE": "refused but " + ", ".join(f"`{v}`" for v in arg[1:-1].split(", "))}[how]
        return f"`{name}`", ", ".join(HTTP_ON[c] for c in on), what, text
    return table("parameter", "of", "", "", lines=[line(*r) for r in rows("src/serve/http.def", "HS_PARAM")])


TABLES = {f.__name__: f for f in (architectures, weights, caches, levels, pretokenizers, commands,
                                  wire_messages, wire_fields, limits, http_routes, http_params)}
WHOLE = {"docs/wire.proto": wire_proto}
MARK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table -->)", re.S)


def fill(match):
    return match[1] + "\n".join(TABLES[match[2]]()) + "\n" + match[3]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = found = 0
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *(ROOT / w for w in WHOLE)]:
        old = path.read_text() if path.exists() else ""
        whole = WHOLE.get(str(path.relative_to(ROOT)))
        new = "\n".join(whole()) if whole else MARK.sub(fill, old)
        found += len(MARK.findall(old))
        if old == new:
            continue
        stale += 1
        if args.check:
            print(f"{path.relative_to(ROOT)}: tables differ from the lists; run tools/gen_tables.py")
        else:
            path.write_text(new)
            print(f"{path.relative_to(ROOT)}: written")
    print(f"{found} tables, {stale} files out of date")
    return 1 if args.check and (stale or not found) else 0


if __name__ == "__main__":
    sys.exit(main())
