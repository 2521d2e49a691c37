/* SPDX-License-Identifier: ISC */
#include "smtpd/data.h"

#include <string.h>

enum byte_class { CLASS_CR, CLASS_LF, CLASS_DOT, CLASS_OTHER, CLASSES };

/* What a byte leads to: a state, and what is to be done with it. */
enum {
	GO_MASK = 15,
	GO_FAULT = 16,
	GO_DROP = 32,
	GO_END = 64,
	GO_AMBIGUOUS = 128,
	GO_BARE_LF = 256 /* a fault, or where LF ends lines DATA_AT_LF and a CR before it */
};

static const unsigned short next_state[DATA_STATES][CLASSES] = {
	/* CR LF dot other */
	[DATA_AT_LINE] = { DATA_AT_CR, DATA_AT_LOOSE | GO_BARE_LF, DATA_AT_DOT | GO_DROP,
	                   DATA_IN_TEXT },
	[DATA_IN_TEXT] = { DATA_AT_CR, DATA_AT_LOOSE | GO_BARE_LF, DATA_IN_TEXT, DATA_IN_TEXT },
	[DATA_AT_CR] = { DATA_AT_CR | GO_FAULT, DATA_AT_LINE, DATA_AT_LOOSE_DOT | GO_FAULT,
	                 DATA_IN_TEXT | GO_FAULT },
	[DATA_AT_DOT] = { DATA_AT_DOT_CR | GO_DROP, GO_AMBIGUOUS | GO_FAULT, DATA_IN_TEXT,
	                  DATA_IN_TEXT },
	[DATA_AT_DOT_CR] = { DATA_AT_CR | GO_FAULT, GO_END, DATA_AT_LOOSE_DOT | GO_FAULT,
	                     DATA_IN_TEXT | GO_FAULT },
	[DATA_AT_LOOSE] = { DATA_AT_CR, DATA_AT_LOOSE, DATA_AT_LOOSE_DOT, DATA_IN_TEXT },
	[DATA_AT_LOOSE_DOT] = { DATA_AT_LOOSE_DOT_CR, GO_AMBIGUOUS, DATA_IN_TEXT, DATA_IN_TEXT },
	[DATA_AT_LOOSE_DOT_CR] = { DATA_AT_CR, GO_AMBIGUOUS, DATA_AT_LOOSE_DOT, DATA_IN_TEXT },
	[DATA_AT_LF] = { DATA_AT_CR, GO_BARE_LF, DATA_AT_LF_DOT, DATA_IN_TEXT },
	[DATA_AT_LF_DOT] = { DATA_AT_LF_DOT_CR, GO_BARE_LF, DATA_IN_TEXT, DATA_IN_TEXT },
	[DATA_AT_LF_DOT_CR] = { DATA_AT_CR | GO_FAULT, GO_AMBIGUOUS | GO_FAULT,
	                        DATA_AT_LOOSE_DOT | GO_FAULT, DATA_IN_TEXT | GO_FAULT },
};

static enum byte_class class_of(char c)
{
	return c == '\r' ? CLASS_CR : c == '\n' ? CLASS_LF : c == '.' ? CLASS_DOT : CLASS_OTHER;
}

static void find_fault(struct data *d, enum data_fault fault)
{
	if (d->fault == DATA_GOOD)
		d->fault = fault;
}

/* How much of v is text without CR, LF and NUL: nearly all bytes of a message pass here. */
static size_t plain_bytes(struct view v)
{
	const char *cr = memchr(v.data, '\r', v.len);
	size_t len = cr != NULL ? (size_t)(cr - v.data) : v.len;
	const char *other = memchr(v.data, '\n', len);

	if (other != NULL)
		len = (size_t)(other - v.data);
	other = memchr(v.data, '\0', len);
	return other != NULL ? (size_t)(other - v.data) : len;
}

static void count(struct data *d, size_t bytes)
{
	d->line_bytes += bytes;
	if (d->line_bytes > DATA_LINE_MAX)
		find_fault(d, DATA_LONG_LINE);
}

/* One byte through the table. */
static unsigned take(struct data *d, char c)
{
	unsigned go = next_state[d->state][class_of(c)];

	if (go & GO_BARE_LF)
		go = d->lf_ends_lines ? DATA_AT_LF : (go & GO_MASK) | GO_FAULT;
	if (c == '\0')
		find_fault(d, DATA_NUL);
	if (go & GO_FAULT)
		find_fault(d, DATA_BARE);
	d->state = (enum data_state)(go & GO_MASK);
	if (c == '\n')
		d->line_bytes = 0;
	else
		count(d, 1);
	return go;
}

static bool is_mended(const struct data *d, char c)
{
	return d->lf_ends_lines && next_state[d->state][class_of(c)] & GO_BARE_LF;
}

enum data_result data_next(struct data *d, struct view *in, struct view *span)
{
	const char *begin = in->data;
	size_t len = 0; /* of the span so far */

	while (in->len) {
		if (d->state == DATA_IN_TEXT) {
			size_t plain = plain_bytes(*in);

			count(d, plain);
			len += plain;
			*in = view_skip(*in, plain);
			if (in->len == 0)
				break;
		}
		bool bare_lf = is_mended(d, in->data[0]);

		/* A dot that is dropped ends a span before it, and so does an LF that gets a CR. */
		if (((d->state == DATA_AT_LINE && in->data[0] == '.') || bare_lf) && len &&
		    d->fault == DATA_GOOD) {
			*span = (struct view){ begin, len };
			return DATA_SPAN;
		}
		unsigned go = take(d, in->data[0]);

		*in = view_skip(*in, 1);
		if (bare_lf && d->fault == DATA_GOOD) {
			*span = VIEW("\r\n");
			return DATA_SPAN;
		}
		if (go & GO_END)
			return DATA_END;
		if (go & GO_AMBIGUOUS)
			return DATA_AMBIGUOUS;
		if (go & GO_DROP)
			begin = in->data;
		else
			len++;
	}
	*span = (struct view){ begin, len };
	return len && d->fault == DATA_GOOD ? DATA_SPAN : DATA_MORE;
}
