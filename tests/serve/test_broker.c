/* A supervised worker behind its closed door: files it gets by name, and what it cannot get. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "test_support.h"
#include "serve/hs_sandbox.h"
#include "serve/hs_supervisor.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    hearth_status status;
} asked[] = {
    {"model.bin", HEARTH_OK},
    {"sub/other.bin", HEARTH_OK},
    {"no-such.bin", HEARTH_E_NOT_FOUND},
    {"", HEARTH_E_ARGUMENT},
    {"..", HEARTH_E_ARGUMENT},
    {"../outside", HEARTH_E_ARGUMENT},
    {"sub/../model.bin", HEARTH_E_ARGUMENT},
    {"/etc/passwd", HEARTH_E_ARGUMENT},
    {"link", HEARTH_E_IO},
    {"sub-link/other.bin", HEARTH_E_IO},
    {"sub", HEARTH_E_FORMAT},
    {"fifo", HEARTH_E_FORMAT},
    {"model.bin/x", HEARTH_E_IO},
    {"a name of more than two hundred and forty bytes: ...................................................."
     "....................................................................................................."
     ".....................................................................................................",
     HEARTH_E_ARGUMENT},
};

struct shared {
    hearth_status status[HB_COUNT(asked)];
    size_t size[HB_COUNT(asked)];
    hearth_error err[HB_COUNT(asked)];
    enum hs_level level;
    _Atomic uint32_t done;
};
static struct shared *shared;

static int asks(void *user, const struct hs_worker *w)
{
    struct hs_sandbox s;
    const int keep[] = {w->control, w->files};
    (void)user;
    hs_sandbox_enter(&s, &(struct hs_sandbox_config){.keep = keep, .n_keep = 2, .max_files = 32});
    if (hs_sandbox_close(&s, NULL) != HEARTH_OK)
        return 1;
    shared->level = s.level;
    hs_worker_ready(w, (uint32_t)s.level);
    for (int round = 0; round < 20; round++) /* more than there are descriptors: none stays */
        for (size_t i = 0; i < HB_COUNT(asked); i++) {
            hearth_file *file;
            int fd = -1;
            shared->status[i] = hs_worker_open(w, asked[i].name, &fd, &shared->err[i]);
            if (shared->status[i] != HEARTH_OK)
                continue;
            shared->status[i] = hearth_file_open_fd(fd, asked[i].name, NULL, &file, &shared->err[i]);
            close(fd);
            if (shared->status[i] == HEARTH_OK) {
                shared->size[i] = hearth_file_size(file);
                hearth_file_close(file);
            }
        }
    atomic_store(&shared->done, 1);
    for (;;)
        usleep(10000);
}

static void files_come_from_beneath_the_directory_alone(void **state)
{
    (void)state;
    char dir[] = "/tmp/hearth-broker-XXXXXX", out[128];
    struct hb_dir models;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(system("printf 123456789 > model.bin; mkdir sub; printf 12 > sub/other.bin; ln -s model.bin link;"
                            "ln -s sub sub-link; mkfifo fifo; printf 1 > ../hearth-outside"), 0);
    assert_int_equal(hb_os_dir_open(dir, &models, NULL), HEARTH_OK);
    pid_t pid = fork();
    if (pid == 0) {
        int status;
        const struct hs_supervisor_config config = {.listener = -1, .models = &models, .worker = asks};
        _exit(hs_supervise(&config, &status, NULL) == HEARTH_OK ? 0 : 1);
    }
    for (int i = 0; i < 2000 && !atomic_load(&shared->done); i++)
        usleep(10000);
    kill(pid, SIGTERM), usleep(20000), kill(pid, SIGTERM), usleep(20000), kill(pid, SIGTERM); /* it pauses: the third ends it */
    int end;
    assert_int_equal(waitpid(pid, &end, 0), pid);
    assert_int_equal(end, 0);
    assert_true(atomic_load(&shared->done));
    for (size_t i = 0; i < HB_COUNT(asked); i++)
        if (shared->status[i] != asked[i].status)
            fail_msg("%s: %d, %s", asked[i].name, (int)shared->status[i], shared->err[i].text);
    assert_int_equal(shared->size[0], 9);
    assert_int_equal(shared->size[1], 2);
    hb_os_dir_close(&models);
    snprintf(out, sizeof out, "rm -rf %s /tmp/hearth-outside", dir);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(system(out), 0);
}

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_come_from_beneath_the_directory_alone)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
