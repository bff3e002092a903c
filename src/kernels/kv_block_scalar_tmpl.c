/* The four functions of one block type of the KV cache; included by kv_block_scalar.c with
 *   KV_NAME   the row of kvtypes.def      KV_LARGEST   the largest code */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_OF(name)      KV_CAT(name, KV_NAME, )
#define KV_BODY(prefix)  KV_CAT(prefix, KV_NAME, __scalar)

static int32_t KV_OF(kv_block_dot_)(const uint8_t *page, size_t p, size_t b, const int8_t *q)
{
    int32_t dot = 0;
    for (size_t i = b * HK_KV_BLOCK; i < (b + 1) * HK_KV_BLOCK; i++)
        dot += KV_OF(kv_block_k_)(page, p, i) * q[i];
    return dot;
}

void KV_BODY(hk_attn_scores_)(float *restrict s, const void *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[8], size_t d_k)
{
    size_t blocks = hk_kv_blocks(d_k);
    for (size_t p = 0; p < HK_KV_STRETCH; p++) {
        const uint8_t *page = k_pages[p / HK_KV_PAGE];
        size_t slot = p % HK_KV_PAGE;
        for (size_t i = 0; page && i < n_q; i++) {
            const int8_t *row = (const int8_t *)q + i * q_stride;
            const float *a =
                (const float *)(const void *)(row + hk_act_scale_off(blocks * HK_KV_BLOCK));
            float sum = 0.0f;
            for (size_t b = 0; b < blocks; b++) {
                float scale = hk_kv_load_scale(page + KV_OF(hk_kv_scales_)(blocks) +
                                               (b * HK_KV_PAGE + slot) * 2);
                sum = hk_fma((float)KV_OF(kv_block_dot_)(page, slot, b, row), scale * a[b], sum);
            }
            s[i * HK_KV_STRETCH + p] = sum;
        }
    }
}

void KV_BODY(hk_attn_values_)(float *restrict o, const float *restrict alpha,
                              const float *restrict w, size_t n_q, const uint8_t *restrict lo,
                              const uint8_t *restrict hi, const void *const v_pages[8], size_t d_v)
{
    size_t blocks = hk_kv_blocks(d_v);
    for (size_t i = 0; i < n_q; i++, o += d_v, w += HK_KV_STRETCH) {
        for (size_t j = 0; j < d_v; j++)
            o[j] = o[j] * alpha[i];
        for (size_t p = lo[i]; p < hi[i]; p++) {
            const uint8_t *page = v_pages[p / HK_KV_PAGE];
            size_t slot = p % HK_KV_PAGE;
            const uint8_t *scales =
                page + KV_OF(hk_kv_scales_)(blocks) + slot * blocks * sizeof(uint16_t);
            for (size_t j = 0; j < d_v; j++) {
                float q = (float)KV_OF(kv_block_v_)(page, blocks, slot, j);
                o[j] = hk_fma(w[p], hk_kv_load_scale(scales + j / HK_KV_BLOCK * 2) * q, o[j]);
            }
        }
    }
}

void KV_BODY(hk_kv_put_k_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    size_t blocks = hk_kv_blocks(d);
    uint8_t *scales = (uint8_t *)page + KV_OF(hk_kv_scales_)(blocks);
    for (size_t p = slot; p < slot + n; p++, x += ldx)
        for (size_t b = 0; b < blocks; b++) {
            float block[HK_KV_BLOCK], smallest;
            uint32_t top = kv_block_load(block, x, b, d, &smallest);
            struct hk_kv_scale scale = KV_OF(hk_kv_scale_)(top, smallest);
            for (size_t i = 0; i < HK_KV_BLOCK; i++)
                KV_OF(kv_block_set_k_)
                (page, p, b * HK_KV_BLOCK + i, hk_kv_code(block[i], scale, KV_LARGEST));
            memcpy(scales + (b * HK_KV_PAGE + p) * 2, &scale.bits, 2);
        }
}

void KV_BODY(hk_kv_put_v_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    size_t blocks = hk_kv_blocks(d);
    uint8_t *scales = (uint8_t *)page + KV_OF(hk_kv_scales_)(blocks);
    for (size_t p = slot; p < slot + n; p++, x += ldx)
        for (size_t b = 0; b < blocks; b++) {
            float block[HK_KV_BLOCK], smallest;
            uint32_t top = kv_block_load(block, x, b, d, &smallest);
            struct hk_kv_scale scale = KV_OF(hk_kv_scale_)(top, smallest);
            for (size_t i = 0; i < HK_KV_BLOCK; i++)
                KV_OF(kv_block_set_v_)
                (page, blocks, p, b * HK_KV_BLOCK + i, hk_kv_code(block[i], scale, KV_LARGEST));
            memcpy(scales + (p * blocks + b) * 2, &scale.bits, 2);
        }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_OF
#undef KV_BODY
#undef KV_NAME
#undef KV_LARGEST
