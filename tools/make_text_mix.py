#!/usr/bin/env python3
"""A text of N bytes to time tokenizers with: code, prose and many scripts from what a machine has.

    tools/make_text_mix.py OUT [--bytes 10000000]

Code is the Python of this interpreter's library, prose the documentation below /usr/share, scripts the
translations of programs (message catalogues: about forty languages). Files are taken in order of their
path and cut to whole lines; the same machine gives the same bytes. Prints what went in and a hash.
"""
import argparse
import hashlib
import os
import pathlib
import struct
import sysconfig

PROSE = ["/usr/share/doc", "/usr/share/vim", "/usr/share/common-licenses", "/usr/share/perl"]
SUFFIXES = {".txt", ".md", ".rst", ".pod", ".html", ""}


def below(root, suffixes):
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = pathlib.Path(folder) / name
            if path.suffix in suffixes and path.is_file() and not path.is_symlink():
                yield path


def utf8(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def translations(path):
    """Texts of a .mo file: magic, revision, count, offset of originals, of translations."""
    data = path.read_bytes()
    if data[:4] != b"\xde\x12\x04\x95":
        return ""
    count, _, table = struct.unpack_from("<III", data, 8)
    texts = []
    for i in range(1, count):
        size, at = struct.unpack_from("<II", data, table + 8 * i)
        texts.append(utf8(data[at:at + size].replace(b"\0", b"\n")))
    text = "\n".join(texts)
    return text if sum(ord(c) > 0x2FF for c in text) * 4 > len(text) else ""


def take(texts, size):
    parts, have = [], 0
    for text in texts:
        part = text.encode()[:size - have]
        part = part[:part.rfind(b"\n") + 1]
        parts.append(part)
        have += len(part)
        if have > size - 200:
            break
    return b"".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--bytes", type=int, default=10_000_000)
    args = parser.parse_args()
    code = (utf8(p.read_bytes()) for p in below(sysconfig.get_path("stdlib"), {".py"}))
    prose = (utf8(p.read_bytes()) for root in PROSE for p in below(root, SUFFIXES))
    mo = list(below("/usr/share", {".mo"}))
    scripts = (translations(p) for p in mo)
    parts = {"code": take(code, args.bytes * 4 // 10), "prose": take(prose, args.bytes * 35 // 100)}
    parts["scripts"] = take(scripts, args.bytes - sum(map(len, parts.values())))
    whole = b"".join(parts.values())
    pathlib.Path(args.out).write_bytes(whole)
    print({k: len(v) for k, v in parts.items()}, len(whole), hashlib.sha256(whole).hexdigest()[:16])


main()
