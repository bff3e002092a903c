/* embed: rows of a weight matrix by index, unpacked to f32 and scaled. rows: the same for an f32
 * matrix that is itself computed. An index outside of the table is HEARTH_E_RANGE. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"
#include "base/hb_check.h"
#include <string.h>

struct embed_plan {
    hk_unpack_fn *unpack; /* NULL: rows are f32 already */
    size_t row_bytes;
    int64_t n;
};

static hearth_status embed_plan_any(struct ht_bind *b, struct ht_step *s, hk_unpack_fn *unpack,
                                    size_t row_bytes, hearth_error *err)
{
    const struct ht_tensor *table = s->in[0], *index = s->in[1];
    if (table->rank != 2 || index->rank != 1 || index->type != HK_I32)
        return ht_bad_shape(s, "wants a matrix and i32 indices", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct embed_plan), err));
    struct embed_plan *p = s->plan;
    *p = (struct embed_plan){unpack, row_bytes, table->dim[1]};
    const int64_t dim[2] = {index->dim[0], table->dim[1]};
    return ht_out(b, s, 0, HK_F32, 2, dim, index->rows_sym, err);
}

static hearth_status embed_plan_fn(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *table = s->in[0];
    size_t bytes;
    if (!ht_dense_bytes((enum hk_qtype)table->type, 1, &table->dim[1], &bytes))
        return ht_bad_shape(s, "its rows are no whole number of blocks", err);
    return embed_plan_any(b, s, ht_bind_kernels(b)->quant[table->type].unpack, bytes, err);
}

static hearth_status rows_plan_fn(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *table = s->in[0];
    if (table->type != HK_F32)
        return ht_bad_shape(s, "wants an f32 matrix", err);
    return embed_plan_any(b, s, NULL, (size_t)table->stride[0] * sizeof(float), err);
}

static int64_t embed_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[1], run);
}

static hearth_status embed_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const struct embed_plan *p = s->plan;
    const int32_t *index = (const int32_t *)(const void *)s->in[1]->data;
    float scale = p->unpack ? ((const struct ht_embed *)s->params)->scale : 1;
    (void)scratch;
    for (int64_t i = begin; i < end; i++) {
        if (index[i] < 0 || index[i] >= s->in[0]->dim[0])
            return hb_fail(err, HEARTH_E_RANGE, "%s: index %d; 0 to %lld are accepted", s->name,
                           (int)index[i], (long long)s->in[0]->dim[0] - 1);
        const uint8_t *row = s->in[0]->data + (size_t)index[i] * p->row_bytes;
        float *y = ht_row_f32(s->out[0], i);
        if (!p->unpack)
            memcpy(y, row, (size_t)p->n * sizeof *y);
        else
            p->unpack(y, row, (size_t)p->n);
        if (scale != 1)
            run->kernels->scale_f32(y, y, scale, (size_t)p->n);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_embed = {"embed", sizeof(struct ht_embed), embed_plan_fn, embed_units,
                                  embed_run, 0, 0};
const struct ht_op ht_op_rows = {"rows", sizeof(struct ht_no_params), rows_plan_fn, embed_units,
                                 embed_run, 0, 0};
