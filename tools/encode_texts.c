#include "encode_texts.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *encode_beside(const char *model, const char *name)
{
    const char *slash = strrchr(model, '/');
    size_t dir = slash ? (size_t)(slash - model) + 1 : 0;
    char *path = malloc(dir + strlen(name) + 1);
    if (path) {
        memcpy(path, model, dir);
        strcpy(path + dir, name);
    }
    return path;
}

/* ---- the tokenizer ---- */

int encode_tokenizer(const struct encode_settings *s, const struct hc_model *model,
                     hearth_tokenizer **tokenizer)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    if (s->tokenizer)
        return hc_tokenizer_open(s->tokenizer, tokenizer);
    if (model->info.vocab_size > 0) /* it has one of its own */
        return HC_OK;
    for (size_t i = 0; i < HC_COUNT(names); i++) {
        char *path = encode_beside(s->common.model, names[i]);
        if (!path)
            return hc_fail(HC_LIMIT, s->common.model, "no memory for a path");
        bool there = access(path, F_OK) == 0;
        int rc = there ? hc_tokenizer_open(path, tokenizer) : HC_OK;
        free(path);
        if (there)
            return rc;
    }
    return hc_fail(HC_REFUSED, s->common.model, "neither tokenizer.json nor vocab.txt beside it; "
                   "--tokenizer FILE is accepted");
}

/* ---- the texts ---- */

struct texts_progress {
    size_t done, all; /* texts; lines of a file are counted before */
    uint64_t last_ns;
    bool terminal;
};

static void texts_show(struct texts_progress *p, bool end)
{
    uint64_t now = hc_now_ns();
    if (!p->terminal || (!end && now - p->last_ns < 200000000u))
        return;
    p->last_ns = now;
    if (end)
        fprintf(stderr, "\r\033[K");
    else
        fprintf(stderr, "\r\033[K%zu of %zu texts", p->done, p->all);
    fflush(stderr);
}

static int texts_one(struct texts_progress *p, hearth_encoder *encoder, encode_fn *fn, void *user,
                     const char *bytes, size_t len)
{
    struct hc_text text = {(char *)(uintptr_t)bytes, len};
    int rc = hc_interrupted() ? hc_fail(HC_FAILED, "interrupted", "after %zu texts", p->done)
                              : fn(user, encoder, p->done, &text);
    p->done++;
    if (rc == HC_OK)
        texts_show(p, false);
    return rc;
}

/* Lines end with \n or \r\n; the last one needs neither. */
static int texts_lines(struct texts_progress *p, hearth_encoder *encoder, encode_fn *fn, void *user,
                       const struct hc_text *all)
{
    const char *at = all->bytes, *end = all->bytes + all->len;
    int rc = HC_OK;
    for (const char *c = at; c < end; c++)
        p->all += *c == '\n';
    p->all += all->len && end[-1] != '\n';
    while (rc == HC_OK && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        rc = texts_one(p, encoder, fn, user, at, len && at[len - 1] == '\r' ? len - 1 : len);
        at = stop ? stop + 1 : end;
    }
    return rc;
}

static int texts_walk(const struct encode_settings *s, hearth_encoder *encoder, encode_fn *fn,
                      void *user)
{
    struct texts_progress p = {.all = s->p.n, .terminal = s->f && isatty(STDERR_FILENO)};
    struct hc_text all = {0};
    int rc = HC_OK;
    for (size_t i = 0; i < s->p.n && rc == HC_OK; i++)
        rc = texts_one(&p, encoder, fn, user, s->p.item[i], strlen(s->p.item[i]));
    if (rc == HC_OK && s->f)
        rc = hc_text_read(s->f, &all);
    if (rc == HC_OK && s->f)
        rc = texts_lines(&p, encoder, fn, user, &all);
    texts_show(&p, true);
    free(all.bytes);
    return rc;
}

int encode_fail(const struct encode_settings *s, size_t index, hearth_status status,
                const hearth_error *err)
{
    char object[64];
    if (index < s->p.n)
        snprintf(object, sizeof object, "text %zu", index + 1);
    else
        snprintf(object, sizeof object, "line %zu", index - s->p.n + 1);
    return hc_fail_status(HC_FAILED, object, status, err);
}

int encode_each(const struct encode_settings *s, hearth_pooling pooling, encode_fn *fn, void *user)
{
    struct hc_model model = {0};
    struct hc_session session = {0};
    hearth_tokenizer *tokenizer = NULL;
    hearth_encoder *encoder = NULL;
    hearth_session_config config = {0};
    hearth_error err = {0};
    if (!s->p.n && !s->f)
        return hc_fail(HC_USAGE, "-p", "not given; a text, or -f with a file, is needed");
    int rc = hc_model_open(&s->common, 0, &model);
    if (rc == HC_OK)
        rc = encode_tokenizer(s, &model, &tokenizer);
    if (rc == HC_OK)
        rc = hc_tensor_session_open(&s->common, &model, &config, &session);
    if (rc == HC_OK) {
        hearth_encoder_config c = {.struct_size = sizeof c, .session = session.session,
                                   .tokenizer = tokenizer, .pooling = pooling,
                                   .no_normalize = s->no_normalize, .max_tokens = s->max_tokens,
                                   .truncate = s->truncate};
        hearth_status status = hearth_encoder_open(&c, &encoder, &err);
        rc = status == HEARTH_OK ? HC_OK : hc_fail_status(HC_REFUSED, model.path, status, &err);
    }
    if (rc == HC_OK) {
        hc_interrupt_to(session.session);
        rc = texts_walk(s, encoder, fn, user);
    }
    hearth_encoder_close(encoder);
    hc_session_close(&session);
    hearth_tokenizer_close(tokenizer);
    hc_model_close(&model);
    return rc == HC_OK ? hc_finish_output() : rc;
}
