/* Declares every body that a row of the lists may have, at every level. A body file includes this,
 * so that the compiler holds its signature against the row; what no table names is never linked. */
#ifndef HK_BODIES_H
#define HK_BODIES_H

#include "kernels/kernels.h"

#define HK_AT_LEVELS(body)                                                                         \
    body##__scalar, body##__avx2, body##__avx2_vnni, body##__avx512, body##__neon,                 \
        body##__neon_dot, body##__neon_i8mm

#define HK_SLOT(name, type, check, text) type HK_AT_LEVELS(hk_##name);
#include "kernels/kernels.def"
#undef HK_SLOT

#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min)                         \
    hk_unpack_fn HK_AT_LEVELS(hk_unpack_##name);                                                   \
    hk_stream_fn HK_AT_LEVELS(hk_stream_##name);                                                   \
    hk_few_fn HK_AT_LEVELS(hk_few_##name);                                                         \
    hk_pack_fn HK_AT_LEVELS(hk_pack_##name);
#include "kernels/qtypes.def"
#undef HK_QTYPE

/* Defines a tile body from `one`, which takes one tile. */
#define HK_TILE_EACH(body, one)                                                                    \
    void body(float *restrict y, size_t ldy, size_t n_rows, const void *restrict tile,             \
              const void *restrict x, size_t x_stride, size_t n_cols, size_t n,                    \
              const struct hk_qtype_info *info)                                                    \
    {                                                                                              \
        const uint8_t *at = tile;                                                                  \
        size_t bytes = hk_tile_layout(info, n).bytes;                                              \
        for (size_t r = 0; r < n_rows; r += HK_TILE_ROWS, at += bytes)                             \
            one(y + r, ldy, n_rows - r < HK_TILE_ROWS ? n_rows - r : HK_TILE_ROWS, at, x,          \
                x_stride, n_cols, n, info);                                                        \
    }

#define HK_KVTYPE(id, name)                                                                        \
    hk_attn_scores_fn HK_AT_LEVELS(hk_attn_scores_##name);                                         \
    hk_attn_values_fn HK_AT_LEVELS(hk_attn_values_##name);                                         \
    hk_kv_put_fn HK_AT_LEVELS(hk_kv_put_k_##name);                                                 \
    hk_kv_put_fn HK_AT_LEVELS(hk_kv_put_v_##name);
#include "kernels/kvtypes.def"
#undef HK_KVTYPE

/* The tables: kernels_<level>.c. */
#define HK_LEVEL(name, needs) extern const struct hk_table hk_table_##name;
#include "kernels/levels.def"
#undef HK_LEVEL

#endif
