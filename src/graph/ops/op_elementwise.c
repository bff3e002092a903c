/* Elementwise ops on f32 matrices, and the view that cuts columns out of one. */
#include "graph/ht_plan.h"
#include "graph/ht_ops.h"

static bool elementwise_matrix(const struct ht_tensor *t)
{
    return t->rank == 2 && t->type == HK_F32 && t->stride[1] == 1;
}

static int64_t elementwise_units(const struct ht_step *s, const struct ht_run *run)
{
    return ht_rows(s->in[0], run);
}

static hearth_status binary_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0], *y = s->in[1];
    if (!elementwise_matrix(x) || !elementwise_matrix(y) || x->dim[0] != y->dim[0] ||
        x->dim[1] != y->dim[1])
        return ht_bad_shape(s, "wants two f32 matrices of one shape", err);
    return ht_out(b, s, 0, HK_F32, 2, x->dim, x->rows_sym, err);
}

static hk_binary_fn *binary_kernel(const struct hk_table *k, uint8_t kind)
{
    switch ((enum ht_binary_kind)kind) {
    case HT_ADD:
        return k->add_f32;
    case HT_MUL:
        return k->mul_f32;
    case HT_SILU_MUL:
        return k->silu_mul_f32;
    case HT_GELU_MUL:
        return k->gelu_mul_f32;
    case HT_SWIGLU_CLAMP:
        return k->swiglu_clamp_f32;
    }
    return NULL;
}

static hearth_status binary_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_binary *p = s->params;
    hk_binary_fn *kernel = binary_kernel(run->kernels, p->kind);
    (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++)
        kernel(ht_row_f32(s->out[0], i), ht_row_f32(s->in[0], i), ht_row_f32(s->in[1], i),
               (size_t)s->in[0]->dim[1]);
    return HEARTH_OK;
}

static hearth_status unary_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    if (!elementwise_matrix(x))
        return ht_bad_shape(s, "wants an f32 matrix", err);
    return ht_out(b, s, 0, HK_F32, 2, x->dim, x->rows_sym, err);
}

static hearth_status unary_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                               int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_unary *p = s->params;
    const struct hk_table *k = run->kernels;
    size_t n = (size_t)s->in[0]->dim[1];
    (void)scratch, (void)err;
    for (int64_t i = begin; i < end; i++) {
        float *y = ht_row_f32(s->out[0], i);
        const float *x = ht_row_f32(s->in[0], i);
        switch ((enum ht_unary_kind)p->kind) {
        case HT_SCALE:
            k->scale_f32(y, x, p->value, n);
            break;
        case HT_SOFTCAP:
            k->softcap_f32(y, x, p->value, n);
            break;
        case HT_GELU_ERF:
            k->gelu_erf_f32(y, x, n);
            break;
        case HT_GELU_TANH:
            k->gelu_tanh_f32(y, x, n);
            break;
        case HT_SILU:
            k->silu_f32(y, x, n);
            break;
        case HT_TANH:
            k->tanh_f32(y, x, n);
            break;
        }
    }
    return HEARTH_OK;
}

static hearth_status columns_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_columns *p = s->params;
    const struct ht_tensor *x = s->in[0];
    if (!elementwise_matrix(x) || p->first < 0 || p->count <= 0 || p->first > x->dim[1] - p->count)
        return ht_bad_shape(s, "cuts columns that the matrix does not have", err);
    const int64_t dim[2] = {x->dim[0], p->count};
    return ht_out_view(b, s, 0, x, (size_t)p->first * sizeof(float), 2, dim, x->stride, err);
}

const struct ht_op ht_op_binary = {"binary", sizeof(struct ht_binary), binary_plan,
                                   elementwise_units, binary_run, 0, 0};
const struct ht_op ht_op_unary = {"unary", sizeof(struct ht_unary), unary_plan, elementwise_units,
                                  unary_run, 0, 0};
/* A view: no units, nothing runs. */
const struct ht_op ht_op_columns = {"columns", sizeof(struct ht_columns), columns_plan, NULL, NULL, 0, 0};
