/* Elementwise slots over vectors: elementwise_scalar.c, activation_scalar.c, convert_scalar.c.
 * The tail goes through load_n and store_n. */

#define ELEMENTWISE_UNARY(name, f)                                                                 \
    void HK_BODY_HERE(name)(float *y, const float *x, size_t n)                                    \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i + HK_VL <= n; i += HK_VL)                                                         \
            hk_v_store(y + i, f(hk_v_load(x + i)));                                                \
        if (i < n)                                                                                 \
            hk_v_store_n(y + i, f(hk_v_load_n(x + i, n - i)), n - i);                              \
    }

#define ELEMENTWISE_BINARY(name, f)                                                                \
    void HK_BODY_HERE(name)(float *y, const float *a, const float *b, size_t n)                    \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i + HK_VL <= n; i += HK_VL)                                                         \
            hk_v_store(y + i, f(hk_v_load(a + i), hk_v_load(b + i)));                              \
        if (i < n)                                                                                 \
            hk_v_store_n(y + i, f(hk_v_load_n(a + i, n - i), hk_v_load_n(b + i, n - i)), n - i);   \
    }

#define ELEMENTWISE_WITH_SCALAR(name, f)                                                           \
    void HK_BODY_HERE(name)(float *y, const float *x, float scalar, size_t n)                      \
    {                                                                                              \
        const hk_vf s = hk_v_set(scalar);                                                          \
        size_t i = 0;                                                                              \
        for (; i + HK_VL <= n; i += HK_VL)                                                         \
            hk_v_store(y + i, f(hk_v_load(x + i), s));                                             \
        if (i < n)                                                                                 \
            hk_v_store_n(y + i, f(hk_v_load_n(x + i, n - i), s), n - i);                           \
    }

HB_INLINE hk_vf elementwise_silu_mul(hk_vf a, hk_vf b)
{
    return hk_v_mul(hk_v_silu(a), b);
}

HB_INLINE hk_vf elementwise_gelu_mul(hk_vf a, hk_vf b)
{
    return hk_v_mul(hk_v_gelu_tanh(a), b);
}

HB_INLINE hk_vf elementwise_softcap(hk_vf x, hk_vf s)
{
    return hk_v_mul(s, hk_v_tanh(hk_v_div(x, s)));
}

ELEMENTWISE_UNARY(hk_exp_f32, hk_v_exp)
ELEMENTWISE_UNARY(hk_tanh_f32, hk_v_tanh)
ELEMENTWISE_UNARY(hk_erf_f32, hk_v_erf)
ELEMENTWISE_UNARY(hk_silu_f32, hk_v_silu)
ELEMENTWISE_UNARY(hk_gelu_tanh_f32, hk_v_gelu_tanh)
ELEMENTWISE_UNARY(hk_gelu_erf_f32, hk_v_gelu_erf)
ELEMENTWISE_BINARY(hk_add_f32, hk_v_add)
ELEMENTWISE_BINARY(hk_mul_f32, hk_v_mul)
ELEMENTWISE_BINARY(hk_silu_mul_f32, elementwise_silu_mul)
ELEMENTWISE_BINARY(hk_swiglu_clamp_f32, hk_v_swiglu_clamp)
ELEMENTWISE_BINARY(hk_gelu_mul_f32, elementwise_gelu_mul)
ELEMENTWISE_WITH_SCALAR(hk_scale_f32, hk_v_mul)
ELEMENTWISE_WITH_SCALAR(hk_softcap_f32, elementwise_softcap)

uint32_t HK_BODY_HERE(hk_max_abs_bits)(const float *x, size_t n)
{
    hk_vf m[4] = {hk_v_set(0), hk_v_set(0), hk_v_set(0), hk_v_set(0)};
    size_t i = 0;
    for (; i + 4 * HK_VL <= n; i += 4 * HK_VL) {
        m[0] = hk_v_max_abs_bits(m[0], hk_v_load(x + i));
        m[1] = hk_v_max_abs_bits(m[1], hk_v_load(x + i + HK_VL));
        m[2] = hk_v_max_abs_bits(m[2], hk_v_load(x + i + 2 * HK_VL));
        m[3] = hk_v_max_abs_bits(m[3], hk_v_load(x + i + 3 * HK_VL));
    }
    for (; i + HK_VL <= n; i += HK_VL)
        m[0] = hk_v_max_abs_bits(m[0], hk_v_load(x + i));
    if (i < n)
        m[1] = hk_v_max_abs_bits(m[1], hk_v_load_n(x + i, n - i));
    m[0] = hk_v_max_abs_bits(hk_v_max_abs_bits(m[0], m[1]), hk_v_max_abs_bits(m[2], m[3]));
    float lanes[HK_VL];
    hk_v_store(lanes, m[0]);
    uint32_t largest = 0;
    for (size_t j = 0; j < HK_VL; j++)
        largest = hk_to_bits(lanes[j]) > largest ? hk_to_bits(lanes[j]) : largest;
    return largest;
}

#define ELEMENTWISE_NARROW(name, store)                                                            \
    void HK_BODY_HERE(name)(uint16_t *restrict y, const float *restrict x, size_t n)               \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i + HK_VL <= n; i += HK_VL)                                                         \
            store(y + i, hk_v_load(x + i));                                                        \
        if (i < n) {                                                                               \
            uint16_t tail[HK_VL];                                                                  \
            store(tail, hk_v_load_n(x + i, n - i));                                                \
            memcpy(y + i, tail, (n - i) * sizeof *tail);                                           \
        }                                                                                          \
    }

ELEMENTWISE_NARROW(hk_f32_to_f16, hk_v_store_f16)
ELEMENTWISE_NARROW(hk_f32_to_bf16, hk_v_store_bf16)
