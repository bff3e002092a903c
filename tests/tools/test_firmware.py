#!/usr/bin/env python3
"""A firmware preset builds, needs nothing of an operating system, and its demonstration prints the tokens
of the host: test_firmware.py PRESET BUILD_FOLDER HOST_DEMO MODEL.

Skipped, with a sentence, where the preset's compiler is not installed; the demonstration is left out where
its emulator is not.
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PRESETS = {
    # preset: prefix of the compiler, board, emulator
    "firmware": ("", None, None),
    "firmware-aarch64": ("aarch64-linux-gnu-", "virt",
                         ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-m", "128"]),
    "firmware-cortex-m55": ("arm-none-eabi-", "mps3-an547", ["qemu-system-arm", "-M", "mps3-an547"]),
    "firmware-cortex-m7": ("arm-none-eabi-", "mps2-an500", ["qemu-system-arm", "-M", "mps2-an500"]),
    "firmware-riscv64": ("riscv64-unknown-elf-", None, None),
}


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
        sys.exit(f"{args[0]} failed with {done.returncode}")
    return done.stdout


def answer(output):
    """What must be equal: the ids and the text."""
    return [line for line in output.splitlines() if line.startswith(("tokens:", "text:"))]


def main():
    preset, build, host_demo, model = sys.argv[1:]
    prefix, board, emulator = PRESETS[preset]
    if not shutil.which(prefix + "gcc"):
        print(f"skipped: {prefix}gcc is not installed")
        return 77
    build = pathlib.Path(build)
    one = build / "one/libhearth.a"
    run("cmake", "--preset", preset, "-B", build, *([f"-DHEARTH_DEMO_BOARD={board}"] if board else []),
        cwd=ROOT)
    run("cmake", "--build", build)
    print(run(sys.executable, ROOT / "tools/check_symbols.py", "--one", "--bare", one,
              "--nm", prefix + "nm"), end="")
    print(run(sys.executable, ROOT / "tools/check_stack.py", build / "CMakeFiles/hearth.dir", "--show", "1"),
          end="")
    if preset == "firmware":  # its code runs in a process as well
        image = build / "demo_in_process"
        run("gcc", "-no-pie", "-I", ROOT / "include", ROOT / "examples/firmware/demo.c",
            ROOT / "examples/firmware/board_host.c", one, "-o", image)
        command = [image, model]
    elif emulator and shutil.which(emulator[0]):
        command = [*emulator, "-nographic", "-nic", "none", "-semihosting", "-kernel",
                   build / "examples/firmware/demo"]
    else:
        print(f"left out: the demonstration, for which there is no {emulator[0] if emulator else 'board'} here")
        return 0
    here, there = answer(run(host_demo, model)), answer(run(*command, timeout=300, stdin=subprocess.DEVNULL))
    print(*there, sep="\n")
    if len(here) != 2 or here != there:
        print("the host says:", *here, sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
