/* What the ops of a mixture of experts share: where the parts of expert_order's output lie
 * (ops/op_route.c draws it). */
#ifndef HT_EXPERTS_H
#define HT_EXPERTS_H

#include "graph/ht_plan.h"

#define HT_MAX_EXPERTS 1024

struct ht_order {
    int32_t *n_active;
    int32_t *active; /* [n_experts] */
    int32_t *start;  /* [n_experts + 1] */
    int32_t *token;  /* [T * n_used] */
    int32_t *slot;   /* [T * n_used] */
};

HB_INLINE struct ht_order ht_order(const struct ht_tensor *t, int32_t n_experts)
{
    int32_t *at = (int32_t *)(void *)t->data;
    int64_t head = 2 + 2 * (int64_t)n_experts, pairs = (t->dim[0] - head) / 2;
    return (struct ht_order){at, at + 1, at + 1 + n_experts, at + head, at + head + pairs};
}

#endif
