/* SPDX-License-Identifier: ISC */
/*
 * imapd: IMAP4rev1 for clients that have logged in.
 *
 * Runs as the owner of mailboxes (one uid for all of them, one for a domain, or one for a user:
 * whatever the users map says), started by master on authd's word. Each message on the wire from
 * master is one session: the client's socket (or the clear end of porter's TLS relay) and the
 * account that authd has checked. The parent forks a process for it, jailed as every worker is
 * (lib/wire/jail.h), which opens that mailbox, shuts itself into its home, and only then answers
 * the login and reads what the client says.
 *
 * Trusts: authd and master for who the client is and where the home lies. Nothing that the client
 * or a message says.
 * Reads and writes: home/Maildir through lib/store. Makes no connection, starts no program, holds
 * no password and no key. Who owns a session process has what its client had: this one mailbox,
 * until the session's end. Before the jail (in the parent) nothing is parsed but master's messages.
 */
#include <limits.h>
#include <locale.h>
#include <unistd.h>

#include "imapd/serve.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/mail/charset.h"
#include "lib/wire/worker.h"

enum {
	QUIT_WHEN_IDLE_MS = 600000,
	DESCRIPTORS_MAX = 256,
	/* Of one session, address space beside a message that is mapped: the index of a large
	 * mailbox, and what a search decodes. */
	MEMORY_MAX_BYTES = 1 << 30
};

static struct settings settings;

static void refuse(struct session *s, const struct reason *why)
{
	log_warn("event=session-refused account=%s reason=%s", log_quote(view_of(s->who.address)),
	         log_quote(view_of(why->text)));
	stream_format(&s->stream,
	              "%s NO [UNAVAILABLE] The mailbox cannot be opened now\r\n* BYE Good bye\r\n",
	              s->who.tag);
	stream_flush(&s->stream);
}

static void open_and_serve(struct session *s)
{
	char client[NET_ADDRESS_TEXT_MAX];
	struct reason why;

	if (store_open(s->who.home, true, s->who.quota_bytes, &s->store, &why) != STORE_OK) {
		refuse(s, &why);
		return;
	}
	sandbox_narrow(store_directory(s->store));
	log_info("event=login service=imap account=%s client=%s tls=%d session=%llu",
	         log_quote(view_of(s->who.address)), net_address_text(&s->who.client, client),
	         s->who.tls.on, (unsigned long long)s->who.id);
	serve_session(s);
	log_info("event=logout service=imap account=%s bytes_in=%llu bytes_out=%llu",
	         log_quote(view_of(s->who.address)), (unsigned long long)s->stream.bytes_in,
	         (unsigned long long)s->stream.bytes_out);
	store_close(&s->store);
}

static void full(const struct owner_session *s, struct text *words)
{
	text_format(words,
	            "%s NO [UNAVAILABLE] Too many sessions, try again later\r\n* BYE Good bye\r\n",
	            s->tag);
}

/* One message of master's: one session, and the end of this process. */
static void work(struct wire_in *in, int hub)
{
	struct session s = { .state = SESSION_AUTHENTICATED };

	(void)hub;
	if (in->type != OWNER_WORK || !owner_session_get(in, &s.who)) {
		log_warn("event=bad-message peer=master reason=\"not a session\"");
		return;
	}
	if (s.who.home[0] != '/' || s.who.tag[0] == '\0') {
		log_warn(
			"event=bad-message peer=master reason=\"a session without a home or tag\"");
		close(s.who.fd);
		return;
	}
	text_init(&s.tagged, SESSION_TAGGED_MAX);
	s.timeout_ms = (int)settings.imapd_timeout_ms;
	s.message_max = settings.message_size_max_bytes;
	stream_open(&s.stream, s.who.fd, s.timeout_ms);
	s.stream.tells_rest = true;
	stream_preload(&s.stream, s.who.pending);
	open_and_serve(&s);
	stream_close(&s.stream);
	text_free(&s.tagged);
	/* `token` stays open to here: its end tells porter that the session is over. */
	if (s.who.token >= 0)
		close(s.who.token);
}

int main(void)
{
	struct sandbox_profile profile = {
		.promises = SANDBOX_FILES | SANDBOX_FORK | SANDBOX_NOTIFY,
		/* Homes may lie anywhere; each session narrows this to its own. */
		.paths = { { "/", true } },
	};

	program_start("imapd");
	settings_inherit(&settings);
	charset_prepare();
	store_begin();
	bounds_confine("imapd", &settings, &profile);

	struct worker_service service = {
		.wire = "master",
		.forks = true,
		.sessions = true,
		.service = CONNECTION_IMAP,
		.full = full,
		.profile = profile,
		.workers_max = (unsigned)settings.imapd_sessions_max,
		.quit_when_idle_ms = QUIT_WHEN_IDLE_MS,
		.work = work,
	};

	service.profile.narrows = true;
	service.profile.descriptors_max = DESCRIPTORS_MAX;
	service.profile.memory_max = MEMORY_MAX_BYTES + settings.message_size_max_bytes;
	worker_run(&service);
}
