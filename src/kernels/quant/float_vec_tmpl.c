/* Float weights over vectors; included by a level's file once per type with
 *   FLOAT_NAME        the row of qtypes.def     FLOAT_BYTES   of an element
 *   FLOAT_LOAD(p)     HK_VL elements at p (any alignment) to floats
 *
 * Lanes are k, so HK_VN vectors are the 16 chains of one output. Chains that a row's tail does not
 * reach are left alone: adding 0 * 0 would turn -0 into +0. */
#define FLOAT_CAT_(a, b, c) a##b##c
#define FLOAT_CAT(a, b, c)  FLOAT_CAT_(a, b, c)
#define FLOAT_FN(name)      FLOAT_BODY_OF(FLOAT_CAT(float_vec_, FLOAT_NAME, name))
#define FLOAT_BODY(prefix)  FLOAT_BODY_OF(FLOAT_CAT(prefix, FLOAT_NAME, ))

/* The first n < HK_VL elements at p, then zeros. */
static hk_vf FLOAT_FN(_load_n)(const uint8_t *p, size_t n)
{
    HB_ALIGNAS(64) uint8_t padded[HK_VL * FLOAT_BYTES] = {0};
    memcpy(padded, p, n * FLOAT_BYTES);
    return FLOAT_LOAD(padded);
}

void FLOAT_BODY(hk_unpack_)(float *restrict y, const void *restrict blocks, size_t n)
{
    const uint8_t *w = blocks;
    size_t i = 0;
    for (; i + HK_VL <= n; i += HK_VL)
        hk_v_store(y + i, FLOAT_LOAD(w + i * FLOAT_BYTES));
    if (i < n)
        hk_v_store_n(y + i, FLOAT_FN(_load_n)(w + i * FLOAT_BYTES, n - i), n - i);
}

/* y[c * ldy + r] for a block of rows and columns */
HB_INLINE void FLOAT_FN(_block)(float *restrict y, size_t ldy, const uint8_t *w, size_t row_bytes,
                                const size_t rows, const uint8_t *x, size_t x_stride,
                                const size_t cols, size_t n)
{
    hk_vf acc[4][4][HK_VN];
    HB_UNROLL for (size_t r = 0; r < rows; r++) HB_UNROLL for (size_t c = 0; c < cols; c++)
        HB_UNROLL for (size_t v = 0; v < HK_VN; v++) acc[r][c][v] = hk_v_set(0.0f);
    size_t k = 0;
    for (; k + HK_CHAINS <= n; k += HK_CHAINS)
        HB_UNROLL for (size_t v = 0; v < HK_VN; v++)
        {
            hk_vf xc[4];
            HB_UNROLL for (size_t c = 0; c < cols; c++) xc[c] =
                hk_v_load((const float *)(x + c * x_stride) + k + v * HK_VL);
            HB_UNROLL for (size_t r = 0; r < rows; r++)
            {
                hk_vf wr = FLOAT_LOAD(w + r * row_bytes + (k + v * HK_VL) * FLOAT_BYTES);
                HB_UNROLL for (size_t c = 0; c < cols; c++) acc[r][c][v] =
                    hk_v_fma(xc[c], wr, acc[r][c][v]);
            }
        }
    HB_UNROLL for (size_t r = 0; r < rows; r++)
    {
        float wr[HK_CHAINS] = {0};
        for (size_t i = k; i < n; i += HK_VL) {
            const uint8_t *p = w + r * row_bytes + i * FLOAT_BYTES;
            hk_v_store(wr + i - k, n - i < HK_VL ? FLOAT_FN(_load_n)(p, n - i) : FLOAT_LOAD(p));
        }
        HB_UNROLL for (size_t c = 0; c < cols; c++)
        {
            const float *xc = (const float *)(x + c * x_stride) + k;
            float lanes[HK_CHAINS];
            HB_UNROLL for (size_t v = 0; v < HK_VN; v++)
                hk_v_store(lanes + v * HK_VL, acc[r][c][v]);
            for (size_t i = 0; i < n - k; i++)
                lanes[i] = hk_fma(xc[i], wr[i], lanes[i]);
            y[c * ldy + r] = hk_fold(lanes);
        }
    }
}

void FLOAT_BODY(hk_stream_)(float *restrict y, const void *restrict w, size_t row_bytes,
                            size_t n_rows, const void *restrict x, size_t n)
{
    const uint8_t *row = w;
    size_t r = 0;
    for (; r + 4 <= n_rows; r += 4, row += 4 * row_bytes)
        FLOAT_FN(_block)(y + r, 0, row, row_bytes, 4, x, 0, 1, n);
    for (; r < n_rows; r++, row += row_bytes)
        FLOAT_FN(_block)(y + r, 0, row, row_bytes, 1, x, 0, 1, n);
}

static void FLOAT_FN(_some_columns)(float *restrict y, size_t ldy, const uint8_t *w,
                                    size_t row_bytes, size_t n_rows, const uint8_t *x,
                                    size_t x_stride, size_t cols, size_t n)
{
    for (size_t r = 0; r < n_rows; r++, w += row_bytes) {
        bool four = HK_VN == 1 && r + 4 <= n_rows;
#define FLOAT_CASE(c)                                                                              \
    case c:                                                                                        \
        if (four)                                                                                  \
            FLOAT_FN(_block)(y + r, ldy, w, row_bytes, 4, x, x_stride, c, n);                      \
        else                                                                                       \
            FLOAT_FN(_block)(y + r, ldy, w, row_bytes, 1, x, x_stride, c, n);                      \
        break;
        switch (cols) {
            FLOAT_CASE(1)
            FLOAT_CASE(2)
            FLOAT_CASE(3)
            FLOAT_CASE(4)
        }
#undef FLOAT_CASE
        r += four ? 3 : 0;
        w += four ? 3 * row_bytes : 0;
    }
}

/* Rows a few at a time, so that they are still in cache for the next four columns. */
void FLOAT_BODY(hk_few_)(float *restrict y, size_t ldy, const void *restrict w, size_t row_bytes,
                         size_t n_rows, const void *restrict x, size_t x_stride, size_t n_cols,
                         size_t n)
{
    for (size_t r = 0; r < n_rows; r += 4)
        for (size_t c = 0; c < n_cols; c += 4)
            FLOAT_FN(_some_columns)
    (y + c * ldy + r, ldy, (const uint8_t *)w + r * row_bytes, row_bytes,
     n_rows - r < 4 ? n_rows - r : 4, (const uint8_t *)x + c * x_stride, x_stride,
     n_cols - c < 4 ? n_cols - c : 4, n);
}

/* Squares of HK_VL rows and HK_VL k, transposed. */
void FLOAT_BODY(hk_pack_)(void *restrict tile, const void *restrict w, size_t row_bytes,
                          size_t n_rows, size_t n)
{
    for (size_t r = 0; r < HK_TILE_ROWS; r += HK_VL)
        for (size_t k = 0; k < n; k += HK_VL) {
            hk_vf v[HK_VL];
            HB_UNROLL for (size_t i = 0; i < HK_VL; i++)
            {
                const uint8_t *p = (const uint8_t *)w + (r + i) * row_bytes + k * FLOAT_BYTES;
                v[i] = r + i >= n_rows  ? hk_v_set(0.0f)
                       : k + HK_VL <= n ? FLOAT_LOAD(p)
                                        : FLOAT_FN(_load_n)(p, n - k);
            }
            hk_v_transpose(v);
            HB_UNROLL for (size_t i = 0; i < HK_VL; i++) if (k + i < n)
                hk_v_store((float *)tile + float_tile_row(k + i, n) * HK_TILE_ROWS + r, v[i]);
        }
}

#undef FLOAT_CAT_
#undef FLOAT_CAT
#undef FLOAT_FN
#undef FLOAT_BODY
#undef FLOAT_NAME
#undef FLOAT_BYTES
#undef FLOAT_LOAD
