#include "bn_stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int stats_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bn_sort(double *x, size_t n)
{
    if (n > 1)
        qsort(x, n, sizeof *x, stats_order);
}

double bn_percentile(const double *sorted, size_t n, double p)
{
    if (n == 0)
        return NAN;
    double rank = ceil(p / 100 * (double)n);
    return sorted[rank < 1 ? 0 : rank > (double)n ? n - 1 : (size_t)rank - 1];
}

double bn_median(const double *x, size_t n)
{
    double copy[BN_MOST_SAMPLES];
    n = n < BN_MOST_SAMPLES ? n : BN_MOST_SAMPLES;
    if (n == 0)
        return NAN;
    memcpy(copy, x, n * sizeof *x);
    bn_sort(copy, n);
    return n & 1 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
}

double bn_mean(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / (double)n : NAN;
}

double bn_deviation(const double *x, size_t n)
{
    double mean = bn_mean(x, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : 0;
}

double bn_spread(const double *x, size_t n)
{
    double off[BN_MOST_SAMPLES], middle = bn_median(x, n);
    n = n < BN_MOST_SAMPLES ? n : BN_MOST_SAMPLES;
    for (size_t i = 0; i < n; i++)
        off[i] = fabs(x[i] - middle);
    return n ? 1.4826 * bn_median(off, n) : NAN;
}

double bn_p_larger(const double *a, size_t na, const double *b, size_t nb)
{
    double both[2 * BN_MOST_SAMPLES], u = 0, ties = 0;
    na = na < BN_MOST_SAMPLES ? na : BN_MOST_SAMPLES;
    nb = nb < BN_MOST_SAMPLES ? nb : BN_MOST_SAMPLES;
    if (na == 0 || nb == 0)
        return 1;
    for (size_t i = 0; i < na; i++)
        for (size_t k = 0; k < nb; k++)
            u += b[k] > a[i] ? 1 : b[k] == a[i] ? 0.5 : 0;
    memcpy(both, a, na * sizeof *a);
    memcpy(both + na, b, nb * sizeof *b);
    size_t n = na + nb;
    bn_sort(both, n);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && both[k] == both[i]; k++) {
        }
        double t = (double)(k - i);
        ties += t * t * t - t;
    }
    double x = (double)na, y = (double)nb, all = x + y;
    double variance = x * y / 12 * (all + 1 - (all > 1 ? ties / (all * (all - 1)) : 0));
    if (variance <= 0)
        return 1;
    return 0.5 * erfc((u - x * y / 2 - 0.5) / sqrt(variance) / sqrt(2));
}

/* The better half of nine samples or more: on a machine that others use too, the worse half tells of them. */
static struct bn_samples stats_better(struct bn_samples s, bool lower, double *kept)
{
    size_t n = s.n < BN_MOST_SAMPLES ? s.n : BN_MOST_SAMPLES, keep = n >= 9 ? (n + 1) / 2 : n;
    if (n)
        memcpy(kept, s.x, n * sizeof *kept);
    bn_sort(kept, n);
    return (struct bn_samples){lower ? kept : kept + n - keep, keep};
}

struct bn_comparison bn_compare(struct bn_samples before, struct bn_samples now, bool lower_is_better,
                                double limit, double drift)
{
    double kept[2][BN_MOST_SAMPLES];
    before = stats_better(before, lower_is_better, kept[0]);
    now = stats_better(now, lower_is_better, kept[1]);
    double old = bn_median(before.x, before.n), new = bn_median(now.x, now.n);
    struct bn_comparison c = {.ratio = new / old, .p = 1, .change = BN_SAME};
    if (!(old > 0) || !(new > 0)) {
        c.change = BN_UNDECIDED;
        return c;
    }
    double a = bn_spread(before.x, before.n) / old, b = bn_spread(now.x, now.n) / new;
    c.noise = 3 * (a > b ? a : b);
    double worse = lower_is_better ? c.ratio - 1 : 1 - c.ratio, size = fabs(worse);
    bool up = c.ratio > 1;
    c.p = up ? bn_p_larger(before.x, before.n, now.x, now.n)
             : bn_p_larger(now.x, now.n, before.x, before.n);
    if (size <= limit)
        return c;
    bool single = before.n == 1 && now.n == 1; /* sizes, which have no noise */
    if (!single && (size <= c.noise || c.p >= 0.01 || (worse > 0 && size <= limit + drift)))
        c.change = BN_UNDECIDED;
    else
        c.change = worse > 0 ? BN_WORSE : BN_BETTER;
    return c;
}

const char *bn_change_text(enum bn_change change)
{
    static const char *const text[] = {"same", "better", "worse", "undecided"};
    return text[change];
}
