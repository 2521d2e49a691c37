/* SPDX-License-Identifier: ISC */
/* The queue file: whatever a damaged disk makes of header, envelope and log. */
#include <sodium.h>
#include <stdlib.h>

#include "lib/queue/queuelog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(void *context, const struct envelope_recipient *r)
{
	unsigned *count = context;

	if (r->address[0] == '\0' || r->notify > 15)
		abort();
	return ++*count < 1000;
}

/* What decodes must encode to something that decodes again. */
static void again(const struct envelope *e)
{
	struct envelope back;
	struct envelope_recipient r = { .address = "a@b.test" };
	struct text out;
	unsigned count = 0;

	text_init(&out, 1 << 20);
	queue_envelope_encode(&out, e);
	queue_recipient_encode(&out, &r);
	if (!queue_envelope_decode(text_view(&out), &back, take, &count) || count != 1)
		abort();
	text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char secret[QUEUE_SECRET_BYTES];
	static struct queue_key key;
	static struct queue_log l;
	struct view v = { (const char *)data, size }, rest;
	struct queue_header h;
	struct envelope e;
	unsigned count = 0, bad = 0;

	if (sodium_init() < 0)
		abort();
	queue_key_derive(&key, secret);
	if (queue_header_decode(v, &h) && h.envelope_bytes > QUEUE_ENVELOPE_MAX)
		abort();
	queue_seal_verify(v, view_skip(v, QUEUE_HEADER_BYTES), &key);
	/* With and without a header before it. */
	for (unsigned skip = 0; skip <= QUEUE_HEADER_BYTES; skip += QUEUE_HEADER_BYTES) {
		rest = view_skip(v, skip);
		if (queue_envelope_decode(rest, &e, take, &count))
			again(&e);
		while (queue_log_next(&rest, &key, 77, &l, &bad))
			if (l.event >= QUEUE_EVENTS)
				abort();
	}
	return 0;
}
