/* layer_norm: groups of everything from an axis on, scaled to mean 0 and deviation 1 (or to root mean
 * square 1), times scale, plus bias. float32 through the kernel, other floats in double. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"

static hearth_status layer_norm_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_layer_norm *p = s->params;
    int64_t axis = p->axis, group = 1, dim[HT_MAX_RANK];
    if (!ht_is_float(s->in[0]->type) || !(p->eps >= 0))
        return ht_bad_shape(s, "wants floats and an epsilon of 0 or more", err);
    HB_TRY(ht_axis(s, &axis, s->in[0]->rank, err));
    for (uint32_t i = 0; i < s->n_in && i < 3; i++)
        HB_TRY(ht_dense(b, s, i, err));
    const struct ht_tensor *x = s->in[0];
    for (int d = 0; d < x->rank; d++) {
        dim[d] = d < axis ? x->dim[d] : 1;
        group *= d < axis ? 1 : x->dim[d];
    }
    for (uint32_t i = 1; i < s->n_in && i < 3; i++)
        if (s->in[i] && (ht_elements(s->in[i]) != group || !ht_is_float(s->in[i]->type)))
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s (layer_norm): scale or bias has %lld elements; a group has %lld",
                           s->name, (long long)ht_elements(s->in[i]), (long long)group);
    HB_TRY(ht_step_private(b, s, sizeof(int64_t), err));
    *(int64_t *)s->plan = group;
    HB_TRY(ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err));
    for (uint32_t i = 1; i < s->n_out && i < 3; i++) /* stash_type 1: float32 */
        HB_TRY(ht_out(b, s, i, x->type == HK_F64 ? HK_F64 : HK_F32, x->rank, dim, -1, err));
    return HEARTH_OK;
}

static int64_t layer_norm_rows(const struct ht_step *s)
{
    int64_t group = *(const int64_t *)s->plan;
    return group ? ht_elements(s->in[0]) / group : 0;
}

static int64_t layer_norm_per_unit(const struct ht_step *s)
{
    return layer_norm_rows(s) / HT_MAX_UNITS + 1 + 2048 / (*(const int64_t *)s->plan + 1);
}

static int64_t layer_norm_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return (layer_norm_rows(s) + layer_norm_per_unit(s) - 1) / layer_norm_per_unit(s);
}

static void layer_norm_row(const struct ht_step *s, int64_t row, int64_t n, bool only_stats)
{
    const struct ht_layer_norm *p = s->params;
    const struct ht_tensor *x = s->in[0], *w = s->n_in > 1 ? s->in[1] : NULL,
                           *bias = s->n_in > 2 ? s->in[2] : NULL;
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n && !p->rms; i++)
        mean += ht_get_f64(x, row * n + i);
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = ht_get_f64(x, row * n + i) - mean;
        var += d * d;
    }
    double r = 1 / ht_sqrt(var / (double)n + (double)p->eps);
    for (int64_t i = 0; i < n && !only_stats; i++) {
        double y = (ht_get_f64(x, row * n + i) - mean) * r;
        y = w ? y * ht_get_f64(w, i) : y;
        y = bias ? y + ht_get_f64(bias, i) : y;
        ht_put_f64(x->type, s->out[0]->data + (row * n + i) * (int64_t)ht_size_of(x->type), y);
    }
    const double stats[2] = {mean, r};
    for (uint32_t i = 1; i < s->n_out && i < 3; i++)
        if (s->out[i])
            ht_put_f64(s->out[i]->type,
                       s->out[i]->data + row * (int64_t)ht_size_of(s->out[i]->type), stats[i - 1]);
}

static hearth_status layer_norm_run(const struct ht_step *s, const struct ht_run *run,
                                    void *scratch, int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_layer_norm *p = s->params;
    int64_t n = *(const int64_t *)s->plan, rows = layer_norm_rows(s), per = layer_norm_per_unit(s);
    const struct ht_tensor *x = s->in[0], *w = s->n_in > 1 ? s->in[1] : NULL,
                           *bias = s->n_in > 2 ? s->in[2] : NULL;
    bool direct = x->type == HK_F32 && (!w || w->type == HK_F32) && (!bias || bias->type == HK_F32) &&
                  !(p->rms && (bias || !w));
    bool stats = (s->n_out > 1 && s->out[1]) || (s->n_out > 2 && s->out[2]);
    (void)scratch, (void)err;
    for (int64_t r = begin * per; r < end * per && r < rows; r++) {
        if (direct) {
            float *y = (float *)(void *)s->out[0]->data + r * n;
            const float *v = (const float *)(const void *)x->data + r * n;
            const float *scale = w ? (const float *)(const void *)w->data : NULL;
            if (p->rms)
                run->kernels->rmsnorm_f32(y, v, scale, (size_t)n, p->eps);
            else
                run->kernels->layernorm_f32(y, v, scale,
                                            bias ? (const float *)(const void *)bias->data : NULL,
                                            (size_t)n, p->eps);
        }
        if (!direct || stats)
            layer_norm_row(s, r, n, direct);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_layer_norm = {"layer_norm", sizeof(struct ht_layer_norm), layer_norm_plan,
                                       layer_norm_units, layer_norm_run, 0, 0};
