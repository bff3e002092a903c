/* Linear quantisation: to integers by scale and zero point, of the whole tensor, of slices along an axis,
 * or of blocks along it; back to floats; and dynamically to uint8 from the tensor's own range.
 * Source: ONNX operators QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include <string.h>

/* Element e of x has scale number e / inner % n (axis), or block of it. */
struct quantize_plan {
    int64_t inner, n, total, block, blocks; /* n = 1: one scale */
};

static hearth_status quantize_axis(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_quantize *p = s->params;
    for (uint32_t i = 0; i < s->n_in && i < 3; i++)
        HB_TRY(ht_dense(b, s, i, err));
    const struct ht_tensor *x = s->in[0], *scale = s->in[1], *zero = s->n_in > 2 ? s->in[2] : NULL;
    HB_TRY(ht_step_private(b, s, sizeof(struct quantize_plan), err));
    struct quantize_plan *q = s->plan;
    int64_t axis = p->axis;
    q->total = ht_elements(x);
    q->n = q->inner = 1;
    if (!scale || !ht_is_float(scale->type) || (zero && ht_elements(zero) != ht_elements(scale)))
        return ht_bad_shape(s, "wants a float scale, and as many zero points", err);
    if (scale->rank == 0 || (ht_elements(scale) == 1 && !p->block))
        return HEARTH_OK;
    HB_TRY(ht_axis(s, &axis, x->rank, err));
    for (int64_t d = axis + 1; d < x->rank; d++)
        q->inner *= x->dim[d];
    q->n = x->dim[axis];
    if (p->block) {
        q->block = p->block;
        q->blocks = (q->n + q->block - 1) / q->block;
        if (p->block < 0 || scale->rank != x->rank ||
            ht_elements(scale) != q->blocks * (q->n ? q->total / q->n : 0))
            return ht_bad_shape(s, "the scale has another shape than the blocks", err);
        return HEARTH_OK;
    }
    if (scale->rank != 1 || scale->dim[0] != q->n)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): %lld scales for a dimension of %lld", s->name,
                       s->op->name, (long long)ht_elements(scale), (long long)q->n);
    return HEARTH_OK;
}

static int64_t quantize_at(const struct quantize_plan *q, int64_t e)
{
    int64_t along = e / q->inner % q->n;
    if (q->block)
        return (e / (q->inner * q->n) * q->blocks + along / q->block) * q->inner + e % q->inner;
    return along;
}

static hearth_status quantize_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_quantize *p = s->params;
    HB_TRY(quantize_axis(b, s, err));
    const struct ht_tensor *x = s->in[0], *zero = s->n_in > 2 ? s->in[2] : NULL;
    unsigned type = zero ? zero->type : p->type;
    if (type != HK_I8 && type != HK_U8 && type != HK_I16 && type != HK_U16)
        return ht_bad_shape(s, "quantises to 8 and 16 bits", err);
    if (!ht_is_float(x->type) && x->type != HK_I32)
        return ht_bad_shape(s, "wants floats", err);
    return ht_out(b, s, 0, (enum hk_qtype)type, x->rank, x->dim, -1, err);
}

#define QUANTIZE_UNIT 8192

static int64_t quantize_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct quantize_plan *q = s->plan;
    (void)run;
    int64_t per = q->total / 60000 > QUANTIZE_UNIT ? q->total / 60000 : QUANTIZE_UNIT;
    return (q->total + per - 1) / per;
}

static void quantize_range(const struct ht_step *s, int64_t unit, int64_t *from, int64_t *to)
{
    const struct quantize_plan *q = s->plan;
    int64_t per = q->total / 60000 > QUANTIZE_UNIT ? q->total / 60000 : QUANTIZE_UNIT;
    *from = unit * per;
    *to = *from + per < q->total ? *from + per : q->total;
}

/* x / scale rounded to even, plus the zero point, clamped. In float32 as other engines have it. */
static int64_t quantize_one(float x, float scale, int64_t zero, int64_t low, int64_t high)
{
    double v = ht_round_even((double)(x / scale)) + (double)zero;
    if (v != v)
        return zero;
    return v < (double)low ? low : v > (double)high ? high : (int64_t)v;
}

/* One scale, floats to bytes, by the kernel; signed codes are unsigned ones moved by 128. */
static bool quantize_quick(const struct ht_step *s)
{
    const struct quantize_plan *q = s->plan;
    return q->n == 1 && !q->block && s->in[0]->type == HK_F32 && s->in[1]->type == HK_F32 &&
           (s->out[0]->type == HK_U8 || s->out[0]->type == HK_I8);
}

static void quantize_bytes(const struct ht_step *s, const struct hk_table *kernels, int64_t from, int64_t to)
{
    const struct ht_tensor *zero = s->n_in > 2 ? s->in[2] : NULL;
    const float *x = (const float *)(const void *)s->in[0]->data;
    uint8_t *y = s->out[0]->data;
    bool is_signed = s->out[0]->type == HK_I8;
    int64_t z = (zero ? ht_get_i64(zero, 0) : 0) + (is_signed ? 128 : 0);
    kernels->quantize_u8(y + from, x + from, *(const float *)(const void *)s->in[1]->data, (float)z,
                         (size_t)(to - from));
    for (int64_t e = from; e < to && is_signed; e++)
        y[e] ^= 0x80;
}

static hearth_status quantize_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                  int64_t begin, int64_t end, hearth_error *err)
{
    const struct quantize_plan *q = s->plan;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    const struct ht_tensor *zero = s->n_in > 2 ? s->in[2] : NULL;
    int64_t low = y->type == HK_I8 ? -128 : y->type == HK_I16 ? -32768 : 0;
    int64_t high = y->type == HK_I8 ? 127 : y->type == HK_U8 ? 255 : y->type == HK_I16 ? 32767 : 65535;
    size_t size = ht_size_of(y->type);
    (void)scratch, (void)err;
    for (int64_t u = begin; u < end; u++) {
        int64_t from, to, last = -1, z = 0;
        float scale = 1;
        quantize_range(s, u, &from, &to);
        if (quantize_quick(s)) {
            quantize_bytes(s, run->kernels, from, to);
            continue;
        }
        for (int64_t e = from; e < to; e++) {
            int64_t at = q->n == 1 && !q->block ? 0 : quantize_at(q, e);
            if (at != last) {
                scale = (float)ht_get_f64(s->in[1], at);
                z = zero ? ht_get_i64(zero, at) : 0;
                last = at;
            }
            float v = x->type == HK_F32 ? ((const float *)(const void *)x->data)[e]
                                        : (float)ht_get_f64(x, e);
            int64_t r = quantize_one(v, scale, z, low, high);
            ht_strip_store(y->type, y->data + (size_t)e * size, 1, &r, 1);
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_quantize = {"quantize", sizeof(struct ht_quantize), quantize_plan,
                                     quantize_units, quantize_run, 0, 0};

/* ---- back ---- */

static hearth_status dequantize_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    HB_TRY(quantize_axis(b, s, err));
    const struct ht_tensor *x = s->in[0], *zero = s->n_in > 2 ? s->in[2] : NULL;
    if (ht_class_of(x->type) != HT_I64 || (zero && zero->type != x->type))
        return ht_bad_shape(s, "wants integers, and a zero point of their type", err);
    return ht_out(b, s, 0, (enum hk_qtype)s->in[1]->type, x->rank, x->dim, -1, err);
}

/* One scale for all bytes: a table of what each gives. */
static void dequantize_bytes(const struct ht_step *s, int64_t from, int64_t to)
{
    const struct ht_tensor *zero = s->n_in > 2 ? s->in[2] : NULL;
    const uint8_t *x = s->in[0]->data;
    float table[256], scale = (float)ht_get_f64(s->in[1], 0), *y = (float *)(void *)s->out[0]->data;
    int64_t z = zero ? ht_get_i64(zero, 0) : 0;
    for (int64_t v = 0; v < 256; v++)
        table[v] = (float)((s->in[0]->type == HK_U8 ? v : (int8_t)v) - z) * scale;
    for (int64_t e = from; e < to; e++)
        y[e] = table[x[e]];
}

static hearth_status dequantize_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                    int64_t begin, int64_t end, hearth_error *err)
{
    const struct quantize_plan *q = s->plan;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    const struct ht_tensor *zero = s->n_in > 2 ? s->in[2] : NULL;
    size_t size = ht_size_of(y->type);
    bool bytes = q->n == 1 && !q->block && y->type == HK_F32 && (x->type == HK_U8 || x->type == HK_I8);
    (void)run, (void)scratch, (void)err;
    for (int64_t u = begin; u < end; u++) {
        int64_t from, to, last = -1, z = 0;
        float scale = 1;
        quantize_range(s, u, &from, &to);
        if (bytes) {
            dequantize_bytes(s, from, to);
            continue;
        }
        for (int64_t e = from; e < to; e++) {
            int64_t at = q->n == 1 && !q->block ? 0 : quantize_at(q, e);
            if (at != last) {
                scale = (float)ht_get_f64(s->in[1], at);
                z = zero ? ht_get_i64(zero, at) : 0;
                last = at;
            }
            int64_t v = x->type == HK_U8   ? x->data[e]
                        : x->type == HK_I8 ? (int8_t)x->data[e]
                                           : ht_get_i64(x, e);
            float r = (float)(v - z) * scale;
            if (y->type == HK_F32)
                ((float *)(void *)y->data)[e] = r;
            else
                ht_put_f64(y->type, y->data + (size_t)e * size, (double)r);
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_dequantize = {"dequantize", sizeof(struct ht_quantize), dequantize_plan,
                                       quantize_units, dequantize_run, 0, 0};

/* ---- dynamic: range (x f32) -> f32 [pieces][2], then (x, range) -> u8, scale, zero point ---- */

#define DYNAMIC_PIECE 16384

static int64_t dynamic_piece(int64_t n)
{
    int64_t most = HT_MAX_UNITS / 2;
    return n / most > DYNAMIC_PIECE ? n / most : DYNAMIC_PIECE;
}

static int64_t dynamic_units(const struct ht_step *s, const struct ht_run *run)
{
    int64_t n = ht_elements(s->in[0]), piece = dynamic_piece(n);
    (void)run;
    return n ? (n + piece - 1) / piece : 1;
}

static const float *dynamic_part(const struct ht_step *s, int64_t unit, size_t *count)
{
    int64_t n = ht_elements(s->in[0]), piece = dynamic_piece(n), first = unit * piece;
    *count = (size_t)(n - first < piece ? n - first : piece);
    return (const float *)(const void *)s->in[0]->data + first;
}

static hearth_status range_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    if (s->in[0]->type != HK_F32)
        return ht_bad_shape(s, "wants f32", err);
    HB_TRY(ht_dense(b, s, 0, err));
    const int64_t dim[2] = {dynamic_units(s, NULL), 2};
    return ht_out(b, s, 0, HK_F32, 2, dim, -1, err);
}

static hearth_status range_run(const struct ht_step *s, const struct ht_run *run, void *scratch, int64_t begin,
                               int64_t end, hearth_error *err)
{
    (void)scratch, (void)err;
    for (int64_t u = begin; u < end; u++) {
        size_t n;
        const float *x = dynamic_part(s, u, &n);
        run->kernels->range_f32((float *)(void *)s->out[0]->data + 2 * u, x, n);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_dynamic_range = {"dynamic_range", sizeof(struct ht_no_params), range_plan, dynamic_units,
                                          range_run, 0, 0};

static hearth_status dynamic_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    HB_TRY(ht_dense(b, s, 0, err));
    if (s->in[0]->type != HK_F32 || s->n_in < 2 || s->in[1]->type != HK_F32 ||
        ht_elements(s->in[1]) != 2 * dynamic_units(s, NULL))
        return ht_bad_shape(s, "wants f32, and its range", err);
    HB_TRY(ht_out(b, s, 0, HK_U8, s->in[0]->rank, s->in[0]->dim, -1, err));
    HB_TRY(ht_out(b, s, 1, HK_F32, 0, NULL, -1, err));
    return ht_out(b, s, 2, HK_U8, 0, NULL, -1, err);
}

/* ONNX: scale = (max - min) / 255, 1 if all are 0; zero = -min / scale, rounded to even. */
static void dynamic_params(const struct ht_step *s, float *scale, float *zero)
{
    const float *range = (const float *)(const void *)s->in[1]->data;
    float low = 0, high = 0, z = 0;
    for (int64_t u = 0; u < dynamic_units(s, NULL); u++) {
        low = range[2 * u] < low ? range[2 * u] : low;
        high = range[2 * u + 1] > high ? range[2 * u + 1] : high;
    }
    float d = (high - low) / 255.0f;
    if (d > 0.0f && d < HK_INFINITY)
        z = (-low / d + 0x1.8p23f) - 0x1.8p23f;
    *zero = z < 0.0f ? 0.0f : z > 255.0f ? 255.0f : z;
    *scale = d > 0.0f ? d : 1.0f;
}

static hearth_status dynamic_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    float scale, zero;
    (void)scratch, (void)err;
    dynamic_params(s, &scale, &zero);
    for (int64_t u = begin; u < end; u++) {
        size_t n;
        const float *x = dynamic_part(s, u, &n);
        if (s->out[0])
            run->kernels->quantize_u8(s->out[0]->data + (x - (const float *)(const void *)s->in[0]->data), x, scale,
                                      zero, n);
        if (u == 0 && s->out[1])
            memcpy(s->out[1]->data, &scale, sizeof scale);
        if (u == 0 && s->out[2])
            s->out[2]->data[0] = (uint8_t)zero;
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_dynamic_quantize = {"dynamic_quantize", sizeof(struct ht_no_params),
                                             dynamic_plan, dynamic_units, dynamic_run, 0, 0};
