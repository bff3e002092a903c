/* POSIX back end, with Linux additions (futex, affinity) where they exist. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/os/hb_os.h"
#include "base/hb_check.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#if defined(SYS_openat2) && __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define POSIX_OPENAT2 1
#endif
#endif

/* ---- files ---- */

static const char *posix_kind(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
                            : "no regular file";
}

static hearth_status posix_read_all(int fd, const char *path, uint8_t *dst, size_t size,
                                    hearth_error *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, dst + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hb_fail(err, HEARTH_E_IO, "%s: read failed: %s", path, strerror(errno));
        if (n == 0)
            return hb_fail(err, HEARTH_E_TRUNCATED, "%s: file ended at byte %zu of %zu", path, done,
                           size);
        done += (size_t)n;
    }
    return HEARTH_OK;
}

static hearth_status posix_load(int fd, const char *path, unsigned flags, size_t size,
                                struct hb_file *out, hearth_error *err)
{
    if (flags & HB_MAP_NO_MMAP) {
        uint8_t *bytes = hb_os_block_alloc(size);
        if (!bytes)
            return hb_fail(err, HEARTH_E_MEMORY, "%s: no memory for its %zu bytes", path, size);
        hearth_status status = posix_read_all(fd, path, bytes, size, err);
        if (status == HEARTH_OK && (flags & HB_MAP_LOCK) && mlock(bytes, size) != 0)
            status = hb_fail(err, HEARTH_E_IO, "%s: mlock of %zu bytes: %s", path, size,
                             strerror(errno));
        if (status != HEARTH_OK) {
            hb_os_block_free(bytes, size);
            return status;
        }
        *out = (struct hb_file){bytes, size, false};
        return HEARTH_OK;
    }
    int map_flags = MAP_SHARED;
#ifdef MAP_POPULATE
    if (flags & HB_MAP_POPULATE)
        map_flags |= MAP_POPULATE;
#endif
    void *p = mmap(NULL, size, PROT_READ, map_flags, fd, 0);
    if (p == MAP_FAILED)
        return hb_fail(err, HEARTH_E_IO, "%s: mmap of %zu bytes: %s", path, size, strerror(errno));
    if ((flags & HB_MAP_LOCK) && mlock(p, size) != 0) {
        hearth_status status = hb_fail(err, HEARTH_E_IO, "%s: mlock of %zu bytes: %s", path, size,
                                       strerror(errno));
        munmap(p, size);
        return status;
    }
    *out = (struct hb_file){p, size, true};
    return HEARTH_OK;
}

/* fstat without a path: what the C library (glibc 2.33 to 2.38) calls takes one, which a filter of system calls cannot
 * look at and may refuse. The kernel's struct is that of the library on these machines. */
static int posix_fstat(int fd, struct stat *st)
{
#if defined(SYS_fstat) && (defined(__x86_64__) || defined(__aarch64__))
    return (int)syscall(SYS_fstat, fd, st);
#else
    return fstat(fd, st);
#endif
}

bool hb_os_handle_stamp(int handle, struct hb_stamp *out)
{
    struct stat st;
    if (posix_fstat(handle, &st) != 0)
        return false;
    out->size = (uint64_t)st.st_size;
    out->number = (uint64_t)st.st_ino;
    out->written_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return true;
}

hearth_status hb_os_file_open_handle(int handle, const char *name, unsigned flags, size_t max_size,
                                     struct hb_file *out, hearth_error *err)
{
    struct stat st;
    if (posix_fstat(handle, &st) != 0)
        return hb_fail(err, HEARTH_E_IO, "%s: fstat: %s", name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hb_fail(err, HEARTH_E_FORMAT, "%s: is %s; a regular file is accepted", name,
                       posix_kind(st.st_mode));
    if (st.st_size <= 0)
        return hb_fail(err, HEARTH_E_TRUNCATED, "%s: file is empty", name);
    if ((uint64_t)st.st_size > SIZE_MAX ||
        (max_size && (uint64_t)st.st_size > (uint64_t)max_size))
        return hb_fail(err, HEARTH_E_LIMIT, "%s: %llu bytes; at most %zu are accepted", name,
                       (unsigned long long)st.st_size, max_size ? max_size : SIZE_MAX);
    return posix_load(handle, name, flags, (size_t)st.st_size, out, err);
}

/* Takes fd over, whatever happens. */
static hearth_status posix_open_fd(int fd, const char *path, unsigned flags, size_t max_size,
                                   struct hb_file *out, hearth_error *err)
{
    hearth_status status = hb_os_file_open_handle(fd, path, flags, max_size, out, err);
    close(fd);
    return status;
}

hearth_status hb_os_file_open(const char *path, unsigned flags, size_t max_size,
                              struct hb_file *out, hearth_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hb_fail(err, errno == ENOENT ? HEARTH_E_NOT_FOUND : HEARTH_E_IO,
                       "%s: cannot be opened: %s", path, strerror(errno));
    return posix_open_fd(fd, path, flags, max_size, out, err);
}

hearth_status hb_os_dir_open(const char *path, struct hb_dir *out, hearth_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0)
        return hb_fail(err, errno == ENOENT ? HEARTH_E_NOT_FOUND : HEARTH_E_IO,
                       "%s: cannot be opened as a directory: %s", path, strerror(errno));
    out->handle = fd;
    return HEARTH_OK;
}

/* No step is empty, "." or "..", or longer than a name may be. */
static bool posix_is_down(const char *location)
{
    for (const char *step = location;;) {
        size_t len = strcspn(step, "/");
        if (len == 0 || len > 255 || (len == 1 && step[0] == '.') ||
            (len == 2 && step[0] == '.' && step[1] == '.'))
            return false;
        if (step[len] == 0)
            return true;
        step += len + 1;
    }
}

/* Step by step; -1 and errno. */
static int posix_walk(int at, const char *location)
{
    const int dir = at;
    for (const char *step = location;;) {
        char name[256];
        size_t len = strcspn(step, "/");
        bool last = step[len] == 0;
        memcpy(name, step, len);
        name[len] = 0;
        int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW |
                                      (last ? 0 : O_DIRECTORY));
        int error = errno;
        if (at != dir)
            close(at);
        errno = error;
        if (fd < 0 || last)
            return fd;
        at = fd;
        step += len + 1;
    }
}

/* Where the system has it, one call that nobody can get between; a filter may refuse it. */
static int posix_open_beneath(int dir, const char *location)
{
#ifdef POSIX_OPENAT2
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    for (int i = 0; i < 8; i++) {
        long fd = syscall(SYS_openat2, dir, location, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ENOSYS && errno != EPERM))
            return (int)fd;
        if (errno == ENOSYS || errno == EPERM)
            break;
    }
#endif
    return posix_walk(dir, location);
}

hearth_status hb_os_dir_open_handle(const struct hb_dir *dir, const char *location, int *handle,
                                    hearth_error *err)
{
    if (!posix_is_down(location))
        return hb_fail(err, HEARTH_E_ARGUMENT, "%s: a path down from a directory is accepted", location);
    int fd = posix_open_beneath(dir->handle, location);
    if (fd < 0)
        return hb_fail(err, errno == ENOENT ? HEARTH_E_NOT_FOUND : HEARTH_E_IO,
                       "%s: cannot be opened: %s", location,
                       errno == ELOOP || errno == ENOTDIR || errno == EXDEV
                           ? "a link or no directory on the way"
                           : strerror(errno));
    *handle = fd;
    return HEARTH_OK;
}

void hb_os_handle_close(int handle)
{
    if (handle >= 0)
        close(handle);
}

hearth_status hb_os_dir_file_open(const struct hb_dir *dir, const char *location, unsigned flags,
                                  size_t max_size, struct hb_file *out, hearth_error *err)
{
    int fd;
    HB_TRY(hb_os_dir_open_handle(dir, location, &fd, err));
    return posix_open_fd(fd, location, flags, max_size, out, err);
}

void hb_os_dir_close(struct hb_dir *dir)
{
    if (dir->handle >= 0)
        close(dir->handle);
    dir->handle = -1;
}

void hb_os_file_close(struct hb_file *file)
{
    if (file->bytes && file->mapped)
        munmap((void *)(uintptr_t)file->bytes, file->size);
    else if (file->bytes)
        hb_os_block_free((void *)(uintptr_t)file->bytes, file->size);
    *file = (struct hb_file){0};
}

void hb_os_file_forget(const struct hb_file *file)
{
#ifdef MADV_DONTNEED
    if (file->bytes && file->mapped) /* read-only and never written: nothing can be lost */
        madvise((void *)(uintptr_t)file->bytes, file->size, MADV_DONTNEED);
#else
    (void)file;
#endif
}

/* ---- memory ---- */

static void *posix_heap_alloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void posix_heap_free(void *user, void *ptr, size_t size)
{
    (void)user;
    (void)size;
    free(ptr);
}

const struct hb_alloc *hb_os_heap(void)
{
    static const struct hb_alloc heap = {posix_heap_alloc, posix_heap_free, NULL};
    return &heap;
}

#define POSIX_HUGE_PAGE ((size_t)2 << 20)

static size_t posix_block_bytes(size_t size)
{
    return hb_round_up(size, size >= POSIX_HUGE_PAGE ? POSIX_HUGE_PAGE : 4096);
}

/* Large blocks are over-mapped and trimmed so that they start on a huge-page boundary. */
void *hb_os_block_alloc(size_t size)
{
    size_t bytes, total;
    if (size > SIZE_MAX - 2 * POSIX_HUGE_PAGE)
        return NULL;
    bytes = posix_block_bytes(size ? size : 1);
    bool huge = bytes >= POSIX_HUGE_PAGE;
    total = huge ? bytes + POSIX_HUGE_PAGE : bytes;
    uint8_t *p = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!huge)
        return p;
    size_t head = (POSIX_HUGE_PAGE - ((uintptr_t)p & (POSIX_HUGE_PAGE - 1))) & (POSIX_HUGE_PAGE - 1);
    if (head)
        munmap(p, head);
    if (POSIX_HUGE_PAGE - head)
        munmap(p + head + bytes, POSIX_HUGE_PAGE - head);
#ifdef MADV_HUGEPAGE
    madvise(p + head, bytes, MADV_HUGEPAGE);
#endif
    return p + head;
}

void hb_os_block_free(void *ptr, size_t size)
{
    if (ptr)
        munmap(ptr, posix_block_bytes(size ? size : 1));
}

bool hb_os_block_forget(void *ptr, size_t size)
{
    return madvise(ptr, posix_block_bytes(size ? size : 1), MADV_DONTNEED) == 0;
}

/* ---- time ---- */

uint64_t hb_os_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void hb_os_random(void *dst, size_t n)
{
    uint8_t *p = dst;
#if defined(__linux__)
    if (getrandom(p, n, GRND_NONBLOCK) == (ssize_t)n)
        return;
#endif
    uint64_t x = hb_os_now_ns() ^ (uint64_t)getpid() << 32;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(x >> 56);
    }
}

/* ---- threads ---- */

struct posix_thread {
    pthread_t handle;
    void (*entry)(void *);
    void *arg;
};
_Static_assert(sizeof(struct posix_thread) <= HB_OS_THREAD_BYTES, "thread handle fits");

static void *posix_thread_main(void *p)
{
    struct posix_thread *t = p;
    t->entry(t->arg);
    return NULL;
}

hearth_status hb_os_thread_start(struct hb_os_thread *t, void (*entry)(void *), void *arg,
                                 hearth_error *err)
{
    struct posix_thread *p = (struct posix_thread *)(void *)t->opaque;
    p->entry = entry;
    p->arg = arg;
    int rc = pthread_create(&p->handle, NULL, posix_thread_main, p);
    if (rc != 0)
        return hb_fail(err, HEARTH_E_IO, "thread: cannot be started: %s", strerror(rc));
    return HEARTH_OK;
}

void hb_os_thread_join(struct hb_os_thread *t)
{
    struct posix_thread *p = (struct posix_thread *)(void *)t->opaque;
    pthread_join(p->handle, NULL);
}

#if defined(__linux__)
void hb_os_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, (uint32_t *)(uintptr_t)word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

void hb_os_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, (uint32_t *)(uintptr_t)word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}
#else
/* One lock and condition for all words: correct, and only used where there is no futex. */
static pthread_mutex_t posix_wait_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posix_wait_cond = PTHREAD_COND_INITIALIZER;

void hb_os_wait(_Atomic uint32_t *word, uint32_t expected)
{
    pthread_mutex_lock(&posix_wait_lock);
    while (atomic_load(word) == expected)
        pthread_cond_wait(&posix_wait_cond, &posix_wait_lock);
    pthread_mutex_unlock(&posix_wait_lock);
}

void hb_os_wake(_Atomic uint32_t *word, int n)
{
    (void)word;
    (void)n;
    pthread_mutex_lock(&posix_wait_lock);
    pthread_cond_broadcast(&posix_wait_cond);
    pthread_mutex_unlock(&posix_wait_lock);
}
#endif

bool hb_os_thread_bind(struct hb_os_thread *t, const uint64_t *mask, size_t n_words)
{
#if defined(__linux__)
    cpu_set_t set;
    pthread_t handle = t ? ((struct posix_thread *)(void *)t->opaque)->handle : pthread_self();
    CPU_ZERO(&set);
    for (size_t i = 0; i < n_words * 64 && i < CPU_SETSIZE; i++)
        if (mask[i / 64] >> (i % 64) & 1)
            CPU_SET(i, &set);
    return pthread_setaffinity_np(handle, sizeof set, &set) == 0;
#else
    (void)t, (void)mask, (void)n_words;
    return false;
#endif
}
