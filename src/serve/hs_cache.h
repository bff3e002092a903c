/* Answers that are given again: texts of deterministic requests (temperature 0, or with a seed), by a digest of the
 * model, all parameters and the prompt's tokens.
 *
 * At most HS_CACHE_ENTRIES of HS_CACHE_BYTES together; the oldest makes room. An entry lives limits.cache_ms from when
 * it was made; being used does not prolong that. */
#ifndef HS_CACHE_H
#define HS_CACHE_H

#include "serve/hs_sha256.h"

struct hs_cache;

struct hs_cached {
    const char *text;
    size_t text_len;
    const uint32_t *tokens;
    size_t n_tokens;
    uint8_t reason;
};

struct hs_cache *hs_cache_open(uint64_t life_ns); /* NULL: no memory */
void hs_cache_close(struct hs_cache *c);          /* NULL is fine */
/* NULL: none. Until the next call. */
const struct hs_cached *hs_cache_find(struct hs_cache *c, const uint8_t key[HS_SHA256_BYTES], uint64_t now_ns);
/* Copied; without memory nothing happens. */
void hs_cache_put(struct hs_cache *c, const uint8_t key[HS_SHA256_BYTES], const struct hs_cached *answer,
                  uint64_t now_ns);

#endif
