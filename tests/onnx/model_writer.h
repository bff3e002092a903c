/* A small ONNX model, y = x + w, made part by part for the tests of the loader; and loading one. */
#ifndef MODEL_WRITER_H
#define MODEL_WRITER_H

#include "onnx/pb_writer.h"
#include "base/os/hb_os.h"
#include "onnx/hx_read.h"

/* ---- parts of a small model: y = x + w */

static inline struct pb tensor_of(const char *name, int64_t type, const int64_t *dims, size_t n_dims)
{
    struct pb t = {0};
    for (size_t i = 0; i < n_dims; i++)
        pb_int(&t, 1, dims[i]);
    pb_int(&t, 2, type);
    pb_text(&t, 8, name);
    return t;
}

static inline struct pb weights(const char *name)
{
    static const float data[2] = {1, 2};
    const int64_t dims[1] = {2};
    struct pb t = tensor_of(name, HX_FLOAT, dims, 1);
    pb_bytes(&t, 9, data, sizeof data);
    return t;
}

static inline struct pb value(const char *name)
{
    struct pb v = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};
    pb_int(&dim, 1, 2);
    pb_put(&shape, 1, dim);
    pb_int(&tensor, 1, HX_FLOAT);
    pb_put(&tensor, 2, shape);
    pb_put(&type, 1, tensor);
    pb_text(&v, 1, name);
    pb_put(&v, 2, type);
    return v;
}

static inline struct pb node(const char *op, const char *a, const char *b, const char *out)
{
    struct pb n = {0};
    if (a)
        pb_text(&n, 1, a);
    if (b)
        pb_text(&n, 1, b);
    if (out)
        pb_text(&n, 2, out);
    pb_text(&n, 4, op);
    return n;
}

static inline struct pb graph_ends(void) /* input and output only */
{
    struct pb g = {0};
    pb_text(&g, 2, "g");
    pb_put(&g, 11, value("x"));
    pb_put(&g, 12, value("y"));
    return g;
}

static inline struct pb graph_add(void)
{
    struct pb g = graph_ends();
    pb_put(&g, 5, weights("w"));
    pb_put(&g, 1, node("Add", "x", "w", "y"));
    return g;
}

static inline void opset(struct pb *m, const char *domain, int64_t version)
{
    struct pb o = {0};
    if (domain)
        pb_text(&o, 1, domain);
    pb_int(&o, 2, version);
    pb_put(m, 8, o);
}

static inline struct pb model_of(struct pb graph)
{
    struct pb m = {0};
    pb_int(&m, 1, 8);
    opset(&m, "", 17);
    pb_put(&m, 7, graph);
    return m;
}

static inline struct pb model_add(void)
{
    return model_of(graph_add());
}

static inline struct pb model_with_tensor(struct pb tensor)
{
    struct pb g = graph_add();
    pb_put(&g, 5, tensor);
    return model_of(g);
}

/* ---- loading */

struct loaded {
    struct hb_arena arena;
    struct hx_model model;
    hearth_error err;
};

static inline hearth_status load_bytes(struct loaded *l, const void *bytes, size_t n,
                                const struct hx_external *external)
{
    memset(l, 0, sizeof *l);
    hb_arena_init_growing(&l->arena, hb_os_heap());
    hearth_status status = hx_load(bytes, n, &l->arena, external, &l->model, &l->err);
    if (status != HEARTH_OK)
        hb_arena_release(&l->arena);
    return status;
}

static inline void close_loaded(struct loaded *l)
{
    hb_arena_release(&l->arena);
}

/* The message must stay alive while the model borrows from it. */
static inline void load_or_fail(struct loaded *l, const struct pb *m)
{
    if (load_bytes(l, m->at, m->n, NULL) != HEARTH_OK)
        fail_msg("%s", l->err.text);
}

#endif
