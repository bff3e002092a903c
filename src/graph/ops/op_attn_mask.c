/* attn_mask: (scores [B][H][S][T], q [B][H][S][d], mask or none, bias or none) -> scores * scale + mask + bias.
 * The mask is 0 and 1 over keys, [B][T], [B][S][T], or lengths [B]; where it is 0 the filter is
 * added. Later keys are filtered when causal. scale 0 means 1 / sqrt(d). */
#include "graph/ht_math.h"
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"

static hearth_status attn_mask_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *mask, *bias;
    for (uint32_t i = 0; i < 4; i++)
        if (i != 1)
            HB_TRY(ht_dense(b, s, i, err));
    const struct ht_tensor *x = s->in[0];
    mask = s->in[2];
    bias = s->in[3];
    if (x->type != HK_F32 || x->rank != 4 || (bias && (bias->type != HK_F32 || bias->rank != 4)))
        return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (attention): type %s; f32 is computed", s->name,
                       hk_qtype_info[x->type].name);
    if (mask) {
        bool fits = mask->type == HK_I32 && mask->rank >= 1 && mask->rank <= 3 && mask->dim[0] == x->dim[0];
        if (mask->rank > 1)
            fits = fits && mask->dim[mask->rank - 1] == x->dim[3];
        if (mask->rank == 3)
            fits = fits && mask->dim[1] == x->dim[2];
        if (!fits)
            return ht_bad_shape(s, "the mask wants int32 [batch], [batch][keys] or [batch][queries][keys]", err);
    }
    for (int d = 0; bias && d < 4; d++)
        if (bias->dim[d] != x->dim[d] && !(d < 2 && bias->dim[d] == 1))
            return ht_bad_shape(s, "the bias cannot be broadcast to the scores", err);
    return ht_out(b, s, 0, HK_F32, 4, x->dim, -1, err);
}

static int64_t attn_mask_units(const struct ht_step *s, const struct ht_run *run)
{
    const int64_t *dim = s->in[0]->dim;
    (void)run;
    return dim[0] * dim[1] > HT_MAX_UNITS ? HT_MAX_UNITS : dim[0] * dim[1];
}

static bool attn_mask_hides(const struct ht_tensor *mask, int64_t b, int64_t q, int64_t k, int64_t queries,
                            int64_t keys)
{
    const int32_t *m = (const int32_t *)(const void *)mask->data;
    if (mask->rank == 1)
        return k >= m[b];
    return m[mask->rank == 2 ? b * keys + k : (b * queries + q) * keys + k] == 0;
}

static hearth_status attn_mask_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                   int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_attn_mask *p = s->params;
    const struct ht_tensor *x = s->in[0], *bias = s->in[3];
    int64_t heads = x->dim[1], queries = x->dim[2], keys = x->dim[3], all = x->dim[0] * heads;
    int64_t per = all > HT_MAX_UNITS ? all / HT_MAX_UNITS + 1 : 1;
    float scale = p->scale != 0 ? p->scale : 1.0f / hk_sqrt((float)s->in[1]->dim[3]);
    const float *from = (const float *)(const void *)x->data;
    float *to = (float *)(void *)s->out[0]->data;
    (void)run, (void)scratch, (void)err;
    for (int64_t u = begin * per; u < end * per && u < all; u++)
        for (int64_t q = 0; q < queries; q++)
            for (int64_t k = 0; k < keys; k++) {
                int64_t e = (u * queries + q) * keys + k;
                float v = from[e] * scale;
                if (bias) {
                    int64_t bb = bias->dim[0] == 1 ? 0 : u / heads, h = bias->dim[1] == 1 ? 0 : u % heads;
                    v += ((const float *)(const void *)bias->data)[((bb * bias->dim[1] + h) * queries + q) * keys + k];
                }
                bool hidden = s->in[2] && attn_mask_hides(s->in[2], u / heads, q, k, queries, keys);
                if (hidden || (p->causal && k > q + keys - queries))
                    v += p->filter;
                to[e] = v;
            }
    return HEARTH_OK;
}

const struct ht_op ht_op_attn_mask = {"attn_mask", sizeof(struct ht_attn_mask), attn_mask_plan,
                                      attn_mask_units, attn_mask_run, 0, 0};
