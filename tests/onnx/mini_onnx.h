/* ONNX models from one line of text, and running them, so that a test is a row:
 *
 *     "in x f32[n,3]; s = Shape(x); y = Reshape(x, i64[3,-1]) {allowzero=1}"
 *
 *   in NAME TYPE[DIMS]     an input; a letter is a dimension that is any
 *   out NAME, NAME         outputs, y if there is no such statement
 *   A, B = Op(ARGS) {..}   a node; "domain.Op" for other domains; _ is an absent input or output
 *   opset N                18 if not said
 *   arguments              names, or literals: i64[1,2] a list, i64:5 a scalar, f32(2,3) a ramp 0, 1, 2, ...,
 *                          f32(2,3)=4 all alike
 *   attributes             name=5, name=0.5, name=[1,2], name='text', name=< statements of a body >
 *
 * A text that is not of this form fails the test. */
#ifndef MINI_ONNX_H
#define MINI_ONNX_H

#include "onnx/pb_writer.h"
#include <ctype.h>
#include <stdbool.h>

static const struct mini_type {
    const char *name;
    hearth_dtype type;
    size_t size;
} mini_types[] = {
    {"f32", HEARTH_DTYPE_F32, 4}, {"u8", HEARTH_DTYPE_U8, 1}, {"i8", HEARTH_DTYPE_I8, 1},
    {"u16", HEARTH_DTYPE_U16, 2}, {"i16", HEARTH_DTYPE_I16, 2}, {"i32", HEARTH_DTYPE_I32, 4},
    {"i64", HEARTH_DTYPE_I64, 8}, {"bool", HEARTH_DTYPE_BOOL, 1}, {"f64", HEARTH_DTYPE_F64, 8},
    {"u32", HEARTH_DTYPE_U32, 4}, {"u64", HEARTH_DTYPE_U64, 8}, {"f16", HEARTH_DTYPE_F16, 2},
};
#define MINI_TYPES (sizeof mini_types / sizeof *mini_types)

struct mini_parser {
    const char *at;
    const char *text; /* for messages */
    struct pb *g;     /* graph being written */
    int n_literals;
    int64_t opset;
};

static inline void mini_space(struct mini_parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static inline bool mini_take(struct mini_parser *p, char c)
{
    mini_space(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static inline void mini_need(struct mini_parser *p, char c)
{
    if (!mini_take(p, c))
        fail_msg("'%c' expected at \"%s\" of \"%s\"", c, p->at, p->text);
}

static inline void mini_word(struct mini_parser *p, char *out, size_t size)
{
    size_t n = 0;
    mini_space(p);
    while (isalnum((unsigned char)*p->at) || *p->at == '_' || *p->at == '.')
        if (n + 1 < size)
            out[n++] = *p->at++;
    out[n] = 0;
    if (!n)
        fail_msg("a name expected at \"%s\" of \"%s\"", p->at, p->text);
    if (strcmp(out, "_") == 0)
        out[0] = 0;
}

static inline const struct mini_type *mini_type_of(const char *name)
{
    for (size_t i = 0; i < MINI_TYPES; i++)
        if (strcmp(mini_types[i].name, name) == 0)
            return &mini_types[i];
    return NULL;
}

static inline const struct mini_type *mini_type_by(hearth_dtype type)
{
    for (size_t i = 0; i < MINI_TYPES; i++)
        if (mini_types[i].type == type)
            return &mini_types[i];
    return NULL;
}

/* One element: of integers the whole number, of floats the double. */
static inline void mini_store(void *to, hearth_dtype type, double f, int64_t i)
{
    float single = (float)f;
    if (type == HEARTH_DTYPE_F32)
        memcpy(to, &single, 4);
    else if (type == HEARTH_DTYPE_F64)
        memcpy(to, &f, 8);
    else
        memcpy(to, &i, mini_type_by(type)->size);
}

static inline void mini_number(struct mini_parser *p, double *f, int64_t *i)
{
    char *end;
    mini_space(p);
    *f = strtod(p->at, &end);
    *i = strtoll(p->at, NULL, 10);
    if (end == p->at)
        fail_msg("a number expected at \"%s\" of \"%s\"", p->at, p->text);
    p->at = end;
}

static inline size_t mini_numbers(struct mini_parser *p, char close, int64_t *out, size_t max)
{
    size_t n = 0;
    double f;
    while (!mini_take(p, close)) {
        assert_true(n < max);
        mini_number(p, &f, &out[n++]);
        mini_take(p, ',');
    }
    return n;
}

/* Behind the name of its type; the tensor becomes an initializer called `name`. */
static inline void mini_literal(struct mini_parser *p, const struct mini_type *type, const char *name)
{
    struct pb t = {0}, data = {0};
    int64_t dim[16], count = 1, i;
    size_t rank = 0;
    double f;
    uint8_t element[8];
    if (mini_take(p, ':') || *p->at == '[') {
        bool list = mini_take(p, '[');
        count = 0;
        while (list ? !mini_take(p, ']') : count == 0) {
            mini_number(p, &f, &i);
            mini_store(element, type->type, f, i);
            pb_raw(&data, element, type->size);
            count++;
            mini_take(p, ',');
        }
        if (list)
            dim[rank++] = count;
    } else {
        mini_need(p, '(');
        rank = mini_numbers(p, ')', dim, 16);
        for (size_t d = 0; d < rank; d++)
            count *= dim[d];
        bool same = mini_take(p, '=');
        if (same)
            mini_number(p, &f, &i);
        for (int64_t k = 0; k < count; k++) {
            mini_store(element, type->type, same ? f : (double)k, same ? i : k);
            pb_raw(&data, element, type->size);
        }
    }
    for (size_t d = 0; d < rank; d++)
        pb_int(&t, 1, dim[d]);
    pb_int(&t, 2, type->type);
    pb_text(&t, 8, name);
    pb_bytes(&t, 9, data.at, data.n);
    pb_free(&data);
    pb_put(p->g, 5, t);
}

static inline void mini_argument(struct mini_parser *p, struct pb *node)
{
    char word[64];
    mini_word(p, word, sizeof word);
    const struct mini_type *type = mini_type_of(word);
    if (type && (*p->at == '[' || *p->at == ':' || *p->at == '(')) {
        snprintf(word, sizeof word, "literal%d", p->n_literals++);
        mini_literal(p, type, word);
    }
    pb_text(node, 1, word);
}

static inline void mini_graph(struct mini_parser *p, struct pb *g, char close);

static inline void mini_attribute(struct mini_parser *p, struct pb *node)
{
    struct pb a = {0}, body = {0};
    char word[64];
    int64_t list[32], type = 2, i;
    double f;
    mini_word(p, word, sizeof word);
    pb_text(&a, 1, word);
    mini_need(p, '=');
    if (mini_take(p, '[')) {
        size_t n = mini_numbers(p, ']', list, 32);
        for (size_t k = 0; k < n; k++)
            pb_int(&a, 8, list[k]);
        type = 7;
    } else if (mini_take(p, '\'')) {
        const char *end = strchr(p->at, '\'');
        assert_non_null(end);
        pb_bytes(&a, 4, p->at, (size_t)(end - p->at));
        p->at = end + 1;
        type = 3;
    } else if (mini_take(p, '<')) {
        mini_graph(p, &body, '>');
        pb_put(&a, 6, body);
        type = 5;
    } else {
        mini_space(p);
        const char *from = p->at;
        mini_number(p, &f, &i);
        type = memchr(from, '.', (size_t)(p->at - from)) || !(f > -1e19 && f < 1e19) ? 1 : 2;
        if (type == 1)
            pb_float(&a, 2, (float)f);
        else
            pb_int(&a, 3, i);
    }
    pb_int(&a, 20, type);
    pb_put(node, 5, a);
}

static inline void mini_value(struct pb *g, uint32_t field, const char *name, struct pb type)
{
    struct pb v = {0};
    pb_text(&v, 1, name);
    if (type.n)
        pb_put(&v, 2, type);
    pb_put(g, field, v);
}

static inline void mini_input(struct mini_parser *p)
{
    char name[64], word[64];
    struct pb type = {0}, tensor = {0}, shape = {0};
    mini_word(p, name, sizeof name);
    mini_word(p, word, sizeof word);
    const struct mini_type *t = mini_type_of(word);
    if (!t)
        fail_msg("type %s of \"%s\"", word, p->text);
    pb_int(&tensor, 1, t->type);
    mini_need(p, '[');
    while (!mini_take(p, ']')) {
        struct pb dim = {0};
        mini_word(p, word, sizeof word);
        if (isdigit((unsigned char)word[0]))
            pb_int(&dim, 1, strtoll(word, NULL, 10));
        else
            pb_text(&dim, 2, word);
        pb_put(&shape, 1, dim);
        mini_take(p, ',');
    }
    pb_put(&tensor, 2, shape);
    pb_put(&type, 1, tensor);
    mini_value(p->g, 11, name, type);
}

static inline void mini_node(struct mini_parser *p, const char *first)
{
    struct pb n = {0};
    char word[64];
    pb_text(&n, 2, first);
    while (mini_take(p, ',')) {
        mini_word(p, word, sizeof word);
        pb_text(&n, 2, word);
    }
    mini_need(p, '=');
    mini_word(p, word, sizeof word);
    char *dot = strrchr(word, '.');
    pb_text(&n, 4, dot ? dot + 1 : word);
    if (dot) {
        *dot = 0;
        pb_text(&n, 7, word);
    }
    mini_need(p, '(');
    while (!mini_take(p, ')')) {
        mini_argument(p, &n);
        mini_take(p, ',');
    }
    if (mini_take(p, '{'))
        while (!mini_take(p, '}')) {
            mini_attribute(p, &n);
            mini_take(p, ',');
        }
    pb_put(p->g, 1, n);
}

static inline void mini_graph(struct mini_parser *p, struct pb *g, char close)
{
    struct pb *outer = p->g;
    const struct pb none = {0};
    bool has_out = false;
    char word[64];
    p->g = g;
    pb_text(g, 2, "g");
    for (;;) {
        while (mini_take(p, ';')) {
        }
        if (close ? mini_take(p, close) : (mini_space(p), !*p->at))
            break;
        mini_word(p, word, sizeof word);
        if (strcmp(word, "in") == 0) {
            mini_input(p);
        } else if (strcmp(word, "opset") == 0) {
            double f;
            mini_number(p, &f, &p->opset);
        } else if (strcmp(word, "out") == 0) {
            has_out = true;
            do {
                mini_word(p, word, sizeof word);
                mini_value(g, 12, word, none);
            } while (mini_take(p, ','));
        } else {
            mini_node(p, word);
        }
    }
    if (!has_out)
        mini_value(g, 12, "y", none);
    p->g = outer;
}

static inline void mini_opset(struct pb *m, const char *domain, int64_t version)
{
    struct pb o = {0};
    pb_text(&o, 1, domain);
    pb_int(&o, 2, version);
    pb_put(m, 8, o);
}

static inline struct pb mini_model(const char *text)
{
    struct mini_parser p = {.at = text, .text = text, .opset = 18};
    struct pb m = {0}, g = {0};
    mini_graph(&p, &g, 0);
    pb_int(&m, 1, 8);
    mini_opset(&m, "", p.opset);
    mini_opset(&m, "com.microsoft", 1);
    pb_put(&m, 7, g);
    return m;
}

/* ---- running: every declared input is a ramp 0, 1, 2, ... and a dimension that is any is 2 ---- */

enum { MINI_INPUTS = 8, MINI_OUTPUTS = 8, MINI_BYTES = 1 << 16 };

struct mini_run {
    hearth_model_config model_config; /* zero: defaults; both may be set before */
    hearth_session_config session_config;
    hearth_model *model;
    hearth_session *session;
    hearth_tensor in[MINI_INPUTS], out[MINI_OUTPUTS];
    size_t n_in, n_out;
    uint8_t *data[MINI_INPUTS]; /* [MINI_BYTES] */
    hearth_error err;
};

static inline void mini_ramp(struct mini_run *r, size_t i)
{
    hearth_io_info io = {.struct_size = sizeof io};
    int64_t n = 1;
    assert_int_equal(hearth_model_input(r->model, i, &io, NULL), HEARTH_OK);
    hearth_tensor *t = &r->in[i];
    const struct mini_type *type = mini_type_by(io.type);
    assert_non_null(type);
    *t = (hearth_tensor){.name = io.name, .type = io.type, .rank = io.rank < 0 ? 0 : io.rank};
    for (int32_t d = 0; d < t->rank; d++)
        n *= t->dim[d] = io.dim[d] < 0 ? 2 : io.dim[d];
    t->bytes = (size_t)n * type->size;
    assert_true(t->bytes <= MINI_BYTES);
    if (!r->data[i])
        r->data[i] = malloc(MINI_BYTES);
    for (int64_t k = 0; k < n; k++)
        mini_store(r->data[i] + (size_t)k * type->size, io.type, (double)k, k);
    t->data = r->data[i];
}

static inline hearth_status mini_open(struct mini_run *r, const void *bytes, size_t size)
{
    const hearth_bytes b = {bytes, size};
    r->model_config.struct_size = sizeof r->model_config;
    r->session_config.struct_size = sizeof r->session_config;
    if (!r->session_config.max_bytes)
        r->session_config.max_bytes = 1 << 20;
    r->model = NULL;
    r->session = NULL;
    hearth_status status = hearth_model_open(&b, 1, &r->model_config, &r->model, &r->err);
    if (status == HEARTH_OK)
        status = hearth_session_open(r->model, &r->session_config, &r->session, &r->err);
    if (status != HEARTH_OK)
        return status;
    r->n_in = hearth_model_input_count(r->model);
    r->n_out = hearth_model_output_count(r->model);
    assert_true(r->n_in <= MINI_INPUTS && r->n_out <= MINI_OUTPUTS);
    for (size_t i = 0; i < r->n_in; i++)
        mini_ramp(r, i);
    return HEARTH_OK;
}

static inline hearth_status mini_infer(struct mini_run *r)
{
    return hearth_session_infer(r->session, r->in, r->n_in, r->out, r->n_out, &r->err);
}

static inline void mini_close(struct mini_run *r)
{
    hearth_session_close(r->session);
    hearth_model_close(r->model);
    r->session = NULL;
    r->model = NULL;
    for (size_t i = 0; i < MINI_INPUTS; i++) {
        free(r->data[i]);
        r->data[i] = NULL;
    }
}

/* "2x3: 0 1 2 ..." */
static inline void mini_print(const hearth_tensor *t, char *text, size_t size)
{
    const struct mini_type *type = mini_type_by(t->type);
    size_t len = 0;
    text[0] = 0;
    for (int32_t d = 0; d < t->rank && len < size; d++)
        len += (size_t)snprintf(text + len, size - len, "%s%lld", d ? "x" : "", (long long)t->dim[d]);
    if (len < size)
        len += (size_t)snprintf(text + len, size - len, ":");
    for (size_t i = 0; type && i < t->bytes / type->size && len < size; i++) {
        const uint8_t *p = (const uint8_t *)t->data + i * type->size;
        int64_t v = 0;
        uint64_t u = 0;
        double f = 0;
        float single;
        memcpy(&u, p, type->size);
        v = (int64_t)(u << (64 - 8 * type->size)) >> (64 - 8 * type->size);
        memcpy(&single, p, t->type == HEARTH_DTYPE_F32 ? 4 : 0);
        memcpy(&f, p, t->type == HEARTH_DTYPE_F64 ? 8 : 0);
        if (t->type == HEARTH_DTYPE_F32)
            f = (double)single;
        if (f != f)
            len += (size_t)snprintf(text + len, size - len, " nan"); /* of either sign */
        else if (t->type == HEARTH_DTYPE_F32 || t->type == HEARTH_DTYPE_F64)
            len += (size_t)snprintf(text + len, size - len, " %g", f);
        else if (t->type == HEARTH_DTYPE_U8 || t->type == HEARTH_DTYPE_U16 || t->type == HEARTH_DTYPE_U32 ||
                 t->type == HEARTH_DTYPE_U64 || t->type == HEARTH_DTYPE_BOOL)
            len += (size_t)snprintf(text + len, size - len, " %llu", (unsigned long long)u);
        else
            len += (size_t)snprintf(text + len, size - len, " %lld", (long long)v);
    }
}

/* Open and run once; on HEARTH_OK text receives the first output, else the sentence. */
static inline hearth_status mini_once(const char *model, char *text, size_t size)
{
    struct mini_run r = {0};
    struct pb m = mini_model(model);
    hearth_status status = mini_open(&r, m.at, m.n);
    if (status == HEARTH_OK)
        status = mini_infer(&r);
    if (status == HEARTH_OK)
        mini_print(&r.out[0], text, size);
    else
        snprintf(text, size, "%s", r.err.text);
    mini_close(&r);
    pb_free(&m);
    return status;
}

#endif
