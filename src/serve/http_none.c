/* A build without HEARTH_HTTP. */
#include "serve/hs_http.h"
#include "base/hb_error.h"

hearth_status hs_http_load(hearth_error *err)
{
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "http: this program was built without HTTP (HEARTH_HTTP)");
}

hearth_status hs_http_open(const struct hs_http_config *config, struct hs_http **http, hearth_error *err)
{
    (void)config, (void)http;
    return hs_http_load(err);
}

void hs_http_close(struct hs_http *http)
{
    (void)http;
}

bool hs_http_add(struct hs_http *http, int fd, uint32_t uid, uint64_t now_ns)
{
    (void)http, (void)fd, (void)uid, (void)now_ns;
    return false;
}

bool hs_http_full(const struct hs_http *http)
{
    (void)http;
    return true;
}

bool hs_http_busy(const struct hs_http *http)
{
    (void)http;
    return false;
}

int hs_http_fd(const struct hs_http *http)
{
    (void)http;
    return -1;
}

uint64_t hs_http_wake_ns(const struct hs_http *http)
{
    (void)http;
    return UINT64_MAX;
}

void hs_http_run(struct hs_http *http, uint64_t now_ns)
{
    (void)http, (void)now_ns;
}
