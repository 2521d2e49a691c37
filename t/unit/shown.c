/* SPDX-License-Identifier: ISC */
/* What others choose the names of, on a terminal and as a word of a command. */
#include "lib/base/shown.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "t/tap.h"

/* POSIX knows $'...' since 2024. */
#define BASH "/bin/bash"

static void shown(const char *name, const char *want)
{
	struct text out;

	text_init(&out, 256);
	text_add_shown(&out, view_of(name));
	is_string(text_string(&out), want, "shown: %s", want);
	text_free(&out);
}

/* And a shell takes it for the name. */
static void word(const char *name, const char *want)
{
	struct text out, again, command;
	char said[300] = "";

	text_init(&out, SHELL_WORD_MAX(strlen(name)));
	text_add_shell_word(&out, view_of(name));
	is_string(text_string(&out), want, "a word: %s", want);
	text_init(&again, 512);
	text_add_shown(&again, text_view(&out));
	is_string(text_string(&again), want, "which is shown as it is");
	text_init(&command, 600);
	text_format(&command, "exec " BASH " -c \"$(cat <<'END'\nprintf %%s %s\nEND\n)\"", want);
	FILE *f = access(BASH, X_OK) == 0 ? popen(text_string(&command), "r") : NULL;

	if (f) {
		said[fread(said, 1, sizeof said - 1, f)] = '\0';
		pclose(f);
		is_string(said, name, "and is the name to a shell");
	}
	text_free(&command);
	text_free(&again);
	text_free(&out);
}

static void longest(void)
{
	static const char *const worst[] = { "'", "\xff", "\\" };
	char name[1001];

	for (size_t i = 0; i < sizeof worst / sizeof *worst; i++) {
		struct text out;

		memset(name, worst[i][0], sizeof name - 1);
		name[sizeof name - 1] = '\0';
		text_init(&out, SHELL_WORD_MAX(sizeof name - 1));
		text_add_shell_word(&out, view_of(name));
		ok(!out.full, "there is room for the longest");
		text_free(&out);
	}
}

int main(void)
{
	shown("/srv/mail data/caf\xc3\xa9", "/srv/mail data/caf\xc3\xa9");
	shown("a\x1b[1m\n\xff", "a\\x1b[1m\\x0a\\xff");
	shown("a\xe2\x80\xae"
	      "b",
	      "a\\xe2\\x80\\xae"
	      "b");
	word("/srv/mail/example.org/anna", "/srv/mail/example.org/anna");
	word("", "''");
	word("/srv/mail data", "'/srv/mail data'");
	word("o'brien@x", "'o'\\''brien@x'");
	word("$(id);`id`\\", "'$(id);`id`\\'");
	word("caf\xc3\xa9", "'caf\xc3\xa9'");
	word("a'\\\xff"
	     "1\x1b",
	     "$'a\\047\\134\\3771\\033'");
	longest();
	return tap_done();
}
