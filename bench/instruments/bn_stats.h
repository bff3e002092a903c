/* Figures of a handful of repetitions, and whether two handfuls differ by more than chance. */
#ifndef BN_STATS_H
#define BN_STATS_H

#include <stdbool.h>
#include <stddef.h>

void bn_sort(double *x, size_t n); /* ascending */

/* Nearest rank: the smallest value with at least p percent of all at or below it; p in [0, 100], 0 gives the
 * smallest. NaN if n is 0. */
double bn_percentile(const double *sorted, size_t n, double p);

double bn_median(const double *x, size_t n); /* of the two in the middle the mean; NaN if n is 0 */
double bn_mean(const double *x, size_t n);
double bn_deviation(const double *x, size_t n); /* of the sample; 0 below two */
double bn_spread(const double *x, size_t n);    /* median distance from the median, times 1.4826 */

/* Mann and Whitney: the probability of ranks like these, or more extreme to this side, if b were drawn as a
 * was: small when b is larger than a. Normal approximation with correction for ties. 1 without data. */
double bn_p_larger(const double *a, size_t na, const double *b, size_t nb);

#define BN_MOST_SAMPLES 1024 /* of one side, in bn_p_larger */

/* ---- two runs of one measurement ---- */

struct bn_samples {
    const double *x;
    size_t n;
};

enum bn_change {
    BN_SAME,      /* within the limit, or within the noise */
    BN_BETTER,
    BN_WORSE,
    BN_UNDECIDED, /* beyond the limit, but so were runs among themselves; or too few repetitions */
};

struct bn_comparison {
    double ratio; /* median of now over median of before, both of the better half */
    double p;     /* of a difference to that side by chance */
    double noise; /* relative: what three spreads of either side make */
    enum bn_change change;
};

/* Of nine samples or more the better half is compared: what others do to the machine makes some worse.
 * Worse: the median is off by more than `limit` (0.10 for a tenth) to the bad side and by more than the noise, and
 * ranks say the same with p below 0.01. `drift` is how much, relatively, the machine itself was slower now, by
 * a yardstick that does not depend on the code: it widens the limit. */
struct bn_comparison bn_compare(struct bn_samples before, struct bn_samples now, bool lower_is_better,
                                double limit, double drift);
const char *bn_change_text(enum bn_change change);

#endif
