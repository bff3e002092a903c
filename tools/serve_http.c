/* HTTP of hearth serve: see serve_http.h. */
#include "serve_http.h"
#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int serve_http_listen(struct serve_http *h, const struct serve_http_settings *settings, bool no_token)
{
    hearth_error err = {0};
    *h = (struct serve_http){.settings = settings, .listener = -1};
    if (!settings->path)
        return settings->shared ? hc_fail(HC_USAGE, "--http-shared", "given without --http") : HC_OK;
    if (settings->shared && no_token)
        return hc_fail(HC_USAGE, "--http-shared", "given together with --no-token; a secret is needed");
    hearth_status status = hs_http_load(&err);
    if (status == HEARTH_OK)
        status = hs_listen(settings->path, &h->listener, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, settings->path, status, &err);
    if (settings->shared && chmod(settings->path, 0660) != 0)
        return hc_fail(HC_REFUSED, settings->path, "its mode cannot be changed: %s", strerror(errno));
    return HC_OK;
}

void serve_http_unlisten(struct serve_http *h)
{
    if (h->listener < 0)
        return;
    hs_unlisten(h->settings->path, h->listener);
    close(h->listener);
    h->listener = -1;
}

static void http_ready(void *user, uint64_t now_ns)
{
    hs_http_run(user, now_ns);
}

static uint64_t http_deadline(void *user)
{
    return hs_http_wake_ns(user);
}

static bool http_busy(void *user)
{
    return hs_http_busy(user);
}

int serve_http_open(struct serve_http *h, struct hs_engine *engine, struct hs_auth *auth,
                    const struct hs_limits *limits, struct hs_server *server)
{
    hearth_error err = {0};
    if (h->listener < 0)
        return HC_OK;
    const struct hs_http_config config = {.engine = engine,
                                          .auth = auth,
                                          .listener = h->listener,
                                          .any_user = h->settings->shared,
                                          .limits = limits,
                                          .now_s = (uint64_t)time(NULL),
                                          .now_ns = hc_now_ns()};
    hearth_status status = hs_http_open(&config, &h->http, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, h->settings->path, status, &err);
    const struct hs_watch watch = {.fd = hs_http_fd(h->http),
                                   .ready = http_ready,
                                   .deadline = http_deadline,
                                   .busy = http_busy,
                                   .always = true,
                                   .user = h->http};
    status = hs_server_watch(server, &watch, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_FAILED, h->settings->path, status, &err);
    return HC_OK;
}

void serve_http_close(struct serve_http *h)
{
    hs_http_close(h->http);
    h->http = NULL;
}
