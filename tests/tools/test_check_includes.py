"""tools/check_includes.py finds what it is there to find: each row is a small tree with one breach."""
import pathlib
import subprocess
import sys
import tempfile

CHECKER = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check_includes.py"
ROWS = [
    # file, content, expected text in the output (None: accepted)
    ("src/kernels/norm_scalar.c", '#include "kernels/kernels.h"\n', None),
    ("src/kernels/norm_scalar.c", '#include "base/hb_error.h"\n', "norm_scalar.c:1: includes"),
    ("src/graph/ht_plan.c", '#include "gguf/hg_model.h"\n', "ht_plan.c:1: includes"),
    ("src/graph/ht_plan.c", '#include "tokenizer/hv_bpe.h"\n', "ht_plan.c:1: includes"),
    ("src/gguf/hg_read.c", '#include "onnx/hx_model.h"\n', "hg_read.c:1: includes"),
    ("src/gguf/hg_read.c", '#include "kernels/hk_bodies.h"\n', "hg_read.c:1: includes"),
    ("src/gguf/hg_read.c", '#include "kernels/kernels.h"\n', None),
    ("src/gguf/hg_read.c", "\n#include <stdio.h>\n", "hg_read.c:2: includes <stdio.h>"),
    ("src/base/os/os_new.c", "#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n", None),
    ("src/runtime/hr_x.c", "int f(void)\n{\n    return malloc(1) != 0;\n}\n", "hr_x.c:3: acts"),
    ("src/runtime/hr_x.c", "/* malloc(1) */ const char *s = \"malloc(1)\";\n", None),
    ("src/runtime/hr_x.c", "void f(struct a *a) { a->free(a); hooks.free(a); }\n", None),
    ("src/graph/ht_y.c", "float f(float x) { return expf(x); }\n", "ht_y.c:1: calls libm"),
    ("tools/cmd_x.c", '#include "runtime/hr_model.h"\n', "cmd_x.c:1: includes"),
]


def main():
    failed = 0
    for path, content, expected in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder) / path
            target.parent.mkdir(parents=True)
            target.write_text(content)
            run = subprocess.run([sys.executable, CHECKER, "--root", folder], capture_output=True,
                                 text=True)
            good = run.returncode == (1 if expected else 0) and (expected or "") in run.stdout
            if not good:
                failed += 1
                print(f"{path} with {content!r}: expected {expected!r}, got {run.stdout!r}")
    print(f"{len(ROWS) - failed} of {len(ROWS)} rows as expected")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
