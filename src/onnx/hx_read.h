/* What the files of the loader share. */
#ifndef HX_READ_H
#define HX_READ_H

#include "onnx/hx_wire.h"
#include "onnx/onnx.pb-c.h"

#define HX_MIN_IR          3
#define HX_MAX_IR          14
#define HX_MIN_OPSET       6 /* of the default domain; ops may ask for more */
#define HX_MAX_OPSET       28
#define HX_MAX_SUBGRAPHS   16 /* graphs inside graphs */
#define HX_MAX_CALLS       16 /* functions inside functions */

struct hx_reader {
    const uint8_t *bytes; /* the file */
    size_t size;
    struct hx_wire wire;
    struct hb_arena *arena;
    const struct hx_external *external;
    uint64_t weight_bytes;
    hearth_error *err;
};

/* ---- hx_tensor.c */
hearth_status hx_read_tensor(struct hx_reader *r, const HxPb__Tensor *t, struct hx_tensor *out);
hearth_status hx_read_sparse(struct hx_reader *r, const HxPb__SparseTensor *t,
                             struct hx_sparse *out);

/* ---- hx_check.c: what names say. In every graph each name is defined once, before it is used;
 * functions call each other without a cycle and expand to a bounded number of nodes.
 *
 * HEARTH_E_FORMAT       defined twice, used before it is produced (a cycle), never produced, empty;
 *                       an attribute given twice
 * HEARTH_E_UNSUPPORTED  a node of a domain nobody knows
 * HEARTH_E_LIMIT        HX_MAX_SUBGRAPHS, HX_MAX_CALLS, HX_MAX_NODES after expansion */
hearth_status hx_check(const struct hx_model *model, struct hb_arena *arena, hearth_error *err);

#endif
