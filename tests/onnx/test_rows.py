#!/usr/bin/env python3
"""rows.md against the tests: every row is there once and every test it names exists."""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROWS = [f"O-{i:02}" for i in range(1, 30)] + ["T-08", "T-09"]


def main():
    files = {p.name: p.read_text(encoding="utf-8") for p in HERE.parent.rglob("*") if p.suffix in (".c", ".def")}
    found, bad = [], []
    for line in (HERE / "rows.md").read_text(encoding="utf-8").splitlines():
        m = re.match(r"\| ([OT]-\d\d) \|", line)
        if not m:
            continue
        found.append(m[1])
        names = 0
        file = None
        for name in re.findall(r"`([^`]+)`", line.rsplit("|", 2)[1]):
            if name.endswith((".c", ".def")):
                file = files.get(name)
                if file is None:
                    bad.append(f"{m[1]}: no file {name}")
                continue
            names += 1
            if not re.search(rf"\b{re.escape(name)}\b", file or ""):
                bad.append(f"{m[1]}: no test {name}")
        if not names:
            bad.append(f"{m[1]}: no test at all")
    if found != ROWS:
        bad.append(f"rows are {found}")
    print("\n".join(bad) if bad else f"{len(found)} rows")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
