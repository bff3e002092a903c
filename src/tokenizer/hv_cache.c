/* Writing to the cache of words; hv_cache.h tells how. */
#include "tokenizer/hv_cache.h"

/* The place for a new word: the first of its set that was not used since it was asked last. Those
 * passed over are asked again next time. */
static struct hv_cache_entry *cache_way(const struct hv_cache *c, const struct hv_cache_key *k)
{
    for (uint32_t way = 0; way < HV_CACHE_WAYS; way++) {
        struct hv_cache_entry *e = hv_cache_at(c, k, way);
        if (!atomic_load_explicit(&e->used, memory_order_relaxed))
            return e;
        atomic_store_explicit(&e->used, 0, memory_order_relaxed);
    }
    return hv_cache_at(c, k, 0);
}

void hv_cache_put(const struct hv_cache *c, const struct hv_cache_key *k, const int32_t *ids,
                  uint32_t n)
{
    struct hv_cache_entry *e = cache_way(c, k);
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed);
    if ((version & 1) ||
        !atomic_compare_exchange_strong_explicit(&e->version, &version, version + 1,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return;
    atomic_store_explicit(&e->shape, (uint16_t)(k->len | n << 8), memory_order_release);
    for (int i = 0; i < HV_CACHE_WORD / 8; i++)
        atomic_store_explicit(&e->key[i], k->word[i], memory_order_release);
    for (uint32_t i = 0; i < n; i += 2) {
        uint64_t two = (uint32_t)ids[i];
        if (i + 1 < n)
            two |= (uint64_t)(uint32_t)ids[i + 1] << 32;
        atomic_store_explicit(&e->ids[i / 2], two, memory_order_release);
    }
    /* 0 would be empty again after 2^31 words */
    atomic_store_explicit(&e->version, version + 2 ? version + 2 : 2, memory_order_release);
}
