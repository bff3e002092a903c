/* Strips and walks (ht_strip.h). */
#include "graph/ht_strip.h"
#include "graph/ht_math.h"
#include "kernels/hk_half.h"

enum ht_class ht_class_of(unsigned type)
{
    switch (type) {
    case HK_F32: case HK_F16: case HK_BF16:
        return HT_F32;
    case HK_F64:
        return HT_F64;
    case HK_U64:
        return HT_U64;
    case HK_I8: case HK_I16: case HK_I32: case HK_I64: case HK_U8: case HK_U16: case HK_U32:
    case HK_BOOL:
        return HT_I64;
    default:
        return HT_NO_CLASS;
    }
}

#define LOAD(T, field, expr)                                                                       \
    for (int64_t i = 0; i < n; i++) {                                                              \
        T v;                                                                                       \
        memcpy(&v, src + i * step, sizeof v);                                                      \
        room->field[i] = (expr);                                                                   \
    }                                                                                              \
    break

const void *ht_strip_load(union ht_strip *room, unsigned type, const uint8_t *src, int64_t stride,
                          int64_t n)
{
    int64_t step = stride * (int64_t)ht_size_of(type);
    bool in_place = stride == 1;
    if (stride == 0 && n > 1) { /* one element for all: load it, then spread it */
        const void *one = ht_strip_load(room, type, src, 1, 1);
        union ht_strip v;
        if (ht_class_of(type) == HT_F32) {
            memcpy(v.f32, one, sizeof(float));
            for (int64_t i = 0; i < n; i++)
                room->f32[i] = v.f32[0];
        } else {
            memcpy(v.u64, one, sizeof(uint64_t));
            for (int64_t i = 0; i < n; i++)
                room->u64[i] = v.u64[0];
        }
        return room;
    }
    switch (type) {
    case HK_F32:
        if (in_place)
            return src;
        LOAD(float, f32, v);
    case HK_F16:
        LOAD(uint16_t, f32, hk_f16_to_f32(v));
    case HK_BF16:
        LOAD(uint16_t, f32, hk_bf16_to_f32(v));
    case HK_F64:
        if (in_place)
            return src;
        LOAD(double, f64, v);
    case HK_I64:
        if (in_place)
            return src;
        LOAD(int64_t, i64, v);
    case HK_U64:
        if (in_place)
            return src;
        LOAD(uint64_t, u64, v);
    case HK_I8:
        LOAD(int8_t, i64, v);
    case HK_I16:
        LOAD(int16_t, i64, v);
    case HK_I32:
        LOAD(int32_t, i64, v);
    case HK_U8:
        LOAD(uint8_t, i64, v);
    case HK_BOOL:
        LOAD(uint8_t, i64, v != 0);
    case HK_U16:
        LOAD(uint16_t, i64, v);
    default:
        LOAD(uint32_t, i64, v);
    }
    return room;
}

#define STORE(T, C, expr)                                                                          \
    for (int64_t i = 0; i < n; i++) {                                                              \
        C s;                                                                                       \
        memcpy(&s, (const uint8_t *)strip + (size_t)i * sizeof s, sizeof s);                       \
        T v = (T)(expr);                                                                           \
        memcpy(dst + i * step, &v, sizeof v);                                                      \
    }                                                                                              \
    break

void ht_strip_store(unsigned type, uint8_t *dst, int64_t stride, const void *strip, int64_t n)
{
    int64_t step = stride * (int64_t)ht_size_of(type);
    switch (type) {
    case HK_F32:
        STORE(float, float, s);
    case HK_F16:
        STORE(uint16_t, float, hk_f32_to_f16(s));
    case HK_BF16:
        STORE(uint16_t, float, hk_f32_to_bf16(s));
    case HK_F64:
        STORE(double, double, s);
    case HK_I64: case HK_U64:
        STORE(uint64_t, uint64_t, s);
    case HK_I32: case HK_U32:
        STORE(uint32_t, uint64_t, s);
    case HK_I16: case HK_U16:
        STORE(uint16_t, uint64_t, s);
    case HK_BOOL:
        STORE(uint8_t, uint64_t, s != 0);
    default:
        STORE(uint8_t, uint64_t, s);
    }
}

static int64_t strip_low(unsigned type)
{
    switch (type) {
    case HK_I8: return INT8_MIN;
    case HK_I16: return INT16_MIN;
    case HK_I32: return INT32_MIN;
    case HK_I64: return INT64_MIN;
    default: return 0;
    }
}

static int64_t strip_high(unsigned type)
{
    switch (type) {
    case HK_I8: return INT8_MAX;
    case HK_U8: return UINT8_MAX;
    case HK_I16: return INT16_MAX;
    case HK_U16: return UINT16_MAX;
    case HK_I32: return INT32_MAX;
    case HK_U32: return UINT32_MAX;
    default: return INT64_MAX;
    }
}

static int64_t strip_f64_to_int(double v, unsigned type)
{
    if (type == HK_BOOL)
        return v != 0;
    if (type == HK_U64)
        return (int64_t)ht_to_u64(v);
    int64_t i = ht_to_i64(v), low = strip_low(type), high = strip_high(type);
    return i < low ? low : i > high ? high : i;
}

void ht_strip_convert(union ht_strip *to, unsigned to_type, const void *from, unsigned from_type,
                      int64_t n)
{
    enum ht_class c = ht_class_of(to_type), from_c = ht_class_of(from_type);
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        int64_t k = 0;
        switch (from_c) {
        case HT_F32: v = (double)((const float *)from)[i]; break;
        case HT_F64: v = ((const double *)from)[i]; break;
        case HT_I64: k = ((const int64_t *)from)[i]; v = (double)k; break;
        default: k = (int64_t)((const uint64_t *)from)[i]; v = (double)(uint64_t)k; break;
        }
        if (from_c == HT_F32 || from_c == HT_F64)
            k = c == HT_I64 || c == HT_U64 ? strip_f64_to_int(v, to_type) : 0;
        else if (to_type == HK_BOOL)
            k = k != 0;
        switch (c) {
        case HT_F32: /* integers above 2^53 would round twice through double */
            to->f32[i] = from_c == HT_I64   ? (float)k
                         : from_c == HT_U64 ? (float)(uint64_t)k
                                            : (float)v;
            break;
        case HT_F64: to->f64[i] = v; break;
        default: to->i64[i] = k; break;
        }
    }
}

double ht_get_f64(const struct ht_tensor *t, int64_t index)
{
    union ht_strip room, out;
    const void *p = ht_strip_load(&room, t->type, t->data + index * (int64_t)ht_size_of(t->type), 2,
                                  1);
    ht_strip_convert(&out, HK_F64, p, t->type, 1);
    return out.f64[0];
}

int64_t ht_get_i64(const struct ht_tensor *t, int64_t index)
{
    union ht_strip room, out;
    const void *p = ht_strip_load(&room, t->type, t->data + index * (int64_t)ht_size_of(t->type), 2,
                                  1);
    ht_strip_convert(&out, HK_I64, p, t->type, 1);
    return out.i64[0];
}

void ht_put_f64(unsigned type, uint8_t *dst, double v)
{
    union ht_strip room;
    ht_strip_convert(&room, type, &v, HK_F64, 1);
    ht_strip_store(type, dst, 1, &room, 1);
}

void ht_put_i64(unsigned type, uint8_t *dst, int64_t v)
{
    union ht_strip room;
    ht_strip_convert(&room, type, &v, HK_I64, 1);
    ht_strip_store(type, dst, 1, &room, 1);
}

/* ---- walks ---- */

void ht_walk_make(struct ht_walk *w, int rank, const int64_t *dim,
                  const struct ht_tensor *const *t, int n)
{
    *w = (struct ht_walk){.n = n};
    for (int d = 0; d < rank; d++) {
        int64_t stride[HT_WALK_OPERANDS] = {0};
        bool join = w->rank > 0;
        if (dim[d] == 1)
            continue;
        for (int i = 0; i < n; i++) {
            int from = t[i] ? d - (rank - t[i]->rank) : -1;
            if (from >= 0 && t[i]->dim[from] != 1)
                stride[i] = t[i]->stride[from];
            if (join && w->stride[i][w->rank - 1] != stride[i] * dim[d])
                join = false;
        }
        int at = join ? w->rank - 1 : w->rank++;
        w->dim[at] = join ? w->dim[at] * dim[d] : dim[d];
        for (int i = 0; i < n; i++)
            w->stride[i][at] = stride[i];
    }
    if (w->rank == 0) {
        w->rank = 1;
        w->dim[0] = 1;
    }
    w->rows = 1;
    for (int d = 0; d + 1 < w->rank; d++)
        w->rows *= w->dim[d];
    w->row_length = w->dim[w->rank - 1];
}

int64_t ht_walk_offset(const struct ht_walk *w, int i, int64_t row)
{
    int64_t off = 0;
    for (int d = w->rank - 2; d >= 0; d--) {
        off += row % w->dim[d] * w->stride[i][d];
        row /= w->dim[d];
    }
    return off;
}

struct ht_pieces ht_pieces_make(int64_t rows, int64_t row_length, int64_t piece, int64_t per_unit)
{
    struct ht_pieces p = {.piece = piece};
    if (p.piece > row_length)
        p.piece = row_length;
    p.per_row = p.piece ? (row_length + p.piece - 1) / p.piece : 0;
    p.total = rows * p.per_row;
    p.per_unit = p.piece ? (per_unit + p.piece - 1) / p.piece : 1;
    if (p.per_unit < 1)
        p.per_unit = 1;
    if (p.total / p.per_unit >= HT_MAX_UNITS)
        p.per_unit = p.total / HT_MAX_UNITS + 1;
    p.units = (p.total + p.per_unit - 1) / p.per_unit;
    return p;
}

bool ht_broadcast(int *rank, int64_t *dim, const struct ht_tensor *t)
{
    int r = *rank > t->rank ? *rank : t->rank;
    int64_t out[HT_MAX_RANK];
    for (int d = 0; d < r; d++) {
        int a = d - (r - *rank), b = d - (r - t->rank);
        int64_t x = a >= 0 ? dim[a] : 1, y = b >= 0 ? t->dim[b] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        out[d] = x == 1 ? y : x;
    }
    *rank = r;
    memcpy(dim, out, sizeof out[0] * (size_t)r);
    return true;
}

hearth_status ht_ints(const struct ht_step *s, uint32_t i, int max, int64_t *out, int *n,
                      hearth_error *err)
{
    const struct ht_tensor *t = s->in[i];
    if (t->rank > 1 || ht_class_of(t->type) == HT_NO_CLASS || ht_is_float(t->type))
        return ht_bad_shape(s, "wants a list of integers", err);
    int64_t count = t->rank ? t->dim[0] : 1, stride = t->rank ? t->stride[0] : 0;
    if (count > max)
        return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): input %u has %lld numbers; at most %d",
                       s->name, s->op->name, i, (long long)count, max);
    for (int64_t k = 0; k < count; k++)
        out[k] = ht_get_i64(t, k * stride);
    *n = (int)count;
    return HEARTH_OK;
}

hearth_status ht_axis(const struct ht_step *s, int64_t *axis, int rank, hearth_error *err)
{
    if (*axis < -rank || *axis >= rank)
        return hb_fail(err, HEARTH_E_RANGE, "%s (%s): axis %lld; %d to %d are accepted", s->name,
                       s->op->name, (long long)*axis, -rank, rank - 1);
    if (*axis < 0)
        *axis += rank;
    return HEARTH_OK;
}
