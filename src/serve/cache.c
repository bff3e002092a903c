/* A ring of answers in the order of their making: see hs_cache.h. A table of chains finds them by the first bits of
 * their keys. */
#include "serve/hs_cache.h"
#include "base/hb_arena.h"
#include "serve/hs_limits.h"
#include <stdlib.h>
#include <string.h>

#define CACHE_HEADS 2048

struct cache_entry {
    uint8_t key[HS_SHA256_BYTES];
    uint64_t made_ns;
    struct hs_cached answer; /* its text and tokens are one block */
    void *block;
    size_t bytes;
    uint32_t next; /* in its chain, + 1; 0: the end */
};

struct hs_cache {
    uint64_t life_ns;
    size_t bytes;
    uint32_t first, n; /* the ring: entries[(first + i) % HS_CACHE_ENTRIES] */
    uint32_t heads[CACHE_HEADS];
    struct cache_entry entries[HS_CACHE_ENTRIES];
};

struct hs_cache *hs_cache_open(uint64_t life_ns)
{
    struct hs_cache *c = calloc(1, sizeof *c);
    if (c)
        c->life_ns = life_ns;
    return c;
}

static uint32_t *cache_head(struct hs_cache *c, const uint8_t *key)
{
    return &c->heads[(key[0] | (uint32_t)key[1] << 8) % CACHE_HEADS];
}

static void cache_drop_first(struct hs_cache *c)
{
    struct cache_entry *e = &c->entries[c->first];
    uint32_t *at = cache_head(c, e->key);
    while (*at != c->first + 1)
        at = &c->entries[*at - 1].next;
    *at = e->next;
    hb_wipe(e->block, e->bytes);
    free(e->block);
    c->bytes -= e->bytes;
    c->first = (c->first + 1) % HS_CACHE_ENTRIES;
    c->n--;
}

static void cache_age(struct hs_cache *c, uint64_t now_ns)
{
    while (c->n && now_ns >= c->entries[c->first].made_ns + c->life_ns)
        cache_drop_first(c);
}

void hs_cache_close(struct hs_cache *c)
{
    while (c && c->n)
        cache_drop_first(c);
    free(c);
}

const struct hs_cached *hs_cache_find(struct hs_cache *c, const uint8_t key[HS_SHA256_BYTES], uint64_t now_ns)
{
    cache_age(c, now_ns);
    for (uint32_t at = *cache_head(c, key); at; at = c->entries[at - 1].next)
        if (memcmp(c->entries[at - 1].key, key, HS_SHA256_BYTES) == 0)
            return &c->entries[at - 1].answer;
    return NULL;
}

void hs_cache_put(struct hs_cache *c, const uint8_t key[HS_SHA256_BYTES], const struct hs_cached *answer,
                  uint64_t now_ns)
{
    size_t ids = answer->n_tokens * sizeof *answer->tokens, bytes = ids + answer->text_len;
    if (bytes == 0 || bytes > HS_CACHE_BYTES || hs_cache_find(c, key, now_ns))
        return;
    while (c->n == HS_CACHE_ENTRIES || c->bytes + bytes > HS_CACHE_BYTES)
        cache_drop_first(c);
    uint8_t *block = malloc(bytes);
    if (!block)
        return;
    uint32_t i = (c->first + c->n++) % HS_CACHE_ENTRIES;
    uint32_t *head = cache_head(c, key);
    struct cache_entry *e = &c->entries[i];
    *e = (struct cache_entry){.made_ns = now_ns, .answer = *answer, .block = block, .bytes = bytes, .next = *head};
    memcpy(e->key, key, sizeof e->key);
    if (ids)
        memcpy(block, answer->tokens, ids);
    if (answer->text_len)
        memcpy(block + ids, answer->text, answer->text_len);
    e->answer.tokens = (const uint32_t *)(const void *)block;
    e->answer.text = (const char *)block + ids;
    *head = i + 1;
    c->bytes += bytes;
}
