# Sourced by run.sh and test.sh: says what it does, finds what is missing, and asks the package manager
# once for all of it. Nothing is asked when nothing is missing, so a second run needs no network.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$program" "$*"; }
die() { printf '%s: %s\n' "$program" "$*" >&2; exit 1; }

# Each row: how to see that it is there, and the Debian package that brings it.
have_command() { command -v "$1" >/dev/null 2>&1; }
have_c_compiler() { have_command cc && echo 'int main(void){return 0;}' | cc -x c -o /dev/null - 2>/dev/null; }
have_cxx_compiler() { have_command c++ && echo 'int main(){return 0;}' | c++ -x c++ -o /dev/null - 2>/dev/null; }
have_pkg() { have_command pkg-config && pkg-config --exists "$1"; }
have_header() { echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1; }

# need PACKAGE PROBE...: note the package when the probe fails.
missing=()
need() {
    local package=$1
    shift
    "$@" || missing+=("$package")
}

# want PACKAGE PROBE...: the same for what the tests can do without; only asked for when known here.
want() {
    local package=$1
    shift
    "$@" && return
    if have_command apt-cache && apt-cache show "$package" >/dev/null 2>&1; then
        missing+=("$package")
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have_command sudo; then
        sudo "$@"
    else
        die "cannot install ${missing[*]}: not root, and there is no sudo. Install them and run this again"
    fi
}

# Ask for everything that is missing, once.
install_missing() {
    if [ ${#missing[@]} = 0 ]; then
        say "everything needed is installed"
        return
    fi
    have_command apt-get || die "missing: ${missing[*]} (Debian package names), and there is no apt-get. Install them and run this again"
    say "installing ${missing[*]}"
    if ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null; then
        as_root apt-get -q update || die "missing: ${missing[*]}; apt-get update failed. Is there a network?"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" </dev/null ||
        die "missing: ${missing[*]}; apt-get could not install them. Is there a network? (apt-get update may help)"
}

check_cmake() {
    local version
    version=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
    printf '3.25\n%s\n' "$version" | sort -V -C || die "cmake $version found; 3.25 or newer is needed"
}

need_build_tools() {
    need cmake have_command cmake
    need ninja-build have_command ninja
    need gcc have_c_compiler
    need libc6-dev have_header stdio.h
    need libutf8proc-dev have_header utf8proc.h
    need libjansson-dev have_header jansson.h
    want libedit-dev have_header editline/readline.h
    want libmicrohttpd-dev have_header microhttpd.h
    need libprotobuf-c-dev have_header protobuf-c/protobuf-c.h
    need protobuf-c-compiler have_command protoc-c
}
