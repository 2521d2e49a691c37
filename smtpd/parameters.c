/* SPDX-License-Identifier: ISC */
#include "smtpd/parameters.h"

/* One keyword: value is what follows "=", empty when there is none. */
struct parameter {
	const char *name;
	bool (*take)(struct view value, void *out);
};

enum { PARAMETERS_MAX = 8 }; /* rows in a table: one bit each in `seen` */

static bool is_hex(char c)
{
	return byte_is_digit(c) || (c >= 'A' && c <= 'F');
}

/* RFC 3461 section 4: printable ASCII, "+" and "=" only as +XX. */
static bool is_xtext(struct view v)
{
	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];

		if (c < '!' || c > '~' || c == '=')
			return false;
		if (c == '+') {
			if (v.len - i < 3 || !is_hex(v.data[i + 1]) || !is_hex(v.data[i + 2]))
				return false;
			i += 2;
		}
	}
	return v.len > 0;
}

static bool take_size(struct view value, void *out)
{
	/* RFC 1870 section 3: up to 20 digits. A number past 64 bits is surely too large. */
	struct mail_parameters *p = out;

	if (value.len == 20 && !view_number(value, UINT64_MAX, &p->size_bytes)) {
		p->size_bytes = UINT64_MAX;
		return true;
	}
	return value.len <= 20 && view_number(value, UINT64_MAX, &p->size_bytes);
}

static bool take_body(struct view value, void *out)
{
	struct envelope *e = &((struct mail_parameters *)out)->envelope;

	e->eight_bit = view_equal_nocase(value, VIEW("8BITMIME"));
	return e->eight_bit || view_equal_nocase(value, VIEW("7BIT"));
}

/* RFC 4954 section 5: who first submitted it, in the client's opinion. Allowed and not believed. */
static bool take_auth(struct view value, void *out)
{
	(void)out;
	return is_xtext(value);
}

static bool take_ret(struct view value, void *out)
{
	struct envelope *e = &((struct mail_parameters *)out)->envelope;

	e->ret = view_equal_nocase(value, VIEW("FULL"))   ? 'F'
	         : view_equal_nocase(value, VIEW("HDRS")) ? 'H'
	                                                  : 0;
	return e->ret != 0;
}

static bool take_envid(struct view value, void *out)
{
	struct envelope *e = &((struct mail_parameters *)out)->envelope;

	return is_xtext(value) && string_copy(e->envid, sizeof e->envid, value);
}

static bool take_notify(struct view value, void *out)
{
	struct envelope_recipient *p = out;
	struct view word;

	while (view_cut(&value, ',', &word)) {
		if (view_equal_nocase(word, VIEW("NEVER")))
			p->notify |= SPOOL_NOTIFY_NEVER;
		else if (view_equal_nocase(word, VIEW("SUCCESS")))
			p->notify |= SPOOL_NOTIFY_SUCCESS;
		else if (view_equal_nocase(word, VIEW("FAILURE")))
			p->notify |= SPOOL_NOTIFY_FAILURE;
		else if (view_equal_nocase(word, VIEW("DELAY")))
			p->notify |= SPOOL_NOTIFY_DELAY;
		else
			return false;
	}
	/* RFC 3461 section 4.1: NEVER stands alone. */
	return p->notify && (!(p->notify & SPOOL_NOTIFY_NEVER) || p->notify == SPOOL_NOTIFY_NEVER);
}

/* addr-type ";" xtext */
static bool take_orcpt(struct view value, void *out)
{
	struct envelope_recipient *p = out;
	size_t semicolon = view_find(value, ';');

	return semicolon > 0 && semicolon < value.len && is_xtext(view_take(value, semicolon)) &&
	       is_xtext(view_skip(value, semicolon + 1)) &&
	       string_copy(p->orcpt, sizeof p->orcpt, value);
}

static const struct parameter mail_table[] = {
	{ "SIZE", take_size }, { "BODY", take_body },   { "AUTH", take_auth },
	{ "RET", take_ret },   { "ENVID", take_envid }, { NULL, NULL },
};
static const struct parameter recipient_table[] = {
	{ "NOTIFY", take_notify },
	{ "ORCPT", take_orcpt },
	{ NULL, NULL },
};

_Static_assert(sizeof mail_table / sizeof mail_table[0] <= PARAMETERS_MAX,
               "a bit for each parameter");

static enum parameter_result parse(struct view rest, const struct parameter *table, void *out,
                                   struct view *culprit)
{
	unsigned seen = 0;
	struct view word;

	while (view_cut(&rest, ' ', &word)) {
		if (word.len == 0) /* more than one blank: harmless, and clients do it */
			continue;
		size_t equals = view_find(word, '=');
		unsigned i = 0;

		*culprit = view_take(word, equals);
		while (table[i].name != NULL &&
		       !view_equal_nocase(*culprit, view_of(table[i].name)))
			i++;
		if (table[i].name == NULL)
			return PARAMETERS_UNKNOWN;
		if ((seen & 1u << i) || !table[i].take(view_skip(word, equals + 1), out))
			return PARAMETERS_SYNTAX;
		seen |= 1u << i;
	}
	return PARAMETERS_OK;
}

enum parameter_result mail_parameters_parse(struct view rest, struct mail_parameters *out,
                                            struct view *culprit)
{
	*out = (struct mail_parameters){ 0 };
	return parse(rest, mail_table, out, culprit);
}

enum parameter_result recipient_parameters_parse(struct view rest, struct envelope_recipient *out,
                                                 struct view *culprit)
{
	*out = (struct envelope_recipient){ 0 };
	return parse(rest, recipient_table, out, culprit);
}
