/* Bodies of one float type; included by float_avx512.c with FLOAT_T and FLOAT_SIZE (bytes). */
#define FLOAT_LOAD       HK_PASTE(float_avx512_, FLOAT_T)
#define FLOAT_BODY(verb) HK_BODY__(verb, FLOAT_T, avx512)
#define FLOAT_CHAINS     HK_PASTE(float_avx512_chains_, FLOAT_T)

/* chains[c * ld + i] of FLOAT_ROWS rows i and n_cols (1..4) columns. Past the end of the tail a chain keeps
 * its value: adding 0 * 0 would turn -0 into +0. */
HB_INLINE void FLOAT_CHAINS(__m512 *chains, size_t ld, const uint8_t *const *rows,
                            const uint8_t *ahead, const float *const *cols, const int n_cols,
                            size_t n)
{
    __m512 acc[4][FLOAT_ROWS];
    HK_UNROLL(4)
    for (int c = 0; c < n_cols; c++)
        HK_UNROLL(4)
    for (int i = 0; i < FLOAT_ROWS; i++)
        acc[c][i] = _mm512_setzero_ps();
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        __m512 w[FLOAT_ROWS];
        HK_UNROLL(4)
        for (int i = 0; i < FLOAT_ROWS; i++)
            w[i] = FLOAT_LOAD(rows[i] + k * FLOAT_SIZE, 0xFFFF);
        hk512_prefetch(ahead + k * FLOAT_SIZE * FLOAT_ROWS, 16 * FLOAT_SIZE * FLOAT_ROWS);
        HK_UNROLL(4)
        for (int c = 0; c < n_cols; c++) {
            __m512 x = _mm512_loadu_ps(cols[c] + k);
            HK_UNROLL(4)
            for (int i = 0; i < FLOAT_ROWS; i++)
                acc[c][i] = _mm512_fmadd_ps(x, w[i], acc[c][i]);
        }
    }
    __mmask16 tail = float_avx512_tail(n);
    HK_UNROLL(4)
    for (int c = 0; c < n_cols; c++) {
        __m512 x = _mm512_maskz_loadu_ps(tail, cols[c] + k);
        HK_UNROLL(4)
        for (int i = 0; i < FLOAT_ROWS; i++)
            chains[(size_t)c * ld + (size_t)i] = _mm512_mask3_fmadd_ps(
                x, FLOAT_LOAD(rows[i] + k * FLOAT_SIZE, tail), acc[c][i], tail);
    }
}

void FLOAT_BODY(few)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                     size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                     size_t n)
{
    __m512 chains[16][16];
    for (size_t r0 = 0; r0 < n_rows; r0 += 16) {
        size_t n_group = n_rows - r0 < 16 ? n_rows - r0 : 16;
        for (size_t r = 0; r < 16; r += FLOAT_ROWS) {
            const uint8_t *rows[FLOAT_ROWS];
            for (size_t i = 0; i < FLOAT_ROWS; i++) /* missing rows: the last one again */
                rows[i] = (const uint8_t *)w +
                          (r + i < n_group ? r0 + r + i : r0 + n_group - 1) * row_bytes;
            for (size_t c = 0; c < n_cols; c += 4) {
                const float *cols[4];
                size_t width = n_cols - c < 4 ? n_cols - c : 4;
                for (size_t i = 0; i < width; i++)
                    cols[i] = (const float *)((const uint8_t *)x + (c + i) * x_stride);
                const uint8_t *ahead = (const uint8_t *)w + (r0 + r + FLOAT_ROWS) * row_bytes;
                switch (width) {
                case 4:
                    FLOAT_CHAINS(&chains[c][r], 16, rows, ahead, cols, 4, n);
                    break;
                case 3:
                    FLOAT_CHAINS(&chains[c][r], 16, rows, ahead, cols, 3, n);
                    break;
                case 2:
                    FLOAT_CHAINS(&chains[c][r], 16, rows, ahead, cols, 2, n);
                    break;
                default:
                    FLOAT_CHAINS(&chains[c][r], 16, rows, ahead, cols, 1, n);
                    break;
                }
            }
        }
        for (size_t c = 0; c < n_cols; c++)
            _mm512_mask_storeu_ps(y + c * ldy + r0, (__mmask16)((1u << n_group) - 1),
                                  float_avx512_fold(chains[c]));
    }
}

void FLOAT_BODY(stream)(float *restrict y, const void *restrict w, size_t row_bytes, size_t n_rows,
                        const void *restrict x, size_t n)
{
    FLOAT_BODY(few)(y, 0, w, row_bytes, n_rows, x, 0, 1, n);
}

void FLOAT_BODY(pack)(void *restrict tile, const void *restrict w, size_t row_bytes, size_t n_rows,
                      size_t n)
{
    float *t = tile;
    size_t whole = n / 16;
    for (size_t j = 0; j * 16 < n; j++) {
        size_t n_k = n - 16 * j < 16 ? n - 16 * j : 16;
        __m512i v[16];
        for (size_t r = 0; r < 16; r++) {
            __mmask16 there = (__mmask16)(r < n_rows ? (1u << n_k) - 1 : 0);
            v[r] = _mm512_castps_si512(FLOAT_LOAD(
                (const uint8_t *)w + (there ? r : 0) * row_bytes + 16 * j * FLOAT_SIZE, there));
        }
        float_avx512_transpose(v);
        for (size_t i = 0; i < n_k; i++) /* chain i begins after i chains, n % 16 of them longer */
            _mm512_store_si512(t + (i * whole + (i < n % 16 ? i : n % 16) + j) * 16, v[i]);
    }
}

#undef FLOAT_LOAD
#undef FLOAT_BODY
#undef FLOAT_CHAINS
#undef FLOAT_T
#undef FLOAT_SIZE
