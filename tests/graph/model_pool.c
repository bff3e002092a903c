/* Every interleaving of small cases of the thread pool.
 *
 *   model_pool [--full | --endless] [--broken=wait|cas]
 *
 * The pool's own source is compiled here with its atomics, its waiting and its threads replaced: each
 * thread is a coroutine that stops before every access to a shared word. From each state each thread
 * that can go on is let go one access further; states seen before are not followed again. A state is
 * all memory that the threads have: pool, job, stacks, registers. So what is walked is the compiled
 * algorithm, not a model of it, under sequential consistency (the weaker orders it asks for are the
 * thread sanitizer's business).
 *
 * --full adds cases of some 10^7 states. --endless adds those that nobody has waited for: another thread that
 * pauses, and three workers.
 *
 * Checked: every unit of every phase runs exactly once; every run returns; every thread ends when the
 * pool is destroyed. A lost wake-up shows as a state in which nobody can go on.
 *
 * --broken gives the algorithm a wait that does not look at its word again, or a compare-exchange in
 * two parts. The program must then find the fault: that is a test too, and exit status 1 is its
 * success. */
#define _GNU_SOURCE
#include "graph/ht_pool.h"
#include "base/hb_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
int main(void)
{
    puts("skipped: registers of this machine are not known here");
    return 77;
}
#else

/* ---- the world: everything that a state consists of ---- */

#define THREADS    4
#define STACK      6144
#define POOL_BYTES 8192
#define MOST_UNITS 4

enum status { UNUSED, READY, ASLEEP, ENDED };

struct thread {
    HB_ALIGNAS(64) uint8_t stack[STACK];
    ucontext_t context;
    enum status status;
    const void *word; /* asleep on it; for a join the thread waited for */
    void (*entry)(void *);
    void *arg;
};

struct model_job {
    struct ht_job job;
    const int64_t *units; /* ended by 0 */
    uint32_t phase;
    uint8_t done[MOST_UNITS];
    bool open;
};

static struct world {
    struct thread thread[THREADS];
    HB_ALIGNAS(64) uint8_t pool[POOL_BYTES];
    struct model_job job[2];
    uint32_t phases_done;
    const char *fault;
} world;

static ucontext_t scheduler;
static int running;        /* index of the thread that runs */
static bool exploring;     /* else steps are not stopped at: setting up */
static bool broken_wait, broken_cas;

static void fault(const char *text)
{
    if (!world.fault)
        world.fault = text;
}

static void stop_here(void)
{
    struct thread *t = &world.thread[running];
    if (exploring && running >= 0)
        swapcontext(&t->context, &scheduler);
}

static struct ht_pool *the_pool;
static bool is_counter(const volatile void *p);

static void step(const volatile void *word)
{
    if (!is_counter(word))
        stop_here();
}

/* ---- what the pool asks of the machine ---- */

static void model_wait(_Atomic uint32_t *word, uint32_t expected)
{
    step(word);
    if (*word != expected)
        return;
    if (broken_wait)
        stop_here();
    world.thread[running].status = ASLEEP;
    world.thread[running].word = (const void *)word;
    stop_here();
}

static void model_wake(_Atomic uint32_t *word, int n)
{
    step(word);
    for (int i = 0; i < THREADS && n > 0; i++)
        if (world.thread[i].status == ASLEEP && world.thread[i].word == (const void *)word) {
            world.thread[i].status = READY;
            n--;
        }
}

static void thread_main(void)
{
    struct thread *t = &world.thread[running];
    t->entry(t->arg);
    t = &world.thread[running];
    t->status = ENDED;
    for (int i = 0; i < THREADS; i++)
        if (world.thread[i].status == ASLEEP && world.thread[i].word == t)
            world.thread[i].status = READY;
    swapcontext(&t->context, &scheduler);
}

static void thread_begin(void (*entry)(void *), void *arg)
{
    int i = 0;
    while (world.thread[i].status != UNUSED)
        i++;
    struct thread *t = &world.thread[i];
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = t->stack;
    t->context.uc_stack.ss_size = STACK;
    t->context.uc_link = NULL;
    t->entry = entry;
    t->arg = arg;
    t->status = READY;
    makecontext(&t->context, thread_main, 0);
}

static hearth_status model_thread_start(struct hb_os_thread *handle, void (*entry)(void *),
                                        void *arg, hearth_error *err)
{
    int i = 0;
    (void)err;
    while (world.thread[i].status != UNUSED)
        i++;
    thread_begin(entry, arg);
    handle->opaque[0] = (uint8_t)i;
    return HEARTH_OK;
}

static void join_thread(int i)
{
    while (world.thread[i].status != ENDED) {
        world.thread[running].status = ASLEEP;
        world.thread[running].word = &world.thread[i];
        stop_here();
    }
}

static void model_thread_join(struct hb_os_thread *handle)
{
    join_thread(handle->opaque[0]);
}

static void model_cpus(const char *root, struct hb_cpus *out)
{
    (void)root;
    *out = (struct hb_cpus){1, 1, 1, 0, 1}; /* fewer than threads: no spinning */
}

#define hb_os_wait         model_wait
#define hb_os_wake         model_wake
#define hb_os_thread_start model_thread_start
#define hb_os_thread_join  model_thread_join
#define hb_os_cpus         model_cpus
#define POOL_SPIN_CHECK    1

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#define atomic_load(p)                        (step(p), *(p))
#define atomic_load_explicit(p, order)        atomic_load(p)
#define atomic_store(p, v)                    (step(p), (void)(*(p) = (v)))
#define atomic_store_explicit(p, v, order)    atomic_store(p, v)
#define atomic_fetch_add(p, v)                (step(p), (void)(*(p) += (v)))
#define atomic_fetch_add_explicit(p, v, o)    atomic_fetch_add(p, v)
#define atomic_fetch_sub_explicit(p, v, o)    (step(p), (*(p) -= (v)) + (v))
#define atomic_compare_exchange_strong(p, e, v)                                                    \
    (step(p), *(p) == *(e) ? ((broken_cas ? stop_here() : (void)0), *(p) = (v), true)              \
                           : (*(e) = *(p), false))
#define atomic_compare_exchange_weak(p, e, v) atomic_compare_exchange_strong(p, e, v)
#define atomic_compare_exchange_weak_explicit(p, e, v, o, f) atomic_compare_exchange_strong(p, e, v)

#include "graph/pool.c" /* which uses no value of atomic_fetch_add */

/* Counters do not steer anything; stopping at them would only multiply the states. */
static bool is_counter(const volatile void *p)
{
    if (!the_pool)
        return false;
    return ((const volatile uint8_t *)p >= (const uint8_t *)the_pool->workers &&
            (const volatile uint8_t *)p <
                (const uint8_t *)(the_pool->workers + the_pool->n_workers)) ||
           p == (const volatile void *)&the_pool->jobs ||
           p == (const volatile void *)&the_pool->phases ||
           p == (const volatile void *)&the_pool->alone_jobs ||
           p == (const volatile void *)&the_pool->alone_tasks;
}

/* ---- jobs ---- */

static int64_t job_next(struct ht_job *base, int32_t worker)
{
    struct model_job *j = (struct model_job *)base;
    (void)worker;
    if (j->open) {
        for (int64_t i = 0; i < j->units[j->phase]; i++)
            if (j->done[i] != 1)
                fault("a phase ended and a unit of it did not run exactly once");
        memset(j->done, 0, sizeof j->done);
        j->phase++;
        world.phases_done++;
    }
    j->open = j->units[j->phase] > 0;
    return j->units[j->phase];
}

static void job_work(struct ht_job *base, int32_t worker, int64_t begin, int64_t end)
{
    struct model_job *j = (struct model_job *)base;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (!j->open || i >= j->units[j->phase])
            fault("a unit ran outside its phase");
        else if (j->done[i]++)
            fault("a unit ran twice");
    }
}

static void run_job(int which, const int64_t *units)
{
    struct model_job *j = &world.job[which];
    memset(j, 0, sizeof *j);
    j->job = (struct ht_job){job_next, job_work};
    j->units = units;
    ht_pool_run(the_pool, &j->job);
    if (j->open || units[j->phase] != 0)
        fault("a run returned before its last phase");
}

/* ---- cases ---- */

static const int64_t two[] = {2, 0}, three[] = {3, 0}, two_two[] = {2, 2, 0}, one_two[] = {1, 2, 0},
                     ones[] = {1, 1, 1, 1, 1, 1, 0}, three_two[] = {3, 2, 0};

static void main_two(void *arg)
{
    run_job(0, arg);
    ht_pool_destroy(the_pool);
}

static void main_twice(void *arg)
{
    run_job(0, arg);
    run_job(0, arg);
    ht_pool_destroy(the_pool);
}

static void main_pause(void *arg)
{
    run_job(0, arg);
    ht_pool_pause(the_pool);
    run_job(0, arg);
    ht_pool_resume(the_pool);
    run_job(0, arg);
    ht_pool_destroy(the_pool);
}

static void main_destroy_paused(void *arg)
{
    run_job(0, arg);
    ht_pool_pause(the_pool);
    ht_pool_destroy(the_pool);
}

/* The other submitter is thread 1; thread 0 destroys the pool after both are through. */
static void other_submitter(void *arg)
{
    run_job(1, arg);
}

static void main_submits_beside(void *arg)
{
    run_job(0, arg);
    join_thread(1);
    ht_pool_destroy(the_pool);
}

static void other_pauses(void *arg)
{
    (void)arg;
    ht_pool_pause(the_pool);
    ht_pool_resume(the_pool);
}

static const struct model_case {
    const char *name;
    int workers;
    const int64_t *units;
    void (*main)(void *);
    void (*other)(void *);
    uint32_t phases;
    int size; /* 0: always; 1: with --full; 2: with --endless */
} cases[] = {
    {"2 workers, a phase of 2", 2, two, main_two, NULL, 1, 0},
    {"2 workers, phases of 2 and 2", 2, two_two, main_two, NULL, 2, 1},
    {"2 workers, phases of 1 and 2", 2, one_two, main_two, NULL, 2, 0},
    {"2 workers, six phases of 1: the ring comes round", 2, ones, main_two, NULL, 6, 1},
    {"2 workers, two jobs of 2 and 2", 2, two_two, main_twice, NULL, 4, 1},
    {"2 workers, pause and resume", 2, two, main_pause, NULL, 3, 1},
    {"2 workers, destroyed while paused", 2, two, main_destroy_paused, NULL, 1, 0},
    {"2 workers, two submitters", 2, two, main_submits_beside, other_submitter, 2, 1},
    {"2 workers, another thread pauses", 2, two_two, main_submits_beside, other_pauses, 2, 2},
    {"3 workers, a phase of 2", 3, two, main_two, NULL, 1, 2},
    {"3 workers, a phase of 3", 3, three, main_two, NULL, 1, 2},
    {"3 workers, phases of 3 and 2", 3, three_two, main_two, NULL, 2, 2},
};

/* ---- walking the states ---- */

static void *pool_memory(void *user, size_t size)
{
    (void)user;
    return size <= POOL_BYTES ? world.pool : NULL;
}

static void pool_forget(void *user, void *p, size_t size)
{
    (void)user, (void)p, (void)size;
}

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (; n >= 8; b += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, b, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    for (; n > 0; b++, n--)
        h = (h ^ *b) * 0x100000001B3u;
    return h ^ h >> 32;
}

static uint64_t hash_thread(uint64_t h, const struct thread *t)
{
    const mcontext_t *m = &t->context.uc_mcontext;
    h = hash_bytes(h, &t->status, sizeof t->status);
    if (t->status == UNUSED || t->status == ENDED)
        return h;
    h = hash_bytes(h, &t->word, sizeof t->word);
#if defined(__x86_64__)
    static const int saved[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15, REG_RSP,
                                REG_RIP};
    for (size_t i = 0; i < HB_COUNT(saved); i++)
        h = hash_bytes(h, &m->gregs[saved[i]], sizeof m->gregs[0]);
    uintptr_t sp = (uintptr_t)m->gregs[REG_RSP];
#else
    h = hash_bytes(h, &m->regs[19], 12 * sizeof m->regs[0]);
    h = hash_bytes(h, &m->pc, sizeof m->pc);
    h = hash_bytes(h, &m->sp, sizeof m->sp);
    uintptr_t sp = (uintptr_t)m->sp;
#endif
    uintptr_t top = (uintptr_t)t->stack + STACK;
    if (sp < (uintptr_t)t->stack + 256 || sp > top) {
        fputs("model_pool: a thread left its stack\n", stderr);
        exit(2);
    }
    return hash_bytes(h, (const void *)sp, top - sp);
}

static uint64_t hash_world(void)
{
    uint64_t h = 1;
    for (int i = 0; i < THREADS; i++)
        h = hash_thread(h, &world.thread[i]);
    h = hash_bytes(h, world.job, sizeof world.job);
    h = hash_bytes(h, &world.phases_done, sizeof world.phases_done);
    /* the pool without its counters */
    struct ht_pool p = *the_pool;
    p.jobs = p.phases = p.alone_jobs = p.alone_tasks = 0;
    h = hash_bytes(h, &p, sizeof p);
    h = hash_bytes(h, the_pool->share,
                   (size_t)the_pool->n_workers * POOL_RING * sizeof *the_pool->share);
    return h ? h : 1;
}

static uint64_t *seen;
static size_t n_seen, seen_room;

static bool remember(uint64_t h)
{
    if (2 * n_seen >= seen_room) {
        size_t room = seen_room ? 2 * seen_room : (size_t)1 << 16;
        uint64_t *bigger = calloc(room, sizeof *bigger);
        for (size_t i = 0; i < seen_room; i++)
            for (size_t at = seen[i] & (room - 1); seen[i]; at = (at + 1) & (room - 1))
                if (!bigger[at]) {
                    bigger[at] = seen[i];
                    break;
                }
        free(seen);
        seen = bigger;
        seen_room = room;
    }
    size_t at = h & (seen_room - 1);
    for (; seen[at]; at = (at + 1) & (seen_room - 1))
        if (seen[at] == h)
            return false;
    seen[at] = h;
    n_seen++;
    return true;
}

static void check_end(const struct model_case *c)
{
    for (int i = 0; i < THREADS; i++)
        if (world.thread[i].status == ASLEEP) {
            fault("nobody can go on: a wake-up was lost");
            return;
        }
    if (world.phases_done != c->phases)
        fault("the jobs had fewer phases than asked for");
}

static void set_up(const struct model_case *c)
{
    hearth_pool_config config = {.struct_size = sizeof config, .n_threads = c->workers,
                                 .allocator = {pool_memory, pool_forget, NULL}};
    struct ht_pool *pool;
    memset(&world, 0, sizeof world);
    the_pool = NULL;
    exploring = false;
    running = -1;
    thread_begin(c->main, (void *)(uintptr_t)c->units);
    if (c->other)
        thread_begin(c->other, (void *)(uintptr_t)c->units);
    if (ht_pool_create(&config, &pool, NULL) != HEARTH_OK)
        exit(2);
    the_pool = pool;
    exploring = true;
    free(seen);
    seen = NULL;
    n_seen = seen_room = 0;
}

struct node {
    struct world world;
    int next;  /* thread to try next */
    bool stuck; /* none could go on so far */
};

/* Depth first; the path holds one copy of the world per step. */
static const char *walk(const struct model_case *c, uint64_t *n_edges, size_t *deepest)
{
    size_t depth = 1, room = 1024;
    struct node *path = malloc(room * sizeof *path);
    *n_edges = *deepest = 0;
    remember(hash_world());
    path[0] = (struct node){.world = world, .stuck = true};
    while (depth > 0) {
        struct node *n = &path[depth - 1];
        while (n->next < THREADS && n->world.thread[n->next].status != READY)
            n->next++;
        if (n->next == THREADS) {
            if (n->stuck) {
                world = n->world;
                check_end(c);
            }
            depth--;
        } else {
            n->stuck = false;
            running = n->next++;
            world = n->world;
            swapcontext(&scheduler, &world.thread[running].context);
            ++*n_edges;
            if (!world.fault && remember(hash_world())) {
                if (depth == room) {
                    room *= 2;
                    path = realloc(path, room * sizeof *path);
                }
                path[depth++] = (struct node){.world = world, .stuck = true};
                *deepest = depth > *deepest ? depth : *deepest;
            }
        }
        if (world.fault)
            break;
    }
    free(path);
    return world.fault;
}

int main(int argc, char **argv)
{
    int size = argc < 2 ? 0 : strcmp(argv[1], "--endless") == 0 ? 2 : strcmp(argv[1], "--full") == 0;
    broken_wait = argc > 1 && strcmp(argv[1], "--broken=wait") == 0;
    broken_cas = argc > 1 && strcmp(argv[1], "--broken=cas") == 0;
    int failed = 0;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        uint64_t edges;
        size_t deepest;
        if (cases[i].size > size)
            continue;
        set_up(&cases[i]);
        const char *text = walk(&cases[i], &edges, &deepest);
        printf("%s: %zu states, %llu steps, longest path %zu: %s\n", cases[i].name, n_seen,
               (unsigned long long)edges, deepest, text ? text : "holds");
        fflush(stdout);
        failed += text != NULL;
    }
    free(seen);
    return failed ? 1 : 0;
}
#endif
