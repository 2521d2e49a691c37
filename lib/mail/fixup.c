/* SPDX-License-Identifier: ISC */
#include "lib/mail/fixup.h"

#include <string.h>

#include "lib/mail/header.h"

/* ---- a domain for those who have none ---- */

/* Where the reader of a From value stands. */
struct from_reader {
	struct view domain;
	struct text *out;
	bool quoted, angle, at; /* in "...", in <...>, an @ was seen in this address */
	unsigned comment;       /* depth of (...) */
	size_t atom_end;        /* in out: behind the last byte of a bare address, 0: none */
	unsigned atoms;         /* words of a bare address; more than one is a phrase */
	bool in_atom;
};

static void end_address(struct from_reader *r)
{
	char tail[256];
	size_t tail_len = r->out->len - r->atom_end;

	/* A bare word is an address; a phrase is not. Between it and here are only blanks and
	 * comments. */
	if (r->atoms == 1 && !r->at && r->atom_end && tail_len < sizeof tail) {
		memcpy(tail, r->out->raw + r->atom_end, tail_len);
		r->out->len = r->atom_end;
		text_add_byte(r->out, '@');
		text_add(r->out, r->domain);
		text_add(r->out, (struct view){ tail, tail_len });
	}
	r->at = r->in_atom = false;
	r->atoms = 0;
	r->atom_end = 0;
}

static void end_angle(struct from_reader *r)
{
	if (!r->at && r->out->len && r->out->raw[r->out->len - 1] != '<') {
		text_add_byte(r->out, '@');
		text_add(r->out, r->domain);
	}
	r->angle = false;
	r->at = true; /* the words before the angle are a phrase */
}

static void plain_byte(struct from_reader *r, char c)
{
	bool blank = byte_is_space(c) || c == '\r' || c == '\n';

	if (c == '@')
		r->at = true;
	if (c == '<') {
		r->angle = true;
		r->at = false;
	}
	if (!blank && !r->angle) {
		r->atoms += !r->in_atom;
		r->atom_end = r->out->len + 1;
	}
	r->in_atom = !blank;
}

static void from_byte(struct from_reader *r, char c)
{
	if (r->comment) {
		r->comment += c == '(';
		r->comment -= c == ')';
	} else if (c == '"') {
		if (!r->quoted)
			plain_byte(r, c);
		r->quoted = !r->quoted;
		if (!r->quoted && !r->angle)
			r->atom_end = r->out->len + 1;
	} else if (r->quoted) {
		;
	} else if (c == '(') {
		r->comment = 1;
		r->in_atom = false;
	} else if (c == '>' && r->angle) {
		end_angle(r);
	} else if (c == ',' && !r->angle) {
		end_address(r);
	} else {
		plain_byte(r, c);
	}
	text_add_byte(r->out, c);
}

bool fixup_from(struct view value, struct view domain, struct text *out)
{
	struct from_reader r = { .domain = domain, .out = out };

	text_clear(out);
	for (size_t i = 0; i < value.len; i++) {
		/* Groups are left alone, and so is what we cannot read. */
		if (!r.quoted && !r.comment && (value.data[i] == ':' || value.data[i] == ';'))
			return false;
		from_byte(&r, value.data[i]);
		if ((r.quoted || r.comment) && value.data[i] == '\\' && i + 1 < value.len)
			text_add_byte(out, value.data[++i]);
	}
	end_address(&r);
	return !r.quoted && !r.comment && !r.angle && !out->full;
}

/* ---- the stream ---- */

static int put(struct fixup *h, struct view v)
{
	return v.len ? h->write(h->context, v) : 0;
}

static int put_field(struct fixup *h, const char *name, const char *value)
{
	if (put(h, view_of(name)) != 0 || put(h, view_of(value)) != 0)
		return -1;
	return put(h, VIEW("\r\n"));
}

/* The From field is whole: out it goes, mended if need be. */
static int put_collected(struct fixup *h)
{
	struct view field = text_view(&h->collected);
	struct view name = view_take(field, view_find(field, ':') + 1);
	struct view value = view_skip(field, name.len);
	struct text mended;
	int result;

	h->doing = FIXUP_KEEPS;
	text_init(&mended, FIXUP_FROM_MAX * 2);
	if (value.len > 2 &&
	    fixup_from(view_take(value, value.len - 2), view_of(h->domain), &mended) &&
	    text_add(&mended, VIEW("\r\n"))) {
		result = put(h, name);
		if (result == 0)
			result = put(h, text_view(&mended));
	} else {
		result = put(h, field);
	}
	text_free(&mended);
	text_clear(&h->collected);
	return result;
}

static int put_missing(struct fixup *h)
{
	if (!h->mend)
		return 0;
	if (!h->has_date && put_field(h, "Date: ", h->date) != 0)
		return -1;
	if (!h->has_message_id && put_field(h, "Message-ID: ", h->message_id) != 0)
		return -1;
	return h->has_from || h->from[0] == '\0' ? 0 : put_field(h, "From: ", h->from);
}

/* The header has ended, at an empty line, at text that is no header, or with the message. */
static int end_of_header(struct fixup *h)
{
	h->over = true;
	if (h->doing == FIXUP_COLLECTS && put_collected(h) != 0)
		return -1;
	h->doing = FIXUP_KEEPS;
	return put_missing(h);
}

static enum fixup_drop decide(struct fixup *h, struct view name)
{
	if (view_equal_nocase(name, VIEW("Received")))
		h->received++;
	if (!h->mend)
		return FIXUP_KEEPS;
	if (view_equal_nocase(name, VIEW("Date")))
		h->has_date = true;
	else if (view_equal_nocase(name, VIEW("Message-ID")))
		h->has_message_id = true;
	else if (view_equal_nocase(name, VIEW("Bcc")) ||
	         view_equal_nocase(name, VIEW("Resent-Bcc")) ||
	         view_equal_nocase(name, VIEW("Return-Path")))
		return FIXUP_DROPS;
	else if (view_equal_nocase(name, VIEW("From"))) {
		h->has_from = true;
		return FIXUP_COLLECTS;
	}
	return FIXUP_KEEPS;
}

/* The first bytes decide for nearly every line; only these may be one of our fields. */
static bool of_interest(const struct fixup *h, char first)
{
	char c = byte_lower(first);

	return c == 'r' || (c == 'd' && (h->mend || h->delivered_to)) ||
	       (h->mend && (c == 'm' || c == 'f' || c == 'b'));
}

/* What a new field means; -1 failure, 1: this is no header at all. */
static int begin_field(struct fixup *h, struct view line)
{
	size_t colon = h->any && !of_interest(h, line.data[0]) ? 0 : view_find(line, ':');
	struct view name = view_trim(view_take(line, colon));

	if (h->doing == FIXUP_COLLECTS && put_collected(h) != 0)
		return -1;
	h->doing = FIXUP_KEEPS;
	bool field = colon < line.len && header_name_valid(name);

	if (!h->any && !field && h->mend)
		return 1;
	h->any = true;
	if (field && h->delivered_to && view_equal_nocase(name, VIEW("Delivered-To")))
		h->delivered_to(h->context, view_trim(view_skip(line, colon + 1)));
	if (field)
		h->doing = decide(h, name);
	return 0;
}

/* One whole line with its CRLF. *keep: it is to be passed on as it is. */
static int take_line(struct fixup *h, struct view line, bool *keep)
{
	*keep = true;
	if (line.len == 2)
		return end_of_header(h);
	if (!h->any || !byte_is_space(line.data[0])) {
		int begun = begin_field(h, line);

		if (begun < 0)
			return -1;
		if (begun >
		    0) /* a body without a header: give it one, and the empty line between them */
			return end_of_header(h) != 0 ? -1 : put(h, VIEW("\r\n"));
	}
	if (h->doing == FIXUP_COLLECTS && !text_has_room(&h->collected, line.len)) {
		h->doing = FIXUP_KEEPS;
		if (put(h, text_view(&h->collected)) != 0)
			return -1;
		text_clear(&h->collected);
	}
	if (h->doing == FIXUP_COLLECTS)
		text_add(&h->collected, line);
	*keep = h->doing == FIXUP_KEEPS;
	return 0;
}

static int put_held(struct fixup *h, bool keep)
{
	int result = keep ? put(h, text_view(&h->held)) : 0;

	text_clear(&h->held);
	return result;
}

/* More of a line whose end has not come, or with it; what is too long for `held` is passed on or
 * dropped as its beginning is. */
static int hold(struct fixup *h, struct view more)
{
	struct view fits = view_take(more, FIXUP_LINE_MAX - h->held.len);
	bool keep;

	text_add(&h->held, fits);
	more = view_skip(more, fits.len);
	if (more.len == 0)
		return 0;
	if (take_line(h, text_view(&h->held), &keep) != 0 || put_held(h, keep) != 0)
		return -1;
	h->in_line = true;
	h->keeps_line = keep;
	return keep ? put(h, more) : 0;
}

/* A line that the last piece began. */
static int complete_begun(struct fixup *h, struct view *bytes)
{
	size_t lf = view_find(*bytes, '\n');
	bool whole = lf < bytes->len, keep;
	struct view more = view_take(*bytes, lf + whole);

	*bytes = view_skip(*bytes, more.len);
	if (h->in_line) {
		if (h->keeps_line && put(h, more) != 0)
			return -1;
	} else if (hold(h, more) != 0) {
		return -1;
	}
	if (!whole)
		return 0;
	if (h->in_line) {
		h->in_line = false;
		return 0;
	}
	return take_line(h, text_view(&h->held), &keep) != 0 ? -1 : put_held(h, keep);
}

/*
 * Kept lines next to one another are one write: `run` is where the unwritten ones begin. They must
 * be out before take_line adds lines of its own, which it does only at the end of the header or of
 * a collected field.
 */
static int add_lines(struct fixup *h, struct view *bytes)
{
	struct view run = { bytes->data, 0 };

	while (bytes->len && !h->over) {
		size_t lf = view_find(*bytes, '\n');

		if (lf == bytes->len)
			break;
		struct view line = view_take(*bytes, lf + 1);
		bool keep;

		if ((line.len == 2 || h->doing == FIXUP_COLLECTS || !h->any) && run.len) {
			if (put(h, run) != 0)
				return -1;
			run = (struct view){ line.data, 0 };
		}
		if (take_line(h, line, &keep) != 0)
			return -1;
		*bytes = view_skip(*bytes, line.len);
		if (keep && run.data + run.len == line.data) {
			run.len += line.len;
			continue;
		}
		if (put(h, run) != 0)
			return -1;
		run = keep ? line : (struct view){ bytes->data, 0 };
	}
	return put(h, run);
}

int fixup_add(struct fixup *h, struct view bytes)
{
	if (h->held.max == 0) {
		text_init(&h->held, FIXUP_LINE_MAX);
		text_init(&h->collected, FIXUP_FROM_MAX);
	}
	if (h->over)
		return put(h, bytes);
	h->header_bytes += bytes.len;
	if ((h->held.len || h->in_line) && complete_begun(h, &bytes) != 0)
		return -1;
	if (!h->over && add_lines(h, &bytes) != 0)
		return -1;
	if (!h->over)
		return hold(h, bytes);
	h->header_bytes -= bytes.len;
	return put(h, bytes);
}

int fixup_end(struct fixup *h)
{
	bool keep;

	/* A last line without its end. */
	if (!h->over && h->held.len &&
	    (take_line(h, text_view(&h->held), &keep) != 0 || put_held(h, keep) != 0))
		return -1;
	return h->over ? 0 : end_of_header(h);
}

void fixup_free(struct fixup *h)
{
	text_free(&h->held);
	text_free(&h->collected);
}
