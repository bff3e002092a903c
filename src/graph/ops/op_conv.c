/* Convolutions in any number of space dimensions.
 *
 * conv (float32): a unit takes 32 output positions of one batch and group, gathers the input under
 * them as a panel [channels * kernel][32], and multiplies the filters with it: one chain per output over
 * channels, then kernel positions, ascending. conv_int: the same sum in int32 with zero points, and
 * requantised when scales are given. conv_transpose: every output gathers the inputs that reach it. */
#include "graph/ht_window.h"
#include "graph/ht_math.h"
#include <string.h>

#define CONV_COLS 32

hearth_status ht_window_make(const struct ht_step *s, const struct ht_window *p,
                             const struct ht_tensor *x, const int64_t *kernel,
                             struct ht_window_plan *w, hearth_error *err)
{
    w->n = x->rank - 2;
    if (w->n < 1 || (p->n_strides && p->n_strides != w->n) || (p->n_dilations && p->n_dilations != w->n) ||
        (p->n_pads && p->n_pads != 2 * w->n))
        return ht_bad_shape(s, "strides, dilations and pads do not fit the number of space dimensions", err);
    w->in_size = w->out_size = w->kernel_size = 1;
    for (int d = 0; d < w->n; d++) {
        w->in[d] = x->dim[d + 2];
        w->kernel[d] = kernel[d];
        w->stride[d] = p->n_strides ? p->strides[d] : 1;
        w->dilation[d] = p->n_dilations ? p->dilations[d] : 1;
        w->pad[d] = p->n_pads ? p->pads[d] : 0;
        w->pad_end[d] = p->n_pads ? p->pads[d + w->n] : 0;
        if (w->kernel[d] < 1 || w->stride[d] < 1 || w->dilation[d] < 1 || w->kernel[d] > 1 << 20 ||
            w->dilation[d] > 1 << 20 || w->stride[d] > 1 << 20 || w->pad[d] < -(1 << 20) ||
            w->pad[d] > 1 << 20 || w->pad_end[d] > 1 << 20 || w->pad_end[d] < -(1 << 20))
            return ht_bad_shape(s, "kernel, stride, dilation or pad is out of range", err);
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
        if (p->auto_pad == HT_PAD_SAME_UPPER || p->auto_pad == HT_PAD_SAME_LOWER) {
            int64_t out = (w->in[d] + w->stride[d] - 1) / w->stride[d];
            int64_t total = (out - 1) * w->stride[d] + reach - w->in[d];
            total = total < 0 ? 0 : total;
            w->pad[d] = (total + (p->auto_pad == HT_PAD_SAME_LOWER)) / 2;
            w->pad_end[d] = total - w->pad[d];
        } else if (p->auto_pad == HT_PAD_VALID) {
            w->pad[d] = w->pad_end[d] = 0;
        }
        int64_t room = w->in[d] + w->pad[d] + w->pad_end[d] - reach;
        if (room < 0)
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): a window of %lld over %lld in space "
                           "dimension %d", s->name, s->op->name, (long long)reach,
                           (long long)(room + reach), d);
        w->out[d] = room / w->stride[d] + 1;
        if (p->ceil && room % w->stride[d] != 0 &&
            (w->out[d] * w->stride[d] < w->in[d] + w->pad[d])) /* no window in the end padding */
            w->out[d]++;
        w->in_size *= w->in[d];
        w->out_size *= w->out[d];
        w->kernel_size *= w->kernel[d];
    }
    return HEARTH_OK;
}

struct conv_plan {
    struct ht_window_plan w;
    int64_t group, in_channels, out_channels; /* of one group */
    int64_t batches, blocks;
};

static hearth_status conv_shape(struct ht_bind *b, struct ht_step *s, uint32_t x_at, uint32_t w_at,
                                int64_t *dim, hearth_error *err)
{
    const struct ht_window *p = s->params;
    HB_TRY(ht_dense(b, s, x_at, err));
    HB_TRY(ht_dense(b, s, w_at, err));
    const struct ht_tensor *x = s->in[x_at], *f = s->in[w_at];
    HB_TRY(ht_step_private(b, s, sizeof(struct conv_plan), err));
    struct conv_plan *c = s->plan;
    c->group = p->group;
    if (x->rank < 3 || f->rank != x->rank || p->group < 1 || x->dim[1] != f->dim[1] * p->group ||
        f->dim[0] % p->group != 0)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): %lld channels, %lld filters of %lld, %lld "
                       "groups", s->name, s->op->name, (long long)(x->rank > 1 ? x->dim[1] : 0),
                       (long long)(f->rank ? f->dim[0] : 0), (long long)(f->rank > 1 ? f->dim[1] : 0),
                       (long long)p->group);
    for (int d = 0; d < p->n_kernel; d++)
        if (p->n_kernel != x->rank - 2 || p->kernel[d] != f->dim[d + 2])
            return ht_bad_shape(s, "kernel_shape differs from the filters", err);
    HB_TRY(ht_window_make(s, p, x, f->dim + 2, &c->w, err));
    c->batches = dim[0] = x->dim[0];
    c->in_channels = f->dim[1];
    c->out_channels = f->dim[0] / p->group;
    dim[1] = f->dim[0];
    memcpy(dim + 2, c->w.out, sizeof dim[0] * (size_t)c->w.n);
    c->blocks = (c->w.out_size + CONV_COLS - 1) / CONV_COLS;
    if (c->batches * c->group * c->blocks > HT_MAX_UNITS * (int64_t)HT_MAX_UNITS)
        return ht_bad_shape(s, "too large", err);
    return HEARTH_OK;
}

static int64_t conv_raw_units(const struct conv_plan *c)
{
    return c->batches * c->group * c->blocks;
}

static int64_t conv_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct conv_plan *c = s->plan;
    int64_t per = conv_raw_units(c) / HT_MAX_UNITS + 1;
    (void)run;
    return c->w.in_size ? (conv_raw_units(c) + per - 1) / per : 0;
}

static hearth_status conv_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[HT_MAX_RANK];
    for (uint32_t i = 0; i < s->n_in && i < 3; i++)
        if (s->in[i] && s->in[i]->type != HK_F32)
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (conv): type %s; f32 is computed", s->name,
                           hk_qtype_info[s->in[i]->type].name);
    HB_TRY(conv_shape(b, s, 0, 1, dim, err));
    HB_TRY(ht_dense(b, s, 2, err));
    const struct conv_plan *c = s->plan;
    if (s->n_in > 2 && s->in[2] && ht_elements(s->in[2]) != dim[1])
        return ht_bad_shape(s, "the bias wants one element per filter", err);
    ht_want_scratch(b, (size_t)(c->in_channels * c->w.kernel_size * CONV_COLS) * sizeof(float));
    return ht_out(b, s, 0, HK_F32, s->in[0]->rank, dim, -1, err);
}

static void conv_panel(const struct conv_plan *c, const float *x, int64_t first, int64_t n, float *panel)
{
    const struct ht_window_plan *w = &c->w;
    int64_t at[HT_MAX_RANK], k[HT_MAX_RANK];
    for (int64_t q = 0; q < w->kernel_size; q++) {
        ht_coords(q, w->n, w->kernel, k);
        for (int64_t j = 0; j < CONV_COLS; j++) {
            int64_t off = -1;
            if (j < n) {
                ht_coords(first + j, w->n, w->out, at);
                off = ht_window_at(w, at, k);
            }
            for (int64_t i = 0; i < c->in_channels; i++)
                panel[(i * w->kernel_size + q) * CONV_COLS + j] = off < 0 ? 0 : x[i * w->in_size + off];
        }
    }
}

static hearth_status conv_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct conv_plan *c = s->plan;
    int64_t per = conv_raw_units(c) / HT_MAX_UNITS + 1, all = conv_raw_units(c);
    const float *bias = s->n_in > 2 && s->in[2] ? (const float *)(const void *)s->in[2]->data : NULL;
    int64_t k = c->in_channels * c->w.kernel_size;
    (void)err;
    for (int64_t u = begin * per; u < end * per && u < all; u++) {
        int64_t first = u % c->blocks * CONV_COLS, g = u / c->blocks % c->group;
        int64_t batch = u / c->blocks / c->group;
        int64_t n = c->w.out_size - first < CONV_COLS ? c->w.out_size - first : CONV_COLS;
        const float *x = (const float *)(const void *)s->in[0]->data +
                         (batch * c->group + g) * c->in_channels * c->w.in_size;
        const float *f = (const float *)(const void *)s->in[1]->data + g * c->out_channels * k;
        float *y = (float *)(void *)s->out[0]->data +
                   (batch * c->group + g) * c->out_channels * c->w.out_size + first;
        conv_panel(c, x, first, n, scratch);
        run->kernels->gemm_f32(y, (size_t)c->w.out_size, f, (size_t)k, scratch, CONV_COLS,
                               (size_t)c->out_channels, (size_t)n, (size_t)k, false);
        for (int64_t o = 0; o < c->out_channels && bias; o++)
            for (int64_t j = 0; j < n; j++)
                y[o * c->w.out_size + j] += bias[g * c->out_channels + o];
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_conv = {"conv", sizeof(struct ht_window), conv_plan, conv_units, conv_run, 0, 0};

/* ---- integers: (x, x scale, x zero, w, w scale, w zero, y scale, y zero, bias); without scales i32 ---- */

static hearth_status conv_int_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    int64_t dim[HT_MAX_RANK];
    for (uint32_t i = 0; i < 9; i++)
        HB_TRY(ht_dense(b, s, i, err));
    if (ht_class_of(s->in[0]->type) != HT_I64 || ht_class_of(s->in[3]->type) != HT_I64)
        return ht_bad_shape(s, "wants integers", err);
    HB_TRY(conv_shape(b, s, 0, 3, dim, err));
    static const uint8_t one_or_channels[] = {4, 5, 8};
    for (uint32_t i = 0; i < 9; i++) {
        bool channels = memchr(one_or_channels, (int)i, sizeof one_or_channels) != NULL;
        if (i != 0 && i != 3 && s->in[i] && ht_elements(s->in[i]) != 1 &&
            !(channels && ht_elements(s->in[i]) == dim[1]))
            return ht_bad_shape(s, "a scale, zero point or bias has another size than filters", err);
    }
    return ht_out(b, s, 0, s->in[6] ? (enum hk_qtype)(s->in[7] ? s->in[7]->type : HK_U8) : HK_I32,
                  s->in[0]->rank, dim, -1, err);
}

static int64_t conv_zero(const struct ht_tensor *z, int64_t channel)
{
    return z ? ht_get_i64(z, ht_elements(z) > 1 ? channel : 0) : 0;
}

static void conv_int_put(const struct ht_step *s, int64_t channel, int64_t e, int64_t sum)
{
    const struct ht_tensor *y = s->out[0];
    if (s->in[8])
        sum += ht_get_i64(s->in[8], ht_elements(s->in[8]) > 1 ? channel : 0);
    if (s->in[6]) {
        float xs = (float)ht_get_f64(s->in[1], 0), ys = (float)ht_get_f64(s->in[6], 0);
        float ws = (float)ht_get_f64(s->in[4], ht_elements(s->in[4]) > 1 ? channel : 0);
        double v = ht_round_even((double)((float)sum * (xs * ws / ys))) + (double)conv_zero(s->in[7], 0);
        double low = y->type == HK_I8 ? -128 : 0, high = y->type == HK_I8 ? 127 : 255;
        sum = ht_to_i64(v < low ? low : v > high ? high : v);
    }
    ht_strip_store(y->type, y->data + e * (int64_t)ht_size_of(y->type), 1, &sum, 1);
}

static hearth_status conv_int_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                  int64_t begin, int64_t end, hearth_error *err)
{
    const struct conv_plan *c = s->plan;
    const struct ht_window_plan *w = &c->w;
    int64_t per = conv_raw_units(c) / HT_MAX_UNITS + 1, all = conv_raw_units(c);
    int64_t zx = conv_zero(s->in[2], 0);
    (void)run, (void)scratch, (void)err;
    for (int64_t u = begin * per; u < end * per && u < all; u++) {
        int64_t first = u % c->blocks * CONV_COLS, g = u / c->blocks % c->group;
        int64_t batch = u / c->blocks / c->group;
        for (int64_t pos = first; pos < first + CONV_COLS && pos < w->out_size; pos++)
            for (int64_t o = 0; o < c->out_channels; o++) {
                int64_t channel = g * c->out_channels + o, zw = conv_zero(s->in[5], channel), sum = 0;
                int64_t at[HT_MAX_RANK], k[HT_MAX_RANK];
                ht_coords(pos, w->n, w->out, at);
                for (int64_t q = 0; q < w->kernel_size; q++) {
                    ht_coords(q, w->n, w->kernel, k);
                    int64_t off = ht_window_at(w, at, k);
                    for (int64_t i = 0; i < c->in_channels && off >= 0; i++)
                        sum += (ht_get_i64(s->in[0], ((batch * c->group + g) * c->in_channels + i) *
                                                             w->in_size + off) - zx) *
                               (ht_get_i64(s->in[3], (channel * c->in_channels + i) * w->kernel_size + q) - zw);
                }
                conv_int_put(s, channel, (batch * c->group * c->out_channels + channel) * w->out_size + pos,
                             sum);
            }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_conv_int = {"conv_int", sizeof(struct ht_window), conv_int_plan, conv_units,
                                     conv_int_run, 0, 0};

/* ---- transposed: (x, w [in channels][out channels / group][kernel..], [bias]) ---- */

static hearth_status conv_transpose_window(const struct ht_step *s, const struct ht_window *p,
                                           const struct ht_tensor *x, const struct ht_tensor *f,
                                           struct ht_window_plan *w, hearth_error *err)
{
    w->n = x->rank - 2;
    w->in_size = w->out_size = w->kernel_size = 1;
    if ((p->n_strides && p->n_strides != w->n) || (p->n_dilations && p->n_dilations != w->n) ||
        (p->n_pads && p->n_pads != 2 * w->n) || (p->n_output_padding && p->n_output_padding != w->n) ||
        (p->n_output_shape && p->n_output_shape != w->n))
        return ht_bad_shape(s, "attributes do not fit the number of space dimensions", err);
    for (int d = 0; d < w->n; d++) {
        w->in[d] = x->dim[d + 2];
        w->kernel[d] = f->dim[d + 2];
        w->stride[d] = p->n_strides ? p->strides[d] : 1;
        w->dilation[d] = p->n_dilations ? p->dilations[d] : 1;
        w->pad[d] = p->n_pads ? p->pads[d] : 0;
        w->pad_end[d] = p->n_pads ? p->pads[d + w->n] : 0;
        if (w->stride[d] < 1 || w->dilation[d] < 1 || w->stride[d] > 1 << 20 || w->dilation[d] > 1 << 20)
            return ht_bad_shape(s, "stride or dilation is out of range", err);
        int64_t extra = p->n_output_padding ? p->output_padding[d] : 0;
        int64_t wanted = p->n_output_shape ? p->output_shape[d] : 0;
        if (extra < 0 || extra > 1 << 20 || wanted < 0 || wanted > (int64_t)1 << 40)
            return ht_bad_shape(s, "an output dimension is out of range", err);
        int64_t full = (w->in[d] - 1) * w->stride[d] + extra + (w->kernel[d] - 1) * w->dilation[d] + 1;
        if (p->n_output_shape || p->auto_pad == HT_PAD_SAME_UPPER || p->auto_pad == HT_PAD_SAME_LOWER) {
            w->out[d] = p->n_output_shape ? p->output_shape[d] : w->in[d] * w->stride[d];
            int64_t total = full - w->out[d];
            total = total < 0 ? 0 : total;
            w->pad[d] = p->auto_pad == HT_PAD_SAME_UPPER ? total / 2 : total - total / 2;
            if (p->n_output_shape && p->auto_pad != HT_PAD_SAME_UPPER && p->auto_pad != HT_PAD_SAME_LOWER)
                w->pad[d] = total - total / 2;
        } else {
            w->out[d] = full - w->pad[d] - w->pad_end[d];
        }
        if (w->out[d] < 0 || w->out[d] > (int64_t)1 << 32)
            return ht_bad_shape(s, "an output dimension is out of range", err);
        w->in_size *= w->in[d];
        w->out_size *= w->out[d];
        w->kernel_size *= w->kernel[d];
    }
    return HEARTH_OK;
}

static hearth_status conv_transpose_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_window *p = s->params;
    int64_t dim[HT_MAX_RANK];
    for (uint32_t i = 0; i < s->n_in && i < 3; i++) {
        HB_TRY(ht_dense(b, s, i, err));
        if (s->in[i] && s->in[i]->type != HK_F32)
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (conv_transpose): type %s; f32 is computed",
                           s->name, hk_qtype_info[s->in[i]->type].name);
    }
    const struct ht_tensor *x = s->in[0], *f = s->in[1];
    if (x->rank < 3 || f->rank != x->rank || f->dim[0] != x->dim[1] || p->group < 1 ||
        x->dim[1] % p->group != 0)
        return ht_bad_shape(s, "channels, filters and groups do not fit", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct conv_plan), err));
    struct conv_plan *c = s->plan;
    c->group = p->group;
    c->in_channels = x->dim[1] / p->group;
    c->out_channels = f->dim[1];
    c->batches = dim[0] = x->dim[0];
    dim[1] = f->dim[1] * p->group;
    if (s->n_in > 2 && s->in[2] && ht_elements(s->in[2]) != dim[1])
        return ht_bad_shape(s, "the bias wants one element per filter", err);
    HB_TRY(conv_transpose_window(s, p, x, f, &c->w, err));
    memcpy(dim + 2, c->w.out, sizeof dim[0] * (size_t)c->w.n);
    c->blocks = c->out_channels;
    return ht_out(b, s, 0, HK_F32, x->rank, dim, -1, err);
}

static double conv_transpose_one(const struct ht_step *s, const struct conv_plan *c, int64_t batch,
                                 int64_t g, int64_t o, int64_t pos)
{
    const struct ht_window_plan *w = &c->w;
    const float *x = (const float *)(const void *)s->in[0]->data;
    const float *f = (const float *)(const void *)s->in[1]->data;
    int64_t at[HT_MAX_RANK], k[HT_MAX_RANK];
    double sum = 0;
    ht_coords(pos, w->n, w->out, at);
    for (int64_t q = 0; q < w->kernel_size; q++) {
        int64_t off = 0;
        ht_coords(q, w->n, w->kernel, k);
        for (int d = 0; d < w->n && off >= 0; d++) {
            int64_t i = at[d] + w->pad[d] - k[d] * w->dilation[d];
            bool hit = i >= 0 && i % w->stride[d] == 0 && i / w->stride[d] < w->in[d];
            off = hit ? off * w->in[d] + i / w->stride[d] : -1;
        }
        for (int64_t i = 0; i < c->in_channels && off >= 0; i++) {
            int64_t channel = g * c->in_channels + i;
            sum += (double)x[(batch * c->group * c->in_channels + channel) * w->in_size + off] *
                   (double)f[(channel * c->out_channels + o) * w->kernel_size + q];
        }
    }
    return sum;
}

static hearth_status conv_transpose_run(const struct ht_step *s, const struct ht_run *run,
                                        void *scratch, int64_t begin, int64_t end, hearth_error *err)
{
    const struct conv_plan *c = s->plan;
    int64_t per = conv_raw_units(c) / HT_MAX_UNITS + 1, all = conv_raw_units(c);
    (void)run, (void)scratch, (void)err;
    for (int64_t u = begin * per; u < end * per && u < all; u++) {
        int64_t o = u % c->out_channels, g = u / c->out_channels % c->group;
        int64_t batch = u / c->out_channels / c->group, channel = g * c->out_channels + o;
        float *y = (float *)(void *)s->out[0]->data + u * c->w.out_size;
        double bias = s->n_in > 2 && s->in[2] ? ht_get_f64(s->in[2], channel) : 0;
        for (int64_t pos = 0; pos < c->w.out_size; pos++)
            y[pos] = (float)(conv_transpose_one(s, c, batch, g, o, pos) + bias);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_conv_transpose = {"conv_transpose", sizeof(struct ht_window),
                                           conv_transpose_plan, conv_units, conv_transpose_run, 0, 0};
