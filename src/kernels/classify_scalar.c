/* Classes of bytes: what the expressions of the pre-tokenizers ask of ASCII, 64 bytes to a word of bits.
 * The classes agree with the general categories of hb_unicode.h; test_pretok holds them against it. */
#include "kernels/hk_bodies.h"
#include <string.h>

void hk_classify__scalar(uint64_t *restrict out, const uint8_t *restrict p, size_t n)
{
    for (size_t b = 0; b < n; b += 64, out += HK_CLASSES) {
        memset(out, 0, HK_CLASSES * sizeof *out);
        for (size_t i = 0; i < 64 && b + i < n; i++) {
            uint8_t c = p[b + i], lower = c | 0x20;
            uint64_t bit = (uint64_t)1 << i;
            if (lower >= 'a' && lower <= 'z')
                out[HK_CLASS_LETTERS] |= bit;
            else if (c >= '0' && c <= '9')
                out[HK_CLASS_DIGITS] |= bit;
            else if (c == ' ' || (c >= '\t' && c <= '\r'))
                out[HK_CLASS_SPACES] |= bit;
            else if (c >= 0x80)
                out[HK_CLASS_WIDE] |= bit;
        }
    }
}
