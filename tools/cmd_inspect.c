/* hearth inspect: what is in a model file, what a session of given size would take, and (on request)
 * where a run spends its time. */
#include "client.h"
#include "commands.h"
#include "json_out.h"
#include "plan.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inspect_settings {
    struct hc_common common;
    int32_t ctx;
    int32_t batch;
    int32_t profile; /* prompt tokens to run, 0: none */
    const char *type_k;
    const char *type_v;
};

/* ---- what is stored ---- */

#define INSPECT_MOST_TYPES 64
struct inspect_type {
    const char *name;
    uint64_t count, bytes;
};

/* Tensor types in order of first use. */
static size_t inspect_types(const struct hc_model *m, struct inspect_type *types)
{
    size_t n_types = 0, n = hearth_model_tensor_count(m->model);
    for (size_t i = 0; i < n; i++) {
        hearth_tensor_info t = {.struct_size = sizeof t};
        size_t k = 0;
        if (hearth_model_tensor(m->model, i, &t, NULL) != HEARTH_OK)
            break;
        while (k < n_types && strcmp(types[k].name, t.type) != 0)
            k++;
        if (k == INSPECT_MOST_TYPES)
            break;
        if (k == n_types)
            types[n_types++] = (struct inspect_type){.name = t.type};
        types[k].count++;
        types[k].bytes += t.bytes;
    }
    return n_types;
}

static void inspect_shape(char *dst, size_t size, const hearth_tensor_info *t)
{
    size_t used = 0;
    dst[0] = 0;
    for (uint32_t d = 0; d < t->rank && d < HC_COUNT(t->dim) && used < size; d++)
        used += (size_t)snprintf(dst + used, size - used, "%s%" PRId64, d ? " x " : "", t->dim[d]);
}

static void inspect_print_pair(const char *key, const char *text)
{
    fputs("  ", stdout);
    hc_put_escaped(stdout, key);
    printf("%*s", strlen(key) < 44 ? (int)(44 - strlen(key)) : 1, "");
    hc_put_escaped(stdout, text);
    fputc('\n', stdout);
}

static void inspect_print_stored(const struct hc_model *m)
{
    char text[512];
    const char *key;
    const hearth_model_info *info = &m->info;
    hc_put_escaped(stdout, m->path);
    printf(": %s %s \"", info->format, info->architecture);
    hc_put_escaped(stdout, info->name);
    printf("\", %.1f M parameters, %" PRIu64 " bytes of weights, commonest type %s\n",
           (double)info->n_params * 1e-6, info->weight_bytes, info->file_type);
    printf("vocabulary %d, layers %d, width %d, heads %d, KV heads %d, context %d",
           info->vocab_size, info->n_layers, info->n_embd, info->n_heads, info->n_kv_heads,
           info->n_ctx_train);
    if (info->n_experts > 0)
        printf(", experts %d, of which a token uses %d", info->n_experts, info->n_experts_used);
    printf("\n\nmetadata\n");
    for (size_t i = 0; i < hearth_model_meta_count(m->model); i++)
        if (hearth_model_meta(m->model, i, &key, text, sizeof text, NULL) == HEARTH_OK)
            inspect_print_pair(key, text);
    puts("\ntensors");
    for (size_t i = 0; i < hearth_model_tensor_count(m->model); i++) {
        hearth_tensor_info t = {.struct_size = sizeof t};
        if (hearth_model_tensor(m->model, i, &t, NULL) != HEARTH_OK)
            break;
        inspect_shape(text, sizeof text, &t);
        printf("  %12" PRIu64 " %-8s %-20s ", t.bytes, t.type, text);
        hc_put_escaped(stdout, t.name);
        fputc('\n', stdout);
    }
    struct inspect_type types[INSPECT_MOST_TYPES];
    size_t n_types = inspect_types(m, types);
    puts("\ntypes");
    for (size_t i = 0; i < n_types; i++)
        printf("  %-8s %6" PRIu64 " tensors %14" PRIu64 " bytes\n", types[i].name, types[i].count,
               types[i].bytes);
}

static void inspect_json_stored(struct hj *j, const struct hc_model *m)
{
    char text[4096];
    const char *key;
    const hearth_model_info *info = &m->info;
    hj_string(j, "file", m->path);
    hj_string(j, "format", info->format);
    hj_string(j, "architecture", info->architecture);
    hj_string(j, "name", info->name);
    hj_string(j, "file_type", info->file_type);
    hj_uint(j, "n_params", info->n_params);
    hj_uint(j, "weight_bytes", info->weight_bytes);
    hj_uint(j, "file_bytes", m->file_bytes);
    hj_int(j, "vocab_size", info->vocab_size);
    hj_int(j, "n_ctx_train", info->n_ctx_train);
    hj_int(j, "n_layers", info->n_layers);
    hj_int(j, "n_embd", info->n_embd);
    hj_int(j, "n_heads", info->n_heads);
    hj_int(j, "n_kv_heads", info->n_kv_heads);
    hj_int(j, "n_experts", info->n_experts);
    hj_int(j, "n_experts_used", info->n_experts_used);
    hj_open(j, "metadata", '{');
    for (size_t i = 0; i < hearth_model_meta_count(m->model); i++)
        if (hearth_model_meta(m->model, i, &key, text, sizeof text, NULL) == HEARTH_OK)
            hj_string(j, key, text);
    hj_close(j, '}');
    hj_open(j, "tensors", '[');
    for (size_t i = 0; i < hearth_model_tensor_count(m->model); i++) {
        hearth_tensor_info t = {.struct_size = sizeof t};
        if (hearth_model_tensor(m->model, i, &t, NULL) != HEARTH_OK)
            break;
        hj_open(j, NULL, '{');
        hj_string(j, "name", t.name);
        hj_string(j, "type", t.type);
        hj_open(j, "shape", '[');
        for (uint32_t d = 0; d < t.rank && d < HC_COUNT(t.dim); d++)
            hj_int(j, NULL, t.dim[d]);
        hj_close(j, ']');
        hj_uint(j, "bytes", t.bytes);
        hj_close(j, '}');
    }
    hj_close(j, ']');
    struct inspect_type types[INSPECT_MOST_TYPES];
    size_t n_types = inspect_types(m, types);
    hj_open(j, "types", '{');
    for (size_t i = 0; i < n_types; i++) {
        hj_open(j, types[i].name, '{');
        hj_uint(j, "tensors", types[i].count);
        hj_uint(j, "bytes", types[i].bytes);
        hj_close(j, '}');
    }
    hj_close(j, '}');
}

/* ---- where the time goes ---- */

/* What ran since the last call. */
static void inspect_ops(struct hj *j, struct hc_session *hs, const char *phase)
{
    if (j)
        hj_open(j, phase, '[');
    else
        printf("\n%s\n  %-28s %8s %10s %8s %8s\n", phase, "op", "calls", "ms", "GB/s", "GMAC/s");
    for (size_t i = 0;; i++) {
        hearth_profile_row row = {.struct_size = sizeof row};
        if (hearth_session_profile(hs->session, i, 1, &row, NULL) != HEARTH_OK)
            break;
        if (row.calls == 0)
            continue;
        double ns = row.ns ? (double)row.ns : 1;
        if (j) {
            hj_open(j, NULL, '{');
            hj_string(j, "op", row.op);
            hj_uint(j, "calls", row.calls);
            hj_uint(j, "ns", row.ns);
            hj_uint(j, "bytes", row.bytes);
            hj_uint(j, "macs", row.macs);
            hj_close(j, '}');
        } else {
            printf("  %-28s %8" PRIu64 " %10.3f %8.2f %8.2f\n", row.op, row.calls,
                   (double)row.ns * 1e-6, (double)row.bytes / ns, (double)row.macs / ns);
        }
    }
    if (j)
        hj_close(j, ']');
}

/* A prompt of n tokens, then 16 single ones, on the first ids of the vocabulary. */
static int inspect_profile(struct hj *j, const struct hc_model *m, struct hc_session *hs, int32_t n)
{
    hearth_error err = {0};
    int32_t steps = hs->info.n_ctx - n < 16 ? hs->info.n_ctx - n : 16;
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    if (!ids)
        return hc_fail(HC_LIMIT, "--profile", "no memory for %d tokens", (int)n);
    for (int32_t i = 0; i < n; i++)
        ids[i] = i % m->info.vocab_size;
    hearth_status status = hearth_session_eval(hs->session, ids, (size_t)n, NULL, &err);
    if (status == HEARTH_OK)
        inspect_ops(j, hs, "prompt_ops");
    for (int32_t i = 0; status == HEARTH_OK && i < steps; i++)
        status = hearth_session_step(hs->session, &(hearth_item){ids[0], 0, 1}, 1, &err);
    if (status == HEARTH_OK)
        inspect_ops(j, hs, "token_ops");
    free(ids);
    return status == HEARTH_OK ? HC_OK : hc_fail_status(HC_FAILED, "--profile", status, &err);
}

/* ---- the run ---- */

/* Print everything; hs is NULL for a model that cannot run, for the given reason. */
static int inspect_print(const struct inspect_settings *s, const struct hc_model *m,
                         struct hc_session *hs, const char *reason)
{
    struct hj json = {.file = stdout}, *j = s->common.json ? &json : NULL;
    int rc = HC_OK;
    if (j) {
        hj_open(j, NULL, '{');
        inspect_json_stored(j, m);
        hj_bool(j, "runs", hs != NULL);
        if (!hs)
            hj_string(j, "reason", reason);
    } else {
        inspect_print_stored(m);
        if (!hs)
            printf("\ncannot run: %s\n", reason);
    }
    if (hs && j)
        hc_plan_json(j, m, hs);
    else if (hs)
        hc_plan_print(m, hs);
    if (hs && s->profile)
        rc = inspect_profile(j, m, hs, s->profile);
    if (j) {
        hj_close(j, '}');
        fputc('\n', stdout);
    }
    return rc == HC_OK ? hc_finish_output() : rc;
}

static int inspect_with_session(const struct inspect_settings *s, const struct hc_model *m)
{
    hearth_session_config config = {.n_ctx = s->ctx,
                                    .n_batch = s->batch,
                                    .kv_type_k = s->type_k,
                                    .kv_type_v = s->type_v,
                                    .flags = s->profile ? HEARTH_SESSION_PROFILE : 0};
    struct hc_session hs;
    int rc = hc_session_open(&s->common, m, &config, &hs);
    if (rc == HC_OK && s->profile >= hs.info.n_ctx)
        rc = hc_fail(HC_USAGE, "--profile", "%d; less than the context of %d is accepted",
                     (int)s->profile, (int)hs.info.n_ctx);
    if (rc == HC_OK)
        rc = inspect_print(s, m, &hs, "");
    hc_session_close(&hs);
    return rc;
}

/* A model that is refused is shown all the same when its metadata can be read. */
static int inspect_run(const void *settings)
{
    const struct inspect_settings *s = settings;
    struct hc_model model;
    hearth_error err = {0};
    int rc = hc_files_open(&s->common, &model);
    if (rc == HC_OK) {
        hearth_status status = hc_model_from_files(&model, 0, &err);
        if (status == HEARTH_OK && model.info.kind == HEARTH_MODEL_GENERATIVE)
            rc = inspect_with_session(s, &model);
        else if (status == HEARTH_OK)
            rc = inspect_print(s, &model, NULL, "no model that generates text");
        else if (hc_model_from_files(&model, HEARTH_MODEL_VOCAB_ONLY, NULL) == HEARTH_OK)
            rc = inspect_print(s, &model, NULL, err.text);
        else
            rc = hc_fail_status(HC_REFUSED, model.path, status, &err);
    }
    hc_model_close(&model);
    return rc;
}

#define FIELD(name) offsetof(struct inspect_settings, name)
static const struct hc_option inspect_options[] = {
    {"-c", HC_INT, FIELD(ctx), 1, INT32_MAX, "CTX", "context to plan for; default: the model's own"},
    {"-b", HC_INT, FIELD(batch), 1, INT32_MAX, "CHUNK", "tokens in one step (512)"},
    {"--ctk", HC_TEXT, FIELD(type_k), 0, 0, "TYPE", "type of the key cache (f16)"},
    {"--ctv", HC_TEXT, FIELD(type_v), 0, 0, "TYPE", "type of the value cache (f16)"},
    {"--profile", HC_INT, FIELD(profile), 1, INT32_MAX, "N",
     "run N prompt tokens and 16 more, and time each kind of operation"},
    HC_OPTIONS_END,
};

static const struct inspect_settings inspect_defaults;

const struct hc_command hc_command_inspect = {
    .name = "inspect",
    .synopsis = "-m FILE [-c CTX]",
    .text = "Prints metadata, tensors and types as stored, and the memory a session would take.",
    .options = inspect_options,
    .settings_size = sizeof(struct inspect_settings),
    .defaults = &inspect_defaults,
    .run = inspect_run,
};
