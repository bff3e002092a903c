/* hearth tokenize: texts to ids, one JSON array a line, by the tokenizer of a model or by one that
 * stands in a file of its own. */
#include "client.h"
#include "commands.h"
#include "json_out.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tokenize_settings {
    struct hc_common common;
    const char *p;
    const char *f;
    const char *inputs;
    const char *tokenizer;
    bool parse_special;
    bool no_bos;
};

static uint32_t tokenize_flags(const struct tokenize_settings *s)
{
    return (s->no_bos ? 0 : HEARTH_TOKENIZE_SPECIAL) |
           (s->parse_special ? HEARTH_TOKENIZE_PARSE_SPECIAL : 0);
}

/* One of the two. */
struct tokenize_with {
    struct hc_model model;
    hearth_tokenizer *tokenizer;
};

static int tokenize_open(const struct tokenize_settings *s, struct tokenize_with *with)
{
    *with = (struct tokenize_with){0};
    return s->tokenizer ? hc_tokenizer_open(s->tokenizer, &with->tokenizer)
                        : hc_model_open(&s->common, HEARTH_MODEL_VOCAB_ONLY, &with->model);
}

static int tokenize_print(const struct tokenize_with *with, const struct hc_text *text,
                          uint32_t flags)
{
    struct hc_tokens tokens;
    int rc = with->tokenizer ? hc_tokenizer_encode(with->tokenizer, text, flags, &tokens)
                             : hc_tokenize(&with->model, text, flags, &tokens);
    if (rc != HC_OK)
        return rc;
    struct hj j = {.file = stdout};
    hj_open(&j, NULL, '[');
    for (size_t i = 0; i < tokens.n; i++)
        hj_int(&j, NULL, tokens.ids[i]);
    hj_close(&j, ']');
    fputc('\n', stdout);
    free(tokens.ids);
    return HC_OK;
}

#define TOKENIZE_MARKER "__ggml_vocab_test__"

/* The first marker that is a line of its own, at or after `from`; NULL if there is none. */
static const char *tokenize_marker(const char *from, const char *end)
{
    size_t n = strlen(TOKENIZE_MARKER);
    for (const char *line = from; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        if (len == n && memcmp(line, TOKENIZE_MARKER, n) == 0)
            return line;
        if (!stop)
            break;
        line = stop + 1;
    }
    return NULL;
}

/* Texts are the lines between the markers; the newline before a marker belongs to the marker, and
 * nothing after the last marker is no text. */
static int tokenize_inputs(const struct tokenize_with *with, const struct hc_text *all,
                           uint32_t flags)
{
    const char *p = all->bytes, *end = all->bytes + all->len;
    int rc = HC_OK;
    while (rc == HC_OK && p < end) {
        const char *marker = tokenize_marker(p, end), *stop = marker ? marker : end;
        if (stop > p && stop[-1] == '\n')
            stop--;
        struct hc_text text = {(char *)(uintptr_t)p, (size_t)(stop - p)};
        rc = tokenize_print(with, &text, flags);
        p = marker ? marker + strlen(TOKENIZE_MARKER) : end;
        p += p < end; /* the marker's own newline */
    }
    return rc;
}

static int tokenize_run(const void *settings)
{
    const struct tokenize_settings *s = settings;
    if (!s->common.model == !s->tokenizer)
        return hc_fail(HC_USAGE, "-m", "%s; a model file or --tokenizer with a file is needed",
                       s->tokenizer ? "given with --tokenizer" : "not given");
    if (s->inputs && (s->p || s->f))
        return hc_fail(HC_USAGE, "--inputs", "given with -p or -f; one of them is accepted");
    struct hc_text text;
    struct tokenize_with with;
    int rc = s->inputs ? hc_text_read(s->inputs, &text) : hc_text_take(s->p, s->f, &text);
    if (rc != HC_OK)
        return rc;
    rc = tokenize_open(s, &with);
    if (rc == HC_OK && s->inputs)
        rc = tokenize_inputs(&with, &text, tokenize_flags(s));
    else if (rc == HC_OK)
        rc = tokenize_print(&with, &text, tokenize_flags(s));
    hearth_tokenizer_close(with.tokenizer);
    hc_model_close(&with.model);
    free(text.bytes);
    return rc == HC_OK ? hc_finish_output() : rc;
}

#define FIELD(name) offsetof(struct tokenize_settings, name)
static const struct hc_option tokenize_options[] = {
    {"-p", HC_TEXT, FIELD(p), 0, 0, "TEXT", "the text"},
    {"-f", HC_TEXT, FIELD(f), 0, 0, "FILE", "a file that is one text; - for standard input"},
    {"--inputs", HC_TEXT, FIELD(inputs), 0, 0, "FILE",
     "a file of texts separated by lines " TOKENIZE_MARKER},
    {"--parse-special", HC_FLAG, FIELD(parse_special), 0, 0, NULL,
     "texts of special tokens become their ids"},
    {"--no-bos", HC_FLAG, FIELD(no_bos), 0, 0, NULL,
     "add no special token at all: BOS, EOS, CLS, SEP"},
    {"--tokenizer", HC_TEXT, FIELD(tokenizer), 0, 0, "FILE",
     "a tokenizer.json or vocab.txt in place of a model"},
    HC_OPTIONS_END,
};

static const struct tokenize_settings tokenize_defaults;

const struct hc_command hc_command_tokenize = {
    .name = "tokenize",
    .synopsis = "(-m FILE | --tokenizer FILE) (-p TEXT | -f FILE | --inputs FILE)",
    .text = "Prints the ids of each text as a JSON array, a line each. A model file without tensors\n"
            "will do.",
    .options = tokenize_options,
    .without_model = true,
    .settings_size = sizeof(struct tokenize_settings),
    .defaults = &tokenize_defaults,
    .run = tokenize_run,
};
