#!/usr/bin/env bash
# tools/run.sh [TEXT]: builds hearth and does its main job on the models in fixtures/.
set -euo pipefail
cd "$(dirname "$0")/.."
program=tools/run.sh
. tools/setup.sh

text=${1:-It was a dark and stormy night, and the old house}
model=fixtures/models/books-33m-q4_k_m.gguf

need_build_tools
install_missing
check_cmake
[ -f "$model" ] || die "$model is missing; it belongs to the source tree"

say "building the release preset into build/release"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset release && cmake --build --preset release --target hearth_command; } >"$log" 2>&1; then
    cat "$log" >&2
    die "the build failed; its output is above"
fi

say "continuing a text with $model"
printf '\n%s' "$text"
build/release/hearth generate -m "$model" -p "$text" -n 96 -s 7 2>"$log" || die "$(cat "$log")"
printf '\n\n'
cat "$log"
say "classify and embed are not there yet: this build reads no ONNX models"
