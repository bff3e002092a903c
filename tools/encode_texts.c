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
    size_t done, all;
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

static int texts_walk(const struct encode_settings *s, hearth_encoder *encoder, encode_fn *fn,
                      void *user)
{
    struct hc_text_list list;
    int rc = hc_texts_take(&s->p, s->f, &list);
    struct texts_progress p = {.all = list.n, .terminal = s->f && isatty(STDERR_FILENO)};
    for (; p.done < p.all && rc == HC_OK; p.done++) {
        texts_show(&p, false);
        rc = hc_interrupted() ? hc_fail(HC_FAILED, "interrupted", "after %zu texts", p.done)
                              : fn(user, encoder, p.done, &list.item[p.done]);
    }
    texts_show(&p, true);
    hc_texts_free(&list);
    return rc;
}

int encode_fail(const struct encode_settings *s, size_t index, hearth_status status,
                const hearth_error *err)
{
    char object[64];
    hc_texts_name(&s->p, index, object, sizeof object);
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
