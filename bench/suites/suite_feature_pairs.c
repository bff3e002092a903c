/* Each feature on and off on this tree's own small model, interleaved, beside what the specification expects of it. */
#include "base/hb_arena.h"
#include "base/os/hb_os.h"
#include "bn_run.h"
#include "serve/hs_wire.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void pair_result(struct bn_run *run, const struct bn_model *m, enum bn_feature f, const char *unit, const double *on, const double *off,
                        size_t n, bool higher, const char *what)
{
    struct bn_result *r = bn_add(run, "x", BN_HIGHER, BN_UNGATED, "%s: on / off", bn_features[f].name);
    double a = bn_median(on, n), b = bn_median(off, n);
    if (m)
        bn_of_model(r, m);
    for (size_t i = 0; i < n; i++)
        bn_sample(r, higher ? on[i] / off[i] : off[i] / on[i]);
    bn_settle(r, "median");
    bn_params(r, "%s: %.4g on, %.4g off %s; expected: %s", what, a, b, unit, bn_features[f].expected);
}

/* Tokens a second of 64 tokens (8 in smoke mode) behind a prompt of 64. */
static int pair_decode(struct bn_run *run, struct bn_model *m, int threads, bool lookup, double *rate)
{
    struct bn_session s;
    hearth_session_config config = {.n_ctx = 256, .n_logits = 8};
    hearth_generation *gen = NULL;
    hearth_error err = {0};
    int32_t ids[64];
    for (int32_t i = 0; i < 64; i++)
        ids[i] = 100 + i % 16 * 37; /* repeats itself, as lookups like it */
    int rc = bn_session_open(run, m, &config, threads, &s);
    const hearth_speculation_config spec = {.struct_size = sizeof spec, .lookup = 1};
    const hearth_generation_config gc = {.struct_size = sizeof gc, .max_tokens = run->smoke ? 8 : 64, .ignore_end = 1,
                                         .speculation = lookup ? &spec : NULL};
    hearth_status status = rc == 0 ? hearth_generation_open(s.session, &gc, &gen, &err) : HEARTH_OK;
    if (rc == 0 && status == HEARTH_OK)
        status = hearth_generation_prompt(gen, ids, 64, &err);
    uint64_t t0 = bn_began();
    for (hearth_piece p = {.struct_size = sizeof p}; rc == 0 && status == HEARTH_OK && p.finish == HEARTH_FINISH_NONE;)
        status = hearth_generation_next(gen, &p, &err);
    *rate = gc.max_tokens * 1e9 / bn_ended(run, t0);
    hearth_generation_close(gen);
    bn_session_close(&s);
    return rc == 0 && status != HEARTH_OK ? bn_wrong(run, "%s", err.text) : rc;
}

static int pair_of(struct bn_run *run, struct bn_model *m, enum bn_feature f)
{
    double rate[2][9];
    uint32_t features = run->features;
    size_t n = bn_rounds(run, 9);
    int rc = 0;
    if (!bn_features[f].built || !(features >> f & 1)) {
        bn_missing(bn_add(run, "x", BN_HIGHER, BN_UNGATED, "%s: on / off", bn_features[f].name), "%s",
                   bn_features[f].built ? "switched off in this run" : "this build is without it");
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < n; i++)
        for (int on = 0; rc == 0 && on < 2; on++) {
            run->features = on ? features : features & ~(1u << f);
            rc = pair_decode(run, m, f == BN_F_thread_pool ? 0 : 1, f == BN_F_speculative_decoding && on, &rate[on][i]);
        }
    run->features = features;
    if (rc == 0)
        pair_result(run, m, f, "tokens/s", rate[1], rate[0], n, true, "64 tokens of text behind 64");
    return rc;
}

/* ---- mmap: what is private to a process; the wire ---- */

static void pair_mmap(struct bn_run *run, const struct bn_model *m)
{
    double anon[2] = {NAN, NAN};
    for (int on = 0; on < 2; on++) {
        char out[2048];
        uint64_t first, end;
        const char *args[] = {"bench", "probe", "-m", m->path, "-c", "128", "-p", "16", "-n", "1", on ? NULL : "--no-mmap", NULL};
        if (bn_child(run, args, out, sizeof out, &first, &end) == 0)
            anon[on] = bn_json_number(out, "anon") * 1e-6;
    }
    pair_result(run, m, BN_F_mmap_loading, "MB", &anon[1], &anon[0], 1, false, "anonymous memory of a process");
}

static int pair_wire(struct bn_run *run)
{
    static uint32_t ids[1000], got[1000];
    static uint8_t frame[1 << 15];
    struct hk_table k;
    struct hb_arena arena;
    struct hs_generate sent = {0};
    double ns[2][9];
    size_t n = bn_rounds(run, 9), count;
    bool right = true;
    hk_select(&k, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&arena, hb_os_heap());
    for (uint32_t i = 0; i < 1000; i++)
        ids[i] = i * 31 % 32000;
    HS_SET(&sent, generate, id, 1);
    HS_SET(&sent, generate, prompt_tokens, (struct hs_tokens){.values = ids, .n = 1000});
    for (size_t i = 0; i < n; i++)
        for (int on = 0; on < 2; on++) {
            uint64_t t0 = bn_began();
            for (int loop = 0; loop < (run->smoke ? 2 : 200); loop++) {
                union hs_any msg;
                const struct hs_message *m = &hs_messages[HS_M_generate];
                hb_arena_clear(&arena);
                size_t len = on ? hs_binary_encode(&k, m, &sent, frame, sizeof frame) : hs_json_encode(&k, m, &sent, frame, sizeof frame);
                hearth_status status = on ? hs_binary_decode(m, frame + 5, len - 5, &msg, NULL)
                                          : hs_json_decode(frame + 4, len - 4, &arena, &m, &msg, NULL);
                right = right && status == HEARTH_OK &&
                        hs_tokens_read(&k, &msg.generate.prompt_tokens, got, 1000, &count, NULL) == HEARTH_OK && count == 1000;
            }
            ns[on][i] = bn_ended(run, t0) / (run->smoke ? 2 : 200);
            right = right && memcmp(ids, got, sizeof ids) == 0;
        }
    hb_arena_release(&arena);
    if (!right)
        return bn_wrong(run, "a message does not come back");
    pair_result(run, NULL, BN_F_v2_encoding, "ns", ns[1], ns[0], n, false, "1 000 ids encoded and decoded");
    return 0;
}

/* Formats: what is refused when they are off. */
static int pair_format(struct bn_run *run, struct bn_model *m, enum bn_feature f)
{
    uint32_t features = run->features;
    if (!bn_features[f].built || !(features >> f & 1))
        return 0;
    run->features &= ~(1u << f);
    int rc = bn_model_open(run, m);
    bn_model_close(m);
    run->features = features;
    if (rc == 0)
        return bn_wrong(run, "%s opens with %s switched off", m->label, bn_features[f].name);
    struct bn_result *r = bn_add(run, "x", BN_NEITHER, BN_UNGATED, "%s: on / off", bn_features[f].name);
    bn_missing(r, "off: its files are refused; expected: %s", bn_features[f].expected);
    return 0;
}

int suite_feature_pairs(struct bn_run *run)
{
    static const enum bn_feature decode[] = {BN_F_kv_cache, BN_F_thread_pool, BN_F_arena_allocator, BN_F_speculative_decoding};
    struct bn_model found[2];
    char why[200];
    if (bn_models_find(run, BN_SMALL, found, 1, why) == 0)
        return bn_refuse(run, "%s", why);
    int rc = bn_model_open(run, &found[0]);
    for (size_t i = 0; rc == 0 && i < 4; i++)
        rc = pair_of(run, &found[0], decode[i]);
    bn_model_close(&found[0]);
    if (rc == 0 && BN_ON(run, mmap_loading))
        pair_mmap(run, &found[0]);
    rc = rc == 0 && BN_ON(run, v2_encoding) ? pair_wire(run) : rc;
    rc = rc == 0 ? pair_format(run, &found[0], BN_F_gguf) : rc;
    if (rc == 0 && bn_models_find(run, BN_CLASSIFIER, found, 2, why) > 0)
        rc = pair_format(run, &found[0], BN_F_onnx);
    return rc;
}
