/* Everything hearth asks of an operating system. One back end is compiled in: os_posix.c, or
 * os_bare.c for machines without one, where each function that needs a system answers
 * HEARTH_E_UNSUPPORTED. cpu_features.c serves both. */
#ifndef HB_OS_H
#define HB_OS_H

#include "base/hb_error.h"
#include "base/hb_arena.h"
#include <stdatomic.h>

/* ---- files ---- */

enum hb_map_flags {
    HB_MAP_POPULATE = 1u << 0, /* read all pages in now */
    HB_MAP_LOCK = 1u << 1,     /* keep them in memory; refusal is an error */
    HB_MAP_NO_MMAP = 1u << 2,  /* read into private memory instead of mapping */
};

struct hb_file {
    const uint8_t *bytes;
    size_t size;
    bool mapped; /* else heap */
};

/* Map a regular file read-only; its size is taken from the open descriptor. FIFOs, directories,
 * devices, sockets and empty files are refused. `max_size` bounds what is accepted, 0 = no bound. */
hearth_status hb_os_file_open(const char *path, unsigned flags, size_t max_size,
                              struct hb_file *out, hearth_error *err);
/* The same of an open descriptor, which stays the caller's; `name` is for sentences. */
hearth_status hb_os_file_open_handle(int handle, const char *name, unsigned flags, size_t max_size,
                                     struct hb_file *out, hearth_error *err);
void hb_os_file_close(struct hb_file *file);
/* Pages of a mapping leave the process and are read again from the system's cache when they are touched. */
void hb_os_file_forget(const struct hb_file *file);

/* A directory whose files may be opened, and nothing outside of it. */
struct hb_dir {
    int handle; /* -1: closed */
};

hearth_status hb_os_dir_open(const char *path, struct hb_dir *out, hearth_error *err);
/* `location` is relative, "a/b.bin": each step is opened from the one before and none may be a link.
 * open_handle gives a descriptor, of anything that is there; release with hb_os_handle_close. */
hearth_status hb_os_dir_open_handle(const struct hb_dir *dir, const char *location, int *handle,
                                    hearth_error *err);
void hb_os_handle_close(int handle); /* -1 is fine */

/* What tells that a file is still the one it was, and was not written to. */
struct hb_stamp {
    uint64_t size, number, written_ns;
};
bool hb_os_handle_stamp(int handle, struct hb_stamp *out);
hearth_status hb_os_dir_file_open(const struct hb_dir *dir, const char *location, unsigned flags,
                                  size_t max_size, struct hb_file *out, hearth_error *err);
void hb_os_dir_close(struct hb_dir *dir);

/* ---- memory ---- */

/* malloc and free behind the hooks; NULL hooks where there is no heap. */
const struct hb_alloc *hb_os_heap(void);

/* A large zeroed block, 64-byte aligned, on huge pages where the system gives them. */
void *hb_os_block_alloc(size_t size);
void hb_os_block_free(void *ptr, size_t size);
/* Give a block's pages back and keep its addresses; they read as zero then. False: not possible. */
bool hb_os_block_forget(void *ptr, size_t size);

/* Bytes this process may use: the cgroup's limit or the machine's memory; 0 where unknown. The
 * second looks below a directory that is laid out like a machine, for tests. */
uint64_t hb_os_memory_limit(void);
uint64_t hb_os_memory_limit_at(const char *root);

/* ---- time ---- */

uint64_t hb_os_now_ns(void); /* monotonic; 0 for ever on bare machines without a clock hook */
void hb_os_random(void *dst, size_t n); /* for default seeds; not for secrets */

/* ---- threads ---- */

#define HB_OS_THREAD_BYTES 64
struct hb_os_thread {
    HB_ALIGNAS(16) uint8_t opaque[HB_OS_THREAD_BYTES];
};

hearth_status hb_os_thread_start(struct hb_os_thread *t, void (*entry)(void *), void *arg,
                                 hearth_error *err);
void hb_os_thread_join(struct hb_os_thread *t);

/* Sleep while *word == expected; wakes spuriously too. Wake up to n sleepers. */
void hb_os_wait(_Atomic uint32_t *word, uint32_t expected);
void hb_os_wake(_Atomic uint32_t *word, int n);

/* One spin-loop iteration's hint to the core. */
HB_INLINE void hb_os_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#define HB_CPU_WORDS 16 /* CPU masks of 1024 bits */

/* The CPUs that the calling thread may run on; false where the system does not tell. */
bool hb_os_cpus_allowed(uint64_t mask[HB_CPU_WORDS]);

/* Bind a thread, or the calling one for NULL, to the CPUs of a mask; false where the system refuses. */
bool hb_os_thread_bind(struct hb_os_thread *t, const uint64_t *mask, size_t n_words);

struct hb_cpus {
    int n_cpus;      /* that affinity and cpuset allow */
    int n_cores;     /* of which share no core (SMT) */
    int n_fast;      /* of which are of the fast kinds (P cores) */
    int quota_milli; /* cgroup quota in thousandths of a CPU, 0: none */
    int n_default;   /* threads that compute best: n_fast, at most the quota rounded up; at least 1 */
};

/* `root` is "" for this machine, or a directory laid out like one, for tests. */
void hb_os_cpus(const char *root, struct hb_cpus *out);

/* ---- CPU ---- */

/* HB_CPU_* bits of this machine, as the operating system lets programs use them. */
uint32_t hb_os_cpu_features(void);

#endif
