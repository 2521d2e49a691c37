/* SPDX-License-Identifier: ISC */
#include "lib/mail/encoding.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum transfer_encoding transfer_encoding_parse(struct view name)
{
	name = view_trim(name);
	if (name.len == 0 || view_equal_nocase(name, VIEW("7bit")) ||
	    view_equal_nocase(name, VIEW("8bit")) || view_equal_nocase(name, VIEW("binary")))
		return ENCODING_IDENTITY;
	if (view_equal_nocase(name, VIEW("base64")))
		return ENCODING_BASE64;
	if (view_equal_nocase(name, VIEW("quoted-printable")))
		return ENCODING_QUOTED_PRINTABLE;
	return ENCODING_UNKNOWN;
}

/* ---- base64 ---- */

static void encode_quantum(const unsigned char *in, size_t len, char *to)
{
	uint32_t bits = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0) |
	                (len > 2 ? in[2] : 0);

	to[0] = alphabet[bits >> 18];
	to[1] = alphabet[bits >> 12 & 63];
	to[2] = len > 1 ? alphabet[bits >> 6 & 63] : '=';
	to[3] = len > 2 ? alphabet[bits & 63] : '=';
}

bool base64_encode(struct text *out, struct view in)
{
	size_t size = in.len / 3 * 4 + (in.len % 3 ? 4 : 0);
	char *to = text_reserve(out, size);

	if (!to)
		return false;
	for (size_t i = 0; i < in.len; i += 3, to += 4)
		encode_quantum((const unsigned char *)in.data + i, in.len - i < 3 ? in.len - i : 3,
		               to);
	out->len += size;
	out->raw[out->len] = '\0';
	return true;
}

/* Writes in.len / 4 * 3 bytes, of which the last `padding` mean nothing. */
static bool decode_quanta(struct view in, size_t padding, char *to)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < in.len; i++) {
		bool pad = i >= in.len - padding;
		int value = pad ? 0 : base64_value(in.data[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		/* Bits that the padding cuts off must be zero, or two texts would mean the same. */
		if (pad && (bits & (padding == 2 ? 0xffff : 0xff)) != 0)
			return false;
		*to++ = (char)(bits >> 16);
		*to++ = (char)(bits >> 8);
		*to++ = (char)bits;
		bits = 0;
	}
	return true;
}

bool base64_decode_strict(struct view in, struct text *out)
{
	size_t padding = 0;
	char *to;
	bool good;

	if (in.len % 4 != 0)
		return false;
	while (padding < 2 && padding < in.len && in.data[in.len - 1 - padding] == '=')
		padding++;
	to = text_reserve(out, in.len / 4 * 3);
	if (!to)
		return false;
	good = decode_quanta(in, padding, to);
	if (good)
		out->len += in.len / 4 * 3 - padding;
	if (out->cap > 0)
		out->raw[out->len] = '\0';
	return good;
}

/* Writes the whole bytes that were collected so far: the end of the data or its padding is here. */
static bool flush_bits(struct decoder *d, struct text *out)
{
	unsigned count = d->count;
	uint32_t bits = d->bits;
	char bytes[2];

	d->count = 0;
	d->bits = 0;
	if (count < 2)
		return true;
	bits <<= 6 * (4 - count);
	bytes[0] = (char)(bits >> 16);
	bytes[1] = (char)(bits >> 8);
	return text_add(out, (struct view){ bytes, count - 1 });
}

static bool add_base64(struct decoder *d, struct view in, struct text *out)
{
	char chunk[768];
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		int value = base64_value(in.data[i]);

		if (value < 0 && in.data[i] != '=')
			continue;
		if (value <
		    0) { /* padding; data behind it is another piece that somebody joined on */
			if (!text_add(out, (struct view){ chunk, len }) || !flush_bits(d, out))
				return false;
			len = 0;
			continue;
		}
		d->bits = d->bits << 6 | (uint32_t)value;
		if (++d->count < 4)
			continue;
		chunk[len++] = (char)(d->bits >> 16);
		chunk[len++] = (char)(d->bits >> 8);
		chunk[len++] = (char)d->bits;
		d->count = 0;
		d->bits = 0;
		if (len == sizeof chunk) {
			if (!text_add(out, (struct view){ chunk, len }))
				return false;
			len = 0;
		}
	}
	return text_add(out, (struct view){ chunk, len });
}

/* ---- quoted-printable ---- */

enum quoted_state {
	QP_TEXT,
	QP_EQUALS,    /* behind "=" */
	QP_HEX,       /* behind "=X", the digit in bits */
	QP_BREAK_CR,  /* behind "=" and CR */
	QP_BREAK_PAD, /* behind "=" and blanks that something on the way added */
};

/* Adds the held blanks: they were not at the end of a line after all. */
static bool keep_blanks(struct decoder *d, struct text *out)
{
	size_t held = d->held;

	d->held = 0;
	return text_add(out, (struct view){ d->blanks, held });
}

/* One byte in QP_TEXT. */
static bool quoted_text(struct decoder *d, char c, struct text *out)
{
	if (c == ' ' || c == '\t') {
		if (d->held == sizeof d->blanks && !keep_blanks(d, out))
			return false;
		d->blanks[d->held++] = c;
		return true;
	}
	if (c == '\r' || c == '\n')
		d->held = 0; /* RFC 2045 section 6.7 rule 3: blanks before a line's end were added
		                on the way */
	else if (!keep_blanks(d, out))
		return false;
	if (c == '=') {
		d->count = QP_EQUALS;
		return true;
	}
	return text_add_byte(out, c);
}

static bool quoted_byte(struct decoder *d, char c, struct text *out)
{
	unsigned char first = (unsigned char)d->bits;

	switch ((enum quoted_state)d->count) {
	case QP_TEXT: break;
	case QP_EQUALS:
		d->count = c == '\r'               ? QP_BREAK_CR
		           : c == '\n'             ? QP_TEXT
		           : c == ' ' || c == '\t' ? QP_BREAK_PAD
		                                   : QP_HEX;
		if (d->count != QP_HEX)
			return true;
		d->bits = (unsigned char)c;
		if (byte_hex_value(c) >= 0)
			return true;
		d->count = QP_TEXT;
		return text_add_byte(out, '=') && quoted_text(d, c, out);
	case QP_HEX:
		d->count = QP_TEXT;
		if (byte_hex_value(c) >= 0)
			return text_add_byte(out, (char)(byte_hex_value((char)first) << 4 |
			                                 byte_hex_value(c)));
		if (!text_add_byte(out, '=') || !text_add_byte(out, (char)first))
			return false;
		break;
	case QP_BREAK_PAD:
		if (c == ' ' || c == '\t')
			return true;
		if (c == '\r') {
			d->count = QP_BREAK_CR;
			return true;
		}
		d->count = QP_TEXT;
		if (c == '\n')
			return true;
		if (!text_add(out, VIEW("= ")))
			return false;
		break;
	case QP_BREAK_CR:
		d->count = QP_TEXT;
		if (c == '\n')
			return true;
		break;
	}
	return quoted_text(d, c, out);
}

/* Bytes at the front that stand for themselves. */
static size_t plain_run(struct view v)
{
	size_t n = 0;

	while (n < v.len && v.data[n] != '=' && v.data[n] != ' ' && v.data[n] != '\t' &&
	       v.data[n] != '\r' && v.data[n] != '\n')
		n++;
	return n;
}

static bool add_quoted(struct decoder *d, struct view in, struct text *out)
{
	while (in.len > 0) {
		size_t run = d->count == QP_TEXT ? plain_run(in) : 0;

		if (run > 0) {
			if (!keep_blanks(d, out) || !text_add(out, view_take(in, run)))
				return false;
			in = view_skip(in, run);
			continue;
		}
		if (!quoted_byte(d, in.data[0], out))
			return false;
		in = view_skip(in, 1);
	}
	return true;
}

/* ---- the decoder ---- */

void decoder_start(struct decoder *d, enum transfer_encoding encoding)
{
	memset(d, 0, sizeof *d);
	d->encoding = encoding;
}

bool decoder_add(struct decoder *d, struct view in, struct text *out)
{
	if (d->encoding == ENCODING_BASE64)
		return add_base64(d, in, out);
	if (d->encoding == ENCODING_QUOTED_PRINTABLE)
		return add_quoted(d, in, out);
	return text_add(out, in);
}

bool decoder_end(struct decoder *d, struct text *out)
{
	if (d->encoding == ENCODING_BASE64)
		return flush_bits(d, out);
	if (d->encoding == ENCODING_QUOTED_PRINTABLE && d->count == QP_HEX) {
		char digit = (char)d->bits;

		d->count = QP_TEXT;
		return text_add_byte(out, '=') && text_add_byte(out, digit);
	}
	return true;
}

bool transfer_decode(enum transfer_encoding encoding, struct view in, struct text *out)
{
	struct decoder d;

	decoder_start(&d, encoding);
	return decoder_add(&d, in, out) && decoder_end(&d, out);
}
