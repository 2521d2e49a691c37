/* SPDX-License-Identifier: ISC */
/* posthouse who, posthouse kick: who has logged in, and ending that. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/mapkey.h"
#include "lib/wire/control.h"

enum { PATIENCE_MS = 30000 };

struct found {
	struct control_session *all;
	size_t count;
};

static int take_entries(struct wire_in *in, struct found *f, struct reason *why)
{
	while (in->rest.len) {
		f->all = memory_grow_for(f->all, f->count, sizeof *f->all);
		if (!control_session_get(in, &f->all[f->count++]))
			return fail(why, "invalid response from posthouse");
	}
	return 0;
}

/* 0: something has come. */
static int wait_for_answer(const struct settings *s, int fd, bool *said, struct reason *why)
{
	for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += ASKING_SILENCE_MS) {
		int came = file_wait(fd, POLLIN, ASKING_SILENCE_MS);

		if (came != 0)
			return came < 0 ? fail_errno(why, "wait for posthouse") : 0;
		if (ask_again(s, "the programs that have sessions", said, why) != 0)
			return -1;
	}
	return fail(why, "a program does not answer");
}

/* Every session program's answer; the exit code. */
static int read_answers(const struct settings *s, int fd, struct found *f, struct reason *why)
{
	char text[CONTROL_LINE_MAX];
	enum wire_result r = WIRE_AGAIN;
	int code = EXIT_DONE;
	bool said = false;
	struct wire_in in;

	while (code == EXIT_DONE) {
		if (wait_for_answer(s, fd, &said, why) != 0)
			return EXIT_TEMPORARY;
		if ((r = wire_receive(fd, &in)) != WIRE_OK)
			break;
		uint8_t end;

		if (in.type == CONTROL_SESSION_ENTRY && take_entries(&in, f, why) < 0)
			code = EXIT_TEMPORARY;
		else if (in.type == CONTROL_END && control_end_get(&in, &end, text) &&
		         end != EXIT_DONE) {
			fail(why, "%s", text);
			code = end;
		}
		wire_in_close(&in);
	}
	if (code == EXIT_DONE && r != WIRE_CLOSED) {
		fail(why, "a program does not answer");
		code = EXIT_TEMPORARY;
	}
	return code;
}

static int ask_sessions(const struct settings *s, const struct control_sessions *q, struct found *f,
                        struct reason *why)
{
	struct wire_out out = { 0 };
	int code = EXIT_TEMPORARY;
	bool said = true;

	if (ask_again(s, "", &said, why) != 0)
		return EXIT_TEMPORARY;
	int fd = control_connect(s->directory_run, why);

	if (fd < 0)
		return control_exit_code(errno);
	control_sessions_put(&out, q);
	if (wire_send(fd, &out) == WIRE_OK)
		code = read_answers(s, fd, f, why);
	else
		fail_errno(why, "ask posthouse");
	wire_out_free(&out);
	close(fd);
	return code;
}

/* A number is a session's, anything else an account, whose domain may be left out. */
static int meant(const struct settings *s, const char *whom, struct control_sessions *q,
                 struct reason *why)
{
	struct text key;
	int good = 0;

	if (view_number(view_of(whom), UINT64_MAX, &q->id)) {
		string_print(q->whom, sizeof q->whom, "%llu", (unsigned long long)q->id);
		return q->id != 0 ? 0 : fail(why, "no session has the number 0");
	}
	text_init(&key, sizeof q->whom - 1);
	good = mapkey_address(view_of(whom), view_of(s->mail_domain), &key, why);
	if (good == 0)
		string_put(q->whom, sizeof q->whom, text_view(&key));
	text_free(&key);
	return good;
}

static int find(const struct command *c, const char *whom, bool end, struct found *f)
{
	struct control_sessions q = { .end = end };
	struct model m;
	struct reason why = { "" };
	int code = command_places_read(c, &m);

	if (code == EXIT_DONE) {
		code = whom != NULL && meant(&m.settings, whom, &q, &why) < 0
		               ? EXIT_PERMANENT
		               : ask_sessions(&m.settings, &q, f, &why);
		if (code != EXIT_DONE)
			command_fail(code, &why);
	}
	model_free(&m);
	return code;
}

static int by_account(const void *one, const void *other)
{
	const struct control_session *a = one, *b = other;
	int order = strcmp(a->facts.account, b->facts.account);

	if (order != 0)
		return order;
	return a->since_s != b->since_s ? (a->since_s > b->since_s) - (a->since_s < b->since_s)
	                                : (a->facts.id > b->facts.id) - (a->facts.id < b->facts.id);
}

static void print(const struct control_session *s)
{
	char client[NET_ADDRESS_TEXT_MAX], since[32] = "";
	time_t at = (time_t)s->since_s;
	struct tm local;

	if (localtime_r(&at, &local) != NULL)
		strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &local);
	printf("%-16llu  %-30s  %-10s  %-3s  %-15s  %s  %lu\n", (unsigned long long)s->facts.id,
	       s->facts.account, connection_service_name(s->facts.service),
	       s->facts.tls ? "yes" : "no", net_address_text(&s->facts.client, client), since,
	       (unsigned long)s->pid);
}

int command_who(const struct command *c, int argc, char **argv)
{
	struct found f = { 0 };

	if (argc > 1)
		return command_usage(c, "[USER]");
	int code = find(c, argc ? argv[0] : NULL, false, &f);

	/* What has been heard is told, though it may not be all. */
	if (f.count) {
		qsort(f.all, f.count, sizeof *f.all, by_account);
		printf("%-16s  %-30s  %-10s  %-3s  %-15s  %-19s  %s\n", "session", "user",
		       "service", "tls", "client", "since", "pid");
		for (size_t i = 0; i < f.count; i++)
			print(&f.all[i]);
	}
	free(f.all);
	return code;
}

int command_kick(const struct command *c, int argc, char **argv)
{
	struct found f = { 0 };

	if (argc != 1)
		return command_usage(c, "USER | SESSION");
	int code = find(c, argv[0], true, &f);

	if (f.count)
		printf("%zu session%s ended\n", f.count, f.count == 1 ? "" : "s");
	free(f.all);
	if (code == EXIT_DONE && f.count == 0) {
		struct reason why;

		fail(&why, "no open session of %s", argv[0]);
		code = command_fail(EXIT_PERMANENT, &why);
	}
	return code;
}
