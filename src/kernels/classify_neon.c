/* Classes of bytes, 64 at a time; classify_scalar.c tells what they are. A comparison gives whole
 * bytes; each keeps the bit of its place, and neighbours are added until 64 bits are left. */
#include "kernels/hk_bodies.h"
#include <arm_neon.h>
#include <string.h>

HB_INLINE uint64_t classify_bits(const uint8x16_t yes[4])
{
    static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bit = vld1q_u8(places);
    uint8x16_t a = vpaddq_u8(vandq_u8(yes[0], bit), vandq_u8(yes[1], bit));
    uint8x16_t b = vpaddq_u8(vandq_u8(yes[2], bit), vandq_u8(yes[3], bit));
    a = vpaddq_u8(a, b);
    a = vpaddq_u8(a, a);
    return vgetq_lane_u64(vreinterpretq_u64_u8(a), 0);
}

HB_INLINE uint8x16_t classify_range(uint8x16_t c, uint8_t low, uint8_t width)
{
    return vcleq_u8(vsubq_u8(c, vdupq_n_u8(low)), vdupq_n_u8(width));
}

static void classify_block(uint64_t *out, const uint8_t *p)
{
    uint8x16_t letters[4], digits[4], spaces[4], wide[4];
    for (int i = 0; i < 4; i++) {
        uint8x16_t c = vld1q_u8(p + 16 * i);
        letters[i] = classify_range(vorrq_u8(c, vdupq_n_u8(0x20)), 'a', 25);
        digits[i] = classify_range(c, '0', 9);
        spaces[i] = vorrq_u8(vceqq_u8(c, vdupq_n_u8(' ')), classify_range(c, '\t', 4));
        wide[i] = vcgeq_u8(c, vdupq_n_u8(0x80));
    }
    out[HK_CLASS_LETTERS] = classify_bits(letters);
    out[HK_CLASS_DIGITS] = classify_bits(digits);
    out[HK_CLASS_SPACES] = classify_bits(spaces);
    out[HK_CLASS_WIDE] = classify_bits(wide);
}

void hk_classify__neon(uint64_t *restrict out, const uint8_t *restrict p, size_t n)
{
    uint8_t last[64] = {0};
    for (; n >= 64; p += 64, n -= 64, out += HK_CLASSES)
        classify_block(out, p);
    if (n == 0)
        return;
    memcpy(last, p, n);
    classify_block(out, last);
}
