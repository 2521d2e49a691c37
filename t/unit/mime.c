/* SPDX-License-Identifier: ISC */
#include "lib/mail/mime.h"

#include <stdlib.h>

#include "t/tap.h"

#define MULTI(b) "Content-Type: multipart/mixed; boundary=" b "\r\n\r\n"

/* The tree as text: type/subtype, then "[body]#lines" of a leaf or "(children)". */
static const struct {
	const char *in, *out;
} trees[] = {
	{ "Subject: x\r\n\r\nhello\r\n", "text/plain[hello\\n]#1" },
	{ "Subject: x\r\n\r\n", "text/plain[]#0" },
	{ "Subject: x\r\n", "text/plain[]#0" },
	{ "Subject: x", "text/plain[]#0" },
	{ "", "text/plain[]#0" },
	{ "\r\nbody", "text/plain[body]#0" },
	{ "Content-Type: TEXT/Html; charset=x\r\n\r\nb", "TEXT/Html charset=x[b]#0" },
	{ "Content-Type: text\r\n\r\nb", "text/plain[b]#0" },
	{ "Content-Type: /plain\r\n\r\nb", "text/plain[b]#0" },
	{ MULTI("b") "pre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n--b--\r\nepilogue\r\n",
	  "multipart/mixed boundary=b(text/plain[one]#0,text/html[two]#0)" },
	{ "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n\n--b--\n",
	  "multipart/mixed boundary=b(text/plain[one\\n]#1)" },
	{ MULTI("\"a b\"") "--a b  \r\n\r\none\r\n--a b-- \r\n",
	  "multipart/mixed boundary=a b(text/plain[one]#0)" },
	{ MULTI("b") "--b\r\n\r\none\r\nmore",
	  "multipart/mixed boundary=b(text/plain[one\\nmore]#1)" },
	{ MULTI("b") "--b\r\n\r\n--b\r\n\r\n\r\n--b--",
	  "multipart/mixed boundary=b(text/plain[]#0,text/plain[]#0)" },
	{ MULTI("b") "--b\r\n--b\r\nA: 1\r\n--b\r\nA: 1\r\n\r\n--b--",
	  "multipart/mixed boundary=b(text/plain[]#0,text/plain[]#0,text/plain[]#0)" },
	{ MULTI("b") "--b", "multipart/mixed boundary=b(text/plain[]#0)" },
	{ MULTI("b") "--b--\r\n--b\r\n\r\nx", "multipart/mixed boundary=b()" },
	{ MULTI("b") "none\r\n", "multipart/mixed boundary=b()" },
	{ "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx", "multipart/mixed()" },
	{ "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx",
	  "multipart/mixed boundary=()" },
	{ MULTI("b") "--b\r\n" MULTI("c") "--c\r\n\r\n1\r\n--c--\r\nx\r\n--b\r\n\r\n2\r\n--b--\r\n",
	  "multipart/mixed boundary=b(multipart/mixed boundary=c(text/plain[1]#0),text/plain[2]#0)" },
	/* the inner one is never closed */
	{ MULTI("b") "--b\r\n" MULTI("c") "--c\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n",
	  "multipart/mixed boundary=b(multipart/mixed boundary=c(text/plain[1]#0),text/plain[2]#0)" },
	/* one boundary is the beginning of the other, both ways */
	{ MULTI("b") "--b\r\n" MULTI("bb") "--bb\r\n\r\n1\r\n--bb--\r\n--b\r\n\r\n2\r\n--b--\r\n",
	  "multipart/mixed boundary=b(multipart/mixed boundary=bb(text/plain[1]#0),text/plain[2]#0)" },
	{ MULTI("bb") "--bb\r\n" MULTI("b") "--b\r\n\r\n1\r\n--b--\r\n--bb\r\n\r\n2\r\n--bb--\r\n",
	  "multipart/mixed boundary=bb(multipart/mixed boundary=b(text/plain[1]#0),text/plain[2]#0)" },
	/* the same boundary inside and outside */
	{ MULTI("b") "--b\r\n" MULTI("b") "--b\r\n\r\n1\r\n--b--\r\n--b\r\n\r\n2\r\n--b--\r\n",
	  "multipart/mixed boundary=b(multipart/mixed boundary=b(text/plain[1]#0),text/plain[2]#0)" },
	{ "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n",
	  "message/rfc822{text/plain[inner\\n]#1}" },
	{ MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b--\r\n",
	  "multipart/mixed boundary=b(message/rfc822{text/plain[inner]#0})" },
	{ MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\n" MULTI(
		  "c") "--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n",
	  "multipart/mixed boundary=b(message/rfc822{multipart/mixed boundary=c(text/plain[x]#0)},text/plain[y\\n]#1)" },
	{ MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n--b\r\n\r\ny",
	  "multipart/mixed boundary=b(message/rfc822{text/plain[]#0},text/plain[y]#0)" },
	{ MULTI("b") "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: cut\r\n--b--\r\n",
	  "multipart/mixed boundary=b(message/rfc822{text/plain[]#0})" },
	{ "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: 1\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--",
	  "multipart/digest boundary=b(message/rfc822{text/plain[x]#0},text/plain[y]#0)" },
	/* no empty line before the first boundary */
	{ "Content-Type: multipart/mixed; boundary=b\r\n--b\r\n\r\nx\r\n--b--\r\n",
	  "multipart/mixed boundary=b(text/plain[x]#0)" },
	{ MULTI("b") "--b\r\nContent-Type: multipart/mixed\r\n\tboundary=bc\r\n--bc\r\n\r\nx\r\n--bc--\r\n--b--\r\n",
	  "multipart/mixed boundary=b(multipart/mixed boundary=bc(text/plain[x]#0))" },
	{ "Content-Type: multipart/mixed;\r\n boundary*0=\"a\";\r\n boundary*1=b\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n",
	  "multipart/mixed boundary*0=a boundary*1=b(text/plain[x]#0)" },
};

static const struct {
	const char *in, *out;
} params[] = {
	{ "a/b", "" },
	{ "a/b;", "" },
	{ "a/b; c=d; E=\"f g\"", "c=d|E=f g|" },
	{ "a/b (x); (y) c (z) = (w) d (v); e=f", "c=d|e=f|" },
	{ "a/b; c=\"d\\\"e\r\n f\"", "c=d\"e f|" },
	{ "a/b; name=foo bar.pdf; x=y z", "name=foo bar.pdf|x=y|" },
	{ "a/b; boundary=----=_Part/1", "boundary=----=_Part/1|" },
	{ "a/b; c; d=e", "d=e|" },
	{ "a/b; =x; d=e", "d=e|" },
	{ "a/b; c=\"open", "c=open|" },
	{ "a/b; c=\"", "c=|" },
	{ "a/b; c=", "c=|" },
	{ "a/b c=d e=\"f\"g=h; i", "c=d|e=f|g=h|" },
	{ "a/b;;; ;c=d", "c=d|" },
	{ "a/b; c=\"x;y\";d=e", "c=x;y|d=e|" },
};

static const struct {
	const char *in, *name, *out; /* out NULL: absent */
} values[] = {
	{ "a; filename=x", "filename", "x" },
	{ "a; filename=x", "name", NULL },
	{ "a; filename*=utf-8''caf%C3%A9", "filename", "caf\xc3\xa9" },
	{ "a; filename*=iso-8859-1'en'caf%E9", "filename", "caf\xc3\xa9" },
	{ "a; filename*0=\"one \"; filename*1=two; filename*3=no", "filename", "one two" },
	{ "a; filename*1*=%20two; filename*0*=utf-8''caf%C3; filename*2=\"%41\"", "filename",
	  "caf\xef\xbf\xbd two%41" },
	{ "a; filename*0*=utf-8''caf%C3; filename*1*=%A9", "filename", "caf\xc3\xa9" },
	{ "a; filename=plain; filename*=utf-8''coded", "filename", "coded" },
	{ "a; filename=\"=?utf-8?Q?caf=C3=A9?=\"", "filename", "caf\xc3\xa9" },
	{ "a; filename*=nothing", "filename", "nothing" },
	{ "a; filename*=%4", "filename", "%4" },
	{ "a; filename=\"caf\xe9\"", "filename", "caf\xc3\xa9" },
};

static void show_body(struct text *to, struct view body)
{
	for (size_t i = 0; i < body.len; i++) {
		if (body.data[i] == '\n')
			text_add_string(to, "\\n");
		else if (body.data[i] != '\r')
			text_add_byte(to, body.data[i]);
	}
}

static void show(struct text *to, struct view all, const struct mime_part *part)
{
	text_format(to, "%.*s/%.*s", VIEW_ARG(part->type), VIEW_ARG(part->subtype));
	for (const struct mime_param *p = part->params; p; p = p->next)
		text_format(to, " %.*s=%.*s", VIEW_ARG(p->name), VIEW_ARG(p->value));
	if (part->kind == MIME_LEAF) {
		text_add_byte(to, '[');
		show_body(to, view_take(view_skip(all, part->body_start), part->body_len));
		text_format(to, "]#%u", part->body_lines);
		return;
	}
	text_add_byte(to, part->kind == MIME_MESSAGE ? '{' : '(');
	for (const struct mime_part *child = part->child; child; child = child->next) {
		show(to, all, child);
		if (child->next)
			text_add_byte(to, ',');
	}
	text_add_byte(to, part->kind == MIME_MESSAGE ? '}' : ')');
}

/* Every part lies inside of its parent, behind its elder, and its lines are counted right. */
static bool sound(struct view all, const struct mime_part *part)
{
	size_t from = part->header_start, end = part->body_start + part->body_len;
	uint32_t lines = 0, header_lines = 0;

	for (size_t i = part->body_start; i < end; i++)
		lines += all.data[i] == '\n';
	for (size_t i = from; i < part->body_start; i++)
		header_lines += all.data[i] == '\n';
	if (end > all.len || part->body_start != from + part->header_len ||
	    lines != part->body_lines || header_lines != part->header_lines)
		return false;
	from = part->body_start;
	for (const struct mime_part *child = part->child; child; child = child->next) {
		if (child->parent != part || child->header_start < from || !sound(all, child))
			return false;
		from = child->body_start + child->body_len;
		if (from > end && child->body_len > 0)
			return false;
	}
	return true;
}

static void check_tree(size_t i)
{
	struct arena arena = { 0 };
	struct mime_message m;
	struct text got;
	struct view in = view_of(trees[i].in);
	bool all_sound = true;

	text_init(&got, 100000);
	mime_parse(&arena, in, &m);
	show(&got, in, m.root);
	is_string(got.raw, trees[i].out, "tree %zu", i);
	ok(!m.truncated, "is whole");
	for (size_t k = 0; k <= in.len; k++) {
		char *copy = memory_get(k);

		memcpy(copy, in.data, k);
		arena_clear(&arena);
		mime_parse(&arena, (struct view){ copy, k }, &m);
		all_sound = all_sound && sound((struct view){ copy, k }, m.root);
		free(copy);
	}
	ok(all_sound, "and sound, and each of its beginnings");
	arena_clear(&arena);
	text_free(&got);
}

static void check_fields(void)
{
	struct arena arena = { 0 };
	struct mime_message m;
	struct view in = VIEW(
		"Content-Type: text/plain; charset=utf-8\r\nContent-Type: text/html\r\n"
		"Content-Transfer-Encoding: BASE64 (x)\r\nContent-ID: <id>\r\n"
		"Content-Description: long\r\n one\r\nContent-MD5: abc=\r\nContent-Location: http://a/\r\n"
		"Content-Disposition: attachment;\r\n\tfilename=\"a b\"\r\nContent-Language: en, de (x) ,,fr\r\n\r\n");
	const struct mime_part *p;

	mime_parse(&arena, in, &m);
	p = m.root;
	ok(view_equal(p->subtype, VIEW("plain")), "the first Content-Type counts");
	ok(p->encoding == ENCODING_BASE64 && view_equal(p->encoding_text, VIEW("BASE64")),
	   "encoding");
	ok(view_equal(p->id, VIEW("<id>")) && view_equal(p->md5, VIEW("abc=")) &&
	           view_equal(p->location, VIEW("http://a/")),
	   "id, md5, location");
	ok(view_equal(p->description, VIEW("long one")), "a folded description");
	ok(view_equal(p->disposition, VIEW("attachment")) &&
	           view_equal(mime_param(p->disposition_params, VIEW("FileName")), VIEW("a b")),
	   "disposition");
	ok(p->languages && view_equal(p->languages->name, VIEW("en")) &&
	           view_equal(p->languages->next->name, VIEW("de")) &&
	           view_equal(p->languages->next->next->name, VIEW("fr")),
	   "languages");
	mime_parse(&arena, VIEW("A: b\r\n\r\n"), &m);
	ok(!m.root->id.data && !m.root->encoding_text.data && !m.root->disposition.data &&
	           m.root->type_default,
	   "absent fields");
	arena_clear(&arena);
}

static void check_params(void)
{
	struct arena arena = { 0 };
	struct text got;

	text_init(&got, 10000);
	for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
		struct view type, subtype;
		struct mime_param *p = NULL;

		text_clear(&got);
		mime_value_parse(&arena, view_of(params[i].in), true, &type, &subtype, &p);
		for (; p; p = p->next)
			text_format(&got, "%.*s=%.*s|", VIEW_ARG(p->name), VIEW_ARG(p->value));
		is_string(got.raw, params[i].out, "parameters %zu", i);
	}
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct view type, subtype;
		struct mime_param *p = NULL;

		text_clear(&got);
		mime_value_parse(&arena, view_of(values[i].in), false, &type, &subtype, &p);
		ok(mime_param_text(p, view_of(values[i].name), &got) == (values[i].out != NULL),
		   "value %zu", i);
		if (values[i].out)
			is_string(got.raw, values[i].out, "its text");
	}
	arena_clear(&arena);
	text_free(&got);
}

/* Section numbers and the body they lead to; "-": none; a star where the message's one body is
 * meant. */
static void check_sections(void)
{
	static const char *const multi =
		MULTI("b") "--b\r\n\r\none\r\n"
			   "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n"
			   "--b\r\n" MULTI("c") "--c\r\n\r\n31\r\n--c\r\n\r\n32\r\n--c--\r\n"
						"--b\r\nContent-Type: message/rfc822\r\n\r\n" MULTI(
							"d") "--d\r\n\r\n41\r\n--d--\r\n"
							     "--b--\r\n";
	static const char *const simple = "A: 1\r\n\r\nbody";
	static const char *const forward = "Content-Type: message/rfc822\r\n\r\nA: 1\r\n\r\nin";
	static const struct {
		const char *const *in;
		const char *section, *out;
	} cases[] = {
		{ &multi, "1", "one|" },
		{ &multi, "1.1", "-" },
		{ &multi, "2.1", "inner*|" },
		{ &multi, "2.HEADER", "Subject: in\\n\\ninner|HEADER" },
		{ &multi, "2.2", "-" },
		{ &multi, "2.1.1", "-" },
		{ &multi, "3.1", "31|" },
		{ &multi, "3.2.MIME", "32|MIME" },
		{ &multi, "3.3", "-" },
		{ &multi, "4.1", "41|" },
		{ &multi, "4.1.1", "-" },
		{ &multi, "5", "-" },
		{ &multi, "0", "-" },
		{ &multi, "99999999999999999999", "-" },
		{ &multi, "1x", "-" },
		{ &simple, "", "body|" },
		{ &simple, "1", "body*|" },
		{ &simple, "1.MIME", "body*|MIME" },
		{ &simple, "2", "-" },
		{ &simple, "1.1", "-" },
		{ &simple, "TEXT", "body|TEXT" },
		{ &forward, "1", "A: 1\\n\\nin*|" },
		{ &forward, "1.1", "in*|" },
		{ &forward, "1.1.1", "-" },
		{ &forward, "1.HEADER", "A: 1\\n\\nin*|HEADER" },
	};
	struct arena arena = { 0 };
	struct text got;

	text_init(&got, 10000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct view in = view_of(*cases[i].in), rest;
		struct mime_message m;
		bool whole;

		mime_parse(&arena, in, &m);
		const struct mime_part *p =
			mime_section(m.root, view_of(cases[i].section), &rest, &whole);

		text_clear(&got);
		if (p) {
			show_body(&got, view_take(view_skip(in, p->body_start), p->body_len));
			text_format(&got, "%s|%.*s", whole ? "*" : "", VIEW_ARG(rest));
		} else {
			text_add_byte(&got, '-');
		}
		is_string(got.raw, cases[i].out, "section '%s'", cases[i].section);
	}
	arena_clear(&arena);
	text_free(&got);
}

static void check_limits(void)
{
	struct arena arena = { .limit = 400 };
	struct mime_message m;
	struct text big;

	text_init(&big, 100000000);
	for (int i = 0; i < MIME_DEPTH_MAX * 2; i++)
		text_format(&big, "Content-Type: multipart/mixed; boundary=%d.\r\n\r\n--%d.\r\n", i,
		            i);
	ok(mime_parse(&arena, text_view(&big), &m) && m.truncated && m.parts == 1,
	   "a small arena gives the first part");
	arena_clear(&arena);
	arena.limit = 0;
	ok(mime_parse(&arena, text_view(&big), &m) && m.truncated && m.parts == MIME_DEPTH_MAX &&
	           sound(text_view(&big), m.root),
	   "the depth is bounded");
	arena_clear(&arena);
	text_clear(&big);
	for (int i = 0; i < MIME_DEPTH_MAX * 2; i++)
		text_add_string(&big, "Content-Type: message/rfc822\r\n\r\n");
	ok(mime_parse(&arena, text_view(&big), &m) && m.truncated && m.parts == MIME_DEPTH_MAX &&
	           sound(text_view(&big), m.root),
	   "that of messages too");
	arena_clear(&arena);
	text_clear(&big);
	text_add_string(&big, MULTI("b"));
	for (int i = 0; i < MIME_PARTS_MAX + 10; i++)
		text_add_string(&big, "--b\r\n\r\nx\r\n");
	ok(mime_parse(&arena, text_view(&big), &m) && m.truncated && m.parts == MIME_PARTS_MAX &&
	           sound(text_view(&big), m.root),
	   "the number of parts is bounded");
	arena_clear(&arena);
	text_clear(&big);
	text_add_string(&big, "Content-Type: a/b");
	for (int i = 0; i < MIME_PARAMS_MAX + 10; i++)
		text_format(&big, "; a%d=b", i);
	text_add_string(&big, "\r\n\r\n");
	mime_parse(&arena, text_view(&big), &m);
	ok(mime_param(m.root->params, VIEW("a99")).data &&
	           !mime_param(m.root->params, VIEW("a100")).data,
	   "the number of parameters is bounded");
	arena_clear(&arena);
	arena.limit = 10;
	ok(!mime_parse(&arena, VIEW("A: b\r\n"), &m), "no room at all");
	arena_clear(&arena);
	text_free(&big);
}

int main(void)
{
	for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++)
		check_tree(i);
	check_fields();
	check_params();
	check_sections();
	check_limits();
	return tap_done();
}
