/* HK_VL values of a block type's V page as floats: codes times scale, exact. Over a level's kv_scale,
 * kv_signed_bytes and kv_half_bytes; a vector never crosses a block of 32. */
#ifndef HK_KV_BLOCK_VALUES_H
#define HK_KV_BLOCK_VALUES_H

/* Vector c of the columns from j on. Blocks are counted apart for j and c, which is the same for all j
 * and c that occur (kv_values_vec_tmpl.c) and lets vectors of one block share its scale. */
HB_INLINE size_t kv_v_block(size_t p, size_t blocks, size_t j, size_t c)
{
    return p * blocks + j / HK_KV_BLOCK + c * HK_VL / HK_KV_BLOCK;
}

HB_INLINE hk_vf kv_v_q8_0(const uint8_t *page, size_t p, size_t d, size_t j, const size_t c)
{
    size_t blocks = hk_kv_blocks(d);
    hk_vf scale = kv_scale(page + hk_kv_scales_q8_0(blocks) + kv_v_block(p, blocks, j, c) * 2);
    return hk_v_mul(scale, kv_signed_bytes(page + p * blocks * HK_KV_BLOCK + j + c * HK_VL));
}

HB_INLINE hk_vf kv_v_q4_0(const uint8_t *page, size_t p, size_t d, size_t j, const size_t c)
{
    size_t blocks = hk_kv_blocks(d), b = kv_v_block(p, blocks, j, c);
    hk_vf scale = kv_scale(page + hk_kv_scales_q4_0(blocks) + b * 2);
    const uint8_t *bytes = page + b * 16 + j % 16 + c * HK_VL % 16;
    return hk_v_mul(scale, kv_half_bytes(bytes, (j + c * HK_VL) % HK_KV_BLOCK < 16 ? 0 : 4));
}

#endif
