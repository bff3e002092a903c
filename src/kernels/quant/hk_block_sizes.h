#ifndef HK_BLOCK_SIZES_H
#define HK_BLOCK_SIZES_H

/* What qtypes.def says, as constants: HK_BYTES_Q4_0, HK_OFFSET_Q4_0, HK_HAS_MIN_Q4_0. */
enum {
#define HK_QTYPE(id, name, gguf, elements, bytes, family, offset, has_min)                         \
    HK_BYTES_##id = bytes, HK_OFFSET_##id = offset, HK_HAS_MIN_##id = has_min,
#include "kernels/qtypes.def"
#undef HK_QTYPE
};

#endif
