/* Scores against block keys, and storing blocks, over vectors; included by a level's file once per
 * storage type with
 *   KV_NAME                the row of kvtypes.def
 *   KV_HALVES              codes per byte: 1 or 2
 *   KV_CODES(p, half)      a vector of K codes, 4 per position, ready for KV_DOT
 *   KV_DOT(acc, k, dword)  acc + dot products of 4 codes and the 4 bytes of a query
 *   KV_START(sums)         what a block's dot product starts from; sums: two int16 of the query's block
 *   KV_LARGEST             the largest code
 *   KV_PACK_K, KV_PACK_V   codes of a block to its place (hk_kv_block.h)
 *
 * Integers are exact in any order. With many wide registers a block of a page stays in them while the
 * rows pass, four at a time; with few, rows x pages are kept in registers over a block of 32. */
#define KV_CAT_(a, b, c) a##b##c
#define KV_CAT(a, b, c)  KV_CAT_(a, b, c)
#define KV_FN(name)      HK_BODY_OF(KV_CAT(kv_, KV_NAME, name))
#define KV_OF(name)      KV_CAT(name, KV_NAME, )
#define KV_BODY(prefix)  HK_BODY_OF(KV_CAT(prefix, KV_NAME, ))
#define KV_GROUPS        (8 / KV_HALVES) /* vectors of a block that are 4 x HK_VL bytes */

#if KV_I_PRELOAD
/* s[r][..] of one page and block: codes and scales stay in registers while all rows pass. */
HB_INLINE void KV_FN(_scores_rows)(float *restrict s, const uint8_t *restrict q, size_t q_stride,
                                   const size_t rows, const kv_codes *k, hk_vf scale, size_t e,
                                   size_t b, const bool first)
{
    kv_vi acc[4];
    HB_UNROLL for (size_t r = 0; r < rows; r++) acc[r] =
        KV_START(kv_query_sums(q + r * q_stride, e, b));
    HB_UNROLL for (size_t g = 0; g < 8; g++) HB_UNROLL for (size_t r = 0; r < rows; r++)
    {
        int32_t dword;
        memcpy(&dword, q + b * HK_KV_BLOCK + g * 4 + r * q_stride, sizeof dword);
        acc[r] = KV_DOT(acc[r], k[g], dword);
    }
    HB_UNROLL for (size_t r = 0; r < rows; r++)
    {
        float *to = s + r * HK_KV_STRETCH;
        hk_vf a = hk_v_mul(scale, hk_v_set(kv_query_scale(q + r * q_stride, e, b)));
        hk_vf before = first ? hk_v_set(0.0f) : hk_v_load(to);
        hk_v_store(to, hk_v_fma(kv_to_float(acc[r]), a, before));
    }
}

HB_INLINE void KV_FN(_scores_rest)(float *restrict s, const uint8_t *restrict q, size_t q_stride,
                                   size_t n_q, const kv_codes *k, hk_vf scale, size_t e, size_t b,
                                   const bool first)
{
    for (; n_q >= 4; n_q -= 4, s += 4 * HK_KV_STRETCH, q += 4 * q_stride)
        KV_FN(_scores_rows)(s, q, q_stride, 4, k, scale, e, b, first);
    for (; n_q > 0; n_q--, s += HK_KV_STRETCH, q += q_stride)
        KV_FN(_scores_rows)(s, q, q_stride, 1, k, scale, e, b, first);
}

static void KV_FN(_scores_page)(float *restrict s, const uint8_t *restrict q, size_t q_stride,
                                size_t n_q, const uint8_t *page, size_t blocks)
{
    size_t scales = KV_OF(hk_kv_scales_)(blocks), e = blocks * HK_KV_BLOCK;
    for (size_t b = 0; b < blocks; b++) {
        kv_codes k[8];
        HB_UNROLL for (size_t g = 0; g < 8; g++) k[g] =
            KV_CODES(page + (b * KV_GROUPS + g % KV_GROUPS) * 64, g / KV_GROUPS);
        hk_vf scale = hk_v_load_bf16(
            (const uint16_t *)(const void *)(page + scales + b * HK_KV_PAGE * 2));
        if (b == 0)
            KV_FN(_scores_rest)(s, q, q_stride, n_q, k, scale, e, b, true);
        else
            KV_FN(_scores_rest)(s, q, q_stride, n_q, k, scale, e, b, false);
    }
}
#endif

/* s[r][to[i] ..] = q[r] . K of page i. */
HB_INLINE void KV_FN(_scores_block)(float *restrict s, const uint8_t *restrict q, size_t q_stride,
                                    const size_t rows, const struct kv_keys *k, const size_t n_pages,
                                    size_t blocks)
{
    const uint8_t *page[4];
    size_t scales = KV_OF(hk_kv_scales_)(blocks), e = blocks * HK_KV_BLOCK;
    HB_UNROLL for (size_t i = 0; i < n_pages; i++) page[i] = k->page[i];
    for (size_t b = 0; b < blocks; b++) {
        kv_vi acc[KV_I_MAX_ROWS][4 * HK_VN];
        size_t at = b * KV_GROUPS * 64;
        kv_ask(k, n_pages, at, at + KV_GROUPS * 64);
        HB_UNROLL for (size_t r = 0; r < rows; r++)
        {
            kv_vi start = KV_START(kv_query_sums(q + r * q_stride, e, b));
            HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] = start;
        }
        for (size_t g = 0; g < KV_GROUPS; g++, at += 64) {
            HB_UNROLL for (size_t half = 0; half < KV_HALVES; half++)
            {
                kv_codes kd[4 * HK_VN];
                const uint8_t *qd = q + b * HK_KV_BLOCK + g * 4 + half * 16;
                HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) kd[v] =
                    KV_CODES(page[v / HK_VN] + at + v % HK_VN * HK_VL * 4, half);
                HB_UNROLL for (size_t r = 0; r < rows; r++)
                {
                    int32_t dword;
                    memcpy(&dword, qd + r * q_stride, sizeof dword);
                    HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) acc[r][v] =
                        KV_DOT(acc[r][v], kd[v], dword);
                }
            }
        }
        hk_vf scale[4 * HK_VN];
        HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++) scale[v] = hk_v_load_bf16(
            (const uint16_t *)(const void *)(page[v / HK_VN] + scales +
                                             (b * HK_KV_PAGE + v % HK_VN * HK_VL) * 2));
        HB_UNROLL for (size_t r = 0; r < rows; r++)
        {
            hk_vf a = hk_v_set(kv_query_scale(q + r * q_stride, e, b));
            HB_UNROLL for (size_t v = 0; v < n_pages * HK_VN; v++)
            {
                float *to = s + r * HK_KV_STRETCH + k->to[v / HK_VN] + v % HK_VN * HK_VL;
                hk_vf before = b == 0 ? hk_v_set(0.0f) : hk_v_load(to);
                hk_v_store(to, hk_v_fma(kv_to_float(acc[r][v]), hk_v_mul(scale[v], a), before));
            }
        }
    }
}

void KV_BODY(hk_attn_scores_)(float *restrict s, const void *restrict q, size_t q_stride,
                              size_t n_q, const void *const k_pages[8], size_t d_k)
{
    struct kv_keys all, k;
    size_t present = kv_keys_of(k_pages, n_q <= KV_FEW, &all), blocks = hk_kv_blocks(d_k);
    size_t most = kv_i_pages_for(n_q);
    for (size_t p = 0, n; p < present; p += n) {
        n = present - p >= most ? most : present - p >= 2 && most >= 2 ? 2 : 1;
        kv_keys_from(&k, &all, p, n);
#if KV_I_PRELOAD
        if (n_q > KV_FEW) {
            for (size_t i = 0; i < n; i++)
                KV_FN(_scores_page)(s + k.to[i], q, q_stride, n_q, k.page[i], blocks);
            continue;
        }
#endif
        for (size_t i = 0, rows; i < n_q; i += rows) {
            float *si = s + i * HK_KV_STRETCH;
            const uint8_t *qi = (const uint8_t *)q + i * q_stride;
            rows = kv_rows(n_q - i, KV_I_MAX_ROWS);
#define KV_CASE(r, p)                                                                              \
    case r * 8 + p:                                                                                \
        KV_FN(_scores_block)(si, qi, q_stride, r, &k, p, blocks);                                  \
        break;
            switch (rows * 8 + n) {
                KV_I_CASES
            }
#undef KV_CASE
        }
    }
}

/* ---- storing ---- */

/* Codes and scale of a whole block. */
HB_INLINE uint16_t KV_FN(_quantize)(int8_t q[HK_KV_BLOCK], const float *x)
{
    hk_vf v[HK_KV_BLOCK / HK_VL], top = hk_v_set(0.0f), low = top, inf = hk_v_set(HK_INFINITY);
    HB_UNROLL for (size_t i = 0; i < HK_KV_BLOCK / HK_VL; i++)
    {
        v[i] = hk_v_load(x + i * HK_VL);
        top = hk_v_max_abs_bits(top, v[i]);
        low = hk_v_min(v[i], low);
    }
    top = hk_v_select(hk_v_lt(top, inf), top, inf);
    uint32_t amax = hk_to_bits(hk_v_largest(top));
    float smallest = amax < 0x7F800000u ? -hk_v_largest(hk_v_neg(low)) : 0;
    struct hk_kv_scale scale = KV_OF(hk_kv_scale_)(amax, smallest);
    if (scale.inverse == 0) {
        memset(q, 0, HK_KV_BLOCK);
        return scale.bits;
    }
    HB_UNROLL for (size_t i = 0; i < HK_KV_BLOCK / HK_VL; i++) kv_round(
        q + i * HK_VL,
        hk_v_min(hk_v_set((float)KV_LARGEST), hk_v_mul(v[i], hk_v_set(scale.inverse))));
    return scale.bits;
}

/* Block b of a row of d elements. */
HB_INLINE uint16_t KV_FN(_block)(int8_t q[HK_KV_BLOCK], const float *row, size_t b, size_t d)
{
    float filled[HK_KV_BLOCK] = {0};
    if ((b + 1) * HK_KV_BLOCK <= d)
        return KV_FN(_quantize)(q, row + b * HK_KV_BLOCK);
    memcpy(filled, row + b * HK_KV_BLOCK, (d - b * HK_KV_BLOCK) * sizeof *row);
    return KV_FN(_quantize)(q, filled);
}

void KV_BODY(hk_kv_put_k_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    size_t blocks = hk_kv_blocks(d);
    uint8_t *scales = (uint8_t *)page + KV_OF(hk_kv_scales_)(blocks);
    for (size_t p = slot; p < slot + n; p++, x += ldx)
        for (size_t b = 0; b < blocks; b++) {
            int8_t q[HK_KV_BLOCK];
            uint16_t scale = KV_FN(_block)(q, x, b, d);
            KV_PACK_K((uint8_t *)page + b * KV_GROUPS * 64 + p * 4, q);
            memcpy(scales + (b * HK_KV_PAGE + p) * 2, &scale, sizeof scale);
        }
}

void KV_BODY(hk_kv_put_v_)(void *restrict page, size_t slot, size_t n, const float *restrict x,
                           size_t ldx, size_t d)
{
    size_t blocks = hk_kv_blocks(d);
    uint8_t *scales = (uint8_t *)page + KV_OF(hk_kv_scales_)(blocks);
    for (size_t p = slot; p < slot + n; p++, x += ldx)
        for (size_t b = 0; b < blocks; b++) {
            int8_t q[HK_KV_BLOCK];
            uint16_t scale = KV_FN(_block)(q, x, b, d);
            KV_PACK_V((uint8_t *)page + (p * blocks + b) * (HK_KV_BLOCK / KV_HALVES), q);
            memcpy(scales + (p * blocks + b) * 2, &scale, sizeof scale);
        }
}

#undef KV_CAT_
#undef KV_CAT
#undef KV_FN
#undef KV_OF
#undef KV_BODY
#undef KV_GROUPS
#undef KV_NAME
#undef KV_HALVES
#undef KV_CODES
#undef KV_DOT
#undef KV_START
#undef KV_LARGEST
#undef KV_PACK_K
#undef KV_PACK_V
