/* exp, log and pow in double for numbers that are computed once, when a model is loaded. Own, because
 * the core links no libm and a bare-metal image must get the same tables as a server.
 *
 * Relative error below 2^-51 for exp and log (log absolute near 1), below 2^-51 * (1 + |y log x|) for
 * pow; sqrt is correctly rounded up to one unit in the last place. Arguments are ordinary numbers:
 * exp |x| < 700, log and pow x > 0, sqrt x >= 0. */
#ifndef HB_MATH_H
#define HB_MATH_H

double hb_exp(double x);
double hb_log(double x);
double hb_pow(double x, double y);
double hb_sqrt(double x);
double hb_floor(double x); /* |x| < 2^62 */

#endif
