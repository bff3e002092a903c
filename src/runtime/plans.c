/* The cache of plans; the picture is in the header. */
#include "runtime/hr_plans.h"
#include <string.h>

void hr_plans_init(struct hr_plans *p, void *base, size_t size)
{
    *p = (struct hr_plans){.base = base, .size = size};
}

static bool plans_match(const struct ht_tensor *a, const struct ht_tensor *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].type != b[i].type || a[i].rank != b[i].rank ||
            memcmp(a[i].dim, b[i].dim, sizeof a[i].dim) != 0)
            return false;
    return true;
}

struct ht_frame *hr_plans_find(struct hr_plans *p, const struct ht_tensor *inputs, uint32_t n_inputs)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (plans_match(p->at[i].inputs, inputs, n_inputs)) {
            p->at[i].used = ++p->clock;
            return p->at[i].frame;
        }
    return NULL;
}

bool hr_plans_evict(struct hr_plans *p)
{
    uint32_t oldest = 0;
    if (p->n == 0)
        return false;
    for (uint32_t i = 1; i < p->n; i++)
        if (p->at[i].used < p->at[oldest].used)
            oldest = i;
    p->n--;
    memmove(&p->at[oldest], &p->at[oldest + 1], (p->n - oldest) * sizeof *p->at);
    return true;
}

static size_t plans_largest(const struct hr_plans *p, size_t *begin)
{
    size_t largest = 0, from = 0;
    *begin = 0;
    for (uint32_t i = 0; i <= p->n; i++) {
        size_t to = i < p->n ? p->at[i].begin : p->size;
        if (to - from > largest) {
            largest = to - from;
            *begin = from;
        }
        from = i < p->n ? p->at[i].end : from;
    }
    return largest;
}

void hr_plans_gap(struct hr_plans *p, struct hb_arena *gap)
{
    size_t begin;
    while ((p->n == HR_MAX_PLANS || plans_largest(p, &begin) < p->last_bytes) && hr_plans_evict(p))
        continue;
    size_t size = plans_largest(p, &begin);
    hb_arena_init_fixed(gap, p->base + begin, size);
}

void hr_plans_keep(struct hr_plans *p, const struct hb_arena *gap, struct ht_tensor *inputs,
                   struct ht_frame *frame)
{
    size_t begin = (size_t)(gap->base - p->base), bytes = (hb_arena_used(gap) + 63) / 64 * 64;
    uint32_t at = 0;
    bytes = bytes < gap->size ? bytes : gap->size;
    while (at < p->n && p->at[at].begin < begin)
        at++;
    memmove(&p->at[at + 1], &p->at[at], (p->n - at) * sizeof *p->at);
    p->at[at] = (struct hr_plan){inputs, frame, begin, begin + bytes, ++p->clock};
    p->n++;
    p->last_bytes = bytes;
    p->made++;
}
