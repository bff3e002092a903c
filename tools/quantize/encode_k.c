/* Encoders of superblocks of 256: integer scales per sub-block behind one or two halves. Layouts:
 * kernels/quant/hk_blocks.h.
 *
 *   1. every sub-block by itself: its best d (and m), hq_fit_*
 *   2. the superblock's half d so that the largest sub-block reaches the end of the range of integer scales
 *   3. every sub-block again, with the integer scales near the wanted ones: the pair with the least error
 *   4. d (and dmin) once more, by least squares over all 256 codes, then 3 again; kept if it is better */
#include "tools/quantize/encode.h"
#include "tools/quantize/fit.h"
#include "kernels/quant/hk_blocks.h"

#define K_SUBS 16

/* A superblock on its way. */
struct k_work {
    const float *x;
    float w[256];
    int n_subs, len;       /* sub-blocks, elements of one */
    float d, dmin;         /* as stored */
    int sc[K_SUBS], mn[K_SUBS];
    int8_t q[256];         /* codes: lo..hi, 0..hi, or places in a table */
    float error;
};

static void k_begin(struct k_work *k, const float *x, const float *importance, int len)
{
    memset(k, 0, sizeof *k);
    k->x = x;
    k->len = len;
    k->n_subs = 256 / len;
    for (int j = 0; j < k->n_subs; j++)
        hq_weights(k->w + j * len, importance ? importance + j * len : NULL, len);
}

/* Through a half and back. */
static float k_half(float x)
{
    uint8_t bytes[2];
    return hq_put_half(bytes, x);
}

static int k_near(float x, int lo, int hi)
{
    if (!(x > (float)lo))
        return lo;
    return x >= (float)hi ? hi : (int)(x < 0 ? x - 0.5f : x + 0.5f);
}

/* ---- symmetric: value = d sc v(q) */

struct k_symmetric {
    struct hq_grid grid;
    int sc_lo, sc_hi;
};

static float k_value(const struct hq_grid *g, int8_t q)
{
    return g->n_table ? (float)g->table[q] : (float)q;
}

/* Codes of all sub-blocks with integer scales at most one from the wanted ones. */
static void k_symmetric_pass(struct k_work *k, const struct k_symmetric *type, const float *wanted)
{
    int8_t q[256];
    k->error = 0;
    for (int j = 0; j < k->n_subs; j++) {
        const int at = j * k->len;
        int near = k_near(k->d != 0 ? wanted[j] / k->d : 0, type->sc_lo, type->sc_hi);
        float best = -1;
        for (int sc = near - 1; sc <= near + 1; sc++) {
            if (sc < type->sc_lo || sc > type->sc_hi)
                continue;
            float error = hq_codes_symmetric(k->x + at, k->w + at, k->len, &type->grid, k->d * (float)sc, q);
            if (best < 0 || error < best) {
                best = error;
                k->sc[j] = sc;
                memcpy(k->q + at, q, (size_t)k->len);
            }
        }
        k->error += best;
    }
}

static void k_symmetric_code(struct k_work *k, const struct k_symmetric *type)
{
    float wanted[K_SUBS], far = 0;
    for (int j = 0; j < k->n_subs; j++) {
        wanted[j] = hq_fit_symmetric(k->x + j * k->len, k->w + j * k->len, k->len, &type->grid);
        if ((wanted[j] < 0 ? -wanted[j] : wanted[j]) > (far < 0 ? -far : far))
            far = wanted[j];
    }
    k->d = k_half(far / (float)type->sc_lo); /* the longer end of the range */
    k_symmetric_pass(k, type, wanted);
    float xa = 0, aa = 0; /* least squares of x ~ d a, a = sc v */
    for (int i = 0; i < 256; i++) {
        float a = (float)k->sc[i / k->len] * k_value(&type->grid, k->q[i]);
        xa += k->w[i] * k->x[i] * a;
        aa += k->w[i] * a * a;
    }
    if (aa <= 0)
        return;
    struct k_work again = *k;
    again.d = k_half(xa / aa);
    k_symmetric_pass(&again, type, wanted);
    if (again.error < k->error)
        *k = again;
}

/* ---- with minima: value = d sc q - dmin mn */

struct k_affine {
    int hi, sc_hi; /* largest code, largest integer scale and min */
};

static void k_affine_pass(struct k_work *k, const struct k_affine *type, const float *d, const float *m)
{
    int8_t q[256];
    k->error = 0;
    for (int j = 0; j < k->n_subs; j++) {
        const int at = j * k->len;
        int sc_near = k_near(k->d > 0 ? d[j] / k->d : 0, 0, type->sc_hi);
        int mn_near = k_near(k->dmin > 0 ? m[j] / k->dmin : 0, 0, type->sc_hi);
        float best = -1;
        for (int sc = sc_near - 1; sc <= sc_near + 1; sc++)
            for (int mn = mn_near - 1; mn <= mn_near + 1; mn++) {
                if (sc < 0 || sc > type->sc_hi || mn < 0 || mn > type->sc_hi)
                    continue;
                float error = hq_codes_affine(k->x + at, k->w + at, k->len, type->hi, k->d * (float)sc,
                                              k->dmin * (float)mn, q);
                if (best < 0 || error < best) {
                    best = error;
                    k->sc[j] = sc;
                    k->mn[j] = mn;
                    memcpy(k->q + at, q, (size_t)k->len);
                }
            }
        k->error += best;
    }
}

static void k_affine_code(struct k_work *k, const struct k_affine *type)
{
    float d[K_SUBS], m[K_SUBS], d_far = 0, m_far = 0;
    for (int j = 0; j < k->n_subs; j++) {
        d[j] = hq_fit_affine(k->x + j * k->len, k->w + j * k->len, k->len, type->hi, 0, &m[j]);
        d_far = d[j] > d_far ? d[j] : d_far;
        m_far = m[j] > m_far ? m[j] : m_far;
    }
    k->d = k_half(d_far / (float)type->sc_hi);
    k->dmin = k_half(m_far / (float)type->sc_hi);
    k_affine_pass(k, type, d, m);
    float xa = 0, xb = 0, aa = 0, ab = 0, bb = 0; /* x ~ d a - dmin b */
    for (int i = 0; i < 256; i++) {
        float a = (float)(k->sc[i / k->len] * k->q[i]), b = (float)k->mn[i / k->len];
        xa += k->w[i] * k->x[i] * a;
        xb += k->w[i] * k->x[i] * b;
        aa += k->w[i] * a * a;
        ab += k->w[i] * a * b;
        bb += k->w[i] * b * b;
    }
    float det = aa * bb - ab * ab;
    struct k_work again = *k;
    if (det > 0) {
        again.d = (xa * bb - xb * ab) / det;
        again.dmin = (xa * ab - xb * aa) / det;
    } else if (aa > 0)
        again.d = xa / aa;
    again.d = k_half(again.d < 0 ? 0 : again.d);
    again.dmin = k_half(again.dmin < 0 ? 0 : again.dmin);
    k_affine_pass(&again, type, d, m);
    if (again.error < k->error)
        *k = again;
}

/* ---- layouts */

/* 6-bit scales and mins of Q4_K and Q5_K: hk_block_scales_k4 the other way round. */
static void k_put_scales_k4(uint8_t s[12], const int *sc, const int *mn)
{
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(sc[j] | sc[j + 4] >> 4 << 6);
        s[j + 4] = (uint8_t)(mn[j] | mn[j + 4] >> 4 << 6);
        s[j + 8] = (uint8_t)((sc[j + 4] & 15) | (mn[j + 4] & 15) << 4);
    }
}

/* Bits `shift` and `shift` + 1 of all codes to 2-bit fields. */
static void k_put_twos(uint8_t qs[64], const int8_t *q, int shift)
{
    memset(qs, 0, 64);
    for (int i = 0; i < 256; i++) {
        uint8_t *at = &qs[i / 128 * 32 + i % 32];
        *at = (uint8_t)(*at | (q[i] >> shift & 3) << i % 128 / 32 * 2);
    }
}

static void k_put_ones(uint8_t high[32], const int8_t *q, int bit)
{
    memset(high, 0, 32);
    for (int i = 0; i < 256; i++)
        high[i % 32] = (uint8_t)(high[i % 32] | (q[i] >> bit & 1) << i / 32);
}

/* Low nibbles of pairs of sub-blocks of `half` elements. */
static void k_put_nibbles(uint8_t qs[128], const int8_t *q, int half)
{
    for (int i = 0; i < 128; i++) {
        const int8_t *low = q + i / half * 2 * half + i % half;
        qs[i] = (uint8_t)((low[0] & 15) | (low[half] & 15) << 4);
    }
}

static void k_add(int8_t *q, int offset)
{
    for (int i = 0; i < 256; i++)
        q[i] = (int8_t)(q[i] + offset);
}

#define K_EACH(block_type)                                                                         \
    for (struct block_type *out = blocks, *end = out + n / 256; out < end;                         \
         out++, x += 256, importance = importance ? importance + 256 : NULL)

void hq_encode_q2_k(void *blocks, const float *x, const float *importance, size_t n)
{
    static const struct k_affine type = {3, 15};
    struct k_work k;
    K_EACH(hk_block_q2_k) {
        k_begin(&k, x, importance, 16);
        k_affine_code(&k, &type);
        hq_put_half(out->d, k.d);
        hq_put_half(out->dmin, k.dmin);
        for (int j = 0; j < 16; j++)
            out->scales[j] = (uint8_t)(k.sc[j] | k.mn[j] << 4);
        k_put_twos(out->qs, k.q, 0);
    }
}

void hq_encode_q3_k(void *blocks, const float *x, const float *importance, size_t n)
{
    static const struct k_symmetric type = {{-4, 3, 0, {0}}, -32, 31};
    struct k_work k;
    K_EACH(hk_block_q3_k) {
        k_begin(&k, x, importance, 16);
        k_symmetric_code(&k, &type);
        hq_put_half(out->d, k.d);
        memset(out->scales, 0, sizeof out->scales);
        for (int j = 0; j < 16; j++) {
            int sc = k.sc[j] + 32;
            out->scales[j % 8] = (uint8_t)(out->scales[j % 8] | (sc & 15) << j / 8 * 4);
            out->scales[8 + j % 4] = (uint8_t)(out->scales[8 + j % 4] | sc >> 4 << j / 4 * 2);
        }
        k_add(k.q, 4);
        k_put_twos(out->qs, k.q, 0);
        k_put_ones(out->high, k.q, 2);
    }
}

/* What Q4_K and Q5_K have in common: scales, and the low 4 bits. */
static void k_encode_k4(struct k_work *k, int hi, const float *x, const float *importance, uint8_t d[2], uint8_t dmin[2],
                        uint8_t scales[12], uint8_t qs[128])
{
    const struct k_affine type = {hi, 63};
    k_begin(k, x, importance, 32);
    k_affine_code(k, &type);
    hq_put_half(d, k->d);
    hq_put_half(dmin, k->dmin);
    k_put_scales_k4(scales, k->sc, k->mn);
    k_put_nibbles(qs, k->q, 32);
}

void hq_encode_q4_k(void *blocks, const float *x, const float *importance, size_t n)
{
    struct k_work k;
    K_EACH(hk_block_q4_k)
        k_encode_k4(&k, 15, x, importance, out->d, out->dmin, out->scales, out->qs);
}

void hq_encode_q5_k(void *blocks, const float *x, const float *importance, size_t n)
{
    struct k_work k;
    K_EACH(hk_block_q5_k) {
        k_encode_k4(&k, 31, x, importance, out->d, out->dmin, out->scales, out->qs);
        k_put_ones(out->high, k.q, 4);
    }
}

void hq_encode_q6_k(void *blocks, const float *x, const float *importance, size_t n)
{
    static const struct k_symmetric type = {{-32, 31, 0, {0}}, -128, 127};
    struct k_work k;
    K_EACH(hk_block_q6_k) {
        k_begin(&k, x, importance, 16);
        k_symmetric_code(&k, &type);
        hq_put_half(out->d, k.d);
        for (int j = 0; j < 16; j++)
            out->scales[j] = (int8_t)k.sc[j];
        k_add(k.q, 32);
        k_put_nibbles(out->low, k.q, 64);
        k_put_twos(out->high, k.q, 4);
    }
}

void hq_encode_iq4_xs(void *blocks, const float *x, const float *importance, size_t n)
{
    struct k_symmetric type = {.sc_lo = -32, .sc_hi = 31};
    struct k_work k;
    hq_grid_iq4(&type.grid);
    K_EACH(hk_block_iq4_xs) {
        k_begin(&k, x, importance, 32);
        k_symmetric_code(&k, &type);
        memset(out, 0, sizeof *out);
        hq_put_half(out->d, k.d);
        for (int j = 0; j < 8; j++) {
            int sc = k.sc[j] + 32;
            out->scales_l[j / 2] = (uint8_t)(out->scales_l[j / 2] | (sc & 15) << j % 2 * 4);
            out->scales_h[j / 4] = (uint8_t)(out->scales_h[j / 4] | sc >> 4 << j % 4 * 2);
        }
        k_put_nibbles(out->qs, k.q, 16);
    }
}
