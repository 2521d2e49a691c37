/* SPDX-License-Identifier: ISC */
#include "imapd/searchrun.h"

#include <string.h>

#include "imapd/content.h"
#include "lib/mail/addresslist.h"
#include "lib/mail/charset.h"
#include "lib/mail/date.h"

enum { SEARCH_ADDRESSES_BYTES = 4 << 20 }; /* of one field */

struct candidate {
	struct folder *folder;
	uint32_t seq;
	struct store_message facts; /* what the index knows, size and date when has_file */
	bool has_file;
	struct content content;
	bool unreadable;
	struct text decoded, folded;
};

/* ---- strings ---- */

static bool finds_in_utf8(struct candidate *m, const struct finder *finder, struct view utf8)
{
	/* ASCII case is the finder's own work; folding more matters only to a needle that has
	 * more. */
	if (finder->ascii)
		return finder_finds(finder, utf8);
	text_clear(&m->folded);
	charset_fold(utf8, &m->folded);
	return finder_finds(finder, text_view_cut(&m->folded));
}

static bool finds_in_value(struct candidate *m, const struct finder *finder, struct view value)
{
	text_clear(&m->decoded);
	charset_decode_header(value, &m->decoded);
	return finds_in_utf8(m, finder, text_view_cut(&m->decoded));
}

static bool is_address_field(struct view name)
{
	static const char *const names[] = { "From", "To", "Cc", "Bcc" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (view_equal_nocase(name, view_of(names[i])))
			return true;
	return false;
}

/* Does something stand inside an address that is not of it: a comment, a fold, a blank, quotes? */
static bool may_hide_address(struct view value)
{
	return view_find(value, '(') < value.len || view_find(value, '\n') < value.len ||
	       memmem(value.data, value.len, " @", 2) || memmem(value.data, value.len, "@ ", 2) ||
	       memmem(value.data, value.len, "\"@", 2);
}

/* The addresses as they are meant, beside the text as it stands. */
static bool finds_in_addresses(const struct finder *finder, struct view value)
{
	struct arena arena = { .limit = SEARCH_ADDRESSES_BYTES };
	struct text address;
	bool found = false;

	text_init(&address, SEARCH_ADDRESSES_BYTES);
	for (const struct listed_address *a =
	             addresslist_parse(&arena, value, ADDRESSLIST_COUNT_MAX);
	     a != NULL && !found; a = a->next) {
		if (a->kind != LISTED_MAILBOX)
			continue;
		text_clear(&address);
		text_format(&address, "%.*s@%.*s", VIEW_ARG(a->mailbox), VIEW_ARG(a->host));
		found = finder_finds(finder, text_view(&address));
	}
	text_free(&address);
	arena_clear(&arena);
	return found;
}

static bool field_holds(struct candidate *m, const struct search_key *key)
{
	struct view rest = m->content.header;
	struct header_field field;

	while (header_next(&rest, &field))
		if (view_equal_nocase(field.name, key->field) &&
		    (finds_in_value(m, key->finder, field.value) ||
		     (is_address_field(key->field) && may_hide_address(field.value) &&
		      finds_in_addresses(key->finder, field.value))))
			return true;
	return false;
}

/* Any line of a header, its name too. */
static bool header_holds(struct candidate *m, const struct finder *finder, struct view header)
{
	struct header_field field;

	while (header_next(&header, &field))
		if (finds_in_value(m, finder, field.whole))
			return true;
	return false;
}

/* ---- bodies ---- */

/* Sets in which the bytes below 0x80 are ASCII and nothing else is made of them. */
static bool is_ascii_superset(struct view charset)
{
	return charset.len == 0 || view_equal_nocase(charset, VIEW("us-ascii")) ||
	       view_equal_nocase(charset, VIEW("utf-8")) ||
	       view_starts_nocase(charset, VIEW("iso-8859-")) ||
	       view_starts_nocase(charset, VIEW("windows-125"));
}

static bool body_holds(struct candidate *m, const struct finder *finder, const struct mime_part *p)
{
	struct view body = view_take(view_skip(m->content.whole, p->body_start), p->body_len);
	struct view charset = mime_param(p->params, VIEW("charset"));
	bool encoded = p->encoding == ENCODING_BASE64 || p->encoding == ENCODING_QUOTED_PRINTABLE;
	struct text bytes;

	if (finder->ascii && !encoded && is_ascii_superset(charset))
		return finder_finds(finder, body);
	text_init(&bytes, SEARCH_PART_MAX);
	if (encoded)
		transfer_decode(p->encoding, body, &bytes);
	text_clear(&m->decoded);
	charset_to_utf8_or_guess(charset, encoded ? text_view_cut(&bytes) : body, &m->decoded);
	text_free(&bytes);
	return finds_in_utf8(m, finder, text_view_cut(&m->decoded));
}

/* Texts, and messages inside the message with their headers; other parts are not text. */
static bool part_holds(struct candidate *m, const struct finder *finder, const struct mime_part *p)
{
	if (p->kind == MIME_LEAF)
		return view_equal_nocase(p->type, VIEW("text")) && body_holds(m, finder, p);
	for (const struct mime_part *child = p->child; child != NULL; child = child->next) {
		struct view header = view_take(view_skip(m->content.whole, child->header_start),
		                               child->header_len);

		if ((p->kind == MIME_MESSAGE && header_holds(m, finder, header)) ||
		    part_holds(m, finder, child))
			return true;
	}
	return false;
}

/* ---- keys ---- */

static bool need_file(struct candidate *m)
{
	struct reason why;

	if (!m->has_file && !m->unreadable) {
		m->has_file = folder_message(m->folder, m->seq, STORE_WANT_SIZE | STORE_WANT_DATE,
		                             &m->facts, &why) == STORE_OK;
		m->unreadable = !m->has_file;
	}
	return m->has_file;
}

static bool need_header(struct candidate *m)
{
	struct reason why;

	if (!m->unreadable && content_header(&m->content, &why) != STORE_OK)
		m->unreadable = true;
	return !m->unreadable;
}

static bool need_mime(struct candidate *m)
{
	struct reason why;

	if (!m->unreadable && content_mime(&m->content, &why) != STORE_OK)
		m->unreadable = true;
	return !m->unreadable;
}

/* The day of the Date field, as its own clock has it (RFC 3501 section 6.4.4: without regard to
 * time and zone). */
static bool sent_day(struct candidate *m, int64_t *day)
{
	struct header_field field;
	struct date date;

	if (!need_header(m) || !header_find(m->content.header, VIEW("Date"), &field) ||
	    !date_mail_parse(field.value, &date))
		return false;
	*day = date_day(date);
	return true;
}

static int64_t arrival_day(const struct candidate *m)
{
	return date_day((struct date){ m->facts.date_s, date_local_zone(m->facts.date_s) });
}

static bool holds(struct candidate *m, const struct search_key *key);

static bool holds_list(struct candidate *m, const struct search_key *key)
{
	bool any = key->what == SEARCH_OR;

	for (const struct search_key *child = key->first; child != NULL; child = child->next)
		if (holds(m, child) == any)
			return any;
	return !any;
}

static bool holds_text(struct candidate *m, const struct search_key *key)
{
	if (!need_mime(m))
		return false;
	if (key->what == SEARCH_TEXT && header_holds(m, key->finder, m->content.header))
		return true;
	return part_holds(m, key->finder, m->content.mime.root);
}

static bool holds_plain(struct candidate *m, const struct search_key *key)
{
	int64_t day = 0;

	switch (key->what) {
	case SEARCH_AND:
	case SEARCH_OR: return holds_list(m, key);
	case SEARCH_ALL: return true;
	case SEARCH_NUMBERS: return sequence_holds(&key->set, m->seq);
	case SEARCH_UIDS: return sequence_holds(&key->set, m->facts.uid);
	case SEARCH_FLAG: return m->facts.flags & key->flag;
	case SEARCH_KEYWORD: return m->facts.keywords & key->keyword;
	case SEARCH_RECENT: return m->facts.recent;
	case SEARCH_LARGER: return need_file(m) && m->facts.size > (uint64_t)key->number;
	case SEARCH_SMALLER: return need_file(m) && m->facts.size < (uint64_t)key->number;
	case SEARCH_BEFORE: return need_file(m) && arrival_day(m) < key->number;
	case SEARCH_ON: return need_file(m) && arrival_day(m) == key->number;
	case SEARCH_SINCE: return need_file(m) && arrival_day(m) >= key->number;
	case SEARCH_SENT_BEFORE: return sent_day(m, &day) && day < key->number;
	case SEARCH_SENT_ON: return sent_day(m, &day) && day == key->number;
	case SEARCH_SENT_SINCE: return sent_day(m, &day) && day >= key->number;
	case SEARCH_HEADER: return need_header(m) && field_holds(m, key);
	case SEARCH_BODY:
	case SEARCH_TEXT: return holds_text(m, key);
	}
	return false;
}

static bool holds(struct candidate *m, const struct search_key *key)
{
	return holds_plain(m, key) != key->not ;
}

bool search_matches(struct folder *folder, uint32_t seq, const struct search_key *key)
{
	struct candidate m = { .folder = folder, .seq = seq };
	struct reason why;

	if (folder_message(folder, seq, 0, &m.facts, &why) != STORE_OK)
		return false;
	text_init(&m.decoded, SEARCH_PART_MAX);
	text_init(&m.folded, SEARCH_PART_MAX);
	content_begin(&m.content, folder, seq);
	/* NOT must not turn a message that could not be read into a hit. */
	bool found = holds(&m, key) && !m.unreadable;

	content_end(&m.content);
	text_free(&m.decoded);
	text_free(&m.folded);
	return found;
}
