/* hearth classify: text to labels. Logits come from the model, scores are their softmax in double. */
#include "commands.h"
#include "encode_texts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct classify_run {
    const struct encode_settings *settings;
    struct encode_labels labels;
    double *scores;           /* [labels.n] */
    struct hc_scored *sorted; /* [labels.n], best first */
};

static int classify_prepare(struct classify_run *r, size_t n)
{
    if (r->labels.name)
        return HC_OK;
    r->scores = malloc(n * sizeof *r->scores);
    r->sorted = malloc(n * sizeof *r->sorted);
    if (!r->scores || !r->sorted)
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
        for (; k > 0 && r->sorted[k - 1].score < r->scores[i]; k--)
            r->sorted[k] = r->sorted[k - 1];
        r->sorted[k] = (struct hc_scored){r->labels.name[i], strlen(r->labels.name[i]), r->scores[i]};
    }
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
    const struct hc_encode_form form = {r->settings->common.json, r->settings->truncate};
    hc_print_classified(&form, text, r->sorted, r->labels.n,
                        &(struct hc_encoded){e.values, e.n_values, e.n_tokens, e.truncated != 0});
    return HC_OK;
}

static int classify_run(const void *settings)
{
    struct classify_run r = {.settings = settings};
    int rc = encode_each(r.settings, HEARTH_POOL_MODEL, classify_text, &r);
    encode_labels_free(&r.labels);
    free(r.scores);
    free(r.sorted);
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
