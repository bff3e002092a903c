/* HK_VL values of a block type's V page as floats: codes times scale, exact. Over a level's kv_scale,
 * kv_signed_bytes and kv_half_bytes; a vector never crosses a block of 32. */
#ifndef HK_KV_BLOCK_VALUES_H
#define HK_KV_BLOCK_VALUES_H

HB_INLINE hk_vf kv_v_q8_0(const uint8_t *page, size_t p, size_t d, size_t j)
{
    size_t blocks = hk_kv_blocks(d);
    hk_vf scale = kv_scale(page + hk_kv_scales_q8_0(blocks) + (p * blocks + j / HK_KV_BLOCK) * 2);
    return hk_v_mul(scale, kv_signed_bytes(page + p * blocks * HK_KV_BLOCK + j));
}

HB_INLINE hk_vf kv_v_q4_0(const uint8_t *page, size_t p, size_t d, size_t j)
{
    size_t blocks = hk_kv_blocks(d), b = p * blocks + j / HK_KV_BLOCK;
    hk_vf scale = kv_scale(page + hk_kv_scales_q4_0(blocks) + b * 2);
    return hk_v_mul(scale, kv_half_bytes(page + b * 16 + j % 16, j % HK_KV_BLOCK < 16 ? 0 : 4));
}

#endif
