/* SPDX-License-Identifier: ISC */
#include "lib/mail/esmtp.h"

#include <assert.h>

/* One keyword: the value is what follows "=", empty when there is none. */
struct parameter {
	const char *name;
	enum esmtp_extension extension;
	/* out: struct esmtp_mail, or envelope_recipient */
	bool (*take)(struct view value, void *out);
	/* of: struct envelope, or envelope_recipient. Adds the value, nothing when it is not set;
	 * NULL: not said to other hosts. */
	void (*write)(struct text *out, const void *of);
};

static const char *const keywords[] = {
#define KEYWORD(name, keyword) keyword,
	ESMTP_EXTENSIONS_LIST(KEYWORD)
#undef KEYWORD
};

const char *esmtp_keyword(enum esmtp_extension extension)
{
	return keywords[extension];
}

enum esmtp_extension esmtp_extension(struct view keyword)
{
	unsigned i = 0;

	while (i < ESMTP_EXTENSIONS && !view_equal_nocase(keyword, view_of(keywords[i])))
		i++;
	return (enum esmtp_extension)i;
}

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

void esmtp_xtext(struct text *out, struct view v)
{
	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];

		if (c < '!' || c > '~' || c == '=' || c == '+')
			text_format(out, "+%02X", (unsigned char)c);
		else
			text_add_byte(out, c);
	}
}

/* What others write where xtext belongs, as xtext: hex digits in small letters, a "+" that none
 * follow, "=". xtext stays as it is, to the byte (RFC 3461 section 5.2.1). false: that is none, or
 * does not fit. */
static bool repair_xtext(struct text *out, struct view v)
{
	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];

		if (c < '!' || c > '~')
			return false;
		if (c == '+' && v.len - i > 2 && byte_hex_value(v.data[i + 1]) >= 0 &&
		    byte_hex_value(v.data[i + 2]) >= 0) {
			text_format(out, "+%c%c", byte_upper(v.data[i + 1]),
			            byte_upper(v.data[i + 2]));
			i += 2;
		} else {
			esmtp_xtext(out, view_take(view_skip(v, i), 1));
		}
	}
	return v.len > 0 && !out->full;
}

static bool take_size(struct view value, void *out)
{
	/* RFC 1870 section 3: up to 20 digits. A number past 64 bits is surely too large. */
	struct esmtp_mail *p = out;

	if (value.len == 20 && !view_number(value, UINT64_MAX, &p->size_bytes)) {
		p->size_bytes = UINT64_MAX;
		return true;
	}
	return value.len <= 20 && view_number(value, UINT64_MAX, &p->size_bytes);
}

static bool take_body(struct view value, void *out)
{
	struct envelope *e = &((struct esmtp_mail *)out)->envelope;

	e->eight_bit = view_equal_nocase(value, VIEW("8BITMIME"));
	return e->eight_bit || view_equal_nocase(value, VIEW("7BIT"));
}

static void write_body(struct text *out, const void *of)
{
	const struct envelope *e = of;

	if (e->eight_bit)
		text_add_string(out, "8BITMIME");
}

/* RFC 4954 section 5: who first submitted it, in the client's opinion. Allowed and not believed,
 * and so not looked at. */
static bool take_auth(struct view value, void *out)
{
	(void)out;
	return value.len > 0;
}

static bool take_ret(struct view value, void *out)
{
	struct envelope *e = &((struct esmtp_mail *)out)->envelope;

	e->ret = view_equal_nocase(value, VIEW("FULL"))   ? 'F'
	         : view_equal_nocase(value, VIEW("HDRS")) ? 'H'
	                                                  : 0;
	return e->ret != 0;
}

static void write_ret(struct text *out, const void *of)
{
	const struct envelope *e = of;

	if (e->ret)
		text_add_string(out, e->ret == 'F' ? "FULL" : "HDRS");
}

/* What only reports would have is not worth a message: one that makes no sense is left out. */
static bool take_envid(struct view value, void *out)
{
	struct envelope *e = &((struct esmtp_mail *)out)->envelope;
	struct text envid;

	text_init(&envid, sizeof e->envid - 1);
	if (repair_xtext(&envid, value))
		string_put(e->envid, sizeof e->envid, text_view(&envid));
	text_free(&envid);
	return true;
}

static void write_envid(struct text *out, const void *of)
{
	text_add_string(out, ((const struct envelope *)of)->envid);
}

static const struct {
	struct view word;
	uint8_t bit;
} notify_words[] = {
	{ { "NEVER", 5 }, ENVELOPE_NOTIFY_NEVER },
	{ { "SUCCESS", 7 }, ENVELOPE_NOTIFY_SUCCESS },
	{ { "FAILURE", 7 }, ENVELOPE_NOTIFY_FAILURE },
	{ { "DELAY", 5 }, ENVELOPE_NOTIFY_DELAY },
};

enum { NOTIFY_WORDS = sizeof notify_words / sizeof notify_words[0] };

bool esmtp_notify_word(struct view word, uint8_t *notify)
{
	for (unsigned i = 0; i < NOTIFY_WORDS; i++)
		if (view_equal_nocase(word, notify_words[i].word)) {
			*notify |= notify_words[i].bit;
			return true;
		}
	return false;
}

static bool take_notify(struct view value, void *out)
{
	struct envelope_recipient *r = out;
	struct view word;

	while (view_cut(&value, ',', &word))
		if (!esmtp_notify_word(word, &r->notify))
			return false;
	/* RFC 3461 section 4.1: NEVER stands alone. */
	return r->notify &&
	       (!(r->notify & ENVELOPE_NOTIFY_NEVER) || r->notify == ENVELOPE_NOTIFY_NEVER);
}

static void write_notify(struct text *out, const void *of)
{
	const struct envelope_recipient *r = of;
	const char *between = "";

	for (unsigned i = 0; i < NOTIFY_WORDS; i++) {
		if (!(r->notify & notify_words[i].bit))
			continue;
		text_add_string(out, between);
		text_add(out, notify_words[i].word);
		between = ",";
	}
}

/* addr-type ";" xtext */
static bool is_orcpt(struct view value)
{
	size_t semicolon = view_find(value, ';');

	return semicolon > 0 && semicolon < value.len && is_xtext(view_take(value, semicolon)) &&
	       is_xtext(view_skip(value, semicolon + 1));
}

/* As ENVID: the recipient is accepted in any case. */
static bool take_orcpt(struct view value, void *out)
{
	struct envelope_recipient *r = out;
	size_t semicolon = view_find(value, ';');
	struct view type = view_take(value, semicolon);
	struct text orcpt;

	text_init(&orcpt, sizeof r->orcpt - 1);
	text_format(&orcpt, "%.*s;", VIEW_ARG(type));
	if (is_xtext(type) && repair_xtext(&orcpt, view_skip(value, semicolon + 1)))
		string_put(r->orcpt, sizeof r->orcpt, text_view(&orcpt));
	text_free(&orcpt);
	return true;
}

/* One that a queue file from before has in another form would be refused for good. */
static void write_orcpt(struct text *out, const void *of)
{
	struct view orcpt = view_of(((const struct envelope_recipient *)of)->orcpt);

	if (is_orcpt(orcpt))
		text_add(out, orcpt);
}

static const struct parameter mail_table[] = {
	{ "SIZE", ESMTP_SIZE, take_size, NULL }, /* esmtp_mail_write knows the size */
	{ "BODY", ESMTP_EIGHT_BIT, take_body, write_body },
	{ "AUTH", ESMTP_AUTH, take_auth, NULL },
	{ "RET", ESMTP_DSN, take_ret, write_ret },
	{ "ENVID", ESMTP_DSN, take_envid, write_envid },
	{ NULL, ESMTP_EXTENSIONS, NULL, NULL },
};
static const struct parameter recipient_table[] = {
	{ "NOTIFY", ESMTP_DSN, take_notify, write_notify },
	{ "ORCPT", ESMTP_DSN, take_orcpt, write_orcpt },
	{ NULL, ESMTP_EXTENSIONS, NULL, NULL },
};

static_assert(sizeof mail_table / sizeof mail_table[0] <= PARAMETERS_MAX,
              "a bit for each parameter");

static enum esmtp_result parse(struct view rest, const struct parameter *table, void *out,
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
			return ESMTP_UNKNOWN;
		if ((seen & 1u << i) || !table[i].take(view_skip(word, equals + 1), out))
			return ESMTP_SYNTAX;
		seen |= 1u << i;
	}
	return ESMTP_OK;
}

enum esmtp_result esmtp_mail_parse(struct view rest, struct esmtp_mail *out, struct view *culprit)
{
	*out = (struct esmtp_mail){ 0 };
	return parse(rest, mail_table, out, culprit);
}

enum esmtp_result esmtp_recipient_parse(struct view rest, struct envelope_recipient *out,
                                        struct view *culprit)
{
	*out = (struct envelope_recipient){ 0 };
	return parse(rest, recipient_table, out, culprit);
}

static void write_all(struct text *out, const struct parameter *table, const void *of,
                      unsigned offered)
{
	for (const struct parameter *p = table; p->name != NULL; p++) {
		size_t before = out->len;

		if (p->write == NULL || !(offered & 1u << p->extension))
			continue;
		text_format(out, " %s=", p->name);
		size_t empty = out->len;

		p->write(out, of);
		if (out->len == empty && !out->full)
			text_cut_back(out, before);
	}
}

void esmtp_mail_write(struct text *out, const struct envelope *e, uint64_t size_bytes,
                      unsigned offered)
{
	if (offered & 1u << ESMTP_SIZE)
		text_format(out, " SIZE=%llu", (unsigned long long)size_bytes);
	write_all(out, mail_table, e, offered);
}

void esmtp_recipient_write(struct text *out, const struct envelope_recipient *r, unsigned offered)
{
	write_all(out, recipient_table, r, offered);
}
