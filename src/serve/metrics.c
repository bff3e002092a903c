/* Counting: see hs_metrics.h. */
#define _GNU_SOURCE
#include "serve/hs_meter.h"
#include "base/os/hb_os.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *hs_result_name(enum hs_result r)
{
    static const char *const names[HS_RESULT_COUNT] = {
#define X(name) #name,
        HS_RESULTS(X)
#undef X
    };
    return names[r];
}

const char *hs_time_name(enum hs_time t, const char **help)
{
    static const char *const names[HS_TIME_COUNT][2] = {
#define X(name, help) {#name, help},
        HS_TIMES(X)
#undef X
    };
    *help = names[t][1];
    return names[t][0];
}

hearth_status hs_meter_create(const struct hs_meter_config *config, struct hs_meter **out, hearth_error *err)
{
    struct hs_meter *m = calloc(1, sizeof *m);
    if (!m)
        return hb_fail(err, HEARTH_E_MEMORY, "metrics: no memory");
    m->config = *config;
    m->start_ns = hb_os_now_ns();
    m->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    m->smaps = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    *out = m;
    return HEARTH_OK;
}

void hs_meter_destroy(struct hs_meter *m)
{
    if (!m)
        return;
    if (m->statm >= 0)
        close(m->statm);
    if (m->smaps >= 0)
        close(m->smaps);
    free(m);
}

static enum hs_result metrics_error(uint32_t code)
{
    static const struct {
        uint32_t code;
        enum hs_result result;
    } codes[] = {{400, HS_RESULT_error_400}, {401, HS_RESULT_error_401}, {404, HS_RESULT_error_404},
                 {408, HS_RESULT_error_408}, {409, HS_RESULT_error_409}, {413, HS_RESULT_error_413},
                 {429, HS_RESULT_error_429}, {503, HS_RESULT_error_503}};
    for (size_t i = 0; i < HB_COUNT(codes); i++)
        if (codes[i].code == code)
            return codes[i].result;
    return HS_RESULT_error_500;
}

void hs_meter_refused(struct hs_meter *m, const struct hs_message *request, uint32_t code)
{
    const size_t index = (size_t)(request - hs_messages);
    if (index < HS_CLIENT_MESSAGES)
        m->requests[index][metrics_error(code)]++;
}

void hs_meter_outcome(struct hs_meter *m, const struct hs_outcome *o)
{
    const size_t index = (size_t)(o->request - hs_messages);
    if (o->answer == &hs_messages[HS_M_error]) {
        hs_meter_refused(m, o->request, o->code);
        return;
    }
    enum hs_result result = HS_RESULT_ok;
    if (o->answer == &hs_messages[HS_M_done] && o->reason <= HS_RESULT_content_filtered)
        result = (enum hs_result)o->reason; /* the first results are the reasons */
    if (index < HS_CLIENT_MESSAGES)
        m->requests[index][result]++;
    m->cached_tokens += o->cached_tokens;
    m->prompt_tokens += o->prompt_tokens > o->cached_tokens ? o->prompt_tokens - o->cached_tokens : 0;
    m->generated_tokens += o->generated_tokens;
    m->prompt_ns += o->prompt_ns;
    m->generate_ns += o->generate_ns;
    bn_latency_record(&m->times[HS_TIME_request], o->total_ns);
    bn_latency_record(&m->times[HS_TIME_queue], o->queue_ns);
    if (o->prompt_ns)
        bn_latency_record(&m->times[HS_TIME_first_token], o->prompt_ns);
    if (o->generated_tokens > 1)
        bn_latency_record(&m->times[HS_TIME_token], o->generate_ns / (o->generated_tokens - 1));
}

double hs_meter_rate(uint64_t tokens, uint64_t ns)
{
    return ns ? (double)tokens * 1e9 / (double)ns : 0;
}

/* The number behind a name, or the i-th; 0 if there is none. */
static uint64_t metrics_number(const char *text, const char *name)
{
    uint64_t v = 0;
    const char *p = name ? strstr(text, name) : text;
    if (!p)
        return 0;
    while (*p && (*p < '0' || *p > '9'))
        p++;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return v;
}

static bool metrics_read(int fd, char *text, size_t size)
{
    ssize_t n = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

void hs_meter_process(const struct hs_meter *m, struct hs_process *p)
{
    char text[2048];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *p = (struct hs_process){0};
    if (metrics_read(m->statm, text, sizeof text)) {
        const char *second = strchr(text, ' ');
        p->virtual_bytes = metrics_number(text, NULL) * page;
        p->resident_bytes = second ? metrics_number(second, NULL) * page : 0;
    }
    if (metrics_read(m->smaps, text, sizeof text))
        p->proportional_bytes = metrics_number(text, "Pss:") * 1024;
}
