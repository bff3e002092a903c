/* classify and embed: texts of up to eight requests through an encoder, in turns.
 *
 * Every text is a run of its own (hearth.h, encoders), so answers are what each request would get alone. The lane's
 * requests take turns text by text, until the time of the step is over: a request of one text does not wait for all
 * of one with 32. */
#include "serve/hs_job.h"
#include "base/hb_error.h"
#include "base/hb_math.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCODE_POOLINGS 4

struct encode_lane {
    hearth_encoder *encoders[ENCODE_POOLINGS][2][2]; /* by pooling, no_normalize, truncate; opened when asked for */
    char (*labels)[32];                              /* LABEL_0, ...: [n_labels] */
    size_t n_labels;
};

static hearth_status encode_encoder(struct hs_lane *lane, const struct hs_encode_job *j, hearth_encoder **out,
                                    hearth_error *err)
{
    struct encode_lane *own = lane->own;
    hearth_encoder **at = &own->encoders[j->pooling][j->no_normalize][j->truncate];
    const hearth_encoder_config config = {.struct_size = sizeof config,
                                          .session = lane->model.session,
                                          .tokenizer = lane->model.tokenizer,
                                          .pooling = (hearth_pooling)j->pooling,
                                          .no_normalize = j->no_normalize,
                                          .truncate = j->truncate};
    if (!*at)
        HB_TRY(hearth_encoder_open(&config, at, err));
    *out = *at;
    return HEARTH_OK;
}

/* ---- accepting ---- */

static hearth_status encode_ids(struct hs_lane *lane, const struct hs_bytes *text, uint32_t flags, int32_t *tokens,
                                size_t capacity, size_t *n, hearth_error *err)
{
    return lane->model.tokenizer
               ? hearth_tokenizer_encode(lane->model.tokenizer, text->at, text->len, flags, tokens, capacity, n, err)
               : hearth_tokenize(lane->model.model, text->at, text->len, flags, tokens, capacity, n, err);
}

/* Copy a text and count its tokens. */
static hearth_status encode_text(struct hs_lane *lane, struct hs_job *job, const struct hs_bytes *text,
                                 int32_t most, hearth_error *err)
{
    struct hs_encode_job *j = &job->encode;
    size_t capacity, n = 0;
    int32_t *ids = hs_engine_ids(lane->engine, &capacity);
    const char *copy;
    HB_TRY(encode_ids(lane, text, HEARTH_TOKENIZE_SPECIAL, ids, capacity, &n, err));
    if (most > 0 && n > (size_t)most) {
        if (!j->truncate)
            return hb_fail(err, HEARTH_E_LIMIT, "text %zu: %zu tokens; the model takes %d", j->n, n, most);
        n = (size_t)most;
    }
    HB_TRY(hb_arena_text(&job->arena, text->at, text->len, &copy, err));
    j->texts[j->n++] = (struct hs_bytes){copy, text->len};
    job->tokens += (uint32_t)n;
    return HEARTH_OK;
}

static hearth_status encode_accept(struct hs_lane *lane, struct hs_job *job, const struct hs_message *m,
                                   const void *msg, hearth_error *err)
{
    struct hs_encode_job *j = &job->encode;
    const struct hs_classify *c = msg;
    const struct hs_embed *v = msg;
    bool classify = m == &hs_messages[HS_M_classify];
    hearth_encoder *encoder;
    struct hs_bytes text;
    if (!classify && m != &hs_messages[HS_M_embed])
        return hb_fail(err, HEARTH_E_ARGUMENT, "model \"%s\" is an encoder; classify and embed are accepted",
                       lane->name);
    const struct hs_list *texts = classify ? &c->texts : &v->texts;
    j->pooling = classify ? 0 : (uint8_t)v->pooling;
    j->no_normalize = !classify && v->no_normalize == 1;
    j->truncate = (classify ? c->truncate : v->truncate) == 1;
    HB_TRY(encode_encoder(lane, j, &encoder, err));
    HB_TRY(HB_ARENA_NEW(&job->arena, struct hs_bytes, texts->n, &j->texts, err));
    if (classify)
        HB_TRY(HB_ARENA_NEW(&job->arena, struct hs_labelled, texts->n, &j->items, err));
    else
        HB_TRY(HB_ARENA_NEW(&job->arena, struct hs_vector, texts->n, &j->items, err));
    for (size_t at = 0; hs_text_next(texts, &at, &text);)
        HB_TRY(encode_text(lane, job, &text, hearth_encoder_max_tokens(encoder), err));
    return HEARTH_OK;
}

/* ---- results ---- */

/* Names for n labels, made once. */
static hearth_status encode_names(struct encode_lane *own, size_t n, hearth_error *err)
{
    if (n <= own->n_labels)
        return HEARTH_OK;
    void *names = realloc(own->labels, n * sizeof *own->labels);
    if (!names)
        return hb_fail(err, HEARTH_E_MEMORY, "labels: no memory for %zu names", n);
    own->labels = names;
    for (; own->n_labels < n; own->n_labels++)
        snprintf(own->labels[own->n_labels], sizeof *own->labels, "LABEL_%zu", own->n_labels);
    return HEARTH_OK;
}

static int encode_order(const void *a, const void *b)
{
    float x = ((const struct hs_label *)a)->score, y = ((const struct hs_label *)b)->score;
    return x < y ? 1 : x > y ? -1 : 0;
}

static hearth_status encode_labels(struct hs_job *job, const hearth_encoding *r, struct hs_labelled *out,
                                   hearth_error *err)
{
    struct encode_lane *own = job->lane->own;
    struct hs_label *labels;
    float top = r->values[0];
    double sum = 0;
    HB_TRY(encode_names(own, r->n_values, err));
    HB_TRY(HB_ARENA_NEW(&job->arena, struct hs_label, r->n_values, &labels, err));
    for (size_t i = 1; i < r->n_values; i++)
        top = r->values[i] > top ? r->values[i] : top;
    for (size_t i = 0; i < r->n_values; i++)
        sum += hb_exp((double)r->values[i] - (double)top);
    for (size_t i = 0; i < r->n_values; i++) {
        const char *name = i < job->lane->model.n_labels ? job->lane->model.labels[i] : own->labels[i];
        HS_SET(&labels[i], label, name, (struct hs_bytes){name, strlen(name)});
        HS_SET(&labels[i], label, score, (float)(hb_exp((double)r->values[i] - (double)top) / sum));
    }
    qsort(labels, r->n_values, sizeof *labels, encode_order);
    HS_SET(out, labelled, labels, (struct hs_list){.items = labels, .n = r->n_values});
    HS_SET(out, labelled, n_tokens, (uint64_t)r->n_tokens);
    if (r->truncated)
        HS_SET(out, labelled, truncated, 1);
    return HEARTH_OK;
}

static hearth_status encode_vector(struct hs_job *job, const hearth_encoding *r, struct hs_vector *out,
                                   hearth_error *err)
{
    float *values;
    HB_TRY(HB_ARENA_NEW(&job->arena, float, r->n_values, &values, err));
    memcpy(values, r->values, r->n_values * sizeof *values);
    HS_SET(out, vector, values, (struct hs_floats){.values = values, .n = r->n_values});
    HS_SET(out, vector, n_tokens, (uint64_t)r->n_tokens);
    if (r->truncated)
        HS_SET(out, vector, truncated, 1);
    return HEARTH_OK;
}

static void encode_finish(struct hs_job *job)
{
    const struct hs_list items = {.items = job->encode.items, .n = job->encode.n};
    if (job->request == &hs_messages[HS_M_classify]) {
        struct hs_classified answer = {0};
        HS_SET(&answer, classified, id, job->id);
        HS_SET(&answer, classified, items, items);
        hs_job_end(job, &hs_messages[HS_M_classified], &answer);
    } else {
        struct hs_embedded answer = {0};
        HS_SET(&answer, embedded, id, job->id);
        HS_SET(&answer, embedded, items, items);
        hs_job_end(job, &hs_messages[HS_M_embedded], &answer);
    }
}

/* ---- running ---- */

static void encode_start(struct hs_lane *lane, struct hs_job *job)
{
    (void)lane, (void)job;
}

static void encode_stop(struct hs_lane *lane, struct hs_job *job, enum hs_reason reason)
{
    (void)lane;
    if (job->state == HS_JOB_ENDED)
        return;
    if (reason == HS_TIMEOUT) {
        hs_job_fail(job, 408, "the deadline has passed");
        return;
    }
    struct hs_done d = {0};
    HS_SET(&d, done, id, job->id);
    HS_SET(&d, done, reason, reason);
    HS_SET(&d, done, prompt_tokens, job->tokens);
    HS_SET(&d, done, generated_tokens, 0);
    hs_job_end(job, &hs_messages[HS_M_done], &d);
}

static void encode_one(struct hs_lane *lane, struct hs_job *job)
{
    struct hs_encode_job *j = &job->encode;
    hearth_encoding r = {.struct_size = sizeof r};
    hearth_encoder *encoder;
    hearth_error err = {0};
    bool classify = job->request == &hs_messages[HS_M_classify];
    const struct hs_bytes *text = &j->texts[j->done];
    hearth_status status = encode_encoder(lane, j, &encoder, &err);
    if (status == HEARTH_OK)
        status = classify ? hearth_encoder_classify(encoder, text->at, text->len, &r, &err)
                          : hearth_encoder_embed(encoder, text->at, text->len, &r, &err);
    if (status == HEARTH_OK)
        status = classify ? encode_labels(job, &r, (struct hs_labelled *)j->items + j->done, &err)
                          : encode_vector(job, &r, (struct hs_vector *)j->items + j->done, &err);
    if (status != HEARTH_OK) {
        hs_job_fail(job, hs_engine_code(status), err.text);
        return;
    }
    lane->texts++;
    lane->prompt_tokens += (uint64_t)r.n_tokens;
    if (++j->done == j->n)
        encode_finish(job);
}

static bool encode_step(struct hs_lane *lane, uint64_t until_ns)
{
    uint64_t now;
    do {
        struct hs_job *job = lane->first;
        now = hs_engine_now(lane->engine);
        if (now >= job->deadline_ns)
            encode_stop(lane, job, HS_TIMEOUT);
        else
            encode_one(lane, job);
        if (job->state == HS_JOB_RUNNING)
            hs_job_rotate(job);
    } while (lane->first && now < until_ns);
    return lane->n_jobs > 0;
}

static void encode_warm_up(struct hs_lane *lane)
{
    struct hs_encode_job j = {0};
    hearth_encoding r = {.struct_size = sizeof r};
    hearth_encoder *encoder;
    if (encode_encoder(lane, &j, &encoder, NULL) != HEARTH_OK)
        return;
    if (hearth_encoder_classify(encoder, "a", 1, &r, NULL) != HEARTH_OK)
        hearth_encoder_embed(encoder, "a", 1, &r, NULL);
}

/* ---- opening ---- */

static void encode_close(struct hs_lane *lane)
{
    struct encode_lane *own = lane->own;
    if (!own)
        return;
    for (size_t i = 0; i < ENCODE_POOLINGS * 4; i++)
        hearth_encoder_close((&own->encoders[0][0][0])[i]);
    free(own->labels);
    free(own);
    lane->own = NULL;
}

/* Does the graph give one row of scores? Else tokens' vectors, or one vector: an embedder. */
static bool encode_classifies(const struct hs_lane *lane)
{
    hearth_io_info io = {.struct_size = sizeof io};
    if (lane->model.n_labels)
        return true;
    return hearth_model_output(lane->model.model, 0, &io, NULL) == HEARTH_OK && io.rank == 2 &&
           io.name && strstr(io.name, "logits");
}

static hearth_status encode_open(struct hs_lane *lane, hearth_error *err)
{
    const struct hs_encode_job plain = {0};
    hearth_encoder *encoder;
    lane->own = calloc(1, sizeof(struct encode_lane));
    if (!lane->own)
        return hb_fail(err, HEARTH_E_MEMORY, "model \"%s\": no memory", lane->name);
    hearth_status status = encode_encoder(lane, &plain, &encoder, err);
    if (status != HEARTH_OK) {
        encode_close(lane);
        return status;
    }
    lane->kind = encode_classifies(lane) ? "classify" : "embed";
    lane->take = HS_BATCH_REQUESTS;
    lane->take_tokens = HS_BATCH_TOKENS;
    lane->config = (struct hs_lane_config){HS_BATCH_REQUESTS, UINT32_MAX, UINT64_MAX};
    return HEARTH_OK;
}

const struct hs_backend hs_backend_encode = {
    .kind = "embed",
    .open = encode_open,
    .close = encode_close,
    .accept = encode_accept,
    .start = encode_start,
    .step = encode_step,
    .stop = encode_stop,
    .warm_up = encode_warm_up,
    .tokenize = encode_ids,
};
