/* Settings of a sampler: defaults, ranges, the order of the chain, DRY's breakers. */
#include "runtime/hr_chain.h"
#include "kernels/hk_math.h"
#include <stddef.h>
#include <string.h>

#define CONFIG_MAX_WINDOW    (1 << 20)
#define CONFIG_DRY_LAST      1024
#define CONFIG_MAX_BREAKERS  64
#define CONFIG_MAX_ORDER     256 /* bytes of the order's text */

/* Zero means `zero`; then the value must lie in [min, max]. */
struct config_real {
    const char *name;
    size_t off;
    float zero, min, max;
};

struct config_int {
    const char *name;
    size_t off;
    int32_t zero, min, max;
};

#define REAL(field, zero, min, max) {#field, offsetof(hearth_sampler_config, field), zero, min, max}
static const struct config_real config_reals[] = {
    REAL(temperature, 0, -1e6f, 1e6f),
    REAL(top_p, 1, 1e-9f, 1),
    REAL(min_p, 0, 0, 1),
    REAL(repeat_penalty, 1, 1e-3f, 1e3f),
    REAL(presence_penalty, 0, -1e3f, 1e3f),
    REAL(frequency_penalty, 0, -1e3f, 1e3f),
    REAL(typical_p, 1, 1e-9f, 1),
    REAL(top_n_sigma, 0, 0, 1e3f),
    REAL(xtc_probability, 0, 0, 1),
    REAL(xtc_threshold, 0.1f, 1e-9f, 1),
    REAL(dry_multiplier, 0, 0, 1e3f),
    REAL(dry_base, 1.75f, 1, 1e3f),
    REAL(mirostat_tau, 5, 1e-3f, 1e3f),
    REAL(mirostat_eta, 0.1f, 1e-6f, 1),
    REAL(dynatemp_range, 0, 0, 1e3f),
    REAL(dynatemp_exponent, 1, 1e-3f, 1e3f),
};

#define INT(field, zero, min, max) {#field, offsetof(hearth_sampler_config, field), zero, min, max}
static const struct config_int config_ints[] = {
    INT(top_k, 0, 0, INT32_MAX),
    INT(penalty_window, 64, 1, CONFIG_MAX_WINDOW),
    INT(dry_allowed_length, 2, 1, CONFIG_MAX_WINDOW),
    INT(min_keep, 1, 1, INT32_MAX),
};

static hearth_status config_numbers(hearth_sampler_config *c, hearth_error *err)
{
    for (size_t i = 0; i < sizeof config_reals / sizeof *config_reals; i++) {
        const struct config_real *r = &config_reals[i];
        float *v = (float *)(void *)((char *)c + r->off);
        *v = *v == 0 ? r->zero : *v;
        if (!(*v >= r->min && *v <= r->max))
            return hb_fail(err, HEARTH_E_RANGE, "sampler: %s %g; %g to %g are accepted", r->name,
                           (double)*v, (double)r->min, (double)r->max);
    }
    for (size_t i = 0; i < sizeof config_ints / sizeof *config_ints; i++) {
        const struct config_int *r = &config_ints[i];
        int32_t *v = (int32_t *)(void *)((char *)c + r->off);
        *v = *v == 0 ? r->zero : *v;
        if (*v < r->min || *v > r->max)
            return hb_fail(err, HEARTH_E_RANGE, "sampler: %s %d; %d to %d are accepted", r->name,
                           *v, r->min, r->max);
    }
    if (c->mirostat != 0 && c->mirostat != 2)
        return hb_fail(err, HEARTH_E_RANGE, "sampler: mirostat %d; 0 (off) and 2 are accepted",
                       c->mirostat);
    return HEARTH_OK;
}

static hearth_status config_biases(const hearth_sampler_config *c, int32_t n_vocab,
                                   hearth_error *err)
{
    for (size_t i = 0; i < c->n_bias; i++) {
        if (c->bias[i].token < 0 || c->bias[i].token >= n_vocab)
            return hb_fail(err, HEARTH_E_RANGE, "sampler: bias for token %d; the vocabulary has %d",
                           c->bias[i].token, n_vocab);
        if (c->bias[i].bias != c->bias[i].bias || c->bias[i].bias == HK_INFINITY)
            return hb_fail(err, HEARTH_E_RANGE,
                           "sampler: bias of token %d is NaN or +infinity; finite numbers and "
                           "-infinity are accepted",
                           c->bias[i].token);
    }
    return HEARTH_OK;
}

/* ---- the order ---- */

struct config_stage {
    const char *name;
    bool scores;
};

static const struct config_stage config_stages[HR_STAGE_COUNT] = {
#define SCORES true
#define SET    false
#define HR_STAGE(id, name, kind, text) {name, kind},
#include "runtime/sampler_stages.def"
#undef HR_STAGE
#undef SCORES
#undef SET
};

static hearth_status config_stage_named(const char *name, size_t len, uint8_t *id,
                                        hearth_error *err)
{
#define HR_STAGE(id, name, kind, text) " " name
    static const char known[] =
#include "runtime/sampler_stages.def"
        ;
#undef HR_STAGE
    for (*id = 0; *id < HR_STAGE_COUNT; ++*id)
        if (strlen(config_stages[*id].name) == len && !memcmp(config_stages[*id].name, name, len))
            return HEARTH_OK;
    return hb_fail(err, HEARTH_E_RANGE, "sampler: order: stage \"%.*s\"; known:%s",
                   len < 32 ? (int)len : 32, name, known);
}

static hearth_status config_order(const char *order, uint8_t stage[HR_STAGE_COUNT], int32_t *n,
                                  hearth_error *err)
{
    uint8_t id;
    *n = 0;
    if (!order)
        for (; *n < HR_STAGE_COUNT; ++*n)
            stage[*n] = (uint8_t)*n;
    else if (strlen(order) > CONFIG_MAX_ORDER)
        return hb_fail(err, HEARTH_E_RANGE, "sampler: order has %zu bytes; at most %d are accepted",
                       strlen(order), CONFIG_MAX_ORDER);
    for (const char *at = order; at && *at;) {
        const char *end = strchr(at, ';');
        size_t len = end ? (size_t)(end - at) : strlen(at);
        HB_TRY(config_stage_named(at, len, &id, err));
        for (int32_t i = 0; i < *n; i++)
            if (stage[i] == id)
                return hb_fail(err, HEARTH_E_RANGE, "sampler: order names %s twice",
                               config_stages[id].name);
        if (config_stages[id].scores && *n > 0 && !config_stages[stage[*n - 1]].scores)
            return hb_fail(err, HEARTH_E_RANGE,
                           "sampler: order has %s behind %s; penalties and dry come first",
                           config_stages[id].name, config_stages[stage[*n - 1]].name);
        stage[(*n)++] = id;
        at += len + (end ? 1 : 0);
    }
    return HEARTH_OK;
}

/* ---- DRY ---- */

static hearth_status config_dry(hearth_sampler_config *c, const hearth_model *model,
                                hearth_error *err)
{
    int32_t n_ctx = model->info.n_ctx_train;
    if (c->dry_last_n == 0)
        c->dry_last_n = CONFIG_DRY_LAST;
    if (c->dry_last_n == -1)
        c->dry_last_n = n_ctx < 1 ? 1 : n_ctx > CONFIG_MAX_WINDOW ? CONFIG_MAX_WINDOW : n_ctx;
    if (c->dry_last_n < 1 || c->dry_last_n > CONFIG_MAX_WINDOW)
        return hb_fail(err, HEARTH_E_RANGE,
                       "sampler: dry_last_n %d; -1 (the model's context) to %d are accepted",
                       c->dry_last_n, CONFIG_MAX_WINDOW);
    if (c->dry_multiplier == 0)
        c->dry_last_n = 0;
    if (c->n_dry_breakers > CONFIG_MAX_BREAKERS)
        return hb_fail(err, HEARTH_E_RANGE, "sampler: %zu dry_breakers; at most %d are accepted",
                       c->n_dry_breakers, CONFIG_MAX_BREAKERS);
    return HEARTH_OK;
}

static bool config_contains(const char *bytes, size_t n, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; len > 0 && i + len <= n; i++)
        if (memcmp(bytes + i, part, len) == 0)
            return true;
    return false;
}

void hr_sampler_breakers(const hearth_model *model, const hearth_sampler_config *c,
                         uint8_t *breaker)
{
    static const char *const usual[] = {"\n", ":", "\"", "*"};
    const char *const *part = c->n_dry_breakers ? c->dry_breakers : usual;
    size_t n = c->n_dry_breakers ? c->n_dry_breakers : sizeof usual / sizeof *usual, len;
    for (int32_t id = 0; id < model->info.vocab_size; id++) {
        const char *bytes;
        if (!model->tokenizer || hearth_token_bytes(model, id, 0, &bytes, &len, NULL) != HEARTH_OK)
            continue;
        for (size_t i = 0; i < n && !breaker[id]; i++)
            breaker[id] = config_contains(bytes, len, part[i]);
    }
}

hearth_status hr_sampler_settings(hearth_sampler_config *c, const hearth_model *model,
                                  uint8_t stage[HR_STAGE_COUNT], int32_t *n_stages,
                                  hearth_error *err)
{
    HB_TRY(config_numbers(c, err));
    HB_TRY(config_biases(c, model->info.vocab_size, err));
    HB_TRY(config_dry(c, model, err));
    return config_order(c->order, stage, n_stages, err);
}
