#!/usr/bin/env python3
"""tools/check_abi.py says what differs from a list: test_check_abi.py CC."""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STORED = (ROOT / "tests/tools/abi_lp64.txt").read_text().splitlines()

# What the list said before, as an edit of what it says now; what the tool has to answer, or nothing.
CASES = [
    ("a function went away", lambda l: l + ["function hearth_gone"], "breaks: function hearth_gone: is gone"),
    ("a field moved", lambda l: swap(l, "field hearth_item.seq at 4", "field hearth_item.seq at 8"),
     "breaks: field hearth_item.seq at 8 size 4: is now"),
    ("a fixed struct grew", lambda l: swap(l, "struct hearth_item size 12", "struct hearth_item size 8"),
     "breaks: struct hearth_item size 8: is now"),
    ("a status has another number", lambda l: swap(l, "HEARTH_E_MEMORY 30", "HEARTH_E_MEMORY 31"),
     "breaks: constant HEARTH_E_MEMORY 31: is now"),
    ("a function is new", lambda l: [x for x in l if x != "function hearth_tokenize"],
     "new: function hearth_tokenize"),
    ("a config struct grew", lambda l: swap(l, "struct hearth_file_config size 40",
                                            "struct hearth_file_config size 32"),
     "new: struct hearth_file_config"),
    ("nothing", lambda l: l, None),
]


def swap(lines, now, before):
    changed = [line.replace(now, before) for line in lines]
    if changed == lines:
        sys.exit(f"the case is out of date: no line has `{now}`")
    return changed


def main():
    failed = 0
    for name, edit, answer in CASES:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as known:
            known.write("\n".join(edit(list(STORED))) + "\n")
            known.flush()
            run = subprocess.run([sys.executable, ROOT / "tools/check_abi.py", "--cc", sys.argv[1],
                                  "--list", known.name], capture_output=True, text=True)
        breaks = answer is not None and answer.startswith("breaks")
        good = run.returncode == (1 if breaks else 0) and (not answer or answer in run.stdout)
        if not good:
            failed += 1
            print(f"{name}: exit {run.returncode}, {run.stdout}{run.stderr}")
    print(f"{len(CASES)} cases, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
