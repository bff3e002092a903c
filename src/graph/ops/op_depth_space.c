/* depth_space: blocks of space to and from channels, [N][C][H][W], by copying a view of six dimensions. */
#include "graph/ht_exec.h"
#include "graph/ht_ops.h"

static hearth_status depth_space_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_depth_space *p = s->params;
    int64_t k = p->block;
    HB_TRY(ht_dense(b, s, 0, err));
    const struct ht_tensor *x = s->in[0];
    if (x->rank != 4 || k < 1 || k > 1 << 20 ||
        (p->to_depth ? x->dim[2] % k || x->dim[3] % k : x->dim[1] % (k * k)))
        return ht_bad_shape(s, "wants [N][C][H][W] that divides by the block", err);
    int64_t dim[4] = {x->dim[0], p->to_depth ? x->dim[1] * k * k : x->dim[1] / (k * k),
                      p->to_depth ? x->dim[2] / k : x->dim[2] * k,
                      p->to_depth ? x->dim[3] / k : x->dim[3] * k};
    return ht_out(b, s, 0, (enum hk_qtype)x->type, 4, dim, -1, err);
}

static int64_t depth_space_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)s, (void)run;
    return 1;
}

/* Dimensions (n, block row, block column, c, h, w) of the side whose channels hold the blocks. */
static struct ht_tensor depth_space_deep(const struct ht_tensor *t, int64_t k, bool crd)
{
    int64_t c = t->dim[1] / (k * k), h = t->dim[2], w = t->dim[3], plane = h * w;
    struct ht_tensor r = ht_known_tensor((enum hk_qtype)t->type, 6,
                                         (const int64_t[]){t->dim[0], k, k, c, h, w}, t->data);
    r.stride[0] = t->dim[1] * plane;
    r.stride[1] = crd ? k * plane : k * c * plane;
    r.stride[2] = crd ? plane : c * plane;
    r.stride[3] = crd ? k * k * plane : plane;
    r.stride[4] = w;
    r.stride[5] = 1;
    return r;
}

static struct ht_tensor depth_space_wide(const struct ht_tensor *t, int64_t k)
{
    int64_t c = t->dim[1], h = t->dim[2] / k, w = t->dim[3] / k;
    struct ht_tensor r = ht_known_tensor((enum hk_qtype)t->type, 6,
                                         (const int64_t[]){t->dim[0], k, k, c, h, w}, t->data);
    r.stride[0] = c * t->dim[2] * t->dim[3];
    r.stride[1] = t->dim[3];
    r.stride[2] = 1;
    r.stride[3] = t->dim[2] * t->dim[3];
    r.stride[4] = k * t->dim[3];
    r.stride[5] = k;
    return r;
}

static hearth_status depth_space_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                     int64_t begin, int64_t end, hearth_error *err)
{
    const struct ht_depth_space *p = s->params;
    const struct ht_tensor *x = s->in[0], *y = s->out[0];
    (void)run, (void)scratch, (void)begin, (void)end, (void)err;
    struct ht_tensor deep = depth_space_deep(p->to_depth ? y : x, p->block, p->crd);
    struct ht_tensor wide = depth_space_wide(p->to_depth ? x : y, p->block);
    ht_copy_between(p->to_depth ? &deep : &wide, p->to_depth ? &wide : &deep);
    return HEARTH_OK;
}

const struct ht_op ht_op_depth_space = {"depth_space", sizeof(struct ht_depth_space), depth_space_plan,
                                        depth_space_units, depth_space_run, 0, 0};
