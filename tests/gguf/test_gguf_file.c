/* What is no model file at all (hardening row G-37), and a file that changes under our hands (G-36). */
#define _GNU_SOURCE
#include "toy_gguf.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/hearth-gguf-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"fifo", "empty", "sparse", "a", "b", "socket", "toy"};
    (void)state;
    for (size_t i = 0; i < HB_COUNT(names); i++)
        unlink(in_dir(names[i]));
    return rmdir(dir);
}

static void refused(const char *path, const hearth_file_config *config)
{
    hearth_file *file = NULL;
    hearth_error err = {0};
    double start = gw_now_ms();
    hearth_status s = hearth_file_open(path, config, &file, &err);
    assert_true(gw_now_ms() - start < 1000); /* never waits for a writer */
    if (s == HEARTH_OK)
        fail_msg("%s was opened", path);
    assert_null(file);
    assert_non_null(strstr(err.text, path));
}

static void what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    refused(in_dir("fifo"), NULL);
    refused(dir, NULL);
    refused("/dev/zero", NULL);
    refused("/dev/null", NULL);
    refused("/proc/self/status", NULL);
    refused(in_dir("nothing"), NULL);
    assert_int_equal(symlink("b", in_dir("a")), 0);
    assert_int_equal(symlink("a", in_dir("b")), 0);
    refused(in_dir("a"), NULL);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(name.sun_path, in_dir("socket"));
    assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof name), 0);
    refused(in_dir("socket"), NULL);
    close(s);
    int fd = open(in_dir("empty"), O_CREAT | O_WRONLY, 0600);
    close(fd);
    refused(in_dir("empty"), NULL);
}

static void a_sparse_giant_costs_nothing(void **state)
{
    (void)state;
    const hearth_file_config small = {.struct_size = sizeof small, .max_bytes = 1 << 30};
    int fd = open(in_dir("sparse"), O_CREAT | O_RDWR, 0600);
    if (ftruncate(fd, (off_t)1 << 40) != 0) {
        print_message("skipped: this file system has no sparse files of 1 TiB\n");
        close(fd);
        return;
    }
    refused(in_dir("sparse"), &small);
    /* without a limit it may be mapped, and is refused as no model without reading on */
    hearth_file *file;
    hearth_error err;
    if (hearth_file_open(in_dir("sparse"), NULL, &file, &err) == HEARTH_OK) {
        struct gw_heap heap = {.refuse_at = -1};
        struct hb_arena arena = gw_arena(&heap);
        struct hg_file f;
        hearth_bytes part = {hearth_file_bytes(file), hearth_file_size(file)};
        assert_int_equal(hg_open(&part, 1, &arena, &f, &err), HEARTH_E_FORMAT);
        hb_arena_release(&arena);
        hearth_file_close(file);
    }
    close(fd);
}

/* A mapped file that another process shortens raises SIGBUS when the lost pages are read: no library can
 * turn that into a status. Who cannot trust the file's owner reads it into memory instead. */
static void a_file_in_memory_survives_its_truncation(void **state)
{
    (void)state;
    const struct toy_patch patch = {0};
    const hearth_file_config config = {.struct_size = sizeof config, .flags = HEARTH_FILE_NO_MMAP};
    struct gw w = {0};
    hearth_file *file;
    hearth_error err;
    hearth_status status;
    toy_write(&w, &patch);
    int fd = open(in_dir("toy"), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, w.at, w.len), (ssize_t)w.len);
    assert_int_equal(hearth_file_open(in_dir("toy"), &config, &file, &err), HEARTH_OK);
    assert_int_equal(ftruncate(fd, 100), 0);
    struct gw_heap heap = {.refuse_at = -1};
    assert_int_equal(toy_through(hearth_file_bytes(file), hearth_file_size(file), &heap, &status, &err),
                     TOY_DONE);
    hearth_file_close(file);
    close(fd);
    gw_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_regular_file_is_refused),
        cmocka_unit_test(a_sparse_giant_costs_nothing),
        cmocka_unit_test(a_file_in_memory_survives_its_truncation),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
