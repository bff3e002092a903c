/* The scalar table: the specification of every slot. Filled from the lists, so a row without a
 * scalar body does not link. */
#include "kernels/hk_bodies.h"
#include "kernels/hk_left_out.h"

#define SCALAR_BLOCKS(id, name)                                                                    \
    [HK_##id] = {.unpack = hk_unpack_##name##__scalar,                                             \
                 .stream = hk_stream_##name##__scalar,                                             \
                 .pack = hk_pack_##name##__scalar},
#define SCALAR_FLOAT SCALAR_BLOCKS
#define SCALAR_B32   SCALAR_BLOCKS
#define SCALAR_K32   SCALAR_BLOCKS
#define SCALAR_K16   SCALAR_BLOCKS
#define SCALAR_PLAIN(id, name)

const struct hk_table hk_table_scalar = {
    .level = "scalar",
#define HK_SLOT(name, type, check, text) .name = hk_##name##__scalar,
#include "kernels/kernels.def"
#undef HK_SLOT
    .quant =
        {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min) SCALAR_##family(id, name)
#include "kernels/qtypes.def"
#undef HK_QTYPE
        },
    .kv =
        {
#define HK_KVTYPE(id, name)                                                                        \
    [HK_KV_##id] = {.scores = hk_attn_scores_##name##__scalar,                                     \
                    .values = hk_attn_values_##name##__scalar,                                     \
                    .put_k = hk_kv_put_k_##name##__scalar,                                         \
                    .put_v = hk_kv_put_v_##name##__scalar},
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
        },
};
