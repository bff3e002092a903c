/* RNN, GRU and LSTM layers (ONNX), float32, both directions and layouts of ONNX's default. Sums in
 * double over ascending index; one unit per direction and batch.
 *
 * inputs: x [T][B][in], w [dirs][gates * H][in], r [dirs][gates * H][H], bias [dirs][2 gates H],
 *         lengths [B], h0 [dirs][B][H], c0, peepholes [dirs][3 H]     (layout 1: batch first)
 * outputs: y [T][dirs][B][H], last h, last c */
#include "graph/ht_math.h"
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include <string.h>

struct recurrent_plan {
    int64_t steps, batch, in, hidden, dirs, gates;
};

static hearth_status recurrent_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_recurrent *p = s->params;
    for (uint32_t i = 0; i < s->n_in; i++) {
        HB_TRY(ht_dense(b, s, i, err));
        if (s->in[i] && s->in[i]->type != (i == 4 ? HK_I32 : HK_F32))
            return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s (recurrent): input %u has type %s; f32 is computed",
                           s->name, i, hk_qtype_info[s->in[i]->type].name);
    }
    const struct ht_tensor *x = s->in[0], *w = s->in[1], *r = s->in[2];
    static const uint8_t gates[] = {1, 3, 4};
    if (x->rank != 3 || w->rank != 3 || r->rank != 3)
        return ht_bad_shape(s, "x, w and r want three dimensions", err);
    HB_TRY(ht_step_private(b, s, sizeof(struct recurrent_plan), err));
    struct recurrent_plan *q = s->plan;
    q->gates = gates[p->kind];
    q->steps = x->dim[p->batch_first ? 1 : 0];
    q->batch = x->dim[p->batch_first ? 0 : 1];
    q->in = x->dim[2];
    q->hidden = r->dim[2];
    q->dirs = p->direction == HT_BOTH ? 2 : 1;
    int64_t h = q->hidden, want[8] = {0, q->dirs * q->gates * h * q->in, q->dirs * q->gates * h * h,
                                      q->dirs * 2 * q->gates * h, q->batch, q->dirs * q->batch * h,
                                      q->dirs * q->batch * h, q->dirs * 3 * h};
    for (uint32_t i = 1; i < s->n_in && i < 8; i++)
        if (s->in[i] && ht_elements(s->in[i]) != want[i])
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (recurrent): input %u has %lld elements; %lld are "
                           "wanted", s->name, i, (long long)ht_elements(s->in[i]), (long long)want[i]);
    ht_want_scratch(b, (size_t)(q->gates * h + 4 * h) * sizeof(double));
    int64_t y[4] = {q->steps, q->dirs, q->batch, h}, last[3] = {q->dirs, q->batch, h};
    int64_t yb[4] = {q->batch, q->steps, q->dirs, h}, lastb[3] = {q->batch, q->dirs, h};
    HB_TRY(ht_out(b, s, 0, HK_F32, 4, p->batch_first ? yb : y, -1, err));
    for (uint32_t i = 1; i < s->n_out && i < 3; i++)
        HB_TRY(ht_out(b, s, i, HK_F32, 3, p->batch_first ? lastb : last, -1, err));
    return HEARTH_OK;
}

static int64_t recurrent_units(const struct ht_step *s, const struct ht_run *run)
{
    const struct recurrent_plan *q = s->plan;
    (void)run;
    return q->dirs * q->batch;
}

static double recurrent_act(const struct ht_act *a, double x)
{
    switch (a->kind) {
    case HT_MAP_SIGMOID: return 1 / (1 + ht_exp(-x));
    case HT_MAP_TANH: return ht_tanh(x);
    case HT_MAP_RELU: return x > 0 ? x : 0;
    case HT_MAP_LEAKY: return x < 0 ? (double)a->alpha * x : x;
    case HT_MAP_HARDSIGMOID: x = (double)a->alpha * x + (double)a->beta; return x < 0 ? 0 : x > 1 ? 1 : x;
    case HT_MAP_ELU: return x < 0 ? (double)a->alpha * (ht_exp(x) - 1) : x;
    case HT_MAP_SOFTSIGN: return x / (1 + ht_abs(x));
    case HT_MAP_SOFTPLUS: return (x > 0 ? x : 0) + ht_log(1 + ht_exp(-ht_abs(x)));
    case HT_MAP_THRESHOLDED: return x > (double)a->alpha ? x : 0;
    case HT_MAP_AFFINE: return (double)a->alpha * x + (double)a->beta;
    default: return x;
    }
}

static const float *recurrent_f32(const struct ht_step *s, uint32_t i)
{
    return i < s->n_in && s->in[i] ? (const float *)(const void *)s->in[i]->data : NULL;
}

static double recurrent_dot(const float *w, const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)x[i];
    return sum;
}

static double recurrent_dot_d(const float *w, const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)w[i] * x[i];
    return sum;
}

/* One sequence of one direction. g: gates * H sums, h and c: state, t: room. */
struct recurrent_state {
    double *g, *h, *c, *t;
    int64_t dir, batch;
};

static double recurrent_clip(const struct ht_recurrent *p, double x)
{
    double c = (double)p->clip;
    return c <= 0 ? x : x < -c ? -c : x > c ? c : x;
}

/* w x + bias of every gate, and r h too where it does not depend on a reset gate. */
static void recurrent_sums(const struct ht_step *s, const struct recurrent_plan *q,
                           struct recurrent_state *st, const float *x, bool with_h, int64_t from, int64_t to)
{
    int64_t h = q->hidden, rows = q->gates * h;
    const float *w = recurrent_f32(s, 1) + st->dir * rows * q->in;
    const float *r = recurrent_f32(s, 2) + st->dir * rows * h, *bias = recurrent_f32(s, 3);
    for (int64_t i = from; i < to; i++) {
        st->g[i] = recurrent_dot(w + i * q->in, x, q->in) + (bias ? (double)bias[st->dir * 2 * rows + i] : 0);
        if (with_h)
            st->g[i] += recurrent_dot_d(r + i * h, st->h, h) +
                        (bias ? (double)bias[st->dir * 2 * rows + rows + i] : 0);
    }
}

static void recurrent_lstm(const struct ht_step *s, const struct recurrent_plan *q, struct recurrent_state *st,
                           const float *x)
{
    const struct ht_recurrent *p = s->params;
    const struct ht_act *a = p->act + st->dir * 3;
    int64_t h = q->hidden;
    const float *peep = recurrent_f32(s, 7);
    if (peep)
        peep += st->dir * 3 * h; /* input, output, forget */
    recurrent_sums(s, q, st, x, true, 0, 4 * h); /* input, output, forget, cell */
    for (int64_t i = 0; i < h; i++) {
        double pi = peep ? (double)peep[i] * st->c[i] : 0, pf = peep ? (double)peep[2 * h + i] * st->c[i] : 0;
        double f = recurrent_act(&a[0], recurrent_clip(p, st->g[2 * h + i] + pf));
        double in = p->coupled ? 1 - f : recurrent_act(&a[0], recurrent_clip(p, st->g[i] + pi));
        st->c[i] = f * st->c[i] + in * recurrent_act(&a[1], recurrent_clip(p, st->g[3 * h + i]));
        double po = peep ? (double)peep[h + i] * st->c[i] : 0;
        st->h[i] = recurrent_act(&a[0], recurrent_clip(p, st->g[h + i] + po)) * recurrent_act(&a[2], st->c[i]);
    }
}

static void recurrent_gru(const struct ht_step *s, const struct recurrent_plan *q, struct recurrent_state *st,
                          const float *x)
{
    const struct ht_recurrent *p = s->params;
    const struct ht_act *a = p->act + st->dir * 3;
    int64_t h = q->hidden, rows = 3 * h;
    const float *r = recurrent_f32(s, 2) + (st->dir * rows + 2 * h) * h, *bias = recurrent_f32(s, 3);
    recurrent_sums(s, q, st, x, true, 0, 2 * h); /* update, reset */
    recurrent_sums(s, q, st, x, false, 2 * h, 3 * h);
    for (int64_t i = 0; i < 2 * h; i++)
        st->g[i] = recurrent_act(&a[0], recurrent_clip(p, st->g[i]));
    for (int64_t i = 0; i < h; i++)
        st->t[i] = st->g[h + i] * st->h[i]; /* reset before the matmul */
    for (int64_t i = 0; i < h; i++) {
        double b = bias ? (double)bias[st->dir * 2 * rows + rows + 2 * h + i] : 0;
        double inner = p->linear_before_reset ? st->g[h + i] * (recurrent_dot_d(r + i * h, st->h, h) + b)
                                              : recurrent_dot_d(r + i * h, st->t, h) + b;
        st->g[2 * h + i] = recurrent_act(&a[1], recurrent_clip(p, st->g[2 * h + i] + inner));
    }
    for (int64_t i = 0; i < h; i++)
        st->h[i] = (1 - st->g[i]) * st->g[2 * h + i] + st->g[i] * st->h[i];
}

static void recurrent_rnn(const struct ht_step *s, const struct recurrent_plan *q, struct recurrent_state *st,
                          const float *x)
{
    const struct ht_recurrent *p = s->params;
    recurrent_sums(s, q, st, x, true, 0, q->hidden);
    for (int64_t i = 0; i < q->hidden; i++)
        st->h[i] = recurrent_act(&p->act[st->dir * 3], recurrent_clip(p, st->g[i]));
}

static void recurrent_sequence(const struct ht_step *s, const struct recurrent_plan *q,
                               struct recurrent_state *st)
{
    const struct ht_recurrent *p = s->params;
    int64_t h = q->hidden, length = q->steps;
    int64_t at = p->batch_first ? st->batch * q->dirs + st->dir : st->dir * q->batch + st->batch;
    const float *h0 = recurrent_f32(s, 5), *c0 = recurrent_f32(s, 6), *x = recurrent_f32(s, 0);
    float *y = s->out[0] ? (float *)(void *)s->out[0]->data : NULL;
    if (s->n_in > 4 && s->in[4]) {
        length = ((const int32_t *)(const void *)s->in[4]->data)[st->batch];
        length = length < 0 ? 0 : length > q->steps ? q->steps : length;
    }
    for (int64_t i = 0; i < h; i++) {
        st->h[i] = h0 ? (double)h0[at * h + i] : 0;
        st->c[i] = c0 ? (double)c0[at * h + i] : 0;
    }
    bool back = p->direction == HT_REVERSE || st->dir == 1;
    for (int64_t k = 0; k < q->steps; k++) {
        int64_t t = k < length ? (back ? length - 1 - k : k) : k;
        int64_t row = p->batch_first ? st->batch * q->steps + t : t * q->batch + st->batch;
        int64_t to = p->batch_first ? (st->batch * q->steps + t) * q->dirs + st->dir
                                    : (t * q->dirs + st->dir) * q->batch + st->batch;
        if (k < length) {
            if (p->kind == HT_LSTM)
                recurrent_lstm(s, q, st, x + row * q->in);
            else if (p->kind == HT_GRU)
                recurrent_gru(s, q, st, x + row * q->in);
            else
                recurrent_rnn(s, q, st, x + row * q->in);
        }
        for (int64_t i = 0; i < h && y; i++)
            y[to * h + i] = k < length ? (float)st->h[i] : 0;
    }
    for (int64_t i = 0; i < h; i++) {
        if (s->n_out > 1 && s->out[1])
            ((float *)(void *)s->out[1]->data)[at * h + i] = (float)st->h[i];
        if (s->n_out > 2 && s->out[2])
            ((float *)(void *)s->out[2]->data)[at * h + i] = (float)st->c[i];
    }
}

static hearth_status recurrent_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                                   int64_t begin, int64_t end, hearth_error *err)
{
    const struct recurrent_plan *q = s->plan;
    double *room = scratch;
    (void)run, (void)err;
    for (int64_t u = begin; u < end; u++) {
        struct recurrent_state st = {.g = room, .h = room + q->gates * q->hidden, .dir = u / q->batch,
                                     .batch = u % q->batch};
        st.c = st.h + q->hidden;
        st.t = st.c + q->hidden;
        recurrent_sequence(s, q, &st);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_recurrent = {"recurrent", sizeof(struct ht_recurrent), recurrent_plan,
                                      recurrent_units, recurrent_run, 0, 0};
