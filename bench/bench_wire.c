/* What does a message cost? A generate request of 100, 1 000 and 4 000 token ids, encoded and decoded in both
 * forms, the decoded one compared with what was sent. JSON lines: ns (median and best of 25), bytes, tokens a
 * second, and the frame's bytes beside 4 a token.
 *
 * Ids are log-uniform below 2^16, about as often small as those of text. */
#include "base/hb_arena.h"
#include "base/os/hb_os.h"
#include "serve/hs_wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEATS 25

struct bench {
    struct hk_table kernels;
    struct hb_arena arena;
    struct hs_generate sent;
    uint32_t ids[4000], got[4000];
    size_t n, frame_len, capacity;
    uint8_t *frame;
    bool json;
};

static size_t bench_encode(struct bench *b)
{
    const struct hs_message *m = &hs_messages[HS_M_generate];
    return b->json ? hs_json_encode(&b->kernels, m, &b->sent, b->frame, b->capacity)
                   : hs_binary_encode(&b->kernels, m, &b->sent, b->frame, b->capacity);
}

static bool bench_decode(struct bench *b)
{
    union hs_any msg;
    const struct hs_message *m = &hs_messages[HS_M_generate];
    size_t n;
    hearth_status status;
    hb_arena_clear(&b->arena);
    status = b->json ? hs_json_decode(b->frame + 4, b->frame_len - 4, &b->arena, &m, &msg, NULL)
                     : hs_binary_decode(m, b->frame + 5, b->frame_len - 5, &msg, NULL);
    return status == HEARTH_OK &&
           hs_tokens_read(&b->kernels, &msg.generate.prompt_tokens, b->got, 4000, &n, NULL) == HEARTH_OK &&
           n == b->n;
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_time(struct bench *b, bool decode)
{
    double ns[REPEATS];
    size_t loops = b->json ? 200 : 20000;
    for (int r = 0; r < REPEATS; r++) {
        uint64_t start = hb_os_now_ns();
        for (size_t i = 0; i < loops; i++)
            if (!(decode ? bench_decode(b) : bench_encode(b) == b->frame_len))
                abort();
        ns[r] = (double)(hb_os_now_ns() - start) / (double)loops;
    }
    qsort(ns, REPEATS, sizeof *ns, bench_compare);
    printf("{\"bench\":\"wire\",\"form\":\"%s\",\"does\":\"%s\",\"tokens\":%zu,\"ns\":%.1f,\"best_ns\":%.1f,"
           "\"tokens_per_s\":%.4g,\"bytes\":%zu,\"bytes_per_token\":%.3f,\"level\":\"%s\"}\n",
           b->json ? "json" : "binary", decode ? "decode" : "encode", b->n, ns[REPEATS / 2], ns[0],
           (double)b->n / ns[REPEATS / 2] * 1e9, b->frame_len, (double)b->frame_len / (double)b->n,
           b->kernels.level);
}

int main(void)
{
    static struct bench b;
    static const size_t sizes[] = {100, 1000, 4000};
    uint64_t seed = 1;
    hk_select(&b.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&b.arena, hb_os_heap());
    for (size_t i = 0; i < 4000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned e = (unsigned)(seed >> 60);
        b.ids[i] = (1u << e) + (uint32_t)(seed >> 40) % (1u << e);
    }
    b.capacity = 1 << 17;
    b.frame = malloc(b.capacity);
    for (int json = 0; json < 2; json++)
        for (size_t i = 0; i < HB_COUNT(sizes); i++) {
            b.n = sizes[i];
            b.json = json;
#if !HEARTH_WITH_JSON
            if (json)
                continue;
#endif
            HS_SET(&b.sent, generate, id, 1);
            HS_SET(&b.sent, generate, prompt_tokens, (struct hs_tokens){.values = b.ids, .n = b.n});
            HS_SET(&b.sent, generate, max_tokens, 100);
            HS_SET(&b.sent, generate, temperature, 0.7f);
            b.frame_len = bench_encode(&b);
            if (!b.frame_len || !bench_decode(&b) || memcmp(b.got, b.ids, b.n * 4) != 0) {
                fprintf(stderr, "the decoded message is not what was sent\n");
                return 1;
            }
            bench_time(&b, false);
            bench_time(&b, true);
        }
    return 0;
}
