/* hearth client cancel: starts texts, cancels each after some tokens, and tells how long its end took. A request
 * belongs to its connection, so another's cannot be stopped from here; Ctrl-C in the command that asked does that. */
#include "client_command.h"
#include "load.h"
#include <stdlib.h>
#include <string.h>

struct cancel_settings {
    struct client_settings client;
    const char *p;
    int32_t after, times, n;
};

struct cancel_run {
    struct client c;
    struct bn_latency took;
    uint64_t reasons[LOAD_REASONS]; /* how the texts ended */
};

static hearth_status cancel_send(struct cancel_run *r, uint64_t id, uint64_t *sent_ns, hearth_error *err)
{
    struct hs_cancel msg = {0};
    HS_SET(&msg, cancel, id, id);
    *sent_ns = hc_now_ns();
    return wc_send(r->c.wire, HS_M_cancel, &msg, err);
}

static int cancel_once(struct cancel_run *r, const struct cancel_settings *s)
{
    struct hs_generate msg = {0};
    const struct hs_message *m;
    union hs_any answer;
    hearth_error err = {0};
    uint64_t tokens = 0, sent_ns = 0, id;
    CLIENT_REQUEST(&r->c, &msg, generate);
    CLIENT_LIMITS(&r->c, &msg, generate);
    HS_SET(&msg, generate, prompt, wc_bytes(s->p));
    HS_SET(&msg, generate, max_tokens, (uint64_t)s->n);
    HS_SET(&msg, generate, ignore_end, 1);
    HS_SET(&msg, generate, stream, 1);
    id = msg.id;
    hearth_status status = wc_send(r->c.wire, HS_M_generate, &msg, &err);
    if (status == HEARTH_OK && s->after == 0)
        status = cancel_send(r, id, &sent_ns, &err);
    while (status == HEARTH_OK) {
        status = wc_receive(r->c.wire, 60000, &m, &answer, &err);
        if (status == HEARTH_OK && m == &hs_messages[HS_M_chunk]) {
            tokens += answer.chunk.tokens.n;
            if (tokens >= (uint64_t)s->after && !sent_ns)
                status = cancel_send(r, id, &sent_ns, &err);
        } else if (status == HEARTH_OK) {
            break;
        }
    }
    if (status != HEARTH_OK)
        return client_fail(&r->c, status, &err);
    if (m == &hs_messages[HS_M_error])
        return client_fail_error(&answer.error, s->client.socket);
    if (m != &hs_messages[HS_M_done] || answer.done.reason >= LOAD_REASONS)
        return hc_fail(HC_FAILED, s->client.socket, "answered generate with %s", m->name);
    r->reasons[answer.done.reason]++;
    if (sent_ns)
        bn_latency_record(&r->took, hc_now_ns() - sent_ns);
    return HC_OK;
}

static int cancel_run(const void *settings)
{
    const struct cancel_settings *s = settings;
    struct cancel_run *r = calloc(1, sizeof *r);
    struct hj j = {.file = stdout};
    if (!r)
        return hc_fail(HC_LIMIT, "cancel", "no memory");
    int rc = client_open(&s->client, &r->c);
    for (int32_t i = 0; rc == HC_OK && i < s->times; i++)
        rc = cancel_once(r, s);
    struct bn_distribution d = {0};
    bn_latency_get(&r->took, &d);
    const double ms[] = {(double)d.p50 * 1e-6, (double)d.p95 * 1e-6, (double)d.max * 1e-6};
    if (rc == HC_OK && s->client.common.json) {
        hj_open(&j, NULL, '{');
        hj_uint(&j, "n", r->took.n);
        hj_uint(&j, "cancelled", r->reasons[3]);
        hj_real(&j, "p50_ms", ms[0]);
        hj_real(&j, "p95_ms", ms[1]);
        hj_real(&j, "max_ms", ms[2]);
        hj_close(&j, '}');
        fputc('\n', stdout);
    } else if (rc == HC_OK) {
        printf("%llu cancelled after %d tokens, %llu of them in time; ms to the end: p50 %.3f, p95 %.3f, max %.3f\n",
               (unsigned long long)r->took.n, s->after, (unsigned long long)r->reasons[3], ms[0], ms[1], ms[2]);
    }
    client_close(&r->c);
    free(r);
    return rc == HC_OK ? hc_finish_output() : rc;
}

#define FIELD(name) offsetof(struct cancel_settings, name)
static const struct hc_option cancel_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text to continue (\"It was\")"},
    {"-n", HC_INT, FIELD(n), 1, INT32_MAX, "N", "tokens it would add (10000)"},
    {"--after", HC_INT, FIELD(after), 0, INT32_MAX, "N", "cancel after so many; 0: at once (4)"},
    {"--times", HC_INT, FIELD(times), 1, INT32_MAX, "N", "texts, one after the other (20)"},
    HC_OPTIONS_END,
};

static const struct cancel_settings cancel_defaults = {
    .client = CLIENT_DEFAULTS, .p = "It was", .after = 4, .times = 20, .n = 10000};

const struct hc_command client_cancel = {
    .name = "client cancel",
    .synopsis = "--socket PATH [--after N] [--times N]",
    .text = "Starts texts on the server, cancels each, and tells how long it took from then to their ends.",
    .options = cancel_options,
    .common = client_common_options,
    .settings_size = sizeof(struct cancel_settings),
    .defaults = &cancel_defaults,
    .run = cancel_run,
};
