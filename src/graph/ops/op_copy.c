/* copy: a dense tensor from strides, any type, moving elements as they are. */
#include "graph/ht_ops.h"
#include "graph/ht_exec.h"
#include "graph/ht_strip.h"
#include <string.h>

struct copy_plan {
    struct ht_walk walk; /* out, in */
    struct ht_pieces pieces;
};

static hearth_status copy_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_tensor *x = s->in[0];
    HB_TRY(ht_out(b, s, 0, (enum hk_qtype)x->type, x->rank, x->dim, -1, err));
    HB_TRY(ht_step_private(b, s, sizeof(struct copy_plan), err));
    struct copy_plan *c = s->plan;
    const struct ht_tensor *t[2] = {s->out[0], x};
    ht_walk_make(&c->walk, x->rank, x->dim, t, 2);
    c->pieces = ht_pieces_make(ht_elements(x) ? c->walk.rows : 0, c->walk.row_length, 4096, 16384);
    return HEARTH_OK;
}

static int64_t copy_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ((const struct copy_plan *)s->plan)->pieces.units;
}

#define COPY_EACH(T)                                                                               \
    for (int64_t i = 0; i < n; i++)                                                                \
        memcpy(to + (size_t)i * sizeof(T), from + i * stride * (int64_t)sizeof(T), sizeof(T));     \
    break

static void copy_row(uint8_t *restrict to, const uint8_t *restrict from, int64_t stride, int64_t n,
                     size_t size)
{
    if (stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1: COPY_EACH(uint8_t);
    case 2: COPY_EACH(uint16_t);
    case 4: COPY_EACH(uint32_t);
    default: COPY_EACH(uint64_t);
    }
}

static hearth_status copy_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                              int64_t begin, int64_t end, hearth_error *err)
{
    const struct copy_plan *c = s->plan;
    const struct ht_pieces *p = &c->pieces;
    size_t size = ht_size_of(s->in[0]->type);
    int64_t stride = c->walk.stride[1][c->walk.rank - 1];
    (void)run, (void)scratch, (void)err;
    int64_t stop = end * p->per_unit < p->total ? end * p->per_unit : p->total;
    for (int64_t i = begin * p->per_unit; i < stop; i++) {
        int64_t r = i / p->per_row, at = i % p->per_row * p->piece;
        int64_t n = c->walk.row_length - at < p->piece ? c->walk.row_length - at : p->piece;
        int64_t from = ht_walk_offset(&c->walk, 1, r) + at * stride;
        int64_t to = ht_walk_offset(&c->walk, 0, r) + at;
        copy_row(s->out[0]->data + to * (int64_t)size, s->in[0]->data + from * (int64_t)size,
                 stride, n, size);
    }
    return HEARTH_OK;
}

void ht_copy_between(const struct ht_tensor *to, const struct ht_tensor *from)
{
    struct ht_walk w;
    const struct ht_tensor *both[2] = {to, from};
    size_t size = ht_size_of(from->type);
    if (ht_elements(from) == 0)
        return;
    ht_walk_make(&w, from->rank, from->dim, both, 2);
    int64_t out = w.stride[0][w.rank - 1], in = w.stride[1][w.rank - 1];
    for (int64_t r = 0; r < w.rows; r++) {
        uint8_t *y = to->data + ht_walk_offset(&w, 0, r) * (int64_t)size;
        const uint8_t *x = from->data + ht_walk_offset(&w, 1, r) * (int64_t)size;
        if (out == 1 || w.row_length == 1)
            copy_row(y, x, in, w.row_length, size);
        else
            for (int64_t i = 0; i < w.row_length; i++)
                copy_row(y + i * out * (int64_t)size, x + i * in * (int64_t)size, 1, 1, size);
    }
}

void ht_copy_dense(void *to, const struct ht_tensor *t)
{
    struct ht_tensor out = ht_known_tensor((enum hk_qtype)t->type, t->rank, t->dim, to);
    ht_copy_between(&out, t);
}

const struct ht_op ht_op_copy = {"copy", sizeof(struct ht_no_params), copy_plan, copy_units,
                                 copy_run, 0, 0};
