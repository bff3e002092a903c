/* Memory: ask, give, use, forget.
 *
 * An arena hands out zeroed, aligned pieces of one block from bottom to top; taking is a bump, and
 * everything is released together (or back to a mark). Three ways to feed it:
 *
 *   fixed     the caller's bytes; full means HEARTH_E_MEMORY with both numbers in the sentence
 *   growing   chunks from allocator hooks, for building an object whose size is not known before
 *             (a model being parsed). hb_arena_release gives every chunk back.
 *   shared    struct hb_shared_arena below: many threads take from one block, lock-free
 *
 *   +--------------------------------------------------------------+
 *   | taken ............................ | free                     |   one chunk
 *   +--------------------------------------------------------------+
 *   base (any address)                   used           high-water mark is kept over resets
 *
 * Addresses, not offsets, are aligned. All size arithmetic is checked. In debug builds a reset
 * fills the freed part with 0xA5 and raises the generation, so that hb_arena_alive can tell a
 * stale handle. */
#ifndef HB_ARENA_H
#define HB_ARENA_H

#include "base/hb_error.h"
#include <stdatomic.h>
#include <string.h>

#define HB_ARENA_ALIGN 64

/* Zeros over what somebody said, also where the compiler sees that nobody reads them: before a free. */
HB_INLINE void hb_wipe(void *p, size_t n)
{
#if defined(__GNUC__)
    if (n > 0)
        memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
#else
    volatile uint8_t *at = p;
    for (size_t i = 0; i < n; i++)
        at[i] = 0;
#endif
}

/* Allocator hooks of a host with a heap. free is told the size that alloc was asked for. alloc
 * returns memory aligned to 16 bytes at least, or NULL. */
struct hb_alloc {
    void *(*alloc)(void *user, size_t size);
    void (*free)(void *user, void *ptr, size_t size);
    void *user;
};

struct hb_arena_chunk;

struct hb_arena {
    uint8_t *base;      /* current chunk */
    size_t size;
    size_t used;
    size_t high;        /* most bytes ever in use, over all chunks */
    size_t below;       /* bytes used in earlier chunks (growing) */
    uint32_t generation;
    struct hb_alloc hooks;        /* growing only */
    struct hb_arena_chunk *chunks; /* growing only: newest first */
};

struct hb_arena_mark {
    size_t used;
    uint32_t generation;
};

void hb_arena_init_fixed(struct hb_arena *a, void *mem, size_t size);
void hb_arena_init_growing(struct hb_arena *a, const struct hb_alloc *hooks);
/* Growing, and the first piece is the caller's; hb_arena_release leaves that alone. */
void hb_arena_init_on(struct hb_arena *a, void *mem, size_t size, const struct hb_alloc *hooks);

/* n zeroed bytes at an address that is a multiple of align (a power of two). n = 0 gives a valid
 * pointer. HEARTH_E_MEMORY names what was asked and what is left. */
hearth_status hb_arena_take(struct hb_arena *a, size_t n, size_t align, void **out,
                            hearth_error *err);

/* The same without zeroing: for large blocks whose pages should not be touched before their use. */
hearth_status hb_arena_take_raw(struct hb_arena *a, size_t n, size_t align, void **out,
                                hearth_error *err);

/* count elements of a type, overflow-checked. */
hearth_status hb_arena_take_array(struct hb_arena *a, size_t count, size_t elem_size, size_t align,
                                  void **out, hearth_error *err);

#define HB_ARENA_NEW(arena, type, count, out, err)                                                 \
    hb_arena_take_array((arena), (count), sizeof(type), _Alignof(type), (void **)(void *)(out),    \
                        (err))

/* Copy text into the arena and terminate it. */
hearth_status hb_arena_text(struct hb_arena *a, const char *text, size_t len, const char **out,
                            hearth_error *err);

/* Temporaries: mark, take, reset to the mark. Fixed arenas only. */
struct hb_arena_mark hb_arena_mark(const struct hb_arena *a);
void hb_arena_reset(struct hb_arena *a, struct hb_arena_mark mark);
bool hb_arena_alive(const struct hb_arena *a, struct hb_arena_mark mark);

/* Forget everything, for the next use: a growing arena keeps its newest chunk and gives the others back.
 * Chunks double, so arenas used again for like amounts soon live in one and allocate no more. */
void hb_arena_clear(struct hb_arena *a);

/* Bytes in use now, and at the worst moment so far. */
size_t hb_arena_used(const struct hb_arena *a);
size_t hb_arena_high(const struct hb_arena *a);

/* Give every chunk of a growing arena back; a fixed arena only forgets. */
void hb_arena_release(struct hb_arena *a);

/* A block that concurrent requests take from: compare-exchange on one counter, no lock.
 * Reset only when nobody holds a piece. Pieces are not zeroed. */
struct hb_shared_arena {
    uint8_t *base;
    size_t size;
    _Atomic size_t used;
    _Atomic size_t high;
};

void hb_shared_arena_init(struct hb_shared_arena *a, void *mem, size_t size);
void *hb_shared_arena_take(struct hb_shared_arena *a, size_t n, size_t align); /* NULL when full */
void hb_shared_arena_reset(struct hb_shared_arena *a);

#endif
