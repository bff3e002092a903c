/* hearth_memory: how much may be in use, and the pools that calls take from.
 *
 *   budget ── one counter for all that is allocated through it
 *   calls  ── n arenas; each begins with a block that is made at its first use, kept and wiped
 *   buffers ─ n pieces of 4 KiB in one block
 *
 * Everything is wiped before it is given back, so the bytes of one request are not there for the next;
 * and memory that nobody holds is zeros, which is why trimming may drop its pages. */
#include "runtime/hr_memory.h"
#include "runtime/hr_model.h"
#include "base/hb_budget.h"
#include "base/hb_check.h"
#include "base/os/hb_os.h"
#include <string.h>

#define MEMORY_MAX_BYTES  ((uint64_t)2 << 30)
#define MEMORY_CALL_LIMIT ((uint64_t)1 << 30)
#define MEMORY_CALL_BYTES ((uint64_t)256 << 10)
#define MEMORY_CALLS      16
#define MEMORY_BUFFERS    64

struct hearth_memory {
    struct hb_budget budget;
    struct hb_slots calls, buffers;
    _Atomic uint64_t refusals;
    uint64_t max_call_bytes;
    size_t call_bytes;
    bool from_os; /* no allocator was given */
    struct hb_alloc hooks;
    uint8_t *buffer_block;
    void *block; /* as the hooks gave it */
    size_t bytes;
    struct hr_call call[];
};

/* ---- memory for anything ---- */

static bool memory_take(struct hearth_memory *m, uint64_t bytes)
{
    if (hb_budget_take(&m->budget, bytes))
        return true;
    atomic_fetch_add_explicit(&m->refusals, 1, memory_order_relaxed);
    return false;
}

static void *memory_alloc(void *user, size_t size)
{
    struct hearth_memory *m = user;
    if (!memory_take(m, size))
        return NULL;
    void *p = m->hooks.alloc(m->hooks.user, size);
    if (!p)
        hb_budget_give(&m->budget, size);
    return p;
}

static void memory_free(void *user, void *p, size_t size)
{
    struct hearth_memory *m = user;
    if (!p)
        return;
    m->hooks.free(m->hooks.user, p, size);
    hb_budget_give(&m->budget, size);
}

hearth_allocator hearth_memory_allocator(hearth_memory *memory)
{
    return (hearth_allocator){memory_alloc, memory_free, memory};
}

static void *memory_block_alloc(void *user, size_t size)
{
    struct hearth_memory *m = user;
    if (!memory_take(m, size))
        return NULL;
    void *p = hb_os_block_alloc(size);
    if (!p)
        hb_budget_give(&m->budget, size);
    return p;
}

static void memory_block_free(void *user, void *p, size_t size)
{
    struct hearth_memory *m = user;
    if (!p)
        return;
    hb_os_block_free(p, size);
    hb_budget_give(&m->budget, size);
}

hearth_allocator hr_memory_blocks(hearth_memory *memory)
{
    return memory->from_os ? (hearth_allocator){memory_block_alloc, memory_block_free, memory}
                           : hearth_memory_allocator(memory);
}

hearth_status hr_memory_hooks(hearth_memory *memory, const hearth_allocator *allocator,
                              struct hb_alloc *hooks, hearth_error *err)
{
    hearth_allocator of_memory = hearth_memory_allocator(memory);
    bool plain = memory && !(allocator && (allocator->alloc || allocator->free));
    return hr_hooks(plain ? &of_memory : allocator, hooks, err);
}

hearth_status hr_memory_fits(const hearth_memory *m, const char *what, uint64_t bytes,
                             hearth_error *err)
{
    uint64_t used = m ? hb_budget_used(&m->budget) : 0;
    if (!m || (bytes <= m->budget.max && used <= m->budget.max - bytes))
        return HEARTH_OK;
    return hb_fail(err, HEARTH_E_LIMIT, "%s: it needs %llu bytes and %llu are in use; the limit is %llu",
                   what, (unsigned long long)bytes, (unsigned long long)used,
                   (unsigned long long)m->budget.max);
}

uint64_t hr_memory_call_limit(const hearth_memory *m)
{
    return m ? m->max_call_bytes : UINT64_MAX;
}

/* ---- calls ---- */

static void *call_alloc(void *user, size_t size)
{
    struct hr_call *c = user;
    uint64_t limit = c->memory->max_call_bytes - c->memory->call_bytes;
    c->refused_by_call = size > limit || c->more > limit - size;
    if (c->refused_by_call) {
        atomic_fetch_add_explicit(&c->memory->refusals, 1, memory_order_relaxed);
        c->refused = size;
        return NULL;
    }
    void *p = memory_alloc(c->memory, size);
    c->refused = p ? 0 : size; /* a smaller wish may follow a refused one */
    c->more += p ? size : 0;
    return p;
}

static void call_free(void *user, void *p, size_t size)
{
    struct hr_call *c = user;
    hb_wipe(p, size);
    c->more -= size;
    memory_free(c->memory, p, size);
}

/* Count the block of a call, and make it where it is not there yet. */
static hearth_status call_block(struct hearth_memory *m, struct hr_call *c, hearth_error *err)
{
    if (c->resident)
        return HEARTH_OK;
    HB_TRY(hr_memory_fits(m, "call", m->call_bytes, err));
    if (!memory_take(m, m->call_bytes))
        return hb_fail(err, HEARTH_E_LIMIT, "call: its %zu bytes would pass the limit of %llu",
                       m->call_bytes, (unsigned long long)m->budget.max);
    if (!c->block) {
        c->block = m->from_os ? hb_os_block_alloc(m->call_bytes)
                              : m->hooks.alloc(m->hooks.user, m->call_bytes);
        if (c->block && !m->from_os)
            memset(c->block, 0, m->call_bytes);
    }
    if (!c->block) {
        hb_budget_give(&m->budget, m->call_bytes);
        return hb_fail(err, HEARTH_E_MEMORY, "call: the allocator refused %zu bytes", m->call_bytes);
    }
    c->resident = true;
    return HEARTH_OK;
}

hearth_status hr_call_begin(hearth_memory *m, const struct hb_alloc *hooks, struct hr_call *own,
                            struct hr_call **call, hearth_error *err)
{
    if (!m) {
        *own = (struct hr_call){.memory = NULL};
        hb_arena_init_growing(&own->arena, hooks);
        *call = own;
        return HEARTH_OK;
    }
    int32_t i = hb_slots_take(&m->calls);
    if (i < 0) {
        atomic_fetch_add_explicit(&m->refusals, 1, memory_order_relaxed);
        return hb_fail(err, HEARTH_E_LIMIT, "call: all of the %u places for calls are taken",
                       m->calls.n);
    }
    struct hr_call *c = &m->call[i];
    hearth_status status = call_block(m, c, err);
    if (status != HEARTH_OK) {
        hb_slots_give(&m->calls, (uint32_t)i);
        return status;
    }
    c->refused = 0;
    hb_arena_init_on(&c->arena, c->block, m->call_bytes, &(struct hb_alloc){call_alloc, call_free, c});
    *call = c;
    return HEARTH_OK;
}

hearth_status hr_call_end(struct hr_call *c, hearth_status status, hearth_error *err)
{
    struct hearth_memory *m = c->memory;
    if (m && status == HEARTH_E_MEMORY && c->refused)
        status = hb_fail(err, HEARTH_E_LIMIT,
                         "call: %llu bytes more were asked and %llu are in use; the limit is %llu%s",
                         (unsigned long long)c->refused,
                         (unsigned long long)(c->refused_by_call ? m->call_bytes + c->more
                                                                 : hb_budget_used(&m->budget)),
                         (unsigned long long)(c->refused_by_call ? m->max_call_bytes : m->budget.max),
                         c->refused_by_call ? " for one call" : "");
    /* of the block only what was used; an arena that grew had used it up */
    size_t used = !m ? 0 : c->arena.chunks ? m->call_bytes : hb_arena_used(&c->arena);
    hb_arena_release(&c->arena);
    if (m) {
        hb_wipe(c->block, used);
        hb_slots_give(&m->calls, (uint32_t)(c - m->call));
    }
    return status;
}

/* ---- buffers ---- */

hearth_status hearth_memory_take_buffer(hearth_memory *m, void **buffer, hearth_error *err)
{
    int32_t i = hb_slots_take(&m->buffers);
    if (i < 0) {
        atomic_fetch_add_explicit(&m->refusals, 1, memory_order_relaxed);
        return hb_fail(err, HEARTH_E_LIMIT, "buffer: all of the %u buffers of %d bytes are taken",
                       m->buffers.n, HEARTH_BUFFER_BYTES);
    }
    *buffer = m->buffer_block + (size_t)i * HEARTH_BUFFER_BYTES;
    return HEARTH_OK;
}

hearth_status hearth_memory_give_buffer(hearth_memory *m, void *buffer, hearth_error *err)
{
    size_t off = (size_t)((uintptr_t)buffer - (uintptr_t)m->buffer_block), i = off / HEARTH_BUFFER_BYTES;
    if (off % HEARTH_BUFFER_BYTES || i >= m->buffers.n)
        return hb_fail(err, HEARTH_E_ARGUMENT, "buffer: it is none of this memory's");
    hb_wipe(buffer, HEARTH_BUFFER_BYTES);
    if (!hb_slots_give(&m->buffers, (uint32_t)i))
        return hb_fail(err, HEARTH_E_STATE, "buffer: number %zu was given back before", i);
    return HEARTH_OK;
}

/* ---- the object ---- */

uint64_t hearth_memory_used(const hearth_memory *m)
{
    return hb_budget_used(&m->budget);
}

void hearth_memory_get_info(const hearth_memory *m, hearth_memory_info *info)
{
    const hearth_memory_info full = {
        .struct_size = info->struct_size,
        .n_calls = hb_slots_in_use(&m->calls),
        .n_buffers = hb_slots_in_use(&m->buffers),
        .used_bytes = hb_budget_used(&m->budget),
        .peak_bytes = atomic_load_explicit(&m->budget.peak, memory_order_relaxed),
        .max_bytes = m->budget.max,
        .max_call_bytes = m->max_call_bytes,
        .refusals = atomic_load_explicit(&m->refusals, memory_order_relaxed),
    };
    memcpy(info, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}

/* A call's block loses its pages and stays counted no more; without pages of our own it is freed. */
static uint64_t memory_trim_call(struct hearth_memory *m, struct hr_call *c)
{
    if (!c->resident)
        return 0;
    if (!m->from_os) {
        m->hooks.free(m->hooks.user, c->block, m->call_bytes);
        c->block = NULL;
    } else if (!hb_os_block_forget(c->block, m->call_bytes)) {
        return 0;
    }
    c->resident = false;
    hb_budget_give(&m->budget, m->call_bytes);
    return m->call_bytes;
}

uint64_t hearth_memory_trim(hearth_memory *m)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->calls.n; i++)
        if (hb_slots_take_at(&m->calls, i)) {
            bytes += memory_trim_call(m, &m->call[i]);
            hb_slots_give(&m->calls, i);
        }
    for (uint32_t i = 0; m->from_os && i < m->buffers.n; i++)
        if (hb_slots_take_at(&m->buffers, i)) {
            hb_os_block_forget(m->buffer_block + (size_t)i * HEARTH_BUFFER_BYTES,
                               HEARTH_BUFFER_BYTES);
            hb_slots_give(&m->buffers, i);
        }
    return bytes;
}

static hearth_status memory_config(const hearth_memory_config *in, hearth_memory_config *c,
                                   hearth_error *err)
{
    *c = (hearth_memory_config){.struct_size = sizeof *c};
    if (in)
        memcpy(c, in, in->struct_size < sizeof *c ? in->struct_size : sizeof *c);
    c->n_calls = c->n_calls ? c->n_calls : MEMORY_CALLS;
    c->n_buffers = c->n_buffers ? c->n_buffers : MEMORY_BUFFERS;
    c->max_bytes = c->max_bytes ? c->max_bytes : MEMORY_MAX_BYTES;
    c->max_call_bytes = c->max_call_bytes ? c->max_call_bytes : MEMORY_CALL_LIMIT;
    c->call_bytes = c->call_bytes ? c->call_bytes : MEMORY_CALL_BYTES;
    if (c->call_bytes > c->max_call_bytes)
        c->call_bytes = c->max_call_bytes;
    if (c->n_calls > HB_MAX_SLOTS || c->n_buffers > HB_MAX_SLOTS)
        return hb_fail(err, HEARTH_E_RANGE, "memory: %u calls and %u buffers; up to %d are accepted",
                       c->n_calls, c->n_buffers, HB_MAX_SLOTS);
    if (c->call_bytes < 4096 || c->call_bytes > SIZE_MAX / 2)
        return hb_fail(err, HEARTH_E_RANGE, "memory: %llu bytes for a call; 4096 or more are accepted",
                       (unsigned long long)c->call_bytes);
    return HEARTH_OK;
}

hearth_status hearth_memory_open(const hearth_memory_config *config, hearth_memory **memory,
                                 hearth_error *err)
{
    hearth_memory_config c;
    struct hb_alloc hooks;
    HB_TRY(memory_config(config, &c, err));
    HB_TRY(hr_hooks(&c.allocator, &hooks, err));
    size_t bytes = sizeof(struct hearth_memory) + c.n_calls * sizeof(struct hr_call) + HB_CACHELINE;
    size_t buffers = (size_t)c.n_buffers * HEARTH_BUFFER_BYTES;
    if (bytes + buffers > c.max_bytes)
        return hb_fail(err, HEARTH_E_LIMIT, "memory: its buffers take %zu bytes; the limit is %llu",
                       bytes + buffers, (unsigned long long)c.max_bytes);
    void *block = hooks.alloc(hooks.user, bytes);
    if (!block)
        return hb_fail(err, HEARTH_E_MEMORY, "memory: the allocator refused %zu bytes", bytes);
    struct hearth_memory *m =
        (void *)((uint8_t *)block + (HB_CACHELINE - (uintptr_t)block % HB_CACHELINE) % HB_CACHELINE);
    memset(m, 0, bytes - HB_CACHELINE);
    m->hooks = hooks;
    m->bytes = bytes;
    m->block = block;
    m->from_os = !c.allocator.alloc;
    m->max_call_bytes = c.max_call_bytes;
    m->call_bytes = (size_t)c.call_bytes;
    m->buffer_block = m->from_os ? hb_os_block_alloc(buffers) : hooks.alloc(hooks.user, buffers);
    if (!m->buffer_block) {
        hooks.free(hooks.user, block, bytes);
        return hb_fail(err, HEARTH_E_MEMORY, "memory: the allocator refused %zu bytes", buffers);
    }
    memset(m->buffer_block, 0, m->from_os ? 0 : buffers);
    hb_budget_init(&m->budget, c.max_bytes);
    hb_budget_take(&m->budget, bytes + buffers);
    hb_slots_init(&m->calls, c.n_calls);
    hb_slots_init(&m->buffers, c.n_buffers);
    for (uint32_t i = 0; i < c.n_calls; i++)
        m->call[i].memory = m;
    *memory = m;
    return HEARTH_OK;
}

void hearth_memory_close(hearth_memory *m)
{
    if (!m)
        return;
    struct hb_alloc hooks = m->hooks;
    size_t buffers = (size_t)m->buffers.n * HEARTH_BUFFER_BYTES;
    for (uint32_t i = 0; i < m->calls.n; i++)
        if (m->call[i].block && m->from_os)
            hb_os_block_free(m->call[i].block, m->call_bytes);
        else if (m->call[i].block)
            hooks.free(hooks.user, m->call[i].block, m->call_bytes);
    if (m->from_os)
        hb_os_block_free(m->buffer_block, buffers);
    else
        hooks.free(hooks.user, m->buffer_block, buffers);
    hooks.free(hooks.user, m->block, m->bytes);
}
