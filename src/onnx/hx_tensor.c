/* Tensors: shape, type, and where the data are.
 *
 * raw_data, and float_data or double_data in one packed piece, are what memory holds: they are
 * borrowed from the file. int32_data and its like are varints and are decoded into the arena, as are
 * data in several pieces. External data are borrowed from the file that the caller opens.
 *
 * Source: onnx.proto, TensorProto. */
#include "onnx/hx_read.h"
#include "base/hb_check.h"
#include <string.h>

enum { TENSOR_FLOATS = 4, TENSOR_INT32S = 5, TENSOR_STRINGS = 6, TENSOR_INT64S = 7, TENSOR_RAW = 9,
       TENSOR_DOUBLES = 10, TENSOR_UINT64S = 11 };

static const char *tensor_field_name(uint8_t field)
{
    static const char *const names[12] = {
        [TENSOR_FLOATS] = "float_data",   [TENSOR_INT32S] = "int32_data",
        [TENSOR_STRINGS] = "string_data", [TENSOR_INT64S] = "int64_data",
        [TENSOR_RAW] = "raw_data",        [TENSOR_DOUBLES] = "double_data",
        [TENSOR_UINT64S] = "uint64_data",
    };
    return field < HB_COUNT(names) && names[field] ? names[field] : "no data";
}

/* The typed field that a type uses, 0 for none. */
static uint8_t tensor_typed_field(int32_t type)
{
    switch (type) {
    case HX_FLOAT:
    case HX_COMPLEX64:
        return TENSOR_FLOATS;
    case HX_DOUBLE:
    case HX_COMPLEX128:
        return TENSOR_DOUBLES;
    case HX_INT64:
        return TENSOR_INT64S;
    case HX_UINT32:
    case HX_UINT64:
        return TENSOR_UINT64S;
    case HX_STRING:
        return TENSOR_STRINGS;
    default:
        return TENSOR_INT32S;
    }
}

/* Types that are known by name only: such a tensor has no data here. */
static bool tensor_is_opaque(int32_t type)
{
    return type == HX_STRING || type == HX_COMPLEX64 || type == HX_COMPLEX128 ||
           type >= HX_FLOAT8E4M3FN;
}

/* The field that holds the data, and how many elements (raw: bytes) over all pieces. For raw_data
 * the last piece alone counts. */
struct tensor_data {
    uint8_t field;
    size_t count, n_pieces;
    const struct hx_piece *first, *last;
};

static hearth_status tensor_find_data(struct hx_reader *r, const HxPb__Tensor *t, const char *name,
                                      struct tensor_data *d)
{
    *d = (struct tensor_data){0};
    for (size_t i = 0; i < t->n_piece; i++) {
        const struct hx_piece *p = &r->wire.pieces[t->piece[i]];
        if (p->count == 0)
            continue;
        if (d->field && d->field != p->field)
            return hb_fail(r->err, HEARTH_E_FORMAT,
                           "onnx: tensor '%s' has data in %s and in %s; one of them is accepted",
                           name, tensor_field_name(d->field), tensor_field_name(p->field));
        d->first = d->field ? d->first : p;
        d->field = p->field;
        d->last = p;
        d->n_pieces++;
        d->count += p->count;
    }
    if (d->field == TENSOR_RAW) {
        d->first = d->last;
        d->count = d->last->count;
    }
    return HEARTH_OK;
}

/* ---- shape and type */

static hearth_status tensor_shape(struct hx_reader *r, const HxPb__Tensor *t, struct hx_tensor *out,
                                  size_t *elements)
{
    size_t n = 1;
    if (t->n_dims > HX_MAX_RANK) /* merged from two messages */
        return hb_fail(r->err, HEARTH_E_LIMIT, "onnx: tensor '%s' has %zu dimensions; at most %d",
                       out->name, t->n_dims, HX_MAX_RANK);
    for (size_t i = 0; i < t->n_dims; i++) {
        int64_t d = t->dims[i];
        if (d < 0)
            return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: tensor '%s': dimension %zu is %lld",
                           out->name, i, (long long)d);
        if ((uint64_t)d > SIZE_MAX || !hb_mul_size(n, (size_t)d, &n) || n > SIZE_MAX / 32)
            return hb_fail(r->err, HEARTH_E_LIMIT,
                           "onnx: tensor '%s': its dimensions multiply to more than memory has",
                           out->name);
        out->dim[i] = d;
    }
    /* a zero behind large numbers must not hide them */
    int64_t rest = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] && !hb_mul_dim(rest, t->dims[i], &rest))
            return hb_fail(r->err, HEARTH_E_LIMIT,
                           "onnx: tensor '%s': its dimensions multiply to more than memory has",
                           out->name);
    out->rank = (int32_t)t->n_dims;
    *elements = n;
    return HEARTH_OK;
}

static hearth_status tensor_type(struct hx_reader *r, const HxPb__Tensor *t, struct hx_tensor *out)
{
    out->type = t->data_type;
    if (t->data_type > HX_UNDEFINED && t->data_type <= HX_FLOAT4E2M1)
        return HEARTH_OK;
    return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                   "onnx: tensor '%s' has element type %d; 1 (float) to 23 (float4e2m1) are known",
                   out->name, t->data_type);
}

/* ---- data in the file */

static hearth_status tensor_length(struct hx_reader *r, const struct hx_tensor *t, size_t has,
                                   size_t wants, const char *unit)
{
    if (has == wants)
        return HEARTH_OK;
    return hb_fail(r->err, HEARTH_E_MISMATCH,
                   "onnx: tensor '%s' (%s) has %zu %s of data; its shape asks for %zu", t->name,
                   hx_type_name(t->type), has, unit, wants);
}

static bool tensor_store_int(uint8_t *at, int32_t type, uint64_t value)
{
    int64_t s = (int64_t)value;
    size_t size = hx_type_size(type);
    bool fits = true;
    switch (type) {
    case HX_INT8:
        fits = s >= INT8_MIN && s <= INT8_MAX;
        break;
    case HX_INT16:
        fits = s >= INT16_MIN && s <= INT16_MAX;
        break;
    case HX_INT32:
        fits = s >= INT32_MIN && s <= INT32_MAX;
        break;
    case HX_BOOL:
        fits = value <= 1;
        break;
    case HX_UINT8:
        fits = value <= UINT8_MAX;
        break;
    case HX_UINT16:
    case HX_FLOAT16:
    case HX_BFLOAT16:
        fits = value <= UINT16_MAX;
        break;
    case HX_UINT32:
        fits = value <= UINT32_MAX;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < size; i++, value >>= 8)
        at[i] = (uint8_t)value;
    return fits;
}

/* Decode a piece to out; the walk has checked its form. */
static hearth_status tensor_decode(struct hx_reader *r, const struct hx_tensor *t,
                                   const struct hx_piece *p, uint8_t **out)
{
    struct hb_reader in = hb_reader_make(r->bytes + p->off, p->len);
    bool fixed = p->field == TENSOR_FLOATS || p->field == TENSOR_DOUBLES;
    size_t size = hx_type_size(t->type);
    const uint8_t *bytes;
    uint64_t value;
    if (p->packed && fixed) {
        memcpy(*out, r->bytes + p->off, p->len);
        *out += p->len;
        return HEARTH_OK;
    }
    for (size_t i = 0; i < p->count; i++, *out += size) {
        bool ok = p->packed || hx_take_varint(&in, &value); /* the tag */
        if (fixed) {
            ok = ok && hb_take_bytes(&in, size, &bytes);
            if (ok)
                memcpy(*out, bytes, size);
        } else {
            ok = ok && hx_take_varint(&in, &value);
            if (ok && !tensor_store_int(*out, t->type, value))
                return hb_fail(r->err, HEARTH_E_RANGE,
                               "onnx: tensor '%s': a value of %s does not fit its type %s", t->name,
                               tensor_field_name(p->field), hx_type_name(t->type));
        }
        if (!ok)
            return hb_fail(r->err, HEARTH_E_INTERNAL, "onnx: tensor '%s': walked data do not decode",
                           t->name);
    }
    return HEARTH_OK;
}

static hearth_status tensor_typed_data(struct hx_reader *r, const HxPb__Tensor *t,
                                       const struct tensor_data *d, struct hx_tensor *out)
{
    uint8_t *mem, *at;
    bool fixed = d->field == TENSOR_FLOATS || d->field == TENSOR_DOUBLES;
    if (fixed && d->n_pieces == 1 && d->first->packed) {
        out->data = r->bytes + d->first->off;
        out->borrowed = true;
        return HEARTH_OK;
    }
    HB_TRY(hb_arena_take(r->arena, out->size_bytes, 16, (void **)(void *)&mem, r->err));
    at = mem;
    for (size_t i = 0; i < t->n_piece; i++) {
        const struct hx_piece *p = &r->wire.pieces[t->piece[i]];
        if (p->count)
            HB_TRY(tensor_decode(r, out, p, &at));
    }
    out->data = mem;
    return HEARTH_OK;
}

/* ---- data in another file */

/* Relative, forward, without empty, "." or ".." steps: what stays inside one directory. */
static bool tensor_location_is_plain(const char *s)
{
    size_t step = 0, len = strlen(s);
    if (len == 0 || len > 1024)
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (s[i] == '\\' || s[i] == ':' || (s[i] > 0 && s[i] < ' '))
            return false;
        if (s[i] != '/' && s[i] != 0) {
            step++;
            continue;
        }
        if (step == 0 || (step == 1 && s[i - 1] == '.') ||
            (step == 2 && s[i - 1] == '.' && s[i - 2] == '.'))
            return false;
        step = 0;
    }
    return true;
}

static bool tensor_decimal(const char *s, size_t *out)
{
    uint64_t v = 0;
    if (!*s)
        return false;
    for (; *s; s++) {
        uint64_t digit = (uint64_t)(*s - '0');
        if (*s < '0' || *s > '9' || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = (size_t)v;
    return v <= SIZE_MAX;
}

struct tensor_place {
    const char *location, *offset, *length;
};

static hearth_status tensor_place_of(struct hx_reader *r, const HxPb__Tensor *t, const char *name,
                                     struct tensor_place *place)
{
    *place = (struct tensor_place){0};
    for (size_t i = 0; i < t->n_external_data; i++) {
        const HxPb__Entry *e = t->external_data[i];
        const char *key = e->key ? e->key : "";
        const char **field = strcmp(key, "location") == 0 ? &place->location
                             : strcmp(key, "offset") == 0 ? &place->offset
                             : strcmp(key, "length") == 0 ? &place->length
                                                          : NULL;
        if (!field)
            continue; /* checksum, and what other tools note */
        if (*field)
            return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: tensor '%s': external data give %s twice",
                           name, key);
        *field = e->value ? e->value : "";
    }
    if (!place->location || !tensor_location_is_plain(place->location))
        return hb_fail(r->err, HEARTH_E_FORMAT,
                       "onnx: tensor '%s': external data location '%s'; a relative path downwards is "
                       "accepted", name, place->location ? place->location : "");
    return HEARTH_OK;
}

static hearth_status tensor_external(struct hx_reader *r, const HxPb__Tensor *t,
                                     struct hx_tensor *out)
{
    struct tensor_place place;
    const void *bytes = NULL;
    size_t size = 0, off = 0, len = out->size_bytes;
    HB_TRY(tensor_place_of(r, t, out->name, &place));
    if (!r->external)
        return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                       "onnx: tensor '%s' keeps its data in another file, '%s'; external data are not "
                       "switched on", out->name, place.location);
    if ((place.offset && !tensor_decimal(place.offset, &off)) ||
        (place.length && !tensor_decimal(place.length, &len)))
        return hb_fail(r->err, HEARTH_E_FORMAT,
                       "onnx: tensor '%s': external offset '%s', length '%s'; decimal numbers are "
                       "accepted", out->name, place.offset ? place.offset : "",
                       place.length ? place.length : "");
    HB_TRY(tensor_length(r, out, len, out->size_bytes, "bytes"));
    HB_TRY(r->external->open(r->external->user, place.location, &bytes, &size, r->err));
    if (off > size || len > size - off)
        return hb_fail(r->err, HEARTH_E_TRUNCATED,
                       "onnx: tensor '%s': external data at %zu, %zu bytes; '%s' has %zu bytes",
                       out->name, off, len, place.location, size);
    out->data = len ? (const uint8_t *)bytes + off : NULL;
    out->borrowed = true;
    r->weight_bytes += len;
    return HEARTH_OK;
}

/* ---- one tensor */

hearth_status hx_read_tensor(struct hx_reader *r, const HxPb__Tensor *t, struct hx_tensor *out)
{
    struct tensor_data d;
    size_t elements = 0;
    *out = (struct hx_tensor){.name = t->name ? t->name : ""};
    HB_TRY(tensor_type(r, t, out));
    HB_TRY(tensor_shape(r, t, out, &elements));
    HB_TRY(tensor_find_data(r, t, out->name, &d));
    if (tensor_is_opaque(out->type))
        return HEARTH_OK;
    out->size_bytes = elements * hx_type_size(out->type);
    if (t->data_location == 1) {
        if (d.field)
            return hb_fail(r->err, HEARTH_E_FORMAT,
                           "onnx: tensor '%s' is external and has %s too", out->name,
                           tensor_field_name(d.field));
        return tensor_external(r, t, out);
    }
    if (t->data_location != 0)
        return hb_fail(r->err, HEARTH_E_UNSUPPORTED,
                       "onnx: tensor '%s' has data_location %d; 0 and 1 are known", out->name,
                       t->data_location);
    if (d.field == TENSOR_RAW) {
        HB_TRY(tensor_length(r, out, d.count, out->size_bytes, "bytes"));
        out->data = r->bytes + d.first->off;
        out->borrowed = true;
    } else {
        if (d.field && d.field != tensor_typed_field(out->type))
            return hb_fail(r->err, HEARTH_E_MISMATCH,
                           "onnx: tensor '%s' is %s and has %s; %s or raw_data is accepted",
                           out->name, hx_type_name(out->type), tensor_field_name(d.field),
                           tensor_field_name(tensor_typed_field(out->type)));
        HB_TRY(tensor_length(r, out, d.count, elements, "elements"));
        if (elements)
            HB_TRY(tensor_typed_data(r, t, &d, out));
    }
    r->weight_bytes += out->size_bytes;
    return HEARTH_OK;
}

/* ---- sparse tensors */

static hearth_status sparse_index(struct hx_reader *r, const struct hx_sparse *s, size_t i,
                                  int64_t elements)
{
    const uint8_t *p = s->indices.data;
    size_t width = s->indices.rank == 2 ? (size_t)s->rank : 1;
    for (size_t j = 0; j < width; j++) {
        int64_t index = (int64_t)hb_load_u64le(p + 8 * (i * width + j));
        int64_t most = s->indices.rank == 2 ? s->dim[j] : elements;
        if (index < 0 || index >= most)
            return hb_fail(r->err, HEARTH_E_RANGE,
                           "onnx: sparse tensor '%s': index %lld; below %lld is accepted",
                           s->values.name, (long long)index, (long long)most);
    }
    return HEARTH_OK;
}

hearth_status hx_read_sparse(struct hx_reader *r, const HxPb__SparseTensor *t,
                             struct hx_sparse *out)
{
    int64_t elements = 1;
    *out = (struct hx_sparse){.rank = (int32_t)t->n_dims};
    if (!t->values || !t->indices)
        return hb_fail(r->err, HEARTH_E_FORMAT, "onnx: a sparse tensor without values or indices");
    HB_TRY(hx_read_tensor(r, t->values, &out->values));
    HB_TRY(hx_read_tensor(r, t->indices, &out->indices));
    if (t->n_dims > HX_MAX_RANK)
        return hb_fail(r->err, HEARTH_E_LIMIT, "onnx: a sparse tensor has %zu dimensions; at most %d",
                       t->n_dims, HX_MAX_RANK);
    for (size_t i = 0; i < t->n_dims; i++) {
        out->dim[i] = t->dims[i];
        if (t->dims[i] <= 0 || !hb_mul_dim(elements, t->dims[i], &elements))
            return hb_fail(r->err, HEARTH_E_FORMAT,
                           "onnx: sparse tensor '%s': dimension %zu is %lld", out->values.name, i,
                           (long long)t->dims[i]);
    }
    const struct hx_tensor *v = &out->values, *x = &out->indices;
    bool pairs = x->rank == 2 && v->rank == 1 && x->dim[1] == out->rank && x->dim[0] == v->dim[0];
    bool flat = x->rank == 1 && v->rank == 1 && x->dim[0] == v->dim[0];
    if (x->type != HX_INT64 || !(pairs || flat))
        return hb_fail(r->err, HEARTH_E_MISMATCH,
                       "onnx: sparse tensor '%s': its indices are not int64 [n] or [n][rank] for n "
                       "values", v->name);
    for (size_t i = 0; i < (size_t)v->dim[0]; i++)
        HB_TRY(sparse_index(r, out, i, elements));
    return HEARTH_OK;
}
