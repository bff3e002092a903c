/* How far the predictions of one run are from those of another: a file of log-probabilities, and the
 * Kullback-Leibler divergence from it.
 *
 *   "HEARTHLP" | u32 version 1 | u32 vocabulary | u32 context | u32 0 | u64 rows | u64 hash of the tokens
 *   rows of f32 [vocabulary], little-endian: ln p, in the order of the predictions
 *
 *   KL = sum p_base (ln p_base - ln p)     in nats, for each row; 0 where both agree
 * Source: Kullback and Leibler, "On Information and Sufficiency", 1951. */
#ifndef DIVERGENCE_H
#define DIVERGENCE_H

#include "client.h"

struct hc_divergence {
    /* the base run */
    hearth_file *file;
    const float *rows;
    /* or the run that is saved */
    FILE *to;
    const char *path;
    size_t vocab;
    uint64_t n, n_expected;
    float *log_p;  /* [vocab] */
    float *kl;     /* [n_expected] */
    double nll_difference, nll_difference_squares; /* this run's minus the base's */
    uint64_t same_top;
};

/* Begin to save, or to compare; `tokens` and `ctx` must be those of the base. An exit status, after an error line. */
int hc_divergence_save(struct hc_divergence *d, const char *path, size_t vocab, size_t ctx, uint64_t rows,
                       const struct hc_tokens *tokens);
int hc_divergence_compare(struct hc_divergence *d, const char *path, size_t vocab, size_t ctx, uint64_t rows,
                          const struct hc_tokens *tokens);
/* The scores of the next prediction, and what came. */
int hc_divergence_row(struct hc_divergence *d, const float *logits, size_t target);

struct hc_divergence_result {
    double mean, median, p99, max; /* of KL */
    double mean_error;             /* standard error of the mean */
    double same_top;               /* share of rows whose likeliest token is the same */
    double ln_ratio, ln_ratio_error; /* ln(ppl / base ppl), and its standard error over paired rows */
};
/* After the last row; sorts. */
void hc_divergence_end(struct hc_divergence *d, struct hc_divergence_result *result);
/* Closes files; an error line where what was saved could not be written. */
int hc_divergence_close(struct hc_divergence *d);

#endif
