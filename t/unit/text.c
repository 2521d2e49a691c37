/* SPDX-License-Identifier: ISC */
/* Texts that are full, and strings that are too long: noticed, or marked, or a panic; never half a
 * thing that passes for whole. */
#include "lib/base/bytes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/reason.h"
#include "t/tap.h"

static struct text shared;
static char room[8];

static bool panics(void (*run)(void))
{
	const struct rlimit no_core = { 0, 0 };
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		close(STDERR_FILENO);
		run();
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

static void put_too_much(void)
{
	text_put_front(&shared, VIEW("12345"));
}

static void view_it(void)
{
	(void)text_view(&shared);
}

static void string_of_it(void)
{
	(void)text_string(&shared);
}

static void put_too_long(void)
{
	string_put(room, sizeof room, VIEW("12345678"));
}

static void print_too_long(void)
{
	string_print(room, sizeof room, "%d", 12345678);
}

static void texts(void)
{
	text_init(&shared, 8);
	ok(text_add_string(&shared, "12345678") && !shared.full, "as many as it may hold");
	ok(!panics(view_it) && !panics(string_of_it), "are read");
	text_cut_back(&shared, 4);
	is_string(text_string(&shared), "1234", "back to what there was");
	text_put_front(&shared, VIEW("ab"));
	is_string(text_string(&shared), "ab34", "with other bytes at its beginning");
	ok(panics(put_too_much), "of which it has so many");
	ok(!text_add_string(&shared, "56789") && shared.full, "one more is refused whole");
	ok(!text_add_byte(&shared, 'x') && !text_format(&shared, "y") &&
	           !text_add(&shared, VIEW("")),
	   "and so is all that comes later, small as it is: no hole");
	ok(!text_has_room(&shared, 0) && text_reserve(&shared, 1) == NULL, "there is no room");
	text_put_front(&shared, VIEW("12"));
	ok(panics(view_it) && panics(string_of_it), "what is full is not read as a whole");
	ok(view_equal(text_view_cut(&shared), VIEW("1234")), "what there is is, by name");
	text_drop_front(&shared, 2);
	ok(shared.full && view_equal(text_view_cut(&shared), VIEW("34")),
	   "it stays full without its beginning");
	text_drop_front(&shared, 2);
	ok(shared.full && panics(view_it), "and when it is empty");
	text_clear(&shared);
	ok(text_add_byte(&shared, 'z') && !panics(view_it), "cleared it is another text");
	text_add_string(&shared, "too long for it");
	text_cut_back(&shared, 1);
	is_string(text_string(&shared), "z", "cut back to where it was whole it is whole");
	ok(text_has_room(&shared, 7) && !text_has_room(&shared, 8) && !shared.full,
	   "who asks for room fills nothing");
	text_free(&shared);
}

static void adopted(void)
{
	char *memory = memory_get(4);
	struct text t;

	string_put(memory, 4, VIEW("abc"));
	text_init_with(&t, 5, memory, 3);
	ok(view_equal(text_view(&t), VIEW("abc")) && text_add(&t, VIEW("de")) &&
	           view_equal(text_view(&t), VIEW("abcde")) && !text_add_byte(&t, 'f') && t.full,
	   "a text that begins with memory of others grows like any");
	text_free(&t);
	ok(t.len == 0 && text_add(&t, VIEW("x")), "and is usable again when it is freed");
	text_free(&t);
}

static void strings(void)
{
	char small[3];

	ok(string_copy(room, sizeof room, VIEW("1234567")) &&
	           !string_copy(room, sizeof room, VIEW("12345678")) && room[0] == '\0',
	   "a copy fits or is empty");
	ok(string_format(room, sizeof room, "%d", 1234567) &&
	           !string_format(room, sizeof room, "%d", 12345678) && room[0] == '\0',
	   "and so with a format");
	ok(panics(put_too_long) && panics(print_too_long), "what cannot be too long is a panic");
	ok(string_print(room, sizeof room, "%s-%d", "ab", 12) == 5, "the length is told");
	string_cut(room, sizeof room, VIEW("1234567"));
	is_string(room, "1234567", "what is to be shown fits");
	string_cut(room, sizeof room, VIEW("12345678"));
	is_string(room, "1234...", "or ends in dots");
	string_print_cut(room, sizeof room, "%s",
	                 "123\xc3\xa9"
	                 "5678");
	is_string(room, "123...", "behind whole characters");
	string_cut(small, sizeof small, VIEW("1234"));
	is_string(small, "..", "in the smallest room too");
}

static void reasons(void)
{
	struct reason why;
	char path[2 * REASON_MAX];

	memset(path, 'p', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	fail(&why, "open %s", path);
	ok(strlen(why.text) == REASON_MAX - 1 && strcmp(why.text + REASON_MAX - 4, "...") == 0,
	   "a reason that is cut shows it");
	errno = ENOSPC;
	fail_errno(&why, "open %s", path);
	ok(strstr(why.text, "ppp...: No space left on device") != NULL,
	   "and keeps its cause, however long the path");
}

/* What a program writes into its pipe. */
static void log_lines(void)
{
	char line[2 * LOG_LINE_MAX], read_back[2 * LOG_LINE_MAX];
	int ends[2];

	memset(line, 'l', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	if (pipe(ends) < 0)
		abort();
	log_to_pipe(ends[1]);
	log_info("event=long text=%s", line);
	log_to_pipe(-1);
	ssize_t n = read(ends[0], read_back, sizeof read_back);

	ok(n == LOG_LINE_MAX && memcmp(read_back + n - 4, "...\n", 4) == 0,
	   "a line of the log that is cut shows it");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	texts();
	adopted();
	strings();
	reasons();
	log_lines();
	return tap_done();
}
