/* Memory of graphs of tensors: refused allocations one by one, caller's memory of every size, and calls that
 * allocate nothing. */
#include "onnx/mini_onnx.h"
#include "base/os/hb_os.h"

struct heap {
    long refuse_at;    /* the call that is refused; -1: none */
    bool for_ever;     /* and all after it */
    long calls;
    size_t live;
};

static void *heap_alloc(void *user, size_t size)
{
    struct heap *h = user;
    long call = h->calls++;
    if (h->refuse_at >= 0 && (call == h->refuse_at || (h->for_ever && call > h->refuse_at)))
        return NULL;
    h->live += size;
    return malloc(size);
}

static void heap_free(void *user, void *p, size_t size)
{
    struct heap *h = user;
    h->live -= size;
    free(p);
}

static hearth_allocator heap_hooks(struct heap *h)
{
    return (hearth_allocator){heap_alloc, heap_free, h};
}

/* ---- the models */

static const char *const models[] = {
    "in x f32[n,3]; y = Add(x, f32[1,2,3])",
    "in x f32[n,8]; h = MatMul(x, f32(8,40)); g = Gelu(h); y = Softmax(g); opset 20",
    "in x f32[n,3]; t = Transpose(x); s = Slice(t, i64[0], i64[2], i64[0]); y = ReduceSum(s, i64[1])",
    "in x f32[n]; m = NonZero(x); t = Transpose(m); y = GatherND(x, t)",
    "in x f32[n]; c = ReduceSum(x) {keepdims=0}; d = Greater(c, f32:0); y = If(d) {then_branch=< a = Neg(x); out a >, "
    "else_branch=< b = Abs(x); out b >}",
    "in x f32[n]; y = Loop(i64:5, _, x) {body=< in i i64[]; in c bool[]; in v f32[n]; d = Identity(c); w = Add(v, v); "
    "out d, w >}",
    "in x u8[n,4]; y = MatMulInteger(x, i8(4,8), u8:3)",
    "in x f32[n,2,5,5]; w = Conv(x, f32(4,2,3,3)); p = MaxPool(w) {kernel_shape=[2,2]}; y = Flatten(p)",
};

static struct pb model_bytes(size_t i)
{
    struct pb m = {0};
    struct hb_file f;
    hearth_error err;
    if (i < sizeof models / sizeof *models)
        return mini_model(models[i]);
    if (hb_os_file_open(HEARTH_SOURCE_DIR "/tests/onnx/toy_bert.onnx", HB_MAP_NO_MMAP, 0, &f, &err) != HEARTH_OK)
        fail_msg("%s", err.text);
    pb_raw(&m, f.bytes, f.size);
    hb_os_file_close(&f);
    return m;
}

enum { N_MODELS = sizeof models / sizeof *models + 1 };

static void zero_inputs(struct mini_run *r)
{
    for (size_t i = 0; i < r->n_in; i++)
        memset(r->data[i], 0, MINI_BYTES);
}

static hearth_status open_and_run(const struct pb *m, struct mini_run *r)
{
    hearth_status status = mini_open(r, m->at, m->n);
    if (status == HEARTH_OK) {
        zero_inputs(r);
        status = mini_infer(r);
    }
    return status;
}

static void expect(const struct mini_run *r, size_t model, hearth_status status, bool ok)
{
    if (!ok)
        fail_msg("model %zu: status %d \"%s\"", model, status, r->err.text);
}

static void every_refused_allocation_is_a_status_without_a_leak(void **state)
{
    int refused = 0;
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct pb m = model_bytes(i);
        for (int for_ever = 0; for_ever < 2; for_ever++)
            for (long at = 0;; at++) {
                struct heap h = {.refuse_at = at, .for_ever = for_ever};
                struct mini_run r = {.model_config = {.allocator = heap_hooks(&h)},
                                     .session_config = {.allocator = heap_hooks(&h)}};
                hearth_status status = open_and_run(&m, &r);
                mini_close(&r);
                assert_int_equal(h.live, 0);
                if (h.calls <= at) {
                    assert_int_equal(status, HEARTH_OK);
                    assert_true(at >= 2);
                    break;
                }
                if (for_ever)
                    assert_int_equal(status, HEARTH_E_MEMORY);
                else
                    expect(&r, i, status, status == HEARTH_OK || status == HEARTH_E_MEMORY);
                refused++;
            }
        pb_free(&m);
    }
    print_message("%d allocations refused in %d models\n", refused, (int)N_MODELS);
}

/* Model and session in memory of the caller, from nothing up to what is enough; a byte behind it would be
 * seen by a sanitizer, and by the pattern here. */
static void callers_memory_of_every_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct pb m = model_bytes(i);
        const hearth_bytes bytes = {m.at, m.n};
        size_t need, enough = 0;
        hearth_error err;
        assert_int_equal(hearth_model_need(&bytes, 1, NULL, &need, &err), HEARTH_OK);
        size_t most = need > (256u << 10) ? need : 256u << 10;
        uint8_t *mem = malloc(2 * most + 64);
        for (int k = 0; k < 200; k++) {
            size_t size = need * (size_t)k / 190, room = most * (size_t)k / 199;
            struct mini_run r = {.model_config = {.mem = mem, .mem_bytes = size}};
            memset(mem, 0x5A, 2 * most + 64);
            uint8_t *second = mem + (size + 63) / 64 * 64 + 64;
            if (second + room > mem + 2 * most)
                room = (size_t)(mem + 2 * most - second);
            r.session_config.mem = second + ((64 - (uintptr_t)second % 64) & 63);
            r.session_config.mem_bytes = room;
            hearth_status status = open_and_run(&m, &r);
            expect(&r, i, status, status == HEARTH_OK || status == HEARTH_E_MEMORY || status == HEARTH_E_LIMIT);
            assert_true(size == 0 || mem[size] == 0x5A);
            assert_int_equal(((uint8_t *)r.session_config.mem)[room], 0x5A);
            enough += status == HEARTH_OK;
            mini_close(&r);
        }
        if (!enough)
            fail_msg("model %zu never ran", i);
        free(mem);
        pb_free(&m);
    }
}

static void calls_allocate_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct heap h = {.refuse_at = -1};
        struct mini_run r = {.model_config = {.allocator = heap_hooks(&h)},
                             .session_config = {.allocator = heap_hooks(&h)}};
        struct pb m = model_bytes(i);
        assert_int_equal(mini_open(&r, m.at, m.n), HEARTH_OK);
        zero_inputs(&r);
        long calls = h.calls;
        for (int k = 0; k < 100; k++) { /* more shapes than plans are kept, and refusals */
            r.in[0].bytes = r.in[0].bytes / (size_t)(r.in[0].dim[0] ? r.in[0].dim[0] : 1) * (size_t)(1 + k % 80);
            r.in[0].dim[0] = 1 + k % 80;
            hearth_status status = mini_infer(&r);
            expect(&r, i, status, status == HEARTH_OK || status == HEARTH_E_MISMATCH || status == HEARTH_E_LIMIT);
        }
        assert_int_equal(h.calls, calls);
        mini_close(&r);
        assert_int_equal(h.live, 0);
        pb_free(&m);
    }
}

/* Texts through an encoder: its memory grows with the longest, then stays. */
static void an_encoder_keeps_its_memory(void **state)
{
    static const char *const names[2] = {"sentence-embedder-int8.onnx", "vocab.txt"};
    static const char text[] = "the kettle sang on the hearth while the rain drew long lines down the window";
    struct heap h = {.refuse_at = -1};
    struct hb_file f[2];
    struct mini_run r = {.session_config = {.max_bytes = 64 << 20}};
    hearth_tokenizer *tokenizer;
    hearth_encoder *e;
    hearth_encoding out = {.struct_size = sizeof out};
    long calls = 0;
    (void)state;
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, HEARTH_SOURCE_DIR "/fixtures/models/%s", names[i]);
        assert_int_equal(hb_os_file_open(path, 0, 0, &f[i], &r.err), HEARTH_OK);
    }
    const hearth_bytes vocab = {f[1].bytes, f[1].size};
    const hearth_tokenizer_config tc = {.struct_size = sizeof tc, .allocator = heap_hooks(&h)};
    assert_int_equal(hearth_tokenizer_open(&vocab, &tc, &tokenizer, &r.err), HEARTH_OK);
    const hearth_bytes bytes = {f[0].bytes, f[0].size};
    r.session_config.struct_size = sizeof r.session_config;
    assert_int_equal(hearth_model_open(&bytes, 1, NULL, &r.model, &r.err), HEARTH_OK);
    assert_int_equal(hearth_session_open(r.model, &r.session_config, &r.session, &r.err), HEARTH_OK);
    const hearth_encoder_config c = {.struct_size = sizeof c, .session = r.session, .tokenizer = tokenizer,
                                     .allocator = heap_hooks(&h)};
    assert_int_equal(hearth_encoder_open(&c, &e, &r.err), HEARTH_OK);
    for (int round = 0; round < 2; round++) {
        for (size_t len = sizeof text - 1; len > 5; len -= 5)
            if (hearth_encoder_embed(e, text, len, &out, &r.err) != HEARTH_OK)
                fail_msg("%s", r.err.text);
        if (round == 1)
            assert_int_equal(h.calls, calls);
        calls = h.calls;
    }
    hearth_encoder_close(e);
    hearth_tokenizer_close(tokenizer);
    mini_close(&r);
    assert_int_equal(h.live, 0);
    for (int i = 0; i < 2; i++)
        hb_os_file_close(&f[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refused_allocation_is_a_status_without_a_leak),
        cmocka_unit_test(callers_memory_of_every_size),
        cmocka_unit_test(calls_allocate_nothing),
        cmocka_unit_test(an_encoder_keeps_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
