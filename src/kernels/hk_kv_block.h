/* Blocks of 32 elements with a bf16 scale, as the KV cache keeps them (kernels.h): quantising one, and
 * where things are in a page. Static inline leaves for every level. */
#ifndef HK_KV_BLOCK_H
#define HK_KV_BLOCK_H

#include "kernels/hk_fma.h"
#include "kernels/hk_half.h"
#include "kernels/kernels.h"

#define HK_KV_BLOCK 32

HB_INLINE size_t hk_kv_blocks(size_t d)
{
    return (d + HK_KV_BLOCK - 1) / HK_KV_BLOCK;
}

/* What a block is multiplied with, and what it is kept as. inverse 0: all codes are 0. */
struct hk_kv_scale {
    float inverse;
    uint16_t bits;
};

/* top: an element of the largest magnitude `amax_bits` (the bits of |x|; NaN orders above infinity). */
HB_INLINE struct hk_kv_scale hk_kv_scale_of(uint32_t amax_bits, float top_over_levels)
{
    if (amax_bits >= 0x7F800000u)
        return (struct hk_kv_scale){0, 0x7FC0};
    if (amax_bits < 0x0D800000u) /* 2^-100 */
        return (struct hk_kv_scale){0, 0};
    uint16_t bits = hk_f32_to_bf16(top_over_levels);
    return (struct hk_kv_scale){1.0f / hk_bf16_to_f32(bits), bits};
}

HB_INLINE struct hk_kv_scale hk_kv_scale_q8_0(uint32_t amax_bits, float smallest)
{
    (void)smallest;
    return hk_kv_scale_of(amax_bits, hk_from_bits(amax_bits) / 127.0f);
}

HB_INLINE struct hk_kv_scale hk_kv_scale_q4_0(uint32_t amax_bits, float smallest)
{
    float amax = hk_from_bits(amax_bits);
    return hk_kv_scale_of(amax_bits, (smallest <= -amax ? -amax : amax) / -8.0f);
}

HB_INLINE int hk_kv_code(float x, struct hk_kv_scale s, int largest)
{
    int q = s.inverse == 0 ? 0 : (int)((x * s.inverse + 0x1.8p23f) - 0x1.8p23f);
    return q < largest ? q : largest;
}

/* ---- places in a page of e = 32 * blocks elements per position ---- */

/* bf16 scale[blocks][16] of K, scale[16][blocks] of V, behind the codes */
HB_INLINE size_t hk_kv_scales_q8_0(size_t blocks)
{
    return HK_KV_PAGE * HK_KV_BLOCK * blocks;
}

HB_INLINE size_t hk_kv_scales_q4_0(size_t blocks)
{
    return HK_KV_PAGE * HK_KV_BLOCK / 2 * blocks;
}

/* The 32 codes of a block to their places: `to` is the block's first code of the position. */
HB_INLINE void hk_kv_pack_k_q8_0(uint8_t *to, const int8_t *q)
{
    for (size_t g = 0; g < 8; g++) {
        uint32_t dword;
        memcpy(&dword, q + 4 * g, sizeof dword);
        dword ^= 0x80808080u;
        memcpy(to + g * 64, &dword, sizeof dword);
    }
}

HB_INLINE void hk_kv_pack_v_q8_0(uint8_t *to, const int8_t *q)
{
    memcpy(to, q, HK_KV_BLOCK);
}

/* Eight codes and eight more to bytes: code + 8 is the low half of a code, its sign turned over. */
HB_INLINE uint64_t hk_kv_halves(const int8_t *low, const int8_t *high)
{
    const uint64_t half = 0x0F0F0F0F0F0F0F0Fu, eight = 0x0808080808080808u;
    uint64_t a, b;
    memcpy(&a, low, sizeof a);
    memcpy(&b, high, sizeof b);
    return ((a & half) ^ eight) | ((b & half) ^ eight) << 4;
}

HB_INLINE void hk_kv_pack_k_q4_0(uint8_t *to, const int8_t *q)
{
    for (size_t g = 0; g < 4; g += 2) {
        uint64_t pair = hk_kv_halves(q + 4 * g, q + 4 * g + 16);
        memcpy(to + g * 64, &pair, 4);
        memcpy(to + (g + 1) * 64, (const uint8_t *)&pair + 4, 4);
    }
}

HB_INLINE void hk_kv_pack_v_q4_0(uint8_t *to, const int8_t *q)
{
    for (size_t i = 0; i < 16; i += 8) {
        uint64_t bytes = hk_kv_halves(q + i, q + i + 16);
        memcpy(to + i, &bytes, sizeof bytes);
    }
}

HB_INLINE float hk_kv_load_scale(const uint8_t *p)
{
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return hk_bf16_to_f32(bits);
}

#endif
