/* SPDX-License-Identifier: ISC */
/*
 * The text of maps and of posthouse.conf.
 *
 *	# A line that begins with # is a comment, also between continuation lines.
 *	key  value to the end of the line,
 *	     and on, when the next line begins with white space
 *	"odd key"@example.test  value
 *
 * The key ends at white space outside double quotes.  In a value, words are separated
 * by white space; a word with white space stands in double quotes, in which \" and \\
 * are a quote and a backslash.  There are no comments behind a value.
 */
#ifndef LIB_CONF_MAPTEXT_H
#define LIB_CONF_MAPTEXT_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum {
	MAPTEXT_ENTRY_MAX = 1 << 16, /* key and value of one entry, joined */
	MAPTEXT_FILE_MAX = 1 << 30
};

struct maptext {
	struct view text;
	size_t position;
	int line; /* of the position, from 1 */
};

struct maptext_entry {
	struct view key;   /* as written, quotes included */
	struct view value; /* continuation lines joined with one space, trimmed */
	int line;          /* of the key */
	size_t start, end; /* the entry's bytes in the text, its last line end included */
};

/* A byte order mark before the text is passed by. */
void maptext_init(struct maptext *m, struct view text);
/* How long that mark is; 0: there is none. For texts that have no entries. */
size_t maptext_mark(struct view text);
/* 1 with an entry, 0 at the end, -1 with an error in the entry at entry->line; reading may go
 * on after an error.  A joined value lives in the arena, everything else is in the text. */
int maptext_next(struct maptext *m, struct arena *arena, struct maptext_entry *entry,
                 struct reason *why);

/* The next word of a value: 1, 0 at its end, -1 when a quote is not closed.  Words with
 * backslashes live in the arena. */
int maptext_word(struct view *rest, struct arena *arena, struct view *word, struct reason *why);
/* Adds the word, in quotes where it needs them. */
void maptext_add_word(struct text *out, struct view word);

/* Whatever in a map or a setting is a domain or an address, key or value, is read by these two:
 * checked, letters lower-cased. Both are ASCII: other domains as A-labels; for other local parts
 * there is no mail without SMTPUTF8 (RFC 6531). */
int maptext_domain(struct view text, struct text *out, struct reason *why);
/* domain: added to an address without one; empty: that is an error. */
int maptext_address(struct view text, struct view domain, struct text *out, struct reason *why);

#endif
