/* SHA-256: vectors of FIPS 180-2 and of RFC 6234, padding at every length, and both ways of the machine alike. */
#include "test_support.h"
#include "base/os/hb_os.h"
#include "serve/hs_sha256.h"

static void digest_of(const void *bytes, size_t n, size_t cut, char hex[65])
{
    struct hs_sha256 s;
    uint8_t d[32];
    hs_sha256_init(&s);
    for (size_t i = 0; i < n; i += cut)
        hs_sha256_add(&s, (const char *)bytes + i, n - i < cut ? n - i : cut);
    hs_sha256_end(&s, d);
    hs_sha256_hex(d, hex);
}

static void published_vectors(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    (void)state;
    for (int scalar = 0; scalar <= 1; scalar++) {
        char hex[65];
        hs_sha256_use_scalar(scalar);
        for (size_t i = 0; i < HB_COUNT(cases); i++) {
            digest_of(cases[i].text, strlen(cases[i].text), 7, hex);
            assert_string_equal(hex, cases[i].hex);
        }
        char *a = malloc(1000000);
        memset(a, 'a', 1000000);
        digest_of(a, 1000000, 4096, hex);
        assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        free(a);
    }
    hs_sha256_use_scalar(false);
}

static void every_length_in_any_cut_and_way_is_the_same(void **state)
{
    uint8_t bytes[300];
    uint64_t seed = 7;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)test_rand(&seed);
    for (size_t n = 0; n <= 260; n++) {
        char want[65], got[65];
        hs_sha256_use_scalar(true);
        digest_of(bytes + n % 13, n, 300, want);
        hs_sha256_use_scalar(false);
        for (size_t cut = 1; cut <= 131; cut += 13) {
            digest_of(bytes + n % 13, n, cut, got);
            assert_string_equal(got, want);
        }
    }
}

static void digits_are_read_strictly(void **state)
{
    char hex[65] = "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    uint8_t d[32], same[32];
    (void)state;
    assert_true(hs_sha256_parse(hex, 64, d));
    hs_sha256_hex(d, hex);
    assert_int_equal(hex[0], 'e');
    assert_true(hs_sha256_parse(hex, 64, same));
    assert_true(hs_sha256_equal(d, same));
    same[31] ^= 1;
    assert_false(hs_sha256_equal(d, same));
    assert_false(hs_sha256_parse(hex, 63, d));
    assert_false(hs_sha256_parse("", 0, d));
    for (const char *p = "g-/:@G` "; *p; p++) {
        hex[40] = *p;
        assert_false(hs_sha256_parse(hex, 64, d));
    }
}

static void how_fast_it_reads(void **state)
{
    const size_t n = 8u << 20;
    uint8_t *bytes = malloc(n);
    char hex[65];
    (void)state;
    memset(bytes, 7, n);
    for (int scalar = 1; scalar >= 0; scalar--) {
        uint64_t best = UINT64_MAX;
        hs_sha256_use_scalar(scalar);
        for (int i = 0; i < 5; i++) {
            uint64_t start = hb_os_now_ns();
            digest_of(bytes, n, n, hex);
            uint64_t took = hb_os_now_ns() - start;
            best = took < best ? took : best;
        }
        print_message("%s: %.2f GB/s\n", hs_sha256_way(), (double)n / (double)best);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(every_length_in_any_cut_and_way_is_the_same),
        cmocka_unit_test(digits_are_read_strictly),
        cmocka_unit_test(how_fast_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
