/* The texts that classify and embed are given, and how their results are printed: the same for a model of this
 * process and for a server. */
#ifndef TEXTS_H
#define TEXTS_H

#include "client.h"

struct hc_text_list {
    struct hc_text *item; /* [n] */
    size_t n, capacity;
    struct hc_text all;   /* of the file, where lines lie */
};

/* Texts of -p, then the lines of -f, which end with \n or \r\n; the last one needs neither. Returns an exit status;
 * release with hc_texts_free in any case. */
int hc_texts_take(const struct hc_texts *p, const char *f, struct hc_text_list *list);
void hc_texts_free(struct hc_text_list *list);
/* "text 3" of -p or "line 3" of -f, for error lines; at least 32 bytes. */
void hc_texts_name(const struct hc_texts *p, size_t index, char *dst, size_t size);

/* ---- results ---- */

struct hc_scored {
    const char *label;
    size_t label_len;
    double score;
};

struct hc_encoded {
    const float *values; /* [n]: logits or a vector; NULL: not known */
    size_t n;
    int64_t n_tokens;
    bool truncated;
};

/* What the command line asks of results. */
struct hc_encode_form {
    bool json, truncate;
};

/* A line to stdout; scores are [n], best first. */
void hc_print_classified(const struct hc_encode_form *form, const struct hc_text *text, const struct hc_scored *scores,
                         size_t n, const struct hc_encoded *e);
void hc_print_vector(const struct hc_encode_form *form, const struct hc_encoded *e);

/* Vectors that are kept for --similarity. Release with free(kept->values). */
struct hc_vectors {
    float *values; /* [n][size] */
    size_t n, size, capacity;
};
int hc_vectors_keep(struct hc_vectors *kept, const float *values, size_t size);
/* A row a text: its cosine with every text. */
void hc_vectors_print(const struct hc_vectors *kept);

/* --pooling: mean, cls, last; NULL is the model's own. Returns an exit status. */
int hc_pooling(const char *name, hearth_pooling *pooling);

#endif
