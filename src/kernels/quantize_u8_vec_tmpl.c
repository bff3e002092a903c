/* The quantisation of gemm_i8_scalar.c over vectors. Comparisons lose against NaN, as there. */

void HK_BODY_HERE(hk_range_f32)(float *restrict range, const float *restrict x, size_t n)
{
    hk_vf low[2], high[2];
    size_t i = 0;
    low[0] = low[1] = high[0] = high[1] = hk_v_set(0.0f);
    for (; i + 2 * HK_VL <= n; i += 2 * HK_VL) {
        hk_vf a = hk_v_load(x + i), b = hk_v_load(x + i + HK_VL);
        low[0] = hk_v_min(a, low[0]);
        high[0] = hk_v_max(a, high[0]);
        low[1] = hk_v_min(b, low[1]);
        high[1] = hk_v_max(b, high[1]);
    }
    for (; i < n; i += HK_VL) { /* lanes beyond are 0, which takes part anyway */
        hk_vf a = n - i < HK_VL ? hk_v_load_n(x + i, n - i) : hk_v_load(x + i);
        low[0] = hk_v_min(a, low[0]);
        high[0] = hk_v_max(a, high[0]);
    }
    float lanes[HK_VL], least = 0.0f, most = 0.0f;
    hk_v_store(lanes, hk_v_min(low[0], low[1]));
    for (size_t j = 0; j < HK_VL; j++)
        least = lanes[j] < least ? lanes[j] : least;
    hk_v_store(lanes, hk_v_max(high[0], high[1]));
    for (size_t j = 0; j < HK_VL; j++)
        most = lanes[j] > most ? lanes[j] : most;
    range[0] = least;
    range[1] = most;
}

HB_INLINE hk_vf quantize_u8_code(hk_vf x, hk_vf scale, hk_vf zero)
{
    const hk_vf round = hk_v_set(0x1.8p23f);
    hk_vf v = hk_v_div(x, scale);
    v = hk_v_max(v, hk_v_set(-300.0f));
    v = hk_v_min(v, hk_v_set(300.0f));
    v = hk_v_add(hk_v_sub(hk_v_add(v, round), round), zero);
    v = hk_v_max(v, hk_v_set(0.0f));
    return hk_v_min(v, hk_v_set(255.0f));
}

void HK_BODY_HERE(hk_quantize_u8)(uint8_t *restrict y, const float *restrict x, float scale,
                                  float zero, size_t n)
{
    hk_vf s = hk_v_set(scale), z = hk_v_set(zero);
    size_t i = 0;
    for (; i + HK_VL <= n; i += HK_VL)
        hk_v_store_u8(y + i, quantize_u8_code(hk_v_load(x + i), s, z));
    if (i < n) {
        uint8_t tail[HK_VL];
        hk_v_store_u8(tail, quantize_u8_code(hk_v_load_n(x + i, n - i), s, z));
        memcpy(y + i, tail, n - i);
    }
}
