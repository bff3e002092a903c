#!/usr/bin/env bash
# tools/run.sh [TEXT]: builds hearth and does its main jobs on the models in fixtures/: continues a
# text, classifies two sentences, embeds three.
set -euo pipefail
cd "$(dirname "$0")/.."
program=tools/run.sh
. tools/setup.sh

text=${1:-It was a dark and stormy night, and the old house}
model=fixtures/models/books-33m-q4_k_m.gguf
classifier=fixtures/models/tinybert-classifier-int8.onnx
embedder=fixtures/models/sentence-embedder-int8.onnx

need_build_tools
install_missing
check_cmake
for file in "$model" "$classifier" "$embedder" fixtures/models/tokenizer.json; do
    [ -f "$file" ] || die "$file is missing; it belongs to the source tree"
done

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
say "classifying two sentences with $classifier"
build/release/hearth classify -m "$classifier" --labels NEGATIVE,POSITIVE \
    -p "A wonderful, moving and beautifully acted picture." -p "It was dull, and far too long."

say "embedding three sentences with $embedder, and how similar each is to each"
build/release/hearth embed -m "$embedder" --similarity \
    -p "The ship sailed at dawn." -p "At sunrise the vessel left the harbour." -p "He ate bread and cheese."
