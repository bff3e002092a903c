/* hearth client classify, embed, tokenize: the texts of the command line in requests of up to 32, their results
 * printed as the local commands do. Logits stay with the server. */
#include "client_command.h"
#include "json_out.h"
#include "texts.h"
#include <stdlib.h>
#include <string.h>

#define ENCODE_MOST_TEXTS 32
#define ENCODE_MOST_BYTES ((size_t)1 << 20) /* of a request; a larger text goes alone */

struct encode {
    struct client_settings client;
    struct hc_texts p;
    const char *f;
    bool truncate;
    const char *pooling;
    bool no_normalize, similarity;
};

struct client_encode_state {
    const struct encode *s;
    struct client c;
    struct hc_text_list texts;
    struct hc_encode_form form;
    struct hc_vectors kept;
    float *values; /* of one vector */
    size_t n_values;
    struct hc_scored *scores;
    size_t n_scores;
};

typedef int client_encode_batch(struct client_encode_state *e, size_t first, const struct hs_list *texts);

/* How many texts from `first` on one request takes. */
static size_t client_encode_fits(const struct client_encode_state *e, size_t first)
{
    size_t n = 0, bytes = 0;
    while (n < ENCODE_MOST_TEXTS && first + n < e->texts.n) {
        bytes += e->texts.item[first + n].len;
        if (n && bytes > ENCODE_MOST_BYTES)
            break;
        n++;
    }
    return n;
}

static int client_encode_all(struct client_encode_state *e, client_encode_batch *batch)
{
    const struct encode *s = e->s;
    e->form = (struct hc_encode_form){s->client.common.json, s->truncate};
    int rc = hc_texts_take(&s->p, s->f, &e->texts);
    if (rc == HC_OK)
        rc = client_open(&s->client, &e->c);
    for (size_t done = 0, n; rc == HC_OK && done < e->texts.n; done += n) {
        struct hs_bytes items[ENCODE_MOST_TEXTS];
        n = client_encode_fits(e, done);
        for (size_t i = 0; i < n; i++)
            items[i] = (struct hs_bytes){e->texts.item[done + i].bytes, e->texts.item[done + i].len};
        rc = batch(e, done, &(struct hs_list){.items = items, .n = n});
        if (rc != HC_OK && n > 1) {
            char from[32], to[32];
            hc_texts_name(&s->p, done, from, sizeof from);
            hc_texts_name(&s->p, done + n - 1, to, sizeof to);
            fprintf(stderr, "hearth: that was %s to %s\n", from, to);
        }
    }
    return rc;
}

static int client_encode_end(struct client_encode_state *e, int rc)
{
    free(e->values);
    free(e->scores);
    free(e->kept.values);
    hc_texts_free(&e->texts);
    client_close(&e->c);
    return rc == HC_OK ? hc_finish_output() : rc;
}

static int client_encode_miscounted(const struct client_encode_state *e, size_t got, size_t n)
{
    return hc_fail(HC_FAILED, e->c.s->socket, "%zu results for %zu texts", got, n);
}

/* ---- classify ---- */

static int client_classify_read(struct client_encode_state *e, const struct hs_list *labels)
{
    hearth_error err = {0};
    struct hs_label label;
    bool more = true;
    if (labels->n > e->n_scores) {
        struct hc_scored *grown = realloc(e->scores, labels->n * sizeof *grown);
        if (!grown)
            return hc_fail(HC_LIMIT, "labels", "no memory for %zu scores", labels->n);
        e->scores = grown;
        e->n_scores = labels->n;
    }
    for (size_t at = 0, i = 0; i < labels->n; i++) {
        hearth_status status = hs_part_next(&hs_messages[HS_M_label], labels, &at, &label, &more, &err);
        if (status != HEARTH_OK || !more)
            return client_fail(&e->c, status == HEARTH_OK ? HEARTH_E_FORMAT : status, &err);
        e->scores[i] = (struct hc_scored){label.name.at, label.name.len, (double)label.score};
    }
    return HC_OK;
}

static int client_classify_batch(struct client_encode_state *e, size_t first, const struct hs_list *texts)
{
    struct hs_classify msg = {0};
    union hs_any answer;
    hearth_error err = {0};
    CLIENT_REQUEST(&e->c, &msg, classify);
    CLIENT_LIMITS(&e->c, &msg, classify);
    HS_SET(&msg, classify, texts, *texts);
    if (e->s->truncate)
        HS_SET(&msg, classify, truncate, 1);
    const struct client_call call = {HS_M_classify, HS_M_classified, &msg, -1, NULL, NULL};
    int rc = client_ask(&e->c, &call, &answer);
    if (rc == HC_OK && answer.classified.items.n != texts->n)
        rc = client_encode_miscounted(e, answer.classified.items.n, texts->n);
    for (size_t at = 0, i = 0; rc == HC_OK && i < texts->n; i++) {
        struct hs_labelled item;
        bool more;
        hearth_status status =
            hs_part_next(&hs_messages[HS_M_labelled], &answer.classified.items, &at, &item, &more, &err);
        rc = status == HEARTH_OK ? client_classify_read(e, &item.labels) : client_fail(&e->c, status, &err);
        if (rc == HC_OK && item.labels.n == 0)
            rc = hc_fail(HC_FAILED, e->c.s->socket, "a result without labels");
        if (rc == HC_OK)
            hc_print_classified(&e->form, &e->texts.item[first + i], e->scores, item.labels.n,
                                &(struct hc_encoded){NULL, 0, (int64_t)item.n_tokens, item.truncated != 0});
    }
    return rc;
}

static int client_classify_run(const void *settings)
{
    struct client_encode_state e = {.s = settings};
    return client_encode_end(&e, client_encode_all(&e, client_classify_batch));
}

/* ---- embed ---- */

static int client_embed_one(struct client_encode_state *e, const struct hs_vector *v)
{
    if (v->values.n > e->n_values) {
        float *grown = realloc(e->values, v->values.n * sizeof *grown);
        if (!grown)
            return hc_fail(HC_LIMIT, "text", "no memory for %zu values", v->values.n);
        e->values = grown;
        e->n_values = v->values.n;
    }
    hs_floats_read(&v->values, e->values);
    if (e->s->similarity && e->kept.n && e->kept.size != v->values.n)
        return hc_fail(HC_FAILED, e->c.s->socket, "a vector of %zu values behind one of %zu", v->values.n,
                       e->kept.size);
    if (e->s->similarity)
        return hc_vectors_keep(&e->kept, e->values, v->values.n);
    hc_print_vector(&e->form, &(struct hc_encoded){e->values, v->values.n, (int64_t)v->n_tokens, v->truncated != 0});
    return HC_OK;
}

static int client_embed_batch(struct client_encode_state *e, size_t first, const struct hs_list *texts)
{
    struct hs_embed msg = {0};
    union hs_any answer;
    hearth_error err = {0};
    hearth_pooling pooling;
    (void)first;
    int rc = hc_pooling(e->s->pooling, &pooling);
    if (rc != HC_OK)
        return rc;
    CLIENT_REQUEST(&e->c, &msg, embed);
    CLIENT_LIMITS(&e->c, &msg, embed);
    HS_SET(&msg, embed, texts, *texts);
    if (e->s->truncate)
        HS_SET(&msg, embed, truncate, 1);
    if (pooling != HEARTH_POOL_MODEL)
        HS_SET(&msg, embed, pooling, (uint64_t)pooling); /* the wire numbers them alike */
    if (e->s->no_normalize)
        HS_SET(&msg, embed, no_normalize, 1);
    const struct client_call call = {HS_M_embed, HS_M_embedded, &msg, -1, NULL, NULL};
    rc = client_ask(&e->c, &call, &answer);
    if (rc == HC_OK && answer.embedded.items.n != texts->n)
        rc = client_encode_miscounted(e, answer.embedded.items.n, texts->n);
    for (size_t at = 0, i = 0; rc == HC_OK && i < texts->n; i++) {
        struct hs_vector v;
        bool more;
        hearth_status status =
            hs_part_next(&hs_messages[HS_M_vector], &answer.embedded.items, &at, &v, &more, &err);
        rc = status == HEARTH_OK ? client_embed_one(e, &v) : client_fail(&e->c, status, &err);
    }
    return rc;
}

static int client_embed_run(const void *settings)
{
    struct client_encode_state e = {.s = settings};
    int rc = client_encode_all(&e, client_embed_batch);
    if (rc == HC_OK && e.s->similarity)
        hc_vectors_print(&e.kept);
    return client_encode_end(&e, rc);
}

#define FIELD(name) offsetof(struct encode, name)
#define ENCODE_ROWS                                                                                \
    {"-p", HC_TEXTS, FIELD(p), 0, 0, "TEXT", "a text; may be repeated"},                           \
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "a text a line; - for standard input"},                \
    {"--truncate", HC_FLAG, FIELD(truncate), 0, 0, NULL,                                           \
     "cut longer texts and say \"truncated\"; else they are an error"}

static const struct hc_option client_classify_options[] = {ENCODE_ROWS, HC_OPTIONS_END};
static const struct hc_option client_embed_options[] = {
    ENCODE_ROWS,
    {"--pooling", HC_TEXT, FIELD(pooling), 0, 0, "KIND", "mean, cls or last (as the model says, else mean)"},
    {"--no-normalize", HC_FLAG, FIELD(no_normalize), 0, 0, NULL, "leave the length of a vector as it is"},
    {"--similarity", HC_FLAG, FIELD(similarity), 0, 0, NULL,
     "print the cosine of each text with every text instead of vectors"},
    HC_OPTIONS_END,
};

static const struct encode client_encode_defaults = {.client = CLIENT_DEFAULTS};

const struct hc_command client_classify = {
    .name = "client classify",
    .synopsis = "--socket PATH (-p TEXT... | -f FILE)",
    .text = "A label for each text, with its probability, by a classifier of the server.",
    .options = client_classify_options,
    .common = client_common_options,
    .settings_size = sizeof(struct encode),
    .defaults = &client_encode_defaults,
    .run = client_classify_run,
};
const struct hc_command client_embed = {
    .name = "client embed",
    .synopsis = "--socket PATH (-p TEXT... | -f FILE) [--pooling KIND]",
    .text = "A vector for each text, by an encoder of the server.",
    .options = client_embed_options,
    .common = client_common_options,
    .settings_size = sizeof(struct encode),
    .defaults = &client_encode_defaults,
    .run = client_embed_run,
};

/* ---- tokenize ---- */

struct tokenize {
    struct client_settings client;
    const char *p, *f;
    bool parse_special, no_bos;
};

static int client_tokenize_print(const struct client *c, const struct hs_tokens *tokens)
{
    hearth_error err = {0};
    uint32_t *ids = malloc((tokens->n + 1) * sizeof *ids);
    if (!ids)
        return hc_fail(HC_LIMIT, "text", "no memory for %zu tokens", tokens->n);
    hearth_status status = tokens->n ? wc_tokens(c->wire, tokens, ids, &err) : HEARTH_OK;
    struct hj j = {.file = stdout};
    if (status == HEARTH_OK) {
        hj_open(&j, NULL, '[');
        for (size_t i = 0; i < tokens->n; i++)
            hj_uint(&j, NULL, ids[i]);
        hj_close(&j, ']');
        fputc('\n', stdout);
    }
    free(ids);
    return status == HEARTH_OK ? hc_finish_output() : client_fail(c, status, &err);
}

static int client_tokenize_run(const void *settings)
{
    const struct tokenize *s = settings;
    struct client c = {0};
    struct hc_text text;
    struct hs_tokenize msg = {0};
    union hs_any answer;
    int rc = hc_text_take(s->p, s->f, &text);
    if (rc == HC_OK)
        rc = client_open(&s->client, &c);
    if (rc == HC_OK) {
        CLIENT_REQUEST(&c, &msg, tokenize);
        HS_SET(&msg, tokenize, text, (struct hs_bytes){text.bytes, text.len});
        if (s->no_bos)
            HS_SET(&msg, tokenize, no_special, 1);
        if (s->parse_special)
            HS_SET(&msg, tokenize, parse_special, 1);
        const struct client_call call = {HS_M_tokenize, HS_M_tokenized, &msg, -1, NULL, NULL};
        rc = client_ask(&c, &call, &answer);
    }
    if (rc == HC_OK)
        rc = client_tokenize_print(&c, &answer.tokenized.tokens);
    free(text.bytes);
    client_close(&c);
    return rc;
}

#undef FIELD
#define FIELD(name) offsetof(struct tokenize, name)
static const struct hc_option client_tokenize_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "a file that is one text; - for standard input"},
    {"--parse-special", HC_FLAG, FIELD(parse_special), 0, 0, NULL, "texts of special tokens become their ids"},
    {"--no-bos", HC_FLAG, FIELD(no_bos), 0, 0, NULL, "add no special token at all: BOS, EOS, CLS, SEP"},
    HC_OPTIONS_END,
};

static const struct tokenize client_tokenize_defaults = {.client = CLIENT_DEFAULTS};

const struct hc_command client_tokenize = {
    .name = "client tokenize",
    .synopsis = "--socket PATH (-p TEXT | -f FILE)",
    .text = "Prints the ids of a text by the tokenizer of a model of the server, as a JSON array.",
    .options = client_tokenize_options,
    .common = client_common_options,
    .settings_size = sizeof(struct tokenize),
    .defaults = &client_tokenize_defaults,
    .run = client_tokenize_run,
};
