/* SPDX-License-Identifier: ISC */
/* Writing to blocking descriptors. */
#ifndef LIB_BASE_FILE_H
#define LIB_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

/* All of it, however often the system takes a part or is interrupted: 0, or -1 (errno) with some
 * part written. */
int write_whole(int fd, const void *bytes, size_t len);
int pwrite_whole(int fd, const void *bytes, size_t len, uint64_t at);

#endif
