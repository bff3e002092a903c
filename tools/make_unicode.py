#!/usr/bin/env python3
"""Make src/base/hb_unicode_table.c from the categories of the installed libutf8proc.

usage: tools/make_unicode.py > src/base/hb_unicode_table.c
The layout is described in src/base/hb_unicode.h; tests/base/test_unicode.c compares the two.
"""
import ctypes
import sys

END, CC, CC_SPACE = 0x32400, 26, 30

lib = ctypes.CDLL("libutf8proc.so.2")
lib.utf8proc_unicode_version.restype = ctypes.c_char_p
version = lib.utf8proc_unicode_version().decode()


def category(cp):
    c = lib.utf8proc_category(cp)
    return CC_SPACE if c == CC and (9 <= cp <= 13 or cp == 0x85) else c


def high(cp):
    """What hb_uc_category_high says."""
    if cp == 0xE0001 or 0xE0020 <= cp <= 0xE007F:
        return 27
    if 0xE0100 <= cp <= 0xE01EF:
        return 6
    if 0xF0000 <= cp <= 0x10FFFF and cp & 0xFFFF <= 0xFFFD:
        return 29
    return 0


wrong = [cp for cp in range(END, 0x110000) if category(cp) != high(cp)]
if wrong:
    sys.exit(f"make_unicode: U+{wrong[0]:04X} above the table is not where it used to be")


def cut(values, n):
    """Pieces of n values, each once, in the order in which they come; and which piece stands where."""
    pieces, index = {}, []
    for start in range(0, len(values), n):
        piece = tuple(values[start:start + n])
        piece += (0,) * (n - len(piece))
        index.append(pieces.setdefault(piece, len(pieces)))
    return [v for piece in pieces for v in piece], index


def rows(values, per_row=32):
    return "\n".join("    " + ",".join(map(str, values[i:i + per_row])) + ","
                     for i in range(0, len(values), per_row))


values, which = cut([category(cp) for cp in range(END)], 16)
if which[:8] != list(range(8)):
    sys.exit("make_unicode: ASCII does not stand first, as hv_scan.h expects")
middle, index = cut(which, 16)
if max(index) > 255:
    sys.exit(f"make_unicode: {max(index) + 1} groups do not fit 8 bits")

print(f"""/* General categories of Unicode {version}, {len(index)} + {2 * len(middle)} + {len(values)} bytes.
 * Made by tools/make_unicode.py from libutf8proc; layout in hb_unicode.h. */
#include "base/hb_unicode.h"

const uint8_t hb_uc_stage1[(HB_UC_TABLE_END + 255) >> 8] = {{
{rows(index)}
}};

const uint16_t hb_uc_stage2[] = {{
{rows(middle, 24)}
}};

const uint8_t hb_uc_stage3[] = {{
{rows(values)}
}};

enum hb_uc_category hb_uc_category_high(uint32_t cp)
{{
    if (cp == 0xE0001 || (cp >= 0xE0020 && cp <= 0xE007F))
        return HB_UC_CF; /* language tags */
    if (cp >= 0xE0100 && cp <= 0xE01EF)
        return HB_UC_MN; /* variation selectors */
    if (cp >= 0xF0000 && cp <= 0x10FFFF && (cp & 0xFFFF) <= 0xFFFD)
        return HB_UC_CO;
    return HB_UC_CN;
}}""")
