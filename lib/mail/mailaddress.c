/* SPDX-License-Identifier: ISC */
#include "lib/mail/mailaddress.h"

#include <string.h>

#include "lib/base/utf8.h"
#include "lib/net/address.h"

/* What a path is read with: the bytes left, and where the unquoted local part goes. */
struct cursor {
	struct view rest;
	unsigned flags;
	char local[MAILADDRESS_LOCAL_MAX];
	size_t local_len;
	bool quoted;
};

static bool is_atext(char c, unsigned flags)
{
	if (byte_is_alpha(c) || byte_is_digit(c))
		return true;
	switch (c) {
	case '!':
	case '#':
	case '$':
	case '%':
	case '&':
	case '\'':
	case '*':
	case '+':
	case '-':
	case '/':
	case '=':
	case '?':
	case '^':
	case '_':
	case '`':
	case '{':
	case '|':
	case '}':
	case '~': return true;
	}
	return (unsigned char)c >= 0x80 && (flags & MAILADDRESS_UTF8);
}

static bool front_is(const struct cursor *at, char c)
{
	return at->rest.len > 0 && at->rest.data[0] == c;
}

static bool not_ascii_here(const struct cursor *at)
{
	return at->rest.len > 0 && (unsigned char)at->rest.data[0] >= 0x80;
}

static enum mailaddress_result syntax_here(const struct cursor *at)
{
	return not_ascii_here(at) && !(at->flags & MAILADDRESS_UTF8) ? MAILADDRESS_NOT_ASCII
	                                                             : MAILADDRESS_SYNTAX;
}

/* Moves the front byte into the local part. */
static bool take_local(struct cursor *at)
{
	if (at->local_len == sizeof at->local)
		return false;
	at->local[at->local_len++] = at->rest.data[0];
	at->rest = view_skip(at->rest, 1);
	return true;
}

/* Quoted-string of section 4.1.2: printable ASCII, blanks, backslash before any of these. */
static enum mailaddress_result read_quoted(struct cursor *at)
{
	at->rest = view_skip(at->rest, 1);
	while (at->rest.len > 0 && at->rest.data[0] != '"') {
		if (at->rest.data[0] == '\\') {
			at->rest = view_skip(at->rest, 1);
			if (at->rest.len == 0)
				return MAILADDRESS_SYNTAX;
		}
		unsigned char c = (unsigned char)at->rest.data[0];

		if (c < 32 || c == 127 || (c >= 0x80 && !(at->flags & MAILADDRESS_UTF8)))
			return syntax_here(at);
		if (!take_local(at))
			return MAILADDRESS_LOCAL_TOO_LONG;
	}
	if (at->rest.len == 0)
		return MAILADDRESS_SYNTAX;
	at->rest = view_skip(at->rest, 1);
	return MAILADDRESS_OK;
}

/* Dots may stand anywhere, see mailaddress.h. */
static enum mailaddress_result read_dot_string(struct cursor *at)
{
	while (at->rest.len > 0 &&
	       (is_atext(at->rest.data[0], at->flags) || at->rest.data[0] == '.'))
		if (!take_local(at))
			return MAILADDRESS_LOCAL_TOO_LONG;
	return at->local_len == 0 ? syntax_here(at) : MAILADDRESS_OK;
}

static enum mailaddress_result read_local(struct cursor *at)
{
	at->local_len = 0;
	at->quoted = front_is(at, '"');
	return at->quoted ? read_quoted(at) : read_dot_string(at);
}

static bool is_domain_byte(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) || c == '-' || c == '.' || c == '_' ||
	       (unsigned char)c >= 0x80;
}

/* The bytes of a domain or an address literal, unchecked. */
static struct view cut_domain(struct cursor *at)
{
	struct view all = at->rest;
	size_t len = 0;

	if (front_is(at, '[')) {
		len = view_find(all, ']');
		len = len < all.len ? len + 1 : 0;
	} else {
		while (len < all.len && is_domain_byte(all.data[len]))
			len++;
	}
	at->rest = view_skip(all, len);
	return view_take(all, len);
}

enum mailaddress_result mailaddress_domain_parse(struct view v, unsigned flags,
                                                 char out[MAILADDRESS_DOMAIN_MAX + 1])
{
	size_t label = 0;

	if (v.len > MAILADDRESS_DOMAIN_MAX)
		return MAILADDRESS_DOMAIN_TOO_LONG;
	if (!utf8_is_ascii(v) && !(flags & MAILADDRESS_UTF8))
		return MAILADDRESS_NOT_ASCII;
	if (!utf8_valid(v))
		return MAILADDRESS_SYNTAX;
	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];
		bool last = i + 1 == v.len || v.data[i + 1] == '.';

		/* Underscores are no letters of a host name, but such hosts exist and get mail. */
		if (!is_domain_byte(c) || (c == '.' && label == 0) ||
		    (c == '-' && (label == 0 || last)))
			return MAILADDRESS_SYNTAX;
		label = c == '.' ? 0 : label + 1;
		if (label > MAILADDRESS_LABEL_MAX)
			return MAILADDRESS_DOMAIN_TOO_LONG;
		out[i] = byte_lower(c);
	}
	out[v.len] = '\0';
	return label == 0 ? MAILADDRESS_SYNTAX : MAILADDRESS_OK;
}

/* ---- the normal form ---- */

/* A quoted local part keeps its quotes for dots where the grammar has none. */
static bool needs_quotes(struct view local, bool quoted, unsigned flags)
{
	bool dot = true;

	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '.' ? dot && quoted : !is_atext(local.data[i], flags))
			return true;
		dot = local.data[i] == '.';
	}
	return local.len == 0 || (dot && quoted);
}

static enum mailaddress_result add_local(struct mailaddress *a, struct view local, bool quoted,
                                         unsigned flags)
{
	size_t len = 0;
	bool quotes = needs_quotes(local, quoted, flags);

	/* The limit is on what goes over the wire, quotes and all. */
	for (size_t i = 0; i < local.len; i++)
		len += local.data[i] == '"' || local.data[i] == '\\';
	if (local.len + len + 2 * quotes > MAILADDRESS_LOCAL_MAX)
		return MAILADDRESS_LOCAL_TOO_LONG;
	len = 0;
	if (quotes)
		a->text[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '"' || local.data[i] == '\\')
			a->text[len++] = '\\';
		a->text[len++] = local.data[i];
	}
	if (quotes)
		a->text[len++] = '"';
	a->local_len = a->len = (uint8_t)len;
	a->text[len] = '\0';
	return MAILADDRESS_OK;
}

static enum mailaddress_result add_literal(struct mailaddress *a, struct view literal)
{
	char text[NET_ADDRESS_TEXT_MAX];
	struct net_address address;

	if (!net_address_parse(literal, &address))
		return MAILADDRESS_SYNTAX;
	net_address_literal(&address, text);
	if (a->len + 1 + strlen(text) > MAILADDRESS_MAX)
		return MAILADDRESS_TOO_LONG;
	a->literal = true;
	a->text[a->len++] = '@';
	string_put(a->text + a->len, sizeof a->text - a->len, view_of(text));
	a->len = (uint8_t)strlen(a->text);
	return MAILADDRESS_OK;
}

static enum mailaddress_result add_domain(struct mailaddress *a, struct view domain, unsigned flags)
{
	char lower[MAILADDRESS_DOMAIN_MAX + 1];
	enum mailaddress_result result;

	if (domain.len > 0 && domain.data[0] == '[')
		return add_literal(a, domain);
	result = mailaddress_domain_parse(domain, flags, lower);
	if (result != MAILADDRESS_OK)
		return result;
	if (a->len + 1 + domain.len > MAILADDRESS_MAX)
		return MAILADDRESS_TOO_LONG;
	a->text[a->len++] = '@';
	string_put(a->text + a->len, sizeof a->text - a->len, (struct view){ lower, domain.len });
	a->len = (uint8_t)(a->len + domain.len);
	return MAILADDRESS_OK;
}

static bool domain_may_miss(struct view local, unsigned flags)
{
	return (flags & MAILADDRESS_NO_DOMAIN) ||
	       ((flags & MAILADDRESS_POSTMASTER) && view_equal_nocase(local, VIEW("postmaster")));
}

/* has_domain: there was an '@', so an empty domain is an error and not an absence. */
static enum mailaddress_result normalise(struct view local, bool quoted, bool has_domain,
                                         struct view domain, unsigned flags,
                                         struct mailaddress *out)
{
	enum mailaddress_result result;

	memset(out, 0, sizeof *out);
	if (!utf8_valid(local))
		return MAILADDRESS_SYNTAX;
	result = add_local(out, local, quoted, flags);
	if (result == MAILADDRESS_OK && has_domain)
		result = add_domain(out, domain, flags);
	else if (result == MAILADDRESS_OK && !domain_may_miss(local, flags))
		result = MAILADDRESS_SYNTAX;
	out->ascii = utf8_is_ascii(mailaddress_view(out));
	return result;
}

static enum mailaddress_result read_mailbox(struct cursor *at, struct mailaddress *out)
{
	enum mailaddress_result result = read_local(at);
	struct view domain = { "", 0 };
	bool has_domain;

	if (result != MAILADDRESS_OK)
		return result;
	has_domain = front_is(at, '@');
	if (!has_domain && not_ascii_here(at))
		return syntax_here(at);
	if (has_domain) {
		at->rest = view_skip(at->rest, 1);
		domain = cut_domain(at);
	}
	return normalise((struct view){ at->local, at->local_len }, at->quoted, has_domain, domain,
	                 at->flags, out);
}

/* "@a,@b:" before the mailbox: read, checked for form, ignored (RFC 5321 appendix C). */
static bool skip_route(struct cursor *at)
{
	while (front_is(at, '@')) {
		at->rest = view_skip(at->rest, 1);
		if (cut_domain(at).len == 0)
			return false;
		if (front_is(at, ',')) {
			at->rest = view_skip(at->rest, 1);
			if (!front_is(at, '@'))
				return false;
			continue;
		}
		if (!front_is(at, ':'))
			return false;
		at->rest = view_skip(at->rest, 1);
		return !front_is(at, '@');
	}
	return true;
}

static bool at_end(struct view v)
{
	return v.len == 0 || byte_is_space(v.data[0]);
}

static enum mailaddress_result read_bracketed(struct cursor *at, struct mailaddress *out)
{
	enum mailaddress_result result;

	at->rest = view_skip(at->rest, 1);
	if (front_is(at, '>') && (at->flags & MAILADDRESS_NULL)) {
		memset(out, 0, sizeof *out);
		out->ascii = true;
	} else {
		if (!skip_route(at))
			return MAILADDRESS_SYNTAX;
		result = read_mailbox(at, out);
		if (result != MAILADDRESS_OK)
			return result;
	}
	if (!front_is(at, '>'))
		return syntax_here(at);
	at->rest = view_skip(at->rest, 1);
	return MAILADDRESS_OK;
}

enum mailaddress_result mailaddress_path(struct view *rest, unsigned flags, struct mailaddress *out)
{
	struct cursor at = { .rest = *rest, .flags = flags };
	enum mailaddress_result result = MAILADDRESS_SYNTAX;

	while (at.rest.len > 0 && byte_is_space(at.rest.data[0]))
		at.rest = view_skip(at.rest, 1);
	if (front_is(&at, '<'))
		result = read_bracketed(&at, out);
	else if (flags & MAILADDRESS_NO_BRACKETS)
		result = read_mailbox(&at, out);
	if (result == MAILADDRESS_OK && !at_end(at.rest))
		result = syntax_here(&at);
	*rest = at.rest;
	return result;
}

enum mailaddress_result mailaddress_parse(struct view v, unsigned flags, struct mailaddress *out)
{
	struct cursor at = { .rest = v, .flags = flags };
	enum mailaddress_result result = read_mailbox(&at, out);

	if (result == MAILADDRESS_OK && at.rest.len > 0)
		result = syntax_here(&at);
	return result;
}

enum mailaddress_result mailaddress_join(struct view local, struct view domain, unsigned flags,
                                         struct mailaddress *out)
{
	for (size_t i = 0; i < local.len; i++) {
		unsigned char c = (unsigned char)local.data[i];

		if (c < 32 || c == 127)
			return MAILADDRESS_SYNTAX;
		if (c >= 0x80 && !(flags & MAILADDRESS_UTF8))
			return MAILADDRESS_NOT_ASCII;
	}
	if (local.len == 0)
		return MAILADDRESS_SYNTAX;
	return normalise(local, false, domain.len > 0, domain, flags, out);
}

const char *mailaddress_explain(enum mailaddress_result result)
{
	switch (result) {
	case MAILADDRESS_OK: return "Address is good";
	case MAILADDRESS_SYNTAX: return "Address syntax is wrong";
	case MAILADDRESS_LOCAL_TOO_LONG: return "Local part is too long";
	case MAILADDRESS_DOMAIN_TOO_LONG: return "Domain is too long";
	case MAILADDRESS_TOO_LONG: return "Address is too long";
	case MAILADDRESS_NOT_ASCII: return "Address is not ASCII and SMTPUTF8 was not asked for";
	}
	return "Address is wrong";
}

struct view mailaddress_view(const struct mailaddress *a)
{
	return (struct view){ a->text, a->len };
}

struct view mailaddress_domain(const struct mailaddress *a)
{
	return view_skip(mailaddress_view(a), a->local_len + (size_t)1);
}
