#!/usr/bin/env python3
"""What cmake --install puts down is found by an outside project: test_install.py BUILD CC MODEL.

tests/outside is built with find_package and with pkg-config, against the archive and the shared library, from a
prefix that was moved after the installation. All four programs print the same token.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(*args, **kw):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
        sys.exit(f"{' '.join(map(str, args))}: exit status {done.returncode}")
    return done.stdout


def main():
    build, cc, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run("cmake", "--install", build, "--prefix", folder / "first")
        prefix = (folder / "first").rename(folder / "moved")
        libdir = next(prefix.glob("lib/**/libhearth.a")).parent
        run("cmake", "-S", ROOT / "tests/outside", "-B", folder / "b", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_C_COMPILER={cc}")
        run("cmake", "--build", folder / "b")
        programs = [folder / "b/with_archive", folder / "b/with_shared"]
        if shutil.which("pkg-config"):
            env = {**os.environ, "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
            main_c = ROOT / "tests/outside/main.c"
            for name, options, link in (("pc_shared", [], []),
                                        ("pc_static", ["--static"], ["-Wl,-Bstatic,-lhearth,-Bdynamic"])):
                flags = run("pkg-config", "--cflags", "--libs", *options, "hearth", env=env).split()
                run(cc, main_c, *link, *flags, "-o", folder / name)
                programs.append(folder / name)
        else:
            print("left out: pkg-config, which is not installed")
        answers = {p.name: run(p, model, env={**os.environ, "LD_LIBRARY_PATH": str(libdir)}) for p in programs}
        needed = run("readelf", "-d", folder / "b/with_shared") if shutil.which("readelf") else "libhearth.so.0"
        for name, text in answers.items():
            print(f"{name}: {text}", end="")
        command = run(prefix / "bin/hearth", "tokenize", "-m", model, "-p", "The") if (
            prefix / "bin/hearth").exists() else "[]"
    if len(set(answers.values())) != 1 or "libhearth.so.0" not in needed or not command.startswith("["):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
