/* hearth conformance: directories in the layout of the ONNX backend tests.
 *
 *   DIR/model.onnx
 *   DIR/test_data_set_0/input_0.pb .. output_0.pb ..     as many sets as there are
 *
 * Outputs are compared as the ONNX runner does: floats |got - want| <= 1e-7 + 1e-3 |want|, NaN equal to NaN;
 * bfloat16 within two units in the last place as there (old files truncate), and float16 likewise (2^-9,
 * where the runner has 1e-3); other types exactly; shapes and types always. A data set may have other input shapes than its model declares. */
#include "commands.h"
#include "json_out.h"
#include "tensor_io.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct conformance_settings {
    struct hc_common common;
};

enum conformance_verdict { CONFORMANCE_PASS, CONFORMANCE_FAIL, CONFORMANCE_UNSUPPORTED };
#define CONFORMANCE_MOST 64

struct conformance_case {
    const char *dir;
    char reason[300];
    hearth_model *model;
    hearth_session *session;
};

static enum conformance_verdict conformance_status(struct conformance_case *c, hearth_status status,
                                                   const hearth_error *err)
{
    snprintf(c->reason, sizeof c->reason, "%s", err->text[0] ? err->text : hearth_status_text(status));
    return status == HEARTH_E_UNSUPPORTED ? CONFORMANCE_UNSUPPORTED : CONFORMANCE_FAIL;
}

static bool conformance_same(const hearth_tensor *want, const hearth_tensor *got, char *reason,
                             size_t size)
{
    char a[90], b[90];
    hc_tensor_shape(want, a, sizeof a);
    hc_tensor_shape(got, b, sizeof b);
    if (strcmp(a, b) != 0) {
        snprintf(reason, size, "output is %s; expected %s", b, a);
        return false;
    }
    double rel = want->type == HEARTH_DTYPE_BF16 ? 0x1p-6 : want->type == HEARTH_DTYPE_F16 ? 0x1p-9 : 1e-3;
    for (size_t i = 0; i < hc_tensor_count(want); i++) {
        bool same;
        double w = hc_tensor_real(want, i), g = hc_tensor_real(got, i);
        if (hc_tensor_is_float(want))
            same = w == g || (isnan(w) && isnan(g)) || fabs(g - w) <= 1e-7 + rel * fabs(w);
        else
            same = hc_tensor_int(want, i) == hc_tensor_int(got, i);
        if (!same) {
            snprintf(reason, size, "element %zu is %.9g; expected %.9g", i, g, w);
            return false;
        }
    }
    return true;
}

/* Inputs of one data set: by the name in the file where the model has such an input, else by number. */
static hearth_status conformance_inputs(struct conformance_case *c, int set, struct hc_tensor *in,
                                        size_t *n, hearth_error *err)
{
    size_t n_model = hearth_model_input_count(c->model);
    for (*n = 0; *n < CONFORMANCE_MOST; (*n)++) {
        char path[4096];
        hearth_io_info io = {.struct_size = sizeof io};
        bool known = false;
        snprintf(path, sizeof path, "%s/test_data_set_%d/input_%zu.pb", c->dir, set, *n);
        if (access(path, R_OK) != 0)
            return HEARTH_OK;
        hearth_status status = hc_tensor_read(path, NULL, &in[*n], err);
        if (status != HEARTH_OK)
            return status;
        for (size_t i = 0; i < n_model && !known; i++) {
            (void)hearth_model_input(c->model, i, &io, err);
            known = strcmp(io.name, in[*n].tensor.name) == 0;
        }
        if (!known && *n < n_model) {
            (void)hearth_model_input(c->model, *n, &io, err);
            free((void *)(uintptr_t)in[*n].tensor.name);
            in[*n].tensor.name = strdup(io.name);
        }
        if (io.type == HEARTH_DTYPE_BF16 && in[*n].tensor.type == HEARTH_DTYPE_U16)
            in[*n].tensor.type = HEARTH_DTYPE_BF16; /* NumPy has no bfloat16: the bits as integers */
    }
    return HEARTH_OK;
}

static enum conformance_verdict conformance_outputs(struct conformance_case *c, int set,
                                                    const hearth_tensor *got, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[4096], why[240];
        struct hc_tensor want = {0};
        hearth_error err = {0};
        snprintf(path, sizeof path, "%s/test_data_set_%d/output_%zu.pb", c->dir, set, i);
        if (access(path, R_OK) != 0)
            return CONFORMANCE_PASS;
        hearth_status status = hc_tensor_read(path, NULL, &want, &err);
        if (want.tensor.type == HEARTH_DTYPE_U16 && got[i].type == HEARTH_DTYPE_BF16)
            want.tensor.type = HEARTH_DTYPE_BF16;
        bool same = status == HEARTH_OK && conformance_same(&want.tensor, &got[i], why, sizeof why);
        hc_tensor_free(&want);
        if (status != HEARTH_OK)
            return conformance_status(c, status, &err);
        if (!same) {
            snprintf(c->reason, sizeof c->reason, "set %d, output %zu: %s", set, i, why);
            return CONFORMANCE_FAIL;
        }
    }
    return CONFORMANCE_PASS;
}

static enum conformance_verdict conformance_set(struct conformance_case *c, int set)
{
    struct hc_tensor in[CONFORMANCE_MOST] = {0};
    hearth_tensor given[CONFORMANCE_MOST], got[CONFORMANCE_MOST] = {0};
    hearth_error err = {0};
    size_t n, n_out = hearth_model_output_count(c->model);
    enum conformance_verdict verdict;
    if (n_out > CONFORMANCE_MOST)
        n_out = CONFORMANCE_MOST;
    hearth_status status = conformance_inputs(c, set, in, &n, &err);
    for (size_t i = 0; i < n && status == HEARTH_OK; i++)
        given[i] = in[i].tensor;
    if (status == HEARTH_OK)
        status = hearth_session_infer(c->session, given, n, got, n_out, &err);
    verdict = status == HEARTH_OK ? conformance_outputs(c, set, got, n_out)
                                  : conformance_status(c, status, &err);
    for (size_t i = 0; i < CONFORMANCE_MOST; i++)
        hc_tensor_free(&in[i]);
    return verdict;
}

static enum conformance_verdict conformance_case_run(const struct hc_common *common,
                                                     hearth_pool *pool, struct conformance_case *c)
{
    char path[4096];
    hearth_error err = {0};
    hearth_file *file = NULL;
    enum conformance_verdict verdict = CONFORMANCE_PASS;
    snprintf(path, sizeof path, "%s/model.onnx", c->dir);
    hearth_status status = hearth_file_open(path, NULL, &file, &err);
    if (status == HEARTH_OK) {
        hearth_bytes bytes = {hearth_file_bytes(file), hearth_file_size(file)};
        status = hearth_model_open(&bytes, 1, NULL, &c->model, &err);
    }
    if (status == HEARTH_OK) {
        hearth_session_config config = {.struct_size = sizeof config, .pool = pool,
                                        .level = common->level, .max_bytes = common->memory_limit,
                                        .flags = HEARTH_SESSION_ANY_SHAPE};
        status = hearth_session_open(c->model, &config, &c->session, &err);
    }
    if (status != HEARTH_OK)
        verdict = conformance_status(c, status, &err);
    int sets = 0;
    for (; verdict == CONFORMANCE_PASS; sets++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", c->dir, sets);
        if (access(path, R_OK) != 0)
            break;
        verdict = conformance_set(c, sets);
    }
    if (verdict == CONFORMANCE_PASS && sets == 0) {
        snprintf(c->reason, sizeof c->reason, "no test_data_set_0");
        verdict = CONFORMANCE_FAIL;
    }
    hearth_session_close(c->session);
    hearth_model_close(c->model);
    hearth_file_close(file);
    return verdict;
}

static const char *const conformance_words[] = {"PASS", "FAIL", "UNSUPPORTED"};

static void conformance_print(bool json, const struct conformance_case *c,
                              enum conformance_verdict verdict)
{
    const char *name = c->dir, *slash;
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", c->dir);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = 0;
    slash = strrchr(copy, '/');
    name = slash ? slash + 1 : copy;
    if (json) {
        struct hj j = {.file = stdout};
        hj_open(&j, NULL, '{');
        hj_string(&j, "result", conformance_words[verdict]);
        hj_string(&j, "name", name);
        hj_string(&j, "reason", c->reason);
        hj_close(&j, '}');
        fputc('\n', stdout);
        return;
    }
    printf("%s %s", conformance_words[verdict], name);
    if (c->reason[0]) {
        fputs(": ", stdout);
        hc_put_escaped(stdout, c->reason);
    }
    fputc('\n', stdout);
}

static int conformance_run(const void *settings)
{
    const struct conformance_settings *s = settings;
    size_t count[3] = {0};
    hearth_pool *pool = NULL;
    hearth_error err = {0};
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = s->common.threads};
    if (s->common.n_rest == 0)
        return hc_fail(HC_USAGE, "conformance", "no directory was given");
    hearth_status status = hearth_pool_open(&config, &pool, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_FAILED, "threads", status, &err);
    for (int i = 0; i < s->common.n_rest; i++) {
        struct conformance_case c = {.dir = s->common.rest[i]};
        enum conformance_verdict verdict = conformance_case_run(&s->common, pool, &c);
        count[verdict]++;
        conformance_print(s->common.json, &c, verdict);
    }
    hearth_pool_close(pool);
    if (s->common.json)
        printf("{\"passed\":%zu,\"failed\":%zu,\"unsupported\":%zu}\n", count[0], count[1], count[2]);
    else
        printf("%zu passed, %zu failed, %zu unsupported\n", count[0], count[1], count[2]);
    int rc = hc_finish_output();
    return rc != HC_OK ? rc : count[1] ? HC_FAILED : HC_OK;
}

static const struct hc_option conformance_options[] = {HC_OPTIONS_END};
static const struct conformance_settings conformance_defaults;

const struct hc_command hc_command_conformance = {
    .name = "conformance",
    .synopsis = "DIR ...",
    .text = "Runs directories in the layout of the ONNX backend tests (model.onnx,\n"
            "test_data_set_N/input_K.pb and output_K.pb) and prints PASS, FAIL or UNSUPPORTED for each.",
    .options = conformance_options,
    .settings_size = sizeof(struct conformance_settings),
    .defaults = &conformance_defaults,
    .run = conformance_run,
    .takes_rest = true,
};
