/* Reading a model: walk, decode, then every message into its plain struct.
 *
 * The decoder allocates from the arena and frees nothing; texts stay where it put them. */
#include "onnx/hx_read.h"
#include <string.h>

bool hx_looks_like(const void *bytes, size_t size)
{
    return hx_wire_begins_model(bytes, size);
}

/* ---- the decoder's memory */

struct load_memory {
    struct hb_arena *arena;
    hearth_status status; /* of the first refusal */
    hearth_error *err;
};

static void *load_alloc(void *user, size_t size)
{
    struct load_memory *m = user;
    void *p = NULL;
    hearth_status status = hb_arena_take(m->arena, size, 16, &p, m->err);
    if (status != HEARTH_OK)
        m->status = status;
    return status == HEARTH_OK ? p : NULL;
}

static void load_free(void *user, void *p)
{
    (void)user;
    (void)p;
}

static hearth_status load_decode(struct hx_reader *r, const ProtobufCMessageDescriptor *type,
                                 ProtobufCMessage **out)
{
    struct load_memory memory = {r->arena, HEARTH_OK, r->err};
    ProtobufCAllocator allocator = {load_alloc, load_free, &memory};
    *out = protobuf_c_message_unpack(type, &allocator, r->wire.slim_bytes, r->wire.slim);
    if (*out && memory.status == HEARTH_OK)
        return HEARTH_OK;
    if (memory.status != HEARTH_OK)
        return memory.status;
    return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: the messages do not decode");
}

/* ---- texts */

static const char *load_text(const char *s)
{
    return s ? s : "";
}

static const char *load_domain(const char *s)
{
    return !s || strcmp(s, "ai.onnx") == 0 ? "" : s;
}

static const char *const *load_texts(char **texts)
{
    return (const char *const *)texts;
}

/* ---- types of values */

static hearth_status load_shape(struct hx_reader *r, const HxPb__Shape *shape, struct hx_info *out)
{
    out->has_shape = shape != NULL;
    if (!shape)
        return HEARTH_OK;
    if (shape->n_dim > HX_MAX_RANK) /* merged from two messages */
        return hb_fail(r->err, HEARTH_E_LIMIT, "onnx: value '%s' has %zu dimensions; at most %d",
                       out->name, shape->n_dim, HX_MAX_RANK);
    out->rank = (int32_t)shape->n_dim;
    for (size_t i = 0; i < shape->n_dim; i++) {
        const HxPb__Dimension *d = shape->dim[i];
        out->dim[i] = (struct hx_dim){-1, ""};
        if (d->value_case == HX_PB__DIMENSION__VALUE_DIM_PARAM)
            out->dim[i].name = load_text(d->dim_param);
        if (d->value_case != HX_PB__DIMENSION__VALUE_DIM_VALUE)
            continue;
        /* -1 is written by tools that mean "unknown" */
        if (d->dim_value < -1)
            return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: value '%s': dimension %zu is %lld",
                           out->name, i, (long long)d->dim_value);
        out->dim[i].value = d->dim_value;
    }
    return HEARTH_OK;
}

static hearth_status load_info(struct hx_reader *r, const HxPb__Value *v, struct hx_info *out)
{
    *out = (struct hx_info){.name = load_text(v->name)};
    for (size_t i = 0; i < HX_MAX_RANK; i++)
        out->dim[i] = (struct hx_dim){-1, ""};
    if (!v->type)
        return HEARTH_OK;
    switch (v->type->value_case) {
    case HX_PB__TYPE__VALUE_TENSOR_TYPE:
        out->kind = HX_KIND_TENSOR;
        out->type = v->type->tensor_type->elem_type;
        if (out->type < HX_UNDEFINED || out->type > HX_FLOAT4E2M1)
            return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                           "onnx: value '%s' has element type %d; 1 (float) to 23 (float4e2m1) are "
                           "known", out->name, out->type);
        return load_shape(r, v->type->tensor_type->shape, out);
    case HX_PB__TYPE__VALUE_SEQUENCE_TYPE:
        out->kind = HX_KIND_SEQUENCE;
        break;
    case HX_PB__TYPE__VALUE_MAP_TYPE:
        out->kind = HX_KIND_MAP;
        break;
    case HX_PB__TYPE__VALUE_SPARSE_TENSOR_TYPE:
        out->kind = HX_KIND_SPARSE;
        break;
    case HX_PB__TYPE__VALUE_OPTIONAL_TYPE:
        out->kind = HX_KIND_OPTIONAL;
        break;
    default:
        break;
    }
    return HEARTH_OK;
}

static hearth_status load_infos(struct hx_reader *r, HxPb__Value **values, size_t n,
                                const struct hx_info **out, uint32_t *n_out)
{
    struct hx_info *infos;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_info, n, &infos, r->err));
    for (size_t i = 0; i < n; i++)
        HB_TRY(load_info(r, values[i], &infos[i]));
    *out = infos;
    *n_out = (uint32_t)n;
    return HEARTH_OK;
}

/* ---- attributes */

static hearth_status load_graph(struct hx_reader *r, const HxPb__Graph *g, unsigned depth,
                                struct hx_graph *out);

/* The type of an attribute that does not say it: from the field that is there. */
static int32_t load_attr_type(const HxPb__Attribute *a)
{
    return a->has_type && a->type ? a->type
           : a->has_f             ? HX_ATTR_FLOAT
           : a->has_i             ? HX_ATTR_INT
           : a->has_s             ? HX_ATTR_STRING
           : a->t                 ? HX_ATTR_TENSOR
           : a->g                 ? HX_ATTR_GRAPH
           : a->n_floats          ? HX_ATTR_FLOATS
           : a->n_ints            ? HX_ATTR_INTS
           : a->n_strings         ? HX_ATTR_STRINGS
           : a->n_tensors         ? HX_ATTR_TENSORS
           : a->n_graphs          ? HX_ATTR_GRAPHS
           : a->sparse_tensor     ? HX_ATTR_SPARSE
           : a->n_sparse_tensors  ? HX_ATTR_SPARSES
           : a->tp                ? HX_ATTR_TYPE
           : a->n_type_protos     ? HX_ATTR_TYPES
                                  : HX_ATTR_UNDEFINED;
}

static hearth_status load_attr_missing(struct hx_reader *r, const struct hx_attr *a,
                                       const char *what)
{
    return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: attribute '%s' says it is a %s and has none",
                   a->name, what);
}

static hearth_status load_attr_strings(struct hx_reader *r, const HxPb__Attribute *a,
                                       struct hx_attr *out)
{
    const char **texts;
    HB_TRY(HB_ARENA_NEW(r->arena, const char *, a->n_strings, &texts, r->err));
    for (size_t i = 0; i < a->n_strings; i++)
        HB_TRY(hb_arena_text(r->arena, (const char *)a->strings[i].data, a->strings[i].len,
                             &texts[i], r->err));
    out->strings = texts;
    out->n = (uint32_t)a->n_strings;
    return HEARTH_OK;
}

static hearth_status load_attr_tensor(struct hx_reader *r, const HxPb__Attribute *a,
                                      struct hx_attr *out)
{
    struct hx_tensor *t;
    if (!a->t)
        return load_attr_missing(r, out, "tensor");
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_tensor, 1, &t, r->err));
    HB_TRY(hx_read_tensor(r, a->t, t));
    out->tensor = t;
    return HEARTH_OK;
}

static hearth_status load_attr_sparse(struct hx_reader *r, const HxPb__Attribute *a,
                                      struct hx_attr *out)
{
    struct hx_sparse *t;
    if (!a->sparse_tensor)
        return load_attr_missing(r, out, "sparse tensor");
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_sparse, 1, &t, r->err));
    HB_TRY(hx_read_sparse(r, a->sparse_tensor, t));
    out->sparse = t;
    return HEARTH_OK;
}

static hearth_status load_attr_graph(struct hx_reader *r, const HxPb__Attribute *a, unsigned depth,
                                     struct hx_attr *out)
{
    struct hx_graph *g;
    if (!a->g)
        return load_attr_missing(r, out, "graph");
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_graph, 1, &g, r->err));
    HB_TRY(load_graph(r, a->g, depth + 1, g));
    out->graph = g;
    return HEARTH_OK;
}

static hearth_status load_attr(struct hx_reader *r, const HxPb__Attribute *a, unsigned depth,
                               struct hx_attr *out)
{
    *out = (struct hx_attr){.name = load_text(a->name), .ref = load_text(a->ref_attr_name),
                            .type = load_attr_type(a), .f = a->f, .i = a->i, .s = ""};
    if (*out->ref)
        return HEARTH_OK; /* the value comes from the caller of the function */
    switch (out->type) {
    case HX_ATTR_STRING:
        out->s_len = a->s.len;
        return hb_arena_text(r->arena, (const char *)a->s.data, a->s.len, &out->s, r->err);
    case HX_ATTR_FLOATS:
        out->floats = a->floats;
        out->n = (uint32_t)a->n_floats;
        return HEARTH_OK;
    case HX_ATTR_INTS:
        out->ints = a->ints;
        out->n = (uint32_t)a->n_ints;
        return HEARTH_OK;
    case HX_ATTR_STRINGS:
        return load_attr_strings(r, a, out);
    case HX_ATTR_TENSOR:
        return load_attr_tensor(r, a, out);
    case HX_ATTR_SPARSE:
        return load_attr_sparse(r, a, out);
    case HX_ATTR_GRAPH:
        return load_attr_graph(r, a, depth, out);
    default:
        break;
    }
    if (out->type > HX_ATTR_UNDEFINED && out->type <= HX_ATTR_TYPES)
        return HEARTH_OK;
    return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                   "onnx: attribute '%s' has type %d; 1 (float) to 14 (types) are known", out->name,
                   out->type);
}

static hearth_status load_attrs(struct hx_reader *r, HxPb__Attribute **in, size_t n, unsigned depth,
                                const struct hx_attr **out, uint32_t *n_out)
{
    struct hx_attr *attrs;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_attr, n, &attrs, r->err));
    for (size_t i = 0; i < n; i++)
        HB_TRY(load_attr(r, in[i], depth, &attrs[i]));
    *out = attrs;
    *n_out = (uint32_t)n;
    return HEARTH_OK;
}

/* ---- nodes and graphs */

static hearth_status load_nodes(struct hx_reader *r, HxPb__Node **in, size_t n, unsigned depth,
                                const struct hx_node **out, uint32_t *n_out)
{
    struct hx_node *nodes;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_node, n, &nodes, r->err));
    for (size_t i = 0; i < n; i++) {
        const HxPb__Node *p = in[i];
        nodes[i] = (struct hx_node){.op_type = load_text(p->op_type),
                                    .domain = load_domain(p->domain),
                                    .name = load_text(p->name),
                                    .inputs = load_texts(p->input),
                                    .outputs = load_texts(p->output),
                                    .n_inputs = (uint32_t)p->n_input,
                                    .n_outputs = (uint32_t)p->n_output};
        HB_TRY(load_attrs(r, p->attribute, p->n_attribute, depth, &nodes[i].attrs,
                          &nodes[i].n_attrs));
    }
    *out = nodes;
    *n_out = (uint32_t)n;
    return HEARTH_OK;
}

static hearth_status load_initializers(struct hx_reader *r, const HxPb__Graph *g,
                                       struct hx_graph *out)
{
    struct hx_tensor *tensors;
    struct hx_sparse *sparse;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_tensor, g->n_initializer, &tensors, r->err));
    for (size_t i = 0; i < g->n_initializer; i++)
        HB_TRY(hx_read_tensor(r, g->initializer[i], &tensors[i]));
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_sparse, g->n_sparse_initializer, &sparse, r->err));
    for (size_t i = 0; i < g->n_sparse_initializer; i++)
        HB_TRY(hx_read_sparse(r, g->sparse_initializer[i], &sparse[i]));
    out->initializers = tensors;
    out->n_initializers = (uint32_t)g->n_initializer;
    out->sparse = sparse;
    out->n_sparse = (uint32_t)g->n_sparse_initializer;
    return HEARTH_OK;
}

static hearth_status load_graph(struct hx_reader *r, const HxPb__Graph *g, unsigned depth,
                                struct hx_graph *out)
{
    *out = (struct hx_graph){.name = load_text(g->name)};
    if (depth > HX_MAX_SUBGRAPHS)
        return hb_fail(r->err, HEARTH_E_LIMIT, "onnx: graphs inside graphs, deeper than %d",
                       HX_MAX_SUBGRAPHS);
    HB_TRY(load_infos(r, g->input, g->n_input, &out->inputs, &out->n_inputs));
    HB_TRY(load_infos(r, g->output, g->n_output, &out->outputs, &out->n_outputs));
    HB_TRY(load_infos(r, g->value_info, g->n_value_info, &out->infos, &out->n_infos));
    HB_TRY(load_initializers(r, g, out));
    return load_nodes(r, g->node, g->n_node, depth, &out->nodes, &out->n_nodes);
}

/* ---- the model */

static hearth_status load_opsets(struct hx_reader *r, HxPb__Opset **in, size_t n,
                                 const struct hx_opset **out, uint32_t *n_out)
{
    struct hx_opset *opsets;
    if (n > 256)
        return hb_fail(r->err, HEARTH_E_LIMIT, "onnx: %zu opset imports; 256 are accepted", n);
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_opset, n, &opsets, r->err));
    for (size_t i = 0; i < n; i++) {
        opsets[i] = (struct hx_opset){load_domain(in[i]->domain), in[i]->version};
        for (size_t j = 0; j < i; j++)
            if (strcmp(opsets[j].domain, opsets[i].domain) == 0 &&
                opsets[j].version != opsets[i].version)
                return hb_fail(r->err, HEARTH_E_FORMAT,
                               "onnx: opset of domain '%s' is imported as %lld and as %lld",
                               opsets[i].domain, (long long)opsets[j].version,
                               (long long)opsets[i].version);
        if (*opsets[i].domain == 0 &&
            (opsets[i].version < HX_MIN_OPSET || opsets[i].version > HX_MAX_OPSET))
            return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                           "onnx: opset %lld of the default domain; %d to %d are known",
                           (long long)opsets[i].version, HX_MIN_OPSET, HX_MAX_OPSET);
    }
    *out = opsets;
    *n_out = (uint32_t)n;
    return HEARTH_OK;
}

static hearth_status load_functions(struct hx_reader *r, const HxPb__Model *m,
                                    struct hx_model *out)
{
    struct hx_function *functions;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_function, m->n_functions, &functions, r->err));
    for (size_t i = 0; i < m->n_functions; i++) {
        const HxPb__Function *p = m->functions[i];
        struct hx_function *f = &functions[i];
        *f = (struct hx_function){.name = load_text(p->name), .domain = load_domain(p->domain),
                                  .overload = load_text(p->overload),
                                  .inputs = load_texts(p->input),
                                  .outputs = load_texts(p->output),
                                  .attrs = load_texts(p->attribute),
                                  .n_inputs = (uint32_t)p->n_input,
                                  .n_outputs = (uint32_t)p->n_output,
                                  .n_attrs = (uint32_t)p->n_attribute};
        HB_TRY(load_attrs(r, p->attribute_proto, p->n_attribute_proto, 0, &f->attr_protos,
                          &f->n_attr_protos));
        HB_TRY(load_opsets(r, p->opset_import, p->n_opset_import, &f->opsets, &f->n_opsets));
        HB_TRY(load_nodes(r, p->node, p->n_node, 0, &f->nodes, &f->n_nodes));
    }
    out->functions = functions;
    out->n_functions = (uint32_t)m->n_functions;
    return HEARTH_OK;
}

static hearth_status load_metadata(struct hx_reader *r, const HxPb__Model *m, struct hx_model *out)
{
    struct hx_meta *metadata;
    HB_TRY(HB_ARENA_NEW(r->arena, struct hx_meta, m->n_metadata_props, &metadata, r->err));
    for (size_t i = 0; i < m->n_metadata_props; i++)
        metadata[i] = (struct hx_meta){load_text(m->metadata_props[i]->key),
                                       load_text(m->metadata_props[i]->value)};
    out->metadata = metadata;
    out->n_metadata = (uint32_t)m->n_metadata_props;
    return HEARTH_OK;
}

static hearth_status load_model(struct hx_reader *r, const HxPb__Model *m, struct hx_model *out)
{
    *out = (struct hx_model){.ir_version = m->ir_version,
                             .producer_name = load_text(m->producer_name),
                             .producer_version = load_text(m->producer_version),
                             .domain = load_text(m->domain),
                             .doc = "",
                             .model_version = m->model_version};
    if (m->ir_version < HX_MIN_IR || m->ir_version > HX_MAX_IR)
        return hb_fail(r->err, HEARTH_E_UNSUPPORTED, "onnx: IR version %lld; %d to %d are known",
                       (long long)m->ir_version, HX_MIN_IR, HX_MAX_IR);
    if (m->n_opset_import == 0)
        return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: the model imports no opset");
    if (!m->graph)
        return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: the model has no graph");
    HB_TRY(load_opsets(r, m->opset_import, m->n_opset_import, &out->opsets, &out->n_opsets));
    HB_TRY(load_metadata(r, m, out));
    HB_TRY(load_functions(r, m, out));
    HB_TRY(load_graph(r, m->graph, 0, &out->graph));
    out->weight_bytes = r->weight_bytes;
    return hx_check(out, r->arena, r->err);
}

/* Files of other formats, by their first bytes. */
static const char *load_foreign(const uint8_t *p, size_t n)
{
    static const struct {
        const char *name, *magic;
        uint8_t at, len;
    } formats[] = {
        {"a GGUF file", "GGUF", 0, 4},           {"a ZIP archive", "PK\3\4", 0, 4},
        {"an ORT-format flatbuffer", "ORTM", 4, 4}, {"a TFLite flatbuffer", "TFL3", 4, 4},
        {"an HDF5 file", "\x89HDF", 0, 4},       {"gzip data", "\x1F\x8B", 0, 2},
        {"a safetensors file", "{\"", 8, 2},     {"a text", "{", 0, 1},
        {"a text", "ir_version", 0, 10},
    };
    for (size_t i = 0; i < HB_COUNT(formats); i++)
        if (n >= (size_t)formats[i].at + formats[i].len &&
            memcmp(p + formats[i].at, formats[i].magic, formats[i].len) == 0)
            return formats[i].name;
    size_t text = 0;
    while (text < n && text < 64 && (p[text] >= ' ' || p[text] == '\n' || p[text] == '\r' ||
                                     p[text] == '\t') && p[text] < 0x7F)
        text++;
    return n && text == (n < 64 ? n : 64) ? "a text" : NULL;
}

hearth_status hx_load(const void *bytes, size_t size, struct hb_arena *arena,
                      const struct hx_external *external, struct hx_model *out, hearth_error *err)
{
    struct hx_reader r = {.bytes = bytes, .size = size, .arena = arena, .external = external,
                          .err = err};
    ProtobufCMessage *message;
    struct hx_model model;
    const char *foreign = load_foreign(bytes, size);
    if (size == 0)
        return hb_fail(err, HEARTH_E_TRUNCATED, "onnx: the file is empty");
    if (foreign)
        return hb_fail(err, HEARTH_E_FORMAT, "onnx: the file is %s; an ONNX ModelProto is expected",
                       foreign);
    HB_TRY(hx_wire_walk(bytes, size, arena, &r.wire, err));
    HB_TRY(load_decode(&r, &hx_pb__model__descriptor, &message));
    HB_TRY(load_model(&r, (const HxPb__Model *)message, &model));
    *out = model;
    return HEARTH_OK;
}

hearth_status hx_load_tensor(const void *bytes, size_t size, struct hb_arena *arena,
                             struct hx_tensor *out, hearth_error *err)
{
    struct hx_reader r = {.bytes = bytes, .size = size, .arena = arena, .err = err};
    ProtobufCMessage *message;
    struct hx_tensor tensor;
    HB_TRY(hx_wire_walk_tensor(bytes, size, arena, &r.wire, err));
    HB_TRY(load_decode(&r, &hx_pb__tensor__descriptor, &message));
    HB_TRY(hx_read_tensor(&r, (const HxPb__Tensor *)message, &tensor));
    *out = tensor;
    return HEARTH_OK;
}
