/* hearth classify: text to labels. Logits come from the model, scores are their softmax in double. */
#include "commands.h"
#include "encode_texts.h"
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct classify_run {
    const struct encode_settings *settings;
    struct encode_labels labels;
    double *scores; /* [labels.n] */
    size_t *order;  /* [labels.n], best first */
};

static int classify_prepare(struct classify_run *r, size_t n)
{
    if (r->labels.name)
        return HC_OK;
    r->scores = malloc(n * sizeof *r->scores);
    r->order = malloc(n * sizeof *r->order);
    if (!r->scores || !r->order)
        return hc_fail(HC_LIMIT, "labels", "no memory for %zu scores", n);
    return encode_labels_read(r->settings, n, &r->labels);
}

static void classify_score(struct classify_run *r, const float *logits)
{
    size_t n = r->labels.n;
    double max = logits[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += r->scores[i] = exp(logits[i] - max);
    for (size_t i = 0; i < n; i++) {
        r->scores[i] /= sum;
        size_t k = i; /* the lower id first among equals */
        for (; k > 0 && r->scores[r->order[k - 1]] < r->scores[i]; k--)
            r->order[k] = r->order[k - 1];
        r->order[k] = i;
    }
}

static void classify_json(const struct classify_run *r, const hearth_encoding *e)
{
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    hj_string(&j, "label", r->labels.name[r->order[0]]);
    hj_real(&j, "score", r->scores[r->order[0]]);
    hj_open(&j, "scores", '[');
    for (size_t i = 0; i < r->labels.n; i++) {
        hj_open(&j, NULL, '{');
        hj_string(&j, "label", r->labels.name[r->order[i]]);
        hj_real(&j, "score", r->scores[r->order[i]]);
        hj_close(&j, '}');
    }
    hj_close(&j, ']');
    hj_open(&j, "logits", '[');
    for (size_t i = 0; i < e->n_values; i++)
        hj_real(&j, NULL, (double)e->values[i]);
    hj_close(&j, ']');
    hj_int(&j, "n_tokens", e->n_tokens);
    if (r->settings->truncate)
        hj_bool(&j, "truncated", e->truncated != 0);
    hj_close(&j, '}');
    fputc('\n', stdout);
}

static int classify_text(void *user, hearth_encoder *encoder, size_t index,
                         const struct hc_text *text)
{
    struct classify_run *r = user;
    hearth_encoding e = {.struct_size = sizeof e};
    hearth_error err = {0};
    hearth_status status = hearth_encoder_classify(encoder, text->bytes, text->len, &e, &err);
    if (status != HEARTH_OK)
        return encode_fail(r->settings, index, status, &err);
    int rc = classify_prepare(r, e.n_values);
    if (rc != HC_OK)
        return rc;
    classify_score(r, e.values);
    if (r->settings->common.json) {
        classify_json(r, &e);
    } else {
        printf("%-12s %.4f  ", r->labels.name[r->order[0]], r->scores[r->order[0]]);
        fwrite(text->bytes, 1, text->len, stdout);
        printf("%s\n", e.truncated ? "  (truncated)" : "");
    }
    return HC_OK;
}

static int classify_run(const void *settings)
{
    struct classify_run r = {.settings = settings};
    int rc = encode_each(r.settings, HEARTH_POOL_MODEL, classify_text, &r);
    encode_labels_free(&r.labels);
    free(r.scores);
    free(r.order);
    return rc;
}

static const struct hc_option classify_options[] = {
    ENCODE_OPTIONS,
    {"--labels", HC_TEXT, ENCODE_FIELD(labels), 0, 0, "A,B",
     "names of the classes (id2label of config.json beside the model)"},
    HC_OPTIONS_END,
};

static const struct encode_settings classify_defaults;

const struct hc_command hc_command_classify = {
    .name = "classify",
    .synopsis = "-m FILE (-p TEXT... | -f FILE) [--labels A,B]",
    .text = "A label for each text, with its probability. Every text is computed by itself: its scores do\n"
            "not depend on the others. --json prints all scores, best first, and the logits.",
    .options = classify_options,
    .settings_size = sizeof(struct encode_settings),
    .defaults = &classify_defaults,
    .run = classify_run,
};
