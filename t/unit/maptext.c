/* SPDX-License-Identifier: ISC */
#include "lib/conf/maptext.h"

#include "lib/base/limits.h"
#include "lib/conf/map.h"

#include "t/tap.h"

/* Every entry and error of the text, as "line:[key][value] " and "line!reason ". */
static void show(struct view text, struct text *out)
{
	struct arena arena = { 0 };
	struct maptext m;
	struct maptext_entry entry;
	struct reason why;
	int more;

	maptext_init(&m, text);
	while ((more = maptext_next(&m, &arena, &entry, &why)) != 0) {
		if (more > 0)
			text_format(out, "%d:[%.*s][%.*s]%zu-%zu ", entry.line, VIEW_ARG(entry.key),
			            VIEW_ARG(entry.value), entry.start, entry.end);
		else
			text_format(out, "%d!%s ", entry.line, why.text);
	}
	arena_clear(&arena);
}

static void entries(void)
{
	static const struct {
		const char *name, *text, *want;
	} cases[] = {
		{ "nothing", "", "" },
		{ "comments and blank lines", "# a\n\n  \n\t# b\n", "" },
		{ "one entry", "a b\n", "1:[a][b]0-4 " },
		{ "no line end", "a b", "1:[a][b]0-3 " },
		{ "CRLF", "a b\r\nc\r\n", "1:[a][b]0-5 2:[c][]5-8 " },
		{ "key alone", "a\n", "1:[a][]0-2 " },
		{ "much white space", "a \t b  c \t\n", "1:[a][b  c]0-11 " },
		{ "continuation", "a b\n  c\n\td\ne f\n", "1:[a][b c d]0-11 4:[e][f]11-15 " },
		{ "continuation of nothing", "a\n b\n", "1:[a][b]0-5 " },
		{ "comment between", "a b\n# x\n c\n# y\nd e\n", "1:[a][b c]0-11 5:[d][e]15-19 " },
		{ "# in a value", "a b # c\n", "1:[a][b # c]0-8 " },
		{ "quoted key", "\"x y\"@z b\n", "1:[\"x y\"@z][b]0-10 " },
		{ "escaped quote in a key", "\"x\\\" y\"@z b\n", "1:[\"x\\\" y\"@z][b]0-12 " },
		{ "open quote", "\"x y\nb c\n",
		  "1!a quote is not closed; write \\\" for a quote inside quotes 2:[b][c]5-9 " },
		{ "leading white space", " a\nb c\n",
		  "1!a line that begins with white space continues an entry, and there is none before it; remove the "
		  "white space 2:[b][c]3-7 " },
		{ "control character", "a b\x01\nc d\n",
		  "1!a control character (byte 0x01) at column 4; remove it 2:[c][d]5-9 " },
		{ "bare CR", "a\rb\n",
		  "1!a control character (byte 0x0d) at column 2; remove it " },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text out;

		text_init(&out, 4096);
		show(view_of(cases[i].text), &out);
		is_string(out.raw, cases[i].want, "%s", cases[i].name);
		text_free(&out);
	}
}

static void limits(void)
{
	struct text big, out;

	text_init(&big, 4 * MAPTEXT_ENTRY_MAX);
	text_init(&out, 4 * MAPTEXT_ENTRY_MAX);
	text_add_string(&big, "k");
	for (int i = 0; i < MAPTEXT_ENTRY_MAX; i++)
		text_add_string(&big, i % 100 ? "x" : "\n ");
	text_add_string(&big, "\nnext v\n");
	show(text_view(&big), &out);
	ok(strstr(out.raw, "1!the entry is longer than 65536 bytes") == NULL &&
	           strstr(out.raw, "[next][v]") != NULL,
	   "a long entry within the limit");
	text_clear(&big);
	text_clear(&out);
	text_add_string(&big, "k\n ");
	for (int i = 0; i <= MAPTEXT_ENTRY_MAX; i++)
		text_add_byte(&big, 'x');
	text_add_string(&big, "\nnext v\n");
	show(text_view(&big), &out);
	ok(strncmp(out.raw, "1!the entry is longer than 65536 bytes 3:[next][v]", 50) == 0,
	   "one byte over the limit is an error, and the next entry is read");
	text_free(&big);
	text_free(&out);
}

static void words(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "a b  c", "[a][b][c]" },
		{ "\"a b\" c", "[a b][c]" },
		{ "\"a\\\"\\\\b\"", "[a\"\\b]" },
		{ "home=\"x", "[home=\"x]" },
		{ "\"open", "!" },
		{ "\"\"", "[]" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct arena arena = { 0 };
		struct text out;
		struct view rest = view_of(cases[i].text), word;
		int more;

		text_init(&out, 4096);
		while ((more = maptext_word(&rest, &arena, &word, NULL)) > 0)
			text_format(&out, "[%.*s]", VIEW_ARG(word));
		if (more < 0)
			text_add_byte(&out, '!');
		is_string(out.raw, cases[i].want, "words of: %s", cases[i].text);
		text_free(&out);
		arena_clear(&arena);
	}
}

static void round_trip(void)
{
	static const char *const all[] = { "plain",       "",   "with space", "\"quoted\"", "a\"b",
		                           "back\\slash", "\"", "a \\ \"" };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct arena arena = { 0 };
		struct text out;
		struct view rest, word = { "", 0 };

		text_init(&out, 4096);
		maptext_add_word(&out, view_of(all[i]));
		rest = text_view(&out);
		ok(maptext_word(&rest, &arena, &word, NULL) == 1 && rest.len == 0 &&
		           view_equal(word, view_of(all[i])),
		   "%s is read as it was written", out.raw);
		text_free(&out);
		arena_clear(&arena);
	}
}

/* An address that no program has room for: half of it would be somebody else's. */
static void long_addresses(void)
{
	char address[ADDRESS_MAX + 2];
	struct reason why;
	struct text out;

	text_init(&out, MAP_KEY_MAX);
	memset(address, 'a', sizeof address);
	memcpy(address + 200, "@", 1);
	for (size_t i = 250; i < sizeof address; i += 50)
		address[i] = '.';
	ok(maptext_address((struct view){ address, ADDRESS_MAX - 1 }, VIEW(""), &out, &why) == 0 &&
	           out.len == ADDRESS_MAX - 1,
	   "the longest address");
	text_clear(&out);
	ok(maptext_address((struct view){ address, ADDRESS_MAX }, VIEW(""), &out, &why) != 0 &&
	           strstr(why.text, "is longer than 319 bytes") != NULL,
	   "a longer one is refused by name");
	text_clear(&out);
	ok(maptext_address((struct view){ address, 200 }, (struct view){ address + 201, 119 }, &out,
	                   &why) != 0,
	   "with the default domain too");
	text_free(&out);
}

/* A word is whole or an error, also where no entry bounds it. */
static void long_words(void)
{
	struct arena arena = { 0 };
	struct view rest, word;
	struct reason why;
	struct text big;

	text_init(&big, 2 * MAPTEXT_ENTRY_MAX);
	text_add_byte(&big, '"');
	for (int i = 0; i < MAPTEXT_ENTRY_MAX; i++)
		text_add_byte(&big, 'x');
	text_add_byte(&big, '"');
	rest = text_view(&big);
	ok(maptext_word(&rest, &arena, &word, &why) == 1 && word.len == MAPTEXT_ENTRY_MAX,
	   "the longest quoted word");
	text_cut_back(&big, big.len - 1);
	text_add_string(&big, "x\"");
	rest = text_view(&big);
	ok(maptext_word(&rest, &arena, &word, &why) < 0 &&
	           strstr(why.text, "is longer than 65536 bytes") != NULL,
	   "one byte more is an error");
	text_free(&big);
	arena_clear(&arena);
}

static void keys(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "Anna@Example.TEST", "anna@example.test" },
		{ "anna", "anna@default.test" },
		{ "a.b+c@x-y.test", "a.b+c@x-y.test" },
		{ "\"a b@c\"@x.test", "\"a b@c\"@x.test" },
		{ "a..b@x.test", "a..b@x.test" },
		{ ".a.@x.test", ".a.@x.test" },
		{ "a@b@x.test", "!\"a@b@x.test\" is not an address (user@domain)" },
		{ "@x.test", "!\"@x.test\" is not an address (user@domain)" },
		{ "a,b@x.test", "!\"a,b@x.test\" is not an address (user@domain)" },
		{ "a@", "!\"\" is not a domain (letters, digits, hyphens, dots)" },
		{ "a@x..y", "!\"x..y\" is not a domain (letters, digits, hyphens, dots)" },
		{ "a@-x.y", "!\"-x.y\" is not a domain (letters, digits, hyphens, dots)" },
		{ "a@x.", "!\"x.\" is not a domain (letters, digits, hyphens, dots)" },
		{ "a@x/y", "!\"x/y\" is not a domain (letters, digits, hyphens, dots)" },
		{ "j\xc3\xb6rg@x.test",
		  "!\"j\xc3\xb6rg@x.test\" has a letter in its local part that is not ASCII (U+00F6); "
		  "no mail is delivered to such an address, as SMTPUTF8 is not supported; use an address "
		  "in ASCII" },
		{ "a@M\xc3\x9cNCHEN.test",
		  "!\"M\xc3\x9cNCHEN.test\" has a letter in its domain that is not ASCII (U+00DC); write "
		  "the A-label of the domain (xn--...), which idn2 shows" },
		{ "a@\xd0\xb5xample.test",
		  "!\"\xd0\xb5xample.test\" has a letter in its domain that is not ASCII (U+0435); write "
		  "the A-label of the domain (xn--...), which idn2 shows" },
		{ "a@x.test\xc2\xa0",
		  "!\"x.test\xc2\xa0\" has a blank or invisible character (U+00A0); remove it" },
		{ "a@x\xe2\x80\x8b.test",
		  "!\"x\xe2\x80\x8b.test\" has a blank or invisible character (U+200B); remove it" },
		{ "a@x\xc2\xad.test",
		  "!\"x\xc2\xad.test\" has a blank or invisible character (U+00AD); remove it" },
		{ "\xef\xbb\xbf"
		  "a@x.test",
		  "!\"\xef\xbb\xbf"
		  "a@x.test\" has a blank or invisible character (U+FEFF); remove it" },
		{ "\"a\xe3\x80\x80"
		  "b\"@x.test",
		  "!\"\"a\xe3\x80\x80"
		  "b\"@x.test\" has a blank or invisible character (U+3000); remove it" },
		{ "j\xf6rg@x.test",
		  "!\"j\xf6rg@x.test\" has a byte that is not UTF-8 (0xf6); save the text as UTF-8" },
		{ "a@xn--mnchen-3ya.test", "a@xn--mnchen-3ya.test" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text out;
		struct reason why;

		text_init(&out, 4096);
		if (maptext_address(view_of(cases[i].text), VIEW("default.test"), &out, &why) !=
		    0) {
			text_clear(&out);
			text_format(&out, "!%s", why.text);
		}
		is_string(out.raw, cases[i].want, "address %s", cases[i].text);
		text_free(&out);
	}
	struct text out;

	text_init(&out, 100);
	ok(maptext_address(VIEW("anna"), VIEW(""), &out, NULL) != 0,
	   "without a default a domain is needed");
	text_free(&out);
	long_addresses();
}

/* What an editor writes before the first line is no part of it. */
static void mark(void)
{
	struct arena arena = { 0 };
	struct maptext m;
	struct maptext_entry e;

	maptext_init(&m, VIEW("\xef\xbb\xbf"
	                      "a b\n\xef\xbb\xbf"
	                      "c d\n"));
	ok(maptext_next(&m, &arena, &e, NULL) == 1 && view_equal(e.key, VIEW("a")) && e.start == 3,
	   "a byte order mark is passed by");
	ok(maptext_next(&m, &arena, &e, NULL) == 1 && view_equal(e.key, VIEW("\xef\xbb\xbf"
	                                                                     "c")),
	   "at the start alone");
	maptext_init(&m, VIEW("\xef\xbb\xbf"));
	ok(maptext_next(&m, &arena, &e, NULL) == 0, "and may be all there is");
	arena_clear(&arena);
}

int main(void)
{
	mark();
	entries();
	limits();
	long_words();
	words();
	round_trip();
	keys();
	return tap_done();
}
