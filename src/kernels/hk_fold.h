/* The 16 chains of the order contract (kernels.h), folded in ascending order. */
#ifndef HK_FOLD_H
#define HK_FOLD_H

#include "base/hb_port.h"

#define HK_CHAINS 16

HB_INLINE float hk_fold(const float c[HK_CHAINS])
{
    float sum = c[0];
    for (int i = 1; i < HK_CHAINS; i++)
        sum = sum + c[i];
    return sum;
}

#endif
