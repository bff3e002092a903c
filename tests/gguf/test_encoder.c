/* Encoders in GGUF files: fixtures/arch/bert against transformers (tools/make_bert_fixture.py), through
 * hearth_session_infer and hearth_encoder_embed; refusals, memory and damaged files. */
#include "gguf_writer.h"
#include <math.h>

#define DIR HEARTH_SOURCE_DIR "/fixtures/arch/"

enum { N_EMBD = 32, N_CTX = 48, MAX_TEXTS = 8 };

struct ref_text {
    const char *text;
    uint32_t len, n;
    const int32_t *ids;
    const float *hidden; /* [n][N_EMBD] */
};

static struct gw ref_bytes;
static struct ref_text refs[MAX_TEXTS];
static uint32_t n_refs;

static uint32_t ref_u32(const uint8_t **at)
{
    uint32_t v;
    memcpy(&v, *at, 4);
    *at += 4;
    return v;
}

static int setup(void **state)
{
    (void)state;
    assert_true(gw_read(&ref_bytes, DIR "bert.ref"));
    const uint8_t *at = ref_bytes.at;
    assert_memory_equal(at, "HENC", 4);
    at += 4;
    n_refs = ref_u32(&at);
    assert_int_equal(ref_u32(&at), N_EMBD);
    assert_in_range(n_refs, 1, MAX_TEXTS);
    for (uint32_t i = 0; i < n_refs; i++) {
        struct ref_text *r = &refs[i];
        r->len = ref_u32(&at);
        r->text = (const char *)at;
        at += r->len;
        r->n = ref_u32(&at);
        int32_t *ids = malloc(r->n * sizeof *ids);
        float *hidden = malloc(r->n * N_EMBD * sizeof *hidden);
        memcpy(ids, at, r->n * sizeof *ids);
        at += r->n * sizeof *ids;
        memcpy(hidden, at, r->n * N_EMBD * sizeof *hidden);
        at += r->n * N_EMBD * sizeof *hidden;
        r->ids = ids;
        r->hidden = hidden;
    }
    assert_ptr_equal(at, ref_bytes.at + ref_bytes.len);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < n_refs; i++) {
        free((void *)(uintptr_t)refs[i].ids);
        free((void *)(uintptr_t)refs[i].hidden);
    }
    gw_free(&ref_bytes);
    return 0;
}

/* ---- a model with its session */

struct rig {
    struct gw w;
    hearth_model *model;
    hearth_session *session;
    hearth_error err;
};

static hearth_status rig_load(struct rig *r, const char *level, hearth_allocator hooks)
{
    const hearth_bytes bytes = {r->w.at, r->w.len};
    const hearth_model_config mc = {.struct_size = sizeof mc, .allocator = hooks};
    const hearth_session_config sc = {.struct_size = sizeof sc, .level = level, .max_bytes = 1 << 20,
                                      .allocator = hooks};
    r->model = NULL;
    r->session = NULL;
    hearth_status status = hearth_model_open(&bytes, 1, &mc, &r->model, &r->err);
    return status == HEARTH_OK ? hearth_session_open(r->model, &sc, &r->session, &r->err) : status;
}

static void rig_open(struct rig *r, const char *name, const char *level)
{
    char path[512];
    *r = (struct rig){0};
    snprintf(path, sizeof path, DIR "%s.gguf", name);
    assert_true(gw_read(&r->w, path));
    if (rig_load(r, level, (hearth_allocator){0}) != HEARTH_OK)
        fail_msg("%s: %s", name, r->err.text);
}

static void rig_close(struct rig *r)
{
    hearth_session_close(r->session);
    hearth_model_close(r->model);
    gw_free(&r->w);
}

static hearth_status rig_infer(struct rig *r, const int32_t *ids, size_t n, hearth_tensor *out)
{
    int32_t types[N_CTX + 8] = {0}, positions[N_CTX + 8];
    const int64_t shape[2] = {1, (int64_t)n};
    const void *const data[3] = {ids, types, positions};
    static const char *const names[3] = {"input_ids", "token_type_ids", "position_ids"};
    hearth_tensor in[3];
    assert_in_range(n, 1, N_CTX + 8);
    for (size_t i = 0; i < n; i++)
        positions[i] = (int32_t)i;
    for (size_t i = 0; i < 3; i++)
        in[i] = (hearth_tensor){names[i], HEARTH_DTYPE_I32, 2, {shape[0], shape[1]}, data[i], n * 4};
    return hearth_session_infer(r->session, in, 3, out, 1, &r->err);
}

static hearth_encoder *rig_encoder(struct rig *r, hearth_encoder_config c)
{
    hearth_encoder *e;
    c.struct_size = sizeof c;
    c.session = r->session;
    if (hearth_encoder_open(&c, &e, &r->err) != HEARTH_OK)
        fail_msg("%s", r->err.text);
    return e;
}

/* ---- against the reference */

static void hidden_states_equal_the_reference(void **state)
{
    static const struct {
        const char *name;
        double bound;
    } cases[] = {{"bert", 2e-5}, {"bert-q8_0", 0.15}};
    (void)state;
    for (size_t c = 0; c < HB_COUNT(cases); c++) {
        struct rig r;
        double worst = 0;
        rig_open(&r, cases[c].name, NULL);
        for (uint32_t i = 0; i < n_refs; i++) {
            hearth_tensor out;
            assert_int_equal(rig_infer(&r, refs[i].ids, refs[i].n, &out), HEARTH_OK);
            assert_int_equal(out.rank, 3);
            assert_int_equal(out.dim[1], refs[i].n);
            assert_int_equal(out.dim[2], N_EMBD);
            for (size_t k = 0; k < refs[i].n * N_EMBD; k++)
                worst = fmax(worst, fabs((double)((const float *)out.data)[k] - (double)refs[i].hidden[k]));
        }
        print_message("%-10s max |difference| %.2e, bound %.0e\n", cases[c].name, worst, cases[c].bound);
        assert_true(worst <= cases[c].bound);
        rig_close(&r);
    }
}

static void a_tokenizer_from_gguf_gives_the_ids_of_tokenizers(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "bert", NULL);
    for (uint32_t i = 0; i < n_refs; i++) {
        int32_t ids[64];
        size_t n;
        assert_int_equal(hearth_tokenize(r.model, refs[i].text, refs[i].len, HEARTH_TOKENIZE_SPECIAL, ids, 64,
                                         &n, &r.err), HEARTH_OK);
        assert_int_equal(n, refs[i].n);
        assert_memory_equal(ids, refs[i].ids, n * sizeof *ids);
    }
    rig_close(&r);
}

static void pooled(const struct ref_text *t, hearth_pooling pooling, double *out)
{
    double length = 0;
    for (size_t d = 0; d < N_EMBD; d++) {
        out[d] = 0;
        for (size_t i = 0; i < t->n; i++)
            out[d] += (double)t->hidden[i * N_EMBD + d] / t->n;
        if (pooling != HEARTH_POOL_MEAN)
            out[d] = (double)t->hidden[(pooling == HEARTH_POOL_LAST ? t->n - 1 : 0) * N_EMBD + d];
        length += out[d] * out[d];
    }
    for (size_t d = 0; d < N_EMBD; d++)
        out[d] /= sqrt(length);
}

/* The file says cls, so that is what HEARTH_POOL_MODEL gives. */
static void embeddings_pool_as_the_file_or_the_caller_says(void **state)
{
    static const hearth_pooling asked[4] = {HEARTH_POOL_MODEL, HEARTH_POOL_MEAN, HEARTH_POOL_CLS,
                                            HEARTH_POOL_LAST};
    struct rig r;
    (void)state;
    rig_open(&r, "bert", NULL);
    for (size_t p = 0; p < HB_COUNT(asked); p++) {
        hearth_encoder *e = rig_encoder(&r, (hearth_encoder_config){.pooling = asked[p]});
        assert_int_equal(hearth_encoder_max_tokens(e), N_CTX);
        for (uint32_t i = 0; i < n_refs; i++) {
            hearth_encoding out = {.struct_size = sizeof out};
            double want[N_EMBD], cosine = 0;
            pooled(&refs[i], asked[p] == HEARTH_POOL_MODEL ? HEARTH_POOL_CLS : asked[p], want);
            assert_int_equal(hearth_encoder_embed(e, refs[i].text, refs[i].len, &out, &r.err), HEARTH_OK);
            assert_int_equal(out.n_values, N_EMBD);
            assert_int_equal(out.n_tokens, refs[i].n);
            for (size_t d = 0; d < N_EMBD; d++)
                cosine += want[d] * (double)out.values[d];
            assert_true(cosine > 1 - 1e-6);
        }
        hearth_encoder_close(e);
    }
    rig_close(&r);
}

static void levels_and_repetition_change_no_bit(void **state)
{
    struct rig a, b;
    hearth_tensor x, y;
    (void)state;
    for (int q = 0; q < 2; q++) {
        rig_open(&a, q ? "bert-q8_0" : "bert", NULL);
        rig_open(&b, q ? "bert-q8_0" : "bert", "scalar");
        for (int round = 0; round < 2; round++)
            for (uint32_t i = 0; i < n_refs; i++) {
                assert_int_equal(rig_infer(&a, refs[i].ids, refs[i].n, &x), HEARTH_OK);
                assert_int_equal(rig_infer(&b, refs[i].ids, refs[i].n, &y), HEARTH_OK);
                assert_int_equal(x.bytes, y.bytes);
                assert_memory_equal(x.data, y.data, x.bytes);
            }
        rig_close(&a);
        rig_close(&b);
    }
}

/* ---- limits of a text */

static void long_texts_are_refused_or_cut_before_sep(void **state)
{
    char text[2 * N_CTX];
    struct rig r;
    hearth_encoding out = {.struct_size = sizeof out};
    hearth_tensor hidden;
    (void)state;
    rig_open(&r, "bert", NULL);
    hearth_encoder *e = rig_encoder(&r, (hearth_encoder_config){0});
    memset(text, '.', sizeof text); /* a token each */
    assert_int_equal(hearth_encoder_embed(e, text, N_CTX - 2, &out, &r.err), HEARTH_OK);
    assert_int_equal(out.n_tokens, N_CTX);
    assert_int_equal(hearth_encoder_embed(e, text, N_CTX - 1, &out, &r.err), HEARTH_E_LIMIT);
    hearth_encoder_close(e);
    e = rig_encoder(&r, (hearth_encoder_config){.truncate = 1, .max_tokens = 5, .no_normalize = 1,
                                                .pooling = HEARTH_POOL_LAST});
    assert_int_equal(hearth_encoder_embed(e, text, sizeof text, &out, &r.err), HEARTH_OK);
    assert_int_equal(out.n_tokens, 5);
    assert_true(out.truncated);
    int32_t ids[5] = {refs[0].ids[0], 0, 0, 0, refs[0].ids[refs[0].n - 1]};
    size_t n;
    assert_int_equal(hearth_tokenize(r.model, text, 3, 0, ids + 1, 3, &n, &r.err), HEARTH_OK);
    float last[N_EMBD];
    memcpy(last, out.values, sizeof last);
    assert_int_equal(rig_infer(&r, ids, 5, &hidden), HEARTH_OK);
    assert_memory_equal(last, (const float *)hidden.data + 4 * N_EMBD, sizeof last);
    hearth_encoder_close(e);
    rig_close(&r);
}

static void indices_outside_of_the_tables_are_refused(void **state)
{
    struct rig r;
    hearth_tensor out;
    int32_t ids[N_CTX + 1] = {0};
    (void)state;
    rig_open(&r, "bert", NULL);
    hearth_model_info info = {.struct_size = sizeof info};
    hearth_model_get_info(r.model, &info);
    assert_int_equal(info.kind, HEARTH_MODEL_TENSOR);
    static const int32_t bad[] = {-1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < HB_COUNT(bad) + 1; i++) {
        ids[2] = i < HB_COUNT(bad) ? bad[i] : info.vocab_size;
        assert_int_equal(rig_infer(&r, ids, 4, &out), HEARTH_E_RANGE);
    }
    ids[2] = info.vocab_size - 1;
    assert_int_equal(rig_infer(&r, ids, 4, &out), HEARTH_OK);
    assert_int_equal(rig_infer(&r, ids, N_CTX, &out), HEARTH_OK);
    assert_int_equal(rig_infer(&r, ids, N_CTX + 1, &out), HEARTH_E_RANGE);
    rig_close(&r);
}

/* ---- refusals by name */

static uint8_t *find_bytes(const struct gw *w, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= w->len; i++)
        if (memcmp(w->at + i, text, n) == 0)
            return w->at + i;
    fail_msg("no %s", text);
    return NULL;
}

static void what_bert_cannot_be_is_refused_by_name(void **state)
{
    static const struct {
        const char *at;    /* this text of the file */
        size_t skip;       /* and so many bytes on */
        uint8_t bytes[4];
        size_t n;
        hearth_status status;
        const char *says;
    } cases[] = {
        {"bert.pooling_type", 21, {4}, 1, HEARTH_E_UNSUPPORTED, "pooling_type is 4"},
        {"bert.attention.causal", 25, {1}, 1, HEARTH_E_UNSUPPORTED, "causal is true"},
        {"bert.attention.layer_norm_epsilon", 32, "m", 1, HEARTH_E_NOT_FOUND, "layer_norm_epsilon is missing"},
        {"bert.context_length", 23, {47}, 1, HEARTH_E_MISMATCH, "position_embd.weight"},
        {"bert.attention.head_count", 29, {5}, 1, HEARTH_E_RANGE, "head_count 5"},
        {"blk.1.attn_k.weight", 11, "z", 1, HEARTH_E_NOT_FOUND, "block 1 has neither"},
        {"blk.0.attn_k.bias", 11, "z", 1, HEARTH_E_UNSUPPORTED, "blk.0.attn_z.bias"},
        {"blk.1.ffn_up.bias", 9, "zz", 2, HEARTH_E_NOT_FOUND, "blk.1.ffn_up.bias is missing"},
        {"token_embd_norm.bias", 11, "z", 1, HEARTH_E_NOT_FOUND, "token_embd_norm.bias is missing"},
        {"position_embd.weight", 1, "z", 1, HEARTH_E_NOT_FOUND, "position_embd.weight is missing"},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        struct rig r = {0};
        assert_true(gw_read(&r.w, DIR "bert.gguf"));
        memcpy(find_bytes(&r.w, cases[i].at) + cases[i].skip, cases[i].bytes, cases[i].n);
        hearth_status status = rig_load(&r, NULL, (hearth_allocator){0});
        if (status != cases[i].status || !strstr(r.err.text, cases[i].says))
            fail_msg("%s: status %d, \"%s\"", cases[i].at, status, r.err.text);
        rig_close(&r);
    }
}

static void an_encoder_generates_no_text(void **state)
{
    struct rig r;
    const hearth_item item = {5, 0, 1};
    (void)state;
    rig_open(&r, "bert", NULL);
    assert_int_equal(hearth_session_step(r.session, &item, 1, &r.err), HEARTH_E_STATE);
    rig_close(&r);
}

/* ---- memory */

static hearth_status embed_all(struct gw_heap *heap, struct rig *r, uint64_t *calls_after_longest)
{
    const hearth_allocator hooks = {gw_alloc, gw_heap_free, heap};
    hearth_encoder *e = NULL;
    hearth_encoding out = {.struct_size = sizeof out};
    hearth_status status = rig_load(r, NULL, hooks);
    if (status == HEARTH_OK) {
        const hearth_encoder_config c = {.struct_size = sizeof c, .session = r->session, .allocator = hooks};
        status = hearth_encoder_open(&c, &e, &r->err);
    }
    for (uint32_t i = 0; i < n_refs && status == HEARTH_OK; i++) /* the last one is the longest */
        status = hearth_encoder_embed(e, refs[i].text, refs[i].len, &out, &r->err);
    *calls_after_longest = heap->calls;
    for (uint32_t i = 0; i < n_refs && status == HEARTH_OK; i++)
        status = hearth_encoder_embed(e, refs[i].text, refs[i].len, &out, &r->err);
    *calls_after_longest = heap->calls - *calls_after_longest;
    hearth_encoder_close(e);
    hearth_session_close(r->session);
    hearth_model_close(r->model);
    return status;
}

static void after_the_longest_text_nothing_is_allocated(void **state)
{
    struct gw_heap heap = {.refuse_at = -1};
    struct rig r = {0};
    uint64_t calls;
    (void)state;
    assert_true(gw_read(&r.w, DIR "bert.gguf"));
    assert_int_equal(embed_all(&heap, &r, &calls), HEARTH_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(heap.live, 0);
    gw_free(&r.w);
}

static void every_refused_allocation_is_a_status_without_a_leak(void **state)
{
    struct rig r = {0};
    uint64_t calls;
    (void)state;
    assert_true(gw_read(&r.w, DIR "bert.gguf"));
    for (int for_ever = 0; for_ever < 2; for_ever++)
        for (long at = 0;; at++) {
            struct gw_heap heap = {.refuse_at = at, .refuse_for_ever = for_ever};
            hearth_status status = embed_all(&heap, &r, &calls);
            assert_int_equal(heap.live, 0);
            if ((long)heap.calls <= at) {
                assert_int_equal(status, HEARTH_OK);
                assert_true(at > 3);
                break;
            }
            if (for_ever)
                assert_int_equal(status, HEARTH_E_MEMORY);
        }
    gw_free(&r.w);
}

/* ---- damaged files: any status, no crash; what opens is run */

static void damaged_files_never_crash(void **state)
{
    struct rig r = {0};
    struct gw good = {0};
    uint64_t calls, seed = 11, counts[2] = {0};
    (void)state;
    assert_true(gw_read(&good, DIR "bert-q8_0.gguf"));
    for (size_t i = 0; i < 4000; i++) {
        struct gw_heap heap = {.refuse_at = -1};
        r.w = (struct gw){0};
        gw_bytes(&r.w, good.at, i < 1000 ? (size_t)(test_rand(&seed) % good.len) : good.len);
        if (i >= 1000) {
            size_t byte = (size_t)(test_rand(&seed) % (i % 2 ? 8192 : good.len));
            r.w.at[byte] ^= (uint8_t)(1u << (test_rand(&seed) % 8));
        }
        counts[embed_all(&heap, &r, &calls) == HEARTH_OK]++;
        assert_int_equal(heap.live, 0);
        gw_free(&r.w);
    }
    print_message("%llu refused, %llu ran\n", (unsigned long long)counts[0], (unsigned long long)counts[1]);
    assert_true(counts[0] > 1000 && counts[1] > 0);
    gw_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_states_equal_the_reference),
        cmocka_unit_test(a_tokenizer_from_gguf_gives_the_ids_of_tokenizers),
        cmocka_unit_test(embeddings_pool_as_the_file_or_the_caller_says),
        cmocka_unit_test(levels_and_repetition_change_no_bit),
        cmocka_unit_test(long_texts_are_refused_or_cut_before_sep),
        cmocka_unit_test(indices_outside_of_the_tables_are_refused),
        cmocka_unit_test(what_bert_cannot_be_is_refused_by_name),
        cmocka_unit_test(an_encoder_generates_no_text),
        cmocka_unit_test(after_the_longest_text_nothing_is_allocated),
        cmocka_unit_test(every_refused_allocation_is_a_status_without_a_leak),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
