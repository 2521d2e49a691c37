/* SPDX-License-Identifier: ISC */
/* A wire message must be taken whole, refused when cut at any byte, and refused with a byte
 * more; what is refused leaves its descriptors where wire_in_close closes them. */
#ifndef T_TORN_H
#define T_TORN_H

#include <stdlib.h>

#include "lib/wire/wire.h"
#include "t/tap.h"

/* get decodes into a struct of its own. The first byte, the type, is not part of what it reads.
 * Messages with descriptors: they must be put into *whole, and are lent to get (which must not
 * close them). */
static void torn(const char *name, const struct wire_out *whole, bool (*get)(struct wire_in *in))
{
	size_t len = whole->bytes.len - 1, taken = 0;

	for (size_t n = 0; n <= len + 1; n++) {
		char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
		struct wire_in in = { .type = (unsigned char)whole->bytes.raw[0],
			              .rest = { exact, n },
			              .fd_count = whole->fd_count };

		memcpy(in.fds, whole->fds, sizeof in.fds);
		memcpy(exact, whole->bytes.raw + 1, n < len ? n : len);
		if (n > len)
			exact[len] = 1;
		bool good = get(&in);

		if (n == len)
			ok(good, "%s is taken whole", name);
		else
			taken += good || in.fds_taken;
		free(exact);
	}
	ok(taken == 0, "%s is refused when cut anywhere, and with a byte more", name);
}

#endif
