/* SPDX-License-Identifier: ISC */
/* Two clocks: one that only goes forward, for deadlines; one of the wall, for stamps. */
#ifndef LIB_BASE_CLOCK_H
#define LIB_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void);      /* CLOCK_MONOTONIC, milliseconds */
int64_t clock_wall_s(void);  /* seconds since 1970 */
int64_t clock_wall_us(void); /* microseconds since 1970 */

#endif
