/* Elementary functions in double (ht_math.h): reductions and series in their plainest form. */
#include "graph/ht_math.h"

double ht_trunc(double x)
{
    if (!(ht_abs(x) < 0x1p52))
        return x;
    return ht_copysign((double)(int64_t)x, x);
}

double ht_floor(double x)
{
    double t = ht_trunc(x);
    return t > x ? t - 1.0 : t;
}

double ht_ceil(double x)
{
    double t = ht_trunc(x);
    return ht_copysign(t < x ? t + 1.0 : t, x);
}

double ht_round_even(double x)
{
    if (!(ht_abs(x) < 0x1p52))
        return x;
    double big = ht_copysign(0x1p52, x);
    return ht_copysign((x + big) - big, x);
}

/* Exact: y is doubled up to x and taken away on the way down. */
double ht_fmod(double x, double y)
{
    double a = ht_abs(x), b = ht_abs(y);
    if (!(a < HT_INF) || !(b > 0))
        return HT_NAN;
    if (a < b)
        return x;
    double top = b;
    while (top <= a * 0.5)
        top *= 2;
    for (; top >= b; top *= 0.5)
        if (a >= top)
            a -= top;
    return ht_copysign(a, x);
}

double ht_exp(double x)
{
    if (x != x)
        return x;
    if (x > 710)
        return HT_INF;
    if (x < -746)
        return 0;
    if (ht_abs(x) <= 700)
        return hk_exp_f64(x);
    double half = hk_exp_f64(x * 0.5);
    return half * half;
}

double ht_log(double x)
{
    if (x == 0)
        return -HT_INF;
    if (!(x > 0))
        return HT_NAN;
    if (!(x < HT_INF))
        return x;
    if (x < 0x1p-1000)
        return hk_log_f64(x * 0x1p100) - 69.314718055994530942;
    return hk_log_f64(x);
}

double ht_pow(double x, double y)
{
    if (y == 0 || x == 1)
        return 1;
    if (x != x || y != y)
        return HT_NAN;
    bool whole = ht_trunc(y) == y;
    bool odd = whole && ht_abs(y) < 0x1p53 && ((int64_t)y & 1);
    if (whole && ht_abs(y) <= 64) { /* exact for small whole results */
        double p = 1, b = x;
        for (int n = (int)ht_abs(y); n; n >>= 1, b *= b)
            if (n & 1)
                p *= b;
        return y < 0 ? 1 / p : p;
    }
    double a = ht_abs(x);
    if (a == 0 || !(a < HT_INF)) {
        double r = (a == 0) == (y > 0) ? 0 : HT_INF;
        return odd ? ht_copysign(r, x) : r;
    }
    if (!(ht_abs(y) < HT_INF))
        return a == 1 ? 1 : (a > 1) == (y > 0) ? HT_INF : 0;
    if (x < 0 && !whole)
        return HT_NAN;
    if (y == 0.5)
        return ht_sqrt(x);
    double r = ht_exp(y * ht_log(a));
    return odd && x < 0 ? -r : r;
}

/* Reduce to |r| <= pi/4 and a quadrant. */
static double math_quadrant(double x, int *q)
{
    if (!(ht_abs(x) < 0x1p28)) {
        uint32_t u = 0;
        double r = x;
        if (ht_abs(x) < 0x1p127)
            r = hk_reduce_large((float)x, &u);
        else
            r = HT_NAN;
        *q = (int)(u & 3);
        return r;
    }
    double n = ht_round_even(x * 0.63661977236758134308);
    double r = x - n * 0x1.921fb4p+0;
    r = r - n * 0x1.4442dp-24;
    r = r - n * 0x1.8469898cc517p-48;
    *q = (int)((int64_t)n & 3);
    return r;
}

static double math_sin_series(double r)
{
    double z = r * r, p = 1;
    for (int i = 21; i >= 3; i -= 2)
        p = 1.0 - z / (double)(i * (i - 1)) * p;
    return r * p;
}

static double math_cos_series(double r)
{
    double z = r * r, p = 1;
    for (int i = 20; i >= 2; i -= 2)
        p = 1.0 - z / (double)(i * (i - 1)) * p;
    return p;
}

double ht_sin(double x)
{
    int q;
    double r = math_quadrant(x, &q);
    double y = q & 1 ? math_cos_series(r) : math_sin_series(r);
    return q & 2 ? -y : y;
}

double ht_cos(double x)
{
    int q;
    double r = math_quadrant(x, &q);
    double y = q & 1 ? math_sin_series(r) : math_cos_series(r);
    return (q + 1) & 2 ? -y : y;
}

double ht_tan(double x)
{
    return ht_sin(x) / ht_cos(x);
}

/* atan x = 2 atan(x / (1 + sqrt(1 + x^2))), twice, then the series. */
double ht_atan(double x)
{
    double a = ht_abs(x), big = 0;
    if (x != x)
        return x;
    if (a > 1) {
        a = 1 / a;
        big = 1;
    }
    double t = a / (1 + ht_sqrt(1 + a * a));
    t = t / (1 + ht_sqrt(1 + t * t));
    double z = t * t, p = 0;
    for (int i = 25; i >= 1; i -= 2)
        p = 1.0 / i - z * p;
    double y = 4 * t * p;
    return ht_copysign(big != 0 ? HT_PI / 2 - y : y, x);
}

double ht_asin(double x)
{
    if (!(ht_abs(x) <= 1))
        return HT_NAN;
    if (ht_abs(x) == 1)
        return ht_copysign(HT_PI / 2, x);
    return ht_atan(x / ht_sqrt((1 - x) * (1 + x)));
}

double ht_acos(double x)
{
    if (!(ht_abs(x) <= 1))
        return HT_NAN;
    if (x == -1)
        return HT_PI;
    return 2 * ht_atan(ht_sqrt((1 - x) / (1 + x)));
}

static double math_expm1(double x)
{
    if (ht_abs(x) > 0.5)
        return ht_exp(x) - 1;
    double p = 1;
    for (int i = 18; i > 1; i--)
        p = 1 + p * x / i;
    return x * p;
}

static double math_log1p(double x)
{
    if (ht_abs(x) > 0.25)
        return ht_log(1 + x);
    double s = x / (2 + x), z = s * s, p = 0;
    for (int i = 23; i > 0; i -= 2)
        p = p * z + 1.0 / i;
    return 2 * s * p;
}

double ht_sinh(double x)
{
    double a = ht_abs(x);
    if (a > 40) {
        double h = ht_exp(a * 0.5);
        return ht_copysign(0.5 * h * h, x);
    }
    double e = math_expm1(a);
    return ht_copysign(0.5 * (e + e / (e + 1)), x);
}

double ht_cosh(double x)
{
    double h = ht_exp(ht_abs(x) * 0.5);
    return 0.5 * h * h + 0.5 / (h * h);
}

double ht_tanh(double x)
{
    double a = ht_abs(x);
    if (a > 22)
        return ht_copysign(1, x);
    double e = math_expm1(2 * a);
    return x != x ? x : ht_copysign(e / (e + 2), x);
}

double ht_asinh(double x)
{
    double a = ht_abs(x);
    if (!(a < 0x1p28))
        return ht_copysign(ht_log(a) + 0.69314718055994530942, x);
    return ht_copysign(math_log1p(a + a * a / (1 + ht_sqrt(1 + a * a))), x);
}

double ht_acosh(double x)
{
    if (!(x >= 1))
        return HT_NAN;
    if (x > 0x1p28)
        return ht_log(x) + 0.69314718055994530942;
    double t = x - 1;
    return math_log1p(t + ht_sqrt(2 * t + t * t));
}

double ht_atanh(double x)
{
    if (x == 1 || x == -1)
        return ht_copysign(HT_INF, x);
    if (!(ht_abs(x) < 1))
        return HT_NAN;
    return 0.5 * math_log1p(2 * x / (1 - x));
}

/* Below 3 the series 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!, above a continued fraction. */
double ht_erf(double x)
{
    double a = ht_abs(x);
    if (x != x)
        return x;
    if (a > 6)
        return ht_copysign(1, x);
    if (a < 3) {
        double term = a, sum = a;
        for (int n = 1; n < 80 && term > sum * 1e-18; n++) {
            term *= 2 * a * a / (2 * n + 1);
            sum += term;
        }
        return ht_copysign(1.1283791670955125739 * ht_exp(-a * a) * sum, x);
    }
    double f = 0;
    for (int n = 60; n > 0; n--)
        f = n * 0.5 / (a + f);
    return ht_copysign(1 - ht_exp(-a * a) / ((a + f) * 1.7724538509055160273), x);
}

int64_t ht_to_i64(double x)
{
    if (x != x)
        return 0;
    if (x >= 0x1p63)
        return INT64_MAX;
    return x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

uint64_t ht_to_u64(double x)
{
    if (!(x > 0))
        return x >= -0x1p63 && x == x ? (uint64_t)(int64_t)x : 0;
    return x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}
