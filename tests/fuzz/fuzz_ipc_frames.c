/* Fuzz target: a connection's bytes, in chunks of any size.
 *
 * The first eight bytes seed the sizes of chunks; what follows is what a client sends. Oracles: the answers are the
 * same, byte by byte, whether it comes whole or in chunks; each is a message of the server in its canonical form;
 * every request has one end; nothing follows the end of the connection; buffers stay within their bounds; afterwards
 * no job, no stranger and no memory is left.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main
 * replays the files named on the command line, or without any a generated corpus. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "base/hb_reader.h"
#include "serve/serve_noop.h"

#define FUZZ_SECRET "a secret of 24 bytes ..."

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_ipc_frames: %s\n", what);
    abort();
}

struct fuzz_out {
    uint8_t *bytes;
    size_t len, capacity;
};

static uint64_t fuzz_clock(void *user)
{
    (void)user;
    return 1000000000;
}

static void fuzz_drain(struct hs_conn *c, struct fuzz_out *out)
{
    const uint8_t *at;
    size_t n = hs_conn_pending(c, &at);
    if (out->len + n > out->capacity) {
        out->capacity = (out->len + n) * 2;
        out->bytes = realloc(out->bytes, out->capacity);
        fuzz_require(out->bytes != NULL, "no memory");
    }
    if (n)
        memcpy(out->bytes + out->len, at, n);
    out->len += n;
    hs_conn_sent(c, n, fuzz_clock(NULL));
}

/* Session ids are random: the only bytes in which two runs may differ. */
static void fuzz_forget_session(struct fuzz_out *out, const char *session)
{
    for (size_t i = 0; session[0] && i + 64 <= out->len; i++)
        if (memcmp(out->bytes + i, session, 64) == 0)
            memset(out->bytes + i, '0', 64);
}

static size_t fuzz_feed(struct hs_conn *c, const uint8_t *data, size_t n)
{
    uint8_t *at;
    size_t room = hs_conn_room(c, &at);
    n = n < room ? n : room;
    if (n) {
        memcpy(at, data, n);
        hs_conn_took(c, n, fuzz_clock(NULL));
    }
    fuzz_require(c->in.capacity <= 2 * (size_t)HS_MAX_FRAME + HS_BUFFER_SMALL, "a buffer without bound");
    return n;
}

/* All of the bytes through a server of its own. seed 0: as much at once as it takes. */
static void fuzz_run(const uint8_t *data, size_t size, uint64_t seed, struct fuzz_out *out)
{
    struct hs_limits limits = hs_limits_default;
    limits.rate = 50;
    limits.out_bytes = 16384;
    const struct hs_engine_config config = {.limits = &limits, .clock = fuzz_clock};
    const struct hs_engine_model model = {.name = "noop", .backend = &noop_backend};
    struct hs_auth auth = {0};
    struct hs_engine_stats stats;
    struct hs_conn c;
    struct hs_conn_host host = {.auth = &auth, .owner_uid = 1, .min_version = HEARTH_WITH_JSON ? 1 : 2,
                                .max_version = 2, .limits = limits, .name = "fuzz"};
    hk_select(&host.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&host.scratch, hb_os_heap());
    hs_auth_set(&auth, FUZZ_SECRET, sizeof FUZZ_SECRET - 1, NULL);
    fuzz_require(hs_engine_create(&config, &host.engine, NULL) == HEARTH_OK &&
                     hs_engine_attach(host.engine, &model, NULL) == HEARTH_OK &&
                     hs_conn_open(&c, &host, 1, fuzz_clock(NULL), NULL) == HEARTH_OK, "it does not begin");
    for (size_t at = 0; at < size && hs_conn_reads(&c);) {
        size_t n = seed ? 1 + test_rand(&seed) % 19 : size - at;
        at += fuzz_feed(&c, data + at, n < size - at ? n : size - at);
        while (hs_conn_pending(&c, &(const uint8_t *){NULL}) >= limits.out_bytes) {
            fuzz_drain(&c, out);
            hs_conn_continue(&c, fuzz_clock(NULL));
        }
    }
    char session[65];
    memcpy(session, c.session, sizeof session);
    while (hs_engine_step(host.engine, fuzz_clock(NULL)))
        fuzz_drain(&c, out);
    fuzz_drain(&c, out);
    fuzz_require(c.client.in_flight == 0, "a request without an end");
    fuzz_forget_session(out, session);
    hs_conn_close(&c, fuzz_clock(NULL));
    hs_engine_get_stats(host.engine, &stats);
    fuzz_require(stats.running + stats.waiting == 0 && host.n_strangers == 0, "something is left");
    fuzz_require(c.in.at == NULL && c.out.at == NULL, "a buffer is left");
    hs_engine_detach(host.engine, "noop", fuzz_clock(NULL));
    hs_engine_destroy(host.engine);
    hb_arena_release(&host.scratch);
}

/* Every answer is one of the server's, and its own encoding. */
static void fuzz_check(const struct fuzz_out *out)
{
    struct hk_table kernels;
    hk_select(&kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    for (size_t at = 0; at < out->len;) {
        fuzz_require(out->len - at > HS_FRAME_HEAD, "a cut answer");
        size_t len = hb_load_u32le(out->bytes + at);
        const uint8_t *body = out->bytes + at + HS_FRAME_HEAD;
        fuzz_require(len > 0 && len <= out->len - at - HS_FRAME_HEAD, "a wrong length");
        if (body[0] != '{') {
            union hs_any msg;
            const struct hs_message *m = hs_message_by_number(body[0]);
            fuzz_require(m && m->from == HS_FROM_S, "no message of the server");
            fuzz_require(hs_binary_decode(m, body + 1, len - 1, &msg, NULL) == HEARTH_OK, "an answer that is wrong");
        }
        at += HS_FRAME_HEAD + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_out whole = {0}, cut = {0};
    if (size < 8)
        return 0;
    fuzz_run(data + 8, size - 8, 0, &whole);
    fuzz_run(data + 8, size - 8, hb_load_u64le(data) | 1, &cut);
    fuzz_check(&whole);
    fuzz_require(whole.len == cut.len && (whole.len == 0 || memcmp(whole.bytes, cut.bytes, cut.len) == 0),
                 "chunks change the answers");
    free(whole.bytes);
    free(cut.bytes);
    return 0;
}

#ifndef FUZZ_ENGINE
static size_t replay_message(uint64_t *seed, const struct hk_table *k, uint8_t *out, size_t room)
{
    static const uint32_t tokens[] = {1, 2, 300, 70000};
    static const struct hs_bytes texts[] = {{"a", 1}, {"two words", 9}};
    uint64_t id = test_rand(seed) % 12;
    union hs_any m = {0};
    enum hs_index which;
    switch (test_rand(seed) % 8) {
    case 0:
        which = HS_M_cancel;
        HS_SET(&m.cancel, cancel, id, id);
        break;
    case 1:
        which = HS_M_health;
        HS_SET(&m.health, health, id, id);
        HS_SET(&m.health, health, kind, test_rand(seed) % 3);
        break;
    case 2:
        which = HS_M_tokenize;
        HS_SET(&m.tokenize, tokenize, id, id);
        HS_SET(&m.tokenize, tokenize, text, (struct hs_bytes){NOOP_TEXT, test_rand(seed) % 90});
        break;
    case 3:
        which = HS_M_models;
        HS_SET(&m.models, models, id, id);
        break;
    case 4:
        which = HS_M_embed;
        HS_SET(&m.embed, embed, id, id);
        HS_SET(&m.embed, embed, texts, (struct hs_list){.items = texts, .n = 2});
        break;
    default:
        which = HS_M_generate;
        HS_SET(&m.generate, generate, id, id);
        HS_SET(&m.generate, generate, prompt_tokens, (struct hs_tokens){.values = tokens, .n = 4});
        HS_SET(&m.generate, generate, stream, test_rand(seed) % 2);
    }
    bool json = HEARTH_WITH_JSON && test_rand(seed) % 8 == 0;
    return json ? hs_json_encode(k, &hs_messages[which], &m, out, room)
                : hs_binary_encode(k, &hs_messages[which], &m, out, room);
}

static void replay_generated(void)
{
    static uint8_t data[1 << 16];
    struct hk_table k;
    uint64_t seed = 31;
    hk_select(&k, hb_os_cpu_features(), HK_LEVEL_COUNT);
    for (int round = 0; round < 3000; round++) {
        size_t n = 8;
        struct hs_hello h = {0};
        HS_SET(&h, hello, min_version, 1);
        HS_SET(&h, hello, max_version, 1 + test_rand(&seed) % 2);
        if (test_rand(&seed) % 8)
            HS_SET(&h, hello, token, (struct hs_bytes){FUZZ_SECRET, sizeof FUZZ_SECRET - 1});
        for (int i = 0; i < 8; i++)
            data[i] = (uint8_t)(test_rand(&seed) >> 32);
        if (test_rand(&seed) % 10)
            n += hs_binary_encode(&k, &hs_messages[HS_M_hello], &h, data + n, sizeof data - n);
        for (size_t i = test_rand(&seed) % 60; i > 0; i--)
            n += replay_message(&seed, &k, data + n, sizeof data - n);
        for (size_t i = round % 3 ? test_rand(&seed) % 4 : 0; i > 0; i--)
            data[8 + test_rand(&seed) % (n - 7)] ^= (uint8_t)(1u << test_rand(&seed) % 8);
        LLVMFuzzerTestOneInput(data, n);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[1 << 20];
    if (argc < 2)
        replay_generated();
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            fprintf(stderr, "fuzz_ipc_frames: cannot read %s\n", argv[i]);
            return 2;
        }
        size_t size = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    return 0;
}
#endif
