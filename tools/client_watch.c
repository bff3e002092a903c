/* hearth client status, health, metrics, models, manage: looking at a server, and changing its models. */
#include "client_command.h"
#include "json_out.h"
#include <stdlib.h>
#include <string.h>
#if HEARTH_WITH_JSON
#include <jansson.h>
#endif

static int watch_call(struct client *c, enum hs_index message, enum hs_index answer, const void *msg, int64_t wait_ms,
                      union hs_any *out)
{
    const struct client_call call = {message, answer, msg, wait_ms, NULL, NULL};
    return client_ask(c, &call, out);
}

static int watch_wait(const struct client *c)
{
    return c->s->timeout_ms > 0 ? c->s->timeout_ms : CLIENT_PROBE_MS;
}

static int watch_health(struct client *c, uint64_t kind, union hs_any *answer)
{
    struct hs_health msg = {0};
    HS_SET(&msg, health, id, wc_new_id(c->wire));
    HS_SET(&msg, health, kind, kind);
    return watch_call(c, HS_M_health, HS_M_report, &msg, watch_wait(c), answer);
}

static int watch_metrics(struct client *c, bool prometheus, union hs_any *answer)
{
    struct hs_metrics msg = {0};
    HS_SET(&msg, metrics, id, wc_new_id(c->wire));
    if (prometheus)
        HS_SET(&msg, metrics, prometheus, 1);
    return watch_call(c, HS_M_metrics, HS_M_report, &msg, watch_wait(c), answer);
}

static int watch_put(struct hs_bytes body)
{
    fwrite(body.at, 1, body.len, stdout);
    if (body.len == 0 || body.at[body.len - 1] != '\n')
        fputc('\n', stdout);
    return hc_finish_output();
}

/* ---- a report for people: its leaves, a line each ---- */

#if HEARTH_WITH_JSON
#define WATCH_ALIKE 4 /* from so many members on, those that all say the same are told once */

static const char *watch_scalar(const json_t *v, char number[40])
{
    if (json_is_string(v))
        return json_string_value(v);
    if (json_is_real(v))
        snprintf(number, 40, "%.6g", json_real_value(v));
    else if (json_is_integer(v))
        snprintf(number, 40, "%lld", (long long)json_integer_value(v));
    else
        snprintf(number, 40, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
    return number;
}

/* Members that hold nothing further stand on one line. */
static bool watch_flat(json_t *object)
{
    const char *name;
    json_t *item;
    json_object_foreach(object, name, item)
        if (json_is_object(item) || json_is_array(item))
            return false;
    return json_object_size(object) > 0;
}

static bool watch_alike(json_t *object)
{
    const char *name;
    json_t *item, *first = json_object_iter_value(json_object_iter(object));
    json_object_foreach(object, name, item)
        if (!json_is_string(item) || !json_equal(item, first))
            return false;
    return json_object_size(object) >= WATCH_ALIKE;
}

static void watch_line(json_t *object)
{
    char number[40];
    const char *name, *between = "";
    json_t *item;
    if (watch_alike(object)) {
        printf("all %zu ", json_object_size(object));
        hc_put_escaped(stdout, json_string_value(json_object_iter_value(json_object_iter(object))));
        return;
    }
    json_object_foreach(object, name, item) {
        printf("%s%s ", between, name);
        hc_put_escaped(stdout, watch_scalar(item, number));
        between = "  ";
    }
}

/* Depth is that of the server's report, bounded by the parser. */
static void watch_leaves(char *key, size_t len, size_t size, json_t *v, int depth)
{
    char number[40];
    const char *name;
    json_t *item;
    size_t i;
    if (depth > 8)
        return;
    if (json_is_object(v) && (depth == 0 || !watch_flat(v))) {
        json_object_foreach(v, name, item) {
            int n = snprintf(key + len, size - len, "%s%s", len ? "." : "", name);
            watch_leaves(key, len + (size_t)n < size ? len + (size_t)n : size - 1, size, item, depth + 1);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, item) {
            int n = snprintf(key + len, size - len, ".%zu", i);
            watch_leaves(key, len + (size_t)n < size ? len + (size_t)n : size - 1, size, item, depth + 1);
        }
    } else if (strcmp(key, "limits") != 0) { /* which hearth serve --limits lists */
        printf("  %-32s ", key);
        if (json_is_object(v))
            watch_line(v);
        else
            hc_put_escaped(stdout, watch_scalar(v, number));
        fputc('\n', stdout);
    }
    key[len] = 0;
}

static void watch_table(struct hs_bytes body)
{
    char key[256] = "";
    json_t *root = json_loadb(body.at, body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (root)
        watch_leaves(key, 0, sizeof key, root, 0);
    else
        watch_put(body);
    json_decref(root);
}
#else
static void watch_table(struct hs_bytes body)
{
    watch_put(body);
}
#endif

/* ---- models ---- */

static void watch_text(struct hj *j, const char *key, struct hs_bytes text)
{
    hj_text(j, key, text.at ? text.at : "", text.len);
}

static void watch_model_json(struct hj *j, const struct hs_model *m)
{
    hj_open(j, NULL, '{');
    watch_text(j, "name", m->name);
    watch_text(j, "kind", m->kind);
    watch_text(j, "state", m->state);
    if (HS_HAS(m, model, bytes))
        hj_uint(j, "bytes", m->bytes);
    if (HS_HAS(m, model, sha256))
        watch_text(j, "sha256", m->sha256);
    if (HS_HAS(m, model, licence))
        watch_text(j, "licence", m->licence);
    hj_bool(j, "pinned", m->pinned != 0);
    hj_close(j, '}');
}

static void watch_model_line(const struct hs_model *m)
{
    printf("  %-24.*s %-9.*s %-9.*s %10.1f MiB  %-6s %.12s\n", (int)m->name.len, m->name.at, (int)m->kind.len,
           m->kind.at, (int)m->state.len, m->state.at, (double)m->bytes / (1 << 20), m->pinned ? "pinned" : "",
           m->sha256.len >= 12 ? m->sha256.at : "");
}

static int watch_models_print(const struct client *c, const struct hs_model_list *list, struct hj *j)
{
    hearth_error err = {0};
    for (size_t at = 0, i = 0; i < list->items.n; i++) {
        struct hs_model m;
        bool more;
        hearth_status status = hs_part_next(&hs_messages[HS_M_model], &list->items, &at, &m, &more, &err);
        if (status != HEARTH_OK)
            return client_fail(c, status, &err);
        if (j)
            watch_model_json(j, &m);
        else
            watch_model_line(&m);
    }
    return HC_OK;
}

static int watch_models(struct client *c, struct hj *j)
{
    struct hs_models msg = {0};
    union hs_any answer;
    HS_SET(&msg, models, id, wc_new_id(c->wire));
    int rc = watch_call(c, HS_M_models, HS_M_model_list, &msg, watch_wait(c), &answer);
    return rc == HC_OK ? watch_models_print(c, &answer.model_list, j) : rc;
}

static int watch_models_run(const void *settings)
{
    struct client c;
    struct hj j = {.file = stdout};
    int rc = client_open(settings, &c);
    bool json = c.s->common.json;
    if (rc == HC_OK && json)
        hj_open(&j, NULL, '[');
    if (rc == HC_OK)
        rc = watch_models(&c, json ? &j : NULL);
    if (rc == HC_OK && json) {
        hj_close(&j, ']');
        fputc('\n', stdout);
    }
    client_close(&c);
    return rc == HC_OK ? hc_finish_output() : rc;
}

/* ---- status ---- */

static void watch_member(const char *name, struct hs_bytes body)
{
    printf(",\"%s\":", name);
    if (body.len)
        fwrite(body.at, 1, body.len, stdout);
    else
        fputs("null", stdout);
}

static int watch_status_json(struct client *c, const union hs_any *health)
{
    union hs_any answer;
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hj_string(&j, "server", wc_server(c->wire));
    hj_bool(&j, "ready", health->report.ok != 0);
    watch_member("health", health->report.body);
    int rc = watch_metrics(c, false, &answer);
    if (rc != HC_OK && rc != HC_USAGE) /* 400: a server without metrics, as the line on stderr says */
        return rc;
    watch_member("metrics", rc == HC_OK ? answer.report.body : (struct hs_bytes){"", 0});
    hj_open(&j, "models", '[');
    rc = watch_models(c, &j);
    hj_close(&j, ']');
    hj_close(&j, '}');
    fputc('\n', stdout);
    return rc;
}

/* What people read: health has the figures of metrics in it. */
static int watch_status(struct client *c)
{
    union hs_any answer;
    int rc = watch_health(c, 2, &answer);
    if (rc == HC_OK && c->s->common.json) {
        rc = watch_status_json(c, &answer);
    } else if (rc == HC_OK) {
        printf("%s, wire %u, %s\n", wc_server(c->wire), wc_version(c->wire), answer.report.ok ? "ready" : "not ready");
        watch_table(answer.report.body);
        puts("models");
        rc = watch_models(c, NULL);
    }
    return rc == HC_OK ? hc_finish_output() : rc;
}

static int watch_status_run(const void *settings)
{
    struct client c;
    int rc = client_open(settings, &c);
    if (rc == HC_OK)
        rc = watch_status(&c);
    client_close(&c);
    return rc;
}

/* ---- health and metrics ---- */

struct watch_settings {
    struct client_settings client;
    bool liveness, readiness, full, prometheus;
};

/* A probe may run often and forever: it says no more than its exit status unless something is wrong. */
static int watch_health_run(const void *settings)
{
    const struct watch_settings *s = settings;
    struct client c;
    union hs_any answer;
    if (s->liveness + s->readiness + s->full > 1)
        return hc_fail(HC_USAGE, "health", "more than one kind given; one of --liveness, --readiness, --full is accepted");
    int rc = client_open(&s->client, &c);
    if (rc == HC_OK)
        rc = watch_health(&c, s->full ? 2 : s->readiness ? 1 : 0, &answer);
    if (rc == HC_OK && (s->full || s->client.common.json) && answer.report.body.len)
        rc = watch_put(answer.report.body);
    if (rc == HC_OK && !answer.report.ok)
        rc = hc_fail(HC_FAILED, s->client.socket, "the server is not %s", s->liveness ? "alive" : "ready");
    client_close(&c);
    return rc;
}

static int watch_metrics_run(const void *settings)
{
    const struct watch_settings *s = settings;
    struct client c;
    union hs_any answer;
    int rc = client_open(&s->client, &c);
    if (rc == HC_OK)
        rc = watch_metrics(&c, s->prometheus, &answer);
    if (rc == HC_OK)
        rc = watch_put(answer.report.body);
    client_close(&c);
    return rc;
}

/* ---- manage ---- */

static int watch_manage_run(const void *settings)
{
    static const char *const actions[] = {"warm", "load", "unload", "pin", "unpin"}; /* as the wire numbers them */
    const struct client_settings *s = settings;
    struct client c;
    struct hs_manage msg = {0};
    union hs_any answer;
    struct hj j = {.file = stdout};
    size_t action = 0;
    if (s->common.n_rest != 2)
        return hc_fail(HC_USAGE, "manage", "%d arguments; an action and a model's name are accepted", s->common.n_rest);
    while (action < HC_COUNT(actions) && strcmp(actions[action], s->common.rest[0]) != 0)
        action++;
    if (action == HC_COUNT(actions))
        return hc_fail(HC_USAGE, s->common.rest[0], "no action; warm, load, unload, pin and unpin are accepted");
    int rc = client_open(s, &c);
    if (rc == HC_OK) {
        HS_SET(&msg, manage, id, wc_new_id(c.wire));
        HS_SET(&msg, manage, model, wc_bytes(s->common.rest[1]));
        HS_SET(&msg, manage, action, action);
        rc = watch_call(&c, HS_M_manage, HS_M_model_list, &msg, s->timeout_ms > 0 ? s->timeout_ms : -1, &answer);
    }
    if (rc == HC_OK && s->common.json)
        hj_open(&j, NULL, '[');
    if (rc == HC_OK)
        rc = watch_models_print(&c, &answer.model_list, s->common.json ? &j : NULL);
    if (rc == HC_OK && s->common.json) {
        hj_close(&j, ']');
        fputc('\n', stdout);
    }
    client_close(&c);
    return rc == HC_OK ? hc_finish_output() : rc;
}

/* ---- tables ---- */

#define FIELD(name) offsetof(struct watch_settings, name)
static const struct hc_option watch_health_options[] = {
    {"--liveness", HC_FLAG, FIELD(liveness), 0, 0, NULL, "does it answer at all (the default)"},
    {"--readiness", HC_FLAG, FIELD(readiness), 0, 0, NULL, "does it take requests"},
    {"--full", HC_FLAG, FIELD(full), 0, 0, NULL, "print all it says of itself, as JSON; needs the token"},
    HC_OPTIONS_END,
};
static const struct hc_option watch_metrics_options[] = {
    {"--prometheus", HC_FLAG, FIELD(prometheus), 0, 0, NULL, "as a Prometheus text"},
    HC_OPTIONS_END,
};
static const struct hc_option watch_options[] = {HC_OPTIONS_END};
static const struct client_settings watch_defaults = CLIENT_DEFAULTS;
static const struct watch_settings watch_more_defaults = {.client = CLIENT_DEFAULTS};

const struct hc_command client_status = {
    .name = "client status",
    .synopsis = "--socket PATH [--json]",
    .text = "What the server says of itself: health, figures, models.",
    .options = watch_options,
    .common = client_common_options,
    .settings_size = sizeof(struct client_settings),
    .defaults = &watch_defaults,
    .run = watch_status_run,
};
const struct hc_command client_health = {
    .name = "client health",
    .synopsis = "--socket PATH [--liveness | --readiness | --full]",
    .text = "For probes: exit status 0 if the server is alive, or ready; 1 and a line if not. Needs no token but\n"
            "for --full.",
    .options = watch_health_options,
    .common = client_common_options,
    .settings_size = sizeof(struct watch_settings),
    .defaults = &watch_more_defaults,
    .run = watch_health_run,
};
const struct hc_command client_metrics = {
    .name = "client metrics",
    .synopsis = "--socket PATH [--prometheus]",
    .text = "Figures of the server.",
    .options = watch_metrics_options,
    .common = client_common_options,
    .settings_size = sizeof(struct watch_settings),
    .defaults = &watch_more_defaults,
    .run = watch_metrics_run,
};
const struct hc_command client_models = {
    .name = "client models",
    .synopsis = "--socket PATH [--json]",
    .text = "The models of the server: name, kind, state, size, pinned or not, SHA-256.",
    .options = watch_options,
    .common = client_common_options,
    .settings_size = sizeof(struct client_settings),
    .defaults = &watch_defaults,
    .run = watch_models_run,
};
const struct hc_command client_manage = {
    .name = "client manage",
    .synopsis = "--socket PATH load|unload|warm|pin|unpin NAME",
    .text = "Changes the state of a model; for the server's owner. Prints the model as it is then.",
    .options = watch_options,
    .common = client_common_options,
    .settings_size = sizeof(struct client_settings),
    .defaults = &watch_defaults,
    .run = watch_manage_run,
    .takes_rest = true,
};
