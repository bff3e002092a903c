/* What a request costs before the model, and classification and embedding through the model: by length, batch and
 * threads, every sample kept. One text goes the whole way, text to label or vector; batches go as tensors.
 * Outputs must be finite, and the same each time. */
#include "base/hb_arena.h"
#include "base/os/hb_os.h"
#include "bn_run.h"
#include "runtime/hr_memory.h"
#include "serve/hs_guard.h"
#include "serve/hs_sched.h"
#include "serve/hs_wire.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- messages of chat and generate, decoded with all their checks ---- */

struct message {
    struct hs_guard *guard;
    union hs_any decoded;
    struct hk_table kernels;
    struct hb_arena arena;
    uint8_t *frame;
    size_t len, capacity;
    const struct hs_message *kind;
    size_t turns;
};

static bool message_decode(void *ctx)
{
    struct message *b = ctx;
    union hs_any msg;
    if (hs_binary_decode(b->kind, b->frame + 5, b->len - 5, &msg, NULL) != HEARTH_OK)
        return false;
    if (b->kind == &hs_messages[HS_M_generate])
        return msg.generate.prompt.len <= HS_MAX_TEXT;
    struct hs_turn turn;
    bool more = true;
    size_t at = 0, n = 0;
    for (; hs_part_next(&hs_messages[HS_M_turn], &msg.chat.turns, &at, &turn, &more, NULL) == HEARTH_OK && more; n++)
        if (turn.content.len > HS_MAX_TEXT)
            return false;
    return n == b->turns;
}

/* What the server asks of a request before anything is done for it; a text that is too long must be refused. */
static bool message_guard(void *ctx)
{
    struct message *b = ctx;
    return hs_guard_check(b->guard, b->kind, &b->decoded, NULL) == HEARTH_OK;
}

static int message_validate(struct bn_run *run, struct message *b, const char *name, size_t bytes)
{
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "input validation, %s", name);
    bn_params(r, "%zu bytes of text, every bound of the server's guard; not the bytes", bytes);
    if (hs_binary_decode(b->kind, b->frame + 5, b->len - 5, &b->decoded, NULL) != HEARTH_OK)
        return bn_wrong(run, "%s does not come back", name);
    int rc = bn_time(run, r, message_guard, b, 1);
    if (rc == 0 && b->kind == &hs_messages[HS_M_generate]) {
        b->decoded.generate.prompt.len = HS_MAX_TEXT + 1;
        rc = message_guard(b) ? bn_wrong(run, "a text of %u bytes passes the guard", HS_MAX_TEXT + 1) : 0;
    }
    return rc;
}

static int message_time(struct bn_run *run, struct message *b, const void *msg, const char *name, size_t bytes)
{
    b->len = hs_binary_encode(&b->kernels, b->kind, msg, b->frame, b->capacity);
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "%s", name);
    bn_params(r, "%zu bytes of text, decoded with every check of the wire", bytes);
    int rc = b->len ? bn_time(run, r, message_decode, b, 1) : bn_wrong(run, "%s cannot be encoded", name);
    return rc == 0 ? message_validate(run, b, name, bytes) : rc;
}

static int message_rows(struct bn_run *run)
{
    static const size_t lengths[] = {256, 2048, 16384}, turns[] = {2, 10, 32};
    struct message b = {.capacity = 1 << 17};
    struct hs_turn turn[32] = {{0}};
    char *text = malloc(16384);
    int rc = 0;
    b.frame = malloc(b.capacity);
    if (!text || !b.frame) {
        free(text);
        free(b.frame);
        return bn_refuse(run, "no memory");
    }
    hk_select(&b.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    memset(text, 'x', 16384);
    hb_arena_init_growing(&b.arena, hb_os_heap());
    if (hs_guard_create(NULL, NULL, &b.arena, &b.guard, NULL) != HEARTH_OK)
        rc = bn_refuse(run, "no guard");
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        struct hs_generate g = {0};
        char name[64];
        b.kind = &hs_messages[HS_M_generate];
        HS_SET(&g, generate, id, 1);
        HS_SET(&g, generate, prompt, (struct hs_bytes){text, lengths[i]});
        snprintf(name, sizeof name, "request with text of %zu", lengths[i]);
        rc = message_time(run, &b, &g, name, lengths[i]);
    }
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        struct hs_chat c = {0};
        char name[64];
        for (size_t k = 0; k < turns[i]; k++) {
            HS_SET(&turn[k], turn, role, (struct hs_bytes){k % 2 ? "assistant" : "user", k % 2 ? 9 : 4});
            HS_SET(&turn[k], turn, content, (struct hs_bytes){text, 500});
        }
        b.kind = &hs_messages[HS_M_chat];
        b.turns = turns[i];
        HS_SET(&c, chat, id, 1);
        HS_SET(&c, chat, turns, (struct hs_list){.items = turn, .n = turns[i]});
        snprintf(name, sizeof name, "chat of %zu turns of 500", turns[i]);
        rc = message_time(run, &b, &c, name, turns[i] * 500);
    }
    hb_arena_release(&b.arena);
    free(text);
    free(b.frame);
    return rc;
}

/* ---- all that a request costs besides the model, in one process ---- */

struct chain {
    struct hk_table kernels;
    struct hs_sched *sched;
    struct hs_guard *guard;
    struct hb_arena arena;
    hearth_memory *memory;
    struct hs_generate sent;
    uint32_t *ids;
    uint8_t *frame, *out;
    size_t n, len;
};

static bool chain_run(void *ctx)
{
    struct chain *b = ctx;
    union hs_any msg;
    struct hr_call own, *call;
    struct hs_request r = {.key = {1, 1}, .priority = 1, .tokens = 200, .bytes = 1000, .deadline_ns = HS_NEVER};
    struct hs_done done = {0};
    void *ids;
    size_t n;
    if (hs_binary_decode(&hs_messages[HS_M_generate], b->frame + 5, b->len - 5, &msg, NULL) != HEARTH_OK ||
        hs_guard_check(b->guard, &hs_messages[HS_M_generate], &msg, NULL) != HEARTH_OK ||
        hr_call_begin(b->memory, hb_os_heap(), &own, &call, NULL) != HEARTH_OK)
        return false;
    bool right = hb_arena_take_raw(&call->arena, b->n * 4, 16, &ids, NULL) == HEARTH_OK &&
                 hs_tokens_read(&b->kernels, &msg.generate.prompt_tokens, ids, b->n, &n, NULL) == HEARTH_OK &&
                 n == b->n && hs_sched_push(b->sched, &r, 1) == HS_ADMITTED &&
                 hs_sched_take(b->sched, 0, 1, 0, &r, 1) == 1 && hs_sched_finish(b->sched, r.key);
    HS_SET(&done, done, id, msg.generate.id);
    HS_SET(&done, done, reason, 0);
    HS_SET(&done, done, prompt_tokens, b->n);
    HS_SET(&done, done, generated_tokens, 100);
    HS_SET(&done, done, text, (struct hs_bytes){(const char *)b->frame, 400});
    right = right && hs_binary_encode(&b->kernels, &hs_messages[HS_M_done], &done, b->out, 4096);
    return hr_call_end(call, HEARTH_OK, NULL) == HEARTH_OK && right;
}

static int chain_rows(struct bn_run *run)
{
    static const char *const sizes[] = {"small", "medium", "large"};
    const struct hs_lane_config lane = {4, 10000, 1 << 20};
    const struct hs_sched_config config = {256, 4, 1000000000, 1, &lane};
    struct chain b = {.out = malloc(4096), .frame = malloc(1 << 17)};
    int rc = 0;
    hk_select(&b.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&b.arena, hb_os_heap());
    if (!b.out || !b.frame || hearth_memory_open(NULL, &b.memory, NULL) != HEARTH_OK ||
        hs_sched_create(&config, &b.arena, &b.sched, NULL) != HEARTH_OK ||
        hs_guard_create(NULL, NULL, &b.arena, &b.guard, NULL) != HEARTH_OK)
        rc = bn_refuse(run, "no memory");
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        char path[512];
        struct bn_prompt p;
        hearth_error err = {0};
        snprintf(path, sizeof path, "%s/prompts/%s.json", run->fixtures, sizes[i]);
        if (bn_prompt_read(path, &p, &err) != HEARTH_OK) {
            rc = bn_refuse(run, "%s", err.text);
            break;
        }
        HS_SET(&b.sent, generate, id, 1);
        HS_SET(&b.sent, generate, prompt_tokens, (struct hs_tokens){.values = p.ids, .n = p.n});
        b.n = p.n;
        b.len = hs_binary_encode(&b.kernels, &hs_messages[HS_M_generate], &b.sent, b.frame, 1 << 17);
        struct bn_result *r = bn_add(run, "us", BN_LOWER, BN_LATENCY, "infrastructure %s", sizes[i]);
        bn_params(r, "%zu tokens: decode, guard, memory of the call, scheduler, answer of 400 bytes; one process", p.n);
        rc = bn_time(run, r, chain_run, &b, 1000);
        bn_prompt_free(&p);
    }
    free(b.out);
    free(b.frame);
    hearth_memory_close(b.memory);
    hb_arena_release(&b.arena);
    return rc;
}

/* ---- encoders ---- */

struct encode {
    struct bn_run *run;
    struct bn_model *m;
    struct bn_session s;
    hearth_tokenizer *tokenizer;
    hearth_encoder *encoder;
    char text[8192];
    size_t text_len;
    int32_t n_tokens;
};

static const char encode_words[] = "the old house by the sea was full of light and the ship came in at dawn with men who "
                                   "had seen many a long night ";

/* The longest text of those words with at most n tokens. */
static void encode_text(struct encode *e, int32_t n)
{
    size_t period = sizeof encode_words - 1, len = 0, good = 0, got;
    for (int words = 0; words < 1024 && len + 64 < sizeof e->text; words++) {
        do
            e->text[len] = encode_words[len % period], len++;
        while (encode_words[len % period] != ' ');
        hearth_tokenizer_encode(e->tokenizer, e->text, len, HEARTH_TOKENIZE_SPECIAL, NULL, 0, &got, NULL);
        if (got > (size_t)n)
            break;
        good = len;
        e->n_tokens = (int32_t)got;
    }
    e->text_len = good;
}

static hearth_status encode_once(struct encode *e, hearth_encoding *out, hearth_error *err)
{
    out->struct_size = sizeof *out;
    return e->m->role == BN_CLASSIFIER ? hearth_encoder_classify(e->encoder, e->text, e->text_len, out, err)
                                       : hearth_encoder_embed(e->encoder, e->text, e->text_len, out, err);
}

static int encode_length(struct encode *e, int32_t n)
{
    static float first[4096];
    hearth_error err = {0};
    hearth_encoding out;
    encode_text(e, n);
    if (encode_once(e, &out, &err) != HEARTH_OK)
        return bn_wrong(e->run, "%s: %s", e->m->label, err.text);
    size_t values = out.n_values < 4096 ? out.n_values : 4096;
    memcpy(first, out.values, values * sizeof *first);
    for (size_t i = 0; i < values; i++)
        if (!isfinite(first[i]))
            return bn_wrong(e->run, "%s: a value is not finite", e->m->label);
    struct bn_result *r = bn_add(e->run, "ms", BN_LOWER, BN_LATENCY, "%s, %d tokens",
                                 e->m->role == BN_CLASSIFIER ? "classify" : "embed", n);
    bn_of_model(r, e->m);
    r->threads = e->s.threads;
    bn_params(r, "%d tokens, batch 1, %d threads, %s, text to result", (int)e->n_tokens, e->s.threads, e->m->info.file_type);
    for (size_t i = 0; i < bn_rounds(e->run, 200); i++) {
        uint64_t t0 = bn_began();
        if (encode_once(e, &out, &err) != HEARTH_OK || memcmp(first, out.values, values * sizeof *first) != 0)
            return bn_wrong(e->run, "%s: another result than before", e->m->label);
        bn_sample(r, bn_ended(e->run, t0) * 1e-6);
    }
    bn_settle(r, "p95");
    struct bn_result *rate = bn_add(e->run, "texts/s", BN_HIGHER, BN_UNGATED, "%s rate, %d tokens",
                                    e->m->role == BN_CLASSIFIER ? "classify" : "embed", n);
    bn_of_model(rate, e->m);
    rate->threads = e->s.threads;
    bn_single(rate, 1e3 / bn_median(r->sample, r->n));
    return 0;
}

/* Eight sequences of 64 as tensors. */
static int encode_batch(struct encode *e, int64_t batch, int64_t seq)
{
    hearth_tensor in[4], out[4];
    hearth_error err = {0};
    int64_t *data[4] = {NULL};
    size_t n_in = hearth_model_input_count(e->m->model), n_out = hearth_model_output_count(e->m->model);
    int rc = 0;
    if (n_in > 4 || n_out > 4)
        return 0;
    for (size_t i = 0; i < n_in; i++) {
        hearth_io_info io = {.struct_size = sizeof io};
        hearth_model_input(e->m->model, i, &io, NULL);
        data[i] = calloc((size_t)(batch * seq), sizeof **data);
        for (int64_t k = 0; data[i] && k < batch * seq; k++)
            data[i][k] = strstr(io.name, "mask") ? 1 : strstr(io.name, "input_ids") ? 5 + k * 7919 % 1000 : 0;
        in[i] = (hearth_tensor){.name = io.name, .type = HEARTH_DTYPE_I64, .rank = 2, .dim = {batch, seq},
                                .data = data[i], .bytes = (size_t)(batch * seq) * sizeof **data};
    }
    struct bn_result *r = bn_add(e->run, "ms", BN_LOWER, BN_LATENCY, "batch of %d, %d tokens", (int)batch, (int)seq);
    bn_of_model(r, e->m);
    r->threads = e->s.threads;
    bn_params(r, "%d sequences of %d, %d threads, %s, tensors", (int)batch, (int)seq, e->s.threads, e->m->info.file_type);
    for (size_t i = 0; rc == 0 && i < 2 + bn_rounds(e->run, 60); i++) {
        uint64_t t0 = bn_began();
        if (hearth_session_infer(e->s.session, in, n_in, out, n_out, &err) != HEARTH_OK)
            rc = bn_wrong(e->run, "%s: %s", e->m->label, err.text);
        else if (i >= 2)
            bn_sample(r, bn_ended(e->run, t0) * 1e-6);
    }
    for (size_t i = 0; rc == 0 && i < out[0].bytes / 4; i++)
        if (!isfinite(((const float *)out[0].data)[i]))
            rc = bn_wrong(e->run, "%s: a value is not finite", e->m->label);
    bn_settle(r, "p95");
    for (size_t i = 0; i < n_in; i++)
        free(data[i]);
    return rc;
}

static hearth_status encode_tokenizer(struct encode *e, hearth_error *err)
{
    char path[512];
    hearth_file *file;
    hearth_tokenizer_config config = {.struct_size = sizeof config,
                                      .flags = BN_ON(e->run, simd_tokenizer) ? 0 : HEARTH_TOKENIZER_NO_SIMD};
    bool minilm = e->m->role == BN_EMBEDDER && e->m->origin == BN_REAL;
    snprintf(path, sizeof path, "%s/models/%s", e->run->fixtures, minilm ? "minilm-tokenizer.json" : "tokenizer.json");
    hearth_status status = hearth_file_open(path, NULL, &file, err);
    if (status != HEARTH_OK)
        return status;
    hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
    status = hearth_tokenizer_open(&bytes, &config, &e->tokenizer, err);
    hearth_file_close(file);
    return status;
}

static int encode_model(struct bn_run *run, struct bn_model *m, int threads)
{
    static const int32_t lengths[] = {16, 32, 64, 128, 256};
    struct encode e = {.run = run, .m = m};
    hearth_error err = {0};
    hearth_session_config config = {0};
    int rc = bn_session_open(run, m, &config, threads, &e.s);
    if (rc == 0 && encode_tokenizer(&e, &err) != HEARTH_OK)
        rc = bn_refuse(run, "%s", err.text);
    const hearth_encoder_config ec = {.struct_size = sizeof ec, .session = e.s.session, .tokenizer = e.tokenizer};
    if (rc == 0 && hearth_encoder_open(&ec, &e.encoder, &err) != HEARTH_OK)
        rc = bn_refuse(run, "%s: %s", m->label, err.text);
    for (size_t i = 0; rc == 0 && i < (run->smoke ? 1 : sizeof lengths / sizeof *lengths); i++)
        rc = encode_length(&e, lengths[i]);
    if (rc == 0)
        rc = encode_batch(&e, 8, run->smoke ? 16 : 64);
    hearth_encoder_close(e.encoder);
    hearth_tokenizer_close(e.tokenizer);
    bn_session_close(&e.s);
    return rc;
}

static int encode_role(struct bn_run *run, enum bn_role role)
{
    struct bn_model found[4];
    char why[200];
    size_t n = bn_models_find(run, role, found, 4, why);
    int rc = 0;
    if (why[0])
        bn_missing(bn_add(run, "ms", BN_LOWER, BN_UNGATED, "%s", role == BN_CLASSIFIER ? "classify, file" : "embed, file"), "%s", why);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        int most = bn_run_threads(run);
        rc = bn_model_open(run, &found[i]);
        for (int t = 1; rc == 0 && t <= most; t = t < most && !run->smoke ? most : most + 1)
            rc = encode_model(run, &found[i], t);
        if (rc > 0)
            bn_missing(bn_add(run, "ms", BN_LOWER, BN_UNGATED, "%s", found[i].label), "%s", run->why);
        bn_model_close(&found[i]);
    }
    return rc < 0 ? rc : 0;
}

int suite_inference_latency(struct bn_run *run)
{
    int rc = message_rows(run);
    rc = rc == 0 ? chain_rows(run) : rc;
    rc = rc == 0 ? encode_role(run, BN_CLASSIFIER) : rc;
    return rc == 0 ? encode_role(run, BN_EMBEDDER) : rc;
}
