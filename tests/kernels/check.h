/* What check_kernels is made of: guarded buffers, hostile data, comparison, timing. */
#ifndef CHECK_H
#define CHECK_H

#include "kernels/hk_fma.h"
#include "kernels/kernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum ck_kind { CK_EXACT_KIND, CK_ULP_KIND, CK_SUM_KIND };
struct ck_tolerance {
    enum ck_kind kind;
    double n;
};
/* The checks of kernels.def. A sum is allowed c * 2^-23 * (sum of the magnitudes of its terms). */
#define HK_EXACT                                                                                   \
    {                                                                                              \
        CK_EXACT_KIND, 0                                                                           \
    }
#define HK_ULP(n)                                                                                  \
    {                                                                                              \
        CK_ULP_KIND, n                                                                             \
    }
#define HK_SUM(c)                                                                                  \
    {                                                                                              \
        CK_SUM_KIND, c                                                                             \
    }

enum ck_data {
    CK_RANDOM,      /* uniform in [-1, 1) */
    CK_ZEROS,       /* +0 and -0 */
    CK_LARGEST,     /* +-FLT_MAX and near it */
    CK_ALTERNATING, /* 1, -1, 1, ... and neighbours: sums cancel */
    CK_DENORMALS,
    CK_WIDE,    /* any finite bit pattern */
    CK_SPECIAL, /* random with a few NaN and infinities */
    CK_DATA_COUNT
};

typedef void ck_fn(void); /* any kernel */

/* One kernel under test. The pool of buffers starts anew with every case. */
struct ck {
    ck_fn *ref, *fn;
    const struct hk_table *ref_table;
    const char *slot, *level;
    const struct hk_qtype_info *qtype; /* block formats: the type being checked */
    struct ck_tolerance tolerance;
    uint64_t rng;
    int place; /* 0: buffers end at a guard page; 1: they start just after one, unaligned */
    size_t n_buffers;
    char what[160]; /* the case, for messages */
    int failures;
    uint64_t hash; /* of all that `ref` gave, NaN as one value: the same on every machine */
    bool json;
};

/* A function type of kernels.h: how its cases are made and how it is timed. */
struct ck_type {
    void (*check)(struct ck *c);
    void (*bench)(struct ck *c);
};

/* `bytes` bytes filled with 0x5A at a multiple of `align`, guard zones on both sides. */
void *ck_buffer(struct ck *c, size_t bytes, size_t align);
float *ck_floats(struct ck *c, size_t n, enum ck_data data);
/* Another buffer with the same content. */
void *ck_copy(struct ck *c, const void *src, size_t bytes, size_t align);
/* Begin a case: forget the buffers. */
void ck_case(struct ck *c, const char *format, ...) HB_PRINTF(2, 3);
/* End it: compare what was written, look at the guard zones. terms: sums of magnitudes or NULL. */
void ck_same_floats(struct ck *c, const char *name, const float *ref, const float *got, size_t n,
                    const double *terms);
void ck_same_bytes(struct ck *c, const char *name, const void *ref, const void *got, size_t bytes);
void ck_guards(struct ck *c);

uint64_t ck_rand(struct ck *c);
size_t ck_below(struct ck *c, size_t n); /* uniform in [0, n) */
void ck_fill(struct ck *c, float *x, size_t n, enum ck_data data);
const char *ck_data_name(enum ck_data data);

/* Lengths 0, 1, around every vector width, odd ones. */
extern const size_t ck_lengths[];
extern const size_t ck_n_lengths;
/* Calls `run` for every length, kind of data and placement. */
void ck_each_length(struct ck *c, void (*run)(struct ck *, size_t n, enum ck_data data));

/* ---- timing ---- */

uint64_t ck_now_ns(void);
#define CK_TIMES 25
/* `ns`: CK_TIMES measurements of one call */
void ck_report(struct ck *c, const char *shape, double ns[CK_TIMES], double bytes, double ops);

/* Times one `call`, which moves `bytes` and does `ops` operations. */
#define CK_BENCH(c, shape, bytes, ops, call)                                                       \
    do {                                                                                           \
        uint64_t ck_reps = 1, ck_t;                                                                \
        double ck_ns[CK_TIMES];                                                                    \
        for (;;) {                                                                                 \
            ck_t = ck_now_ns();                                                                    \
            for (uint64_t ck_i = 0; ck_i < ck_reps; ck_i++) {                                      \
                call;                                                                              \
            }                                                                                      \
            if (ck_now_ns() - ck_t > 300000)                                                       \
                break;                                                                             \
            ck_reps *= 2;                                                                          \
        }                                                                                          \
        for (int ck_k = 0; ck_k < CK_TIMES; ck_k++) {                                              \
            ck_t = ck_now_ns();                                                                    \
            for (uint64_t ck_i = 0; ck_i < ck_reps; ck_i++) {                                      \
                call;                                                                              \
            }                                                                                      \
            ck_ns[ck_k] = (double)(ck_now_ns() - ck_t) / (double)ck_reps;                          \
        }                                                                                          \
        ck_report(c, shape, ck_ns, bytes, ops);                                                    \
    } while (0)

#define CK_TYPES(X)                                                                                \
    X(hk_act_quantize_fn)                                                                          \
    X(hk_tile_fn)                                                                                  \
    X(hk_rmsnorm_fn)                                                                               \
    X(hk_layernorm_fn)                                                                             \
    X(hk_softmax_fn)                                                                               \
    X(hk_unary_fn)                                                                                 \
    X(hk_scale_fn)                                                                                 \
    X(hk_gemm_fn)                                                                                  \
    X(hk_gemm_i8_fn)                                                                               \
    X(hk_soft_scores_fn)                                                                           \
    X(hk_finish_fn)                                                                                \
    X(hk_finish_i8_fn)                                                                             \
    X(hk_range_fn)                                                                                 \
    X(hk_quantize_u8_fn)                                                                           \
    X(hk_binary_fn)                                                                                \
    X(hk_rope_fn)                                                                                  \
    X(hk_narrow_fn)                                                                                \
    X(hk_classify_fn)                                                                              \
    X(hk_varint_encode_fn)                                                                         \
    X(hk_varint_decode_fn)                                                                         \
    X(hk_max_abs_fn)                                                                               \
    X(hk_attn_softmax_fn)                                                                          \
    X(hk_hadamard_fn)                                                                              \
    X(hk_attn_merge_fn)                                                                            \
    X(hk_attn_scores_fn)                                                                           \
    X(hk_attn_values_fn)                                                                           \
    X(hk_kv_put_fn)                                                                                \
    X(hk_unpack_fn)                                                                                \
    X(hk_stream_fn)                                                                                \
    X(hk_few_fn)                                                                                   \
    X(hk_pack_fn)
#define CK_DECLARE(type) extern const struct ck_type ck_##type;
CK_TYPES(CK_DECLARE)

#endif
