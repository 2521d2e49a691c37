/* SPDX-License-Identifier: ISC */
/* Two clocks: one that only goes forward, for deadlines; one of the wall, for stamps. */
#ifndef LIB_BASE_CLOCK_H
#define LIB_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* CLOCK_MONOTONIC, milliseconds */
int64_t clock_wall_s(void);  /* seconds since 1970 */
int64_t clock_wall_ms(void); /* milliseconds since 1970 */
int64_t clock_wall_us(void); /* microseconds since 1970 */

/* The Gregorian calendar by arithmetic alone: no locale, no zone, no lock (safe in a signal
 * handler). */
struct clock_day {
	int64_t year;
	unsigned month, day; /* from 1 */
};
struct clock_day clock_day_from(int64_t days); /* since 1970 */
int64_t clock_days_of(struct clock_day c);

#endif
