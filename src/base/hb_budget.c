/* Budgets and slots; see the header. Giving is a release and taking an acquire, so what the last holder
 * wrote (zeros) is there for the next. */
#include "base/hb_budget.h"

void hb_budget_init(struct hb_budget *b, uint64_t max)
{
    atomic_init(&b->used, 0);
    atomic_init(&b->peak, 0);
    b->max = max;
}

bool hb_budget_take(struct hb_budget *b, uint64_t n)
{
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed), sum;
    do {
        if (n > b->max || used > b->max - n)
            return false;
        sum = used + n;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, sum, memory_order_relaxed,
                                                    memory_order_relaxed));
    uint64_t peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
    while (peak < sum && !atomic_compare_exchange_weak_explicit(
                             &b->peak, &peak, sum, memory_order_relaxed, memory_order_relaxed)) {
    }
    return true;
}

void hb_budget_give(struct hb_budget *b, uint64_t n)
{
    atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed);
}

void hb_slots_init(struct hb_slots *s, uint32_t n)
{
    s->n = n;
    for (uint32_t w = 0; w < HB_SLOT_WORDS; w++) {
        uint32_t first = w * 64, here = n > first ? n - first : 0;
        atomic_init(&s->free[w], here >= 64 ? UINT64_MAX : ((uint64_t)1 << here) - 1);
    }
}

int32_t hb_slots_take(struct hb_slots *s)
{
    for (uint32_t w = 0; w * 64 < s->n; w++) {
        uint64_t bits = atomic_load_explicit(&s->free[w], memory_order_relaxed);
        while (bits) /* a failed exchange brings the bits up to date */
            if (atomic_compare_exchange_weak_explicit(&s->free[w], &bits, bits & (bits - 1),
                                                      memory_order_acquire, memory_order_relaxed))
                return (int32_t)(w * 64) + __builtin_ctzll(bits);
    }
    return -1;
}

bool hb_slots_take_at(struct hb_slots *s, uint32_t i)
{
    uint64_t bit = (uint64_t)1 << i % 64;
    return i < s->n && (atomic_fetch_and_explicit(&s->free[i / 64], ~bit, memory_order_acquire) & bit);
}

bool hb_slots_give(struct hb_slots *s, uint32_t i)
{
    uint64_t bit = (uint64_t)1 << i % 64;
    return i < s->n && !(atomic_fetch_or_explicit(&s->free[i / 64], bit, memory_order_release) & bit);
}

uint32_t hb_slots_in_use(const struct hb_slots *s)
{
    uint32_t n = s->n;
    for (uint32_t w = 0; w * 64 < s->n; w++)
        for (uint64_t bits = atomic_load_explicit(&s->free[w], memory_order_relaxed); bits; n--)
            bits &= bits - 1;
    return n;
}
