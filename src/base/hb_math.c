/* Argument reduction and a series, in the plainest form. Constants: ln 2 in two parts after fdlibm. */
#include "base/hb_math.h"
#include <stdint.h>
#include <string.h>

#define MATH_LN2_HI 6.93147180369123816490e-01
#define MATH_LN2_LO 1.90821492927058770002e-10

static double math_scale(double x, int64_t e) /* x * 2^e, both in the normal range */
{
    uint64_t bits = (uint64_t)(e + 1023) << 52;
    double p;
    memcpy(&p, &bits, sizeof p);
    return x * p;
}

double hb_floor(double x)
{
    double t = (double)(int64_t)x;
    return t > x ? t - 1 : t;
}

/* x = k ln 2 + r, |r| <= ln(2)/2; then Taylor to r^14 / 14!, whose tail is below 2^-57. */
double hb_exp(double x)
{
    double k = hb_floor(x * 1.44269504088896338700 + 0.5);
    double r = (x - k * MATH_LN2_HI) - k * MATH_LN2_LO;
    double sum = 1;
    for (int i = 14; i > 0; i--)
        sum = 1 + sum * r / i;
    return math_scale(sum, (int64_t)k);
}

/* x = 2^e m, m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1)/(m + 1), |s| < 0.1716;
 * terms to s^23. */
double hb_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t e = (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFull) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.41421356237309504880) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int i = 23; i > 1; i -= 2)
        sum = (sum + 1.0 / i) * s2;
    return (double)e * MATH_LN2_HI + ((double)e * MATH_LN2_LO + 2 * s * (1 + sum));
}

double hb_pow(double x, double y)
{
    return hb_exp(y * hb_log(x));
}

double hb_sqrt(double x)
{
    if (!(x > 0))
        return 0;
    double y = hb_exp(0.5 * hb_log(x));
    for (int i = 0; i < 2; i++) /* Newton */
        y = 0.5 * (y + x / y);
    return y;
}
