/* SPDX-License-Identifier: ISC */
/* BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2). */
#include "imapd/answer.h"
#include "imapd/structure.h"

static void write_part(struct text *out, struct view message, const struct mime_part *p,
                       bool extended);

static void write_params(struct text *out, const struct mime_param *params, bool charset_default)
{
	bool any = false, charset = false;

	for (; params != NULL; params = params->next) {
		text_add_byte(out, any ? ' ' : '(');
		answer_string(out, params->name);
		text_add_byte(out, ' ');
		answer_string(out, params->value);
		charset |= view_equal_nocase(params->name, VIEW("charset"));
		any = true;
	}
	if (charset_default &&
	    !charset) { /* RFC 2045 section 5.2: text without a charset is US-ASCII */
		text_add_string(out, any ? " " : "(");
		text_add_string(out, "\"charset\" \"us-ascii\"");
		any = true;
	}
	text_add_string(out, any ? ")" : "NIL");
}

static void write_disposition(struct text *out, const struct mime_part *p)
{
	if (p->disposition.data == NULL) {
		text_add_string(out, "NIL");
		return;
	}
	text_add_byte(out, '(');
	answer_string(out, p->disposition);
	text_add_byte(out, ' ');
	write_params(out, p->disposition_params, false);
	text_add_byte(out, ')');
}

static void write_languages(struct text *out, const struct mime_param *language)
{
	if (language == NULL) {
		text_add_string(out, "NIL");
		return;
	}
	for (char before = '('; language != NULL; language = language->next, before = ' ') {
		text_add_byte(out, before);
		answer_string(out, language->name);
	}
	text_add_byte(out, ')');
}

/* " disposition language location": the end of the extension data of every part. */
static void write_extension(struct text *out, const struct mime_part *p)
{
	text_add_byte(out, ' ');
	write_disposition(out, p);
	text_add_byte(out, ' ');
	write_languages(out, p->languages);
	text_add_byte(out, ' ');
	answer_nstring(out, p->location);
}

static void write_multipart(struct text *out, struct view message, const struct mime_part *p,
                            bool extended)
{
	for (const struct mime_part *child = p->child; child != NULL; child = child->next)
		write_part(out, message, child, extended);
	/* The grammar wants one part at least; what has none is shown as one that is empty. */
	if (p->child == NULL)
		text_format(
			out,
			"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0%s)",
			extended ? " NIL NIL NIL NIL" : "");
	text_add_byte(out, ' ');
	answer_string(out, p->subtype);
	if (extended) {
		text_add_byte(out, ' ');
		write_params(out, p->params, false);
		write_extension(out, p);
	}
}

/* A leaf that calls itself multipart or message/rfc822 (too deep to be parsed) would break the
 * grammar. */
static void write_type(struct text *out, const struct mime_part *p)
{
	if (p->kind == MIME_LEAF && (view_equal_nocase(p->type, VIEW("multipart")) ||
	                             (view_equal_nocase(p->type, VIEW("message")) &&
	                              view_equal_nocase(p->subtype, VIEW("rfc822"))))) {
		text_add_string(out, "\"application\" \"octet-stream\" ");
		return;
	}
	answer_string(out, p->type);
	text_add_byte(out, ' ');
	answer_string(out, p->subtype);
	text_add_byte(out, ' ');
}

static void write_single(struct text *out, struct view message, const struct mime_part *p,
                         bool extended)
{
	bool text = p->kind == MIME_LEAF && view_equal_nocase(p->type, VIEW("text"));

	write_type(out, p);
	write_params(out, p->params, text);
	text_add_byte(out, ' ');
	answer_nstring(out, p->id);
	text_add_byte(out, ' ');
	answer_display(out, p->description);
	text_add_byte(out, ' ');
	answer_string(out, p->encoding_text.data ? p->encoding_text : VIEW("7bit"));
	text_format(out, " %zu", p->body_len);
	if (p->kind == MIME_MESSAGE && p->child != NULL) {
		text_add_byte(out, ' ');
		structure_envelope(out, view_take(view_skip(message, p->child->header_start),
		                                  p->child->header_len));
		text_add_byte(out, ' ');
		write_part(out, message, p->child, extended);
		text_format(out, " %u", p->body_lines);
	} else if (text) {
		text_format(out, " %u", p->body_lines);
	}
	if (extended) {
		text_add_byte(out, ' ');
		answer_nstring(out, p->md5);
		write_extension(out, p);
	}
}

/* As deep as mime.h's MIME_DEPTH_MAX. */
static void write_part(struct text *out, struct view message, const struct mime_part *p,
                       bool extended)
{
	text_add_byte(out, '(');
	if (p->kind == MIME_MULTIPART)
		write_multipart(out, message, p, extended);
	else
		write_single(out, message, p, extended);
	text_add_byte(out, ')');
}

bool structure_body(struct text *out, struct view message, const struct mime_part *root,
                    bool extended)
{
	size_t begin = out->len;

	write_part(out, message, root, extended);
	if (out->full) {
		text_cut_back(out, begin);
		text_format(out, "(\"application\" \"octet-stream\" NIL NIL NIL \"8bit\" %zu%s)",
		            root->body_len, extended ? " NIL NIL NIL NIL" : "");
	}
	return !out->full;
}
