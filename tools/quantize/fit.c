#include "tools/quantize/fit.h"
#include <string.h>

/* Round to nearest, for |x| < 2^22. */
static float fit_round(float x)
{
    return (x + 12582912.0f) - 12582912.0f;
}

static float fit_clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

#define FIT_LANES 8

static float fit_fold(const float lanes[FIT_LANES])
{
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* sum w x y */
static float fit_sum(const float *w, const float *x, const float *y, int n)
{
    float sum[FIT_LANES] = {0};
    for (int i = 0; i < n; i += FIT_LANES)
        for (int l = 0; l < FIT_LANES; l++)
            sum[l] += w[i + l] * x[i + l] * y[i + l];
    return fit_fold(sum);
}

/* The codes nearest to x * inverse, as stored, and the values they stand for. */
static void fit_codes(const float *x, int n, const struct hq_grid *g, float inverse, float *code, float *value)
{
    for (int i = 0; i < n; i++)
        code[i] = fit_round(fit_clamp(x[i] * inverse, (float)g->lo, (float)g->hi));
    if (!g->n_table) {
        memcpy(value, code, (size_t)n * sizeof *value);
        return;
    }
    for (int i = 0; i < n; i++) {
        code[i] = 0;
        value[i] = (float)g->table[0];
    }
    for (int k = 1; k < g->n_table; k++) {
        float from = 0.5f * (float)(g->table[k - 1] + g->table[k]), step = (float)(g->table[k] - g->table[k - 1]);
        for (int i = 0; i < n; i++) {
            float past = x[i] * inverse > from ? 1.0f : 0.0f;
            code[i] += past;
            value[i] += past * step;
        }
    }
}

/* sum w x v and sum w v v of the codes that go with 1 / d = inverse. */
struct fit_sums {
    float xv, vv;
};

static struct fit_sums fit_try(const float *x, const float *w, int n, const struct hq_grid *g, float inverse)
{
    float v[HQ_MOST], code[HQ_MOST];
    fit_codes(x, n, g, inverse, code, v);
    return (struct fit_sums){fit_sum(w, x, v, n), fit_sum(w, v, v, n)};
}

/* What the codes take off sum w x^2, at their best scale xv / vv. */
static float fit_gain(struct fit_sums s)
{
    return s.vv > 0 ? s.xv * s.xv / s.vv : 0;
}

#define FIT_STARTS 9    /* to each side of a plain range */
#define FIT_STEP   0.1f /* in codes */
#define FIT_TURNS  6

float hq_fit_symmetric(const float *x, const float *w, int n, const struct hq_grid *g)
{
    float far = 0;
    for (int i = 0; i < n; i++)
        if ((x[i] < 0 ? -x[i] : x[i]) > (far < 0 ? -far : far))
            far = x[i];
    if (far == 0)
        return 0;
    const float ends[2] = {g->n_table ? (float)g->table[0] : (float)g->lo,
                           g->n_table ? (float)g->table[g->n_table - 1] : (float)g->hi};
    struct fit_sums best = {0, 0};
    for (int side = 0; side < 2; side++)
        for (int k = -FIT_STARTS; k <= FIT_STARTS; k++) {
            /* the farthest element on the end of the range, or some tenths of a code from it */
            float step = g->n_table ? FIT_STEP * 0.05f * ends[1] : FIT_STEP;
            float end = ends[side] + (float)k * step;
            if (end * ends[side] <= 0)
                continue;
            struct fit_sums s = fit_try(x, w, n, g, end / far);
            if (fit_gain(s) > fit_gain(best))
                best = s;
        }
    for (int turn = 0; turn < FIT_TURNS && best.xv != 0; turn++) {
        struct fit_sums s = fit_try(x, w, n, g, best.vv / best.xv);
        if (!(fit_gain(s) > fit_gain(best)))
            break;
        best = s;
    }
    return best.vv > 0 ? best.xv / best.vv : 0;
}

float hq_codes_symmetric(const float *x, const float *w, int n, const struct hq_grid *g, float d, int8_t *q)
{
    float code[HQ_MOST], v[HQ_MOST], off[HQ_MOST];
    fit_codes(x, n, g, d != 0 ? 1 / d : 0, code, v);
    for (int i = 0; i < n; i++) {
        q[i] = (int8_t)code[i];
        off[i] = x[i] - d * v[i];
    }
    return fit_sum(w, off, off, n);
}

/* ---- with a minimum */

struct fit_line {
    float d, m, error;
};

/* Codes for d and m, then the least-squares d and m of these codes, and their error. */
static struct fit_line fit_turn(const float *x, const float *w, int n, int hi, int any_sign, float d, float m)
{
    float inverse = d > 0 ? 1 / d : 0, q[HQ_MOST], ones[HQ_MOST], off[HQ_MOST];
    for (int i = 0; i < n; i++) {
        q[i] = fit_round(fit_clamp((x[i] + m) * inverse, 0, (float)hi));
        ones[i] = 1;
    }
    float sw = fit_sum(w, ones, ones, n), sq = fit_sum(w, q, ones, n), sqq = fit_sum(w, q, q, n);
    float sx = fit_sum(w, x, ones, n), sxq = fit_sum(w, x, q, n);
    float det = sw * sqq - sq * sq;
    struct fit_line line = {d, m, 0};
    if (det > 0) {
        line.d = (sw * sxq - sx * sq) / det;
        line.m = (sq * sxq - sqq * sx) / det;
    }
    if (!any_sign && line.m < 0) {
        line.m = 0;
        line.d = sqq > 0 ? sxq / sqq : 0;
    }
    if (line.d < 0)
        line.d = 0;
    for (int i = 0; i < n; i++)
        off[i] = x[i] - (line.d * q[i] - line.m);
    line.error = fit_sum(w, off, off, n);
    return line;
}

float hq_fit_affine(const float *x, const float *w, int n, int hi, int any_sign, float *m)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (!any_sign && low > 0)
        low = 0;
    *m = -low;
    if (high <= low)
        return any_sign || high <= 0 ? 0 : high / (float)hi;
    struct fit_line best = {0, 0, -1};
    for (int k = -FIT_STARTS; k <= FIT_STARTS; k++) {
        float d = (high - low) / ((float)hi + (float)k * FIT_STEP * (hi > 3 ? 1.0f : 0.5f));
        struct fit_line line = fit_turn(x, w, n, hi, any_sign, d, -low);
        if (best.error < 0 || line.error < best.error)
            best = line;
    }
    for (int turn = 0; turn < FIT_TURNS; turn++) {
        struct fit_line line = fit_turn(x, w, n, hi, any_sign, best.d, best.m);
        if (!(line.error < best.error))
            break;
        best = line;
    }
    *m = best.m;
    return best.d;
}

float hq_codes_affine(const float *x, const float *w, int n, int hi, float d, float m, int8_t *q)
{
    float inverse = d > 0 ? 1 / d : 0, off[HQ_MOST];
    for (int i = 0; i < n; i++) {
        float v = fit_round(fit_clamp((x[i] + m) * inverse, 0, (float)hi));
        off[i] = x[i] - (d * v - m);
        q[i] = (int8_t)v;
    }
    return fit_sum(w, off, off, n);
}
