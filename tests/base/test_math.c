/* The load-time mathematics against libm. */
#include "test_support.h"
#include "base/hb_math.h"
#include <math.h>

static void results_are_within_the_stated_error(void **state)
{
    (void)state;
    uint64_t seed = 7;
    double worst[3] = {0, 0, 0};
    for (int i = 0; i < 200000; i++) {
        double u = (double)(test_rand(&seed) >> 11) * 0x1p-53, x = exp((u - 0.5) * 60);
        double e = fabs(hb_exp(600 * (u - 0.5)) / exp(600 * (u - 0.5)) - 1);
        double l = fabs(hb_log(x) - log(x)) / fmax(1, fabs(log(x)));
        double s = fabs(hb_sqrt(x) / sqrt(x) - 1);
        worst[0] = fmax(worst[0], e);
        worst[1] = fmax(worst[1], l);
        worst[2] = fmax(worst[2], s);
        assert_true(hb_floor((u - 0.5) * 1e6) == floor((u - 0.5) * 1e6));
    }
    print_message("relative error, in units of 2^-52: exp %.2f log %.2f sqrt %.2f\n",
                  worst[0] * 0x1p52, worst[1] * 0x1p52, worst[2] * 0x1p52);
    assert_true(worst[0] < 0x1p-51 && worst[1] < 0x1p-51 && worst[2] < 0x1p-51);
    assert_true(fabs(hb_pow(1e6, -0.75) / pow(1e6, -0.75) - 1) < 0x1p-47);
    assert_true(hb_sqrt(0) == 0 && hb_sqrt(64) == 8);
    assert_true(hb_log(1) == 0 && hb_exp(0) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_within_the_stated_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
