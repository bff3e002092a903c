/* The sandbox in real processes: each test forks one that enters, starts a thread, closes its door and then tells what
 * it can still do. Machines that lack a layer are played by a filter that refuses the layer's system call. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "test_support.h"
#include "serve/hs_sandbox.h"
#include "base/os/hb_os.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODEL HEARTH_SOURCE_DIR "/fixtures/models/books-draft-6m-q8_0.gguf"

/* What the process and the test both see. */
struct shared {
    struct hs_sandbox s;
    hearth_status status;
    hearth_error err;
    int results[HS_PROBE_COUNT];
    int32_t ids[2][24]; /* tokens before and behind the door */
    _Atomic uint32_t ready, go, arrived;
    _Atomic int probe; /* for the thread: which to try */
};
static struct shared *shared;

static void entered(const struct hs_sandbox_config *config)
{
    hs_sandbox_enter(&shared->s, config);
}

static void closed(void)
{
    shared->status = hs_sandbox_close(&shared->s, &shared->err);
}

static pid_t child(void (*body)(void))
{
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        syscall(SYS_exit_group, 0); /* not what cmocka has for the end */
    }
    return pid;
}

static int end_of(pid_t pid) /* exit status, or minus the signal */
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void wait_for(_Atomic uint32_t *word)
{
    for (int i = 0; i < 20000 && !atomic_load(word); i++)
        usleep(500);
    assert_true(atomic_load(word));
}

/* ---- the layers ---- */

static struct hb_os_thread thread;

static void thread_waits(void *user) /* one that runs when the filter comes */
{
    (void)user;
    while (!atomic_load(&shared->go))
        usleep(500);
    shared->results[0] = hs_probe_attempt((enum hs_probe)atomic_load(&shared->probe));
    atomic_store(&shared->arrived, 1);
}

static void body_waits(void)
{
    entered(&(struct hs_sandbox_config){.max_files = 64});
    hb_os_thread_start(&thread, thread_waits, NULL, NULL);
    closed();
    atomic_store(&shared->ready, 1);
    while (!atomic_load(&shared->arrived))
        usleep(500);
}

static bool status_has(const char *path, const char *line)
{
    char text[8192];
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return strstr(text, line) != NULL;
}

static void every_thread_has_no_new_rights_a_filter_and_no_capability(void **state)
{
    (void)state;
    char path[128];
    int n = 0;
    pid_t pid = child(body_waits);
    wait_for(&shared->ready);
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)pid, e->d_name);
        assert_true(status_has(path, "NoNewPrivs:\t1\n"));
        assert_true(status_has(path, "Seccomp:\t2\n"));
        assert_true(status_has(path, "CapPrm:\t0000000000000000\n"));
        assert_true(status_has(path, "CapEff:\t0000000000000000\n"));
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 2);
    kill(pid, SIGKILL);
    end_of(pid);
}

static void the_level_is_full_where_the_machine_has_all(void **state)
{
    (void)state;
    pid_t pid = child(body_waits);
    wait_for(&shared->ready);
    char json[4096];
    size_t n = hs_sandbox_json(&shared->s, json, sizeof json);
    print_message("%s\n", json);
    assert_int_equal(shared->status, HEARTH_OK);
    assert_true(n < sizeof json - 1 && json[n - 1] == '}');
    if (shared->s.landlock_abi < 3) {
        assert_int_not_equal(shared->s.level, HS_LEVEL_FULL);
        print_message("this machine's Landlock is ABI %d\n", shared->s.landlock_abi);
    } else {
        assert_int_equal(shared->s.level, HS_LEVEL_FULL);
    }
    assert_int_equal(shared->s.layers[HS_LAYER_seccomp].held, HS_HELD_ENFORCED);
    for (int i = 0; i < HS_PROBE_COUNT; i++)
        if (shared->s.probes[i].outcome != HS_PROBED_BLOCKED)
            fail_msg("%s: %s", hs_probe_text((enum hs_probe)i), hs_probed_text(shared->s.probes[i].outcome));
    kill(pid, SIGKILL);
    end_of(pid);
}

/* ---- probes from a thread that runs ---- */

static void a_thread_that_tries_ends_the_process_or_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < HS_PROBE_COUNT; i++) {
        pid_t pid = child(body_waits);
        wait_for(&shared->ready);
        atomic_store(&shared->probe, i);
        atomic_store(&shared->go, 1);
        bool opens = i == HS_PROBE_open_read || i == HS_PROBE_open_write;
        int end = end_of(pid);
        if (end != (opens ? 0 : -SIGSYS) || (opens && shared->results[0] != EACCES))
            fail_msg("%s: end %d, result %d", hs_probe_text((enum hs_probe)i), end, shared->results[0]);
    }
}

static void body_tries_all(void)
{
    entered(&(struct hs_sandbox_config){.refusal = HS_REFUSE_ERRNO});
    closed();
    for (int i = 0; i < HS_PROBE_COUNT; i++)
        shared->results[i] = hs_probe_attempt((enum hs_probe)i);
}

static void for_development_they_fail_and_the_process_goes_on(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_tries_all)), 0);
    assert_int_equal(shared->status, HEARTH_OK);
    for (int i = 0; i < HS_PROBE_COUNT; i++)
        assert_int_equal(shared->results[i],
                         i == HS_PROBE_open_read || i == HS_PROBE_open_write ? EACCES : EPERM);
}

static void body_without(void)
{
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_OFF});
    closed();
    shared->results[0] = hs_probe_attempt(HS_PROBE_socket_inet);
    shared->results[1] = hs_probe_attempt(HS_PROBE_mmap_exec);
    shared->results[2] = hs_probe_attempt(HS_PROBE_open_write);
    shared->results[3] = hs_probe_attempt(HS_PROBE_fork);
    shared->results[4] = hs_probe_attempt(HS_PROBE_execve); /* does not come back */
}

static void without_a_sandbox_they_get_through(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_without)), 0);
    assert_int_equal(shared->status, HEARTH_OK);
    assert_int_equal(shared->s.level, HS_LEVEL_NONE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(shared->results[i], 0);
}

/* ---- machines that lack a layer ---- */

/* From here on these system calls fail. */
static void machine_without(const int *numbers, size_t n, int error)
{
    struct sock_filter code[32];
    unsigned short at = 0;
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    for (size_t i = 0; i < n; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i], 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {at, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        _exit(99);
}

#define NR_LANDLOCK_CREATE 444
#define NR_CLOSE_RANGE     436

static void body_without_landlock(void)
{
    machine_without((const int[]){NR_LANDLOCK_CREATE}, 1, ENOSYS);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_ON});
    closed();
}

static void body_without_landlock_required(void)
{
    machine_without((const int[]){NR_LANDLOCK_CREATE}, 1, ENOSYS);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_REQUIRE});
    closed();
}

static void a_kernel_without_landlock_gives_a_part_and_require_refuses(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_without_landlock)), 0);
    assert_int_equal(shared->status, HEARTH_OK);
    assert_int_equal(shared->s.level, HS_LEVEL_PARTIAL);
    assert_int_equal(shared->s.layers[HS_LAYER_landlock].held, HS_HELD_UNAVAILABLE);
    assert_non_null(strstr(shared->s.layers[HS_LAYER_landlock].why, "built without it"));
    assert_int_equal(shared->s.probes[HS_PROBE_open_write].outcome, HS_PROBED_BLOCKED); /* by the filter */
    assert_int_equal(end_of(child(body_without_landlock_required)), 0);
    assert_int_equal(shared->status, HEARTH_E_UNSUPPORTED);
    assert_non_null(strstr(shared->err.text, "partial, not full: landlock"));
}

static void body_without_seccomp(void)
{
    machine_without((const int[]){SYS_seccomp}, 1, EINVAL);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_ON});
    closed();
}

static void body_without_both(void)
{
    machine_without((const int[]){SYS_seccomp, NR_LANDLOCK_CREATE}, 2, ENOSYS);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_ON});
    closed();
}

static void without_a_filter_the_probes_tell_what_gets_through(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_without_seccomp)), 0);
    assert_int_equal(shared->s.level, HS_LEVEL_PARTIAL);
    assert_int_equal(shared->s.layers[HS_LAYER_seccomp].held, HS_HELD_UNAVAILABLE);
    assert_int_equal(shared->s.probes[HS_PROBE_socket_inet].outcome, HS_PROBED_NOT_ENFORCED);
    assert_int_equal(shared->s.probes[HS_PROBE_mmap_exec].outcome, HS_PROBED_NOT_ENFORCED);
    assert_int_equal(shared->s.probes[HS_PROBE_fork].outcome,
                     geteuid() == 0 ? HS_PROBED_NOT_ENFORCED : HS_PROBED_BLOCKED); /* no limit holds root */
    if (shared->s.landlock_abi > 0) {
        assert_int_equal(shared->s.probes[HS_PROBE_open_write].outcome, HS_PROBED_BLOCKED);
        assert_int_equal(shared->s.probes[HS_PROBE_execve].outcome, HS_PROBED_BLOCKED);
    }
    assert_int_equal(end_of(child(body_without_both)), 0);
    assert_int_equal(shared->s.level, HS_LEVEL_NONE);
    assert_int_equal(shared->s.probes[HS_PROBE_open_write].outcome, HS_PROBED_NOT_ENFORCED);
}

static void body_in_a_container(void)
{
    machine_without((const int[]){SYS_unshare, NR_CLOSE_RANGE}, 2, EPERM);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_REQUIRE});
    closed();
}

static void where_namespaces_are_forbidden_the_level_can_still_be_full(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_in_a_container)), 0);
    assert_int_equal(shared->s.layers[HS_LAYER_namespaces].held, HS_HELD_UNAVAILABLE);
    if (shared->s.landlock_abi >= 3) {
        assert_int_equal(shared->status, HEARTH_OK);
        assert_int_equal(shared->s.level, HS_LEVEL_FULL);
    }
}

static void body_with_threads(void)
{
    hb_os_thread_start(&thread, thread_waits, NULL, NULL);
    entered(&(struct hs_sandbox_config){.mode = HS_SANDBOX_REQUIRE});
    closed();
}

static void threads_from_before_are_told(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_with_threads)), 0);
    assert_int_equal(shared->status, HEARTH_E_UNSUPPORTED);
    assert_int_equal(shared->s.layers[HS_LAYER_namespaces].held, HS_HELD_UNAVAILABLE);
    if (shared->s.landlock_abi > 0)
        assert_int_equal(shared->s.layers[HS_LAYER_landlock].held, HS_HELD_DEGRADED);
}

/* ---- descriptors and files ---- */

static void body_strays(void)
{
    int stray = open("/etc/passwd", O_RDONLY), kept = open("/proc/self/statm", O_RDONLY);
    entered(&(struct hs_sandbox_config){.keep = &kept, .n_keep = 1});
    shared->results[0] = fcntl(stray, F_GETFD) < 0;
    shared->results[1] = fcntl(kept, F_GETFD) >= 0;
    closed();
    char byte;
    shared->results[2] = pread(kept, &byte, 1, 0) == 1;
}

static void strays_are_closed_and_what_is_kept_works(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_strays)), 0);
    for (int i = 0; i < 3; i++)
        assert_true(shared->results[i]);
}

static void body_reads(void)
{
    static const char *const readable[] = {HEARTH_SOURCE_DIR "/fixtures", HEARTH_SOURCE_DIR "/README.md", "/no/such"};
    entered(&(struct hs_sandbox_config){.readable = readable, .n_readable = 3});
    shared->results[0] = open(MODEL, O_RDONLY) >= 0;
    shared->results[1] = open(HEARTH_SOURCE_DIR "/README.md", O_RDONLY) >= 0;
    shared->results[2] = open(HEARTH_SOURCE_DIR "/LICENSE", O_RDONLY) < 0 && errno == EACCES;
    shared->results[3] = open(HEARTH_SOURCE_DIR "/README.md", O_WRONLY) < 0 && errno == EACCES;
    shared->results[4] = open(HEARTH_SOURCE_DIR "/fixtures/new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES;
    shared->results[5] = open("/proc/self/status", O_RDONLY) >= 0;
}

static void until_the_door_closes_what_was_named_can_be_read_and_nothing_written(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_reads)), 0);
    if (shared->s.landlock_abi < 1) {
        print_message("no Landlock here\n");
        return;
    }
    for (int i = 0; i < 6; i++)
        assert_true(shared->results[i]);
}

static char log_path[] = "/tmp/hearth-sandbox-log-XXXXXX";

static void body_logs(void)
{
    entered(&(struct hs_sandbox_config){.keep_all = false});
    closed();
    for (int i = 0; i < 100; i++)
        if (write(2, "a line of the log\n", 18) != 18)
            syscall(SYS_exit_group, 1);
}

static void a_log_that_is_a_file_can_still_grow(void **state)
{
    (void)state;
    int log = mkstemp(log_path), old = dup(2);
    dup2(log, 2);
    pid_t pid = child(body_logs);
    dup2(old, 2);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(lseek(log, 0, SEEK_END), 1800);
    assert_non_null(strstr(shared->s.layers[HS_LAYER_limits].why, "the log is one"));
    unlink(log_path);
    close(log), close(old);
}

/* ---- inference ---- */

static bool generates(hearth_session *session, int32_t *ids)
{
    static const int32_t prompt[] = {1, 40, 50, 60, 70, 80};
    hearth_generation *gen;
    hearth_piece piece = {.struct_size = sizeof piece};
    const hearth_generation_config config = {.struct_size = sizeof config, .max_tokens = 24};
    size_t n = 0;
    if (hearth_generation_open(session, &config, &gen, NULL) != HEARTH_OK ||
        hearth_generation_prompt(gen, prompt, 6, NULL) != HEARTH_OK)
        return false;
    while (n < 24 && piece.finish == HEARTH_FINISH_NONE && hearth_generation_next(gen, &piece, NULL) == HEARTH_OK)
        ids[n++] = piece.token;
    hearth_generation_close(gen);
    return n > 1;
}

static void body_infers(void)
{
    static const char *const readable[] = {MODEL};
    hearth_file *file;
    hearth_model *model;
    hearth_session *session;
    hearth_pool *pool;
    entered(&(struct hs_sandbox_config){.readable = readable, .n_readable = 1, .max_files = 64});
    shared->results[0] = 1;
    if (hearth_file_open(MODEL, NULL, &file, NULL) ||
        hearth_model_open(&(hearth_bytes){hearth_file_bytes(file), hearth_file_size(file)}, 1, NULL, &model, NULL) ||
        hearth_pool_open(&(hearth_pool_config){.struct_size = sizeof(hearth_pool_config), .n_threads = 2}, &pool,
                         NULL) ||
        hearth_session_open(model, &(hearth_session_config){.struct_size = sizeof(hearth_session_config), .pool = pool},
                            &session, NULL))
        return;
    bool ok = generates(session, shared->ids[0]);
    closed();
    ok &= generates(session, shared->ids[1]);
    hearth_session_close(session);
    /* and from the beginning, with memory given back and taken anew */
    ok &= hearth_session_open(model, &(hearth_session_config){.struct_size = sizeof(hearth_session_config), .pool = pool},
                              &session, NULL) == HEARTH_OK &&
          generates(session, shared->ids[1]);
    shared->results[1] = ok;
}

static void inference_gives_the_same_tokens_behind_the_door(void **state)
{
    (void)state;
    assert_int_equal(end_of(child(body_infers)), 0);
    assert_int_equal(shared->status, HEARTH_OK);
    assert_true(shared->results[1]);
    assert_memory_equal(shared->ids[0], shared->ids[1], sizeof shared->ids[0]);
}

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_has_no_new_rights_a_filter_and_no_capability),
        cmocka_unit_test(the_level_is_full_where_the_machine_has_all),
        cmocka_unit_test(a_thread_that_tries_ends_the_process_or_is_refused),
        cmocka_unit_test(for_development_they_fail_and_the_process_goes_on),
        cmocka_unit_test(without_a_sandbox_they_get_through),
        cmocka_unit_test(a_kernel_without_landlock_gives_a_part_and_require_refuses),
        cmocka_unit_test(without_a_filter_the_probes_tell_what_gets_through),
        cmocka_unit_test(where_namespaces_are_forbidden_the_level_can_still_be_full),
        cmocka_unit_test(threads_from_before_are_told),
        cmocka_unit_test(strays_are_closed_and_what_is_kept_works),
        cmocka_unit_test(until_the_door_closes_what_was_named_can_be_read_and_nothing_written),
        cmocka_unit_test(a_log_that_is_a_file_can_still_grow),
        cmocka_unit_test(inference_gives_the_same_tokens_behind_the_door),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
