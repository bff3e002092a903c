/* Encoders of single floats and of blocks of 32. Layouts: kernels/quant/hk_blocks.h. */
#include "tools/quantize/encode.h"
#include "tools/quantize/fit.h"
#include "kernels/quant/hk_blocks.h"

hq_encode_fn *hq_encoder(enum hk_qtype type)
{
    switch (type) {
#define HQ_ENCODER(id, name)                                                                       \
    case HK_##id:                                                                                  \
        return hq_encode_##name;
#include "tools/quantize/encoders.def"
#undef HQ_ENCODER
    default:
        return NULL;
    }
}

void hq_weights(float *w, const float *importance, int n)
{
    for (int i = 0; i < n; i++)
        w[i] = importance ? importance[i] + 1e-30f : 1;
}

void hq_grid_iq4(struct hq_grid *grid)
{
    static const uint8_t codes[16] = {HK_IQ4_CODES};
    *grid = (struct hq_grid){.lo = 0, .hi = 15, .n_table = 16};
    for (int i = 0; i < 16; i++)
        grid->table[i] = (int8_t)(codes[i] - HK_OFFSET_IQ4_NL);
}

/* ---- single floats */

void hq_encode_f32(void *blocks, const float *x, const float *importance, size_t n)
{
    memcpy(blocks, x, n * sizeof *x);
}

static void b32_put16(uint8_t *at, uint16_t bits)
{
    at[0] = (uint8_t)bits;
    at[1] = (uint8_t)(bits >> 8);
}

void hq_encode_f16(void *blocks, const float *x, const float *importance, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b32_put16((uint8_t *)blocks + 2 * i, hk_f32_to_f16(x[i]));
}

void hq_encode_bf16(void *blocks, const float *x, const float *importance, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b32_put16((uint8_t *)blocks + 2 * i, hk_f32_to_bf16(x[i]));
}

/* ---- blocks of 32 */

float hq_put_half(uint8_t at[2], float x)
{
    const float most = 65504;
    b32_put16(at, hk_f32_to_f16(x > most ? most : x < -most ? -most : x));
    return hk_block_half(at);
}

static void b32_put_nibbles(uint8_t *nibbles, const int8_t *u)
{
    for (int i = 0; i < 16; i++)
        nibbles[i] = (uint8_t)((u[i] & 15) | (u[i + 16] & 15) << 4);
}

static void b32_put_high(uint8_t high[4], const int8_t *u)
{
    memset(high, 0, 4);
    for (int i = 0; i < 32; i++)
        high[i / 8] = (uint8_t)(high[i / 8] | (u[i] >> 4 & 1) << i % 8);
}

/* 8 bits need no search: the largest element is 127. */
void hq_encode_q8_0(void *blocks, const float *x, const float *importance, size_t n)
{
    const struct hq_grid grid = {-127, 127, 0, {0}};
    for (size_t b = 0; b < n / 32; b++, x += 32) {
        struct hk_block_q8_0 block;
        float far = 0, w[32];
        for (int i = 0; i < 32; i++) {
            float size = x[i] < 0 ? -x[i] : x[i];
            far = size > far ? size : far;
            w[i] = 1;
        }
        hq_codes_symmetric(x, w, 32, &grid, hq_put_half(block.d, far / 127), block.codes);
        memcpy((struct hk_block_q8_0 *)blocks + b, &block, sizeof block);
    }
}

/* Codes of a symmetric block behind its stored scale. */
static void b32_symmetric(const float *x, const float *importance, const struct hq_grid *grid, uint8_t d[2], int8_t *q)
{
    float w[32];
    hq_weights(w, importance, 32);
    hq_codes_symmetric(x, w, 32, grid, hq_put_half(d, hq_fit_symmetric(x, w, 32, grid)), q);
}

/* The same with a minimum, which these types store as what is added. */
static void b32_affine(const float *x, const float *importance, int hi, uint8_t d[2], uint8_t m[2], int8_t *q)
{
    float w[32], min;
    hq_weights(w, importance, 32);
    float scale = hq_put_half(d, hq_fit_affine(x, w, 32, hi, 1, &min));
    min = hq_put_half(m, -min);
    hq_codes_affine(x, w, 32, hi, scale, -min, q);
}

#define B32_EACH(block_type)                                                                       \
    for (struct block_type *out = blocks, *end = out + n / 32; out < end;                          \
         out++, x += 32, importance = importance ? importance + 32 : NULL)

void hq_encode_q4_0(void *blocks, const float *x, const float *importance, size_t n)
{
    const struct hq_grid grid = {-8, 7, 0, {0}};
    int8_t q[32];
    B32_EACH(hk_block_q4_0) {
        b32_symmetric(x, importance, &grid, out->d, q);
        for (int i = 0; i < 32; i++)
            q[i] = (int8_t)(q[i] + 8);
        b32_put_nibbles(out->nibbles, q);
    }
}

void hq_encode_q4_1(void *blocks, const float *x, const float *importance, size_t n)
{
    int8_t q[32];
    B32_EACH(hk_block_q4_1) {
        b32_affine(x, importance, 15, out->d, out->m, q);
        b32_put_nibbles(out->nibbles, q);
    }
}

void hq_encode_q5_0(void *blocks, const float *x, const float *importance, size_t n)
{
    const struct hq_grid grid = {-16, 15, 0, {0}};
    int8_t q[32];
    B32_EACH(hk_block_q5_0) {
        b32_symmetric(x, importance, &grid, out->d, q);
        for (int i = 0; i < 32; i++)
            q[i] = (int8_t)(q[i] + 16);
        b32_put_nibbles(out->nibbles, q);
        b32_put_high(out->high, q);
    }
}

void hq_encode_q5_1(void *blocks, const float *x, const float *importance, size_t n)
{
    int8_t q[32];
    B32_EACH(hk_block_q5_1) {
        b32_affine(x, importance, 31, out->d, out->m, q);
        b32_put_nibbles(out->nibbles, q);
        b32_put_high(out->high, q);
    }
}

void hq_encode_iq4_nl(void *blocks, const float *x, const float *importance, size_t n)
{
    struct hq_grid grid;
    int8_t q[32];
    hq_grid_iq4(&grid);
    B32_EACH(hk_block_iq4_nl) {
        b32_symmetric(x, importance, &grid, out->d, q);
        b32_put_nibbles(out->nibbles, q);
    }
}
