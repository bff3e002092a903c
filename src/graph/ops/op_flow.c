/* Control flow: if, loop, scan. Bodies are graphs that are bound and run when it is their turn; what they
 * leave behind in the block is moved down after each turn, so a loop holds one iteration at a time:
 *
 *   | carried values, scanned outputs so far | this iteration: segments of the body ... |
 */
#include "graph/ht_exec.h"
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "base/hb_check.h"
#include <string.h>

#define FLOW_MAX_VALUES 64

static size_t flow_bytes(const struct ht_tensor *t)
{
    size_t bytes = 0;
    (void)ht_dense_bytes((enum hk_qtype)t->type, t->rank, t->dim, &bytes);
    return bytes;
}

static hearth_status flow_dense(struct ht_exec *x, const struct ht_tensor *t, struct ht_tensor *out,
                                hearth_error *err)
{
    void *data;
    HB_TRY(ht_exec_take(x, flow_bytes(t), &data, err));
    ht_copy_dense(data, t);
    *out = ht_known_tensor((enum hk_qtype)t->type, t->rank, t->dim, data); /* out may be t */
    return HEARTH_OK;
}

static hearth_status flow_condition(const struct ht_step *s, const struct ht_tensor *t, bool *out,
                                    hearth_error *err)
{
    if (t->type != HK_BOOL || ht_elements(t) != 1)
        return ht_bad_shape(s, "a condition wants one bool", err);
    *out = t->data[0] != 0;
    return HEARTH_OK;
}

static void flow_set(const struct ht_step *s, uint32_t i, const struct ht_tensor *t)
{
    if (i < s->n_out && s->out[i])
        *s->out[i] = *t;
}

static hearth_status if_flow(struct ht_frame *f, struct ht_step *s, const struct ht_node *node,
                             hearth_error *err)
{
    struct ht_tensor out[FLOW_MAX_VALUES];
    bool yes = false;
    HB_TRY(flow_condition(s, s->in[0], &yes, err));
    const struct ht_graph *body = node->sub[yes ? 0 : 1];
    if (body->n_outputs != s->n_out || s->n_out > FLOW_MAX_VALUES || body->n_inputs)
        return ht_bad_shape(s, "the branches give another number of values", err);
    HB_TRY(ht_frame_body(f, body, NULL, out, err));
    for (uint32_t i = 0; i < s->n_out; i++)
        flow_set(s, i, &out[i]);
    return HEARTH_OK;
}

const struct ht_op ht_op_if = {"if", sizeof(struct ht_no_params), 0, 0, 0, 0, if_flow};

/* Where an iteration begins. */
struct flow_turn {
    size_t block_used;
    struct hb_arena_mark arena;
};

static struct flow_turn flow_begin(const struct ht_exec *x)
{
    return (struct flow_turn){x->block_used, hb_arena_mark(x->arena)};
}

/* Keep n values as the only thing above the turn's beginning: copied past the end first, then moved down. */
static hearth_status flow_keep(struct ht_exec *x, struct flow_turn turn, struct ht_tensor *v, uint32_t n,
                               hearth_error *err)
{
    size_t top = x->block_used, down = turn.block_used;
    for (uint32_t i = 0; i < n; i++)
        HB_TRY(flow_dense(x, &v[i], &v[i], err));
    size_t bytes = x->block_used - top;
    memmove(x->block + down, x->block + top, bytes);
    for (uint32_t i = 0; i < n; i++)
        v[i].data -= top - down;
    x->block_used = down + bytes;
    hb_arena_reset(x->arena, turn.arena);
    return HEARTH_OK;
}

/* acc with one more slice behind (or before) along a new first dimension. */
static hearth_status flow_append(struct ht_exec *x, const struct ht_step *s, struct ht_tensor *acc,
                                 const struct ht_tensor *slice, bool before, hearth_error *err)
{
    int64_t dim[HT_MAX_RANK];
    void *data;
    if (slice->rank >= HT_MAX_RANK)
        return ht_bad_shape(s, "the rank would pass 8", err);
    bool first = acc->dim[0] == 0;
    dim[0] = acc->dim[0] + 1;
    memcpy(dim + 1, slice->dim, sizeof dim[0] * slice->rank);
    if (!first && (acc->rank != slice->rank + 1 || acc->type != slice->type ||
                   memcmp(acc->dim + 1, slice->dim, sizeof dim[0] * slice->rank) != 0))
        return ht_bad_shape(s, "scanned values differ in shape between iterations", err);
    struct ht_tensor grown = ht_known_tensor((enum hk_qtype)slice->type, slice->rank + 1, dim, NULL);
    HB_TRY(ht_exec_take(x, flow_bytes(&grown), &data, err));
    size_t old = first ? 0 : flow_bytes(acc), one = flow_bytes(slice);
    grown.data = data;
    if (old)
        memcpy(grown.data + (before ? one : 0), acc->data, old);
    ht_copy_dense(grown.data + (before ? 0 : old), slice);
    *acc = grown;
    return HEARTH_OK;
}

static hearth_status flow_cancelled(const struct ht_exec *x, hearth_error *err)
{
    if (x->cancel && atomic_load_explicit(x->cancel, memory_order_relaxed))
        return hb_fail(err, HEARTH_E_CANCELLED, "run: cancelled by the caller");
    return HEARTH_OK;
}

/* loop: (trip count, condition, carried..) -> carried.., scanned.. */
static hearth_status loop_flow(struct ht_frame *f, struct ht_step *s, const struct ht_node *node,
                               hearth_error *err)
{
    const struct ht_graph *body = node->sub[0];
    struct ht_exec *x = f->x;
    uint32_t n = s->n_in > 2 ? s->n_in - 2 : 0, n_scan = s->n_out - n;
    struct ht_tensor state[FLOW_MAX_VALUES], in[FLOW_MAX_VALUES + 2], out[FLOW_MAX_VALUES + 1];
    int64_t most = INT64_MAX, turn_number = 0;
    bool go = true;
    uint8_t truth = 1;
    if (body->n_inputs != n + 2 || body->n_outputs != 1 + s->n_out || s->n_out < n ||
        s->n_out > FLOW_MAX_VALUES)
        return ht_bad_shape(s, "the body takes or gives another number of values", err);
    if (s->in[0])
        most = ht_get_i64(s->in[0], 0);
    if (s->n_in > 1 && s->in[1])
        HB_TRY(flow_condition(s, s->in[1], &go, err));
    struct flow_turn turn = flow_begin(x);
    for (uint32_t i = 0; i < s->n_out; i++)
        state[i] = i < n ? *s->in[2 + i]
                         : ht_known_tensor(HK_F32, 1, (const int64_t[]){0}, x->block);
    for (; go && turn_number < most; turn_number++) {
        HB_TRY(flow_cancelled(x, err));
        in[0] = ht_known_tensor(HK_I64, 0, NULL, &turn_number);
        in[1] = ht_known_tensor(HK_BOOL, 0, NULL, &truth);
        for (uint32_t i = 0; i < n; i++)
            in[2 + i] = state[i];
        HB_TRY(ht_frame_body(f, body, in, out, err));
        HB_TRY(flow_condition(s, &out[0], &go, err));
        for (uint32_t i = 0; i < n; i++)
            state[i] = out[1 + i];
        for (uint32_t i = 0; i < n_scan; i++)
            HB_TRY(flow_append(x, s, &state[n + i], &out[1 + n + i], false, err));
        HB_TRY(flow_keep(x, turn, state, s->n_out, err));
    }
    for (uint32_t i = 0; i < s->n_out; i++)
        flow_set(s, i, &state[i]);
    return HEARTH_OK;
}

const struct ht_op ht_op_loop = {"loop", sizeof(struct ht_no_params), 0, 0, 0, 0, loop_flow};

/* Slice `at` of t along an axis, without that dimension. */
static struct ht_tensor scan_slice(const struct ht_tensor *t, int64_t axis, int64_t at)
{
    struct ht_tensor r = *t;
    r.data += at * t->stride[axis] * (int64_t)ht_size_of(t->type);
    r.rank = 0;
    for (int d = 0; d < t->rank; d++)
        if (d != axis) {
            r.dim[r.rank] = t->dim[d];
            r.stride[r.rank++] = t->stride[d];
        }
    return r;
}

static hearth_status scan_lengths(const struct ht_step *s, uint32_t n, const struct ht_scan *p,
                                  int64_t *length, hearth_error *err)
{
    *length = -1;
    for (uint32_t i = 0; i < (uint32_t)p->n_scan_in; i++) {
        int64_t axis = p->in_axis[i];
        HB_TRY(ht_axis(s, &axis, s->in[n + i]->rank, err));
        if (*length >= 0 && s->in[n + i]->dim[axis] != *length)
            return ht_bad_shape(s, "scanned inputs differ in length", err);
        *length = s->in[n + i]->dim[axis];
    }
    return HEARTH_OK;
}

/* The new dimension of scanned outputs stands first while they grow; put it where it belongs. */
static hearth_status scan_finish(const struct ht_step *s, struct ht_tensor *t, int64_t axis,
                                 hearth_error *err)
{
    struct ht_tensor r = *t;
    HB_TRY(ht_axis(s, &axis, t->rank, err));
    for (int d = 0; d < axis; d++) {
        r.dim[d] = t->dim[d + 1];
        r.stride[d] = t->stride[d + 1];
    }
    r.dim[axis] = t->dim[0];
    r.stride[axis] = t->stride[0];
    *t = r;
    return HEARTH_OK;
}

/* scan: (state.., scanned..) -> state.., scanned.. */
static hearth_status scan_flow(struct ht_frame *f, struct ht_step *s, const struct ht_node *node,
                               hearth_error *err)
{
    const struct ht_scan *p = s->params;
    const struct ht_graph *body = node->sub[0];
    struct ht_exec *x = f->x;
    struct ht_tensor state[FLOW_MAX_VALUES], in[FLOW_MAX_VALUES], out[FLOW_MAX_VALUES];
    int64_t length = 0;
    if (p->n_scan_in < 1 || p->n_scan_in > (int)s->n_in)
        return ht_bad_shape(s, "nothing is scanned", err);
    uint32_t n = s->n_in - (uint32_t)p->n_scan_in;
    if (body->n_inputs != s->n_in || body->n_outputs != s->n_out || s->n_out < n ||
        s->n_out > FLOW_MAX_VALUES || s->n_in > FLOW_MAX_VALUES)
        return ht_bad_shape(s, "the body takes or gives another number of values", err);
    HB_TRY(scan_lengths(s, n, p, &length, err));
    struct flow_turn turn = flow_begin(x);
    for (uint32_t i = 0; i < s->n_out; i++)
        state[i] = i < n ? *s->in[i] : ht_known_tensor(HK_F32, 1, (const int64_t[]){0}, x->block);
    for (int64_t t = 0; t < length; t++) {
        HB_TRY(flow_cancelled(x, err));
        for (uint32_t i = 0; i < s->n_in; i++) {
            int64_t axis = i < n ? 0 : p->in_axis[i - n];
            if (i < n) {
                in[i] = state[i];
                continue;
            }
            axis = axis < 0 ? axis + s->in[i]->rank : axis;
            in[i] = scan_slice(s->in[i], axis, p->in_reverse[i - n] ? length - 1 - t : t);
            if (!ht_is_dense(&in[i]))
                HB_TRY(flow_dense(x, &in[i], &in[i], err));
        }
        HB_TRY(ht_frame_body(f, body, in, out, err));
        for (uint32_t i = 0; i < n; i++)
            state[i] = out[i];
        for (uint32_t i = n; i < s->n_out; i++)
            HB_TRY(flow_append(x, s, &state[i], &out[i], p->out_reverse[i - n], err));
        HB_TRY(flow_keep(x, turn, state, s->n_out, err));
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        if (i >= n)
            HB_TRY(scan_finish(s, &state[i], p->out_axis[i - n], err));
        flow_set(s, i, &state[i]);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_scan = {"scan", sizeof(struct ht_scan), 0, 0, 0, 0, scan_flow};
