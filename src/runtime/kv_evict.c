/* Eviction: sequences are running or idle, and idle ones give their pages up when others need them.
 *
 * The policy chooses a sequence; it loses pages from its end until enough are free, so that what is
 * left of it is still the beginning of its text. Then the next one is chosen. Pages that running
 * sequences share stay. A sequence with a hole behind its sink goes whole: without its end it is not
 * the beginning of anything. */
#include "runtime/hr_kv.h"

void hr_kv_touch(struct hr_kv *kv, int32_t seq)
{
    kv->seqs[seq].uses++;
    kv->seqs[seq].used_at = ++kv->clock;
}

void hr_kv_use(struct hr_kv *kv, int32_t seq)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (!s->idle)
        return;
    s->idle = false;
    if (s->length == 0)
        s->uses = 0; /* another life */
    hr_kv_touch(kv, seq);
}

void hr_kv_release(struct hr_kv *kv, int32_t seq)
{
    struct hr_seq *s = &kv->seqs[seq];
    if (s->idle)
        return;
    s->idle = true;
    s->used_at = s->idle_at = ++kv->clock;
}

/* Does a go before b? Ticks are never equal, uses may be. */
static bool evict_first_lru(const struct hr_seq *a, const struct hr_seq *b)
{
    return a->used_at < b->used_at;
}

static bool evict_first_fifo(const struct hr_seq *a, const struct hr_seq *b)
{
    return a->idle_at < b->idle_at;
}

static bool evict_first_lfu(const struct hr_seq *a, const struct hr_seq *b)
{
    return a->uses != b->uses ? a->uses < b->uses : a->used_at < b->used_at;
}

typedef bool evict_before_fn(const struct hr_seq *a, const struct hr_seq *b);

static evict_before_fn *const evict_before[] = {
    [HEARTH_EVICT_LRU] = evict_first_lru,
    [HEARTH_EVICT_FIFO] = evict_first_fifo,
    [HEARTH_EVICT_LFU] = evict_first_lfu,
};

int32_t hr_kv_victim(const struct hr_kv *kv)
{
    int32_t victim = -1;
    for (int32_t i = 0; i < kv->n_seqs; i++)
        if (kv->seqs[i].idle && kv->seqs[i].length > 0 &&
            (victim < 0 || evict_before[kv->policy](&kv->seqs[i], &kv->seqs[victim])))
            victim = i;
    return victim;
}

uint32_t hr_kv_evictable(const struct hr_kv *kv)
{
    uint32_t n = 0;
    for (int32_t i = 0; i < kv->n_seqs; i++)
        for (uint32_t j = 0; kv->seqs[i].idle && j < hr_kv_pages_held(&kv->seqs[i]); j++) {
            uint32_t page = kv->seqs[i].pages[j];
            n += ++kv->seen[page] == kv->owners[page];
        }
    for (int32_t i = 0; i < kv->n_seqs; i++)
        for (uint32_t j = 0; kv->seqs[i].idle && j < hr_kv_pages_held(&kv->seqs[i]); j++)
            kv->seen[kv->seqs[i].pages[j]] = 0;
    return n;
}

bool hr_kv_make_room(struct hr_kv *kv, uint32_t pages)
{
    if (pages <= kv->n_free)
        return true;
    if (pages - kv->n_free > hr_kv_evictable(kv))
        return false;
    while (kv->n_free < pages) {
        int32_t seq = hr_kv_victim(kv);
        struct hr_seq *s = &kv->seqs[seq];
        uint32_t before = kv->n_free;
        while (s->length > 0 && (kv->n_free < pages || s->dropped > 0))
            hr_kv_trim(kv, seq, s->dropped ? 0 : (s->length - 1) / HK_KV_PAGE * HK_KV_PAGE);
        kv->count.evictions++;
        kv->count.evicted_pages += kv->n_free - before;
    }
    return true;
}
