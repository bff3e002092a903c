/* Frequencies of rotary positions, once per model: base^(-2i/n), and the ways a file asks to stretch
 * them for longer contexts. */
#include "gguf/hg_build.h"
#include "base/hb_math.h"
#include <string.h>

#define ROPE_PI 3.14159265358979323846

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN, ROPE_LONG };

static hearth_status rope_scaling_kind(struct hg_build *b, enum rope_scaling *out,
                                       hearth_error *err)
{
    static const char *const name[] = {"none", "linear", "yarn", "longrope"};
    struct hg_text t = {NULL, 0};
    char key[HG_KEY_BYTES];
    HB_TRY(hg_meta_string(b->file, hg_arch_key(b, "rope.scaling.type", key), false, 64, &t, err));
    if (!t.bytes) { /* older files state a factor alone */
        *out = b->hp.rope_factor != 1 ? ROPE_LINEAR : ROPE_NONE;
        return HEARTH_OK;
    }
    for (size_t i = 0; i < HB_COUNT(name); i++)
        if (strlen(name[i]) == t.len && memcmp(name[i], t.bytes, t.len) == 0) {
            *out = (enum rope_scaling)i;
            return HEARTH_OK;
        }
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "gguf: key %s is \"%.*s\"; none, linear, yarn and longrope are known", key,
                   (int)t.len, t.bytes);
}

/* f[i] = base^(-2i/n) for i < n / 2 */
static hearth_status rope_frequencies(struct hg_build *b, double base, double **out,
                                      hearth_error *err)
{
    double *f, step = -2 * hb_log(base) / (double)b->hp.n_rot;
    size_t pairs = (size_t)b->hp.n_rot / 2;
    HB_TRY(HB_ARENA_NEW(b->arena, double, pairs, &f, err));
    for (size_t i = 0; i < pairs; i++)
        f[i] = hb_exp(step * (double)i);
    *out = f;
    return HEARTH_OK;
}

/* YaRN (Peng et al., 2023, section 3.2): pairs that turn often within the original context stay,
 * those that turn seldom are stretched, with a ramp between, from whole pair to whole pair unless
 * `exact`. */
static void rope_yarn(const struct hg_hparams *hp, double base, bool exact, double *f)
{
    double n = (double)hp->n_rot, orig = (double)hp->original_ctx, per = n / (2 * hb_log(base));
    double low = per * hb_log(orig / (hp->beta_fast * 2 * ROPE_PI));
    double high = per * hb_log(orig / (hp->beta_slow * 2 * ROPE_PI));
    if (!exact) {
        low = hb_floor(low);
        high = -hb_floor(-high);
    }
    low = low < 0 ? 0 : low;
    high = high > n - 1 ? n - 1 : high;
    if (high <= low)
        high = low + 0.001;
    for (int64_t i = 0; i < hp->n_rot / 2; i++) {
        double ramp = ((double)i - low) / (high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        f[i] *= ramp / hp->rope_factor + (1 - ramp);
    }
}

/* Frequencies, divided by the factors of a tensor if there is one, as a constant of the graph. */
static hearth_status rope_const(struct hg_build *b, const char *name, const double *f, ht_id factors,
                                ht_id *out, hearth_error *err)
{
    int64_t pairs = b->hp.n_rot / 2;
    const float *by = factors == HT_NONE ? NULL : b->g->values[factors].data;
    float *rounded;
    HB_TRY(HB_ARENA_NEW(b->arena, float, (size_t)pairs, &rounded, err));
    for (int64_t i = 0; i < pairs; i++) {
        if (by && !(by[i] > 0 && by[i] < 1e30f))
            return hb_fail(err, HEARTH_E_RANGE,
                           "gguf: tensor %s: element %lld is %g; positive numbers are required",
                           b->g->values[factors].name, (long long)i, (double)by[i]);
        rounded[i] = (float)(by ? f[i] / (double)by[i] : f[i]);
    }
    return ht_graph_const(b->g, name, HK_F32, 1, &pairs, rounded, out, err);
}

static hearth_status rope_emit(struct hg_build *b, const struct ht_rope_table *params, ht_id near,
                               ht_id far, ht_id *table, hearth_error *err)
{
    const ht_id in[3] = {b->lm->positions, near, far};
    return ht_graph_emit(b->g, &ht_op_rope_table, "rope_table", params, in, 3, table, 1, err);
}

hearth_status hg_rope_table_plain(struct hg_build *b, double base, ht_id *table, hearth_error *err)
{
    const struct ht_rope_table params = {1, 1, 0};
    double *f;
    ht_id near;
    HB_TRY(rope_frequencies(b, base, &f, err));
    HB_TRY(rope_const(b, "rope_frequencies", f, HT_NONE, &near, err));
    return rope_emit(b, &params, near, HT_NONE, table, err);
}

hearth_status hg_rope_table(struct hg_build *b, ht_id *table, hearth_error *err)
{
    const struct hg_hparams *hp = &b->hp;
    enum rope_scaling kind = ROPE_NONE;
    double *f, mscale = hp->attn_factor;
    ht_id near, far = HT_NONE, factors = b->t[HG_T_ROPE_FREQS];
    HB_TRY(rope_scaling_kind(b, &kind, err));
    HB_TRY(rope_frequencies(b, hp->rope_base, &f, err));
    if (kind == ROPE_LINEAR)
        for (int64_t i = 0; i < hp->n_rot / 2; i++)
            f[i] /= hp->rope_factor;
    if (kind == ROPE_YARN) {
        rope_yarn(hp, hp->rope_base, b->arch->yarn_exact, f);
        mscale *= hp->rope_factor > 1 ? 1 + 0.1 * hb_log(hp->rope_factor) : 1;
    }
    if ((b->t[HG_T_ROPE_SHORT] == HT_NONE) != (b->t[HG_T_ROPE_LONG] == HT_NONE) ||
        (kind == ROPE_LONG && b->t[HG_T_ROPE_LONG] == HT_NONE))
        return hb_fail(err, HEARTH_E_NOT_FOUND,
                       "gguf: tensors rope_factors_short.weight and rope_factors_long.weight are "
                       "required together");
    if (b->t[HG_T_ROPE_LONG] != HT_NONE) {
        factors = b->t[HG_T_ROPE_SHORT];
        HB_TRY(rope_const(b, "rope_frequencies_long", f, b->t[HG_T_ROPE_LONG], &far, err));
    }
    HB_TRY(rope_const(b, "rope_frequencies", f, factors, &near, err));
    const struct ht_rope_table params = {(float)mscale, (float)mscale, hp->original_ctx};
    return rope_emit(b, &params, near, far, table, err);
}
