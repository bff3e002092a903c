/* Elementary functions in double for tensor ops that are no hot path: relative error near 2^-50 where
 * nothing else is said, special values as IEEE 754 and C Annex F have them. Own, because the core
 * links no libm. */
#ifndef HT_MATH_H
#define HT_MATH_H

#include "kernels/hk_math.h"

#define HT_INF ((double)HK_INFINITY)
#define HT_NAN ((double)HK_NAN)
#define HT_PI  3.141592653589793238

HB_INLINE double ht_abs(double x)
{
    return __builtin_fabs(x);
}

HB_INLINE double ht_copysign(double m, double s)
{
    return __builtin_copysign(m, s);
}

HB_INLINE double ht_sqrt(double x)
{
    return __builtin_sqrt(x);
}

double ht_trunc(double x);
double ht_floor(double x);
double ht_ceil(double x);
double ht_round_even(double x);
double ht_fmod(double x, double y);
double ht_exp(double x);
double ht_log(double x);
double ht_pow(double x, double y);
double ht_sin(double x); /* |x| < 2^28, then as hk_sincos */
double ht_cos(double x);
double ht_tan(double x);
double ht_asin(double x);
double ht_acos(double x);
double ht_atan(double x);
double ht_sinh(double x);
double ht_cosh(double x);
double ht_tanh(double x);
double ht_asinh(double x);
double ht_acosh(double x);
double ht_atanh(double x);
double ht_erf(double x); /* absolute error near 2^-50 */

/* To integers: NaN is 0, what is out of range is the nearest end. */
int64_t ht_to_i64(double x);
uint64_t ht_to_u64(double x);

#endif
