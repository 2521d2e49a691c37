/* SPDX-License-Identifier: ISC */
/*
 * The syntax of commands (RFC 3501 section 9, RFC 7888): lines and literals
 * in, a tag, a command word and a list of arguments out.
 *
 * No I/O: the session feeds a line, and when it ends in a literal's size, the
 * literal's bytes and then the next line.  Everything lives in the parser's
 * arena, which parser_clear drops whole.  What an argument means (astring,
 * sequence set, flag) is for the dispatcher's argument rules and the
 * command's own file; here an atom is any run of bytes that separates nothing.
 */
#ifndef IMAPD_PARSE_H
#define IMAPD_PARSE_H

#include "lib/base/arena.h"

enum {
	PARSE_DEPTH_MAX = 20,          /* nested lists: SEARCH is the only command that nests */
	PARSE_ARGUMENTS_MAX = 20000,   /* in one command, lists included */
	PARSE_MEMORY_MAX = 2 << 20,    /* all of one command: lines, literals, arguments */
	PARSE_LITERAL_MAX = 512 << 10, /* one literal that is held in memory */
	PARSE_TAG_MAX = 128
};

enum argument_type { ARGUMENT_ATOM, ARGUMENT_QUOTED, ARGUMENT_LITERAL, ARGUMENT_LIST };

struct argument {
	enum argument_type type;
	struct view text;       /* not of a list; quotes and escapes taken off */
	struct argument *first; /* of a list; NULL when it is empty */
	struct argument *next;
};

enum parse_result {
	PARSE_DONE,    /* the command is complete */
	PARSE_LITERAL, /* `literal_bytes` bytes come next, for parser_literal */
	PARSE_ERROR    /* `error` says why; `tag` may still be known */
};

struct parser {
	struct arena arena;
	struct view tag, name; /* name as it was written: "fetch", "UID FETCH" */
	struct argument *first;
	unsigned top_level; /* arguments outside lists so far, a literal that is coming not counted
	                     */
	uint64_t literal_bytes;
	bool literal_waits; /* a synchronising literal: the client waits for "+" */
	const char *error;

	/* The parser's own. */
	struct argument **tail;
	struct argument *open[PARSE_DEPTH_MAX];
	unsigned depth, count;
	bool separated; /* a blank or an opening parenthesis stands before the next argument */
	char *literal;
	size_t literal_filled;
};

void parser_start(struct parser *p); /* from zero, or again */
void parser_clear(struct parser *p);
/* The tag alone of a line that cannot be parsed, when it has one and none is known yet. */
void parser_tag(struct parser *p, struct view line);
/* A line without its CRLF; the bytes are copied. */
enum parse_result parser_line(struct parser *p, struct view line);
/* Takes the whole literal into memory: false when it is over PARSE_LITERAL_MAX or the
 * command's memory.  Until then nothing is held, so that APPEND may stream it instead. */
bool parser_literal_accept(struct parser *p);
/* Some of an accepted literal's bytes; when literal_bytes have come, the next line follows. */
void parser_literal(struct parser *p, struct view bytes);
size_t parser_literal_left(const struct parser *p);
/* The text of an argument that must be an astring: an atom without specials, or a string. */
bool argument_astring(const struct argument *a, struct view *text);
bool argument_string(const struct argument *a, struct view *text); /* quoted or literal */
bool argument_is_atom(const struct argument *a, const char *word); /* in any case */
/* Bytes allowed in an atom by RFC 3501's ATOM-CHAR, and in an astring's atom ("]" too). */
bool byte_is_atom(char c);

#endif
