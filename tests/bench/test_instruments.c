/* The instruments on vectors whose answers are known. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include "bench/instruments/bn_latency.h"
#include "bench/instruments/bn_machine.h"
#include "bench/instruments/bn_memory.h"
#include "bench/instruments/bn_meter.h"
#include "bench/instruments/bn_stats.h"
#include "test_support.h"
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- latencies ---- */

static struct bn_latency recorder, other; /* large */

static void record_range(struct bn_latency *l, uint64_t from, uint64_t to)
{
    for (uint64_t v = to; v >= from; v--) /* not in order */
        bn_latency_record(l, v);
}

static void percentiles_are_the_nearest_rank(void **state)
{
    /* 15, 20, 35, 40, 50: the usual example */
    static const uint64_t values[] = {35, 20, 15, 50, 40};
    static const struct {
        double p;
        uint64_t value;
    } rows[] = {{0, 15}, {5, 15}, {20, 15}, {20.1, 20}, {30, 20}, {40, 20}, {50, 35}, {95, 50}, {100, 50}};
    memset(&recorder, 0, sizeof recorder);
    for (size_t i = 0; i < 5; i++)
        bn_latency_record(&recorder, values[i]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 0;
        assert_true(bn_latency_percentile(&recorder, rows[i].p, &v));
        assert_int_equal(v, rows[i].value);
    }
    struct bn_distribution d;
    assert_true(bn_latency_get(&recorder, &d));
    assert_true(d.n == 5 && d.min == 15 && d.max == 50 && d.p50 == 35 && d.p99 == 50);
    assert_true(fabs(d.mean - 32) < 1e-12 && fabs(d.stddev - sqrt(830.0 / 4)) < 1e-9);
}

static void nothing_recorded_is_no_data(void **state)
{
    struct bn_distribution d = {.n = 77};
    uint64_t v = 77;
    memset(&recorder, 0, sizeof recorder);
    assert_false(bn_latency_percentile(&recorder, 50, &v));
    assert_false(bn_latency_get(&recorder, &d));
    assert_true(v == 77 && d.n == 77);
    assert_true(isnan(bn_percentile(NULL, 0, 50)) && isnan(bn_median(NULL, 0)));
}

static void up_to_4096_values_are_exact(void **state)
{
    uint64_t v;
    memset(&recorder, 0, sizeof recorder);
    record_range(&recorder, 1, BN_EXACT);
    for (int p = 1; p <= 100; p++) {
        assert_true(bn_latency_percentile(&recorder, p, &v));
        assert_int_equal(v, (uint64_t)ceil(p * BN_EXACT / 100.0));
    }
}

static void long_runs_are_within_a_bucket(void **state)
{
    static const double points[] = {0.1, 1, 25, 50, 75, 90, 99, 99.9, 100};
    memset(&recorder, 0, sizeof recorder);
    for (uint64_t i = 1; i <= 300000; i++)
        bn_latency_record(&recorder, i * 977 % 300007 * 1000); /* a permutation, nearly */
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        uint64_t v;
        double exact = points[i] / 100 * 300007 * 1000;
        assert_true(bn_latency_percentile(&recorder, points[i], &v));
        assert_true(fabs((double)v - exact) <= exact * 0.0085 + 2000);
    }
    assert_int_equal(recorder.n, 300000);
}

static void a_bucket_never_reports_less_than_its_values(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++)
        for (int near = -1; near <= 1; near++) {
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)near, got;
            memset(&recorder, 0, sizeof recorder);
            for (int i = 0; i <= BN_EXACT; i++)
                bn_latency_record(&recorder, v);
            assert_true(bn_latency_percentile(&recorder, 50, &got));
            assert_int_equal(got, v); /* min and max are known */
        }
}

static void recorders_add_up(void **state)
{
    struct bn_distribution d;
    memset(&recorder, 0, sizeof recorder);
    memset(&other, 0, sizeof other);
    record_range(&recorder, 1, 60);
    record_range(&other, 61, 100);
    bn_latency_add(&recorder, &other);
    assert_true(bn_latency_get(&recorder, &d));
    assert_true(d.n == 100 && d.min == 1 && d.max == 100 && d.p50 == 50 && d.p95 == 95 && d.p99 == 99);
    assert_true(fabs(d.mean - 50.5) < 1e-9 && fabs(d.stddev - sqrt(100 * 101 / 12.0)) < 1e-9);
}

static void requests_that_a_pause_kept_back_are_added(void **state)
{
    uint64_t v;
    memset(&recorder, 0, sizeof recorder);
    for (int i = 0; i < 90; i++)
        bn_latency_record_due(&recorder, 5, 10);
    bn_latency_record_due(&recorder, 100, 10); /* 100, 90, ... 10 */
    assert_int_equal(recorder.n, 100);
    bn_latency_percentile(&recorder, 95, &v);
    assert_int_equal(v, 50);
}

/* ---- rates ---- */

static void kinds_of_work_are_metered_apart(void **state)
{
    struct bn_meter m = {0};
    assert_true(isnan(bn_meter_rate(&m, BN_DECODE)));
    bn_meter_begin(&m, BN_PREFILL, 1000);
    bn_meter_end(&m, BN_PREFILL, 1000, 512); /* no time at all */
    assert_true(isnan(bn_meter_rate(&m, BN_PREFILL)));
    bn_meter_begin(&m, BN_PREFILL, 1000);
    bn_meter_end(&m, BN_PREFILL, 500001000, 488);
    bn_meter_begin(&m, BN_DECODE, 500001000);
    bn_meter_end(&m, BN_DECODE, 1500001000, 50);
    assert_true(fabs(bn_meter_rate(&m, BN_PREFILL) - 2000) < 1e-9);
    assert_true(fabs(bn_meter_rate(&m, BN_DECODE) - 50) < 1e-9);
    bn_meter_begin(&m, BN_DECODE, 2000000000);
    bn_meter_end(&m, BN_DECODE, 1900000000, 0); /* a clock that went back */
    assert_true(fabs(bn_meter_rate(&m, BN_DECODE) - 50) < 1e-9);
}

static void cpu_use_is_time_over_wall_and_cores(void **state)
{
    struct bn_cpu a = {.wall = 10, .user = 1, .system = 1, .machine = 100, .steal = 5};
    struct bn_cpu b = {.wall = 14, .user = 6, .system = 2, .machine = 108, .steal = 7};
    struct bn_cpu_use use = bn_cpu_between(a, b, 2);
    assert_true(fabs(use.of_cores - 0.75) < 1e-12 && fabs(use.cpus - 1.5) < 1e-12);
    assert_true(fabs(use.foreign_cpus - 0.5) < 1e-12 && fabs(use.steal_cpus - 0.5) < 1e-12);
    b.wall = 10.5;
    assert_true(isnan(bn_cpu_between(a, b, 2).foreign_cpus));
    assert_true(isnan(bn_cpu_between(a, a, 2).of_cores));
}

static void a_busy_thread_is_seen(void **state)
{
    struct bn_cpu before = bn_cpu_now();
    for (uint64_t end = bn_now_ns() + 50000000; bn_now_ns() < end;) {
    }
    struct bn_cpu_use use = bn_cpu_between(before, bn_cpu_now(), 1);
    assert_true(use.cpus > 0.05 && use.cpus < 1.5); /* a loaded machine gives less than 1 */
}

/* ---- memory ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void memory_is_read_from_proc_and_cgroup(void **state)
{
    char dir[] = "/tmp/hearth-memory-XXXXXX", path[512];
    static const char *const names[] = {"status", "smaps_rollup", "cgroup", "g/memory.current", "g", ""};
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/g", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(dir, "status", "Name:\tx\nVmHWM:\t  5000 kB\nVmRSS:\t  4000 kB\nRssAnon:\t 3000 kB\nRssFile:\t 900 kB\nRssShmem:\t 100 kB\n");
    write_file(dir, "smaps_rollup", "00-ff ---p 00000000 00:00 0 [rollup]\nRss: 4000 kB\nPss:    3500 kB\nPss_Anon: 1 kB\n");
    write_file(dir, "cgroup", "12:cpu:/x\n0::/g\n");
    write_file(dir, "g/memory.current", "123456\n");
    struct bn_memory m = bn_memory_at(dir, dir);
    assert_true(m.rss == 4000 * 1024 && m.peak == 5000 * 1024 && m.anon == 3000 * 1024);
    assert_true(m.file == 900 * 1024 && m.shmem == 100 * 1024 && m.pss == 3500 * 1024);
    assert_int_equal(m.cgroup, 123456);
    m = bn_memory_at("/nowhere", "/nowhere");
    assert_true(m.rss == -1 && m.pss == -1 && m.cgroup == -1);
    for (size_t i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
}

static void growth_has_a_sign(void **state)
{
    bool known;
    assert_int_equal(bn_memory_grown(100, 40, &known), -60);
    assert_true(known);
    assert_int_equal(bn_memory_grown(-1, 40, &known), 0);
    assert_false(known);
}

static void touched_pages_are_resident(void **state)
{
    struct bn_memory before = bn_memory_now();
    size_t size = 32 << 20;
    char *block = malloc(size);
    assert_non_null(block);
    memset(block, 1, size);
    struct bn_memory after = bn_memory_now();
    if (before.rss < 0)
        skip(); /* no procfs */
    assert_in_range(after.rss - before.rss, size - (1 << 20), size + (8 << 20));
    assert_true(after.peak >= after.rss - (1 << 20));
    free(block);
}

/* ---- figures and noise ---- */

static void figures_of_few_samples(void **state)
{
    double x[] = {3, 1, 2, 10};
    assert_true(bn_median(x, 4) == 2.5 && bn_mean(x, 4) == 4);
    assert_true(fabs(bn_deviation(x, 4) - sqrt(50.0 / 3)) < 1e-12);
    assert_true(fabs(bn_spread(x, 4) - 1.4826 * 1) < 1e-12); /* distances .5 1.5 .5 7.5 */
    bn_sort(x, 4);
    assert_true(x[0] == 1 && bn_percentile(x, 4, 75) == 3 && bn_percentile(x, 4, 76) == 10);
}

static void ranks_tell_chance(void **state)
{
    const double low[] = {1, 2, 3, 4, 5, 6, 7}, high[] = {11, 12, 13, 14, 15, 16, 17};
    const double mixed[] = {1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 0.5}, equal[] = {2, 2, 2};
    assert_true(bn_p_larger(low, 7, high, 7) < 0.002 && bn_p_larger(high, 7, low, 7) > 0.99);
    assert_true(bn_p_larger(low, 7, mixed, 7) > 0.2);
    assert_true(bn_p_larger(equal, 3, equal, 3) == 1 && bn_p_larger(low, 0, high, 7) == 1);
    /* 7 against 7 without overlap: U = 49, mean 24.5, deviation sqrt(61.25) */
    assert_true(fabs(bn_p_larger(low, 7, high, 7) - 0.5 * erfc(24 / sqrt(61.25) / sqrt(2))) < 1e-12);
}

static void scaled(double *to, const double *from, size_t n, double by)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] * by;
}

/* Nine recorded repetitions of tg128, tokens a second, of two runs that had no change between them. */
static const double run_a[] = {1931.4, 1938.2, 1927.9, 1944.0, 1935.5, 1929.1, 1940.8, 1933.3, 1936.0};
static const double run_b[] = {1925.0, 1941.1, 1918.7, 1932.2, 1930.9, 1937.4, 1922.3, 1928.8, 1935.7};

static void a_slowdown_of_15_percent_is_worse(void **state)
{
    double slow[9];
    scaled(slow, run_b, 9, 1 / 1.15);
    struct bn_comparison c = bn_compare((struct bn_samples){run_a, 9}, (struct bn_samples){slow, 9}, false, 0.10, 0);
    assert_int_equal(c.change, BN_WORSE);
    scaled(slow, run_b, 9, 1.15); /* the same as a latency */
    c = bn_compare((struct bn_samples){run_a, 9}, (struct bn_samples){slow, 9}, true, 0.10, 0);
    assert_int_equal(c.change, BN_WORSE);
    c = bn_compare((struct bn_samples){run_a, 9}, (struct bn_samples){slow, 9}, false, 0.10, 0);
    assert_int_equal(c.change, BN_BETTER);
}

static void noise_is_not_worse(void **state)
{
    double wild[9] = {1, 2, 1, 3, 1, 2, 4, 1, 2}, wilder[9] = {2, 3, 1, 4, 2, 2, 5, 1, 3};
    struct bn_comparison c = bn_compare((struct bn_samples){run_a, 9}, (struct bn_samples){run_b, 9}, false, 0.10, 0);
    assert_int_equal(c.change, BN_SAME);
    c = bn_compare((struct bn_samples){wild, 9}, (struct bn_samples){wilder, 9}, true, 0.10, 0);
    assert_true(c.change == BN_SAME || c.change == BN_UNDECIDED);
    /* the machine itself was 12 % slower */
    double slow[9];
    scaled(slow, run_b, 9, 1 / 1.15);
    c = bn_compare((struct bn_samples){run_a, 9}, (struct bn_samples){slow, 9}, false, 0.10, 0.12);
    assert_int_equal(c.change, BN_UNDECIDED);
    /* three repetitions cannot show what is asked for */
    c = bn_compare((struct bn_samples){run_a, 3}, (struct bn_samples){slow, 3}, false, 0.10, 0);
    assert_int_equal(c.change, BN_UNDECIDED);
}

static void sizes_need_no_repetition(void **state)
{
    double before = 100, now = 120;
    struct bn_comparison c = bn_compare((struct bn_samples){&before, 1}, (struct bn_samples){&now, 1}, true, 0.15, 0);
    assert_int_equal(c.change, BN_WORSE);
    now = 114;
    c = bn_compare((struct bn_samples){&before, 1}, (struct bn_samples){&now, 1}, true, 0.15, 0);
    assert_int_equal(c.change, BN_SAME);
}

/* ---- the machine ---- */

static void the_machine_has_a_name_and_levels(void **state)
{
    struct bn_machine m;
    bn_machine_look(&m);
    assert_true(m.cpu[0] && strncmp(m.levels, "scalar", 6) == 0 && m.level[0]);
    assert_true(m.cpus >= 1 && m.cores >= 1 && m.cores <= m.cpus && m.compiler[0] && m.flags[0]);
}

static void peaks_rise_with_levels(void **state)
{
    double f32 = 0, int8 = 0;
    for (size_t i = 1; hearth_level_name(i); i++) {
        double f, b;
        bn_peaks(hearth_level_name(i), &b, &f);
        assert_true(f > 1 && f < 5000 && b < 20000); /* operations a ns of one core */
        assert_true(f > 0.5 * f32 && b > 0.5 * int8);
        f32 = f, int8 = b;
    }
    bn_peaks("scalar", &int8, &f32);
    assert_true(int8 == 0 && f32 == 0); /* the compiler chooses its instructions */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_the_nearest_rank),
        cmocka_unit_test(nothing_recorded_is_no_data),
        cmocka_unit_test(up_to_4096_values_are_exact),
        cmocka_unit_test(long_runs_are_within_a_bucket),
        cmocka_unit_test(a_bucket_never_reports_less_than_its_values),
        cmocka_unit_test(recorders_add_up),
        cmocka_unit_test(requests_that_a_pause_kept_back_are_added),
        cmocka_unit_test(kinds_of_work_are_metered_apart),
        cmocka_unit_test(cpu_use_is_time_over_wall_and_cores),
        cmocka_unit_test(a_busy_thread_is_seen),
        cmocka_unit_test(memory_is_read_from_proc_and_cgroup),
        cmocka_unit_test(growth_has_a_sign),
        cmocka_unit_test(touched_pages_are_resident),
        cmocka_unit_test(figures_of_few_samples),
        cmocka_unit_test(ranks_tell_chance),
        cmocka_unit_test(a_slowdown_of_15_percent_is_worse),
        cmocka_unit_test(noise_is_not_worse),
        cmocka_unit_test(sizes_need_no_repetition),
        cmocka_unit_test(the_machine_has_a_name_and_levels),
        cmocka_unit_test(peaks_rise_with_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
