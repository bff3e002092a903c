/* The bounded walk over the wire format that stands in front of the decoder.
 *
 *   file ──► walk 1: checks everything, measures ──► walk 2: writes ──► slim copy ──► protobuf-c
 *    │                                                  │
 *    └── tensor data stay here ◄────── pieces ──────────┘
 *
 * The slim copy is the message without documentation, unknown fields and tensor data: small, and
 * known to be well-formed before the decoder sees it. A tensor in it lists its pieces instead.
 *
 * Source: Protocol Buffers encoding. Stricter than that: numbers are written in the fewest bytes, a
 * known field has its own wire type, and names hold no NUL. */
#ifndef HX_WIRE_H
#define HX_WIRE_H

#include "base/hb_reader.h"
#include "onnx/hx_model.h"

#define HX_MAX_DEPTH      64               /* messages inside messages, and groups */
#define HX_MAX_NODES      ((size_t)1 << 20) /* over all graphs and functions */
#define HX_MAX_INITS      ((size_t)1 << 20)
#define HX_MAX_VALUES     ((size_t)4 << 20) /* everything else that repeats: names, types, entries */
#define HX_MAX_ATTRS      1024             /* of one node */
#define HX_MAX_SLIM_BYTES ((size_t)512 << 20)

/* Tensor data of one field in one place of the file. A packed field is its payload; a run of
 * unpacked elements still has its tags. */
struct hx_piece {
    uint8_t field;   /* of TensorProto: 4, 5, 6, 7, 9, 10 or 11 */
    bool packed;
    size_t off, len; /* in the file */
    size_t count;    /* elements; bytes for raw_data */
};

struct hx_wire {
    const uint8_t *slim;
    size_t slim_bytes;
    const struct hx_piece *pieces;
    size_t n_pieces;
};

/* Check the bytes as a ModelProto and make its slim copy; both come from the arena. The bytes must
 * outlive the pieces.
 *
 * HEARTH_E_TRUNCATED  a length or number passes the end of its message
 * HEARTH_E_FORMAT     a number that breaks the rules, a wrong wire type, a group without its end,
 *                     NUL in a name, two graphs
 * HEARTH_E_LIMIT      one of the maxima above */
hearth_status hx_wire_walk(const void *bytes, size_t size, struct hb_arena *arena,
                           struct hx_wire *wire, hearth_error *err);

/* The same for a file that is one TensorProto. */
hearth_status hx_wire_walk_tensor(const void *bytes, size_t size, struct hb_arena *arena,
                                  struct hx_wire *wire, hearth_error *err);

/* Does this begin like a ModelProto? Looks at the first fields only. */
bool hx_wire_begins_model(const void *bytes, size_t size);

/* One number; false when it is unterminated, longer than 64 bits or not in the fewest bytes. */
bool hx_take_varint(struct hb_reader *in, uint64_t *out);

#endif
