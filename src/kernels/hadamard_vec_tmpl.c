/* hadamard_scalar.c over vectors. */

void HK_BODY_HERE(hk_hadamard_f32)(float *restrict x, size_t n, size_t block)
{
    float y[HK_HADAMARD_MAX];
    if (block < 2 * HK_VL) {
        hk_hadamard_f32__scalar(x, n, block);
        return;
    }
    for (size_t b = 0; b < n; b += block, x += block)
        for (size_t stage = 1; stage < block; stage *= 2) {
            for (size_t i = 0; i < block / 2; i += HK_VL) {
                hk_vf even, odd;
                hk_v_unzip(&even, &odd, hk_v_load(x + 2 * i), hk_v_load(x + 2 * i + HK_VL));
                hk_v_store(y + i, hk_v_add(even, odd));
                hk_v_store(y + i + block / 2, hk_v_sub(even, odd));
            }
            memcpy(x, y, block * sizeof *x);
        }
}
