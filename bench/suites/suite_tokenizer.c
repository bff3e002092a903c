/* Megabytes of text a second to ids, scalar and by vectors, one thread; the ids must give the text back. */
#include "bn_run.h"
#include <stdlib.h>
#include <string.h>

struct tok {
    const hearth_model *model;
    const char *text;
    size_t len, n, capacity;
    int32_t *ids;
};

static bool tok_run(void *ctx)
{
    struct tok *b = ctx;
    size_t n;
    return hearth_tokenize(b->model, b->text, b->len, 0, b->ids, b->capacity, &n, NULL) == HEARTH_OK && n == b->n;
}

static bool tok_back(const struct tok *b)
{
    size_t at = 0;
    for (size_t i = 0; i < b->n; i++) {
        const char *bytes;
        size_t len;
        if (hearth_token_bytes(b->model, b->ids[i], 1, &bytes, &len, NULL) != HEARTH_OK || len > b->len - at ||
            memcmp(b->text + at, bytes, len) != 0)
            return false;
        at += len;
    }
    return at == b->len;
}

/* Words of all lengths, digits, punctuation, a little of other scripts. */
static char *tok_text(size_t len)
{
    static const char *const parts[] = {"the ", "house ", "of a ", "nineteen ", "1847, ", "\xC3\xA9t\xC3\xA9 ", "remarkable; ",
                                        "it was ", "\n\n", "\"Well,\" ", "said he. ", "\xE6\x97\xA5\xE6\x9C\xAC ", "longing ",
                                        "(see page 32) ", "ship ", "and "};
    char *text = malloc(len + 32);
    uint64_t seed = 3;
    size_t n = 0;
    while (text && n < len) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const char *part = parts[seed >> 60];
        memcpy(text + n, part, strlen(part));
        n += strlen(part);
    }
    return text;
}

static int tok_case(struct bn_run *run, struct bn_model *m, bool on, struct tok *b, double *rate)
{
    uint32_t features = run->features;
    if (!on)
        run->features &= ~(1u << BN_F_simd_tokenizer);
    int rc = bn_model_open(run, m);
    run->features = features;
    b->model = m->model;
    hearth_error err = {0};
    if (rc == 0 && hearth_tokenize(m->model, b->text, b->len, 0, b->ids, b->capacity, &b->n, &err) != HEARTH_OK)
        rc = bn_wrong(run, "%s", err.text);
    if (rc == 0 && !tok_back(b))
        rc = bn_wrong(run, "the ids do not give the text back");
    struct bn_result *r = bn_add(run, "ns/KB", BN_LOWER, BN_LATENCY, "encode, simd_tokenizer %s", on ? "on" : "off");
    bn_of_model(r, m);
    bn_params(r, "%zu bytes, %zu ids, one thread", b->len, b->n);
    rc = rc == 0 ? bn_time(run, r, tok_run, b, (double)b->len / 1000) : rc;
    struct bn_result *mb = bn_add(run, "MB/s", BN_HIGHER, BN_UNGATED, "encode rate, simd_tokenizer %s", on ? "on" : "off");
    bn_of_model(mb, m);
    bn_single(mb, *rate = 1e6 / (r->value > 0 ? r->value : 1e30));
    bn_model_close(m);
    return rc;
}

int suite_tokenizer(struct bn_run *run)
{
    struct bn_model found[1];
    char why[200];
    double rate[2] = {0, 0};
    size_t len = run->smoke ? 4000 : 200000;
    struct tok b = {.len = len, .capacity = len};
    if (bn_models_find(run, BN_SMALL, found, 1, why) == 0)
        return bn_refuse(run, "%s", why);
    char *text = tok_text(len);
    b.text = text;
    b.ids = malloc(b.capacity * sizeof *b.ids);
    int rc = text && b.ids ? 0 : bn_refuse(run, "no memory");
    for (int on = 0; rc == 0 && on < (BN_ON(run, simd_tokenizer) ? 2 : 1); on++)
        rc = tok_case(run, &found[0], on, &b, &rate[on]);
    if (rc == 0 && rate[1] > 0) {
        struct bn_result *r = bn_add(run, "x", BN_HIGHER, BN_UNGATED, "simd_tokenizer on / off");
        bn_of_model(r, &found[0]);
        bn_single(r, rate[1] / rate[0]);
    }
    free(text);
    free(b.ids);
    return rc;
}
