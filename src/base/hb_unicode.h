/* Unicode: general categories and a strict UTF-8 decoder, all that generation needs everywhere.
 * Normalisation and case are a library's business, at the edges.
 *
 * The table (hb_unicode_table.c, made by tools/make_unicode.py) has three stages for U+0000..U+323FF:
 *
 *   hb_uc_stage1[cp >> 8] ──► group ──► hb_uc_stage2[group * 16 + (cp >> 4 & 15)] ──► block
 *                                       hb_uc_stage3[block * 16 + (cp & 15)] = category
 *
 * 804 + 4896 + 10960 bytes, half of what two stages take; the blocks of ASCII stand first. The few assigned ranges
 * above are code below. */
#ifndef HB_UNICODE_H
#define HB_UNICODE_H

#include "base/hb_port.h"

/* General categories; the order is utf8proc's. One is split off: Cc that are white space. */
enum hb_uc_category {
    HB_UC_CN, HB_UC_LU, HB_UC_LL, HB_UC_LT, HB_UC_LM, HB_UC_LO, HB_UC_MN, HB_UC_MC, HB_UC_ME,
    HB_UC_ND, HB_UC_NL, HB_UC_NO, HB_UC_PC, HB_UC_PD, HB_UC_PS, HB_UC_PE, HB_UC_PI, HB_UC_PF,
    HB_UC_PO, HB_UC_SM, HB_UC_SC, HB_UC_SK, HB_UC_SO, HB_UC_ZS, HB_UC_ZL, HB_UC_ZP, HB_UC_CC,
    HB_UC_CF, HB_UC_CS, HB_UC_CO, HB_UC_CC_SPACE
};

#define HB_UC_BIT(c) (1u << (c))
/* Sets of categories: \p{L}, \p{N}, ...; SPACE is the property White_Space, \s of most engines. */
#define HB_UC_L                                                                                    \
    (HB_UC_BIT(HB_UC_LU) | HB_UC_BIT(HB_UC_LL) | HB_UC_BIT(HB_UC_LT) | HB_UC_BIT(HB_UC_LM) |       \
     HB_UC_BIT(HB_UC_LO))
#define HB_UC_M (HB_UC_BIT(HB_UC_MN) | HB_UC_BIT(HB_UC_MC) | HB_UC_BIT(HB_UC_ME))
#define HB_UC_N (HB_UC_BIT(HB_UC_ND) | HB_UC_BIT(HB_UC_NL) | HB_UC_BIT(HB_UC_NO))
#define HB_UC_P                                                                                    \
    (HB_UC_BIT(HB_UC_PC) | HB_UC_BIT(HB_UC_PD) | HB_UC_BIT(HB_UC_PS) | HB_UC_BIT(HB_UC_PE) |       \
     HB_UC_BIT(HB_UC_PI) | HB_UC_BIT(HB_UC_PF) | HB_UC_BIT(HB_UC_PO))
#define HB_UC_S                                                                                    \
    (HB_UC_BIT(HB_UC_SM) | HB_UC_BIT(HB_UC_SC) | HB_UC_BIT(HB_UC_SK) | HB_UC_BIT(HB_UC_SO))
#define HB_UC_SPACE                                                                                \
    (HB_UC_BIT(HB_UC_ZS) | HB_UC_BIT(HB_UC_ZL) | HB_UC_BIT(HB_UC_ZP) | HB_UC_BIT(HB_UC_CC_SPACE))
#define HB_UC_C                                                                                    \
    (HB_UC_BIT(HB_UC_CN) | HB_UC_BIT(HB_UC_CC) | HB_UC_BIT(HB_UC_CF) | HB_UC_BIT(HB_UC_CS) |       \
     HB_UC_BIT(HB_UC_CO) | HB_UC_BIT(HB_UC_CC_SPACE))

#define HB_UC_VERSION     "15.0.0"
#define HB_UC_TABLE_END   0x32400u
#define HB_UC_REPLACEMENT 0xFFFDu

extern const uint8_t hb_uc_stage1[(HB_UC_TABLE_END + 255) >> 8];
extern const uint16_t hb_uc_stage2[];
extern const uint8_t hb_uc_stage3[];

/* Category of a code point past the table; numbers past U+10FFFF are unassigned. */
enum hb_uc_category hb_uc_category_high(uint32_t cp);

HB_INLINE enum hb_uc_category hb_uc_category(uint32_t cp)
{
    if (HB_UNLIKELY(cp >= HB_UC_TABLE_END))
        return hb_uc_category_high(cp);
    size_t block = hb_uc_stage2[(size_t)hb_uc_stage1[cp >> 8] * 16 + (cp >> 4 & 15)];
    return (enum hb_uc_category)hb_uc_stage3[block * 16 + (cp & 15)];
}

/* The category as a bit, to be tested against the sets above. */
HB_INLINE uint32_t hb_uc_bit(uint32_t cp)
{
    return 1u << hb_uc_category(cp);
}

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 if there is none.
 * n >= 1. */
HB_INLINE size_t hb_utf8_len(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return n >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        if (n < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        if (n < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

/* The code point at p and its length. A byte that starts no well-formed sequence is U+FFFD of
 * length 1 (a real U+FFFD has length 3). n >= 1. */
HB_INLINE size_t hb_utf8_take(const uint8_t *p, size_t n, uint32_t *cp)
{
    if (HB_LIKELY(p[0] < 0x80)) {
        *cp = p[0];
        return 1;
    }
    size_t len = hb_utf8_len(p, n);
    switch (len) {
    case 2:
        *cp = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3Fu);
        return 2;
    case 3:
        *cp = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3Fu);
        return 3;
    case 4:
        *cp = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
              (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3Fu);
        return 4;
    default:
        *cp = HB_UC_REPLACEMENT;
        return 1;
    }
}

/* Write a code point up to U+10FFFF; returns its length. */
HB_INLINE size_t hb_utf8_put(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xC0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xE0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | (cp >> 18 & 0x07));
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

#endif
