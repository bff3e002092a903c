/* The back end for machines without an operating system: memory, work and time come from the
 * caller, and whatever needs a system says that it is not there. */
#include "base/os/hb_os.h"

/* ---- what the product may define ---- */

/* Weak: a product that defines them has a clock and a source of seeds. */
__attribute__((weak)) uint64_t hearth_bare_now_ns(void)
{
    return 0;
}

__attribute__((weak)) void hearth_bare_random(void *dst, size_t n)
{
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i++)
        p[i] = 0;
}

hearth_status hb_os_file_open(const char *path, unsigned flags, size_t max_size,
                              struct hb_file *out, hearth_error *err)
{
    (void)path, (void)flags, (void)max_size, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "%s: this build has no files; open a model from bytes", path);
}

hearth_status hb_os_file_open_handle(int handle, const char *name, unsigned flags, size_t max_size,
                                     struct hb_file *out, hearth_error *err)
{
    (void)handle, (void)flags, (void)max_size, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "%s: this build has no files; open a model from bytes", name);
}

void hb_os_file_close(struct hb_file *file)
{
    *file = (struct hb_file){0};
}

void hb_os_file_forget(const struct hb_file *file)
{
    (void)file;
}

hearth_status hb_os_dir_open(const char *path, struct hb_dir *out, hearth_error *err)
{
    (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: this build has no files", path);
}

hearth_status hb_os_dir_open_handle(const struct hb_dir *dir, const char *location, int *handle,
                                    hearth_error *err)
{
    (void)dir, (void)handle;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: this build has no files", location);
}

bool hb_os_handle_stamp(int handle, struct hb_stamp *out)
{
    (void)handle, (void)out;
    return false;
}

void hb_os_handle_close(int handle)
{
    (void)handle;
}

hearth_status hb_os_dir_file_open(const struct hb_dir *dir, const char *location, unsigned flags,
                                  size_t max_size, struct hb_file *out, hearth_error *err)
{
    (void)dir, (void)flags, (void)max_size, (void)out;
    return hb_fail(err, HEARTH_E_UNSUPPORTED, "%s: this build has no files", location);
}

void hb_os_dir_close(struct hb_dir *dir)
{
    dir->handle = -1;
}

const struct hb_alloc *hb_os_heap(void)
{
    return NULL;
}

void *hb_os_block_alloc(size_t size)
{
    (void)size;
    return NULL;
}

void hb_os_block_free(void *ptr, size_t size)
{
    (void)ptr, (void)size;
}

bool hb_os_block_forget(void *ptr, size_t size)
{
    (void)ptr, (void)size;
    return false;
}

uint64_t hb_os_now_ns(void)
{
    return hearth_bare_now_ns();
}

void hb_os_random(void *dst, size_t n)
{
    hearth_bare_random(dst, n);
}

hearth_status hb_os_thread_start(struct hb_os_thread *t, void (*entry)(void *), void *arg,
                                 hearth_error *err)
{
    (void)t, (void)entry, (void)arg;
    return hb_fail(err, HEARTH_E_UNSUPPORTED,
                   "thread: this build has none; give a parallel-for hook or use one thread");
}

void hb_os_thread_join(struct hb_os_thread *t)
{
    (void)t;
}

void hb_os_wait(_Atomic uint32_t *word, uint32_t expected)
{
    (void)word, (void)expected;
}

void hb_os_wake(_Atomic uint32_t *word, int n)
{
    (void)word, (void)n;
}

bool hb_os_cpus_allowed(uint64_t mask[HB_CPU_WORDS])
{
    (void)mask;
    return false;
}

void hb_os_cpus(const char *root, struct hb_cpus *out)
{
    (void)root;
    *out = (struct hb_cpus){1, 1, 1, 0, 1};
}

bool hb_os_thread_bind(struct hb_os_thread *t, const uint64_t *mask, size_t n_words)
{
    (void)t, (void)mask, (void)n_words;
    return false;
}

uint64_t hb_os_memory_limit_at(const char *root)
{
    (void)root;
    return 0;
}

uint64_t hb_os_memory_limit(void)
{
    return 0;
}

/* ---- atomic operations on 64 bits ---- */

/* Where the machine has none, the compiler calls these. There is one thread, and of hearth an interrupt may
 * call hearth_session_cancel alone, which is a store of 32 bits. */
#if defined(__GNUC__) && !defined(__GCC_HAVE_SYNC_COMPARE_AND_SWAP_8)
#define BARE_ATOMIC(type, name, ...)                                                               \
    type bare_##name(__VA_ARGS__) __asm__("__atomic_" #name "_8");                                 \
    type bare_##name(__VA_ARGS__)

BARE_ATOMIC(uint64_t, load, const volatile uint64_t *p, int order)
{
    (void)order;
    return *p;
}

BARE_ATOMIC(void, store, volatile uint64_t *p, uint64_t v, int order)
{
    (void)order;
    *p = v;
}

BARE_ATOMIC(bool, compare_exchange, volatile uint64_t *p, uint64_t *expected, uint64_t v, int success,
            int failure)
{
    (void)success, (void)failure;
    uint64_t old = *p;
    bool same = old == *expected;
    if (same)
        *p = v;
    else
        *expected = old;
    return same;
}

#define BARE_FETCH(name, op)                                                                       \
    BARE_ATOMIC(uint64_t, fetch_##name, volatile uint64_t *p, uint64_t v, int order)               \
    {                                                                                              \
        (void)order;                                                                               \
        uint64_t old = *p;                                                                         \
        *p = old op v;                                                                             \
        return old;                                                                                \
    }
BARE_FETCH(add, +)
BARE_FETCH(sub, -)
BARE_FETCH(and, &)
BARE_FETCH(or, |)
#endif
