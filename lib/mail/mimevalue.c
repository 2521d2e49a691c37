/* SPDX-License-Identifier: ISC */
/* Structured fields of MIME (RFC 2045 section 5.1) and their parameters (RFC 2231). */
#include "lib/mail/charset.h"
#include "lib/mail/mime.h"

/* RFC 2231 pieces of one parameter that are looked for: name*0 to name*99. */
enum { PIECES_MAX = 100 };

static bool is_tspecial(char c)
{
	switch (c) {
	case '(':
	case ')':
	case '<':
	case '>':
	case '@':
	case ',':
	case ';':
	case ':':
	case '\\':
	case '"':
	case '/':
	case '[':
	case ']':
	case '?':
	case '=':
	case ' ':
	case '\t':
	case '\r':
	case '\n': return true;
	}
	return (unsigned char)c < 32 || c == 127;
}

/* Blanks, line ends and comments; nesting is counted, not descended into. */
static void skip_blanks(struct view *v)
{
	size_t depth = 0;

	while (v->len > 0) {
		char c = v->data[0];

		if (depth > 0 && c == '\\')
			*v = view_skip(*v, 1);
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !byte_is_space(c) && c != '\r' && c != '\n')
			return;
		*v = view_skip(*v, 1);
	}
}

static struct view cut_token(struct view *v)
{
	struct view all = *v;
	size_t len = 0;

	while (len < all.len && !is_tspecial(all.data[len]))
		len++;
	*v = view_skip(all, len);
	return view_take(all, len);
}

/* A quoted-string; without escapes and folding it needs no copy. */
static struct view cut_quoted(struct arena *arena, struct view *v)
{
	struct view inner = view_skip(*v, 1), out = { NULL, 0 };
	size_t len = 0, kept = 0;
	bool copy = false;
	char *to;

	while (len < inner.len && inner.data[len] != '"') {
		copy = copy || inner.data[len] == '\\' || inner.data[len] == '\r' ||
		       inner.data[len] == '\n';
		len += inner.data[len] == '\\' && len + 1 < inner.len ? 2 : 1;
	}
	*v = view_skip(inner, len + 1);
	inner = view_take(inner, len);
	if (!copy)
		return inner;
	to = arena_get(arena, inner.len + 1);
	if (!to)
		return out;
	for (size_t i = 0; i < inner.len; i++) {
		if (inner.data[i] == '\r' || inner.data[i] == '\n')
			continue;
		if (inner.data[i] == '\\' && i + 1 < inner.len)
			i++;
		to[kept++] = inner.data[i];
	}
	return (struct view){ to, kept };
}

/* A value that should have been quoted.  Names of files run to the semicolon (blanks are common in
 * them); other values end at a blank, so that a comment or garbage behind a boundary does no
 * harm. */
static struct view cut_unquoted(struct view *v, struct view name)
{
	bool file = view_starts_nocase(name, VIEW("name")) ||
	            view_starts_nocase(name, VIEW("filename"));
	struct view all = *v;
	size_t len = 0;

	while (len < all.len && all.data[len] != ';' && all.data[len] != '\r' &&
	       all.data[len] != '\n' && (file || !byte_is_space(all.data[len])))
		len++;
	*v = view_skip(all, len);
	return view_trim(view_take(all, len));
}

/* Everything up to a semicolon, which is taken too; quoted ones do not count. */
static void skip_to_semicolon(struct view *v)
{
	bool quoted = false;

	while (v->len > 0) {
		char c = v->data[0];

		*v = view_skip(*v, 1);
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted)
			*v = view_skip(*v, 1);
		else if (c == ';' && !quoted)
			return;
	}
}

/* One "name=value"; false when there was nothing of use. */
static bool read_param(struct arena *arena, struct view *v, struct view *name, struct view *value)
{
	skip_blanks(v);
	*name = cut_token(v);
	skip_blanks(v);
	if (name->len == 0 || v->len == 0 || v->data[0] != '=')
		return false;
	*v = view_skip(*v, 1);
	skip_blanks(v);
	if (v->len > 0 && v->data[0] == '"')
		*value = cut_quoted(arena, v);
	else
		*value = cut_unquoted(v, *name);
	return value->data != NULL;
}

static struct mime_param *read_params(struct arena *arena, struct view v)
{
	struct mime_param *first = NULL, **last = &first;

	for (unsigned count = 0; v.len > 0 && count < MIME_PARAMS_MAX;) {
		struct view name, value;
		struct mime_param *p;

		/* A semicolon that was forgotten does no harm: a "name=value" is one wherever it
		 * stands. */
		skip_blanks(&v);
		if (v.len > 0 && v.data[0] == ';')
			v = view_skip(v, 1);
		if (!read_param(arena, &v, &name, &value)) {
			skip_to_semicolon(&v);
			continue;
		}
		p = arena_get(arena, sizeof *p);
		if (!p)
			break;
		p->name = name;
		p->value = value;
		*last = p;
		last = &p->next;
		count++;
	}
	return first;
}

bool mime_value_parse(struct arena *arena, struct view value, bool slash, struct view *type,
                      struct view *subtype, struct mime_param **params)
{
	struct view v = view_take(value, MIME_FIELD_MAX);

	skip_blanks(&v);
	/* Content-Disposition: "attachment" in quotes is seen, too. */
	*type = !slash && v.len > 0 && v.data[0] == '"' ? cut_quoted(arena, &v) : cut_token(&v);
	if (type->len == 0)
		return false;
	skip_blanks(&v);
	if (slash) {
		if (v.len == 0 || v.data[0] != '/')
			return false;
		v = view_skip(v, 1);
		skip_blanks(&v);
		*subtype = cut_token(&v);
		if (subtype->len == 0)
			return false;
	}
	*params = read_params(arena, v);
	return true;
}

struct view mime_param(const struct mime_param *params, struct view name)
{
	for (; params; params = params->next)
		if (view_equal_nocase(params->name, name))
			return params->value;
	return (struct view){ NULL, 0 };
}

/* ---- RFC 2231 ---- */

/* Is `full` = name "*" number ["*"], or name "*"? Then its piece number and whether it is
 * percent-coded. */
static bool piece_of(struct view full, struct view name, uint64_t *number, bool *coded)
{
	struct view suffix;

	if (!view_starts_nocase(full, name) || full.len == name.len || full.data[name.len] != '*')
		return false;
	suffix = view_skip(full, name.len + 1);
	*number = 0;
	*coded = suffix.len == 0 || suffix.data[suffix.len - 1] == '*';
	if (suffix.len > 0 && *coded)
		suffix.len--;
	return suffix.len == 0 || view_number(suffix, PIECES_MAX - 1, number);
}

static bool add_percent(struct text *out, struct view v)
{
	bool good = true;

	for (size_t i = 0; i < v.len; i++) {
		if (v.data[i] == '%' && i + 2 < v.len && byte_hex_value(v.data[i + 1]) >= 0 &&
		    byte_hex_value(v.data[i + 2]) >= 0) {
			good = good &&
			       text_add_byte(out, (char)(byte_hex_value(v.data[i + 1]) << 4 |
			                                 byte_hex_value(v.data[i + 2])));
			i += 2;
		} else {
			good = good && text_add_byte(out, v.data[i]);
		}
	}
	return good;
}

/* "charset'language'" off the front of the first coded piece. */
static void cut_charset(struct view *value, struct view *charset)
{
	struct view rest = *value, language;

	if (view_find(rest, '\'') == rest.len || !view_cut(&rest, '\'', charset) ||
	    view_find(rest, '\'') == rest.len || !view_cut(&rest, '\'', &language)) {
		*charset = (struct view){ "", 0 };
		return;
	}
	*value = rest;
}

/* Joins the pieces in their order.  false when there is none. */
static bool join_pieces(const struct mime_param *params, struct view name, struct text *raw,
                        struct view *charset)
{
	bool any = false;

	for (uint64_t want = 0; want < PIECES_MAX; want++) {
		const struct mime_param *p = params;
		uint64_t number;
		bool coded;

		while (p && !(piece_of(p->name, name, &number, &coded) && number == want))
			p = p->next;
		if (!p)
			break;
		struct view value = p->value;

		if (coded && want == 0)
			cut_charset(&value, charset);
		if (coded ? !add_percent(raw, value) : !text_add(raw, value))
			return false;
		any = true;
	}
	return any;
}

bool mime_param_text(const struct mime_param *params, struct view name, struct text *out)
{
	struct view charset = { "", 0 }, plain = mime_param(params, name);
	struct text raw;
	bool good;

	text_init(&raw, MIME_FIELD_MAX);
	if (join_pieces(params, name, &raw, &charset))
		good = charset.len > 0 ? charset_to_utf8(charset, text_view(&raw), out)
		                       : charset_decode_header(text_view(&raw), out);
	else
		good = plain.data && charset_decode_header(plain, out);
	text_free(&raw);
	return good && !out->full;
}
