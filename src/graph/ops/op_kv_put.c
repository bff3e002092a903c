/* kv_put: the step's keys and values into the pages of their sequences.
 *
 * A unit is what the step adds to one page, so that positions go in many at a time: K pages are
 * transposed, and whole squares of them are vectors. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"
#include <string.h>

/* Items [first, first + n) of a segment, which lie in one page from `slot` on. */
struct kv_put_piece {
    int32_t first, n;
    uint32_t page;
    size_t slot;
};

static hearth_status kv_put_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *k = s->in[0], *v = s->in[1];
    const struct ht_kv_op *p = s->params;
    if (k->rank != 2 || v->rank != 2 || k->type != HK_F32 || v->type != HK_F32 ||
        k->stride[1] != 1 || v->stride[1] != 1 || k->dim[0] != v->dim[0])
        return ht_bad_shape(s, "wants f32 keys and values", err);
    ht_want_scratch(b, HK_KV_PAGE * (size_t)(k->dim[1] / p->n_kv_heads) * sizeof(float));
    return HEARTH_OK;
}

static int32_t kv_put_pages(const struct ht_segment *seg)
{
    return (seg->pos + seg->n - 1) / HK_KV_PAGE - seg->pos / HK_KV_PAGE + 1;
}

static int64_t kv_put_units(const struct ht_step *s, const struct ht_run *run)
{
    int64_t n = 0;
    (void)s;
    for (int32_t i = 0; i < run->batch->n_segments; i++)
        n += kv_put_pages(&run->batch->segments[i]);
    return n;
}

static struct kv_put_piece kv_put_find(const struct ht_batch *batch, int64_t unit)
{
    const struct ht_segment *seg = batch->segments;
    for (; unit >= kv_put_pages(seg); seg++)
        unit -= kv_put_pages(seg);
    int32_t page = seg->pos / HK_KV_PAGE + (int32_t)unit, end = seg->pos + seg->n;
    int32_t from = page * HK_KV_PAGE, to = from + HK_KV_PAGE;
    from = from < seg->pos ? seg->pos : from;
    to = to > end ? end : to;
    return (struct kv_put_piece){seg->first + from - seg->pos, to - from, ht_seg_page(seg, from),
                                 (size_t)(from % HK_KV_PAGE)};
}

/* Rotated copies of n rows of keys, dense. */
static const float *kv_put_rotated(const struct hk_table *kernels, float *to, const float *k, size_t n,
                                   size_t ldx, size_t d)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * d, k + i * ldx, d * sizeof *to);
    kernels->hadamard_f32(to, n * d, hk_kv_rotation(d));
    return to;
}

static hearth_status kv_put_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_kv_op *p = s->params;
    const struct ht_kv_view *kv = run->batch->kv;
    const struct ht_kv_layer_view *layer = &kv->layers[p->layer];
    const struct ht_tensor *k = s->in[0], *v = s->in[1];
    size_t d_k = (size_t)(k->dim[1] / p->n_kv_heads), d_v = (size_t)(v->dim[1] / p->n_kv_heads);
    (void)err;
    for (int64_t u = begin; u < end; u++) {
        struct kv_put_piece at = kv_put_find(run->batch, u);
        for (int32_t h = 0; h < p->n_kv_heads; h++) {
            uint8_t *page = ht_kv_page(layer, h, at.page);
            const float *keys = ht_row_f32(k, at.first) + (size_t)h * d_k;
            size_t n = (size_t)at.n, ldk = (size_t)k->stride[0];
            if (kv->rotate_k) {
                keys = kv_put_rotated(run->kernels, scratch, keys, n, ldk, d_k);
                ldk = d_k;
            }
            run->kernels->kv[kv->type_k].put_k(page, at.slot, n, keys, ldk, d_k);
            run->kernels->kv[kv->type_v].put_v(page + layer->v_off, at.slot, n,
                                               ht_row_f32(v, at.first) + (size_t)h * d_v,
                                               (size_t)v->stride[0], d_v);
        }
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_kv_put = {"kv_put", sizeof(struct ht_kv_op), kv_put_plan, kv_put_units,
                                   kv_put_run, 0, 0};
