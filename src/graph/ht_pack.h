/* Constant right sides of gemm as they are laid out ahead (ops/op_pack.c):
 *
 *   f32, bf16   panels [n / 32][k][32], the last filled up with zeros
 *   q8_0        tiles of 16 columns (kernels.h), k filled up to a multiple of 32 with zeros; the left side
 *               comes as activation rows of that length with a scale per 32 */
#ifndef HT_PACK_H
#define HT_PACK_H

#include "graph/ht_ops.h"
#include "graph/ht_plan.h"

#define HT_PANEL 32

/* k rows of n <= 32 columns, filled up with zeros. Strides in elements; any alignment. */
void ht_pack_panel(float *panel, const float *w, int64_t w_k, int64_t w_col, int64_t k, int64_t n);

HB_INLINE int64_t ht_pack_q8_k(int64_t k)
{
    return (k + HK_STRETCH_B32 - 1) / HK_STRETCH_B32 * HK_STRETCH_B32;
}

HB_INLINE int64_t ht_pack_q8_tile(int64_t k) /* bytes of 16 columns, a multiple of 64 */
{
    return (int64_t)(hk_tile_layout(&hk_qtype_info[HK_Q8_0], (size_t)ht_pack_q8_k(k)).bytes + 63) / 64 * 64;
}

HB_INLINE int64_t ht_pack_q8_row(int64_t k) /* bytes of a row of the left side */
{
    return (int64_t)hk_act_row_bytes((size_t)ht_pack_q8_k(k), HK_STRETCH_B32);
}

#endif
