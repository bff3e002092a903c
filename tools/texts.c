#include "texts.h"
#include "json_out.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static bool texts_add(struct hc_text_list *list, const char *bytes, size_t len)
{
    if (list->n == list->capacity) {
        size_t n = list->capacity ? 2 * list->capacity : 32;
        struct hc_text *grown = realloc(list->item, n * sizeof *grown);
        if (!grown)
            return false;
        list->item = grown;
        list->capacity = n;
    }
    list->item[list->n++] = (struct hc_text){(char *)(uintptr_t)bytes, len};
    return true;
}

static bool texts_lines(struct hc_text_list *list)
{
    const char *at = list->all.bytes, *end = list->all.bytes + list->all.len;
    bool ok = true;
    while (ok && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        ok = texts_add(list, at, len && at[len - 1] == '\r' ? len - 1 : len);
        at = stop ? stop + 1 : end;
    }
    return ok;
}

int hc_texts_take(const struct hc_texts *p, const char *f, struct hc_text_list *list)
{
    *list = (struct hc_text_list){0};
    if (!p->n && !f)
        return hc_fail(HC_USAGE, "-p", "not given; a text, or -f with a file, is needed");
    int rc = f ? hc_text_read(f, &list->all) : HC_OK;
    bool ok = true;
    for (size_t i = 0; ok && i < p->n; i++)
        ok = texts_add(list, p->item[i], strlen(p->item[i]));
    if (rc == HC_OK && !(ok && texts_lines(list)))
        rc = hc_fail(HC_LIMIT, f ? f : "-p", "no memory for %zu texts", list->n + 1);
    return rc;
}

void hc_texts_free(struct hc_text_list *list)
{
    free(list->item);
    free(list->all.bytes);
    *list = (struct hc_text_list){0};
}

void hc_texts_name(const struct hc_texts *p, size_t index, char *dst, size_t size)
{
    snprintf(dst, size, index < p->n ? "text %zu" : "line %zu", index - (index < p->n ? 0 : p->n) + 1);
}

/* ---- results ---- */

static void texts_json_end(struct hj *j, const struct hc_encode_form *form, const struct hc_encoded *e)
{
    hj_int(j, "n_tokens", e->n_tokens);
    if (form->truncate)
        hj_bool(j, "truncated", e->truncated);
    hj_close(j, '}');
    fputc('\n', stdout);
}

static void texts_json_values(struct hj *j, const char *key, const struct hc_encoded *e)
{
    hj_open(j, key, '[');
    for (size_t i = 0; i < e->n; i++)
        hj_real(j, NULL, (double)e->values[i]);
    hj_close(j, ']');
}

static void texts_json_score(struct hj *j, const struct hc_scored *s)
{
    hj_text(j, "label", s->label, s->label_len);
    hj_real(j, "score", s->score);
}

void hc_print_classified(const struct hc_encode_form *form, const struct hc_text *text, const struct hc_scored *scores,
                         size_t n, const struct hc_encoded *e)
{
    if (!form->json) {
        printf("%-12.*s %.4f  ", (int)scores->label_len, scores->label, scores->score);
        fwrite(text->bytes, 1, text->len, stdout);
        printf("%s\n", e->truncated ? "  (truncated)" : "");
        return;
    }
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '{');
    texts_json_score(&j, scores);
    hj_open(&j, "scores", '[');
    for (size_t i = 0; i < n; i++) {
        hj_open(&j, NULL, '{');
        texts_json_score(&j, &scores[i]);
        hj_close(&j, '}');
    }
    hj_close(&j, ']');
    if (e->values)
        texts_json_values(&j, "logits", e);
    texts_json_end(&j, form, e);
}

void hc_print_vector(const struct hc_encode_form *form, const struct hc_encoded *e)
{
    if (form->json) {
        struct hj j = {.file = stdout};
        hj_open(&j, NULL, '{');
        texts_json_values(&j, "embedding", e);
        texts_json_end(&j, form, e);
        return;
    }
    for (size_t i = 0; i < e->n; i++) {
        char text[32];
        hj_format_real(text, sizeof text, (double)e->values[i]);
        printf("%s%s", i ? " " : "", text);
    }
    fputc('\n', stdout);
}

int hc_vectors_keep(struct hc_vectors *kept, const float *values, size_t size)
{
    if (kept->n == kept->capacity) {
        size_t capacity = kept->capacity ? 2 * kept->capacity : 16;
        float *bigger = realloc(kept->values, capacity * size * sizeof *bigger);
        if (!bigger)
            return hc_fail(HC_LIMIT, "--similarity", "no memory for %zu embeddings", capacity);
        kept->values = bigger;
        kept->capacity = capacity;
    }
    kept->size = size;
    memcpy(kept->values + kept->n++ * size, values, size * sizeof *values);
    return HC_OK;
}

static double texts_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

void hc_vectors_print(const struct hc_vectors *kept)
{
    for (size_t i = 0; i < kept->n; i++)
        for (size_t k = 0; k < kept->n; k++)
            printf("%s%.4f%s", k ? "  " : "",
                   texts_cosine(kept->values + i * kept->size, kept->values + k * kept->size, kept->size),
                   k + 1 < kept->n ? "" : "\n");
}

int hc_pooling(const char *name, hearth_pooling *pooling)
{
    static const char *const names[] = {
        [HEARTH_POOL_MEAN] = "mean", [HEARTH_POOL_CLS] = "cls", [HEARTH_POOL_LAST] = "last"};
    *pooling = HEARTH_POOL_MODEL;
    if (!name)
        return HC_OK;
    for (size_t i = 0; i < HC_COUNT(names); i++)
        if (names[i] && strcmp(names[i], name) == 0) {
            *pooling = (hearth_pooling)i;
            return HC_OK;
        }
    return hc_fail(HC_USAGE, "--pooling", "%s; mean, cls and last are accepted", name);
}
