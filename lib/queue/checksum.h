/* SPDX-License-Identifier: ISC */
/*
 * The checksum of a message in the queue: BLAKE2b over its bytes, without header, extra lines and
 * envelope.  Its writer makes it while it writes, whoever reads the message for somebody holds what
 * was read against it.
 */
#ifndef LIB_QUEUE_CHECKSUM_H
#define LIB_QUEUE_CHECKSUM_H

#include <sodium.h>

#include "lib/base/file.h"
#include "lib/wire/spool.h"

struct checksum {
	crypto_generichash_state state; /* wants more than malloc's alignment: checksum_new */
};

/* Before a sandbox; harmless again. */
void checksum_start(void);
struct checksum *checksum_new(void); /* for free() */
void checksum_begin(struct checksum *c);
void checksum_add(struct checksum *c, struct view bytes);
void checksum_end(struct checksum *c, uint8_t out[SPOOL_CHECKSUM_BYTES]);
bool checksum_equal(const uint8_t a[SPOOL_CHECKSUM_BYTES], const uint8_t b[SPOOL_CHECKSUM_BYTES]);
/* Of a part of a file, which is read for it. */
enum file_result checksum_file(int fd, uint64_t offset, uint64_t bytes,
                               uint8_t out[SPOOL_CHECKSUM_BYTES]);

#endif
