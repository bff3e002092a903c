/* A generate request of 100, 1 000 and 4 000 token ids (fixtures/prompts), encoded and decoded in both forms and
 * compared with what was sent; varints beside 4 bytes a token; and a request and its answer through a socket
 * to another process, which is what a caller pays. */
#define _GNU_SOURCE
#include "base/hb_arena.h"
#include "base/os/hb_os.h"
#include "bn_run.h"
#include "serve/hs_wire.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct ipc {
    struct hk_table kernels;
    struct hb_arena arena;
    struct hs_generate sent;
    uint32_t *ids, *got;
    size_t n, frame_len, capacity;
    uint8_t *frame;
    bool json;
    int fd; /* to the other process */
    uint8_t *answer;
};

static bool ipc_encode(void *ctx)
{
    struct ipc *b = ctx;
    const struct hs_message *m = &hs_messages[HS_M_generate];
    size_t n = b->json ? hs_json_encode(&b->kernels, m, &b->sent, b->frame, b->capacity)
                       : hs_binary_encode(&b->kernels, m, &b->sent, b->frame, b->capacity);
    return n && (n == b->frame_len || !b->frame_len);
}

static bool ipc_decode(void *ctx)
{
    struct ipc *b = ctx;
    union hs_any msg;
    const struct hs_message *m = &hs_messages[HS_M_generate];
    size_t n;
    hb_arena_clear(&b->arena);
    hearth_status status = b->json ? hs_json_decode(b->frame + 4, b->frame_len - 4, &b->arena, &m, &msg, NULL)
                                   : hs_binary_decode(m, b->frame + 5, b->frame_len - 5, &msg, NULL);
    return status == HEARTH_OK &&
           hs_tokens_read(&b->kernels, &msg.generate.prompt_tokens, b->got, b->n, &n, NULL) == HEARTH_OK && n == b->n;
}

static bool ipc_round(void *ctx)
{
    return ipc_encode(ctx) && ipc_decode(ctx);
}

static bool ipc_varint_encode(void *ctx)
{
    struct ipc *b = ctx;
    return b->kernels.varint_encode(b->frame, b->ids, b->n) == b->frame_len;
}

static bool ipc_varint_decode(void *ctx)
{
    struct ipc *b = ctx;
    size_t n;
    return b->kernels.varint_decode(b->got, b->n, &n, b->frame, b->frame_len) == b->frame_len && n == b->n;
}

static bool ipc_u32(void *ctx) /* what fixed words cost: a copy */
{
    struct ipc *b = ctx;
    memcpy(b->frame, b->ids, b->n * 4);
    __asm__ volatile("" ::: "memory");
    return true;
}

static int ipc_rate(struct bn_run *run, struct ipc *b, const char *does, const char *size, bn_work *work)
{
    const char *form = b->json ? "JSON" : "binary";
    struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "%s %s %s", does, form, size);
    bn_params(r, "%zu tokens, %zu bytes, %.2f a token", b->n, b->frame_len, (double)b->frame_len / (double)b->n);
    int rc = bn_time(run, r, work, b, 1);
    double ns = r->value;
    r = bn_add(run, "Mtokens/s", BN_HIGHER, BN_UNGATED, "%s rate %s %s", does, form, size);
    bn_params(r, "%zu tokens, %zu bytes", b->n, b->frame_len);
    bn_single(r, (double)b->n / ns * 1e3);
    return rc;
}

static int ipc_forms(struct bn_run *run, struct ipc *b, const char *size)
{
    for (int json = 0; json < 2; json++) {
        b->json = json;
        if (!json && !BN_ON(run, v2_encoding))
            continue;
        b->frame_len = 0;
        const struct hs_message *m = &hs_messages[HS_M_generate];
        b->frame_len = json ? hs_json_encode(&b->kernels, m, &b->sent, b->frame, b->capacity)
                            : hs_binary_encode(&b->kernels, m, &b->sent, b->frame, b->capacity);
        if (!b->frame_len || !ipc_decode(b) || memcmp(b->got, b->ids, b->n * 4) != 0)
            return bn_wrong(run, "the decoded message is not what was sent");
        if (ipc_rate(run, b, "encode", size, ipc_encode) != 0 || ipc_rate(run, b, "decode", size, ipc_decode) != 0 ||
            ipc_rate(run, b, "round trip", size, ipc_round) != 0)
            return -1;
    }
    return 0;
}

static int ipc_varints(struct bn_run *run, struct ipc *b, const char *size)
{
    static const struct {
        const char *name;
        bn_work *work;
    } rows[] = {{"varint encode", ipc_varint_encode}, {"varint decode", ipc_varint_decode}, {"u32 copy", ipc_u32}};
    b->frame_len = b->kernels.varint_encode(b->frame, b->ids, b->n);
    memset(b->got, 0, b->n * 4);
    if (!ipc_varint_decode(b) || memcmp(b->got, b->ids, b->n * 4) != 0)
        return bn_wrong(run, "varints do not come back");
    for (size_t i = 0; i < 3; i++) {
        struct bn_result *r = bn_add(run, "ns", BN_LOWER, BN_LATENCY, "%s %s", rows[i].name, size);
        bn_params(r, "%zu ids, %zu bytes", b->n, i == 2 ? b->n * 4 : b->frame_len);
        if (bn_time(run, r, rows[i].work, b, 1) != 0)
            return -1;
    }
    return 0;
}

/* ---- through a socket ---- */

static bool ipc_all(int fd, uint8_t *at, size_t n, bool out)
{
    while (n) {
        ssize_t got = out ? write(fd, at, n) : read(fd, at, n);
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

/* The other process: decodes what comes, answers with a `done` of 100 bytes, until the socket is closed. */
static void ipc_other(struct ipc *b, int fd)
{
    union hs_any msg;
    char text[100];
    uint8_t out[4096]; /* not below hs_binary_bound */
    struct hs_done done = {0};
    const struct hs_message *m = &hs_messages[HS_M_generate];
    memset(text, 'x', sizeof text);
    for (size_t n; ipc_all(fd, b->frame, b->frame_len, false);) {
        if (hs_binary_decode(m, b->frame + 5, b->frame_len - 5, &msg, NULL) != HEARTH_OK ||
            hs_tokens_read(&b->kernels, &msg.generate.prompt_tokens, b->got, b->n, &n, NULL) != HEARTH_OK || n != b->n)
            _exit(1);
        HS_SET(&done, done, id, msg.generate.id);
        HS_SET(&done, done, text, (struct hs_bytes){text, sizeof text});
        HS_SET(&done, done, reason, 0);
        HS_SET(&done, done, prompt_tokens, b->n);
        HS_SET(&done, done, generated_tokens, 25);
        n = hs_binary_encode(&b->kernels, &hs_messages[HS_M_done], &done, out, sizeof out);
        if (!n || !ipc_all(fd, out, n, true))
            _exit(1);
    }
    _exit(0);
}

static bool ipc_request(void *ctx)
{
    struct ipc *b = ctx;
    uint32_t len;
    if (!ipc_encode(b) || !ipc_all(b->fd, b->frame, b->frame_len, true) || !ipc_all(b->fd, b->answer, 4, false))
        return false;
    memcpy(&len, b->answer, 4);
    union hs_any msg;
    return len > 1 && len < 500 && ipc_all(b->fd, b->answer + 4, len, false) &&
           hs_binary_decode(&hs_messages[HS_M_done], b->answer + 5, len - 1, &msg, NULL) == HEARTH_OK &&
           msg.done.id == 1 && msg.done.text.len == 100;
}

static int ipc_socket(struct bn_run *run, struct ipc *b, const char *size)
{
    int fds[2], status = 0;
    b->json = false;
    b->frame_len = 0;
    b->frame_len = hs_binary_encode(&b->kernels, &hs_messages[HS_M_generate], &b->sent, b->frame, b->capacity);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return bn_refuse(run, "no pair of sockets");
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        ipc_other(b, fds[1]);
    }
    close(fds[1]);
    b->fd = fds[0];
    struct bn_result *r = bn_add(run, "us", BN_LOWER, BN_LATENCY, "socket round trip %s", size);
    bn_params(r, "%zu tokens, %zu bytes there, text of 100 bytes back, two processes, blocking", b->n, b->frame_len);
    int rc = pid < 0 ? bn_refuse(run, "no second process") : bn_time(run, r, ipc_request, b, 1000);
    close(fds[0]);
    if (pid > 0 && (waitpid(pid, &status, 0) != pid || (status != 0 && rc == 0)))
        rc = bn_wrong(run, "the other process found a wrong message");
    return rc;
}

int suite_ipc_throughput(struct bn_run *run)
{
    static const char *const sizes[] = {"small", "medium", "large"};
    struct ipc b = {.fd = -1, .capacity = 1 << 18};
    hearth_error err = {0};
    int rc = 0;
    if (!BN_ON(run, v2_encoding))
        bn_missing(bn_add(run, "us", BN_LOWER, BN_UNGATED, "socket round trip"), "v2_encoding is off, and it is the binary form that goes "
                   "through the socket here");
    hk_select(&b.kernels, hb_os_cpu_features(), HK_LEVEL_COUNT);
    hb_arena_init_growing(&b.arena, hb_os_heap());
    b.frame = malloc(b.capacity);
    b.answer = malloc(1024);
    b.got = malloc(b.capacity);
    if (!b.frame || !b.answer || !b.got)
        rc = bn_refuse(run, "no memory");
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        char path[512];
        struct bn_prompt p;
        snprintf(path, sizeof path, "%s/prompts/%s.json", run->fixtures, sizes[i]);
        if (bn_prompt_read(path, &p, &err) != HEARTH_OK) {
            rc = bn_refuse(run, "%s", err.text);
            break;
        }
        b.ids = p.ids;
        b.n = p.n;
        b.sent = (struct hs_generate){0};
        HS_SET(&b.sent, generate, id, 1);
        HS_SET(&b.sent, generate, prompt_tokens, (struct hs_tokens){.values = b.ids, .n = b.n});
        HS_SET(&b.sent, generate, max_tokens, (uint64_t)p.max_tokens);
        HS_SET(&b.sent, generate, temperature, p.temperature);
        rc = ipc_forms(run, &b, sizes[i]);
        if (rc == 0 && BN_ON(run, v2_encoding)) {
            rc = ipc_varints(run, &b, sizes[i]);
            rc = rc == 0 ? ipc_socket(run, &b, sizes[i]) : rc;
        }
        bn_prompt_free(&p);
    }
    free(b.frame);
    free(b.answer);
    free(b.got);
    hb_arena_release(&b.arena);
    return rc;
}
