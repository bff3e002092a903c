/* rope_scalar.c over vectors. */

HB_INLINE void rope_turn(hk_vf *a, hk_vf *b, hk_vf cosine, hk_vf sine)
{
    hk_vf x = *a, y = *b;
    *a = hk_v_fma(x, cosine, hk_v_neg(hk_v_mul(y, sine)));
    *b = hk_v_fma(y, cosine, hk_v_mul(x, sine));
}

void HK_BODY_HERE(hk_rope_pair_f32)(float *restrict x, const float *restrict cs, size_t n)
{
    size_t i = 0;
    for (; i + 2 * HK_VL <= n; i += 2 * HK_VL) {
        hk_vf a, b, c, s, lo, hi;
        hk_v_unzip(&a, &b, hk_v_load(x + i), hk_v_load(x + i + HK_VL));
        hk_v_unzip(&c, &s, hk_v_load(cs + i), hk_v_load(cs + i + HK_VL));
        rope_turn(&a, &b, c, s);
        hk_v_zip(&lo, &hi, a, b);
        hk_v_store(x + i, lo);
        hk_v_store(x + i + HK_VL, hi);
    }
    hk_rope_pair_f32__scalar(x + i, cs + i, n - i);
}

void HK_BODY_HERE(hk_rope_half_f32)(float *restrict x, const float *restrict cs, size_t n)
{
    size_t i = 0, half = n / 2;
    for (; i + HK_VL <= half; i += HK_VL) {
        hk_vf a = hk_v_load(x + i), b = hk_v_load(x + half + i), c, s;
        hk_v_unzip(&c, &s, hk_v_load(cs + 2 * i), hk_v_load(cs + 2 * i + HK_VL));
        rope_turn(&a, &b, c, s);
        hk_v_store(x + i, a);
        hk_v_store(x + half + i, b);
    }
    for (; i < half; i++) {
        float a = x[i], b = x[half + i], c = cs[2 * i], s = cs[2 * i + 1];
        x[i] = hk_fma(a, c, -(b * s));
        x[half + i] = hk_fma(b, c, a * s);
    }
}
