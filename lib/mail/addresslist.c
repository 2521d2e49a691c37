/* SPDX-License-Identifier: ISC */
#include "lib/mail/addresslist.h"

/* Bytes of a source route; looking further for its colon would let "<@,<@,<@" cost the square of
 * its length. */
enum { ROUTE_BYTES_MAX = 1000 };

/* One address while it is read.  The texts are used again for the next. */
struct reader {
	struct arena *arena;
	struct view rest;
	struct text phrase; /* words with a blank where there was one */
	struct text local;  /* the last of them, with those that dots join to it */
	struct text host, route, comment;
	unsigned words; /* how many, joined ones counted as one */
	bool in_group;
	bool gap;    /* blanks or a comment stood before the next word */
	bool dot;    /* the last word ended in a dot, without quotes */
	bool run_on; /* what comes stands where a comma should */
	bool loose;
	size_t count_max;
	struct listed_address *first, **last;
};

static bool is_special(char c)
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
	case '"':
	case '[':
	case ' ':
	case '\t':
	case '\r':
	case '\n':
	case '\0': return true;
	}
	return false;
}

static char front(const struct reader *r)
{
	return r->rest.len > 0 ? r->rest.data[0] : '\0';
}

static void step(struct reader *r)
{
	r->rest = view_skip(r->rest, 1);
}

/* A byte of a quoted-string, comment or literal: line ends are folding and vanish. */
static void add_inner(struct text *to, char c)
{
	if (c != '\r' && c != '\n' && c != '\0')
		text_add_byte(to, c);
}

/* Nested comments by counting, so that ten thousand parentheses cost no stack. */
static void read_comment(struct reader *r)
{
	size_t depth = 0;

	text_clear(&r->comment);
	while (r->rest.len > 0) {
		char c = front(r);

		step(r);
		if (c == '(' && depth++ == 0)
			continue;
		if (c == ')' && --depth == 0)
			return;
		if (c == '\\' && r->rest.len > 0) {
			c = front(r);
			step(r);
		}
		add_inner(&r->comment, c);
	}
}

static void skip_blanks(struct reader *r)
{
	for (;;) {
		char c = front(r);

		if (r->rest.len > 0 && (byte_is_space(c) || c == '\r' || c == '\n' || c == '\0'))
			step(r);
		else if (c == '(')
			read_comment(r);
		else
			return;
		r->gap = true;
	}
}

/* Up to the closing byte, which is taken too; `keep` puts both into the text (domain literals). */
static void read_enclosed(struct reader *r, char close, bool keep, struct text *to)
{
	if (keep)
		text_add_byte(to, front(r));
	step(r);
	while (r->rest.len > 0) {
		char c = front(r);

		step(r);
		if (c == close) {
			if (keep)
				text_add_byte(to, c);
			return;
		}
		if (c == '\\' && r->rest.len > 0) {
			c = front(r);
			step(r);
		}
		add_inner(to, c);
	}
}

/* Does the next word belong to the local part that has begun? Blanks around dots (RFC 5322 section
 * 4.4) are such only where no name stands before: in "Q. Public q@a.test" they are not. */
static bool is_joined(const struct reader *r)
{
	return (r->dot || front(r) == '.') && (!r->gap || r->words == 1);
}

/* One atom or quoted-string onto phrase and local. */
static void read_word(struct reader *r)
{
	size_t len = 0;

	if (!is_joined(r)) {
		text_clear(&r->local);
		r->words++;
	}
	size_t before = r->local.len;

	r->dot = false;
	if (front(r) == '"') {
		read_enclosed(r, '"', false, &r->local);
	} else if (front(r) == '[') {
		read_enclosed(r, ']', true, &r->local);
	} else {
		while (len < r->rest.len && !is_special(r->rest.data[len]))
			len++;
		text_add(&r->local, view_take(r->rest, len));
		r->dot = r->rest.data[len - 1] == '.';
		r->rest = view_skip(r->rest, len);
	}
	if (r->gap && r->phrase.len > 0)
		text_add_byte(&r->phrase, ' ');
	r->gap = false;
	text_add(&r->phrase, view_skip(text_view(&r->local), before));
}

/* Words until something that is none. */
static void read_words(struct reader *r)
{
	for (;;) {
		skip_blanks(r);
		char c = front(r);

		if (r->rest.len == 0 || (is_special(c) && c != '"' && c != '['))
			return;
		read_word(r);
	}
}

/* Atoms, dots and literals behind an '@'. */
static void read_host(struct reader *r)
{
	for (;;) {
		skip_blanks(r);
		size_t len = 0;

		if (front(r) == '[' && r->host.len == 0) {
			read_enclosed(r, ']', true, &r->host);
			return;
		}
		while (len < r->rest.len && !is_special(r->rest.data[len]))
			len++;
		/* Two atoms without a dot between are two things: the second is dropped by the
		 * caller. */
		if (len == 0 || (r->host.len > 0 && r->host.raw[r->host.len - 1] != '.' &&
		                 r->rest.data[0] != '.'))
			return;
		text_add(&r->host, view_take(r->rest, len));
		r->rest = view_skip(r->rest, len);
	}
}

/* "@a,@b:" */
static void read_route(struct reader *r)
{
	size_t end = 0;
	struct view all = r->rest;

	while (end < all.len && end < ROUTE_BYTES_MAX && all.data[end] != ':' &&
	       all.data[end] != '>')
		end++;
	if (end == all.len || all.data[end] != ':')
		return;
	for (size_t i = 0; i < end; i++)
		if (all.data[i] > ' ' || (unsigned char)all.data[i] >= 0x80)
			text_add_byte(&r->route, all.data[i]);
	r->rest = view_skip(all, end + 1);
}

/* To the separator behind this address, which stays; true: something else comes, as if there had
 * been one. */
static bool runs_on(struct reader *r)
{
	for (;;) {
		skip_blanks(r);
		char c = front(r);

		if (r->rest.len == 0 || c == ',' || c == ';')
			return false;
		if (c == '<' || c == '"' || c == '[' || !is_special(c))
			return true;
		step(r);
	}
}

static struct view keep(struct reader *r, const struct text *t, bool always)
{
	if (t->len == 0 && !always)
		return (struct view){ NULL, 0 };
	return arena_copy(r->arena, text_view(t));
}

static bool emit(struct reader *r, enum listed_kind kind)
{
	struct listed_address *a;

	if (r->count_max == 0 || !(a = arena_get(r->arena, sizeof *a)))
		return false;
	r->count_max--;
	a->kind = kind;
	a->loose = r->loose;
	if (kind != LISTED_GROUP_END)
		a->name = keep(r, &r->phrase, kind == LISTED_GROUP_START);
	if (kind == LISTED_MAILBOX) {
		if (!a->name.data)
			a->name = keep(r, &r->comment, false);
		a->route = keep(r, &r->route, false);
		a->mailbox = keep(r, &r->local, true);
		a->host = keep(r, &r->host, true);
		if (!a->mailbox.data || !a->host.data)
			return false; /* the arena is full: half an address would be a wrong one */
	}
	*r->last = a;
	r->last = &a->next;
	return true;
}

static void clear(struct reader *r)
{
	text_clear(&r->phrase);
	text_clear(&r->local);
	text_clear(&r->host);
	text_clear(&r->route);
	text_clear(&r->comment);
	r->words = 0;
	r->gap = r->dot = r->loose = false;
}

/* "<...>"; the phrase before it is the name. */
static void read_angle(struct reader *r)
{
	struct text name = r->phrase;

	text_init(&r->phrase, ADDRESSLIST_BYTES_MAX);
	text_clear(&r->local);
	text_clear(&r->host);
	r->words = 0;
	r->dot = false;
	step(r);
	skip_blanks(r);
	if (front(r) == '@')
		read_route(r);
	read_words(r);
	if (front(r) == '@') {
		step(r);
		read_host(r);
	}
	text_free(&r->phrase);
	r->phrase = name;
	/* A missing '>' ends with the address: "<a@b.test, c@d.test". */
	while (r->rest.len > 0 && front(r) != '>' && front(r) != ',' && front(r) != ';')
		step(r);
	if (front(r) == '>')
		step(r);
}

/* "joe@a.test", and when a '<' follows, only a name that looked like one. */
static void read_at(struct reader *r)
{
	step(r);
	read_host(r);
	if (front(r) != '<') {
		r->loose = r->words > 1;
		text_clear(&r->phrase);
		return;
	}
	text_add_byte(&r->phrase, '@');
	text_add(&r->phrase, text_view(&r->host));
	read_angle(r);
}

/* "To: joe": a mailbox, not a name. Of several words none can be told to be one. */
static void read_bare(struct reader *r)
{
	if (r->words > 1) {
		r->loose = true;
		text_clear(&r->local);
		text_add(&r->local, text_view(&r->phrase));
	}
	text_clear(&r->phrase);
}

/* Behind an address that had no comma only what is one without a doubt. */
static bool is_address(const struct reader *r, bool ran_on)
{
	if (ran_on)
		return r->local.len > 0 && r->host.len > 0;
	return r->local.len > 0 || r->host.len > 0 || r->phrase.len > 0;
}

static bool read_one(struct reader *r)
{
	bool good = true, ran_on = r->run_on;

	clear(r);
	read_words(r);
	if (front(r) == ':' && !ran_on) {
		step(r);
		if (r->in_group)
			return true; /* no group in a group: the word before is lost */
		r->in_group = true;
		return emit(r, LISTED_GROUP_START);
	}
	if (front(r) == '<')
		read_angle(r);
	else if (front(r) == '@')
		read_at(r);
	else
		read_bare(r);
	r->run_on = runs_on(r);
	r->loose = r->loose || ran_on || r->run_on;
	if (is_address(r, ran_on))
		good = emit(r, LISTED_MAILBOX);
	if (r->run_on)
		return good;
	if (front(r) == ';' && r->in_group) {
		r->in_group = false;
		clear(r);
		good = good && emit(r, LISTED_GROUP_END);
	}
	step(r); /* the separator */
	return good;
}

struct listed_address *addresslist_parse(struct arena *arena, struct view value, size_t count_max)
{
	struct reader r = { .arena = arena,
		            .rest = view_take(value, ADDRESSLIST_BYTES_MAX),
		            .count_max = count_max };
	struct text *const texts[] = { &r.phrase, &r.local, &r.host, &r.route, &r.comment };
	bool good = true;

	r.last = &r.first;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		text_init(texts[i], ADDRESSLIST_BYTES_MAX);
	while (good && r.rest.len > 0)
		good = read_one(&r);
	if (good && r.in_group) {
		clear(&r);
		emit(&r, LISTED_GROUP_END);
	}
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		text_free(texts[i]);
	return r.first;
}
