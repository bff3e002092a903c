#!/usr/bin/env bash
# tools/test.sh [--full]: builds the presets and runs the test suite. The fast tier takes 12 minutes at
# most; --full adds the tests with the label full. The last lines are ctest's summary.
#
#   release         the command, and the acceptance checks
#   asan-ubsan      everything but what the sanitizers make too slow (label slow)
#   tsan            --full only: the pool, the shared arena and whole models on many threads
#   aarch64-cross   what needs no cmocka, under qemu-user; left out where the cross compiler is not there
#   dev             all tests, last
set -euo pipefail
cd "$(dirname "$0")/.."
program=tools/test.sh
. tools/setup.sh

case "${1:-}" in
    "") tier=(-LE full) ;;
    --full) tier=() ;;
    *) die "$1: no option; --full or nothing is accepted" ;;
esac

need_build_tools
need pkg-config have_command pkg-config
need libcmocka-dev have_pkg cmocka
want python3 have_command python3
want g++ have_cxx_compiler
if [ "$(uname -m)" != aarch64 ]; then
    want gcc-aarch64-linux-gnu have_command aarch64-linux-gnu-gcc
    want libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
    want qemu-user have_command qemu-aarch64
fi
install_missing
check_cmake

jobs=$(nproc)
failed=()

build() { # preset
    say "building $1"
    local log
    log=$(mktemp)
    if ! { cmake --preset "$1" -DHEARTH_TESTS=ON && cmake --build --preset "$1" -j "$jobs"; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "the build of preset $1 failed; its output is above"
    fi
    rm -f "$log"
}

run_tests() { # preset, ctest arguments...
    local preset=$1
    shift
    say "testing $preset"
    ctest --test-dir "build/$preset" --output-on-failure --timeout 600 -j "$jobs" "$@" </dev/null ||
        failed+=("$preset")
}

build release
run_tests release -L accept "${tier[@]}"

build asan-ubsan
run_tests asan-ubsan -LE 'full|slow'

if [ ${#tier[@]} = 0 ]; then
    build tsan
    run_tests tsan -R '^test_(base|pool|attention|session|generation|memory)$'
fi

if [ "$(uname -m)" != aarch64 ] && have_command aarch64-linux-gnu-gcc && have_command qemu-aarch64; then
    build aarch64-cross
    run_tests aarch64-cross -LE 'full|slow'
else
    say "left out: aarch64-cross, which needs gcc-aarch64-linux-gnu and qemu-user"
fi

build dev
[ ${#failed[@]} = 0 ] || say "failed before: ${failed[*]}"
run_tests dev "${tier[@]}"
[ ${#failed[@]} = 0 ]
