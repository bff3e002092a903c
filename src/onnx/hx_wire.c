/* The walk: one recursive function over a table of fields, run twice with and without a place to
 * write to. */
#include "onnx/hx_wire.h"
#include "base/hb_unicode.h"

enum wire_message {
    WIRE_NONE,
#define HX_MESSAGE(name) WIRE_##name,
#define HX_FIELD(message, number, kind, sub, counter)
#include "onnx/hx_wire.def"
#undef HX_MESSAGE
#undef HX_FIELD
    WIRE_MESSAGES
};

static const char *const wire_names[WIRE_MESSAGES] = {
    "",
#define HX_MESSAGE(name) #name,
#define HX_FIELD(message, number, kind, sub, counter)
#include "onnx/hx_wire.def"
#undef HX_MESSAGE
#undef HX_FIELD
};

enum wire_kind {
    WIRE_SKIP,
    WIRE_INT,
    WIRE_INTS,
    WIRE_F32,
    WIRE_F32S,
    WIRE_TEXT,
    WIRE_BYTES,
    WIRE_MESSAGE,
    WIRE_CUT_INTS,
    WIRE_CUT_F32S,
    WIRE_CUT_F64S,
    WIRE_CUT_BYTES
};

enum wire_counter {
    WIRE_COUNT_NONE,
    WIRE_COUNT_GRAPHS, /* the graph of the model: one */
    WIRE_COUNT_NODES,
    WIRE_COUNT_INITS,
    WIRE_COUNT_VALUES,
    WIRE_COUNT_ATTRS,
    WIRE_COUNT_DIMS,
    WIRE_COUNTERS
};

static const struct {
    const char *name;
    size_t most;
    bool of_parent; /* counted in each message anew */
} wire_limits[WIRE_COUNTERS] = {
    [WIRE_COUNT_GRAPHS] = {"graphs", 1, false},
    [WIRE_COUNT_NODES] = {"nodes", HX_MAX_NODES, false},
    [WIRE_COUNT_INITS] = {"initializers", HX_MAX_INITS, false},
    [WIRE_COUNT_VALUES] = {"names, types and entries", HX_MAX_VALUES, false},
    [WIRE_COUNT_ATTRS] = {"attributes of a node", HX_MAX_ATTRS, true},
    [WIRE_COUNT_DIMS] = {"dimensions of a tensor", HX_MAX_RANK, true},
};

#define WIRE_FIELDS 32
struct wire_field {
    uint8_t kind, sub, counter;
};
static const struct wire_field wire_fields[WIRE_MESSAGES][WIRE_FIELDS] = {
#define HX_MESSAGE(name)
#define HX_FIELD(message, number, kind, sub, counter)                                              \
    [WIRE_##message][number] = {WIRE_##kind, WIRE_##sub, WIRE_COUNT_##counter},
#include "onnx/hx_wire.def"
#undef HX_MESSAGE
#undef HX_FIELD
};

/* Wire types */
enum { WT_VARINT, WT_64, WT_BYTES, WT_GROUP, WT_GROUP_END, WT_32 };

struct wire_walk {
    const uint8_t *base; /* of the file */
    uint8_t *out;        /* NULL while measuring */
    size_t n_out;
    struct hx_piece *pieces;
    size_t n_pieces;
    size_t counts[WIRE_COUNTERS];
    hearth_error *err;
};

/* Where an error is: a message and a byte. */
struct wire_at {
    enum wire_message message;
    uint32_t field;
    size_t off;
};

bool hx_take_varint(struct hb_reader *in, uint64_t *out)
{
    uint64_t value = 0;
    size_t pos = in->pos;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (pos >= in->size)
            return false;
        uint8_t byte = in->base[pos++];
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte & 0x80)
            continue;
        if (byte == 0 && shift > 0)
            return false;
        in->pos = pos;
        *out = value;
        return true;
    }
    return false;
}

static hearth_status wire_fail(const struct wire_walk *w, struct wire_at at, hearth_status status,
                               const char *what)
{
    return hb_fail(w->err, status, "onnx: field %u of %s at byte %zu: %s", at.field,
                   wire_names[at.message], at.off, what);
}

/* A varint that was refused: cut short or malformed? */
static hearth_status wire_bad_varint(const struct wire_walk *w, struct wire_at at,
                                     const struct hb_reader *in)
{
    size_t left = hb_reader_left(in), i = 0;
    while (i < left && i < 10 && (in->base[in->pos + i] & 0x80))
        i++;
    if (i == left)
        return wire_fail(w, at, HEARTH_E_TRUNCATED, "a number passes the end of its message");
    return wire_fail(w, at, HEARTH_E_FORMAT,
                     "a number of more than 64 bits, or not in the fewest bytes");
}

/* ---- writing the slim copy */

static void wire_put(struct wire_walk *w, const void *bytes, size_t n)
{
    if (w->out && n)
        memcpy(w->out + w->n_out, bytes, n);
    w->n_out += n;
}

static void wire_put_varint(struct wire_walk *w, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    wire_put(w, bytes, n);
}

/* Lengths that are known later take five bytes. */
static void wire_patch_length(struct wire_walk *w, size_t at, size_t length)
{
    if (!w->out)
        return;
    for (int i = 0; i < 5; i++, length >>= 7)
        w->out[at + (size_t)i] = (uint8_t)((length & 0x7F) | (i < 4 ? 0x80 : 0));
}

static void wire_put_tag(struct wire_walk *w, uint32_t field, uint32_t type)
{
    wire_put_varint(w, (uint64_t)field << 3 | type);
}

/* ---- checks */

static hearth_status wire_count(struct wire_walk *w, struct wire_at at, size_t counter, size_t n,
                                size_t *own)
{
    if (counter == WIRE_COUNT_NONE)
        return HEARTH_OK;
    size_t *count = wire_limits[counter].of_parent ? &own[counter] : &w->counts[counter];
    *count += n;
    if (*count <= wire_limits[counter].most)
        return HEARTH_OK;
    if (counter == WIRE_COUNT_GRAPHS)
        return wire_fail(w, at, HEARTH_E_FORMAT, "a second graph; a model has one");
    return hb_fail(w->err, HEARTH_E_LIMIT,
                   "onnx: field %u of %s at byte %zu: more than %zu %s", at.field,
                   wire_names[at.message], at.off, wire_limits[counter].most,
                   wire_limits[counter].name);
}

static hearth_status wire_take_length(struct wire_walk *w, struct wire_at at, struct hb_reader *in,
                                      const uint8_t **bytes, size_t *len)
{
    uint64_t n;
    if (!hx_take_varint(in, &n))
        return wire_bad_varint(w, at, in);
    if (n > hb_reader_left(in))
        return hb_fail(w->err, HEARTH_E_TRUNCATED,
                       "onnx: field %u of %s at byte %zu: %llu bytes long, its message ends after "
                       "%zu", at.field, wire_names[at.message], at.off, (unsigned long long)n,
                       hb_reader_left(in));
    *len = (size_t)n;
    hb_take_bytes(in, *len, bytes);
    return HEARTH_OK;
}

/* Names are UTF-8 without NUL. */
static hearth_status wire_text(struct wire_walk *w, struct wire_at at, const uint8_t *bytes,
                               size_t len)
{
    for (size_t pos = 0; pos < len;) {
        size_t n = bytes[pos] ? hb_utf8_len(bytes + pos, len - pos) : 0;
        if (n == 0)
            return wire_fail(w, at, HEARTH_E_FORMAT, "a name that is not UTF-8, or has a NUL in it");
        pos += n;
    }
    return HEARTH_OK;
}

/* Elements of a packed field. */
static hearth_status wire_packed_ints(struct wire_walk *w, struct wire_at at, const uint8_t *bytes,
                                      size_t len, size_t *count)
{
    struct hb_reader in = hb_reader_make(bytes, len);
    uint64_t value;
    for (*count = 0; hb_reader_left(&in); ++*count)
        if (!hx_take_varint(&in, &value))
            return wire_bad_varint(w, at, &in);
    return HEARTH_OK;
}

static hearth_status wire_packed_fixed(struct wire_walk *w, struct wire_at at, size_t len,
                                       size_t width, size_t *count)
{
    *count = len / width;
    if (len % width)
        return wire_fail(w, at, HEARTH_E_FORMAT, "packed numbers end inside a number");
    return HEARTH_OK;
}

/* ---- fields that nobody knows */

/* Skip one value. Groups nest. */
static hearth_status wire_skip(struct wire_walk *w, struct wire_at at, struct hb_reader *in,
                               uint32_t type, unsigned depth)
{
    const uint8_t *bytes;
    size_t len;
    uint64_t value;
    switch (type) {
    case WT_VARINT:
        return hx_take_varint(in, &value) ? HEARTH_OK : wire_bad_varint(w, at, in);
    case WT_64:
    case WT_32:
        if (!hb_take_bytes(in, type == WT_64 ? 8 : 4, &bytes))
            return wire_fail(w, at, HEARTH_E_TRUNCATED, "a number passes the end of its message");
        return HEARTH_OK;
    case WT_BYTES:
        return wire_take_length(w, at, in, &bytes, &len);
    case WT_GROUP:
        break;
    default:
        return wire_fail(w, at, HEARTH_E_FORMAT,
                         type == WT_GROUP_END ? "the end of a group that did not begin"
                                              : "wire type 6 or 7; 0 to 5 are known");
    }
    for (;;) {
        uint64_t tag;
        if (depth >= HX_MAX_DEPTH)
            return wire_fail(w, at, HEARTH_E_LIMIT, "groups nested deeper than 64");
        if (!hb_reader_left(in))
            return wire_fail(w, at, HEARTH_E_TRUNCATED, "a group without an end");
        if (!hx_take_varint(in, &tag))
            return wire_bad_varint(w, at, in);
        if (tag > UINT32_MAX || tag >> 3 == 0)
            return wire_fail(w, at, HEARTH_E_FORMAT, "a field number outside 1 to 2^29 - 1");
        if ((tag & 7) == WT_GROUP_END && tag >> 3 == at.field)
            return HEARTH_OK;
        struct wire_at inner = {at.message, (uint32_t)(tag >> 3), at.off};
        HB_TRY(wire_skip(w, inner, in, (uint32_t)(tag & 7), depth + 1));
    }
}

/* ---- fields of the table */

/* A piece of tensor data; elements that are not packed continue the piece before them. */
static void wire_cut(struct wire_walk *w, struct wire_at at, bool packed, const uint8_t *bytes,
                     size_t len, size_t count, bool joins)
{
    if (joins) {
        if (w->pieces) {
            struct hx_piece *last = &w->pieces[w->n_pieces - 1];
            last->len = (size_t)(bytes + len - w->base) - last->off;
            last->count += count;
        }
        return;
    }
    if (w->pieces)
        w->pieces[w->n_pieces] = (struct hx_piece){(uint8_t)at.field, packed,
                                                   packed ? (size_t)(bytes - w->base) : at.off,
                                                   0, count};
    if (w->pieces)
        w->pieces[w->n_pieces].len =
            (size_t)(bytes + len - w->base) - w->pieces[w->n_pieces].off;
    wire_put_tag(w, 1000, WT_VARINT);
    wire_put_varint(w, w->n_pieces);
    w->n_pieces++;
}

static hearth_status wire_cut_field(struct wire_walk *w, struct wire_at at, struct hb_reader *in,
                                    uint32_t type, enum wire_kind kind, bool joins)
{
    const uint8_t *bytes = in->base + in->pos;
    size_t len, count = 1;
    if (type != WT_BYTES) {
        HB_TRY(wire_skip(w, at, in, type, 0));
        wire_cut(w, at, false, bytes, (size_t)(in->base + in->pos - bytes), 1, joins);
        return HEARTH_OK;
    }
    HB_TRY(wire_take_length(w, at, in, &bytes, &len));
    if (kind == WIRE_CUT_INTS)
        HB_TRY(wire_packed_ints(w, at, bytes, len, &count));
    else if (kind != WIRE_CUT_BYTES)
        HB_TRY(wire_packed_fixed(w, at, len, kind == WIRE_CUT_F32S ? 4 : 8, &count));
    else if (at.field == 9)
        count = len;
    wire_cut(w, at, true, bytes, len, count, false);
    return HEARTH_OK;
}

static bool wire_type_fits(enum wire_kind kind, uint32_t type)
{
    switch (kind) {
    case WIRE_INT:
        return type == WT_VARINT;
    case WIRE_INTS:
    case WIRE_CUT_INTS:
        return type == WT_VARINT || type == WT_BYTES;
    case WIRE_F32:
        return type == WT_32;
    case WIRE_F32S:
    case WIRE_CUT_F32S:
        return type == WT_32 || type == WT_BYTES;
    case WIRE_CUT_F64S:
        return type == WT_64 || type == WT_BYTES;
    default:
        return type == WT_BYTES;
    }
}

static hearth_status wire_message(struct wire_walk *w, enum wire_message message,
                                  struct hb_reader *in, unsigned depth);

static hearth_status wire_sub_message(struct wire_walk *w, struct wire_at at,
                                      enum wire_message sub, const uint8_t *bytes, size_t len,
                                      unsigned depth)
{
    if (depth + 1 >= HX_MAX_DEPTH)
        return wire_fail(w, at, HEARTH_E_LIMIT, "messages nested deeper than 64");
    struct hb_reader in = hb_reader_make(bytes, len);
    wire_put_tag(w, at.field, WT_BYTES);
    size_t length_at = w->n_out;
    w->n_out += 5;
    HB_TRY(wire_message(w, sub, &in, depth + 1));
    wire_patch_length(w, length_at, w->n_out - length_at - 5);
    return HEARTH_OK;
}

/* A field with a length: text, bytes, packed numbers or a message. */
static hearth_status wire_bytes_field(struct wire_walk *w, struct wire_at at, struct hb_reader *in,
                                      struct wire_field f, size_t *own, unsigned depth)
{
    const uint8_t *bytes;
    size_t len, count = 1;
    HB_TRY(wire_take_length(w, at, in, &bytes, &len));
    if (f.kind == WIRE_TEXT)
        HB_TRY(wire_text(w, at, bytes, len));
    if (f.kind == WIRE_INTS)
        HB_TRY(wire_packed_ints(w, at, bytes, len, &count));
    if (f.kind == WIRE_F32S)
        HB_TRY(wire_packed_fixed(w, at, len, 4, &count));
    HB_TRY(wire_count(w, at, f.counter, count, own));
    if (f.kind == WIRE_MESSAGE)
        return wire_sub_message(w, at, (enum wire_message)f.sub, bytes, len, depth);
    wire_put_tag(w, at.field, WT_BYTES);
    wire_put_varint(w, len);
    wire_put(w, bytes, len);
    return HEARTH_OK;
}

static hearth_status wire_message(struct wire_walk *w, enum wire_message message,
                                  struct hb_reader *in, unsigned depth)
{
    size_t own[WIRE_COUNTERS] = {0};
    uint32_t run = 0; /* the tensor data field whose unpacked elements end just here */
    while (hb_reader_left(in)) {
        struct wire_at at = {message, 0, (size_t)(in->base + in->pos - w->base)};
        uint64_t tag;
        if (!hx_take_varint(in, &tag))
            return wire_bad_varint(w, at, in);
        if (tag > UINT32_MAX || tag >> 3 == 0)
            return wire_fail(w, at, HEARTH_E_FORMAT, "a field number outside 1 to 2^29 - 1");
        uint32_t type = (uint32_t)(tag & 7);
        at.field = (uint32_t)(tag >> 3);
        struct wire_field f = {0};
        if (at.field < WIRE_FIELDS)
            f = wire_fields[message][at.field];
        bool joins = run == at.field;
        run = 0;
        if (f.kind == WIRE_SKIP) {
            HB_TRY(wire_skip(w, at, in, type, depth));
            continue;
        }
        if (!wire_type_fits((enum wire_kind)f.kind, type))
            return hb_fail(w->err, HEARTH_E_FORMAT,
                           "onnx: field %u of %s at byte %zu has wire type %u, which is not its own",
                           at.field, wire_names[message], at.off, type);
        if (f.kind >= WIRE_CUT_INTS) {
            HB_TRY(wire_cut_field(w, at, in, type, (enum wire_kind)f.kind, joins));
            run = type == WT_BYTES ? 0 : at.field;
        } else if (type == WT_BYTES) {
            HB_TRY(wire_bytes_field(w, at, in, f, own, depth));
        } else {
            const uint8_t *bytes = in->base + in->pos;
            HB_TRY(wire_count(w, at, f.counter, 1, own));
            HB_TRY(wire_skip(w, at, in, type, depth));
            wire_put_tag(w, at.field, type);
            wire_put(w, bytes, (size_t)(in->base + in->pos - bytes));
        }
        if (w->n_out > HX_MAX_SLIM_BYTES)
            return wire_fail(w, at, HEARTH_E_LIMIT, "more than 512 MiB besides tensor data");
    }
    return HEARTH_OK;
}

static hearth_status wire_walk(const void *bytes, size_t size, enum wire_message message,
                               struct hb_arena *arena, struct hx_wire *wire, hearth_error *err)
{
    struct wire_walk w = {.base = bytes, .err = err};
    struct hb_reader in = hb_reader_make(bytes, size);
    HB_TRY(wire_message(&w, message, &in, 0));
    struct wire_walk second = {.base = bytes, .err = err};
    HB_TRY(HB_ARENA_NEW(arena, uint8_t, w.n_out, &second.out, err));
    HB_TRY(HB_ARENA_NEW(arena, struct hx_piece, w.n_pieces, &second.pieces, err));
    in.pos = 0;
    HB_TRY(wire_message(&second, message, &in, 0));
    *wire = (struct hx_wire){second.out, second.n_out, second.pieces, second.n_pieces};
    return HEARTH_OK;
}

hearth_status hx_wire_walk(const void *bytes, size_t size, struct hb_arena *arena,
                           struct hx_wire *wire, hearth_error *err)
{
    return wire_walk(bytes, size, WIRE_MODEL, arena, wire, err);
}

hearth_status hx_wire_walk_tensor(const void *bytes, size_t size, struct hb_arena *arena,
                                  struct hx_wire *wire, hearth_error *err)
{
    return wire_walk(bytes, size, WIRE_TENSOR, arena, wire, err);
}

bool hx_wire_begins_model(const void *bytes, size_t size)
{
    struct hb_reader in = hb_reader_make(bytes, size);
    for (int i = 0; i < 3 && hb_reader_left(&in); i++) {
        uint64_t tag, value;
        const uint8_t *data;
        if (!hx_take_varint(&in, &tag) || tag >> 3 >= WIRE_FIELDS)
            return i > 0 && hb_reader_left(&in) < 2;
        uint8_t kind = wire_fields[WIRE_MODEL][tag >> 3].kind;
        bool unknown = kind == WIRE_SKIP && tag >> 3 != 6 && tag >> 3 != 20 && tag >> 3 != 26;
        if (unknown || !wire_type_fits((enum wire_kind)kind, (uint32_t)(tag & 7)))
            return false;
        if (!hx_take_varint(&in, &value))
            return hb_reader_left(&in) < 10;
        if ((tag & 7) == WT_BYTES && !hb_take_bytes(&in, (size_t)value, &data))
            return i > 0 || tag >> 3 == 7; /* cut short: the walk will say so */
    }
    return size > 0;
}
