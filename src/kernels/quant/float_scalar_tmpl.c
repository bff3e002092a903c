/* Unpack, stream and pack of one float weight type; included by float_scalar.c with
 *   FLOAT_NAME  the row of qtypes.def    FLOAT_ELEM  type of a stored element
 *   FLOAT_LOAD  element to float
 * Weights may have any alignment, so elements are copied out. */
#define FLOAT_CAT_(a, b, c) a##b##c
#define FLOAT_CAT(a, b, c)  FLOAT_CAT_(a, b, c)
#define FLOAT_BODY(prefix)  FLOAT_CAT(prefix, FLOAT_NAME, __scalar)
#define FLOAT_AT            FLOAT_CAT(float_scalar_, FLOAT_NAME, _at)

HB_INLINE float FLOAT_AT(const uint8_t *w, size_t i)
{
    FLOAT_ELEM e;
    memcpy(&e, w + i * sizeof e, sizeof e);
    return FLOAT_LOAD(e);
}

void FLOAT_BODY(hk_unpack_)(float *restrict y, const void *restrict blocks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = FLOAT_AT(blocks, i);
}

void FLOAT_BODY(hk_stream_)(float *restrict y, const void *restrict w, size_t row_bytes,
                            size_t n_rows, const void *restrict x, size_t n)
{
    const float *xf = x;
    for (size_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        float c[HK_CHAINS] = {0};
        for (size_t k = 0; k < n; k++)
            c[k % HK_CHAINS] = hk_fma(xf[k], FLOAT_AT(row, k), c[k % HK_CHAINS]);
        y[r] = hk_fold(c);
    }
}

void FLOAT_BODY(hk_pack_)(void *restrict tile, const void *restrict w, size_t row_bytes,
                          size_t n_rows, size_t n)
{
    float *t = tile;
    for (size_t chain = 0; chain < HK_CHAINS; chain++)
        for (size_t k = chain; k < n; k += HK_CHAINS, t += HK_TILE_ROWS)
            for (size_t r = 0; r < HK_TILE_ROWS; r++)
                t[r] = r < n_rows ? FLOAT_AT((const uint8_t *)w + r * row_bytes, k) : 0.0f;
}

#undef FLOAT_CAT_
#undef FLOAT_CAT
#undef FLOAT_BODY
#undef FLOAT_AT
#undef FLOAT_NAME
#undef FLOAT_ELEM
#undef FLOAT_LOAD
