/* SPDX-License-Identifier: ISC */
/* ENVELOPE and BODYSTRUCTURE of any message: always one whole list that a client can read. */
#include <stdlib.h>

#include "imapd/structure.h"
#include "lib/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Past a string or literal at the front of v; v itself when there is none. */
static struct view past_string(struct view v)
{
	uint64_t length;

	if (v.data[0] == '"') {
		size_t i = 1;

		for (; i < v.len && v.data[i] != '"'; i++) {
			if (v.data[i] == '\r' || v.data[i] == '\n' || v.data[i] == '\0' ||
			    (unsigned char)v.data[i] >= 0x80)
				abort();
			i += v.data[i] == '\\';
		}
		if (i >= v.len)
			abort();
		return view_skip(v, i + 1);
	}
	if (v.data[0] == '{') {
		size_t close = view_find(v, '}');

		if (!view_number(view_take(view_skip(v, 1), close - 1), v.len, &length) ||
		    close + 3 + length > v.len)
			abort();
		return view_skip(v, close + 3 + length);
	}
	return v;
}

static void check_list(struct view v)
{
	int depth = 0;

	while (v.len) {
		struct view behind = past_string(v);

		if (behind.data != v.data) {
			v = behind;
			continue;
		}
		depth += v.data[0] == '(' ? 1 : v.data[0] == ')' ? -1 : 0;
		v = view_skip(v, 1);
		if (depth < 0 || (depth == 0 && v.len))
			abort();
	}
	if (depth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view message = { (const char *)data, size };
	struct arena arena = { .limit = MIME_ARENA_BYTES };
	struct mime_message mime;
	struct text out;

	text_init(&out, STRUCTURE_TEXT_MAX);
	if (structure_envelope(&out, view_take(message, header_length(message, message.len))))
		check_list(text_view(&out));
	if (!mime_parse(&arena, message, &mime))
		abort();
	for (int extended = 0; extended < 2; extended++) {
		text_clear(&out);
		if (structure_body(&out, message, mime.root, extended))
			check_list(text_view(&out));
	}
	text_free(&out);
	arena_clear(&arena);
	return 0;
}
