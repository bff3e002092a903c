/* The list of element types as a table, and the way back from GGUF's numbers. */
#include "kernels/kernels.h"

const struct hk_qtype_info hk_qtype_info[HK_QTYPE_COUNT] = {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min)                         \
    [HK_##id] = {#name, gguf, elements, bytes, HK_FAMILY_##family, offset, has_min},
#include "kernels/qtypes.def"
#undef HK_QTYPE
};

const uint8_t hk_kv_qtype[HK_KVTYPE_COUNT] = {
#define HK_KVTYPE(id, name) [HK_KV_##id] = HK_##id,
#include "kernels/kvtypes.def"
#undef HK_KVTYPE
};

enum hk_qtype hk_qtype_from_gguf(uint32_t gguf)
{
    for (int i = 0; i < HK_QTYPE_COUNT; i++)
        if (hk_qtype_info[i].gguf >= 0 && (uint32_t)hk_qtype_info[i].gguf == gguf)
            return (enum hk_qtype)i;
    return HK_QTYPE_COUNT;
}
