/* SPDX-License-Identifier: ISC */
#include "lib/mail/header.h"

#include "t/tap.h"

/* Fields as name=value; with line ends shown, then what is left. */
static const struct {
	const char *in, *out;
} headers[] = {
	{ "A: 1\r\nB: 2\r\n\r\nbody", "{A|1}{B|2}body" },
	{ "A: 1\nB: 2\n\nbody", "{A|1}{B|2}body" },
	{ "A: 1\r\n 2\r\n\t3\r\nB:\r\n\r\n", "{A|1 2\t3}{B|}" },
	{ "A: 1\n 2\nB:2", "{A|1 2}{B|2}" },
	{ "\r\nbody", "body" },
	{ "\nbody", "body" },
	{ "", "" },
	{ "A", "{|A}" },
	{ "A:", "{A|}" },
	{ ":no name\r\nB: 2\r\n\r\n", "{|:no name}{B|2}" },
	{ "From joe Mon\r\nA: 1\r\n\r\n", "{|From joe Mon}{A|1}" },
	{ ">From x: y\r\nA : 1\r\nB\t:2\r\n\r\n", "{|>From x: y}{A|1}{B|2}" },
	{ " starts folded\r\nA: 1\r\n\r\n", "{|starts folded}{A|1}" },
	{ "A: 1\r\n \t\r\nB: 2\r\n\r\n", "{A|1}{B|2}" },
	{ "A: x: y\r\n\r\n", "{A|x: y}" },
	{ "A: 1\r\r\n\r\nb", "{A|1}b" },
	{ "A: 1\r2\r\n\r\nb", "{A|12}b" },
	{ "a b: 1\r\n\xc3\xa9: 2\r\n\r\n", "{|a b: 1}{|\xc3\xa9: 2}" },
};

int main(void)
{
	struct text got;
	struct header_field field;

	text_init(&got, 10000);
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		struct view in = view_of(headers[i].in), rest = in;
		size_t raw = 0;

		text_clear(&got);
		while (header_next(&rest, &field)) {
			ok(field.whole.data == in.data + raw, "fields follow each other");
			raw += field.whole.len;
			text_format(&got, "{%.*s|", VIEW_ARG(field.name));
			header_unfold(&got, field.value);
			text_add(&got, VIEW("}"));
		}
		ok(header_length(in, HEADER_BYTES_MAX) == in.len - rest.len, "length of header %zu",
		   i);
		text_add(&got, rest);
		is_string(got.raw, headers[i].out, "header %zu", i);
	}
	ok(header_find(VIEW("A: 1\r\nsubJect: x\r\nSubject: y\r\n"), VIEW("Subject"), &field) &&
	           view_equal(field.value, VIEW(" x")),
	   "the first field of a name");
	ok(!header_find(VIEW("A: 1\r\n\r\nB: 2\r\n"), VIEW("B"), &field), "not in the body");
	ok(header_length(VIEW("A: 1\r\nB: 2\r\n\r\nb"), 8) == 6,
	   "a header over the limit is cut behind a line");
	ok(header_length(VIEW("AAAAAAAAAAAAAA"), 8) == 8, "a line over it is cut");
	ok(header_length(VIEW("A: 1\r\n\r\n"), 8) == 8, "one of just the limit is not");
	ok(header_name_valid(VIEW("X-Y!")) && !header_name_valid(VIEW("")) &&
	           !header_name_valid(VIEW("a b")) && !header_name_valid(VIEW("a:")) &&
	           !header_name_valid(VIEW("a\x7f")) && !header_name_valid(VIEW("\xe9")),
	   "names");
	text_free(&got);
	text_init(&got, 3);
	ok(!header_unfold(&got, VIEW("abcd")), "unfolding stops at the maximum");
	return tap_done();
}
