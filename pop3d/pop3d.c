/* SPDX-License-Identifier: ISC */
/*
 * pop3d: a POP3 client's session from its login to its end (RFC 1939, the TRANSACTION and UPDATE
 * states).
 *
 * It runs under the mailbox owner's uid. authd, after it has checked a password, has master hand
 * over the client's socket and says whose mailbox it is; a process is forked for each session,
 * jailed as every worker is (lib/wire/jail.h), and shuts itself into that one home before it reads
 * the first byte. TLS, if any, is porter's.
 *
 * It trusts authd for the name of the home and nothing that the client sends. It reads and removes
 * messages of the INBOX through lib/store; what a client marks is removed at QUIT alone. One POP3
 * session may have a mailbox at a time; IMAP sessions and deliveries go on beside it, and what they
 * add is for the next session.
 *
 * Whoever owns a session has the one mailbox that its client logged in to; whoever owns the parent
 * has those of the same uid.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/conf/users.h"
#include "lib/wire/worker.h"
#include "pop3d/command.h"
#include "pop3d/session.h"

enum {
	QUIT_IDLE_MS = 60000,
	DESCRIPTORS_MAX = 256,
	MEMORY_MAX_BYTES = 1 << 30 /* beside a message: the list of a large mailbox */
};

static struct settings settings;

/* Before the session has begun. */
static void refuse(struct session *s, const struct reason *why)
{
	log_warn("event=session-refused account=%s reason=%s", session_account(s),
	         log_quote(view_of(why->text)));
	session_say_unavailable(s);
}

static void converse(struct session *s)
{
	struct view line;

	while (!s->over) {
		switch (stream_line(&s->stream, POP3_LINE_MAX, &line)) {
		case STREAM_OK: session_command(s, line); break;
		case STREAM_TOO_LONG:
		case STREAM_BARE:
		case STREAM_NUL:
			session_bad(s, "invalid line: too long, or with a bare CR, bare LF or NUL");
			break;
		case STREAM_TIMEOUT:
			/* RFC 1939 section 3: nothing is removed, nothing is said. */
			log_info("event=timeout account=%s", session_account(s));
			return;
		default:
			if (worker_stopping() && !worker_session_ended())
				stream_write(&s->stream,
				             VIEW("-ERR [SYS/TEMP] server shutting down\r\n"));
			return;
		}
	}
}

static void log_begin(struct session *s)
{
	char client[NET_ADDRESS_TEXT_MAX];

	s->begun = true;
	log_info("event=login service=pop3 account=%s client=%s tls=%d session=%" PRIu64,
	         session_account(s), net_address_text(&s->who->client, client), s->who->tls.on,
	         s->who->id);
}

static void log_end(const struct session *s)
{
	log_info("event=logout service=pop3 account=%s bytes_in=%" PRIu64 " bytes_out=%" PRIu64
	         " retrieved=%" PRIu64 " removed=%" PRIu32,
	         session_account(s), s->stream.bytes_in, s->stream.bytes_out, s->retrieved,
	         s->removed);
}

static void open_inbox(struct session *s)
{
	struct reason why;

	if (folder_open(s->store, VIEW("INBOX"), false, &s->inbox, &why) != STORE_OK) {
		refuse(s, &why);
		return;
	}
	s->count = folder_count(s->inbox);
	s->marks = memory_get(s->count + 1);
	stream_write(&s->stream, VIEW("+OK logged in\r\n"));
	log_begin(s);
	converse(s);
	free(s->marks);
	folder_close(&s->inbox);
}

/* RFC 1939 section 3: the maildrop is locked, or the session does not begin. */
static void open_maildrop(struct session *s)
{
	int lock = store_lock_session(s->store);

	if (lock < 0 && errno == EWOULDBLOCK) {
		log_info("event=in-use account=%s", session_account(s));
		stream_write(&s->stream,
		             VIEW("-ERR [IN-USE] mailbox in use by another POP3 session\r\n"));
		return;
	}
	if (lock < 0) {
		struct reason why;

		fail_errno(&why, "lock the mailbox");
		refuse(s, &why);
		return;
	}
	open_inbox(s);
	close(lock);
}

static void full(const struct owner_session *s, struct text *words)
{
	(void)s;
	text_add_string(words, "-ERR [SYS/TEMP] too many sessions, try again later\r\n");
}

static void work(struct wire_in *in, int hub)
{
	struct owner_session o;
	struct session s = { 0 };
	struct reason why;

	(void)hub;
	if (!owner_session_get(in, &o)) {
		log_warn("event=bad-message peer=master reason=\"not a session\"");
		return;
	}
	stream_open(&s.stream, o.fd, (int)settings.pop3d_timeout_ms);
	s.stream.tells_rest = true;
	worker_session(o.fd);
	stream_preload(&s.stream, o.pending);
	s.who = &o;
	if (!user_home_allowed(settings.mail_root, o.home)) {
		fail(&why, "home %s is not below mail.root", log_quote(view_of(o.home)));
		refuse(&s, &why);
	} else if (store_open(o.home, true, o.quota_bytes, &s.store, &why) != STORE_OK) {
		refuse(&s, &why);
	} else {
		/* Before the client's first byte is read. */
		sandbox_narrow(store_directory(s.store));
		open_maildrop(&s);
		store_close(&s.store);
	}
	stream_flush(&s.stream);
	if (s.begun)
		log_end(&s);
	stream_close(&s.stream);
	/* porter sees the session's end by its token. */
	if (o.token >= 0)
		close(o.token);
}

int main(void)
{
	static struct sandbox_profile profile = { .promises = SANDBOX_FILES | SANDBOX_FORK };
	static struct worker_service service = {
		.wire = "master",
		.forks = true,
		.sessions = true,
		.service = CONNECTION_POP3,
		.full = full,
		.quit_when_idle_ms = QUIT_IDLE_MS,
		.work = work,
	};

	program_start("pop3d");
	settings_inherit(&settings);
	store_begin();
	profile.paths[0] = (struct sandbox_path){ .path = settings.mail_root, .writable = true };
	bounds_confine("pop3d", &settings, &profile);
	service.profile = profile;
	service.profile.narrows = true;
	service.profile.descriptors_max = DESCRIPTORS_MAX;
	service.profile.memory_max =
		MEMORY_MAX_BYTES + (unsigned long)settings.message_size_max_bytes;
	service.workers_max = (unsigned)settings.pop3d_sessions_max;
	worker_run(&service);
}
