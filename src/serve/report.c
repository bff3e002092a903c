/* Telling what was counted: see hs_metrics.h. */
#include "serve/hs_meter.h"
#include "serve/hs_put.h"
#include "base/os/hb_os.h"

struct report_gauges {
    struct hs_engine_stats engine;
    struct hs_server_stats server;
    struct hs_process process;
    double up_s;
};

static void report_gauges(const struct hs_meter *m, struct report_gauges *g)
{
    *g = (struct report_gauges){.up_s = (double)(hb_os_now_ns() - m->start_ns) / 1e9};
    if (m->config.engine)
        hs_engine_get_stats(m->config.engine, &g->engine);
    if (m->config.server && *m->config.server)
        hs_server_get_stats(*m->config.server, &g->server);
    hs_meter_process(m, &g->process);
}

/* X(name, type, help, value): single figures, in both forms. g: the gauges, m: the meter. */
#define REPORT_FIGURES(X)                                                                          \
    X(up_seconds, "gauge", "since the start of the worker", g.up_s)                                \
    X(worker_restarts_total, "counter", "workers that were started again", m->config.restarts)     \
    X(queue_depth, "gauge", "requests that wait", g.engine.waiting)                                \
    X(running, "gauge", "requests that run", g.engine.running)                                     \
    X(requests_submitted_total, "counter", "requests that came", g.engine.submitted)               \
    X(requests_refused_total, "counter", "of them, refused before they waited", g.engine.refused)  \
    X(prompt_tokens_total, "counter", "tokens of prompts that were computed", m->prompt_tokens)    \
    X(cached_tokens_total, "counter", "tokens of prompts that were there already", m->cached_tokens) \
    X(generated_tokens_total, "counter", "tokens that were generated", m->generated_tokens)        \
    X(prompt_tokens_per_second, "gauge", "while prompts were computed, since the start",           \
      hs_meter_rate(m->prompt_tokens, m->prompt_ns))                                               \
    X(generated_tokens_per_second, "gauge", "of one text while it was generated, since the start", \
      hs_meter_rate(m->generated_tokens, m->generate_ns))                                          \
    X(connections, "gauge", "clients", g.server.connections)                                       \
    X(strangers, "gauge", "of them, without a token yet", g.server.strangers)                      \
    X(connections_accepted_total, "counter", "", g.server.accepted)                                \
    X(connections_refused_total, "counter", "", g.server.refused)                                  \
    X(messages_total, "counter", "messages of clients", g.server.messages)                         \
    X(bad_messages_total, "counter", "of them, that could not be read", g.server.bad_messages)     \
    X(refused_tokens_total, "counter", "wrong secrets", g.server.refused_tokens)                   \
    X(stalled_total, "counter", "clients that took no answers", g.server.stalled)                  \
    X(timed_out_total, "counter", "connections that ran out of a time", g.server.timed_out)        \
    X(received_bytes_total, "counter", "", g.server.received_bytes)                                \
    X(sent_bytes_total, "counter", "", g.server.sent_bytes)                                        \
    X(resident_bytes, "gauge", "memory of the process", g.process.resident_bytes)                  \
    X(proportional_bytes, "gauge", "memory, what is shared divided", g.process.proportional_bytes) \
    X(virtual_bytes, "gauge", "addresses of the process", g.process.virtual_bytes)                 \
    X(log_lines_lost_total, "counter", "lines of the log that were dropped", m->config.log ? m->config.log->lost : 0)

static const double report_quantiles[] = {50, 95, 99, 100};

static hearth_kv_stats report_kv(const struct hs_engine_model_stats *s)
{
    hearth_kv_stats kv = {.struct_size = sizeof kv};
    if (s->model->session && !strcmp(s->kind, "generate"))
        hearth_session_kv_stats(s->model->session, &kv);
    return kv;
}

/* ---- Prometheus ---- */

static void prometheus_head(struct hs_out *p, const char *name, const char *type, const char *help)
{
    hs_put_text(p, "# HELP hearth_");
    hs_put_text(p, name);
    hs_put_text(p, " ");
    hs_put_text(p, help);
    hs_put_text(p, "\n# TYPE hearth_");
    hs_put_text(p, name);
    hs_put_text(p, " ");
    hs_put_text(p, type);
    hs_put_text(p, "\n");
}

/* name{a="x",b="y"} */
static void prometheus_name(struct hs_out *p, const char *name, const char *a, const char *x, const char *b, const char *y)
{
    hs_put_text(p, "hearth_");
    hs_put_text(p, name);
    if (!a)
        return;
    hs_put_text(p, "{");
    hs_put_text(p, a);
    hs_put_text(p, "=");
    hs_put_quoted(p, x);
    if (b) {
        hs_put_text(p, ",");
        hs_put_text(p, b);
        hs_put_text(p, "=");
        hs_put_quoted(p, y);
    }
    hs_put_text(p, "}");
}

static void prometheus_u64(struct hs_out *p, uint64_t v)
{
    hs_put_text(p, " ");
    hs_put_u64(p, v, false);
    hs_put_text(p, "\n");
}

static void prometheus_real(struct hs_out *p, double v)
{
    hs_put_text(p, " ");
    hs_put_real(p, v);
    hs_put_text(p, "\n");
}

/* Figures are whole numbers, of which a double holds all that come, or rates. */
static bool report_whole(double v)
{
    return v >= 0 && v < 9e15 && v == (double)(uint64_t)v;
}

static void prometheus_number(struct hs_out *p, double v)
{
    if (report_whole(v))
        prometheus_u64(p, (uint64_t)v);
    else
        prometheus_real(p, v);
}

static void prometheus_requests(struct hs_out *p, const struct hs_meter *m)
{
    prometheus_head(p, "requests_total", "counter", "requests by message and by what became of them");
    for (size_t i = 0; i < HS_CLIENT_MESSAGES; i++)
        for (int r = 0; r < HS_RESULT_COUNT; r++)
            if (m->requests[i][r]) {
                prometheus_name(p, "requests_total", "message", hs_messages[i].name, "result",
                                hs_result_name((enum hs_result)r));
                prometheus_u64(p, m->requests[i][r]);
            }
}

static void prometheus_times(struct hs_out *p, const struct hs_meter *m)
{
    static const char *const labels[] = {"0.5", "0.95", "0.99", "1"};
    for (int t = 0; t < HS_TIME_COUNT; t++) {
        char name[64];
        const char *help, *stem = hs_time_name((enum hs_time)t, &help);
        const struct bn_latency *l = &m->times[t];
        uint64_t ns;
        hb_format(name, sizeof name, "%s_seconds", stem);
        prometheus_head(p, name, "summary", help);
        for (size_t q = 0; q < HB_COUNT(labels); q++)
            if (bn_latency_percentile(l, report_quantiles[q], &ns)) {
                prometheus_name(p, name, "quantile", labels[q], NULL, NULL);
                prometheus_real(p, (double)ns / 1e9);
            }
        hb_format(name, sizeof name, "%s_seconds_sum", stem);
        prometheus_name(p, name, NULL, NULL, NULL, NULL);
        prometheus_real(p, l->mean * (double)l->n / 1e9);
        hb_format(name, sizeof name, "%s_seconds_count", stem);
        prometheus_name(p, name, NULL, NULL, NULL, NULL);
        prometheus_u64(p, l->n);
    }
}

/* The kinds of figures of models stand together, as the format wants it. X(name, type, help, value) */
#define REPORT_MODEL(X)                                                                            \
    X(model_running, "gauge", "requests that run", s.running)                                      \
    X(model_waiting, "gauge", "requests that wait", s.waiting)                                     \
    X(model_kv_pages, "gauge", "pages of the KV cache", kv.pages)                                  \
    X(model_kv_pages_used, "gauge", "of them, in use", kv.pages - kv.pages_free)                   \
    X(model_prompt_tokens_total, "counter", "", s.prompt_tokens)                                   \
    X(model_generated_tokens_total, "counter", "", s.generated_tokens)                             \
    X(model_texts_total, "counter", "texts classified or embedded", s.texts)

static void prometheus_models(struct hs_out *p, const struct hs_meter *m)
{
    struct hs_engine_model_stats s;
    struct hs_model_view v;
#define X(metric, type, help, value)                                                                 \
    prometheus_head(p, #metric, type, help);                                                         \
    for (size_t i = 0; m->config.engine && hs_engine_model_at(m->config.engine, i, &s); i++) {     \
        const hearth_kv_stats kv = report_kv(&s);                                                  \
        (void)kv;                                                                                  \
        if (s.leaving)                                                                             \
            continue; /* its successor has the name */                                             \
        prometheus_name(p, #metric, "model", s.name, NULL, NULL);                                    \
        prometheus_u64(p, value);                                                                  \
    }
    REPORT_MODEL(X)
#undef X
    prometheus_head(p, "model_state", "gauge", "1 for the state that a model is in");
    for (size_t i = 0; m->config.models && hs_models_at(m->config.models, i, &v); i++) {
        prometheus_name(p, "model_state", "model", v.spec->name, "state", hs_model_state_name[v.state]);
        prometheus_u64(p, 1);
    }
}

size_t hs_meter_prometheus(struct hs_meter *m, char *text, size_t size)
{
    struct hs_out p = {(uint8_t *)text, (uint8_t *)text + size, false};
    struct report_gauges g;
    report_gauges(m, &g);
    prometheus_head(&p, "build_info", "gauge", "1, with the version");
    prometheus_name(&p, "build_info", "version", hearth_version(), NULL, NULL);
    prometheus_u64(&p, 1);
#define X(name, type, help, value)                                                                 \
    prometheus_head(&p, #name, type, help);                                                        \
    prometheus_name(&p, #name, NULL, NULL, NULL, NULL);                                            \
    prometheus_number(&p, (double)(value));
    REPORT_FIGURES(X)
#undef X
    prometheus_requests(&p, m);
    prometheus_times(&p, m);
    prometheus_models(&p, m);
    return p.full ? 0 : (size_t)(p.at - (uint8_t *)text);
}

/* ---- JSON ---- */

static void json_number(struct hs_put *p, const char *key, double v)
{
    if (report_whole(v))
        hs_json_u64(p, key, (uint64_t)v);
    else
        hs_json_real(p, key, v);
}

static void json_times(struct hs_put *p, const struct hs_meter *m)
{
    static const char *const labels[] = {"p50", "p95", "p99", "max"};
    hs_json_open(p, "latency_ms", "{");
    for (int t = 0; t < HS_TIME_COUNT; t++) {
        const char *help;
        uint64_t ns;
        hs_json_open(p, hs_time_name((enum hs_time)t, &help), "{");
        hs_json_u64(p, "n", m->times[t].n);
        for (size_t q = 0; q < HB_COUNT(labels); q++) {
            if (bn_latency_percentile(&m->times[t], report_quantiles[q], &ns))
                hs_json_real(p, labels[q], (double)ns / 1e6);
            else
                hs_json_raw(p, labels[q], "null"); /* no data */
        }
        hs_json_close(p, "}");
    }
    hs_json_close(p, "}");
}

static void json_requests(struct hs_put *p, const struct hs_meter *m)
{
    hs_json_open(p, "requests", "{");
    for (size_t i = 0; i < HS_CLIENT_MESSAGES; i++) {
        bool opened = false;
        for (int r = 0; r < HS_RESULT_COUNT; r++) {
            if (!m->requests[i][r])
                continue;
            if (!opened)
                hs_json_open(p, hs_messages[i].name, "{");
            opened = true;
            hs_json_u64(p, hs_result_name((enum hs_result)r), m->requests[i][r]);
        }
        if (opened)
            hs_json_close(p, "}");
    }
    hs_json_close(p, "}");
}

static void json_running(struct hs_put *p, const struct hs_meter *m)
{
    struct hs_engine_model_stats s;
    hs_json_open(p, "models", "[");
    for (size_t i = 0; m->config.engine && hs_engine_model_at(m->config.engine, i, &s); i++) {
        const hearth_kv_stats kv = report_kv(&s);
        hs_json_open(p, NULL, "{");
        hs_json_text(p, "name", s.name);
        hs_json_text(p, "kind", s.kind);
        hs_json_bool(p, "leaving", s.leaving);
        hs_json_u64(p, "running", s.running);
        hs_json_u64(p, "waiting", s.waiting);
        hs_json_u64(p, "kv_pages", kv.pages);
        hs_json_u64(p, "kv_pages_used", kv.pages - kv.pages_free);
        hs_json_u64(p, "prompt_tokens", s.prompt_tokens);
        hs_json_u64(p, "generated_tokens", s.generated_tokens);
        hs_json_u64(p, "texts", s.texts);
        hs_json_close(p, "}");
    }
    hs_json_close(p, "]");
}

static void json_registry(struct hs_put *p, const struct hs_meter *m)
{
    struct hs_model_view v;
    hs_json_open(p, "registry", "[");
    for (size_t i = 0; m->config.models && hs_models_at(m->config.models, i, &v); i++) {
        hs_json_open(p, NULL, "{");
        hs_json_text(p, "name", v.spec->name);
        hs_json_text(p, "state", hs_model_state_name[v.state]);
        if (v.spec->version)
            hs_json_text(p, "version", v.spec->version);
        if (v.spec->licence)
            hs_json_text(p, "licence", v.spec->licence);
        hs_json_text(p, "sha256", v.sha256);
        hs_json_bool(p, "pinned", v.pinned);
        hs_json_u64(p, "file_bytes", v.bytes);
        hs_json_u64(p, "session_bytes", v.session_bytes);
        hs_json_u64(p, "loads", v.loads);
        hs_json_real(p, "load_ms", (double)v.load_ns / 1e6);
        hs_json_real(p, "hash_ms", (double)v.hash_ns / 1e6);
        if (v.error[0])
            hs_json_text(p, "error", v.error);
        hs_json_close(p, "}");
    }
    hs_json_close(p, "]");
}

static void json_limits(struct hs_put *p, const struct hs_meter *m)
{
    const struct hs_limits *limits = m->config.engine ? hs_engine_limits(m->config.engine) : &hs_limits_default;
    hs_json_open(p, "limits", "{");
#define HS_LIMIT(name, value, least, most, text) hs_json_u64(p, #name, limits->name);
#include "serve/hs_limits.def"
    hs_json_close(p, "}");
}

size_t hs_meter_json(struct hs_meter *m, bool health, char *text, size_t size)
{
    struct hs_put p = {.out = {(uint8_t *)text, (uint8_t *)text + size, false}};
    struct report_gauges g;
    report_gauges(m, &g);
    hs_json_open(&p, NULL, "{");
    hs_json_text(&p, "version", hearth_version());
    if (m->config.level && *m->config.level)
        hs_json_text(&p, "sandbox_level", *m->config.level);
    if (health && m->config.sandbox)
        hs_json_raw(&p, "sandbox", m->config.sandbox);
#define X(name, type, help, value) json_number(&p, #name, (double)(value));
    REPORT_FIGURES(X)
#undef X
    json_requests(&p, m);
    json_times(&p, m);
    json_running(&p, m);
    if (health) {
        json_registry(&p, m);
        json_limits(&p, m);
    }
    hs_json_close(&p, "}");
    return p.out.full ? 0 : (size_t)(p.out.at - (uint8_t *)text);
}
