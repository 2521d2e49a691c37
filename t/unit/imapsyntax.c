/* SPDX-License-Identifier: ISC */
/* imapd's syntax: commands, sequence sets, sections, FETCH items, how strings are answered, the
 * finder. */

#include "imapd/answer.h"
#include "imapd/fetchitem.h"
#include "imapd/finder.h"
#include "imapd/parse.h"
#include "imapd/section.h"
#include "imapd/sequence.h"
#include "t/tap.h"

/* ---- commands ---- */

static void show(struct text *out, const struct argument *a)
{
	for (; a != NULL; a = a->next) {
		switch (a->type) {
		case ARGUMENT_ATOM: text_format(out, "%.*s", VIEW_ARG(a->text)); break;
		case ARGUMENT_QUOTED: text_format(out, "\"%.*s\"", VIEW_ARG(a->text)); break;
		case ARGUMENT_LITERAL: text_format(out, "{%.*s}", VIEW_ARG(a->text)); break;
		case ARGUMENT_LIST:
			text_add_byte(out, '(');
			show(out, a->first);
			text_add_byte(out, ')');
			break;
		}
		if (a->next)
			text_add_byte(out, ' ');
	}
}

/* Feeds lines and literals of `input`, literals `piece` bytes at a time; shows "tag|name|arguments"
 * or the error. */
static const char *parsed(struct view input, size_t piece)
{
	static struct text out;
	struct parser p = { 0 };
	enum parse_result result = PARSE_LITERAL;
	const char *why = "more";

	text_free(&out);
	text_init(&out, 1 << 20);
	parser_start(&p);
	while (result == PARSE_LITERAL && input.len) {
		size_t end = view_find(input, '\r');

		result = parser_line(&p, view_take(input, end));
		input = view_skip(input, end + 2);
		if (result != PARSE_LITERAL)
			break;
		if (!parser_literal_accept(&p)) {
			result = PARSE_ERROR;
			break;
		}
		while (parser_literal_left(&p) && input.len) {
			struct view some = view_take(input, piece < parser_literal_left(&p)
			                                            ? piece
			                                            : parser_literal_left(&p));

			parser_literal(&p, some);
			input = view_skip(input, some.len);
		}
	}
	if (result == PARSE_DONE) {
		text_format(&out, "%.*s|%.*s|", VIEW_ARG(p.tag), VIEW_ARG(p.name));
		show(&out, p.first);
	} else {
		text_format(&out, "%s", result == PARSE_ERROR ? p.error : why);
	}
	parser_clear(&p);
	return out.raw;
}

static const struct {
	const char *input, *want;
} commands[] = {
	{ "a1 NOOP", "a1|NOOP|" },
	{ "a1 noop ", "a1|noop|" },
	{ "a] LOGOUT", "a]|LOGOUT|" },
	{ "A142 SELECT INBOX", "A142|SELECT|INBOX" },
	{ "a UID FETCH 4827313:* FLAGS", "a|UID FETCH|4827313:* FLAGS" },
	{ "a uid", "a|uid|" },
	{ "a UID ", "a|UID|" },
	{ "a LIST \"\" %", "a|LIST|\"\" %" },
	{ "a LIST \"a\\\"b\\\\c\" *", "a|LIST|\"a\"b\\c\" *" },
	{ "a STORE 1 +FLAGS (\\Deleted \\Seen)", "a|STORE|1 +FLAGS (\\Deleted \\Seen)" },
	{ "a FETCH 1 ()", "a|FETCH|1 ()" },
	{ "a SEARCH (OR (SEEN) (NOT 1)) 2", "a|SEARCH|(OR (SEEN) (NOT 1)) 2" },
	{ "a FETCH 1 BODY[HEADER.FIELDS (From \"To\")]<0.10>",
	  "a|FETCH|1 BODY[HEADER.FIELDS (From \"To\") ]<0.10>" },
	{ "a LOGIN {3}\r\njoe {2+}\r\npw\r\n", "a|LOGIN|{joe} {pw}" },
	{ "a SELECT {5}\r\nIN\r\nX\r\n", "a|SELECT|{IN\r\nX}" },
	{ "a SEARCH (SUBJECT {3}\r\nabc) SEEN", "a|SEARCH|(SUBJECT {abc}) SEEN" },
	{ "a X {0}\r\n", "more" },
	{ "", "more" },
	{ "a", "Missing command" },
	{ "a ", "Missing command" },
	{ " a NOOP", "Missing or invalid tag" },
	{ "+ NOOP", "Missing or invalid tag" },
	{ "a* NOOP", "Missing or invalid tag" },
	{ "a (NOOP)", "Missing command" },
	{ "a X \"abc", "Unterminated quoted string" },
	{ "a X \"a\\n\"", "Invalid escape in a quoted string" },
	{ "a X \"a\\", "Invalid escape in a quoted string" },
	{ "a X \"a\"b", "Missing space between arguments" },
	{ "a X (a", "Missing closing parenthesis" },
	{ "a X a)", "Unbalanced closing parenthesis" },
	{ "a X a(b)", "Missing space between arguments" },
	{ "a X {3} y", "A literal's size must be at the end of the line" },
	{ "a X {}", "A literal's size must be at the end of the line" },
	{ "a X {+}", "Invalid literal size" },
	{ "a X {-1}", "Invalid literal size" },
	{ "a X {99999999999999999999}", "Invalid literal size" },
	{ "a X {600000}", "The command is too large" },
	{ "a X \303\251", "Character not allowed outside of a quoted string or literal" },
	{ "a X \"\303\251\"", "a|X|\"\303\251\"" },
	{ "a X a\001b", "Missing space between arguments" },
};

static void test_commands(void)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		is_string(parsed(view_of(commands[i].input), 1000), commands[i].want, "command %zu",
		          i);
		is_string(parsed(view_of(commands[i].input), 1), commands[i].want,
		          "command %zu, literals byte by byte", i);
	}
}

static void test_limits(void)
{
	char deep[100] = "a X ";
	struct parser p = { 0 };
	struct text line;

	for (int i = 0; i <= PARSE_DEPTH_MAX; i++)
		deep[4 + i] = '(';
	is_string(parsed(view_of(deep), 1), "Too many nested parentheses", "PARSE_DEPTH_MAX");
	text_init(&line, 1 << 20);
	text_add_string(&line, "a X");
	for (int i = 0; i <= PARSE_ARGUMENTS_MAX; i++)
		text_add_string(&line, " b");
	is_string(parsed(text_view(&line), 1), "The command is too large", "PARSE_ARGUMENTS_MAX");
	parser_start(&p);
	enum parse_result result = parser_line(&p, VIEW("a X {400000+}"));

	for (int i = 0; i < 10 && result == PARSE_LITERAL && parser_literal_accept(&p); i++)
		result = parser_line(&p, VIEW(" {400000+}"));
	ok(result == PARSE_LITERAL && p.error != NULL,
	   "PARSE_MEMORY_MAX bounds all literals of a command");
	parser_clear(&p);
	text_free(&line);
}

/* ---- sequence sets ---- */

static const struct {
	const char *text;
	uint32_t star;
	const char *want;
} sets[] = {
	{ "1", 9, "1" },
	{ "1:3", 9, "1:3" },
	{ "3:1", 9, "1:3" },
	{ "5,1,2,9", 9, "1:2,5,9" },
	{ "1:3,2:6,7", 9, "1:7" },
	{ "*", 9, "9" },
	{ "5:*", 9, "5:9" },
	{ "*:5", 9, "5:9" },
	{ "20:*", 9, "9:20" },
	{ "*", 0, "" },
	{ "1:*", 0, "" },
	{ "1,*", 0, "1" },
	{ "4294967295,1:*", 7, "1:7,4294967295" },
	{ "0", 9, NULL },
	{ "01", 9, NULL },
	{ "", 9, NULL },
	{ "1,", 9, NULL },
	{ ",1", 9, NULL },
	{ "1,,2", 9, NULL },
	{ "1:", 9, NULL },
	{ ":1", 9, NULL },
	{ "1:2:3", 9, NULL },
	{ "a", 9, NULL },
	{ "4294967296", 9, NULL },
	{ "-1", 9, NULL },
	{ "1 2", 9, NULL },
};

static void test_sets(void)
{
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		struct arena arena = { 0 };
		struct sequence_set set;
		struct text out;
		bool good = sequence_parse(&arena, view_of(sets[i].text), sets[i].star, &set);

		text_init(&out, 1000);
		for (size_t r = 0; good && r < set.count; r++)
			text_format(&out,
			            set.ranges[r].low == set.ranges[r].high ? "%s%u" : "%s%u:%u",
			            r ? "," : "", set.ranges[r].low, set.ranges[r].high);
		if (sets[i].want)
			is_string(good ? out.raw : "refused", sets[i].want, "set %s", sets[i].text);
		else
			ok(!good, "set \"%s\" is refused", sets[i].text);
		text_free(&out);
		arena_clear(&arena);
	}
	struct arena arena = { 0 };
	struct sequence_set set;

	sequence_parse(&arena, VIEW("2:4,8,10:12"), 20, &set);
	bool right = true;

	for (uint32_t n = 0; n < 15; n++)
		right &= sequence_holds(&set, n) ==
		         ((n >= 2 && n <= 4) || n == 8 || (n >= 10 && n <= 12));
	ok(right && sequence_highest(&set) == 12, "sequence_holds and sequence_highest");
	arena_clear(&arena);
}

static void test_writer(void)
{
	static const uint32_t numbers[] = { 1, 2, 3, 7, 9, 10, 4294967295u };
	struct text out;
	struct sequence_writer w = { .out = &out };

	text_init(&out, 1000);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sequence_write(&w, numbers[i]);
	sequence_write_end(&w);
	is_string(out.raw, "1:3,7,9:10,4294967295", "runs are drawn together");
	text_free(&out);
}

/* ---- sections and items ---- */

/* The labels and kinds of what a FETCH asks for. */
static const char *requested(const char *items, bool by_uid)
{
	static const char *const names[] = { "UID",      "FLAGS", "INTERNALDATE", "RFC822.SIZE",
		                             "ENVELOPE", "BODY",  "BODYSTRUCTURE" };
	static struct text out;
	struct parser p = { 0 };
	struct fetch_request r;
	struct text line;

	text_free(&out);
	text_init(&out, 1 << 16);
	text_init(&line, 1 << 16);
	text_format(&line, "a FETCH %s", items);
	parser_start(&p);
	bool good = parser_line(&p, text_view(&line)) == PARSE_DONE && p.first &&
	            fetch_request_read(&p.arena, p.first, by_uid, &r);

	for (const struct fetch_item *item = good ? r.first : NULL; item; item = item->next) {
		if (item->what == FETCH_SECTION)
			text_format(&out, "%.*s", VIEW_ARG(item->section.label));
		else
			text_add_string(&out, names[item->what]);
		if (item->sees)
			text_add_byte(&out, '!');
		if (item->next)
			text_add_byte(&out, ' ');
	}
	parser_clear(&p);
	text_free(&line);
	return good ? out.raw : "refused";
}

static const struct {
	const char *items, *want;
} requests[] = {
	{ "ALL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE" },
	{ "fast", "FLAGS INTERNALDATE RFC822.SIZE" },
	{ "FULL", "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY" },
	{ "(UID FLAGS UID)", "UID FLAGS" },
	{ "BODY", "BODY" },
	{ "BODYSTRUCTURE", "BODYSTRUCTURE" },
	{ "BODY[]", "BODY[]!" },
	{ "body.peek[]", "BODY[]" },
	{ "BODY[1]", "BODY[1]!" },
	{ "BODY[1.2.3]", "BODY[1.2.3]!" },
	{ "BODY.PEEK[1.2.mime]", "BODY[1.2.MIME]" },
	{ "BODY[TEXT]<0.5>", "BODY[TEXT]<0>!" },
	{ "BODY[TEXT]<4294967295.1>", "BODY[TEXT]<4294967295>!" },
	{ "BODY.PEEK[HEADER.FIELDS (from \"X y\")]", "BODY[HEADER.FIELDS (from \"X y\")]" },
	{ "(FLAGS BODY.PEEK[2.HEADER.FIELDS.NOT (DATE)]<3.4> UID)",
	  "FLAGS BODY[2.HEADER.FIELDS.NOT (DATE)]<3> UID" },
	{ "(BODY[HEADER] BODY[TEXT])", "BODY[HEADER]! BODY[TEXT]!" },
	{ "RFC822", "RFC822!" },
	{ "RFC822.HEADER", "RFC822.HEADER" },
	{ "RFC822.TEXT", "RFC822.TEXT!" },
	{ "RFC822.SIZE", "RFC822.SIZE" },
	{ "(ALL)", "refused" },
	{ "()", "refused" },
	{ "FLAGS UID", "refused" },
	{ "(FLAGS) UID", "refused" },
	{ "NONSENSE", "refused" },
	{ "BODY[", "refused" },
	{ "BODY[]x", "refused" },
	{ "BODY[0]", "refused" },
	{ "BODY[1.]", "refused" },
	{ "BODY[.1]", "refused" },
	{ "BODY[1..2]", "refused" },
	{ "BODY[MIME]", "refused" },
	{ "BODY[1.TEXT.2]", "refused" },
	{ "BODY[NONSENSE]", "refused" },
	{ "BODY[HEADER.FIELDS]", "refused" },
	{ "BODY[HEADER.FIELDS ()]", "refused" },
	{ "BODY[HEADER.FIELDS (a (b))]", "refused" },
	{ "BODY[HEADER.FIELDS (a)", "refused" },
	{ "BODY[HEADER.FIELDS (a) x", "refused" },
	{ "BODY[HEADER (a)]", "refused" },
	{ "BODY[]<0.0>", "refused" },
	{ "BODY[]<0>", "refused" },
	{ "BODY[]<.5>", "refused" },
	{ "BODY[]<1.2", "refused" },
	{ "BODY[]<1.4294967296>", "refused" },
};

static void test_requests(void)
{
	struct text many;

	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
		is_string(requested(requests[i].items, false), requests[i].want, "FETCH %s",
		          requests[i].items);
	is_string(requested("FLAGS", true), "UID FLAGS", "UID FETCH tells the UID");
	text_init(&many, 1 << 16);
	text_add_string(&many, "BODY[1");
	for (int i = 0; i < SECTION_DEPTH_MAX; i++)
		text_add_string(&many, ".1");
	text_add_string(&many, "]");
	is_string(requested(many.raw, false), "refused", "SECTION_DEPTH_MAX");
	text_clear(&many);
	text_add_string(&many, "BODY[HEADER.FIELDS (");
	for (int i = 0; i <= SECTION_FIELDS_MAX; i++)
		text_format(&many, "%sX%d", i ? " " : "", i);
	text_add_string(&many, ")]");
	is_string(requested(many.raw, false), "refused", "SECTION_FIELDS_MAX");
	text_clear(&many);
	for (int i = 0; i <= FETCH_ITEMS_MAX; i++)
		text_add_string(&many, i ? " BODY[1]" : "(BODY[1]");
	text_add_string(&many, ")");
	is_string(requested(many.raw, false), "refused", "FETCH_ITEMS_MAX");
	text_free(&many);
}

/* ---- strings ---- */

static void test_strings(void)
{
	struct text out;

	text_init(&out, 100000);
	answer_string(&out, VIEW("a \"b\" \\c"));
	is_string(out.raw, "\"a \\\"b\\\" \\\\c\"", "quotes and backslashes are escaped");
	text_clear(&out);
	answer_string(&out, VIEW("caf\303\251"));
	is_string(out.raw, "{5}\r\ncaf\303\251", "8-bit bytes make a literal");
	text_clear(&out);
	answer_string(&out, VIEW("a\nb"));
	is_string(out.raw, "{3}\r\na\nb", "a line end makes a literal");
	text_clear(&out);
	answer_string(&out, (struct view){ "a\0b", 3 });
	is_string(out.raw, "{3}\r\na\200b", "a NUL cannot be sent");
	text_clear(&out);
	answer_nstring(&out, (struct view){ NULL, 0 });
	answer_nstring(&out, VIEW(""));
	is_string(out.raw, "NIL\"\"", "nothing is NIL, emptiness is not");
	text_clear(&out);
	answer_astring(&out, VIEW("INBOX"));
	answer_astring(&out, VIEW(" a"));
	answer_astring(&out, VIEW("nil"));
	answer_astring(&out, VIEW("a*"));
	is_string(out.raw, "INBOX\" a\"\"nil\"\"a*\"", "an atom where it can be one");
	text_free(&out);
}

static void test_finder(void)
{
	static const struct {
		const char *needle, *hay;
		bool found;
	} rows[] = {
		{ "", "", true },
		{ "a", "", false },
		{ "abc", "xxABCx", true },
		{ "abc", "ab", false },
		{ "aab", "aaaaab", true },
		{ "aab", "aaaaaa", false },
		{ "end", "at the eNd", true },
		{ "\303\251", "caf\303\251", true },
		{ "abab", "abacabab", true },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct finder f;

		finder_begin(&f, view_of(rows[i].needle));
		ok(finder_finds(&f, view_of(rows[i].hay)) == rows[i].found, "\"%s\" in \"%s\"",
		   rows[i].needle, rows[i].hay);
	}
}

int main(void)
{
	test_commands();
	test_limits();
	test_sets();
	test_writer();
	test_requests();
	test_strings();
	test_finder();
	return tap_done();
}
