/* SPDX-License-Identifier: ISC */
#include "lib/queue/checksum.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

enum { BLOCK_BYTES = 256 << 10 };

struct checksum *checksum_new(void)
{
	void *c;

	if (posix_memalign(&c, 64, sizeof(struct checksum)) != 0)
		log_fatal("out of memory");
	return c;
}

void checksum_start(void)
{
	if (sodium_init() < 0)
		log_fatal("libsodium does not start");
}

void checksum_begin(struct checksum *c)
{
	checksum_start();
	crypto_generichash_init(&c->state, NULL, 0, SPOOL_CHECKSUM_BYTES);
}

void checksum_add(struct checksum *c, struct view bytes)
{
	crypto_generichash_update(&c->state, (const unsigned char *)bytes.data, bytes.len);
}

void checksum_end(struct checksum *c, uint8_t out[SPOOL_CHECKSUM_BYTES])
{
	crypto_generichash_final(&c->state, out, SPOOL_CHECKSUM_BYTES);
}

bool checksum_equal(const uint8_t a[SPOOL_CHECKSUM_BYTES], const uint8_t b[SPOOL_CHECKSUM_BYTES])
{
	return memcmp(a, b, SPOOL_CHECKSUM_BYTES) == 0;
}

enum file_result checksum_file(int fd, uint64_t offset, uint64_t bytes,
                               uint8_t out[SPOOL_CHECKSUM_BYTES])
{
	static char block[BLOCK_BYTES];
	struct checksum c;

	checksum_begin(&c);
	while (bytes) {
		size_t n = bytes < sizeof block ? (size_t)bytes : sizeof block;
		enum file_result got = file_read_at(fd, block, n, offset);

		if (got != FILE_WHOLE)
			return got;
		checksum_add(&c, (struct view){ block, n });
		bytes -= n;
		offset += n;
	}
	checksum_end(&c, out);
	return FILE_WHOLE;
}
