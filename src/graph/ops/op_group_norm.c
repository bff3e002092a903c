/* Normalisations of [batch][channels][space..]: batch_norm with given statistics, group_norm with those of
 * groups of channels (groups = 0: each channel alone). In double. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"

static hearth_status channel_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_norm_stats *p = s->params;
    bool batch = s->op == &ht_op_batch_norm;
    for (uint32_t i = 0; i < s->n_in; i++) {
        HB_TRY(ht_dense(b, s, i, err));
        if (!s->in[i] || !ht_is_float(s->in[i]->type))
            return ht_bad_shape(s, "wants floats", err);
    }
    const struct ht_tensor *x = s->in[0];
    if (x->rank < 2)
        return ht_bad_shape(s, "wants [batch][channels] and more", err);
    if (!batch && p->groups && (p->groups < 0 || x->dim[1] % p->groups != 0))
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (group_norm): %lld channels in %lld groups",
                       s->name, (long long)x->dim[1], (long long)p->groups);
    for (uint32_t i = 1; i < s->n_in; i++)
        if (ht_elements(s->in[i]) != x->dim[1] &&
            !(!batch && p->groups && ht_elements(s->in[i]) == p->groups))
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): input %u has %lld elements; %lld channels",
                           s->name, s->op->name, i, (long long)ht_elements(s->in[i]),
                           (long long)x->dim[1]);
    return ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err);
}

static int64_t channel_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ht_elements(s->in[0]) ? s->in[0]->dim[0] : 0;
}

static double channel_at(const struct ht_tensor *t, int64_t i)
{
    return t->type == HK_F32 ? (double)((const float *)(const void *)t->data)[i] : ht_get_f64(t, i);
}

static void channel_put(const struct ht_tensor *t, int64_t i, double v)
{
    if (t->type == HK_F32)
        ((float *)(void *)t->data)[i] = (float)v;
    else
        ht_put_f64(t->type, t->data + i * (int64_t)ht_size_of(t->type), v);
}

static hearth_status channel_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                 int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_norm_stats *p = s->params;
    const struct ht_tensor *x = s->in[0];
    bool batch = s->op == &ht_op_batch_norm;
    int64_t channels = x->dim[1], space = ht_elements(x) / (x->dim[0] * channels);
    int64_t groups = batch || !p->groups ? channels : p->groups, per = channels / groups;
    (void)run, (void)scratch, (void)err;
    for (int64_t u = begin * groups; u < end * groups; u++) {
        int64_t first = u * per * space, n = per * space, g = u % groups;
        double mean = 0, var = 0;
        if (batch) {
            mean = channel_at(s->in[3], g);
            var = channel_at(s->in[4], g);
        } else {
            for (int64_t i = 0; i < n; i++)
                mean += channel_at(x, first + i);
            mean /= (double)n;
            for (int64_t i = 0; i < n; i++) {
                double d = channel_at(x, first + i) - mean;
                var += d * d;
            }
            var /= (double)n;
        }
        double r = 1 / ht_sqrt(var + (double)p->eps);
        for (int64_t c = 0; c < per; c++) {
            int64_t at = ht_elements(s->in[1]) == channels ? g * per + c : g;
            double scale = channel_at(s->in[1], at) * r, bias = channel_at(s->in[2], at);
            for (int64_t i = 0; i < space; i++) {
                int64_t e = first + c * space + i;
                channel_put(s->out[0], e, (channel_at(x, e) - mean) * scale + bias);
            }
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_batch_norm = {"batch_norm", sizeof(struct ht_norm_stats), channel_plan,
                                       channel_units, channel_run, 0, 0};
const struct ht_op ht_op_group_norm = {"group_norm", sizeof(struct ht_norm_stats), channel_plan,
                                       channel_units, channel_run, 0, 0};
