/* Deterministic real functions. Whatever reaches an event of a trace (a drawn delay, a detector's opinion) is
 * computed from IEEE add, subtract, multiply, divide and square root alone, with contraction off, so that it
 * has the same bits on every machine; libm promises no such thing. The algorithms are the classical argument
 * reductions with minimax polynomials of Sun's fdlibm (e_log.c, e_exp.c), written anew. Errors are below one
 * unit in the last place for log and exp; real_pow(x, y) = exp(y log x) loses a few. */
#ifndef BASE_REAL_H
#define BASE_REAL_H

#include <stdint.h>

double real_log(double x); /* natural; -inf at 0, NaN below */
double real_log10(double x);
double real_exp(double x);           /* inf above 709.78, 0 below -745.13 */
double real_pow(double x, double y); /* x > 0, or x = 0 with y > 0 */
double real_sqrt(double x);
double real_cos_turn(double x); /* cos(2 pi x) for x in [0, 1); for Box-Muller */

/* Seconds to nanoseconds, rounded to nearest; saturates at +-292 years; NaN gives 0. Done once, here. */
int64_t real_to_ns(double seconds);

#endif
