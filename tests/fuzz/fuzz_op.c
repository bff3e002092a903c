/* Fuzz target: chains of ops over small tensors, against a reference that is written here as plainly as it
 * can be: dense arrays of doubles and index arithmetic.
 *
 * The bytes choose types, shapes, ops and parameters; whatever they are, the chain is well formed, so hearth
 * must run it and give the reference's shape and values. Values are small whole numbers, so floats are exact
 * but behind division and the functions; those are compared within rounding. Views (transpose, slice, expand,
 * split) come in between on purpose: strides are where ops go wrong.
 *
 * Built with -fsanitize=fuzzer this is a libFuzzer target (FUZZ_ENGINE defined); otherwise main replays the
 * files named on the command line, or a number of seeds. */
#include "onnx/mini_onnx.h"
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_ELEMENTS = 4096, MAX_RANK = 5, MAX_STEPS = 6, MAX_TEXT = 4096 };

struct source {
    const uint8_t *data;
    size_t size, at;
};

static uint32_t pick(struct source *s, uint32_t n) /* 0 .. n - 1 */
{
    uint32_t v = s->at < s->size ? s->data[s->at++] : 0;
    return v % n;
}

struct ref {
    hearth_dtype type;
    int rank;
    int64_t dim[MAX_RANK + 2];
    double v[MAX_ELEMENTS];
};

struct chain {
    struct source *s;
    char text[MAX_TEXT];
    size_t len;
    int n_names;
    struct ref x;      /* the value so far, under the name v<n_names> */
    struct ref other;
    bool exact;
};

static int64_t ref_count(const struct ref *r)
{
    int64_t n = 1;
    for (int d = 0; d < r->rank; d++)
        n *= r->dim[d];
    return n;
}

static void say(struct chain *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct chain *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    c->len += (size_t)vsnprintf(c->text + c->len, sizeof c->text - c->len, format, args);
    va_end(args);
    if (c->len >= sizeof c->text)
        abort();
}

static const char *type_name(hearth_dtype type)
{
    return mini_type_by(type)->name;
}

static bool is_float(hearth_dtype type)
{
    return type == HEARTH_DTYPE_F32 || type == HEARTH_DTYPE_F64;
}

/* What a value becomes in a type: whole numbers wrap. */
static double wrap(hearth_dtype type, double v)
{
    if (type == HEARTH_DTYPE_F32)
        return (double)(float)v;
    if (type == HEARTH_DTYPE_F64)
        return v;
    if (type == HEARTH_DTYPE_BOOL)
        return v != 0;
    int bits = 8 * (int)mini_type_by(type)->size;
    bool is_signed = type == HEARTH_DTYPE_I8 || type == HEARTH_DTYPE_I16 || type == HEARTH_DTYPE_I32 ||
                     type == HEARTH_DTYPE_I64;
    if (bits == 64)
        return v;
    double range = ldexp(1, bits), low = is_signed ? -range / 2 : 0;
    v = fmod(v - low, range);
    return (v < 0 ? v + range : v) + low;
}

/* Row-major index of a multi-index under broadcasting to `dim`. */
static int64_t place(const struct ref *r, int rank, const int64_t *index)
{
    int64_t at = 0;
    for (int d = 0; d < r->rank; d++) {
        int64_t i = index[rank - r->rank + d];
        at = at * r->dim[d] + (r->dim[d] == 1 ? 0 : i);
    }
    return at;
}

static bool next_index(int rank, const int64_t *dim, int64_t *index)
{
    for (int d = rank - 1; d >= 0; d--) {
        if (++index[d] < dim[d])
            return true;
        index[d] = 0;
    }
    return false;
}

static void set_shape(struct ref *r, hearth_dtype type, int rank, const int64_t *dim)
{
    r->type = type;
    r->rank = rank;
    for (int d = 0; d < rank; d++)
        r->dim[d] = dim[d];
}

/* The whole literal, element by element. */
static void say_literal(struct chain *c, const struct ref *r, const char *name)
{
    say(c, "%s = Reshape(%s[", name, type_name(r->type));
    for (int64_t i = 0; i < ref_count(r); i++)
        say(c, "%s%g", i ? "," : "", r->v[i]);
    say(c, "], i64[");
    for (int d = 0; d < r->rank; d++)
        say(c, "%s%lld", d ? "," : "", (long long)r->dim[d]);
    say(c, "]) {allowzero=1}; ");
}

static void fill(struct chain *c, struct ref *r)
{
    for (int64_t i = 0; i < ref_count(r); i++) {
        double v = (double)pick(c->s, 13) - (r->type == HEARTH_DTYPE_U8 ? 0 : 5);
        r->v[i] = r->type == HEARTH_DTYPE_BOOL ? fmod(fabs(v), 2) : v;
    }
}

/* Another tensor that broadcasts with x both ways. */
static void other_operand(struct chain *c)
{
    struct ref *o = &c->other;
    int drop = (int)pick(c->s, (uint32_t)c->x.rank + 1);
    set_shape(o, c->x.type, c->x.rank - drop, c->x.dim + drop);
    for (int d = 0; d < o->rank; d++)
        if (pick(c->s, 3) == 0)
            o->dim[d] = 1;
    fill(c, o);
    say_literal(c, o, "other");
}

/* ---- ops: each says itself and changes x ---- */

static void begin(struct chain *c, const char *op)
{
    say(c, "v%d = %s(v%d", c->n_names + 1, op, c->n_names);
}

static void end(struct chain *c)
{
    say(c, "; ");
    c->n_names++;
}

static double binary_value(const char *op, double a, double b, bool floats)
{
    switch (op[0] + op[1]) {
    case 'A' + 'd':
        return a + b;
    case 'S' + 'u':
        return a - b;
    case 'D' + 'i':
        return floats ? a / b : b != 0 ? trunc(a / b) : 0;
    case 'G' + 'r':
        return a > b;
    case 'E' + 'q':
        return a == b;
    case 'L' + 'e':
        return a <= b;
    default:
        return a * b;
    }
}

static bool op_binary(struct chain *c)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Greater", "Equal", "LessOrEqual"};
    const char *op = ops[pick(c->s, 7)];
    bool compare = op[0] == 'G' || op[0] == 'E' || op[0] == 'L', floats = is_float(c->x.type);
    static struct ref out;
    if (c->x.type == HEARTH_DTYPE_BOOL)
        return false;
    if ((c->x.type == HEARTH_DTYPE_I64 || !c->exact) && (op[0] == 'M' || compare))
        return false; /* past 2^53; and comparisons of rounded values */
    other_operand(c);
    for (int64_t i = 0; i < ref_count(&c->other) && op[0] == 'D'; i++)
        if (floats && c->other.v[i] == 0)
            return false;
    begin(c, op);
    say(c, ", other)");
    end(c);
    set_shape(&out, compare ? HEARTH_DTYPE_BOOL : c->x.type, c->x.rank, c->x.dim);
    int64_t index[MAX_RANK + 2] = {0}, n = ref_count(&out);
    for (int64_t i = 0; i < n; i++) {
        double a = c->x.v[place(&c->x, out.rank, index)], b = c->other.v[place(&c->other, out.rank, index)];
        out.v[i] = wrap(out.type, binary_value(op, a, b, floats));
        next_index(out.rank, out.dim, index);
    }
    c->exact = c->exact && !(floats && op[0] == 'D');
    c->x = out;
    return true;
}

static bool op_unary(struct chain *c)
{
    static const char *const ops[] = {"Neg", "Abs", "Relu", "Sign", "Exp", "Tanh", "Sigmoid", "Not"};
    uint32_t k = pick(c->s, 8);
    bool smooth = k >= 4 && k <= 6;
    if ((k == 7) != (c->x.type == HEARTH_DTYPE_BOOL) || (smooth && !is_float(c->x.type)) ||
        (c->x.type == HEARTH_DTYPE_U8 && k == 0) || (k == 2 && !is_float(c->x.type)) || (k == 3 && !c->exact))
        return false;
    for (int64_t i = 0; i < ref_count(&c->x); i++)
        if (smooth && fabs(c->x.v[i]) > 20)
            return false;
    begin(c, ops[k]);
    say(c, ")");
    end(c);
    for (int64_t i = 0; i < ref_count(&c->x); i++) {
        double v = c->x.v[i];
        const double out[8] = {-v, fabs(v), v > 0 ? v : 0, (v > 0) - (v < 0), exp(v), tanh(v), 1 / (1 + exp(-v)), v == 0};
        c->x.v[i] = wrap(c->x.type, out[k]);
    }
    c->exact = c->exact && !smooth;
    return true;
}

static bool op_cast(struct chain *c)
{
    static const hearth_dtype to[] = {HEARTH_DTYPE_F32, HEARTH_DTYPE_F64, HEARTH_DTYPE_I32, HEARTH_DTYPE_I64,
                                      HEARTH_DTYPE_I8, HEARTH_DTYPE_BOOL};
    hearth_dtype type = to[pick(c->s, 6)];
    for (int64_t i = 0; i < ref_count(&c->x); i++)
        if (fabs(c->x.v[i]) > 100 || (!c->exact && !is_float(type)))
            return false; /* how out of range saturates is another test's */
    begin(c, "Cast");
    say(c, ") {to=%d}", (int)type);
    end(c);
    for (int64_t i = 0; i < ref_count(&c->x); i++)
        c->x.v[i] = wrap(type, is_float(type) ? c->x.v[i] : type == HEARTH_DTYPE_BOOL ? c->x.v[i] : trunc(c->x.v[i]));
    c->x.type = type;
    return true;
}

static bool op_transpose(struct chain *c)
{
    static struct ref out;
    int perm[MAX_RANK + 2];
    int64_t index[MAX_RANK + 2] = {0}, from[MAX_RANK + 2] = {0};
    for (int d = 0; d < c->x.rank; d++) {
        int k = (int)pick(c->s, (uint32_t)d + 1);
        perm[d] = perm[k];
        perm[k] = d;
    }
    if (c->x.rank == 0)
        return false;
    begin(c, "Transpose");
    say(c, ") {perm=[");
    for (int d = 0; d < c->x.rank; d++)
        say(c, "%s%d", d ? "," : "", perm[d]);
    say(c, "]}");
    end(c);
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    for (int d = 0; d < out.rank; d++)
        out.dim[d] = c->x.dim[perm[d]];
    for (int64_t i = 0, n = ref_count(&out); i < n; i++) {
        for (int d = 0; d < out.rank; d++)
            from[perm[d]] = index[d];
        out.v[i] = c->x.v[place(&c->x, c->x.rank, from)];
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_slice(struct chain *c)
{
    static struct ref out;
    if (c->x.rank == 0)
        return false;
    int axis = (int)pick(c->s, (uint32_t)c->x.rank);
    int64_t n = c->x.dim[axis], start = (int64_t)pick(c->s, 9) - 4, stop = (int64_t)pick(c->s, 13) - 6;
    int64_t step = (int64_t)pick(c->s, 7) - 3, index[MAX_RANK + 2] = {0}, from[MAX_RANK + 2];
    step = step ? step : 1;
    begin(c, "Slice");
    say(c, ", i64[%lld], i64[%lld], i64[%d], i64[%lld])", (long long)start, (long long)stop, axis, (long long)step);
    end(c);
    start = start < 0 ? start + n : start;
    stop = stop < 0 ? stop + n : stop;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    start = start < 0 ? 0 : start;
    start = start > high ? high : start;
    stop = stop < low ? low : stop > n ? n : stop;
    int64_t count = 0;
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
        count += i >= 0 && i < n;
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    out.dim[axis] = count;
    for (int64_t i = 0, all = ref_count(&out); i < all; i++) {
        memcpy(from, index, sizeof from);
        from[axis] = start + index[axis] * step;
        out.v[i] = c->x.v[place(&c->x, c->x.rank, from)];
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_reduce(struct chain *c)
{
    static const char *const ops[] = {"ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1"};
    static struct ref out;
    uint32_t k = pick(c->s, 5), set = pick(c->s, 32);
    bool keep = pick(c->s, 2), any = false;
    if (c->x.rank == 0 || c->x.type == HEARTH_DTYPE_BOOL || ref_count(&c->x) == 0 || (k >= 3 && !is_float(c->x.type)) ||
        (c->x.type == HEARTH_DTYPE_U8 && (k == 0 || k == 4)) || (c->x.type == HEARTH_DTYPE_I8 && (k == 0 || k == 4)))
        return false;
    begin(c, ops[k]);
    say(c, ", i64[");
    for (int d = 0; d < c->x.rank; d++)
        if (set >> d & 1) {
            say(c, "%s%d", any ? "," : "", pick(c->s, 2) ? d : d - c->x.rank);
            any = true;
        }
    say(c, "]) {keepdims=%d}", keep);
    end(c);
    int64_t index[MAX_RANK + 2] = {0}, terms = 1;
    int kept[MAX_RANK + 2], n_kept = 0;
    out.type = c->x.type;
    out.rank = 0;
    for (int d = 0; d < c->x.rank; d++) {
        bool gone = !any || (set >> d & 1);
        terms *= gone ? c->x.dim[d] : 1;
        if (!gone || keep) {
            out.dim[out.rank++] = gone ? 1 : c->x.dim[d];
            kept[n_kept++] = gone ? -1 : d;
        }
    }
    for (int64_t i = 0; i < ref_count(&out); i++)
        out.v[i] = k == 1 ? -INFINITY : k == 2 ? INFINITY : 0;
    for (int64_t i = 0; i < ref_count(&c->x); i++) {
        int64_t at = 0;
        for (int d = 0; d < n_kept; d++)
            at = at * out.dim[d] + (kept[d] < 0 ? 0 : index[kept[d]]);
        double v = c->x.v[i], *to = &out.v[at];
        *to = k == 1 ? fmax(*to, v) : k == 2 ? fmin(*to, v) : *to + (k == 4 ? fabs(v) : v);
        next_index(c->x.rank, c->x.dim, index);
    }
    for (int64_t i = 0; i < ref_count(&out); i++)
        out.v[i] = wrap(out.type, k == 3 ? out.v[i] / (double)terms : out.v[i]);
    c->exact = c->exact && k != 3;
    c->x = out;
    return true;
}

static bool op_concat(struct chain *c)
{
    static struct ref out;
    if (c->x.rank == 0 || 2 * ref_count(&c->x) > MAX_ELEMENTS)
        return false;
    int axis = (int)pick(c->s, (uint32_t)c->x.rank);
    say(c, "v%d = Concat(v%d, v%d) {axis=%d}", c->n_names + 1, c->n_names, c->n_names, axis - c->x.rank);
    end(c);
    int64_t index[MAX_RANK + 2] = {0}, from[MAX_RANK + 2];
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    out.dim[axis] *= 2;
    for (int64_t i = 0, n = ref_count(&out); i < n; i++) {
        memcpy(from, index, sizeof from);
        from[axis] %= c->x.dim[axis];
        out.v[i] = c->x.v[place(&c->x, c->x.rank, from)];
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_expand(struct chain *c)
{
    static struct ref out;
    if (c->x.rank >= MAX_RANK || 3 * ref_count(&c->x) > MAX_ELEMENTS)
        return false;
    int64_t index[MAX_RANK + 2] = {0}, by = (int64_t)pick(c->s, 3) + 1;
    begin(c, "Expand");
    say(c, ", i64[%lld", (long long)by);
    out.type = c->x.type;
    out.rank = c->x.rank + 1;
    out.dim[0] = by;
    for (int d = 0; d < c->x.rank; d++) {
        out.dim[d + 1] = c->x.dim[d];
        say(c, ",%lld", (long long)c->x.dim[d]);
    }
    say(c, "])");
    end(c);
    for (int64_t i = 0, n = ref_count(&out); i < n; i++) {
        out.v[i] = c->x.v[place(&c->x, out.rank, index)];
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_gather(struct chain *c)
{
    static struct ref out;
    if (c->x.rank == 0)
        return false;
    int axis = (int)pick(c->s, (uint32_t)c->x.rank);
    int64_t n = c->x.dim[axis], list[4], index[MAX_RANK + 2] = {0}, from[MAX_RANK + 2];
    if (n == 0 || 4 * ref_count(&c->x) > MAX_ELEMENTS)
        return false;
    int count = 1 + (int)pick(c->s, 4);
    begin(c, "Gather");
    say(c, ", i64[");
    for (int i = 0; i < count; i++) {
        list[i] = (int64_t)pick(c->s, (uint32_t)(2 * n)) - n;
        say(c, "%s%lld", i ? "," : "", (long long)list[i]);
    }
    say(c, "]) {axis=%d}", axis);
    end(c);
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    out.dim[axis] = count;
    for (int64_t i = 0, all = ref_count(&out); i < all; i++) {
        memcpy(from, index, sizeof from);
        from[axis] = list[index[axis]] < 0 ? list[index[axis]] + n : list[index[axis]];
        out.v[i] = c->x.v[place(&c->x, c->x.rank, from)];
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_matmul(struct chain *c)
{
    static struct ref out;
    if (c->x.rank < 2 || !(is_float(c->x.type) || c->x.type == HEARTH_DTYPE_I32) || !c->exact)
        return false;
    int64_t rows = c->x.dim[c->x.rank - 2], inner = c->x.dim[c->x.rank - 1], columns = 1 + (int64_t)pick(c->s, 20);
    int64_t dim[2] = {inner, columns};
    if (ref_count(&c->x) / (inner ? inner : 1) * columns > MAX_ELEMENTS || inner * columns > 200)
        return false;
    for (int64_t i = 0; i < ref_count(&c->x); i++)
        if (fabs(c->x.v[i]) > 10000)
            return false;
    set_shape(&c->other, c->x.type, 2, dim);
    fill(c, &c->other);
    say_literal(c, &c->other, "other");
    begin(c, "MatMul");
    say(c, ", other)");
    end(c);
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    out.dim[out.rank - 1] = columns;
    int64_t batch = 1;
    for (int d = 0; d < out.rank - 2; d++)
        batch *= out.dim[d];
    for (int64_t i = 0; i < batch * rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t k = 0; k < inner; k++)
                sum += c->x.v[i * inner + k] * c->other.v[k * columns + j];
            out.v[i * columns + j] = wrap(out.type, sum);
        }
    c->x = out;
    return true;
}

static bool op_softmax(struct chain *c)
{
    if (c->x.rank == 0 || c->x.type != HEARTH_DTYPE_F32 || ref_count(&c->x) == 0)
        return false;
    int axis = (int)pick(c->s, (uint32_t)c->x.rank);
    begin(c, "Softmax");
    say(c, ") {axis=%d}", axis);
    end(c);
    int64_t step = 1, n = c->x.dim[axis];
    for (int d = axis + 1; d < c->x.rank; d++)
        step *= c->x.dim[d];
    for (int64_t i = 0; i < ref_count(&c->x); i++) {
        if (i / step % n)
            continue;
        double max = -INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++)
            max = fmax(max, c->x.v[i + k * step]);
        for (int64_t k = 0; k < n; k++)
            sum += exp(c->x.v[i + k * step] - max);
        for (int64_t k = 0; k < n; k++)
            c->x.v[i + k * step] = (double)(float)(exp(c->x.v[i + k * step] - max) / sum);
    }
    c->exact = false;
    return true;
}

static bool op_where(struct chain *c)
{
    static struct ref out;
    if (c->x.type == HEARTH_DTYPE_BOOL)
        return false;
    other_operand(c);
    begin(c, "Identity");
    say(c, "); cond = Cast(other) {to=9}; ");
    c->n_names++;
    say(c, "v%d = Where(cond, v%d, other)", c->n_names + 1, c->n_names);
    end(c);
    int64_t index[MAX_RANK + 2] = {0};
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    for (int64_t i = 0, n = ref_count(&out); i < n; i++) {
        double b = c->other.v[place(&c->other, out.rank, index)];
        out.v[i] = b != 0 ? c->x.v[i] : b;
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

static bool op_cumsum(struct chain *c)
{
    if (c->x.rank == 0 || !(is_float(c->x.type) || c->x.type == HEARTH_DTYPE_I32))
        return false;
    int axis = (int)pick(c->s, (uint32_t)c->x.rank);
    bool exclusive = pick(c->s, 2), reverse = pick(c->s, 2);
    begin(c, "CumSum");
    say(c, ", i64:%d) {exclusive=%d, reverse=%d}", axis, exclusive, reverse);
    end(c);
    int64_t step = 1, n = c->x.dim[axis];
    for (int d = axis + 1; d < c->x.rank; d++)
        step *= c->x.dim[d];
    for (int64_t i = 0; i < ref_count(&c->x); i++) {
        if (i / step % n)
            continue;
        double sum = 0;
        for (int64_t k = 0; k < n; k++) {
            double *p = &c->x.v[i + (reverse ? n - 1 - k : k) * step], v = *p;
            *p = wrap(c->x.type, exclusive ? sum : sum + v);
            sum += v;
        }
    }
    return true;
}

static bool op_pad(struct chain *c)
{
    static struct ref out;
    if (c->x.rank == 0 || c->x.type == HEARTH_DTYPE_BOOL)
        return false;
    int64_t before[MAX_RANK], all = 1, index[MAX_RANK + 2] = {0}, from[MAX_RANK + 2];
    set_shape(&out, c->x.type, c->x.rank, c->x.dim);
    for (int d = 0; d < c->x.rank; d++)
        all *= (out.dim[d] += (before[d] = (int64_t)pick(c->s, 3)) + 1);
    if (all > MAX_ELEMENTS)
        return false;
    begin(c, "Pad");
    say(c, ", i64[");
    for (int d = 0; d < c->x.rank; d++)
        say(c, "%lld,", (long long)before[d]);
    for (int d = 0; d < c->x.rank; d++)
        say(c, "1%s", d + 1 < c->x.rank ? "," : "");
    say(c, "], %s:7)", type_name(c->x.type));
    end(c);
    for (int64_t i = 0; i < all; i++) {
        bool inside = true;
        for (int d = 0; d < out.rank; d++) {
            from[d] = index[d] - before[d];
            inside = inside && from[d] >= 0 && from[d] < c->x.dim[d];
        }
        out.v[i] = inside ? c->x.v[place(&c->x, c->x.rank, from)] : 7;
        next_index(out.rank, out.dim, index);
    }
    c->x = out;
    return true;
}

/* ---- a chain against hearth ---- */

static bool same(const struct chain *c, const hearth_tensor *t)
{
    const struct mini_type *type = mini_type_by(t->type);
    if (t->type != c->x.type || t->rank != c->x.rank)
        return false;
    for (int d = 0; d < t->rank; d++)
        if (t->dim[d] != c->x.dim[d])
            return false;
    for (int64_t i = 0; i < ref_count(&c->x); i++) {
        const uint8_t *p = (const uint8_t *)t->data + (size_t)i * type->size;
        uint8_t want[8];
        float single;
        double f;
        mini_store(want, t->type, c->x.v[i], (int64_t)c->x.v[i]);
        if (!is_float(t->type)) {
            if (memcmp(want, p, type->size) != 0)
                return false;
            continue;
        }
        memcpy(&single, p, t->type == HEARTH_DTYPE_F32 ? 4 : 0);
        memcpy(&f, p, t->type == HEARTH_DTYPE_F64 ? 8 : 0);
        f = t->type == HEARTH_DTYPE_F32 ? (double)single : f;
        double bound = c->exact ? 0 : 1e-4 * fmax(1, fabs(c->x.v[i]));
        if (!(fabs(f - c->x.v[i]) <= bound) && !(f == c->x.v[i]))
            return false;
    }
    return true;
}

static void compare(const struct chain *c)
{
    struct mini_run r = {0};
    struct pb m = mini_model(c->text);
    hearth_status status = mini_open(&r, m.at, m.n);
    bool ok = status == HEARTH_OK;
    if (ok) {
        memset(r.data[0], 0, 1);
        const struct mini_type *type = mini_type_by(r.in[0].type);
        for (int64_t i = 0; i < (int64_t)(r.in[0].bytes / type->size); i++) /* the ramp modulo 11, or bools */
            mini_store(r.data[0] + (size_t)i * type->size, r.in[0].type, (double)(i % 11),
                       r.in[0].type == HEARTH_DTYPE_BOOL ? i % 2 : i % 11);
        ok = mini_infer(&r) == HEARTH_OK && same(c, &r.out[0]);
    }
    if (!ok) {
        char text[2048] = "";
        if (r.session && r.err.text[0] == 0)
            mini_print(&r.out[0], text, sizeof text);
        fprintf(stderr, "fuzz_op: %s\n  gave \"%s\" %s\n  not", c->text, r.err.text, text);
        for (int d = 0; d < c->x.rank; d++)
            fprintf(stderr, " [%lld]", (long long)c->x.dim[d]);
        for (int64_t i = 0; i < ref_count(&c->x) && i < 64; i++)
            fprintf(stderr, " %g", c->x.v[i]);
        fprintf(stderr, "\n");
        abort();
    }
    mini_close(&r);
    pb_free(&m);
}

/* Sums of these stay whole in a float. */
static bool small(const struct ref *r)
{
    for (int64_t i = 0; i < ref_count(r); i++)
        if (!(fabs(r->v[i]) <= 2048))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool (*const ops[])(struct chain *) = {op_binary, op_unary, op_cast, op_transpose, op_slice, op_reduce,
                                                  op_concat, op_expand, op_gather, op_matmul, op_softmax, op_where,
                                                  op_cumsum, op_pad};
    static const hearth_dtype types[] = {HEARTH_DTYPE_F32, HEARTH_DTYPE_F32, HEARTH_DTYPE_I64, HEARTH_DTYPE_I32,
                                         HEARTH_DTYPE_U8, HEARTH_DTYPE_F64, HEARTH_DTYPE_BOOL, HEARTH_DTYPE_I8};
    static struct chain c;
    struct source s = {data, size, 0};
    c.s = &s;
    c.len = 0;
    c.n_names = 0;
    c.exact = true;
    c.x.type = types[pick(&s, 8)];
    c.x.rank = (int)pick(&s, 4);
    say(&c, "in v0 %s[", type_name(c.x.type));
    for (int d = 0; d < c.x.rank; d++) {
        c.x.dim[d] = 1 + (int64_t)pick(&s, 5) - (pick(&s, 16) == 0);
        say(&c, "%s%lld", d ? "," : "", (long long)c.x.dim[d]);
    }
    say(&c, "]; ");
    for (int64_t i = 0; i < ref_count(&c.x); i++)
        c.x.v[i] = (double)(c.x.type == HEARTH_DTYPE_BOOL ? i % 2 : i % 11);
    int steps = 1 + (int)pick(&s, MAX_STEPS), other = 0;
    for (int i = 0; i < steps && c.len < MAX_TEXT / 3 && small(&c.x); i++) {
        size_t before = c.len;
        if (!ops[pick(&s, sizeof ops / sizeof *ops)](&c)) {
            c.len = before; /* nothing was said */
            continue;
        }
        /* names are defined once: "other" and "cond" of this step get a number */
        static const char *const again[] = {"other", "cond"};
        for (int w = 0; w < 2; w++)
            for (char *p = c.text + before; (p = strstr(p, again[w])) != NULL && p < c.text + c.len; p++)
                p[0] = (char)('A' + other % 26);
        other++;
    }
    say(&c, "out v%d", c.n_names);
    compare(&c);
    return 0;
}

#ifndef FUZZ_ENGINE
int main(int argc, char **argv)
{
    uint8_t bytes[512];
    int rounds = 20000;
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) {
            fprintf(stderr, "fuzz_op: %s cannot be opened\n", argv[i]);
            return 2;
        }
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, n);
    }
    for (int i = 0; argc < 2 && i < rounds; i++) {
        uint64_t seed = (uint64_t)i;
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(test_rand(&seed) >> 32);
        LLVMFuzzerTestOneInput(bytes, sizeof bytes);
    }
    return 0;
}
#endif
