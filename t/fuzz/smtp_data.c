/* SPDX-License-Identifier: ISC */
/* The bytes after DATA and the header behind them: the same in any pieces; what comes out is CRLF
 * lines; the end is where a much simpler reader finds it. */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/fixup.h"
#include "smtpd/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 20 };

struct outcome {
	struct text out;
	enum data_result result;
	enum data_fault fault;
	size_t used;
	unsigned received;
};

static int collect(void *context, struct view bytes)
{
	return text_add(context, bytes) ? 0 : -1;
}

/* mend: as for an authenticated client. */
static void run(struct view in, size_t step, bool mend, struct outcome *o)
{
	struct data d = { .lf_ends_lines = mend };
	struct fixup h = { .mend = mend,
		           .domain = "a.test",
		           .from = "me@a.test",
		           .date = "DATE",
		           .message_id = "<ID>",
		           .write = collect,
		           .context = &o->out };
	size_t all = in.len;

	text_init(&o->out, INPUT_BYTES_MAX * 4);
	o->result = DATA_MORE;
	while (in.len && o->result == DATA_MORE) {
		struct view piece = view_take(in, step), span;
		size_t before = piece.len;

		while ((o->result = data_next(&d, &piece, &span)) == DATA_SPAN)
			if (fixup_add(&h, span) != 0)
				abort();
		in = view_skip(in, before - piece.len);
	}
	if (d.fault == DATA_GOOD && o->result == DATA_END && fixup_end(&h) != 0)
		abort();
	o->fault = d.fault;
	o->used = all - in.len;
	o->received = h.received;
	fixup_free(&h);
}

static void check_lines(const struct text *out)
{
	for (size_t i = 0; i < out->len; i++) {
		bool cr = out->raw[i] == '\r', lf = out->raw[i] == '\n';

		if (out->raw[i] == '\0' || (cr && (i + 1 == out->len || out->raw[i + 1] != '\n')) ||
		    (lf && (i == 0 || out->raw[i - 1] != '\r')))
			abort();
	}
	if (out->len && out->raw[out->len - 1] != '\n')
		abort();
}

/* Bytes up to and with the end of the message; 0: none. */
static size_t simple_end(struct view in)
{
	if (view_starts(in, VIEW(".\r\n")))
		return 3;
	for (size_t i = 0; i + 5 <= in.len; i++)
		if (memcmp(in.data + i, "\r\n.\r\n", 5) == 0)
			return i + 5;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view in = { (const char *)data, size < INPUT_BYTES_MAX ? size : INPUT_BYTES_MAX };

	for (int mend = 0; mend < 2; mend++) {
		struct outcome whole, pieces;

		run(in, in.len, mend, &whole);
		if (whole.result == DATA_END && whole.fault == DATA_GOOD)
			check_lines(&whole.out);
		if (whole.result == DATA_END && whole.used != simple_end(in))
			abort();
		for (size_t step = 1; step < 60; step = step * 3 + 1) {
			run(in, step, mend, &pieces);
			if (pieces.result != whole.result || pieces.fault != whole.fault ||
			    pieces.used != whole.used)
				abort();
			if (whole.fault == DATA_GOOD && whole.result == DATA_END &&
			    (!view_equal(text_view(&whole.out), text_view(&pieces.out)) ||
			     whole.received != pieces.received))
				abort();
			text_free(&pieces.out);
		}
		text_free(&whole.out);
	}
	return 0;
}
