#!/usr/bin/env bash
# tools/fetch-models.sh [--small | --check] [--manifest FILE] [--dir DIR] [NAME...]
#
# Fetches the real model files of fixtures/models/manifest.tsv: each from the first of its sources that answers, with
# resume, retries that wait longer each time, and a check of size and SHA-256 before the file gets its name.
# --small leaves out those of gigabytes. --check fetches nothing and says what is there. Downloads stay out of git.
# HEARTH_FETCH_TRIES (4) and HEARTH_FETCH_WAIT (2, seconds, doubled each time) may be set.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
program=fetch-models.sh
manifest=$here/fixtures/models/manifest.tsv
dir=$here/fixtures/models
sets=" small large "
check_only=false
names=()
tries=${HEARTH_FETCH_TRIES:-4}
first_wait=${HEARTH_FETCH_WAIT:-2}

say() { printf '%s: %s\n' "$program" "$*"; }
die() { printf '%s: %s\n' "$program" "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --small) sets=" small " ;;
        --check) check_only=true ;;
        --manifest) manifest=${2:?--manifest needs a file}; shift ;;
        --dir) dir=${2:?--dir needs a folder}; shift ;;
        -*) printf '%s: %s: no such option; --small, --check, --manifest and --dir are accepted\n' "$program" "$1" >&2
            exit 2 ;;
        *) names+=("$1") ;;
    esac
    shift
done
[ -r "$manifest" ] || die "$manifest: no manifest there"

size_of() { stat -c %s "$1" 2>/dev/null || stat -f %z "$1"; }
sum_of() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

# state FILE BYTES SHA256: what a file is, in one line; 0 if it is the right one.
state() {
    [ -e "$1" ] || { echo "not there"; return 1; }
    local found
    found=$(size_of "$1")
    if [ "$3" = - ]; then
        if [ "$found" -lt $(($2 / 2)) ]; then
            echo "a placeholder: $found bytes found, about $2 expected"
            return 1
        fi
        echo "$found bytes; no checksum is known"
        return 0
    fi
    if [ "$found" != "$2" ]; then
        if [ "$found" -lt $(($2 / 2)) ]; then
            echo "a placeholder: $found bytes found, $2 expected"
        else
            echo "another file: $found bytes found, $2 expected"
        fi
        return 1
    fi
    found=$(sum_of "$1")
    [ "$found" = "$3" ] || { echo "damaged: SHA-256 $found found, $3 expected"; return 1; }
    echo "whole"
}

# download URL PART BYTES: continue what is there; curl's own words go to a file for the last message.
download() {
    local rc=0
    curl -fsSL --connect-timeout 20 --speed-time 60 --speed-limit 1024 -C - -o "$2" "$1" 2>"$2.err" || rc=$?
    if [ "$rc" = 33 ] || [ "$rc" = 36 ]; then # the server cannot continue
        rm -f "$2"
        rc=0
        curl -fsSL --connect-timeout 20 --speed-time 60 --speed-limit 1024 -o "$2" "$1" 2>"$2.err" || rc=$?
    fi
    return "$rc"
}

# fetch NAME BYTES SHA256 SOURCE...
fetch() {
    local name=$1 bytes=$2 sum=$3 part=$dir/$1.part wait=$first_wait try url what reason=
    shift 3
    for ((try = 1; try <= tries; try++)); do
        for url in "$@"; do
            say "$name: from $url$([ -e "$part" ] && echo ", continuing at $(size_of "$part") of $bytes bytes")"
            if [ -e "$part" ] && [ "$(size_of "$part")" -ge "$bytes" ] || download "$url" "$part"; then
                if what=$(state "$part" "$bytes" "$sum"); then
                    mv "$part" "$dir/$name"
                    rm -f "$part.err"
                    say "$name: whole, $bytes bytes"
                    return 0
                fi
                reason="$url: $what"
                rm -f "$part"
            else
                reason="$url: $(head -1 "$part.err" 2>/dev/null)"
            fi
            say "$name: $reason"
        done
        if [ "$try" -lt "$tries" ]; then
            say "$name: trying again in $wait s"
            sleep "$wait"
            wait=$((wait * 2))
        fi
    done
    rm -f "$part.err"
    printf '%s: %s could not be fetched after %s tries of %s sources; the last: %s. Is there a network? What is there stays for the next run.\n' \
        "$program" "$name" "$tries" $# "$reason" >&2
    return 1
}

failed=0
known=0
while IFS=$'\t' read -r name bytes sum licence set sources; do
    case $name in '' | \#*) continue ;; esac
    if [ ${#names[@]} -gt 0 ]; then
        case " ${names[*]} " in *" $name "*) ;; *) continue ;; esac
    fi
    known=$((known + 1))
    if what=$(state "$dir/$name" "$bytes" "$sum"); then
        say "$name: $what ($licence)"
        continue
    fi
    if $check_only; then
        say "$name: $what"
        [ "$what" = "not there" ] || failed=1
        continue
    fi
    if [ ${#names[@]} = 0 ] && [[ $sets != *" $set "* ]]; then
        continue
    fi
    [ "$sources" != - ] || { say "$name: no public source is known; tools/synth_model.py writes its shape"; failed=1; continue; }
    command -v curl >/dev/null || die "curl is missing; it fetches the files"
    say "$name: $what; fetching $bytes bytes, licence $licence"
    mkdir -p "$dir"
    IFS=$'\t' read -r -a urls <<<"$sources"
    fetch "$name" "$bytes" "$sum" "${urls[@]}" || failed=1
done <"$manifest"
[ "$known" -gt 0 ] || die "none of the names ${names[*]} is in $manifest"
exit "$failed"
