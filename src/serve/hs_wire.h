/* The wire: what a message is, and its two encodings. docs/wire.md is the specification.
 *
 *   frame    u32 length (little-endian) of what follows
 *   binary   u8 message number, then its fields: the Protocol Buffers wire format in one canonical form
 *   JSON     an object; its first byte '{' is no message number
 *
 * Messages are structs made from messages.def. `has` says which fields are set (HS_SET); others are zero.
 * Decoding copies nothing: bytes, tokens, floats and lists are slices of the message and live as long as it
 * does. Nothing here allocates but the decoder of JSON, whose library uses the C heap meanwhile. */
#ifndef HS_WIRE_H
#define HS_WIRE_H

#include "base/hb_arena.h"
#include "kernels/kernels.h"

#define HS_FRAME_HEAD  4
#define HS_MAX_FRAME   (16u << 20) /* bytes behind the length, after authentication */
#define HS_HELLO_FRAME 4096u       /* before */
#define HS_MAX_ITEMS   65536u      /* of one list */

struct hs_bytes {
    const char *at;
    size_t len;
};
/* To encode: values and n. Decoded: coded, to be read with hs_tokens_read; n is exact if they are well formed. */
struct hs_tokens {
    const uint32_t *values;
    size_t n;
    const uint8_t *coded;
    size_t coded_len;
};
struct hs_floats {
    const float *values;
    size_t n;
    const uint8_t *coded; /* f32 little-endian, any alignment */
};
/* items: structs hs_bytes or those of the part (to encode; decoded from JSON), or coded (decoded from the binary
 * form, its parts found well formed). hs_text_next and hs_part_next walk both. */
struct hs_list {
    const void *items;
    size_t n;
    const uint8_t *coded;
    size_t coded_len;
};

#define HS_TYPE_U64     uint64_t
#define HS_TYPE_I64     int64_t
#define HS_TYPE_F32     float
#define HS_TYPE_BYTES   struct hs_bytes
#define HS_TYPE_TOKENS  struct hs_tokens
#define HS_TYPE_FLOATS  struct hs_floats
#define HS_TYPE_TEXTS   struct hs_list
#define HS_TYPE_LIST(m) struct hs_list

#define HS_MESSAGE(name, number, from, text) struct hs_##name { uint32_t has;
#define HS_FIELD(message, number, kind, need, name, text) HS_TYPE_##kind name;
#define HS_END(name) };
#include "serve/messages.def"

/* HS_HAS_generate_prompt: the bit of a field. */
#define HS_FIELD(message, number, kind, need, name, text)                                          \
    HS_HAS_##message##_##name = (int)(1u << (number)),
enum {
#include "serve/messages.def"
};

#define HS_HAS(msg, message, field) (((msg)->has & (uint32_t)HS_HAS_##message##_##field) != 0)
#define HS_SET(msg, message, field, ...)                                                           \
    ((msg)->field = __VA_ARGS__, (msg)->has |= (uint32_t)HS_HAS_##message##_##field)

enum hs_index {
#define HS_MESSAGE(name, number, from, text) HS_M_##name,
#include "serve/messages.def"
    HS_M_COUNT
};

enum hs_kind { HS_U64, HS_I64, HS_F32, HS_BYTES, HS_TOKENS, HS_FLOATS, HS_TEXTS, HS_LIST };
enum hs_from { HS_FROM_C, HS_FROM_S, HS_FROM_P };

struct hs_field {
    const char *name;
    uint8_t number, kind, part; /* part: enum hs_index of LIST */
    bool must;
    uint16_t offset;
};
struct hs_message {
    const char *name;
    uint8_t number, from, n_fields;
    uint16_t size; /* of the struct */
    const struct hs_field *fields;
};
extern const struct hs_message hs_messages[HS_M_COUNT];
/* By number or name on the wire; NULL: none. Parts are not found. */
const struct hs_message *hs_message_by_number(uint8_t number);
const struct hs_message *hs_message_by_name(const char *name, size_t len);

union hs_any { /* room for any message */
#define HS_MESSAGE(name, number, from, text) struct hs_##name name;
#include "serve/messages.def"
};

/* ---- binary ---- */

/* Bytes that encoding takes at most, frame and all. */
size_t hs_binary_bound(const struct hs_message *m, const void *msg);
/* A whole frame; 0 where capacity is below hs_binary_bound. */
size_t hs_binary_encode(const struct hk_table *k, const struct hs_message *m, const void *msg, uint8_t *out,
                        size_t capacity);
/* The body behind the message number. HEARTH_E_FORMAT: not canonical, cut, an unknown field, a missing one;
 * HEARTH_E_LIMIT: a list of more than HS_MAX_ITEMS. *msg is undefined then. */
hearth_status hs_binary_decode(const struct hs_message *m, const uint8_t *body, size_t len, void *msg,
                               hearth_error *err);

/* The values of decoded tokens; HEARTH_E_FORMAT if they are not canonical LEB128 below 2^32, HEARTH_E_FULL if
 * there are more than capacity. */
hearth_status hs_tokens_read(const struct hk_table *k, const struct hs_tokens *tokens, uint32_t *values,
                             size_t capacity, size_t *n, hearth_error *err);
void hs_floats_read(const struct hs_floats *floats, float *values); /* [floats->n] */
/* The next item of a list of texts, or of messages `part`; *at is 0 at first. false, or *more false, at the end. */
bool hs_text_next(const struct hs_list *list, size_t *at, struct hs_bytes *item);
hearth_status hs_part_next(const struct hs_message *part, const struct hs_list *list, size_t *at, void *msg,
                           bool *more, hearth_error *err);

/* ---- JSON ---- */

/* As hs_binary_*. Text that is not UTF-8 is given with U+FFFD where it is not; numbers above 2^53 as text.
 * HEARTH_E_UNSUPPORTED in builds without HEARTH_JSON. Decoded values lie in the arena. */
size_t hs_json_bound(const struct hs_message *m, const void *msg);
size_t hs_json_encode(const struct hk_table *k, const struct hs_message *m, const void *msg, uint8_t *out,
                      size_t capacity);
hearth_status hs_json_decode(const uint8_t *text, size_t len, struct hb_arena *arena,
                             const struct hs_message **m, union hs_any *msg, hearth_error *err);

#endif
