/* hk_math.h lane by lane, over the vocabulary of hk_vec_<level>.h: the same operations in the same
 * order, so the same bits. Change both together; check_kernels compares them. */
#ifndef HK_MATH_VEC_H
#define HK_MATH_VEC_H

HB_INLINE hk_vf hk_v_horner(hk_vf p, hk_vf x, float c)
{
    return hk_v_fma(p, x, hk_v_set(c));
}

HB_INLINE hk_vf hk_v_exp_reduced(hk_vf x, hk_vf *t)
{
    const hk_vf round = hk_v_set(HK_ROUND);
    *t = hk_v_fma(x, hk_v_set(HK_LOG2E), round);
    hk_vf n = hk_v_sub(*t, round);
    hk_vf r = hk_v_fma(n, hk_v_set(-HK_LN2_HI), x);
    r = hk_v_fma(n, hk_v_set(-HK_LN2_LO), r);
    hk_vf q = hk_v_horner(hk_v_set(HK_EXP_Q4), r, HK_EXP_Q3);
    q = hk_v_horner(q, r, HK_EXP_Q2);
    q = hk_v_horner(q, r, HK_EXP_Q1);
    q = hk_v_horner(q, r, HK_EXP_Q0);
    q = hk_v_fma(q, hk_v_mul(r, r), r);
    return hk_v_add(q, hk_v_set(1.0f));
}

HB_INLINE hk_vf hk_v_exp(hk_vf x)
{
    hk_vf t;
    x = hk_v_min(hk_v_set(HK_EXP_MAX), x);
    x = hk_v_max(hk_v_set(HK_EXP_MIN), x);
    hk_vf p = hk_v_exp_reduced(x, &t);
    return hk_v_scale_pow2(p, t);
}

HB_INLINE hk_vf hk_v_exp_mid(hk_vf x)
{
    hk_vf t;
    hk_vf p = hk_v_exp_reduced(x, &t);
    return hk_v_scale_pow2_mid(p, t);
}

HB_INLINE hk_vf hk_v_tanh(hk_vf x)
{
    hk_vf a = hk_v_abs(x), z = hk_v_mul(x, x), one = hk_v_set(1.0f);
    hk_vf p = hk_v_horner(hk_v_set(HK_TANH_P4), z, HK_TANH_P3);
    p = hk_v_horner(p, z, HK_TANH_P2);
    p = hk_v_horner(p, z, HK_TANH_P1);
    p = hk_v_horner(p, z, HK_TANH_P0);
    hk_vf small = hk_v_fma(hk_v_mul(x, z), p, x);
    hk_vf b = hk_v_min(hk_v_set(HK_TANH_MAX), a);
    hk_vf e = hk_v_exp_mid(hk_v_add(b, b));
    hk_vf large = hk_v_sub(one, hk_v_div(hk_v_set(2.0f), hk_v_add(e, one)));
    return hk_v_copysign(hk_v_select(hk_v_gt(a, hk_v_set(HK_TANH_SPLIT)), large, small), x);
}

HB_INLINE hk_vf hk_v_erf(hk_vf x)
{
    hk_vf a = hk_v_abs(x), z = hk_v_mul(x, x);
    hk_vf p = hk_v_horner(hk_v_set(HK_ERF_P5), z, HK_ERF_P4);
    p = hk_v_horner(p, z, HK_ERF_P3);
    p = hk_v_horner(p, z, HK_ERF_P2);
    p = hk_v_horner(p, z, HK_ERF_P1);
    p = hk_v_horner(p, z, HK_ERF_P0);
    hk_vf small = hk_v_fma(p, x, x);
    hk_vf t = hk_v_min(hk_v_set(HK_ERF_MAX), a), minus_t = hk_v_neg(t);
    hk_vf q = hk_v_horner(hk_v_set(HK_ERF_Q5), t, HK_ERF_Q4);
    q = hk_v_horner(q, t, HK_ERF_Q3);
    q = hk_v_horner(q, t, HK_ERF_Q2);
    q = hk_v_horner(q, t, HK_ERF_Q1);
    q = hk_v_horner(q, t, HK_ERF_Q0);
    hk_vf large = hk_v_sub(hk_v_set(1.0f), hk_v_exp_mid(hk_v_fma(minus_t, q, minus_t)));
    return hk_v_copysign(hk_v_select(hk_v_gt(a, hk_v_set(HK_ERF_SPLIT)), large, small), x);
}

HB_INLINE hk_vf hk_v_times_sigmoid(hk_vf x, hk_vf t)
{
    hk_vf e = hk_v_exp(hk_v_neg(hk_v_abs(t)));
    hk_vf top = hk_v_select(hk_v_lt(t, hk_v_set(0.0f)), hk_v_mul(x, e), x);
    return hk_v_div(top, hk_v_add(hk_v_set(1.0f), e));
}

HB_INLINE hk_vf hk_v_silu(hk_vf x)
{
    return hk_v_times_sigmoid(x, x);
}

HB_INLINE hk_vf hk_v_gelu_tanh(hk_vf x)
{
    hk_vf u = hk_v_fma(hk_v_set(HK_GELU_2C_CUBE), hk_v_mul(x, x), hk_v_set(HK_GELU_2C));
    return hk_v_times_sigmoid(x, hk_v_mul(x, u));
}

HB_INLINE hk_vf hk_v_swiglu_clamp(hk_vf g, hk_vf u)
{
    g = hk_v_min(hk_v_set(HK_SWIGLU_LIMIT), g);
    u = hk_v_max(hk_v_set(-HK_SWIGLU_LIMIT), hk_v_min(hk_v_set(HK_SWIGLU_LIMIT), u));
    return hk_v_mul(hk_v_times_sigmoid(g, hk_v_mul(hk_v_set(HK_SWIGLU_ALPHA), g)),
                    hk_v_add(u, hk_v_set(1.0f)));
}

HB_INLINE hk_vf hk_v_gelu_erf(hk_vf x)
{
    hk_vf h = hk_v_mul(hk_v_set(0.5f), x);
    return hk_v_fma(h, hk_v_erf(hk_v_mul(x, hk_v_set(HK_SQRT_HALF))), h);
}

#endif
