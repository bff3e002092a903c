#!/usr/bin/env python3
"""Measures what firmware builds take and writes the table of docs/embedding.md.

    tools/size_table.py [--build FOLDER] [--jobs N]

Every row is a build of its own of which the demonstration, or for ONNX a caller of hearth_session_infer, is
linked with --gc-sections: code and constants of hearth, without C library and model. Compilers that are not
installed leave their rows as they are. RAM is what model and session asked for.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/embedding.md"
BARE = ROOT / "src/base/bare"
MACHINES = {
    # preset: name, prefix, flags of cmake/bare-*.cmake
    "firmware": ("x86-64", ""),
    "firmware-aarch64": ("AArch64", "aarch64-linux-gnu-"),
    "firmware-cortex-m55": ("Cortex-M55", "arm-none-eabi-"),
    "firmware-cortex-m7": ("Cortex-M7", "arm-none-eabi-"),
    "firmware-riscv64": ("RISC-V 64", "riscv64-unknown-elf-"),
}
ONNX = ["-DHEARTH_ONNX=ON", "-DHEARTH_TENSORS=ON", f"-DHEARTH_PROTOC_C={shutil.which('protoc-c')}",
        "-DHEARTH_PROTOBUF_C_LIBRARY=protobuf-c"]
CONFIGURATIONS = [
    # name, options, what the image calls
    ("GGUF", ["-DHEARTH_LEVEL=scalar"], ["gguf"]),
    ("GGUF, no sentences", ["-DHEARTH_LEVEL=scalar", "-DHEARTH_ERROR_TEXT=OFF"], ["gguf"]),
    ("GGUF, all architectures and types", ["-DHEARTH_LEVEL=scalar", "-DHEARTH_ARCHS=", "-DHEARTH_QTYPES=",
                                           "-DHEARTH_KVTYPES=", "-DHEARTH_PRETOKENIZERS="], ["gguf"]),
    ("ONNX", ONNX + ["-DHEARTH_GGUF=OFF", "-DHEARTH_LEVEL=scalar"], ["onnx"]),
    ("ONNX, no sentences", ONNX + ["-DHEARTH_GGUF=OFF", "-DHEARTH_ERROR_TEXT=OFF", "-DHEARTH_LEVEL=scalar"],
     ["onnx"]),
    ("GGUF and ONNX", ONNX + ["-DHEARTH_LEVEL=scalar"], ["gguf", "onnx"]),
]
CALLER = """
#include <hearth.h>
int caller(const hearth_bytes *b, void *m, size_t n, hearth_tensor *in, hearth_tensor *out);
int caller(const hearth_bytes *b, void *m, size_t n, hearth_tensor *in, hearth_tensor *out)
{
    hearth_model *model;
    hearth_session *session;
    hearth_model_config mc = {.struct_size = sizeof mc, .mem = m, .mem_bytes = n / 2};
    hearth_session_config sc = {.struct_size = sizeof sc, .mem = (char *)m + n / 2, .mem_bytes = n / 2};
    return hearth_model_open(b, 1, &mc, &model, 0) || hearth_session_open(model, &sc, &session, 0) ||
           hearth_session_infer(session, in, 1, out, 1, 0);
}
"""


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, args))}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def machine_flags(preset):
    text = (ROOT / f"cmake/bare-{'x86_64' if preset == 'firmware' else preset[9:]}.cmake").read_text()
    return re.search(r"set\(HEARTH_MACHINE ([^)]*)\)", text)[1].split()


def measure(preset, options, calls, build, jobs):
    """Bytes of code and constants of an image that calls these parts."""
    prefix, flags = MACHINES[preset][1], machine_flags(preset)
    cc = prefix + "gcc"
    shutil.rmtree(build, ignore_errors=True)
    headers = build / "headers"  # protobuf-c's own, and the two of a hosted library that it includes
    headers.mkdir(parents=True)
    (headers / "protobuf-c").symlink_to("/usr/include/protobuf-c")
    (headers / "assert.h").write_text("#define assert(x) ((void)0)\n")
    (headers / "limits.h").write_text("#define INT_MAX 2147483647\n")
    run("cmake", "--preset", preset, "-B", build, f"-DHEARTH_PROTOBUF_C_INCLUDE={headers}", *options, cwd=ROOT)
    run("cmake", "--build", build, "-j", jobs)
    include = run(cc, "-print-file-name=include").strip()
    caller = build / "caller.c"
    caller.write_text(CALLER)
    objects = []
    for source, roots in ((ROOT / "examples/firmware/demo.c", "gguf"), (caller, "onnx")):
        if roots in calls:
            objects.append(build / f"{roots}.o")
            run(cc, *flags, "-Os", "-ffreestanding", "-nostdinc", "-isystem", BARE, "-isystem", include, "-I",
                ROOT / "include", "-I", ROOT / "examples/firmware", "-c", source, "-o", objects[-1])
    image = build / "image"
    roots = [f"-Wl,-u,{ {'gguf': 'demo_run', 'onnx': 'caller'}[c] }" for c in calls]
    run(cc, *flags, "-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,-e,0", *roots,
        "-Wl,--unresolved-symbols=ignore-all", *objects, build / "one/libhearth.a",
        *(["-l:libprotobuf-c.a"] if "onnx" in calls else []), "-lgcc", "-o", image)
    own = sum(int(run(prefix + "size", o).splitlines()[1].split()[0]) for o in objects)
    return int(run(prefix + "size", image).splitlines()[1].split()[0]) - own


def rows(build, jobs):
    for preset, (name, prefix) in MACHINES.items():
        if not shutil.which(prefix + "gcc"):
            print(f"left out: {name}, for which {prefix}gcc is not installed", file=sys.stderr)
            continue
        for what, options, calls in CONFIGURATIONS:
            if "onnx" in calls and preset != "firmware":
                continue  # protobuf-c's header wants a hosted C library
            size = measure(preset, options, calls, build / "size", jobs)
            row = f"| {name} | {what} | {size / 1000:.0f} |"
            print(row, flush=True)
            yield row
    if shutil.which("aarch64-linux-gnu-gcc"):
        size = measure("firmware-aarch64", ["-DHEARTH_LEVEL=neon"], ["gguf"], build / "size", jobs)
        yield f"| AArch64 | GGUF, level neon | {size / 1000:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--jobs", default="2")
    args = parser.parse_args()
    table = "\n".join(["| machine | configuration | text, kB |", "|---|---|---|", *rows(args.build, args.jobs)])
    text = DOCUMENT.read_text()
    begin, end = "<!-- sizes -->\n", "<!-- end of sizes -->"
    at = text.index(begin) + len(begin)
    DOCUMENT.write_text(text[:at] + table + "\n" + text[text.index(end):])
    return 0


if __name__ == "__main__":
    sys.exit(main())
