/* map: elementwise functions of one to three tensors that are broadcast to one shape, of any type
 * (maps.def). Strips of the inputs are loaded into one of the four classes of ht_strip.h, computed there,
 * and stored; float32 and contiguous operands are computed where they lie. */
#include "graph/ht_ops.h"
#include "graph/ht_strip.h"
#include "graph/ht_math.h"

#define MAP_DIRECT 4096

enum { MAP_SAME, MAP_BOOL, MAP_CAST, MAP_SECOND };
enum { MAP_ANY, MAP_NUM, MAP_FLT, MAP_INT, MAP_LOG };

static const struct map_row {
    const char *name;
    uint8_t arity, result, takes;
} map_rows[] = {
#define HT_MAP(id, arity, result, takes, text) {#id, arity, MAP_##result, MAP_##takes},
#include "graph/maps.def"
#undef HT_MAP
};

struct map_plan {
    bool quick; /* map_quick */
    struct ht_walk walk; /* out, in0, in1, in2 */
    struct ht_pieces pieces;
};

/* ---- arithmetic, a strip at a time. Lower-case a, b, c, x are elements. ---- */

#define EACH(expr)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
        x = a[i];                                                                                  \
        y[i] = (expr);                                                                             \
    }                                                                                              \
    break
#define EACH2(expr)                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                              \
        x = a[i];                                                                                  \
        z = b[i];                                                                                  \
        y[i] = (expr);                                                                             \
    }                                                                                              \
    break

static bool map_f64(unsigned kind, double *y, const double *a, const double *b, int64_t n, double p,
                    double q)
{
    double x, z;
    switch (kind) {
    case HT_MAP_COPY: EACH(x);
    case HT_MAP_NEG: EACH(-x);
    case HT_MAP_ABS: EACH(ht_abs(x));
    case HT_MAP_SIGN: EACH(x > 0 ? 1 : x < 0 ? -1 : x);
    case HT_MAP_CEIL: EACH(ht_ceil(x));
    case HT_MAP_FLOOR: EACH(ht_floor(x));
    case HT_MAP_ROUND: EACH(ht_round_even(x));
    case HT_MAP_SQRT: EACH(ht_sqrt(x));
    case HT_MAP_RECIP: EACH(1 / x);
    case HT_MAP_EXP: EACH(ht_exp(x));
    case HT_MAP_LOG: EACH(ht_log(x));
    case HT_MAP_SIN: EACH(ht_sin(x));
    case HT_MAP_COS: EACH(ht_cos(x));
    case HT_MAP_TAN: EACH(ht_tan(x));
    case HT_MAP_ASIN: EACH(ht_asin(x));
    case HT_MAP_ACOS: EACH(ht_acos(x));
    case HT_MAP_ATAN: EACH(ht_atan(x));
    case HT_MAP_SINH: EACH(ht_sinh(x));
    case HT_MAP_COSH: EACH(ht_cosh(x));
    case HT_MAP_TANH: EACH(ht_tanh(x));
    case HT_MAP_ASINH: EACH(ht_asinh(x));
    case HT_MAP_ACOSH: EACH(ht_acosh(x));
    case HT_MAP_ATANH: EACH(ht_atanh(x));
    case HT_MAP_ERF: EACH(ht_erf(x));
    case HT_MAP_SIGMOID: EACH(1 / (1 + ht_exp(-x)));
    case HT_MAP_RELU: EACH(x < 0 ? 0 : x);
    case HT_MAP_LEAKY: EACH(x < 0 ? p * x : x);
    case HT_MAP_ELU: EACH(x < 0 ? p * (ht_exp(x) - 1) : x);
    case HT_MAP_SELU: EACH(q * (x <= 0 ? p * ht_exp(x) - p : x));
    case HT_MAP_CELU: EACH(x > 0 ? x : p * (ht_exp(x / p) - 1));
    case HT_MAP_HARDSIGMOID: EACH(p * x + q < 0 ? 0 : p * x + q > 1 ? 1 : p * x + q);
    case HT_MAP_HARDSWISH: EACH(x * (x < -3 ? 0 : x > 3 ? 1 : x / 6 + 0.5));
    case HT_MAP_SOFTPLUS: EACH((x > 0 ? x : 0) + ht_log(1 + ht_exp(-ht_abs(x))));
    case HT_MAP_SOFTSIGN: EACH(x / (1 + ht_abs(x)));
    case HT_MAP_THRESHOLDED: EACH(x > p ? x : 0);
    case HT_MAP_SHRINK: EACH(x < -p ? x + q : x > p ? x - q : 0);
    case HT_MAP_GELU: EACH(0.5 * x * (1 + ht_erf(x * 0.70710678118654752440)));
    case HT_MAP_GELU_TANH:
        EACH(0.5 * x * (1 + ht_tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))));
    case HT_MAP_SILU: EACH(x / (1 + ht_exp(-p * x)));
    case HT_MAP_MISH: EACH(x * ht_tanh((x > 0 ? x : 0) + ht_log(1 + ht_exp(-ht_abs(x)))));
    case HT_MAP_AFFINE: EACH(p * x + q);
    case HT_MAP_ADD: EACH2(x + z);
    case HT_MAP_SUB: EACH2(x - z);
    case HT_MAP_MUL: EACH2(x * z);
    case HT_MAP_DIV: EACH2(x / z);
    case HT_MAP_POW: EACH2(ht_pow(x, z));
    case HT_MAP_FMOD: EACH2(ht_fmod(x, z));
    case HT_MAP_MOD:
        for (int64_t i = 0; i < n; i++) {
            double r = ht_fmod(a[i], b[i]);
            y[i] = r != 0 && (r < 0) != (b[i] < 0) ? r + b[i] : r;
        }
        break;
    case HT_MAP_MIN: EACH2(x != x || x < z ? x : z);
    case HT_MAP_MAX: EACH2(x != x || x > z ? x : z);
    case HT_MAP_PRELU: EACH2(x < 0 ? x * z : x);
    default: return false;
    }
    return true;
}

/* float32: what BERT-like models are made of runs here; the rest goes through double. */
static void map_f32(unsigned kind, const struct hk_table *k, float *y, const float *a,
                    const float *b, int64_t n, float p, float q)
{
    float x, z;
    size_t size = (size_t)n;
    switch (kind) {
    case HT_MAP_COPY: EACH(x);
    case HT_MAP_NEG: EACH(-x);
    case HT_MAP_ABS: EACH(hk_abs(x));
    case HT_MAP_SQRT: EACH(hk_sqrt(x));
    case HT_MAP_RECIP: EACH(1.0f / x);
    case HT_MAP_EXP: k->exp_f32(y, a, size); break;
    case HT_MAP_TANH: k->tanh_f32(y, a, size); break;
    case HT_MAP_ERF: k->erf_f32(y, a, size); break;
    case HT_MAP_LOG: EACH(hk_log(x));
    case HT_MAP_SIGMOID: EACH(hk_sigmoid(x));
    case HT_MAP_RELU: EACH(x < 0 ? 0 : x);
    case HT_MAP_LEAKY: EACH(x < 0 ? p * x : x);
    case HT_MAP_HARDSIGMOID: EACH(p * x + q < 0 ? 0 : p * x + q > 1 ? 1 : p * x + q);
    case HT_MAP_GELU: k->gelu_erf_f32(y, a, size); break;
    case HT_MAP_GELU_TANH: k->gelu_tanh_f32(y, a, size); break;
    case HT_MAP_SILU:
        if (p == 1) {
            k->silu_f32(y, a, size);
            break;
        }
        EACH(hk_times_sigmoid(x, p * x));
    case HT_MAP_AFFINE: EACH(p * x + q);
    case HT_MAP_ADD: k->add_f32(y, a, b, size); break;
    case HT_MAP_SUB: EACH2(x - z);
    case HT_MAP_MUL: k->mul_f32(y, a, b, size); break;
    case HT_MAP_DIV: EACH2(x / z);
    case HT_MAP_POW:
        if (b[0] == 2.0f && b[n - 1] == 2.0f) { /* the squares of decomposed norms */
            bool all = true;
            for (int64_t i = 0; i < n; i++)
                all = all && b[i] == 2.0f;
            if (all) {
                for (int64_t i = 0; i < n; i++)
                    y[i] = a[i] * a[i];
                break;
            }
        }
        EACH2((float)ht_pow((double)x, (double)z));
    case HT_MAP_MIN: EACH2(x != x || x < z ? x : z);
    case HT_MAP_MAX: EACH2(x != x || x > z ? x : z);
    default:
        for (int64_t i = 0; i < n; i++) {
            double from = (double)a[i], second = b ? (double)b[i] : 0, to = 0;
            (void)map_f64(kind, &to, &from, &second, 1, (double)p, (double)q);
            y[i] = (float)to;
        }
    }
}

/* Wrapping 64-bit arithmetic; narrower types wrap when stored. */
#define WRAP(op) (int64_t)((uint64_t)x op (uint64_t)z)

/* Signs are shifted in; past the width nothing but the sign is left. */
static int64_t map_shift_right(int64_t x, int64_t by, bool is_unsigned)
{
    uint64_t sign = x < 0 && !is_unsigned ? UINT64_MAX : 0;
    if ((uint64_t)by > 63)
        return (int64_t)sign;
    return (int64_t)((uint64_t)x >> by | (by ? sign << (64 - by) : 0));
}

static int64_t map_ipow(int64_t base, int64_t e)
{
    uint64_t p = 1, b = (uint64_t)base;
    if (e < 0)
        return base == 1 ? 1 : base == -1 ? (e & 1 ? -1 : 1) : 0;
    for (; e; e >>= 1, b *= b)
        if (e & 1)
            p *= b;
    return (int64_t)p;
}

static int64_t map_div(int64_t x, int64_t z)
{
    if (z == 0)
        return 0;
    return z == -1 ? (int64_t)(0u - (uint64_t)x) : x / z;
}

static int64_t map_mod(int64_t x, int64_t z, bool sign_of_b)
{
    if (z == 0 || z == -1)
        return 0;
    int64_t r = x % z;
    return sign_of_b && r != 0 && (r < 0) != (z < 0) ? r + z : r;
}

static void map_i64(unsigned kind, int64_t *y, const int64_t *a, const int64_t *b, int64_t n,
                    double p, double q, bool is_unsigned)
{
    int64_t x, z;
    switch (kind) {
    case HT_MAP_COPY: EACH(x);
    case HT_MAP_NEG: EACH((int64_t)(0u - (uint64_t)x));
    case HT_MAP_ABS: EACH(x < 0 && !is_unsigned ? (int64_t)(0u - (uint64_t)x) : x);
    case HT_MAP_SIGN: EACH(is_unsigned ? x != 0 : (x > 0) - (x < 0));
    case HT_MAP_RELU: EACH(x < 0 && !is_unsigned ? 0 : x);
    case HT_MAP_SHRINK:
        EACH((double)x < -p ? ht_to_i64((double)x + q)
                            : (double)x > p ? ht_to_i64((double)x - q) : 0);
    case HT_MAP_AFFINE: EACH(ht_to_i64(p * (double)x + q));
    case HT_MAP_NOT: EACH(!x);
    case HT_MAP_BITNOT: EACH(~x);
    case HT_MAP_ADD: EACH2(WRAP(+));
    case HT_MAP_SUB: EACH2(WRAP(-));
    case HT_MAP_MUL: EACH2(WRAP(*));
    case HT_MAP_DIV:
        EACH2(!is_unsigned ? map_div(x, z) : z ? (int64_t)((uint64_t)x / (uint64_t)z) : 0);
    case HT_MAP_POW: EACH2(map_ipow(x, z));
    case HT_MAP_MOD: case HT_MAP_FMOD:
        EACH2(!is_unsigned ? map_mod(x, z, kind == HT_MAP_MOD)
                           : z ? (int64_t)((uint64_t)x % (uint64_t)z) : 0);
    case HT_MAP_MIN: EACH2((is_unsigned ? (uint64_t)x < (uint64_t)z : x < z) ? x : z);
    case HT_MAP_MAX: EACH2((is_unsigned ? (uint64_t)x > (uint64_t)z : x > z) ? x : z);
    case HT_MAP_PRELU: EACH2(x < 0 && !is_unsigned ? WRAP(*) : x);
    case HT_MAP_AND: EACH2(x && z);
    case HT_MAP_OR: EACH2(x || z);
    case HT_MAP_XOR: EACH2(!x != !z);
    case HT_MAP_BITAND: EACH2(x & z);
    case HT_MAP_BITOR: EACH2(x | z);
    case HT_MAP_BITXOR: EACH2(x ^ z);
    case HT_MAP_SHL: EACH2((uint64_t)z > 63 ? 0 : (int64_t)((uint64_t)x << z));
    default: EACH2(map_shift_right(x, z, is_unsigned)); /* SHR */
    }
}

#define COMPARE(T)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
        T s = ((const T *)a)[i], t = ((const T *)b)[i];                                            \
        y[i] = kind == HT_MAP_EQ   ? s == t                                                        \
               : kind == HT_MAP_LT ? s < t                                                         \
               : kind == HT_MAP_GT ? s > t                                                         \
               : kind == HT_MAP_LE ? s <= t                                                        \
                                   : s >= t;                                                       \
    }                                                                                              \
    break

static void map_compare(unsigned kind, enum ht_class c, int64_t *y, const void *a, const void *b,
                        int64_t n)
{
    switch (c) {
    case HT_F32: COMPARE(float);
    case HT_F64: COMPARE(double);
    case HT_U64: COMPARE(uint64_t);
    default: COMPARE(int64_t);
    }
}

static void map_test(const struct ht_map *p, enum ht_class c, int64_t *y, const void *a, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double x = c == HT_F32 ? (double)((const float *)a)[i] : ((const double *)a)[i];
        if (p->kind == HT_MAP_ISNAN)
            y[i] = x != x;
        else
            y[i] = (x == -HT_INF && p->p != 0) || (x == HT_INF && p->q != 0);
    }
}

#define PICK(T)                                                                                    \
    for (int64_t i = 0; i < n; i++)                                                                \
        ((T *)y)[i] = c[i] ? ((const T *)a)[i] : ((const T *)b)[i];                                \
    break

static void map_where(enum ht_class k, void *y, const int64_t *c, const void *a, const void *b,
                      int64_t n)
{
    switch (k) {
    case HT_F32: PICK(float);
    case HT_F64: PICK(double);
    default: PICK(uint64_t);
    }
}

#define CLAMP(T)                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                              \
        T x = ((const T *)a)[i];                                                                   \
        if (lo && x < ((const T *)lo)[i])                                                          \
            x = ((const T *)lo)[i];                                                                \
        if (hi && x > ((const T *)hi)[i])                                                          \
            x = ((const T *)hi)[i];                                                                \
        ((T *)y)[i] = x;                                                                           \
    }                                                                                              \
    break

static void map_clip(enum ht_class k, void *y, const void *a, const void *lo, const void *hi,
                     int64_t n)
{
    switch (k) {
    case HT_F32: CLAMP(float);
    case HT_F64: CLAMP(double);
    case HT_U64: CLAMP(uint64_t);
    default: CLAMP(int64_t);
    }
}

/* ---- the op ---- */

static hearth_status map_types(const struct ht_step *s, const struct map_row *row, hearth_error *err)
{
    const struct ht_map *p = s->params;
    for (uint32_t i = 0; i < row->arity; i++) {
        const struct ht_tensor *t = i < s->n_in ? s->in[i] : NULL;
        if (!t) {
            if (p->kind == HT_MAP_CLIP && i > 0)
                continue;
            return ht_bad_shape(s, "an input is missing", err);
        }
        enum ht_class c = ht_class_of(t->type);
        bool is_float = c == HT_F32 || c == HT_F64, is_bool = t->type == HK_BOOL;
        bool fine = c != HT_NO_CLASS;
        if (row->takes == MAP_NUM)
            fine = fine && !is_bool;
        if (row->takes == MAP_FLT)
            fine = is_float;
        if (row->takes == MAP_INT)
            fine = fine && !is_float && !is_bool;
        if (row->takes == MAP_LOG)
            fine = is_bool;
        uint32_t first = p->kind == HT_MAP_WHERE ? 1 : 0;
        if (p->kind == HT_MAP_WHERE && i == 0)
            fine = is_bool;
        if (i > first && p->kind != HT_MAP_POW)
            fine = fine && s->in[first] && t->type == s->in[first]->type;
        if (!fine)
            return hb_fail(err, HEARTH_E_MISMATCH, "%s (%s): input %u has type %s", s->name,
                           row->name, i, hk_qtype_info[t->type].name);
    }
    return HEARTH_OK;
}

/* Masks: cond ? a : b in f32, and conditions joined, in one pass. strides are 0 or 1. */
static bool map_is_quick(const struct ht_step *s, const struct map_plan *m)
{
    unsigned kind = ((const struct ht_map *)s->params)->kind;
    int last = m->walk.rank - 1;
    if (kind == HT_MAP_WHERE ? s->out[0]->type != HK_F32 : kind != HT_MAP_AND && kind != HT_MAP_OR)
        return false;
    for (uint32_t i = 0; i < s->n_in; i++)
        if (!s->in[i] || (m->walk.stride[1 + i][last] & ~(int64_t)1) != 0)
            return false;
    return true;
}

static hearth_status map_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    const struct ht_map *p = s->params;
    const struct map_row *row = &map_rows[p->kind];
    int64_t dim[HT_MAX_RANK];
    int rank = 0;
    HB_TRY(map_types(s, row, err));
    for (uint32_t i = 0; i < s->n_in && i < row->arity; i++)
        if (s->in[i] && !ht_broadcast(&rank, dim, s->in[i]))
            return hb_fail(err, HEARTH_E_MISMATCH,
                           "%s (%s): the shape of input %u cannot be broadcast with the others",
                           s->name, row->name, i);
    unsigned cast_to = s->op == &ht_op_cast_like ? s->in[1]->type : p->type;
    unsigned type = row->result == MAP_BOOL     ? HK_BOOL
                    : row->result == MAP_CAST   ? cast_to
                    : row->result == MAP_SECOND ? s->in[1]->type
                                                : s->in[0]->type;
    if (p->kind == HT_MAP_CAST && ht_class_of(type) == HT_NO_CLASS)
        return ht_bad_shape(s, "casts to plain types only", err);
    HB_TRY(ht_out(b, s, 0, (enum hk_qtype)type, rank, dim, -1, err));
    HB_TRY(ht_step_private(b, s, sizeof(struct map_plan), err));
    struct map_plan *m = s->plan;
    const struct ht_tensor *t[4] = {s->out[0]};
    bool direct = type == HK_F32 && row->result == MAP_SAME; /* as map_strip: straight into the output */
    for (uint32_t i = 0; i < row->arity && i < s->n_in; i++)
        t[1 + i] = s->in[i];
    ht_walk_make(&m->walk, rank, dim, t, 4);
    for (uint32_t i = 0; i < row->arity; i++)
        direct = direct && i < s->n_in && s->in[i] && s->in[i]->type == HK_F32 &&
                 m->walk.stride[1 + i][m->walk.rank - 1] == 1;
    int64_t rows = m->walk.rows;
    if (p->kind == HT_MAP_WHERE || p->kind == HT_MAP_CLIP)
        direct = false;
    for (int d = 0; d < rank; d++)
        if (dim[d] == 0)
            rows = 0;
    m->quick = map_is_quick(s, m);
    direct = direct || m->quick;
    m->pieces = ht_pieces_make(rows, m->walk.row_length, direct ? MAP_DIRECT : HT_STRIP, 8192);
    return HEARTH_OK;
}

static int64_t map_units(const struct ht_step *s, const struct ht_run *run)
{
    (void)run;
    return ((const struct map_plan *)s->plan)->pieces.units;
}

static void map_strip(const struct ht_step *s, const struct hk_table *k, uint8_t *dst,
                      int64_t dst_stride, const void *const in[3], int64_t n)
{
    const struct ht_map *p = s->params;
    const struct map_row *row = &map_rows[p->kind];
    const struct ht_tensor *out = s->out[0];
    enum ht_class c = ht_class_of(s->in[0]->type);
    union ht_strip y, tmp[2];
    void *to = &y;
    unsigned type = s->in[0]->type;
    if (out->type == HK_F32 && c == HT_F32 && dst_stride == 1 && row->result == MAP_SAME)
        to = dst; /* not through a strip */
    if (p->kind == HT_MAP_CAST) {
        ht_strip_convert(&y, out->type, in[0], type, n);
    } else if (row->result == MAP_BOOL) {
        if (row->arity == 1)
            map_test(p, c, y.i64, in[0], n);
        else
            map_compare(p->kind, c, y.i64, in[0], in[1], n);
    } else if (p->kind == HT_MAP_WHERE) {
        map_where(ht_class_of(out->type), &y, in[0], in[1], in[2], n);
    } else if (p->kind == HT_MAP_CLIP) {
        map_clip(c, to, in[0], in[1], in[2], n);
    } else if (p->kind == HT_MAP_POW && s->in[1]->type != type) {
        ht_strip_convert(&tmp[0], HK_F64, in[0], type, n);
        ht_strip_convert(&tmp[1], HK_F64, in[1], s->in[1]->type, n);
        (void)map_f64(HT_MAP_POW, tmp[0].f64, tmp[0].f64, tmp[1].f64, n, 0, 0);
        ht_strip_convert(to == dst ? (union ht_strip *)(void *)dst : &y, type, &tmp[0], HK_F64, n);
    } else if (c == HT_F32) {
        map_f32(p->kind, k, to, in[0], in[1], n, (float)p->p, (float)p->q);
    } else if (c == HT_F64) {
        (void)map_f64(p->kind, y.f64, in[0], in[1], n, p->p, p->q);
    } else {
        map_i64(p->kind, y.i64, in[0], in[1], n, p->p, p->q, c == HT_U64);
    }
    if (to != dst)
        ht_strip_store(out->type, dst, dst_stride, to, n);
}

/* [at, at + n) of a row of joined dimensions */
static void map_quick(const struct ht_step *s, const struct map_plan *m, int64_t row, int64_t at, int64_t n)
{
    unsigned kind = ((const struct ht_map *)s->params)->kind;
    int last = m->walk.rank - 1;
    const uint8_t *in[3] = {NULL, NULL, NULL};
    int64_t step[3] = {0, 0, 0};
    for (uint32_t j = 0; j < s->n_in && j < 3; j++) {
        step[j] = m->walk.stride[1 + j][last];
        int64_t off = ht_walk_offset(&m->walk, 1 + (int)j, row) + at * step[j];
        in[j] = s->in[j]->data + off * (int64_t)ht_size_of(s->in[j]->type);
    }
    int64_t to = ht_walk_offset(&m->walk, 0, row) + at;
    if (kind == HT_MAP_WHERE) {
        float *y = (float *)(void *)s->out[0]->data + to;
        const float *a = (const float *)(const void *)in[1], *b = (const float *)(const void *)in[2];
        for (int64_t i = 0; i < n; i++)
            y[i] = in[0][i * step[0]] ? a[i * step[1]] : b[i * step[2]];
        return;
    }
    uint8_t *y = s->out[0]->data + to;
    for (int64_t i = 0; i < n; i++) {
        bool a = in[0][i * step[0]] != 0, b = in[1][i * step[1]] != 0;
        y[i] = kind == HT_MAP_AND ? a & b : a | b;
    }
}

static hearth_status map_run(const struct ht_step *s, const struct ht_run *run, void *scratch,
                             int64_t begin, int64_t end, hearth_error *err)
{
    const struct map_plan *m = s->plan;
    const struct ht_pieces *p = &m->pieces;
    const struct map_row *row = &map_rows[((const struct ht_map *)s->params)->kind];
    int last = m->walk.rank - 1;
    const struct ht_tensor *out = s->out[0];
    union ht_strip room[3];
    (void)scratch, (void)err;
    int64_t stop = end * p->per_unit < p->total ? end * p->per_unit : p->total;
    for (int64_t i = begin * p->per_unit; i < stop; i++) {
        int64_t r = i / p->per_row, at = i % p->per_row * p->piece;
        int64_t n = m->walk.row_length - at < p->piece ? m->walk.row_length - at : p->piece;
        if (m->quick) {
            map_quick(s, m, r, at, n);
            continue;
        }
        const void *in[3] = {NULL, NULL, NULL};
        for (uint32_t j = 0; j < row->arity; j++) {
            const struct ht_tensor *t = j < s->n_in ? s->in[j] : NULL;
            if (!t)
                continue;
            int64_t stride = m->walk.stride[1 + j][last];
            int64_t off = ht_walk_offset(&m->walk, 1 + (int)j, r) + at * stride;
            in[j] = ht_strip_load(&room[j], t->type,
                                  t->data + off * (int64_t)ht_size_of(t->type), stride, n);
        }
        int64_t off = ht_walk_offset(&m->walk, 0, r) + at;
        map_strip(s, run->kernels, out->data + off * (int64_t)ht_size_of(out->type), 1, in, n);
    }
    return HEARTH_OK;
}

const struct ht_op ht_op_map = {"map", sizeof(struct ht_map), map_plan, map_units, map_run, 0, 0};

/* cast_like: (x, like) -> x in the type of `like`, by the functions of map. */
static hearth_status cast_like_plan(struct ht_bind *b, struct ht_step *s, hearth_error *err)
{
    static const struct ht_map cast = {.kind = HT_MAP_CAST};
    s->params = &cast;
    s->n_in = 2;
    return map_plan(b, s, err);
}

const struct ht_op ht_op_cast_like = {"cast_like", sizeof(struct ht_no_params), cast_like_plan,
                                      map_units, map_run, 0, 0};
