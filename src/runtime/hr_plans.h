/* Plans of a graph of tensors, kept by the shapes of the inputs they were made for.
 *
 *   | plan 3 | gap | plan 0 | plan 7 | gap ... |     one piece of memory; a plan is a stretch of it
 *
 * How much a plan takes is known when it is made: it is made in the largest gap, and keeps what it took.
 * Where that is too little, the plan that was not used for longest goes, and the next try has its room. */
#ifndef HR_PLANS_H
#define HR_PLANS_H

#include "graph/ht_exec.h"

#define HR_MAX_PLANS 64

struct hr_plan {
    struct ht_tensor *inputs; /* [n_inputs]: the key */
    struct ht_frame *frame;
    size_t begin, end;        /* in the memory */
    uint64_t used;            /* the clock, when it was asked for last */
};

struct hr_plans {
    uint8_t *base;
    size_t size;
    struct hr_plan at[HR_MAX_PLANS]; /* by begin */
    uint32_t n;
    uint64_t clock;
    size_t last_bytes;  /* of the plan made last: the next one is about as large */
    uint64_t made;      /* so far */
};

void hr_plans_init(struct hr_plans *p, void *base, size_t size);
/* The plan for these inputs, now the one used last; NULL if there is none. */
struct ht_frame *hr_plans_find(struct hr_plans *p, const struct ht_tensor *inputs, uint32_t n_inputs);
/* Drop the plan that was not used for longest; false if there is none. */
bool hr_plans_evict(struct hr_plans *p);
/* Make room for one more like the last and give the largest gap as an arena. */
void hr_plans_gap(struct hr_plans *p, struct hb_arena *gap);
/* Keep what was made in that gap. */
void hr_plans_keep(struct hr_plans *p, const struct hb_arena *gap, struct ht_tensor *inputs,
                   struct ht_frame *frame);

#endif
