/* The category table against utf8proc, over all code points, and the UTF-8 decoder. */
#include "test_support.h"
#include "base/hb_unicode.h"
#if TEST_WITH_UTF8PROC
#include <utf8proc.h>
#endif

static void categories_agree_with_utf8proc(void **state)
{
#if TEST_WITH_UTF8PROC
    bool same_version = strcmp(utf8proc_unicode_version(), HB_UC_VERSION) == 0;
    size_t compared = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        int theirs = (int)utf8proc_category((utf8proc_int32_t)cp);
        int ours = (int)hb_uc_category(cp);
        if (ours == HB_UC_CC_SPACE)
            ours = HB_UC_CC;
        /* another version has assigned more */
        if (!same_version && (theirs == 0 || ours == HB_UC_CN))
            continue;
        if (ours != theirs)
            fail_msg("U+%04X: category %d, utf8proc has %d", cp, ours, theirs);
        compared++;
    }
    printf("%zu code points, utf8proc has Unicode %s\n", compared, utf8proc_unicode_version());
#else
    printf("skipped: utf8proc is not there\n");
    skip();
#endif
}

static void white_space_is_the_unicode_property(void **state)
{
    size_t n = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        n += (hb_uc_bit(cp) & HB_UC_SPACE) != 0;
    assert_int_equal(n, 25); /* PropList.txt: 25 code points */
    static const uint32_t some[] = {9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x2000, 0x200A,
                                    0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    for (size_t i = 0; i < HB_COUNT(some); i++)
        assert_true(hb_uc_bit(some[i]) & HB_UC_SPACE);
    assert_false(hb_uc_bit(0x200B) & HB_UC_SPACE);
    assert_false(hb_uc_bit(0x1C) & HB_UC_SPACE);
}

static void numbers_past_unicode_are_unassigned(void **state)
{
    assert_int_equal(hb_uc_category(0x110000), HB_UC_CN);
    assert_int_equal(hb_uc_category(0x1FFFFE), HB_UC_CN);
    assert_int_equal(hb_uc_category(UINT32_MAX), HB_UC_CN);
}

static void every_code_point_survives_utf8(void **state)
{
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        uint8_t bytes[4];
        uint32_t back;
        size_t n = hb_utf8_put(cp, bytes);
        bool surrogate = cp >= 0xD800 && cp < 0xE000;
        assert_int_equal(hb_utf8_len(bytes, n), surrogate ? 0 : n);
        assert_int_equal(hb_utf8_take(bytes, n, &back), surrogate ? 1 : n);
        assert_int_equal(back, surrogate ? HB_UC_REPLACEMENT : cp);
        for (size_t cut = 1; cut < n; cut++)
            assert_int_equal(hb_utf8_len(bytes, cut), 0);
    }
}

static void broken_utf8_is_refused(void **state)
{
    static const char *const bad[] = {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80",
                                      "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                                      "\xFF", "\xC3(", "\xE2\x82(", "\xF0\x9F\x98("};
    for (size_t i = 0; i < HB_COUNT(bad); i++) {
        uint32_t cp;
        assert_int_equal(hb_utf8_len((const uint8_t *)bad[i], strlen(bad[i])), 0);
        assert_int_equal(hb_utf8_take((const uint8_t *)bad[i], strlen(bad[i]), &cp), 1);
        assert_int_equal(cp, HB_UC_REPLACEMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(categories_agree_with_utf8proc),
        cmocka_unit_test(white_space_is_the_unicode_property),
        cmocka_unit_test(numbers_past_unicode_are_unassigned),
        cmocka_unit_test(every_code_point_survives_utf8),
        cmocka_unit_test(broken_utf8_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
