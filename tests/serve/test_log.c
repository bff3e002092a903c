/* The log: one line a record whatever is in it, and a descriptor that takes nothing harms nobody. */
#define _GNU_SOURCE
#include "test_support.h"
#include "serve/hs_log.h"
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int ends[2];
static struct hs_log log_;

static int make(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (pipe2(ends, O_NONBLOCK))
        return -1;
    hs_log_init(&log_, ends[1], HS_LOG_INFO);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *got(void)
{
    static char text[1 << 17];
    ssize_t n = read(ends[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void say(enum hs_log_level level, const char *value, size_t len)
{
    struct hs_log_line l;
    hs_log_begin(&l, &log_, level, "test");
    hs_log_text(&l, "v", value, len);
    hs_log_u64(&l, "n", 18446744073709551615u);
    hs_log_ms(&l, "ms", 1234567);
    hs_log_end(&l);
}

static void values_are_escaped(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        {"plain-1.2_x:/+@", 15, " v=plain-1.2_x:/+@ "}, {"two words", 9, " v=\"two words\" "},
        {"a\nlevel=error", 13, " v=\"a\\x0alevel=error\" "}, {"a\"b\\c", 5, " v=\"a\\\"b\\\\c\" "},
        {"\0", 1, " v=\"\\x00\" "}, {"\xE2\x80\xA8", 3, " v=\"\\xe2\\x80\\xa8\" "}, {"", 0, " v=\"\" "}, {"a=b", 3, " v=\"a=b\" "},
    };
    (void)state;
    for (size_t i = 0; i < HB_COUNT(cases); i++) {
        say(HS_LOG_INFO, cases[i].in, cases[i].len);
        const char *line = got();
        if (!strstr(line, cases[i].out) || strchr(line, '\n') != line + strlen(line) - 1)
            fail_msg("%s", line);
        assert_non_null(strstr(line, " level=info event=test"));
        assert_non_null(strstr(line, " n=18446744073709551615 ms=1.234\n"));
        assert_int_equal(memcmp(line, "time=1", 6), 0);
    }
}

static void long_lines_are_cut_as_lines(void **state)
{
    char text[4096];
    (void)state;
    for (int c = 0; c < 2; c++) {
        memset(text, c ? '\n' : 'a', sizeof text);
        say(HS_LOG_WARN, text, sizeof text);
        const char *line = got();
        assert_true(strlen(line) <= HS_LOG_BYTES);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    }
}

static void levels_are_kept(void **state)
{
    enum hs_log_level level;
    struct hs_log_line l;
    (void)state;
    say(HS_LOG_DEBUG, "x", 1);
    assert_string_equal(got(), "");
    assert_true(hs_log_level_named("warn", &level) && level == HS_LOG_WARN);
    assert_false(hs_log_level_named("loud", &level));
    hs_log_begin(&l, NULL, HS_LOG_ERROR, "none"); /* no log at all */
    hs_log_u64(&l, "n", 1);
    hs_log_end(&l);
}

static void too_many_lines_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < HS_LOG_BURST + 30; i++)
        say(HS_LOG_INFO, "x", 1);
    const char *text = got();
    unsigned lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_in_range(lines, HS_LOG_BURST, HS_LOG_BURST + 5); /* a slow machine lets a few more through */
    say(HS_LOG_ERROR, "y", 1); /* never held back */
    assert_non_null(strstr(got(), " dropped="));
    say(HS_LOG_ERROR, "y", 1);
    assert_null(strstr(got(), "dropped"));
    assert_int_equal(log_.lost + lines, HS_LOG_BURST + 30);
}

static void what_takes_nothing_harms_nobody(void **state)
{
    (void)state;
    while (write(ends[1], "x", 1) == 1) { /* the pipe is full: EAGAIN */
    }
    say(HS_LOG_ERROR, "x", 1);
    assert_int_equal(log_.lost, 1);
    while (got()[0]) {
    }
    say(HS_LOG_ERROR, "x", 1);
    assert_non_null(strstr(got(), " dropped=1 "));
    int full = open("/dev/full", O_WRONLY); /* ENOSPC */
    log_.fd = full;
    say(HS_LOG_ERROR, "x", 1);
    assert_int_equal(log_.lost, 2);
    close(full);
    say(HS_LOG_ERROR, "x", 1); /* EBADF */
    assert_int_equal(log_.lost, 3);
    log_.fd = ends[1];
    close(ends[0]); /* EPIPE */
    say(HS_LOG_ERROR, "x", 1);
    assert_int_equal(log_.lost, 4);
    ends[0] = -1;
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, make, drop)
    const struct CMUnitTest tests[] = {WITH(values_are_escaped), WITH(long_lines_are_cut_as_lines), WITH(levels_are_kept),
                                       WITH(too_many_lines_are_counted), WITH(what_takes_nothing_harms_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
