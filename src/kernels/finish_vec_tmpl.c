/* finish_scalar.c over vectors: a row is up to 32 columns. */

#define FINISH_COLS 32

HB_INLINE hk_vf finish_act(hk_vf x, enum hk_act act)
{
    switch (act) {
    case HK_ACT_RELU: return hk_v_select(hk_v_lt(x, hk_v_set(0.0f)), hk_v_set(0.0f), x);
    case HK_ACT_GELU: return hk_v_gelu_erf(x);
    case HK_ACT_GELU_TANH: return hk_v_gelu_tanh(x);
    case HK_ACT_TANH: return hk_v_tanh(x);
    default: return x;
    }
}

HB_INLINE void finish_rows(float *y, size_t ldy, const float *bias, size_t m, size_t n,
                           const enum hk_act act)
{
    for (size_t i = 0; i < m; i++) {
        float *row = y + i * ldy;
        size_t j = 0;
        for (; j + HK_VL <= n; j += HK_VL) {
            hk_vf x = hk_v_load(row + j);
            hk_v_store(row + j, finish_act(bias ? hk_v_add(x, hk_v_load(bias + j)) : x, act));
        }
        if (j < n) {
            hk_vf x = hk_v_load_n(row + j, n - j);
            x = bias ? hk_v_add(x, hk_v_load_n(bias + j, n - j)) : x;
            hk_v_store_n(row + j, finish_act(x, act), n - j);
        }
    }
}

void HK_BODY_HERE(hk_finish_f32)(float *y, size_t ldy, const float *bias, size_t m, size_t n,
                                 enum hk_act act)
{
    switch (act) {
    case HK_ACT_RELU: finish_rows(y, ldy, bias, m, n, HK_ACT_RELU); break;
    case HK_ACT_GELU: finish_rows(y, ldy, bias, m, n, HK_ACT_GELU); break;
    case HK_ACT_GELU_TANH: finish_rows(y, ldy, bias, m, n, HK_ACT_GELU_TANH); break;
    case HK_ACT_TANH: finish_rows(y, ldy, bias, m, n, HK_ACT_TANH); break;
    default: finish_rows(y, ldy, bias, m, n, HK_ACT_NONE); break;
    }
}

HB_INLINE void finish_i8_rows(float *restrict y, size_t ldy, const int32_t *restrict v,
                              const int32_t *restrict sums, const struct hk_i8_columns *restrict c,
                              size_t m, size_t n, const enum hk_act act)
{
    for (size_t i = 0; i < m; i++) {
        float exact[FINISH_COLS], *row = y + i * ldy;
        uint32_t sum = (uint32_t)sums[i];
        for (size_t j = 0; j < FINISH_COLS; j++) { /* compilers make vectors of this */
            uint32_t off = (uint32_t)c->fix[j] + (uint32_t)c->zero[j] * sum;
            exact[j] = (float)(int32_t)((uint32_t)v[i * FINISH_COLS + j] - off);
        }
        for (size_t j = 0; j < n; j += HK_VL) {
            hk_vf x = hk_v_mul(hk_v_load(exact + j), hk_v_load(c->scale + j));
            x = finish_act(hk_v_add(x, hk_v_load(c->bias + j)), act);
            if (j + HK_VL <= n)
                hk_v_store(row + j, x);
            else
                hk_v_store_n(row + j, x, n - j);
        }
    }
}

void HK_BODY_HERE(hk_finish_i8)(float *restrict y, size_t ldy, const int32_t *restrict v,
                                const int32_t *restrict sums,
                                const struct hk_i8_columns *restrict c, size_t m, size_t n,
                                enum hk_act act)
{
    switch (act) {
    case HK_ACT_RELU: finish_i8_rows(y, ldy, v, sums, c, m, n, HK_ACT_RELU); break;
    case HK_ACT_GELU: finish_i8_rows(y, ldy, v, sums, c, m, n, HK_ACT_GELU); break;
    case HK_ACT_GELU_TANH: finish_i8_rows(y, ldy, v, sums, c, m, n, HK_ACT_GELU_TANH); break;
    case HK_ACT_TANH: finish_i8_rows(y, ldy, v, sums, c, m, n, HK_ACT_TANH); break;
    default: finish_i8_rows(y, ldy, v, sums, c, m, n, HK_ACT_NONE); break;
    }
}
