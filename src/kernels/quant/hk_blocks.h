/* The stored layouts of the block formats, as GGUF files have them (little endian, no padding).
 *
 * A block of a B32 type holds 32 elements; a K type's superblock holds 256 in 8 sub-blocks of 32
 * (K32) or 16 of 16 (K16). Every level reads these structs through memcpy or unaligned loads: in a
 * file they stand at any address.
 *
 * Source: GGUF specification; block layouts of ggml-common.h; OCP Microscaling Formats (MX) v1.0 for
 * the E8M0 scale and the E2M1 elements of MXFP4. */
#ifndef HK_BLOCKS_H
#define HK_BLOCKS_H

#include "kernels/hk_bodies.h"
#include "kernels/hk_fma.h"
#include "kernels/hk_half.h"
#include "kernels/quant/hk_block_sizes.h"
#include <string.h>

/* ---- B32: half scale (and min), 32 codes. Low nibbles are elements 0..15, high ones 16..31 ---- */

struct hk_block_q4_0 { uint8_t d[2], nibbles[16]; };
struct hk_block_q4_1 { uint8_t d[2], m[2], nibbles[16]; };
struct hk_block_q5_0 { uint8_t d[2], high[4], nibbles[16]; }; /* bit i of high: bit 4 of code i */
struct hk_block_q5_1 { uint8_t d[2], m[2], high[4], nibbles[16]; };
struct hk_block_q8_0 { uint8_t d[2]; int8_t codes[32]; };
struct hk_block_iq4_nl { uint8_t d[2], nibbles[16]; };        /* nibbles index hk_iq4_codes */
struct hk_block_mxfp4 { uint8_t e, nibbles[16]; };            /* scale 2^(e-128), hk_mxfp4_codes */

/* ---- K: half superblock scale d (and dmin), integer scales per sub-block ---------------------
 *
 * 2-bit fields: byte 32 i + l of qs holds elements 128 i + l + {0, 32, 64, 96}, lowest bits first.
 * Q3_K  bit j of high[l] says that 4 need not be subtracted from element 32 j + l.
 *       scales: 16 x 6 bits; low nibbles of bytes 0..7 are the low 4 bits of 0..7, high ones of
 *       8..15; byte 8 + j % 4 holds at bit 2 (j / 4) the upper 2 of scale j. Stored plus 32.
 * Q4_K  byte 32 i + l holds elements 64 i + l (low nibble) and 64 i + 32 + l.
 *       scales: 6 bits; j < 4: scale in byte j, min in byte 4 + j, lower 6 bits. j >= 4: low 4 bits
 *       of scale and min are the nibbles of byte 4 + j; the upper 2 are bits 6, 7 of bytes j - 4
 *       and j.
 * Q5_K  as Q4_K; bit j of high[l] is bit 4 of element 32 j + l.
 * Q6_K  byte 64 i + l of low: elements 128 i + l (low nibble) and 128 i + 64 + l, l < 64; upper
 *       2 bits as the 2-bit fields above.
 * IQ4_XS  every 16 bytes are 32 elements as in B32; 6-bit scales stored plus 32: low nibbles of
 *       scales_l[j / 2], upper 2 at bit 2 j of scales_h. */
struct hk_block_q2_k { uint8_t scales[16], qs[64], d[2], dmin[2]; }; /* scale | min << 4 */
struct hk_block_q3_k { uint8_t high[32], qs[64], scales[12], d[2]; };
struct hk_block_q4_k { uint8_t d[2], dmin[2], scales[12], qs[128]; };
struct hk_block_q5_k { uint8_t d[2], dmin[2], scales[12], high[32], qs[128]; };
struct hk_block_q6_k { uint8_t low[128], high[64]; int8_t scales[16]; uint8_t d[2]; };
struct hk_block_iq4_xs { uint8_t d[2], scales_h[2], scales_l[4], qs[128]; };

/* A superblock taken apart by a scalar decoder; K32 uses the first 8 scales. */
struct hk_superblock {
    uint8_t u[256]; /* value + offset */
    int8_t sc[16], mn[16];
    float d, dmin;
};

/* Codes of the two table formats, value plus the offset of qtypes.def. */
#define HK_IQ4_CODES \
    1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241
#define HK_MXFP4_CODES \
    12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0

HB_INLINE float hk_block_half(const uint8_t bytes[2])
{
    return hk_f16_to_f32((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* E8M0 exponent, halved because the codes are doubled: 2^(e - 128), subnormal for e < 2. */
HB_INLINE float hk_block_e8m0(uint8_t e)
{
    return hk_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* 16 bytes of nibbles to 32 codes in 0..15. */
HB_INLINE void hk_block_nibbles(uint8_t *u, const uint8_t *nibbles)
{
    for (int i = 0; i < 16; i++) {
        u[i] = nibbles[i] & 15;
        u[i + 16] = nibbles[i] >> 4;
    }
}

/* The 6-bit scales and mins of Q4_K and Q5_K. */
HB_INLINE void hk_block_scales_k4(int8_t *sc, int8_t *mn, const uint8_t *s)
{
    for (int j = 0; j < 4; j++) {
        sc[j] = (int8_t)(s[j] & 63);
        mn[j] = (int8_t)(s[j + 4] & 63);
        sc[j + 4] = (int8_t)((s[j + 8] & 15) | (s[j] >> 6) << 4);
        mn[j + 4] = (int8_t)(s[j + 8] >> 4 | (s[j + 4] >> 6) << 4);
    }
}

#endif
