#include "divergence.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIVERGENCE_HEAD 40
static const char divergence_magic[8] = "HEARTHLP";

/* FNV-1a, 64 bits. */
static uint64_t divergence_hash(const struct hc_tokens *tokens)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < tokens->n; i++)
        for (int b = 0; b < 4; b++)
            h = (h ^ ((uint32_t)tokens->ids[i] >> 8 * b & 255)) * 0x100000001B3u;
    return h;
}

static void divergence_put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void divergence_head(uint8_t head[DIVERGENCE_HEAD], size_t vocab, size_t ctx, uint64_t rows, uint64_t hash)
{
    memcpy(head, divergence_magic, 8);
    divergence_put(head + 8, 1, 4);
    divergence_put(head + 12, vocab, 4);
    divergence_put(head + 16, ctx, 4);
    divergence_put(head + 20, 0, 4);
    divergence_put(head + 24, rows, 8);
    divergence_put(head + 32, hash, 8);
}

static int divergence_room(struct hc_divergence *d, const char *path, size_t vocab, uint64_t rows, bool kl)
{
    d->path = path;
    d->vocab = vocab;
    d->n_expected = rows;
    d->log_p = malloc(vocab * sizeof *d->log_p);
    d->kl = kl ? malloc((size_t)rows * sizeof *d->kl) : NULL;
    if (!d->log_p || (kl && !d->kl))
        return hc_fail(HC_LIMIT, path, "no memory for %llu rows", (unsigned long long)rows);
    return HC_OK;
}

int hc_divergence_save(struct hc_divergence *d, const char *path, size_t vocab, size_t ctx, uint64_t rows,
                       const struct hc_tokens *tokens)
{
    uint8_t head[DIVERGENCE_HEAD];
    int rc = divergence_room(d, path, vocab, rows, false);
    if (rc != HC_OK)
        return rc;
    divergence_head(head, vocab, ctx, rows, divergence_hash(tokens));
    d->to = fopen(path, "wb");
    if (!d->to || fwrite(head, 1, sizeof head, d->to) != sizeof head)
        return hc_fail(HC_FAILED, path, "%m; a file that can be written is accepted");
    return HC_OK;
}

int hc_divergence_compare(struct hc_divergence *d, const char *path, size_t vocab, size_t ctx, uint64_t rows,
                          const struct hc_tokens *tokens)
{
    hearth_error err = {0};
    uint8_t head[DIVERGENCE_HEAD];
    int rc = divergence_room(d, path, vocab, rows, true);
    if (rc != HC_OK)
        return rc;
    hearth_status status = hearth_file_open(path, NULL, &d->file, &err);
    if (status != HEARTH_OK)
        return hc_fail_status(HC_REFUSED, path, status, &err);
    const uint8_t *bytes = hearth_file_bytes(d->file);
    uint64_t size = hearth_file_size(d->file), wanted = DIVERGENCE_HEAD + rows * vocab * sizeof(float);
    divergence_head(head, vocab, ctx, rows, divergence_hash(tokens));
    if (size < DIVERGENCE_HEAD || memcmp(bytes, head, 12) != 0)
        return hc_fail(HC_REFUSED, path, "no file of log-probabilities; one that --save-base wrote is accepted");
    if (memcmp(bytes, head, DIVERGENCE_HEAD) != 0)
        return hc_fail(HC_REFUSED, path, "of another text, context or vocabulary; the same are accepted");
    if (size != wanted)
        return hc_fail(HC_REFUSED, path, "%llu bytes; %llu are accepted", (unsigned long long)size,
                       (unsigned long long)wanted);
    d->rows = (const float *)(const void *)(bytes + DIVERGENCE_HEAD);
    return HC_OK;
}

static size_t divergence_log_softmax(float *out, const float *x, size_t n)
{
    size_t top = 0;
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        top = x[i] > x[top] ? i : top;
    for (size_t i = 0; i < n; i++)
        sum += (double)expf(x[i] - x[top]);
    float shift = (float)((double)x[top] + log(sum));
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] - shift;
    return top;
}

int hc_divergence_row(struct hc_divergence *d, const float *logits, size_t target)
{
    size_t top = divergence_log_softmax(d->log_p, logits, d->vocab), base_top = 0;
    uint64_t row = d->n++;
    if (d->to)
        return fwrite(d->log_p, sizeof *d->log_p, d->vocab, d->to) == d->vocab
                   ? HC_OK
                   : hc_fail(HC_FAILED, d->path, "could not be written: %m");
    const float *base = d->rows + row * d->vocab;
    double kl = 0;
    for (size_t i = 0; i < d->vocab; i++) {
        base_top = base[i] > base[base_top] ? i : base_top;
        kl += (double)expf(base[i]) * ((double)base[i] - (double)d->log_p[i]);
    }
    double difference = (double)base[target] - (double)d->log_p[target];
    d->kl[row] = (float)kl;
    d->same_top += base_top == top;
    d->nll_difference += difference;
    d->nll_difference_squares += difference * difference;
    return HC_OK;
}

static int divergence_order(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Standard error of a mean from a sum and a sum of squares. */
static double divergence_error(double sum, double squares, double n)
{
    double variance = n > 1 ? (squares - sum * sum / n) / (n - 1) : 0;
    return variance > 0 ? sqrt(variance / n) : 0;
}

void hc_divergence_end(struct hc_divergence *d, struct hc_divergence_result *r)
{
    double sum = 0, squares = 0, n = (double)d->n;
    *r = (struct hc_divergence_result){0};
    if (d->n == 0)
        return;
    for (uint64_t i = 0; i < d->n; i++) {
        sum += (double)d->kl[i];
        squares += (double)d->kl[i] * (double)d->kl[i];
    }
    qsort(d->kl, (size_t)d->n, sizeof *d->kl, divergence_order);
    r->mean = sum / n;
    r->mean_error = divergence_error(sum, squares, n);
    r->median = (double)d->kl[(d->n - 1) / 2]; /* nearest rank */
    r->p99 = (double)d->kl[(d->n * 99 + 99) / 100 - 1];
    r->max = (double)d->kl[d->n - 1];
    r->same_top = (double)d->same_top / n;
    r->ln_ratio = d->nll_difference / n;
    r->ln_ratio_error = divergence_error(d->nll_difference, d->nll_difference_squares, n);
}

int hc_divergence_close(struct hc_divergence *d)
{
    int rc = HC_OK;
    if (d->to && fclose(d->to) != 0)
        rc = hc_fail(HC_FAILED, d->path, "could not be written: %m");
    hearth_file_close(d->file);
    free(d->log_p);
    free(d->kl);
    return rc;
}
