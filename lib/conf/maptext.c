/* SPDX-License-Identifier: ISC */
#include "lib/conf/maptext.h"

#include "lib/base/limits.h"
#include "lib/base/utf8.h"

enum { DOMAIN_MAX = 255, LABEL_MAX = 63, LOCAL_PART_MAX = 250 /* MAILADDRESS_LOCAL_MAX */ };

void maptext_init(struct maptext *m, struct view text)
{
	*m = (struct maptext){ .text = text, .position = maptext_mark(text), .line = 1 };
}

/* U+FEFF, which some editors write before the first line of a text. */
size_t maptext_mark(struct view text)
{
	return view_starts(text, VIEW("\xef\xbb\xbf")) ? 3 : 0;
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

/* Takes a line off, without its end. */
static bool take_line(struct maptext *m, struct view *line)
{
	struct view rest = view_skip(m->text, m->position);

	if (rest.len == 0)
		return false;
	*line = view_take(rest, view_find(rest, '\n'));
	m->position += line->len < rest.len ? line->len + 1 : line->len;
	m->line++;
	if (line->len && line->data[line->len - 1] == '\r')
		line->len--;
	return true;
}

enum line_kind { LINE_EMPTY, LINE_ENTRY, LINE_CONTINUATION };

static enum line_kind kind_of(struct view line)
{
	struct view trimmed = view_trim(line);

	if (trimmed.len == 0 || trimmed.data[0] == '#')
		return LINE_EMPTY;
	return byte_is_space(line.data[0]) ? LINE_CONTINUATION : LINE_ENTRY;
}

static int check_bytes(struct view line, struct reason *why)
{
	for (size_t i = 0; i < line.len; i++)
		if (is_control(line.data[i]))
			return fail(why,
			            "a control character (byte 0x%02x) at column %zu; remove it",
			            (unsigned char)line.data[i], i + 1);
	return 0;
}

/* Where the key of a line ends: at white space outside quotes; 0 when a quote stays open. */
static size_t key_length(struct view line)
{
	bool quoted = false;

	for (size_t i = 0; i < line.len; i++) {
		char c = line.data[i];

		if (quoted && c == '\\' && i + 1 < line.len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && byte_is_space(c))
			return i;
	}
	return quoted ? 0 : line.len;
}

/* Joins the lines that continue the entry to `value`; they end where another entry begins. */
static int take_continuations(struct maptext *m, struct maptext_entry *entry, struct text *value,
                              struct reason *why)
{
	int result = 0;

	for (;;) {
		struct maptext ahead = *m;
		struct view line;
		enum line_kind kind = LINE_EMPTY;

		while (kind == LINE_EMPTY && take_line(&ahead, &line))
			kind = kind_of(line);
		if (kind != LINE_CONTINUATION)
			return result;
		*m = ahead;
		entry->end = m->position;
		if (result == 0)
			result = check_bytes(line, why);
		if (value->len)
			text_add_byte(value, ' ');
		text_add(value, view_trim(line));
		if (result == 0 && value->full)
			result = fail(why, "the entry is longer than %d bytes", MAPTEXT_ENTRY_MAX);
	}
}

static int take_entry(struct maptext *m, struct arena *arena, struct view line,
                      struct maptext_entry *entry, struct reason *why)
{
	int bytes = check_bytes(line, why);
	size_t key = key_length(line);
	struct text value;

	entry->key = view_take(line, key);
	entry->value = view_trim(view_skip(line, key));
	entry->end = m->position;
	text_init(&value, MAPTEXT_ENTRY_MAX);
	text_add(&value, entry->value);
	int joined = take_continuations(m, entry, &value, why);

	bool fits = line.len <= MAPTEXT_ENTRY_MAX && !value.full;

	if (fits && value.len != entry->value.len)
		entry->value = arena_copy(arena, text_view(&value));
	text_free(&value);
	if (bytes != 0 || joined != 0)
		return -1;
	if (!fits)
		return fail(why, "the entry is longer than %d bytes", MAPTEXT_ENTRY_MAX);
	if (key == 0)
		return fail(why, "a quote is not closed; write \\\" for a quote inside quotes");
	return 1;
}

int maptext_next(struct maptext *m, struct arena *arena, struct maptext_entry *entry,
                 struct reason *why)
{
	struct view line;

	for (;;) {
		entry->line = m->line;
		entry->start = m->position;
		if (!take_line(m, &line))
			return 0;
		enum line_kind kind = kind_of(line);

		if (kind == LINE_ENTRY)
			return take_entry(m, arena, line, entry, why);
		if (kind == LINE_CONTINUATION) {
			entry->end = m->position;
			return fail(
				why,
				"a line that begins with white space continues an entry, and there is none "
				"before it; remove the white space");
		}
	}
}

int maptext_word(struct view *rest, struct arena *arena, struct view *word, struct reason *why)
{
	struct view v = view_trim(*rest);
	size_t end = 0;

	*rest = v;
	if (v.len == 0)
		return 0;
	if (v.data[0] != '"') {
		while (end < v.len && !byte_is_space(v.data[end]))
			end++;
		*word = view_take(v, end);
		*rest = view_skip(v, end);
		return 1;
	}
	struct text plain;

	text_init(&plain, MAPTEXT_ENTRY_MAX);
	for (end = 1; end < v.len && v.data[end] != '"'; end++) {
		if (v.data[end] == '\\' && end + 1 < v.len)
			end++;
		text_add_byte(&plain, v.data[end]);
	}
	bool fits = !plain.full;

	if (fits)
		*word = arena_copy(arena, text_view(&plain));
	text_free(&plain);
	*rest = view_skip(v, end + 1);
	if (!fits)
		return fail(why, "a word is longer than %d bytes", MAPTEXT_ENTRY_MAX);
	if (end >= v.len)
		return fail(why, "a quote is not closed; write \\\" for a quote inside quotes");
	return 1;
}

void maptext_add_word(struct text *out, struct view word)
{
	bool plain = word.len && word.data[0] != '"';

	for (size_t i = 0; i < word.len; i++)
		plain = plain && !byte_is_space(word.data[i]);
	if (plain) {
		text_add(out, word);
		return;
	}
	text_add_byte(out, '"');
	for (size_t i = 0; i < word.len; i++) {
		if (word.data[i] == '"' || word.data[i] == '\\')
			text_add_byte(out, '\\');
		text_add_byte(out, word.data[i]);
	}
	text_add_byte(out, '"');
}

static void add_lower(struct text *out, struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		text_add_byte(out, byte_lower(v.data[i]));
}

static bool is_label_byte(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) || c == '-' || c == '_';
}

static bool is_label(struct view label)
{
	if (label.len == 0 || label.len > LABEL_MAX || label.data[0] == '-' ||
	    label.data[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_label_byte(label.data[i]))
			return false;
	return true;
}

enum part { PART_DOMAIN, PART_LOCAL };

/* Of what is not ASCII: where, and what to write instead. */
static const struct {
	const char *name, *advice;
} parts[] = {
	[PART_DOMAIN] = { "domain", "write the A-label of the domain (xn--...), which idn2 shows" },
	[PART_LOCAL] = { "local part",
	                 "no mail is delivered to such an address, as SMTPUTF8 is not supported; "
	                 "use an address in ASCII" },
};

/*
 * What looks like an address that exists and is another one: pasted text brings blanks that are no
 * space, soft hyphens and zero-width spaces along. Nobody gets mail for such an address, and nobody
 * sees in the text why. The others are ASCII. A domain is known to other hosts by its A-label (RFC
 * 5890 section 2.3.2.1), and whether a letter is the one that it looks like (Cyrillic U+0435 and
 * Latin e) is for whoever writes that down. A local part has no such form, and without SMTPUTF8
 * (RFC 6531), which we do not offer nor ask for, no host takes it, nor do we.
 */
static int check_characters(struct view whole, struct view text, enum part part, struct reason *why)
{
	struct view shown = view_take(whole, 100);
	uint32_t code = 0;
	size_t len;

	for (struct view rest = text; rest.len; rest = view_skip(rest, len)) {
		if ((len = utf8_get(rest, &code)) == 0)
			return fail(
				why,
				"\"%.*s\" has a byte that is not UTF-8 (0x%02x); save the text as UTF-8",
				VIEW_ARG(shown), (unsigned char)rest.data[0]);
		if (code >= 0x80 && utf8_is_invisible(code))
			return fail(
				why,
				"\"%.*s\" has a blank or invisible character (U+%04X); remove it",
				VIEW_ARG(shown), (unsigned)code);
		if (code >= 0x80)
			return fail(
				why,
				"\"%.*s\" has a letter in its %s that is not ASCII (U+%04X); %s",
				VIEW_ARG(shown), parts[part].name, (unsigned)code,
				parts[part].advice);
	}
	return 0;
}

int maptext_domain(struct view text, struct text *out, struct reason *why)
{
	struct view rest = text, label;
	bool good = text.len != 0 && text.len <= DOMAIN_MAX && text.data[text.len - 1] != '.';

	if (check_characters(text, text, PART_DOMAIN, why) != 0)
		return -1;
	while (good && view_cut(&rest, '.', &label))
		good = is_label(label);
	if (!good)
		return fail(why, "\"%.*s\" is not a domain (letters, digits, hyphens, dots)",
		            VIEW_ARG(view_take(text, 100)));
	add_lower(out, text);
	return 0;
}

/* RFC 5321 section 4.1.2: a dot-string or a quoted string; as lenient as lib/mail/mailaddress.h,
 * since such addresses of others are aliased to and refused by name. */
static bool is_local_part(struct view local)
{
	if (local.len == 0 || local.len > LOCAL_PART_MAX)
		return false;
	if (local.data[0] == '"')
		return local.len > 2 && key_length(local) == local.len &&
		       local.data[local.len - 1] == '"';
	for (size_t i = 0; i < local.len; i++) {
		char c = local.data[i];

		if (c <= ' ' || c == 0x7f)
			return false;
		if (view_find(VIEW("()<>[]:;@\\,\""), c) < 12)
			return false;
	}
	return true;
}

int maptext_address(struct view text, struct view domain, struct text *out, struct reason *why)
{
	size_t at = text.len - address_domain(text).len; /* 0: there is none */

	struct view local = at ? view_take(text, at - 1) : text;

	if (check_characters(text, local, PART_LOCAL, why) != 0)
		return -1;
	if (!is_local_part(local))
		return fail(why, "\"%.*s\" is not an address (user@domain)",
		            VIEW_ARG(view_take(text, 100)));
	if (at)
		domain = view_skip(text, at);
	else if (domain.len == 0)
		return fail(why, "\"%.*s\" is an address without a domain (user@domain)",
		            VIEW_ARG(view_take(text, 100)));
	/* No program of ours takes a longer one. */
	if (local.len + 1 + domain.len >= ADDRESS_MAX)
		return fail(why, "the address \"%.*s...\" is longer than %d bytes",
		            VIEW_ARG(view_take(text, 100)), ADDRESS_MAX - 1);
	add_lower(out, local);
	text_add_byte(out, '@');
	return maptext_domain(domain, out, why);
}
