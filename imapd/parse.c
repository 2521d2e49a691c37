/* SPDX-License-Identifier: ISC */
#include "imapd/parse.h"

#include <string.h>

bool byte_is_atom(char c)
{
	switch (c) {
	case '(':
	case ')':
	case '{':
	case ' ':
	case '%':
	case '*':
	case '"':
	case '\\':
	case ']': return false;
	default: return (unsigned char)c > ' ' && (unsigned char)c < 0x7f;
	}
}

/* What can stand in an argument without quotes, of whatever kind: flags (\Seen), patterns
 * (%), sequence sets (1:*) and sections (BODY[]<0.10>) besides atoms. */
static bool byte_is_word(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && c != '(' && c != ')' &&
	       c != '{' && c != '"';
}

static enum parse_result parse_fails(struct parser *p, const char *error)
{
	p->error = error;
	return PARSE_ERROR;
}

void parser_clear(struct parser *p)
{
	arena_clear(&p->arena);
	memset(p, 0, sizeof *p);
}

void parser_start(struct parser *p)
{
	parser_clear(p);
	p->arena.limit = PARSE_MEMORY_MAX;
	p->tail = &p->first;
}

/* A new argument at the end of the innermost open list; NULL over the limits. */
static struct argument *argument_new(struct parser *p, enum argument_type type)
{
	struct argument *a;

	if (p->count == PARSE_ARGUMENTS_MAX || (a = arena_get(&p->arena, sizeof *a)) == NULL)
		return NULL;
	a->type = type;
	p->count++;
	if (p->depth == 0)
		p->top_level++;
	*p->tail = a;
	p->tail = &a->next;
	p->separated = false;
	return a;
}

/* ---- the parts of a line; each takes what it read off *rest ---- */

static const char too_many[] = "The command is too large";

static enum parse_result open_list(struct parser *p)
{
	struct argument *a;

	if (p->depth == PARSE_DEPTH_MAX)
		return parse_fails(p, "Too many nested parentheses");
	if ((a = argument_new(p, ARGUMENT_LIST)) == NULL)
		return parse_fails(p, too_many);
	p->open[p->depth++] = a;
	p->tail = &a->first;
	p->separated = true;
	return PARSE_DONE;
}

static enum parse_result close_list(struct parser *p)
{
	if (p->depth == 0)
		return parse_fails(p, "Unbalanced closing parenthesis");
	p->tail = &p->open[--p->depth]->next;
	p->separated = false;
	return PARSE_DONE;
}

/* Behind the opening quote.  The line is our copy: escapes are taken out in place. */
static enum parse_result quoted(struct parser *p, struct view *rest, char *line)
{
	struct argument *a = argument_new(p, ARGUMENT_QUOTED);
	char *to = line;

	if (a == NULL)
		return parse_fails(p, too_many);
	a->text.data = line;
	for (size_t i = 0; i < rest->len; i++) {
		char c = line[i];

		if (c == '"') {
			a->text.len = (size_t)(to - line);
			*rest = view_skip(*rest, i + 1);
			return PARSE_DONE;
		}
		if (c == '\\') {
			if (++i == rest->len || (line[i] != '"' && line[i] != '\\'))
				return parse_fails(p, "Invalid escape in a quoted string");
			c = line[i];
		}
		*to++ = c;
	}
	return parse_fails(p, "Unterminated quoted string");
}

/* "{123}" or "{123+}", which only the end of a line may hold. */
static enum parse_result literal_size(struct parser *p, struct view *rest)
{
	struct view number = view_skip(*rest, 1);

	if (number.len < 2 || number.data[number.len - 1] != '}')
		return parse_fails(p, "A literal's size must be at the end of the line");
	number.len--;
	p->literal_waits = number.data[number.len - 1] != '+';
	if (!p->literal_waits)
		number.len--;
	if (!view_number(number, INT64_MAX, &p->literal_bytes))
		return parse_fails(p, "Invalid literal size");
	*rest = view_skip(*rest, rest->len);
	return PARSE_LITERAL;
}

static enum parse_result word(struct parser *p, struct view *rest)
{
	size_t len = 0;
	struct argument *a;

	while (len < rest->len && byte_is_word(rest->data[len]))
		len++;
	if (len == 0)
		return parse_fails(p,
		                   "Character not allowed outside of a quoted string or literal");
	if ((a = argument_new(p, ARGUMENT_ATOM)) == NULL)
		return parse_fails(p, too_many);
	a->text = view_take(*rest, len);
	*rest = view_skip(*rest, len);
	return PARSE_DONE;
}

/* Must a blank stand before this byte when an argument came before it?  FETCH's sections glue a
 * list between two words: BODY[HEADER.FIELDS (From)]<0.10>. */
static bool may_follow_at_once(const struct parser *p, char c)
{
	return p->separated || c == ')' || c == ']';
}

static enum parse_result next_part(struct parser *p, struct view *rest)
{
	char c = rest->data[0];

	if (c == ' ') {
		*rest = view_skip(*rest, 1);
		p->separated = true;
		return PARSE_DONE;
	}
	if (!may_follow_at_once(p, c))
		return parse_fails(p, "Missing space between arguments");
	switch (c) {
	case '(': *rest = view_skip(*rest, 1); return open_list(p);
	case ')': *rest = view_skip(*rest, 1); return close_list(p);
	case '"':
		*rest = view_skip(*rest, 1);
		return quoted(p, rest, (char *)(uintptr_t)rest->data);
	case '{': return literal_size(p, rest);
	default: return word(p, rest);
	}
}

static bool byte_is_tag(char c)
{
	return c == ']' || (byte_is_atom(c) && c != '+');
}

void parser_tag(struct parser *p, struct view line)
{
	size_t len = 0;

	while (len < line.len && byte_is_tag(line.data[len]))
		len++;
	if (p->tag.len == 0 && len > 0 && len <= PARSE_TAG_MAX &&
	    (len == line.len || line.data[len] == ' '))
		p->tag = arena_copy(&p->arena, view_take(line, len));
}

/* The tag and the command's word, two words for "UID". */
static enum parse_result beginning(struct parser *p, struct view *rest)
{
	size_t len = 0;

	while (len < rest->len && byte_is_tag(rest->data[len]))
		len++;
	if (len == 0 || len > PARSE_TAG_MAX || (len < rest->len && rest->data[len] != ' '))
		return parse_fails(p, "Missing or invalid tag");
	p->tag = view_take(*rest, len);
	*rest = view_skip(*rest, len + 1);
	len = 0;
	while (len < rest->len && byte_is_atom(rest->data[len]))
		len++;
	if (len == 0)
		return parse_fails(p, "Missing command");
	if (view_equal_nocase(view_take(*rest, len), VIEW("UID")) && len + 1 < rest->len &&
	    rest->data[len] == ' ' && byte_is_alpha(rest->data[len + 1]))
		for (len++; len < rest->len && byte_is_atom(rest->data[len]);)
			len++;
	p->name = view_take(*rest, len);
	*rest = view_skip(*rest, len);
	return PARSE_DONE;
}

enum parse_result parser_line(struct parser *p, struct view line)
{
	struct view rest = line.len ? arena_copy(&p->arena, line) : line;
	enum parse_result result = PARSE_DONE;

	if (line.len && rest.data == NULL)
		return parse_fails(p, too_many);
	if (p->tag.len == 0)
		result = beginning(p, &rest);
	while (result == PARSE_DONE && rest.len)
		result = next_part(p, &rest);
	if (result == PARSE_DONE && p->depth)
		return parse_fails(p, "Missing closing parenthesis");
	return result;
}

bool parser_literal_accept(struct parser *p)
{
	struct argument *a;

	if (p->literal_bytes > PARSE_LITERAL_MAX ||
	    (p->literal = arena_get(&p->arena, p->literal_bytes + 1)) == NULL ||
	    (a = argument_new(p, ARGUMENT_LITERAL)) == NULL) {
		p->error = too_many;
		return false;
	}
	a->text = (struct view){ p->literal, p->literal_bytes };
	p->literal_filled = 0;
	return true;
}

size_t parser_literal_left(const struct parser *p)
{
	return p->literal_bytes - p->literal_filled;
}

void parser_literal(struct parser *p, struct view bytes)
{
	bytes = view_take(bytes, parser_literal_left(p));
	if (bytes.len)
		memcpy(p->literal + p->literal_filled, bytes.data, bytes.len);
	p->literal_filled += bytes.len;
}

/* ---- what arguments are ---- */

bool argument_string(const struct argument *a, struct view *text)
{
	if (a == NULL || (a->type != ARGUMENT_QUOTED && a->type != ARGUMENT_LITERAL))
		return false;
	*text = a->text;
	return true;
}

bool argument_astring(const struct argument *a, struct view *text)
{
	if (argument_string(a, text))
		return true;
	if (a == NULL || a->type != ARGUMENT_ATOM)
		return false;
	for (size_t i = 0; i < a->text.len; i++)
		if (!byte_is_atom(a->text.data[i]) && a->text.data[i] != ']')
			return false;
	*text = a->text;
	return true;
}

bool argument_is_atom(const struct argument *a, const char *word_wanted)
{
	return a != NULL && a->type == ARGUMENT_ATOM &&
	       view_equal_nocase(a->text, view_of(word_wanted));
}
