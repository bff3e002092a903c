/* Arenas: see the header for the picture. */
#include "base/hb_arena.h"
#include "base/hb_check.h"
#include <string.h>

#define ARENA_FIRST_CHUNK ((size_t)64 << 10)

struct hb_arena_chunk {
    struct hb_arena_chunk *next;
    size_t total; /* as asked from the hooks, header included */
};

void hb_arena_init_fixed(struct hb_arena *a, void *mem, size_t size)
{
    *a = (struct hb_arena){.base = mem, .size = mem ? size : 0};
}

void hb_arena_init_growing(struct hb_arena *a, const struct hb_alloc *hooks)
{
    *a = (struct hb_arena){.hooks = *hooks};
}

void hb_arena_init_on(struct hb_arena *a, void *mem, size_t size, const struct hb_alloc *hooks)
{
    *a = (struct hb_arena){.base = mem, .size = size, .hooks = *hooks};
}

/* Where a piece would start in the current chunk; false if it does not fit. */
static bool arena_place(const uint8_t *base, size_t size, size_t used, size_t n, size_t align,
                        size_t *start)
{
    if (!base)
        return false;
    size_t misfit = ((uintptr_t)base + used) & (align - 1);
    size_t at = used;
    if (misfit && !hb_add_size(used, align - misfit, &at))
        return false;
    if (at > size || n > size - at)
        return false;
    *start = at;
    return true;
}

/* Add a chunk that holds n bytes at the given alignment. Chunks double, so their number stays
 * small. */
static bool arena_grow(struct hb_arena *a, size_t n, size_t align)
{
    size_t want = a->size ? a->size : ARENA_FIRST_CHUNK / 2;
    size_t need;
    if (!hb_add_size(n, align + sizeof(struct hb_arena_chunk), &need))
        return false;
    if (!hb_mul_size(want, 2, &want) || want < need)
        want = need;
    struct hb_arena_chunk *chunk = a->hooks.alloc(a->hooks.user, want);
    if (!chunk && want > need) { /* doubling is a wish, the need is not */
        want = need;
        chunk = a->hooks.alloc(a->hooks.user, want);
    }
    if (!chunk)
        return false;
    chunk->next = a->chunks;
    chunk->total = want;
    a->chunks = chunk;
    a->below += a->used;
    a->base = (uint8_t *)chunk + sizeof *chunk;
    a->size = want - sizeof *chunk;
    a->used = 0;
    return true;
}

hearth_status hb_arena_take_raw(struct hb_arena *a, size_t n, size_t align, void **out,
                                hearth_error *err)
{
    size_t start;
    if (!hb_is_pow2(align))
        return hb_fail(err, HEARTH_E_INTERNAL, "arena: alignment %zu is no power of two", align);
    if (!arena_place(a->base, a->size, a->used, n, align, &start)) {
        if (!a->hooks.alloc)
            return hb_fail(err, HEARTH_E_MEMORY,
                           "arena: %zu more bytes asked, %zu of %zu are left", n,
                           a->size - a->used, a->size);
        if (!arena_grow(a, n, align))
            return hb_fail(err, HEARTH_E_MEMORY, "memory: the allocator refused %zu bytes", n);
        if (!arena_place(a->base, a->size, a->used, n, align, &start))
            return hb_fail(err, HEARTH_E_INTERNAL, "arena: a fresh chunk is too small");
    }
    *out = a->base + start;
    a->used = start + n;
    if (a->below + a->used > a->high)
        a->high = a->below + a->used;
    return HEARTH_OK;
}

hearth_status hb_arena_take(struct hb_arena *a, size_t n, size_t align, void **out,
                            hearth_error *err)
{
    void *p;
    HB_TRY(hb_arena_take_raw(a, n, align, &p, err));
    memset(p, 0, n);
    *out = p;
    return HEARTH_OK;
}

hearth_status hb_arena_take_array(struct hb_arena *a, size_t count, size_t elem_size, size_t align,
                                  void **out, hearth_error *err)
{
    size_t n;
    if (!hb_mul_size(count, elem_size, &n))
        return hb_fail(err, HEARTH_E_MEMORY, "arena: %zu elements of %zu bytes overflow", count,
                       elem_size);
    return hb_arena_take(a, n, align, out, err);
}

hearth_status hb_arena_text(struct hb_arena *a, const char *text, size_t len, const char **out,
                            hearth_error *err)
{
    size_t n;
    void *p;
    if (!hb_add_size(len, 1, &n))
        return hb_fail(err, HEARTH_E_MEMORY, "arena: text of %zu bytes", len);
    HB_TRY(hb_arena_take(a, n, 1, &p, err));
    if (len)
        memcpy(p, text, len);
    *out = p;
    return HEARTH_OK;
}

struct hb_arena_mark hb_arena_mark(const struct hb_arena *a)
{
    return (struct hb_arena_mark){a->used, a->generation};
}

void hb_arena_reset(struct hb_arena *a, struct hb_arena_mark mark)
{
    if (mark.used > a->used)
        return;
#if HEARTH_DEBUG
    if (a->used > mark.used) /* an empty arena may have no base */
        memset(a->base + mark.used, 0xA5, a->used - mark.used);
#endif
    a->used = mark.used;
    a->generation++;
}

bool hb_arena_alive(const struct hb_arena *a, struct hb_arena_mark mark)
{
    return mark.generation == a->generation;
}

size_t hb_arena_used(const struct hb_arena *a)
{
    return a->below + a->used;
}

size_t hb_arena_high(const struct hb_arena *a)
{
    return a->high;
}

void hb_arena_clear(struct hb_arena *a)
{
    struct hb_arena_chunk *keep = a->chunks;
    for (struct hb_arena_chunk *c = keep ? keep->next : NULL; c;) {
        struct hb_arena_chunk *next = c->next;
        a->hooks.free(a->hooks.user, c, c->total);
        c = next;
    }
    if (keep)
        keep->next = NULL;
    a->below = 0;
    hb_arena_reset(a, (struct hb_arena_mark){0});
}

void hb_arena_release(struct hb_arena *a)
{
    struct hb_alloc hooks = a->hooks;
    for (struct hb_arena_chunk *c = a->chunks; c;) {
        struct hb_arena_chunk *next = c->next;
        hooks.free(hooks.user, c, c->total);
        c = next;
    }
    *a = (struct hb_arena){.hooks = hooks, .high = a->high, .generation = a->generation + 1};
}

void hb_shared_arena_init(struct hb_shared_arena *a, void *mem, size_t size)
{
    a->base = mem;
    a->size = mem ? size : 0;
    atomic_init(&a->used, 0);
    atomic_init(&a->high, 0);
}

void *hb_shared_arena_take(struct hb_shared_arena *a, size_t n, size_t align)
{
    size_t used = atomic_load_explicit(&a->used, memory_order_relaxed);
    size_t start;
    do {
        if (!hb_is_pow2(align) || !arena_place(a->base, a->size, used, n, align, &start))
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&a->used, &used, start + n,
                                                    memory_order_relaxed, memory_order_relaxed));
    size_t high = atomic_load_explicit(&a->high, memory_order_relaxed);
    while (high < start + n &&
           !atomic_compare_exchange_weak_explicit(&a->high, &high, start + n, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
    return a->base + start;
}

void hb_shared_arena_reset(struct hb_shared_arena *a)
{
#if HEARTH_DEBUG
    memset(a->base, 0xA5, atomic_load(&a->used));
#endif
    atomic_store(&a->used, 0);
}
