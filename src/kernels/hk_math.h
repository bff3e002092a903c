/* exp, tanh, erf, log, sigmoid, the activations made of them, sin and cos: one definition for all
 * levels.
 *
 * Every function is a fixed sequence of IEEE single operations (hk_fma, +, -, *, /, compare and
 * select, integer work on the bits), so the vector headers hk_math_<level>.h repeat it lane by lane
 * and get the same bits. `a < b ? a : b` is written so that it is one min or max instruction of x86
 * (the second operand is taken when one is NaN). Selects choose between values that are both
 * computed. Coefficients: weighted minimax fits (Remez) in 40 digits, rounded to float.
 *
 * NaN in gives NaN out. Largest errors seen, in units of the last place of the correctly rounded
 * result (tests/kernels/test_hk_math.c holds them to it):
 *
 *   exp 1.0   log 0.9   tanh 1.4   erf 1.2   sigmoid 2.4   sin, cos 0.501
 *
 * exp gives subnormal results rounded once, 0 below and infinity above the range. */
#ifndef HK_MATH_H
#define HK_MATH_H

#include "kernels/hk_fma.h"

#define HK_INFINITY hk_from_bits(0x7F800000u)
#define HK_NAN      hk_from_bits(0x7FC00000u)

#define HK_LOG2E      0x1.715476p+0f
#define HK_LN2_HI     0x1.62e43p-1f /* 20 bits: n * HK_LN2_HI is exact for the n that occur */
#define HK_LN2_LO     -0x1.05c61p-29f
#define HK_ROUND      0x1.8p+23f /* x + HK_ROUND holds x rounded to an integer in its low bits */
#define HK_ROUND_BITS 0x4B400000u

#define HK_EXP_MAX 89.0f
#define HK_EXP_MIN -104.0f
#define HK_EXP_Q0  0x1.fffffcp-2f
#define HK_EXP_Q1  0x1.55549p-3f
#define HK_EXP_Q2  0x1.5558f8p-5f
#define HK_EXP_Q3  0x1.123b02p-7f
#define HK_EXP_Q4  0x1.6a2256p-10f

#define HK_TANH_SPLIT 0.625f
#define HK_TANH_MAX   10.0f
#define HK_TANH_P0    -0x1.555532p-2f
#define HK_TANH_P1    0x1.110726p-3f
#define HK_TANH_P2    -0x1.b83c5ap-5f
#define HK_TANH_P3    0x1.52269cp-6f
#define HK_TANH_P4    -0x1.75e1ccp-8f

#define HK_ERF_SPLIT 0.921875f
#define HK_ERF_MAX   4.0f
#define HK_ERF_P0    0x1.06eba6p-3f
#define HK_ERF_P1    -0x1.8126e6p-2f
#define HK_ERF_P2    0x1.ce1a6ap-4f
#define HK_ERF_P3    -0x1.b68b54p-6f
#define HK_ERF_P4    0x1.473baap-8f
#define HK_ERF_P5    -0x1.3a17ep-11f
#define HK_ERF_Q0    0x1.0733aep-3f
#define HK_ERF_Q1    0x1.457be8p-1f
#define HK_ERF_Q2    0x1.af3134p-4f
#define HK_ERF_Q3    -0x1.772184p-6f
#define HK_ERF_Q4    0x1.a5a4f8p-9f
#define HK_ERF_Q5    -0x1.c1405ep-13f

#define HK_LOG_P0 0x1.555548p-2f
#define HK_LOG_P1 -0x1.000006p-2f
#define HK_LOG_P2 0x1.99a4bcp-3f
#define HK_LOG_P3 -0x1.555c5ap-3f
#define HK_LOG_P4 0x1.2336e4p-3f
#define HK_LOG_P5 -0x1.fc1f6ep-4f
#define HK_LOG_P6 0x1.e6f604p-4f
#define HK_LOG_P7 -0x1.de4f9p-4f
#define HK_LOG_P8 0x1.146304p-4f

#define HK_SQRT_HALF    0x1.6a09e6p-1f
#define HK_GELU_2C      0x1.988454p+0f /* 2 sqrt(2/pi) */
#define HK_GELU_2C_CUBE 0x1.2444f2p-4f /* 2 sqrt(2/pi) * 0.044715 */

HB_INLINE float hk_sqrt(float x)
{
    return __builtin_sqrtf(x);
}

HB_INLINE float hk_abs(float x)
{
    return hk_from_bits(hk_to_bits(x) & 0x7FFFFFFFu);
}

HB_INLINE float hk_copysign(float magnitude, float sign)
{
    return hk_from_bits((hk_to_bits(magnitude) & 0x7FFFFFFFu) | (hk_to_bits(sign) & 0x80000000u));
}

/* 2^n for -126 <= n <= 127, else some float */
HB_INLINE float hk_pow2(int32_t n)
{
    return hk_from_bits(((uint32_t)n + 127) << 23);
}

/* x = n ln2 + r with |r| <= ln2 / 2;  e^x = 2^n (1 + (r + r^2 q(r))) */
HB_INLINE float hk_exp_reduced(float x, float *n_rounded)
{
    float t = hk_fma(x, HK_LOG2E, HK_ROUND);
    float n = t - HK_ROUND;
    float r = hk_fma(n, -HK_LN2_HI, x);
    r = hk_fma(n, -HK_LN2_LO, r);
    float q = hk_fma(HK_EXP_Q4, r, HK_EXP_Q3);
    q = hk_fma(q, r, HK_EXP_Q2);
    q = hk_fma(q, r, HK_EXP_Q1);
    q = hk_fma(q, r, HK_EXP_Q0);
    q = hk_fma(q, r * r, r);
    *n_rounded = t;
    return q + 1.0f;
}

/* Scaled in two steps, of which the first is exact: the second rounds subnormal results once. */
HB_INLINE float hk_exp(float x)
{
    float t;
    x = HK_EXP_MAX < x ? HK_EXP_MAX : x;
    x = HK_EXP_MIN > x ? HK_EXP_MIN : x;
    float p = hk_exp_reduced(x, &t);
    int32_t n = (int32_t)(hk_to_bits(t) - HK_ROUND_BITS);
    int32_t half = n >> 1;
    return p * hk_pow2(half) * hk_pow2(n - half);
}

/* |x| <= 87, where one step of scaling is enough. */
HB_INLINE float hk_exp_mid(float x)
{
    float t;
    float p = hk_exp_reduced(x, &t);
    return p * hk_from_bits((hk_to_bits(t) << 23) + 0x3F800000u);
}

/* |x| <= 0.625: x + x^3 P(x^2); above: 1 - 2 / (e^2|x| + 1) */
HB_INLINE float hk_tanh(float x)
{
    float a = hk_abs(x), z = x * x;
    float p = hk_fma(HK_TANH_P4, z, HK_TANH_P3);
    p = hk_fma(p, z, HK_TANH_P2);
    p = hk_fma(p, z, HK_TANH_P1);
    p = hk_fma(p, z, HK_TANH_P0);
    float small = hk_fma(x * z, p, x);
    float b = HK_TANH_MAX < a ? HK_TANH_MAX : a;
    float large = 1.0f - 2.0f / (hk_exp_mid(b + b) + 1.0f);
    return hk_copysign(a > HK_TANH_SPLIT ? large : small, x);
}

/* |x| <= 0.92: x + x P(x^2); above: 1 - erfc, erfc(t) = exp(-t - t Q(t)) */
HB_INLINE float hk_erf(float x)
{
    float a = hk_abs(x), z = x * x;
    float p = hk_fma(HK_ERF_P5, z, HK_ERF_P4);
    p = hk_fma(p, z, HK_ERF_P3);
    p = hk_fma(p, z, HK_ERF_P2);
    p = hk_fma(p, z, HK_ERF_P1);
    p = hk_fma(p, z, HK_ERF_P0);
    float small = hk_fma(p, x, x);
    float t = HK_ERF_MAX < a ? HK_ERF_MAX : a;
    float q = hk_fma(HK_ERF_Q5, t, HK_ERF_Q4);
    q = hk_fma(q, t, HK_ERF_Q3);
    q = hk_fma(q, t, HK_ERF_Q2);
    q = hk_fma(q, t, HK_ERF_Q1);
    q = hk_fma(q, t, HK_ERF_Q0);
    float large = 1.0f - hk_exp_mid(hk_fma(-t, q, -t));
    return hk_copysign(a > HK_ERF_SPLIT ? large : small, x);
}

/* x = 2^e m, m in [sqrt(1/2), sqrt(2));  f = m - 1;  log m = f - f^2/2 + f^3 P(f) */
HB_INLINE float hk_log(float x)
{
    bool subnormal = x < 0x1p-126f;
    uint32_t bits = hk_to_bits(subnormal ? x * 0x1p+24f : x);
    int32_t e = (int32_t)(bits - 0x3F3504F3u) >> 23;
    float f = hk_from_bits(bits - ((uint32_t)e << 23)) - 1.0f;
    float n = (float)e - (subnormal ? 24.0f : 0.0f);
    float z = f * f;
    float p = hk_fma(HK_LOG_P8, f, HK_LOG_P7);
    p = hk_fma(p, f, HK_LOG_P6);
    p = hk_fma(p, f, HK_LOG_P5);
    p = hk_fma(p, f, HK_LOG_P4);
    p = hk_fma(p, f, HK_LOG_P3);
    p = hk_fma(p, f, HK_LOG_P2);
    p = hk_fma(p, f, HK_LOG_P1);
    p = hk_fma(p, f, HK_LOG_P0);
    float y = hk_fma(p, f * z, n * HK_LN2_LO);
    y = hk_fma(z, -0.5f, y);
    y = hk_fma(n, HK_LN2_HI, f + y);
    y = x > 0.0f ? y : HK_NAN;
    y = x == 0.0f ? -HK_INFINITY : y;
    return x == HK_INFINITY ? x : y;
}

/* x * sigmoid(t) = (t < 0 ? x e : x) / (1 + e) with e = exp(-|t|): no overflow, no cancellation. */
HB_INLINE float hk_times_sigmoid(float x, float t)
{
    float e = hk_exp(-hk_abs(t));
    float top = t < 0.0f ? x * e : x;
    return top / (1.0f + e);
}

HB_INLINE float hk_sigmoid(float x)
{
    return hk_times_sigmoid(1.0f, x);
}

HB_INLINE float hk_silu(float x)
{
    return hk_times_sigmoid(x, x);
}

/* x/2 (1 + tanh u) = x sigmoid(2u),  2u = 2 sqrt(2/pi) (x + 0.044715 x^3) */
HB_INLINE float hk_gelu_tanh(float x)
{
    return hk_times_sigmoid(x, x * hk_fma(HK_GELU_2C_CUBE, x * x, HK_GELU_2C));
}

/* The gate of gpt-oss: g sigmoid(1.702 g) (u + 1) with g <= 7 and u in [-7, 7]. NaN stays NaN. */
#define HK_SWIGLU_LIMIT 7.0f
#define HK_SWIGLU_ALPHA 1.702f

HB_INLINE float hk_swiglu_clamp(float g, float u)
{
    g = HK_SWIGLU_LIMIT < g ? HK_SWIGLU_LIMIT : g;
    u = HK_SWIGLU_LIMIT < u ? HK_SWIGLU_LIMIT : u;
    u = -HK_SWIGLU_LIMIT > u ? -HK_SWIGLU_LIMIT : u;
    return hk_times_sigmoid(g, HK_SWIGLU_ALPHA * g) * (u + 1.0f);
}

HB_INLINE float hk_gelu_erf(float x)
{
    float h = 0.5f * x;
    return hk_fma(h, hk_erf(x * HK_SQRT_HALF), h);
}

/* ---- tables -----------------------------------------------------------------------------------
 * Double precision, for what is computed once and read often (rope tables). Plain +, -, *, /
 * without fused operations. */

/* |x| >= 2^28: Payne and Hanek's reduction of the nearest float. x = m 2^e, and x 2/pi mod 4 needs
 * only the 96 bits of 2/pi that follow bit e - 2. Returns r, adds the quadrant to *quadrant. */
HB_INLINE double hk_reduce_large(float x, uint32_t *quadrant)
{
    static const uint32_t two_over_pi[] = {0xA2F9836Eu, 0x4E441529u, 0xFC2757D1u,
                                           0xF534DDC0u, 0xDB629599u, 0x3C439041u};
    uint32_t bits = hk_to_bits(x), e = (bits >> 23 & 0xFF) - 150, skip = e - 2;
    uint64_t m = (bits & 0x7FFFFFu) | 0x800000u;
    uint32_t w[3];
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t *p = two_over_pi + skip / 32 + i;
        uint64_t pair = (uint64_t)p[0] << 32 | (skip / 32 + i + 1 < 6 ? p[1] : 0);
        w[i] = (uint32_t)(pair >> (32 - skip % 32));
    }
    /* the product modulo 2^96: two bits of quadrant, 94 of fraction */
    uint64_t low = m * w[2], mid = m * w[1] + (low >> 32);
    uint64_t high = (uint64_t)(uint32_t)(m * w[0]) << 32;
    high += mid;
    uint32_t q = (uint32_t)(high >> 62);
    int64_t fraction = (int64_t)(high << 2 | (low & 0xFFFFFFFFu) >> 30); /* in [0, 1) as 2^-64 */
    if (fraction < 0)
        q++; /* to the nearest quadrant: fraction - 1 */
    double r = (double)fraction * 0x1p-64 * 0x1.921fb54442d18p+0;
    bool negative = bits >> 31;
    *quadrant = negative ? 0u - q : q;
    return negative ? -r : r;
}

/* sin and cos of an angle in radians, correctly rounded but for one case in 10^4. Below 2^28 the
 * angle is taken as it is (three-part reduction, exact products); from there on as the nearest
 * float; NaN for infinities. */
HB_INLINE void hk_sincos(double x, float *sine, float *cosine)
{
    uint32_t q;
    double r;
    if (!(x < 0x1p128 && x > -0x1p128)) {
        *sine = *cosine = HK_NAN;
        return;
    }
    if (x < 0x1p28 && x > -0x1p28) {
        double n = (x * 0x1.45f306dc9c883p-1 + 0x1.8p52) - 0x1.8p52;
        r = x - n * 0x1.921fb4p+0;
        r = r - n * 0x1.4442dp-24;
        r = r - n * 0x1.8469898cc517p-48;
        q = (uint32_t)(int32_t)n;
    } else {
        r = hk_reduce_large((float)x, &q);
    }
    double z = r * r;
    double s = 0x1.6cd838dee7b63p-19 * z + -0x1.a00f9d23c3775p-13;
    s = s * z + 0x1.11110895ab121p-7;
    s = s * z + -0x1.5555554cb90fcp-3;
    s = r * (1.0 + z * s);
    double c = -0x1.242abe6115c52p-22 * z + 0x1.a0111fb67e81ap-16;
    c = c * z + -0x1.6c16b89823253p-10;
    c = c * z + 0x1.5555554f4dac4p-5;
    c = 1.0 - 0.5 * z + z * z * c;
    double sq = q & 1 ? c : s, cq = q & 1 ? s : c;
    *sine = (float)(q & 2 ? -sq : sq);
    *cosine = (float)((q + 1) & 2 ? -cq : cq);
}

/* e^x for |x| <= 700, relative error below 2^-50. */
HB_INLINE double hk_exp_f64(double x)
{
    double n = (x * 0x1.71547652b82fep+0 + 0x1.8p52) - 0x1.8p52;
    double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double p = 1.0;
    for (int i = 14; i > 0; i--) /* Taylor */
        p = p * r / i + 1.0;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* log x for normal x > 0, absolute error below 2^-50 max(1, |log x|):
 * 2 atanh(s), s = (m - 1) / (m + 1). */
HB_INLINE double hk_log_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t e = (int64_t)(bits - 0x3FE6A09E667F3BCDu) >> 52;
    bits -= (uint64_t)e << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    double s = (m - 1.0) / (m + 1.0), z = s * s, p = 0.0;
    for (int i = 23; i > 0; i -= 2)
        p = p * z + 1.0 / i;
    return (double)e * 0x1.a39ef35793c76p-33 + 2.0 * s * p + (double)e * 0x1.62e42feep-1;
}

/* x^y for x > 0 with |y log x| <= 700: frequencies of rotary embeddings. */
HB_INLINE double hk_pow_f64(double x, double y)
{
    return hk_exp_f64(y * hk_log_f64(x));
}

#endif
