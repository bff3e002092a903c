/* Words seen before and their ids: a table of fixed size inside the tokenizer, filled as texts are
 * encoded. The same word always has the same ids, so what is in it changes speed and nothing else.
 *
 *   entry:  version | length, count | key: the word's bytes, up to 24 | 8 ids      one cache line
 *           16 more ids, where a word of a rare script has them                    another
 *
 * Any number of threads read and write without locks. An entry is written between two changes of its
 * version, which is odd meanwhile; a reader that saw an odd version, or another one afterwards, has
 * not found the word. A writer that finds an entry being written leaves it. Every field is atomic:
 * acquire loads keep the reader's second look at the version behind what it read, and release stores
 * keep what is written behind the first change.
 * Source: Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012. */
#ifndef HV_CACHE_H
#define HV_CACHE_H

#include "base/hb_reader.h"
#include <stdatomic.h>

#define HV_CACHE_WORD 24 /* bytes of the longest word that is kept */
#define HV_CACHE_IDS  24 /* and most ids of one */
#define HV_CACHE_WAYS 4  /* places a word may have; which is looked at first depends on the word */

struct hv_cache_entry {
    HB_ALIGNAS(HB_CACHELINE) _Atomic uint32_t version; /* 0: empty */
    _Atomic uint16_t shape;                            /* length | count << 8 */
    _Atomic uint16_t used;                             /* since a new word last wanted its place */
    _Atomic uint64_t key[HV_CACHE_WORD / 8];
    _Atomic uint64_t ids[HV_CACHE_IDS / 2];            /* two each, the first in the low half */
};
_Static_assert(sizeof(struct hv_cache_entry) == 2 * HB_CACHELINE, "an entry is two lines");

struct hv_cache {
    struct hv_cache_entry *entries; /* [HV_CACHE_WAYS << bits]; NULL: no cache */
    uint32_t shift;                 /* 64 - bits */
};

struct hv_cache_key {
    uint64_t word[HV_CACHE_WORD / 8];
    uint32_t len;
    uint64_t hash;
};

/* The bytes as numbers, zeros behind them, without reading past the word. 1 <= len <= HV_CACHE_WORD. */
HB_INLINE void hv_cache_key_of(struct hv_cache_key *k, const uint8_t *p, size_t len)
{
    uint64_t a, b = 0, c = 0;
    if (len >= 8) {
        a = hb_load_u64le(p);
        if (len > 16) {
            b = hb_load_u64le(p + 8);
            c = hb_load_u64le(p + len - 8) >> (8 * (24 - len));
        } else if (len > 8) {
            b = hb_load_u64le(p + len - 8) >> (8 * (16 - len));
        }
    } else if (len >= 4) {
        a = hb_load_u32le(p) | (uint64_t)hb_load_u32le(p + len - 4) << (8 * (len - 4));
    } else {
        a = p[0] | (uint64_t)p[len >> 1] << (8 * (len >> 1)) | (uint64_t)p[len - 1] << (8 * (len - 1));
    }
    k->word[0] = a;
    k->word[1] = b;
    k->word[2] = c;
    k->len = (uint32_t)len;
    uint64_t h = a * 0x9E3779B97F4A7C15u + b * 0xC2B2AE3D27D4EB4Fu + c * 0x165667B19E3779F9u + len;
    h ^= h >> 32;
    k->hash = h * 0xD6E8FEB86659FD93u;
}

/* One way of an entry's set: the number of ids in out, 0 if the word is not there. */
HB_INLINE uint32_t hv_cache_look(const struct hv_cache_entry *e, const struct hv_cache_key *k,
                                 int32_t out[HV_CACHE_IDS])
{
    uint32_t version = atomic_load_explicit(&e->version, memory_order_acquire);
    uint32_t shape = atomic_load_explicit(&e->shape, memory_order_acquire);
    uint64_t differ = (shape & 255) ^ k->len;
    for (int i = 0; i < HV_CACHE_WORD / 8; i++)
        differ |= atomic_load_explicit(&e->key[i], memory_order_acquire) ^ k->word[i];
    if (differ | (version & 1))
        return 0;
    for (uint32_t i = 0; 2 * i < shape >> 8; i++) {
        uint64_t two = atomic_load_explicit(&e->ids[i], memory_order_acquire);
        out[2 * i] = (int32_t)(uint32_t)two;
        out[2 * i + 1] = (int32_t)(uint32_t)(two >> 32);
    }
    return atomic_load_explicit(&e->version, memory_order_relaxed) == version ? shape >> 8 : 0;
}

HB_INLINE struct hv_cache_entry *hv_cache_at(const struct hv_cache *c, const struct hv_cache_key *k,
                                             uint32_t way)
{
    size_t set = HV_CACHE_WAYS * (k->hash >> c->shift);
    return &c->entries[set + (((uint32_t)k->hash + way) & (HV_CACHE_WAYS - 1))];
}

HB_INLINE uint32_t hv_cache_get(const struct hv_cache *c, const struct hv_cache_key *k,
                                int32_t out[HV_CACHE_IDS])
{
    for (uint32_t way = 0; way < HV_CACHE_WAYS; way++) {
        struct hv_cache_entry *e = hv_cache_at(c, k, way);
        uint32_t n = hv_cache_look(e, k, out);
        if (n == 0)
            continue;
        if (!atomic_load_explicit(&e->used, memory_order_relaxed))
            atomic_store_explicit(&e->used, 1, memory_order_relaxed);
        return n;
    }
    return 0;
}

HB_INLINE void hv_cache_prefetch(const struct hv_cache *c, const struct hv_cache_key *k)
{
    HB_PREFETCH(hv_cache_at(c, k, 0));
}

/* Keep a word's ids, 1 <= n <= HV_CACHE_IDS, in place of another's. */
void hv_cache_put(const struct hv_cache *c, const struct hv_cache_key *k, const int32_t *ids,
                  uint32_t n);

#endif
