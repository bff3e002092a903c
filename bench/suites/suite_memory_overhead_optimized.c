/* The arena on and off: time to make a session, allocations that takes, tokens a second, resident size; the texts must be
 * the same. */
#include "bn_run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct counted {
    uint64_t calls;
};

static void *counted_alloc(void *user, size_t size)
{
    ((struct counted *)user)->calls++;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void counted_free(void *user, void *at, size_t size)
{
    (void)user;
    (void)size;
    free(at);
}

static int arena_case(struct bn_run *run, struct bn_model *m, bool on, float *logits)
{
    struct counted heap = {0};
    uint32_t features = run->features;
    const char *word = on ? "on" : "off";
    hearth_error err = {0};
    int32_t ids[64];
    if (!on)
        run->features &= ~(1u << BN_F_arena_allocator);
    for (int32_t i = 0; i < 64; i++)
        ids[i] = 100 + i * 37;
    struct bn_result *make = bn_add(run, "us", BN_LOWER, BN_UNGATED, "make a session, arena %s", word);
    bn_of_model(make, m);
    bn_params(make, "context 512, one thread");
    struct bn_result *tg = bn_add(run, "tokens/s", BN_HIGHER, BN_UNGATED, "decode, arena %s", word);
    bn_of_model(tg, m);
    int rc = 0;
    uint64_t during = 0;
    for (size_t i = 0; rc == 0 && i < bn_rounds(run, 15); i++) {
        struct bn_session s;
        hearth_session_config config = {.n_ctx = 512, .allocator = {counted_alloc, counted_free, &heap}};
        heap.calls = 0;
        uint64_t t0 = bn_began();
        rc = bn_session_open(run, m, &config, 1, &s);
        bn_sample(make, bn_ended(run, t0) * 1e-3);
        uint64_t made = heap.calls;
        hearth_status status = rc == 0 ? hearth_session_eval(s.session, ids, 32, NULL, &err) : HEARTH_OK;
        t0 = bn_began();
        for (int32_t k = 32; rc == 0 && status == HEARTH_OK && k < 64; k++)
            status = hearth_session_eval(s.session, ids + k, 1, logits, &err);
        bn_sample(tg, 32e9 / bn_ended(run, t0));
        during = heap.calls - made;
        if (status != HEARTH_OK)
            rc = bn_wrong(run, "%s", err.text);
        else if (i == 0 && rc == 0) {
            struct bn_result *r = bn_add(run, "calls", BN_LOWER, BN_UNGATED, "allocations for a session, arena %s", word);
            bn_of_model(r, m);
            bn_single(r, (double)made);
        }
        if (rc == 0 && during != 0)
            rc = bn_wrong(run, "%llu allocations while it ran", (unsigned long long)during);
        bn_session_close(&s);
    }
    bn_settle(make, "median");
    bn_settle(tg, "median");
    run->features = features;
    return rc;
}

static void arena_resident(struct bn_run *run, const struct bn_model *m, bool on)
{
    char out[2048];
    uint64_t first, end;
    const char *args[] = {"bench", "probe", "-m", m->path, "-c", "2048", "-p", "500", "-n", "16", on ? NULL : "--no-arena", NULL};
    struct bn_result *r = bn_add(run, "MB", BN_LOWER, BN_UNGATED, "peak resident, arena %s", on ? "on" : "off");
    bn_of_model(r, m);
    bn_params(r, "context 2048, prompt of 500");
    if (bn_child(run, args, out, sizeof out, &first, &end) == 0)
        bn_single(r, bn_json_number(out, "peak") * 1e-6);
    else
        bn_missing(r, "hearth bench probe failed");
}

int suite_memory_overhead_optimized(struct bn_run *run)
{
    struct bn_model found[1];
    char why[200];
    float *logits[2] = {NULL, NULL};
    if (!bn_features[BN_F_arena_allocator].built || !BN_ON(run, arena_allocator))
        return bn_refuse(run, "arena_allocator is off: there is nothing to compare");
    if (bn_models_find(run, BN_SMALL, found, 1, why) == 0)
        return bn_refuse(run, "%s", why);
    int rc = bn_model_open(run, &found[0]);
    for (int on = 0; rc == 0 && on < 2; on++) {
        logits[on] = calloc((size_t)found[0].info.vocab_size, sizeof **logits);
        rc = logits[on] ? arena_case(run, &found[0], on, logits[on]) : bn_refuse(run, "no memory");
    }
    if (rc == 0 && memcmp(logits[0], logits[1], (size_t)found[0].info.vocab_size * sizeof **logits) != 0)
        rc = bn_wrong(run, "the scores with the arena are not those without");
    for (int on = 0; rc == 0 && on < 2; on++)
        arena_resident(run, &found[0], on);
    free(logits[0]);
    free(logits[1]);
    bn_model_close(&found[0]);
    return rc;
}
