/* SPDX-License-Identifier: Apache-2.0 */
/* Elementary functions of + - * / in double alone: no machine's mathematical library takes part, so all agree. Errors
 * are a few units in the last place. */
#ifndef MSAGEN_ELEMENTARY_H
#define MSAGEN_ELEMENTARY_H

/* x > 0, normal. */
double msagen_log(double x);

/* -700 <= x <= 700 */
double msagen_exp(double x);

/* Of an angle in degrees, |degrees| <= 1e6; multiples of 90 give 0, 1 and -1. */
void msagen_turn(double degrees, double *cosine, double *sine);

#endif
