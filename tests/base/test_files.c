/* Files by descriptor, and files beneath a directory: nothing else is reached, by no spelling. */
#define _GNU_SOURCE
#include "test_support.h"
#include "base/os/hb_os.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static const char *at(const char *name)
{
    static char path[4][256];
    static int i;
    i = (i + 1) & 3;
    snprintf(path[i], sizeof path[i], "%s/%s", root, name);
    return path[i];
}

static void put(const char *name, const char *text)
{
    int fd = open(at(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int make_world(void **state)
{
    (void)state;
    strcpy(root, "/tmp/hearth-files-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    mkdir(at("in"), 0700);
    mkdir(at("in/deep"), 0700);
    mkdir(at("out"), 0700);
    put("in/a", "aaaa");
    put("in/deep/b", "bbb");
    put("out/secret", "secret");
    put("in/empty", "");
    int rc = symlink("../out/secret", at("in/link"));
    rc |= symlink("deep", at("in/linkdir"));
    rc |= symlink("a", at("in/inner"));
    rc |= link(at("out/secret"), at("in/hard"));
    rc |= mkfifo(at("in/fifo"), 0600);
    return rc;
}

static int remove_world(void **state)
{
    static const char *const names[] = {"in/a", "in/deep/b", "out/secret", "in/empty", "in/link", "in/linkdir", "in/inner",
                                        "in/hard", "in/fifo"};
    (void)state;
    for (size_t i = 0; i < HB_COUNT(names); i++)
        unlink(at(names[i]));
    rmdir(at("in/deep"));
    rmdir(at("in"));
    rmdir(at("out"));
    return rmdir(root);
}

static void only_what_lies_beneath_is_opened(void **state)
{
    static const char *const bad[] = {"", "/", "..", ".", "../out/secret", "deep/../a", "deep/../../out/secret", "/etc/passwd",
                                      "./a", "deep//b", "a/", "link", "linkdir/b", "inner", "a/b", "nothing"};
    char longer[300];
    struct hb_dir dir;
    int fd = -1;
    hearth_error err;
    (void)state;
    assert_int_equal(hb_os_dir_open(at("in"), &dir, &err), HEARTH_OK);
    for (size_t i = 0; i < HB_COUNT(bad); i++) {
        if (hb_os_dir_open_handle(&dir, bad[i], &fd, &err) == HEARTH_OK)
            fail_msg("\"%s\" was opened", bad[i]);
        assert_int_equal(fd, -1);
        assert_true(err.text[0] != 0);
    }
    memset(longer, 'x', sizeof longer);
    longer[256] = 0;
    assert_int_equal(hb_os_dir_open_handle(&dir, longer, &fd, &err), HEARTH_E_ARGUMENT);
    longer[255] = 0;
    assert_int_equal(hb_os_dir_open_handle(&dir, longer, &fd, &err), HEARTH_E_NOT_FOUND);

    static const char *const good[] = {"a", "deep/b", "hard"}; /* a hard link is the file itself */
    for (size_t i = 0; i < HB_COUNT(good); i++) {
        struct hb_file f;
        assert_int_equal(hb_os_dir_open_handle(&dir, good[i], &fd, &err), HEARTH_OK);
        assert_int_equal(hb_os_file_open_handle(fd, good[i], 0, 0, &f, &err), HEARTH_OK);
        hb_os_file_close(&f);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        hb_os_handle_close(fd);
    }
    /* the directory is the one that was opened, whatever its path becomes */
    assert_int_equal(rename(at("in"), at("moved")), 0);
    assert_int_equal(hb_os_dir_open_handle(&dir, "a", &fd, &err), HEARTH_OK);
    hb_os_handle_close(fd);
    assert_int_equal(rename(at("moved"), at("in")), 0);
    hb_os_dir_close(&dir);
}

static void a_descriptor_is_mapped_and_stays_the_callers(void **state)
{
    (void)state;
    for (uint32_t flags = 0; flags <= HEARTH_FILE_NO_MMAP; flags += HEARTH_FILE_NO_MMAP) {
        const hearth_file_config config = {.struct_size = sizeof config, .flags = flags, .max_bytes = 4};
        hearth_file *file;
        hearth_error err;
        int fd = open(at("in/a"), O_RDONLY);
        assert_int_equal(lseek(fd, 3, SEEK_SET), 3); /* its position does not matter */
        assert_int_equal(hearth_file_open_fd(fd, "a", &config, &file, &err), HEARTH_OK);
        assert_int_equal(close(fd), 0);
        assert_int_equal(hearth_file_size(file), 4);
        assert_memory_equal(hearth_file_bytes(file), "aaaa", 4);
        hearth_file_close(file);
    }
}

static void what_is_no_regular_file_or_too_large_is_refused(void **state)
{
    const hearth_file_config three = {.struct_size = sizeof three, .max_bytes = 3};
    struct {
        int fd;
        hearth_status status;
    } cases[] = {
        {open(at("in"), O_RDONLY), HEARTH_E_FORMAT},
        {open(at("in/fifo"), O_RDONLY | O_NONBLOCK), HEARTH_E_FORMAT},
        {open("/dev/null", O_RDONLY), HEARTH_E_FORMAT},
        {open(at("in/empty"), O_RDONLY), HEARTH_E_TRUNCATED},
        {open(at("in/a"), O_RDONLY), HEARTH_E_LIMIT},
        {-1, HEARTH_E_ARGUMENT},
        {1 << 20, HEARTH_E_IO}, /* not open */
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        hearth_file *file = NULL;
        hearth_error err;
        assert_int_equal(hearth_file_open_fd(cases[i].fd, "thing", &three, &file, &err), cases[i].status);
        assert_null(file);
        assert_non_null(strstr(err.text, "thing"));
        if (i < 5)
            assert_int_equal(close(cases[i].fd), 0); /* still the caller's */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_lies_beneath_is_opened),
        cmocka_unit_test(a_descriptor_is_mapped_and_stays_the_callers),
        cmocka_unit_test(what_is_no_regular_file_or_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
