# Sourced by the scripts that test and measure tiers: build what is needed, run it, make docs/reports.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$(basename "$0")
. tools/setup.sh

tier_build() { # targets...
    need_build_tools
    need pkg-config have_command pkg-config
    need libcmocka-dev have_pkg cmocka
    want python3 have_command python3
    install_missing
    check_cmake
    say "building the release preset"
    local log
    log=$(mktemp)
    if ! { cmake --preset release -DHEARTH_TESTS=ON && cmake --build --preset release --target "$@"; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "the build failed; its output is above"
    fi
    rm -f "$log"
}

# The tests of a label; what they say goes to build/release/tests-LABEL.txt, from which reports are made.
tier_tests() { # label
    say "tests with the label $1"
    mkdir -p build/release
    ctest --test-dir build/release -L "^$1\$" --verbose --no-tests=error </dev/null | tee "build/release/tests-$1.txt" |
        grep -E '^ *[0-9]+/[0-9]+ Test|tests passed|^[0-9]+: (tier2|p50|prompt)' || true
    ! grep -q 'tests failed out of' "build/release/tests-$1.txt" || ! grep -qE '[1-9][0-9]* tests? failed' "build/release/tests-$1.txt" ||
        die "tests of $1 failed; build/release/tests-$1.txt has their output"
}

tier_bench() { # tier, more options...
    local tier=$1
    shift
    say "hearth bench tier $tier: up to ten minutes"
    build/release/hearth bench tier "$tier" --out "build/release/report-$tier" "$@" || die "hearth bench tier $tier failed"
}

tier_reports() { # what there is
    have_command python3 || { say "docs/reports are not made: python3 is not installed"; return; }
    python3 tools/make_reports.py build/release
}
