/* One model in a process of its own: how long it takes to open it, to make a session and to come to the first token or
 * result, and what is resident behind a run. */
#include "bench/instruments/bn_memory.h"
#include "bn_run.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct probe_heap {
    uint64_t calls, bytes;
};

static void *probe_alloc(void *user, size_t size)
{
    struct probe_heap *h = user;
    h->calls++;
    h->bytes += size;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void probe_free(void *user, void *at, size_t size)
{
    (void)user;
    (void)size;
    free(at);
}

static hearth_status probe_text(const struct bn_probe *p, hearth_session *s, int32_t vocab, uint64_t *first_ns,
                                hearth_error *err)
{
    hearth_status status = HEARTH_OK;
    int32_t ids[512], left = p->n_prompt, token = 0;
    while (status == HEARTH_OK && left > 1) {
        int32_t n = left - 1 < 512 ? left - 1 : 512;
        for (int32_t i = 0; i < n; i++)
            ids[i] = (left + i * 7919) % vocab;
        status = hearth_session_eval(s, ids, (size_t)n, NULL, err);
        left -= n;
    }
    for (int32_t i = 0; status == HEARTH_OK && i <= p->n_gen; i++) {
        status = hearth_session_step(s, &(hearth_item){token, 0, 1}, 1, err);
        if (i == 0)
            *first_ns = bn_now_ns();
        const float *x = status == HEARTH_OK ? hearth_session_logits(s, 0) : NULL;
        for (int32_t k = token = 0; x && k < vocab; k++)
            token = x[k] > x[token] ? k : token;
    }
    return status;
}

static hearth_status probe_tensors(const struct bn_probe *p, const hearth_model *model, hearth_session *s,
                                   uint64_t *first_ns, hearth_error *err)
{
    static int64_t data[4][512];
    hearth_tensor in[4], out[4];
    size_t n_in = hearth_model_input_count(model), n_out = hearth_model_output_count(model);
    int64_t seq = p->n_prompt < 512 ? p->n_prompt : 512;
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < n_in && i < 4; i++) {
        hearth_io_info io = {.struct_size = sizeof io};
        hearth_model_input(model, i, &io, NULL);
        for (int64_t k = 0; k < seq; k++)
            data[i][k] = strstr(io.name, "mask") ? 1 : strstr(io.name, "input_ids") ? 5 + k * 7919 % 1000 : 0;
        in[i] = (hearth_tensor){.name = io.name, .type = HEARTH_DTYPE_I64, .rank = 2, .dim = {1, seq},
                                .data = data[i], .bytes = (size_t)seq * sizeof **data};
    }
    for (int i = 0; status == HEARTH_OK && i < 3; i++) {
        status = hearth_session_infer(s, in, n_in < 4 ? n_in : 4, out, n_out < 4 ? n_out : 4, err);
        if (i == 0)
            *first_ns = bn_now_ns();
    }
    return status;
}

int bn_probe(struct bn_run *run, const struct bn_probe *p)
{
    struct bn_model m = {.role = BN_SMALL};
    struct bn_session s = {0};
    struct probe_heap heap = {0, 0};
    hearth_error err = {0};
    uint64_t t0 = bn_now_ns(), first_ns = 0;
    hearth_session_config config = {.n_ctx = p->ctx, .kv_type_k = p->type_k, .kv_type_v = p->type_v};
    snprintf(m.path, sizeof m.path, "%s", p->path);
    snprintf(m.label, sizeof m.label, "%.79s", p->path);
    int rc = bn_model_open(run, &m);
    uint64_t opened_ns = bn_now_ns();
    /* its own count of allocations where the arena is off; with it blocks are the system's, on huge pages */
    if (!BN_ON(run, arena_allocator))
        config.allocator = (hearth_allocator){probe_alloc, probe_free, &heap};
    rc = rc == 0 ? bn_session_open(run, &m, &config, 0, &s) : rc;
    uint64_t made_ns = bn_now_ns();
    if (rc == 0 && m.info.kind == HEARTH_MODEL_TENSOR)
        hearth_file_forget(m.file);
    if (rc == 0) {
        hearth_status status = m.info.kind == HEARTH_MODEL_TENSOR
                                   ? probe_tensors(p, m.model, s.session, &first_ns, &err)
                                   : probe_text(p, s.session, m.info.vocab_size, &first_ns, &err);
        rc = status == HEARTH_OK ? 0 : bn_refuse(run, "%s: %s", m.label, err.text);
    }
    if (rc == 0) {
        hearth_session_info info = {.struct_size = sizeof info};
        struct bn_memory now = bn_memory_now();
        hearth_session_get_info(s.session, &info);
        printf("{\"open_ms\":%.3f,\"session_ms\":%.3f,\"first_ms\":%.3f,\"rss\":%" PRId64 ",\"peak\":%" PRId64
               ",\"pss\":%" PRId64 ",\"anon\":%" PRId64 ",\"file_pages\":%" PRId64 ",\"cgroup\":%" PRId64
               ",\"file_bytes\":%zu,\"planned\":%" PRIu64 ",\"kv_bytes\":%" PRIu64 ",\"kv_token_bytes\":%" PRIu64
               ",\"allocations\":%" PRIu64 ",\"ctx\":%d}\n",
               (double)(opened_ns - t0) * 1e-6, (double)(made_ns - opened_ns) * 1e-6, (double)(first_ns - t0) * 1e-6, now.rss,
               now.peak, now.pss, now.anon, now.file, now.cgroup, hearth_file_size(m.file), info.planned_bytes,
               info.kv_bytes, info.kv_token_bytes, heap.calls, (int)info.n_ctx);
    }
    bn_session_close(&s);
    bn_model_close(&m);
    return rc;
}
