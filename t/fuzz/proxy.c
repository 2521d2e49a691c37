/* SPDX-License-Identifier: ISC */
/* PROXY headers: whatever arrives, in pieces too, the verdict holds. */
#include <stdlib.h>

#include "master/porter/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view all = { (const char *)data, size };
	struct proxy whole, part;
	enum proxy_result verdict = proxy_parse(all, &whole);

	if (verdict == PROXY_MORE && size > PROXY_MAX)
		abort(); /* a header that never ends */
	if (verdict == PROXY_DONE && whole.used > size)
		abort();
	for (size_t n = 0; n < size && n < PROXY_MAX; n++) {
		enum proxy_result early = proxy_parse(view_take(all, n), &part);

		if (early == PROXY_MORE)
			continue;
		/* What is decided stays decided. */
		if (early != verdict || (early == PROXY_DONE && part.used != whole.used))
			abort();
		break;
	}
	return 0;
}
