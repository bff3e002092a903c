/* hearth embed: text to vectors. */
#include "commands.h"
#include "encode_texts.h"
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct embed_run {
    const struct encode_settings *settings;
    float *kept; /* --similarity: [n][size] */
    size_t n, size, capacity;
};

static void embed_json(const struct embed_run *r, const hearth_encoding *e)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hj_open(&j, "embedding", '[');
    for (size_t i = 0; i < e->n_values; i++)
        hj_real(&j, NULL, (double)e->values[i]);
    hj_close(&j, ']');
    hj_int(&j, "n_tokens", e->n_tokens);
    if (r->settings->truncate)
        hj_bool(&j, "truncated", e->truncated != 0);
    hj_close(&j, '}');
    fputc('\n', stdout);
}

static void embed_plain(const hearth_encoding *e)
{
    for (size_t i = 0; i < e->n_values; i++) {
        char text[32];
        hj_format_real(text, sizeof text, (double)e->values[i]);
        printf("%s%s", i ? " " : "", text);
    }
    fputc('\n', stdout);
}

static int embed_keep(struct embed_run *r, const hearth_encoding *e)
{
    if (r->n == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 16;
        float *bigger = realloc(r->kept, capacity * e->n_values * sizeof *bigger);
        if (!bigger)
            return hc_fail(HC_LIMIT, "--similarity", "no memory for %zu embeddings", capacity);
        r->kept = bigger;
        r->capacity = capacity;
    }
    r->size = e->n_values;
    memcpy(r->kept + r->n++ * r->size, e->values, r->size * sizeof *r->kept);
    return HC_OK;
}

static int embed_text(void *user, hearth_encoder *encoder, size_t index, const struct hc_text *text)
{
    struct embed_run *r = user;
    hearth_encoding e = {.struct_size = sizeof e};
    hearth_error err = {0};
    hearth_status status = hearth_encoder_embed(encoder, text->bytes, text->len, &e, &err);
    if (status != HEARTH_OK)
        return encode_fail(r->settings, index, status, &err);
    if (r->settings->similarity)
        return embed_keep(r, &e);
    if (r->settings->common.json)
        embed_json(r, &e);
    else
        embed_plain(&e);
    return HC_OK;
}

static double embed_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* A row a text: its cosine with every text. */
static void embed_similarity(const struct embed_run *r)
{
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < r->n; k++)
            printf("%s%.4f%s", k ? "  " : "",
                   embed_cosine(r->kept + i * r->size, r->kept + k * r->size, r->size),
                   k + 1 < r->n ? "" : "\n");
}

static int embed_run(const void *settings)
{
    static const char *const names[] = {
        [HEARTH_POOL_MEAN] = "mean", [HEARTH_POOL_CLS] = "cls", [HEARTH_POOL_LAST] = "last"};
    struct embed_run r = {.settings = settings};
    size_t pooling = HEARTH_POOL_MEAN;
    if (!r.settings->pooling)
        pooling = HEARTH_POOL_MODEL;
    while (r.settings->pooling && pooling < HC_COUNT(names) &&
           strcmp(names[pooling], r.settings->pooling) != 0)
        pooling++;
    if (pooling == HC_COUNT(names))
        return hc_fail(HC_USAGE, "--pooling", "%s; mean, cls and last are accepted",
                       r.settings->pooling);
    int rc = encode_each(r.settings, (hearth_pooling)pooling, embed_text, &r);
    if (rc == HC_OK && r.settings->similarity) {
        embed_similarity(&r);
        rc = hc_finish_output();
    }
    free(r.kept);
    return rc;
}

static const struct hc_option embed_options[] = {
    ENCODE_OPTIONS,
    {"--pooling", HC_TEXT, ENCODE_FIELD(pooling), 0, 0, "KIND", "mean, cls or last (as the model says, else mean)"},
    {"--no-normalize", HC_FLAG, ENCODE_FIELD(no_normalize), 0, 0, NULL,
     "leave the length of a vector as it is"},
    {"--similarity", HC_FLAG, ENCODE_FIELD(similarity), 0, 0, NULL,
     "print the cosine of each text with every text instead of vectors"},
    HC_OPTIONS_END,
};

static const struct encode_settings embed_defaults ;

const struct hc_command hc_command_embed = {
    .name = "embed",
    .synopsis = "-m FILE (-p TEXT... | -f FILE) [--pooling KIND]",
    .text = "A vector for each text, of length 1 unless --no-normalize. Every text is computed by itself:\n"
            "its vector does not depend on the others. Pooling leaves padding out.",
    .options = embed_options,
    .settings_size = sizeof(struct encode_settings),
    .defaults = &embed_defaults,
    .run = embed_run,
};
