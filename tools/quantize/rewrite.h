/* A GGUF file with other tensor types: metadata as they are, but for file_type, quantization_version and the
 * split set's; tensors in the order of the file, encoded by as many threads as are asked for. */
#ifndef HQ_REWRITE_H
#define HQ_REWRITE_H

#include "tools/quantize/imatrix.h"
#include "tools/quantize/mix.h"
#include <stdio.h>

struct hq_tensor {
    const struct hg_tensor *from;
    enum hk_qtype type;
    uint64_t bytes, offset; /* of the data, from the end of the header on */
};

struct hq_progress {
    const struct hq_tensor *tensor;
    size_t index, n;
    double rms, rms_error; /* of the tensor's elements; set when it is done */
    uint64_t done, total;  /* elements */
};
/* Called after each tensor. */
typedef void hq_progress_fn(void *user, const struct hq_progress *p);

struct hq_rewrite {
    const struct hg_file *file;
    const struct hq_mix *mix;
    bool pure;                        /* all matrices get the mix's base type */
    bool requantize;                  /* tensors that are quantized already may be encoded anew */
    const struct hq_imatrix *imatrix; /* or NULL */
    int threads;
    hq_progress_fn *progress;
    void *user;
};

struct hq_result {
    uint64_t bytes;            /* of the file */
    uint64_t elements;
    size_t n_encoded, n_copied, n_without; /* without: encoded tensors that the imatrix does not know */
    double square, square_error; /* sums over what was encoded */
};

/* Types and places. tensors [file->n_tensors]. HEARTH_E_STATE: one is quantized and requantize is not set. */
hearth_status hq_plan(const struct hq_rewrite *r, struct hq_tensor *tensors, struct hq_result *result, hearth_error *err);
/* Header and data. The stream is written from its beginning. HEARTH_E_NUMERIC: an element is no weight (HQ_MOST_WEIGHT);
 * HEARTH_E_IO: the stream does not take it. */
hearth_status hq_write(const struct hq_rewrite *r, const struct hq_tensor *tensors, FILE *to, struct hq_result *result,
                       hearth_error *err);

#endif
