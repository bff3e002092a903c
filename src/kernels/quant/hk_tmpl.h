/* Names that the templates of this folder build from HK_T and HK_ID:
 * HK_BODY(stream, avx2) is hk_stream_q4_0__avx2, HK_BLOCK is struct hk_block_q4_0. */
#ifndef HK_TMPL_H
#define HK_TMPL_H

#include "kernels/quant/hk_blocks.h"

#define HK_PASTE_(a, b) a##b
#define HK_PASTE(a, b)  HK_PASTE_(a, b)

#define HK_BODY_(verb, type, level)  hk_##verb##_##type##__##level
#define HK_BODY__(verb, type, level) HK_BODY_(verb, type, level)
#define HK_BODY(verb, level)         HK_BODY__(verb, HK_T, level)

#define HK_DECODE HK_PASTE(hk_decode_, HK_T)
#define HK_BLOCK  struct HK_PASTE(hk_block_, HK_T)

/* Stretch s of a row of n_blocks blocks of 32. All have 8: the last one begins early enough, and blocks
 * below `first`, which the one before has too, count once. Only rows of less than 8 blocks differ. */
struct hk_b32_piece {
    size_t block, first, n_blocks;
};

HB_INLINE struct hk_b32_piece hk_b32_piece_of(size_t s, size_t n_blocks)
{
    if (HB_LIKELY(8 * s + 8 <= n_blocks))
        return (struct hk_b32_piece){8 * s, 0, 8};
    if (n_blocks < 8)
        return (struct hk_b32_piece){0, 0, n_blocks};
    return (struct hk_b32_piece){n_blocks - 8, 8 * s + 8 - n_blocks, 8};
}

#endif
