/* What classify and embed share: the settings, a model with its tokenizer and encoder, and walking the
 * texts of -p and -f. */
#ifndef ENCODE_TEXTS_H
#define ENCODE_TEXTS_H

#include "texts.h"

struct encode_settings {
    struct hc_common common;
    struct hc_texts p;
    const char *f;
    const char *tokenizer;
    int32_t max_tokens;
    bool truncate;
    /* classify */
    const char *labels;
    /* embed */
    const char *pooling;
    bool no_normalize;
    bool similarity;
};

/* Rows of the option table that both have. */
#define ENCODE_FIELD(name) offsetof(struct encode_settings, name)
#define ENCODE_OPTIONS                                                                              \
    {"-p", HC_TEXTS, ENCODE_FIELD(p), 0, 0, "TEXT", "a text; may be repeated"},                     \
    {"-f", HC_TEXT, ENCODE_FIELD(f), 0, 0, "FILE", "a text a line; - for standard input"},          \
    {"--tokenizer", HC_TEXT, ENCODE_FIELD(tokenizer), 0, 0, "FILE",                                 \
     "tokenizer.json or vocab.txt (the model's own, or the one beside it)"},                                     \
    {"--max-tokens", HC_INT, ENCODE_FIELD(max_tokens), 1, INT32_MAX, "N",                           \
     "most tokens of a text (what the tokenizer and the model allow)"},                             \
    {"--truncate", HC_FLAG, ENCODE_FIELD(truncate), 0, 0, NULL,                                     \
     "cut longer texts and say \"truncated\"; else they are an error"}

/* Called for each text in order; returns an exit status. */
typedef int encode_fn(void *user, hearth_encoder *encoder, size_t index, const struct hc_text *text);

/* Open everything, call fn for each text, close everything. Progress goes to stderr if that is a
 * terminal. */
int encode_each(const struct encode_settings *s, hearth_pooling pooling, encode_fn *fn, void *user);

/* The tokenizer of --tokenizer, or the one beside the model; NULL if the model has its own. */
int encode_tokenizer(const struct encode_settings *s, const struct hc_model *model,
                     hearth_tokenizer **tokenizer);

/* An error of the library about text number `index`. */
int encode_fail(const struct encode_settings *s, size_t index, hearth_status status,
                const hearth_error *err);

/* The path of a file beside the model; release with free. NULL without memory. */
char *encode_beside(const char *model, const char *name);

/* Names of n labels: from --labels, or id2label of config.json beside the model, or "LABEL_i". Release
 * with encode_labels_free. */
struct encode_labels {
    char **name; /* [n] */
    size_t n;
};
int encode_labels_read(const struct encode_settings *s, size_t n, struct encode_labels *labels);
void encode_labels_free(struct encode_labels *labels);

#endif
