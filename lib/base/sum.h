/* SPDX-License-Identifier: ISC */
/*
 * A fast 64-bit sum that tells damage, not malice: bytes that differ in one 8-byte word only never
 * have the same sum, others with a chance of 2^-64.
 */
#ifndef LIB_BASE_SUM_H
#define LIB_BASE_SUM_H

#include <stdint.h>

#include "lib/base/bytes.h"

uint64_t sum64(struct view data);

#endif
