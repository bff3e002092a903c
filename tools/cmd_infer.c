/* hearth infer: one run of any ONNX graph, tensors from files and to files. */
#include "commands.h"
#include "json_out.h"
#include "tensor_io.h"
#include <stdlib.h>
#include <string.h>

struct infer_settings {
    struct hc_common common;
    struct hc_texts in;
    const char *out;
};

static int infer_read(const struct hc_texts *args, struct hc_tensor *inputs)
{
    for (size_t i = 0; i < args->n; i++) {
        hearth_error err = {0};
        const char *eq = strchr(args->item[i], '=');
        if (!eq)
            return hc_fail(HC_USAGE, args->item[i], "no NAME=FILE");
        char *name = strndup(args->item[i], (size_t)(eq - args->item[i]));
        hearth_status status = hc_tensor_read(eq + 1, name, &inputs[i], &err);
        free(name);
        if (status != HEARTH_OK)
            return hc_fail_status(HC_REFUSED, eq + 1, status, &err);
    }
    return HC_OK;
}

static void infer_print(const struct infer_settings *s, const hearth_tensor *outputs, size_t n)
{
    char text[200];
    struct hj j = {.file = stdout};
    if (!s->common.json) {
        for (size_t i = 0; i < n; i++) {
            hc_tensor_shape(&outputs[i], text, sizeof text);
            printf("%s %s\n", outputs[i].name, text);
        }
        return;
    }
    hj_open(&j, NULL, '[');
    for (size_t i = 0; i < n; i++) {
        hj_open(&j, NULL, '{');
        hj_string(&j, "name", outputs[i].name);
        hj_string(&j, "type", hearth_dtype_name(outputs[i].type));
        hj_open(&j, "shape", '[');
        for (int d = 0; d < outputs[i].rank; d++)
            hj_int(&j, NULL, outputs[i].dim[d]);
        hj_close(&j, ']');
        hj_close(&j, '}');
    }
    hj_close(&j, ']');
    fputc('\n', stdout);
}

static int infer_write(const char *dir, const hearth_tensor *outputs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        size_t len = (size_t)snprintf(path, sizeof path, "%s/", dir);
        for (const char *p = outputs[i].name; *p && len < sizeof path - 8; p++)
            path[len++] = strchr("/\\:", *p) ? '_' : *p;
        snprintf(path + len, sizeof path - len, ".npy");
        int rc = hc_tensor_write_npy(path, &outputs[i]);
        if (rc != HC_OK)
            return rc;
    }
    return HC_OK;
}

static int infer_with(const struct infer_settings *s, const struct hc_model *m)
{
    struct hc_tensor inputs[HC_MOST_VALUES] = {0};
    hearth_tensor given[HC_MOST_VALUES];
    struct hc_session session = {0};
    hearth_session_config config = {.struct_size = sizeof config};
    hearth_error err = {0};
    size_t n = hearth_model_output_count(m->model);
    hearth_tensor *outputs = calloc(n + 1, sizeof *outputs);
    int rc = infer_read(&s->in, inputs);
    if (rc == HC_OK)
        rc = hc_tensor_session_open(&s->common, m, &config, &session);
    if (rc == HC_OK) {
        for (size_t i = 0; i < s->in.n; i++)
            given[i] = inputs[i].tensor;
        hearth_status status = hearth_session_infer(session.session, given, s->in.n, outputs, n, &err);
        if (status != HEARTH_OK)
            rc = hc_fail_status(HC_FAILED, m->path, status, &err);
    }
    if (rc == HC_OK)
        infer_print(s, outputs, n);
    if (rc == HC_OK && s->out)
        rc = infer_write(s->out, outputs, n);
    for (size_t i = 0; i < HC_MOST_VALUES; i++)
        hc_tensor_free(&inputs[i]);
    hc_session_close(&session);
    free(outputs);
    return rc;
}

static int infer_run(const void *settings)
{
    const struct infer_settings *s = settings;
    struct hc_model model = {0};
    int rc = hc_model_open(&s->common, 0, &model);
    if (rc == HC_OK && model.info.kind != HEARTH_MODEL_TENSOR)
        rc = hc_fail(HC_REFUSED, s->common.model, "a model that generates text; an ONNX graph is accepted");
    if (rc == HC_OK)
        rc = infer_with(s, &model);
    hc_model_close(&model);
    return rc == HC_OK ? hc_finish_output() : rc;
}

#define FIELD(name) offsetof(struct infer_settings, name)
static const struct hc_option infer_options[] = {
    {"--in", HC_TEXTS, FIELD(in), 0, 0, "NAME=FILE", "an input, from .npy or a TensorProto .pb file"},
    {"--out", HC_TEXT, FIELD(out), 0, 0, "DIR", "write each output to DIR/NAME.npy"},
    HC_OPTIONS_END,
};

static const struct infer_settings infer_defaults;

const struct hc_command hc_command_infer = {
    .name = "infer",
    .synopsis = "-m FILE --in NAME=FILE ... [--out DIR]",
    .text = "Runs an ONNX graph once and lists its outputs with type and shape.",
    .options = infer_options,
    .settings_size = sizeof(struct infer_settings),
    .defaults = &infer_defaults,
    .run = infer_run,
};
