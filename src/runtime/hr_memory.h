/* The memory of one call: an arena that comes from a hearth_memory where the host gave one, and from
 * allocator hooks where not. */
#ifndef HR_MEMORY_H
#define HR_MEMORY_H

#include "base/hb_arena.h"

struct hr_call {
    struct hb_arena arena; /* grows */
    hearth_memory *memory; /* NULL: the arena is on plain hooks */
    uint8_t *block;        /* what the arena begins with, kept between calls; NULL: not made yet */
    bool resident;         /* the block is counted */
    uint64_t more;         /* bytes of this call beyond the block */
    uint64_t refused;      /* bytes that a limit refused, 0: none */
    bool refused_by_call;  /* by the limit of a call, not of all */
};

/* `own` is used without a memory. HEARTH_E_LIMIT: all calls are taken, or the block would pass the
 * limit. */
hearth_status hr_call_begin(hearth_memory *memory, const struct hb_alloc *hooks, struct hr_call *own,
                            struct hr_call **call, hearth_error *err);

/* Wipe and give back. Hands `status` on; a refusal by a limit becomes HEARTH_E_LIMIT with the numbers. */
hearth_status hr_call_end(struct hr_call *call, hearth_status status, hearth_error *err);

/* Would `bytes` more fit? HEARTH_E_LIMIT with both numbers and the name of what asks. memory may be
 * NULL: anything fits. */
hearth_status hr_memory_fits(const hearth_memory *memory, const char *what, uint64_t bytes,
                             hearth_error *err);
/* Hooks for a session's block: of the system, on huge pages, where the memory has no allocator of its
 * own. */
hearth_allocator hr_memory_blocks(hearth_memory *memory);
uint64_t hr_memory_call_limit(const hearth_memory *memory);

/* The hooks for an object: those it was configured with, else those of the memory. */
hearth_status hr_memory_hooks(hearth_memory *memory, const hearth_allocator *allocator,
                              struct hb_alloc *hooks, hearth_error *err);

#endif
