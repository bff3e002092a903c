/* Counting bytes and places without locks.
 *
 * A budget is one counter with a maximum. Taking is a compare-exchange from a sum that was checked, so
 * the counter never shows more than the maximum, not even for a moment, and a refused request leaves no
 * trace that could make another one fail.
 *
 * Slots are places 0..n-1 of a fixed-size pool, a bit each, set while the place is free. Taking clears
 * the lowest free bit of some word; there is no list, so no address comes back under a stale pointer
 * (ABA). */
#ifndef HB_BUDGET_H
#define HB_BUDGET_H

#include "base/hb_port.h"
#include <stdatomic.h>

struct hb_budget {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint64_t used;
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint64_t peak; /* most ever used */
    uint64_t max;
};

void hb_budget_init(struct hb_budget *b, uint64_t max);
bool hb_budget_take(struct hb_budget *b, uint64_t n); /* false: it would pass the maximum */
void hb_budget_give(struct hb_budget *b, uint64_t n); /* what was taken before */

HB_INLINE uint64_t hb_budget_used(const struct hb_budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}

#define HB_SLOT_WORDS 16
#define HB_MAX_SLOTS  (HB_SLOT_WORDS * 64)

struct hb_slots {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint64_t free[HB_SLOT_WORDS];
    uint32_t n;
};

void hb_slots_init(struct hb_slots *s, uint32_t n); /* n <= HB_MAX_SLOTS, all free */
int32_t hb_slots_take(struct hb_slots *s);          /* -1: none is free */
bool hb_slots_take_at(struct hb_slots *s, uint32_t i); /* this one, if it is free */
bool hb_slots_give(struct hb_slots *s, uint32_t i); /* false: it was free */
uint32_t hb_slots_in_use(const struct hb_slots *s);

#endif
