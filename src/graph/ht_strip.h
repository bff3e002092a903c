/* Elements of any plain type, a strip at a time: loaded into one of four classes that are computed
 * in, stored back with rounding (float16, bfloat16) or wrapping (integers).
 *
 *   F32  float, float16, bfloat16        I64  int8..int64, uint8..uint32, bool
 *   F64  double                          U64  uint64
 *
 * And walking: up to four operands over one index space, neighbouring dimensions joined where all
 * strides allow it. */
#ifndef HT_STRIP_H
#define HT_STRIP_H

#include "graph/ht_plan.h"

#define HT_STRIP 128
#define HT_WALK_OPERANDS 5

enum ht_class { HT_F32, HT_F64, HT_I64, HT_U64, HT_NO_CLASS };

union ht_strip {
    float f32[HT_STRIP];
    double f64[HT_STRIP];
    int64_t i64[HT_STRIP];
    uint64_t u64[HT_STRIP];
};

enum ht_class ht_class_of(unsigned type); /* HT_NO_CLASS: block types */
HB_INLINE bool ht_is_float(unsigned type)
{
    enum ht_class c = ht_class_of(type);
    return c == HT_F32 || c == HT_F64;
}
HB_INLINE size_t ht_size_of(unsigned type)
{
    return hk_qtype_info[type].block_bytes;
}

/* n <= HT_STRIP elements, `stride` elements apart. Returns where they are: in `room`, or in place when
 * nothing needs to be done to them. */
const void *ht_strip_load(union ht_strip *room, unsigned type, const uint8_t *src, int64_t stride,
                          int64_t n);
void ht_strip_store(unsigned type, uint8_t *dst, int64_t stride, const void *strip, int64_t n);
/* Between classes; float to integer truncates, NaN to 0, out of range to the nearest end of the
 * target type. */
void ht_strip_convert(union ht_strip *to, unsigned to_type, const void *from, unsigned from_type,
                      int64_t n);

/* One element as a number. */
double ht_get_f64(const struct ht_tensor *t, int64_t index);  /* of a dense tensor */
int64_t ht_get_i64(const struct ht_tensor *t, int64_t index);
void ht_put_f64(unsigned type, uint8_t *dst, double v);
void ht_put_i64(unsigned type, uint8_t *dst, int64_t v);

struct ht_walk {
    int rank, n;                   /* joined dimensions; operands */
    int64_t dim[HT_MAX_RANK];
    int64_t stride[HT_WALK_OPERANDS][HT_MAX_RANK];
    int64_t rows, row_length;      /* all dimensions but the last; the last */
};

/* dims of the index space; t[i] broadcast to it (fewer dims, or 1). NULL operands are skipped. */
void ht_walk_make(struct ht_walk *w, int rank, const int64_t *dim,
                  const struct ht_tensor *const *t, int n);
/* Element offset of operand i at row r. */
int64_t ht_walk_offset(const struct ht_walk *w, int i, int64_t row);
/* Units of about `per_unit` elements of work: how many, and which rows or pieces of rows unit u has.
 * Pieces are `piece` long. */
struct ht_pieces {
    int64_t piece, per_row, total, per_unit, units;
};
struct ht_pieces ht_pieces_make(int64_t rows, int64_t row_length, int64_t piece,
                                int64_t per_unit);

/* A known tensor of at most one dimension as numbers; too many are refused. */
#define HT_MAX_INTS 64
hearth_status ht_ints(const struct ht_step *s, uint32_t i, int max, int64_t *out, int *n,
                      hearth_error *err);
/* -rank <= *axis < rank becomes 0 <= *axis < rank. */
hearth_status ht_axis(const struct ht_step *s, int64_t *axis, int rank, hearth_error *err);

/* Shape of a broadcast (numpy); false when shapes do not fit. */
bool ht_broadcast(int *rank, int64_t *dim, const struct ht_tensor *t);

#endif
