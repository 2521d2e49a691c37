/* SPDX-License-Identifier: ISC */
/* Apart from shares.c, for those who only name an owner. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/shares.h"

void share_path_add(struct share_path *path, const void *bytes, size_t len)
{
	if (path->levels == SHARES_LEVELS || len > SHARE_KEY_MAX)
		log_panic("shares: a level or a key too long");
	struct share_key *key = &path->keys[path->levels++];

	key->len = (uint8_t)len;
	memcpy(key->bytes, bytes, len);
}
