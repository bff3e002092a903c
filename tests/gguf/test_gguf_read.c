/* The reader alone: tables of headers, good and hostile (hardening rows G-01 ... G-12, G-19 ... G-26,
 * G-38), and the models at hand. */
#include "gguf_writer.h"
#include "base/os/hb_os.h"

/* Open one buffer; memory is given back and counted. */
static hearth_status open_bytes(const void *bytes, size_t n, hearth_error *err)
{
    struct gw_heap heap = {.refuse_at = -1};
    struct hb_arena arena = gw_arena(&heap);
    struct hg_file file;
    hearth_bytes part = {bytes, n};
    hearth_status s = hg_open(&part, 1, &arena, &file, err);
    hb_arena_release(&arena);
    assert_int_equal(heap.live, 0);
    assert_true(heap.peak < (16u << 20));
    return s;
}

static void a_truncated_header_is_refused(void **state)
{
    (void)state;
    struct gw w = {0};
    gw_header(&w, 3, 0, 0);
    hearth_error err;
    for (size_t n = 0; n < w.len; n++)
        assert_int_equal(open_bytes(w.at, n, &err), HEARTH_E_TRUNCATED);
    assert_int_equal(open_bytes(w.at, w.len, &err), HEARTH_OK);
    gw_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truncated_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
