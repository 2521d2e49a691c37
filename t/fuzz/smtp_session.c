/* SPDX-License-Identifier: ISC */
/* A whole SMTP session over a socket, with a queue and a resolver that are played here. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "smtpd/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 60000, TIMEOUT_MS = 10000 };

static bool writing;
static unsigned asked;

/* ---- in place of lib/wire/resolve.c and spool.c ---- */

void resolve_ask(int *line, enum resolve_type type, struct resolve_question *q,
                 struct resolve_answer *answer)
{
	(void)line;
	*answer = (struct resolve_answer){ .verdict = RESOLVE_ACCEPT };
	if (strlen(q->sender) >= sizeof q->sender || strlen(q->recipient) >= sizeof q->recipient)
		abort();
	if (type == RESOLVE_RECIPIENT && asked++ % 3 == 2)
		*answer = (struct resolve_answer){ .verdict = RESOLVE_REJECT,
			                           .status = "5.1.1",
			                           .text = "no" };
}

int spool_begin(struct spool_writer *w, const struct spool_open *open,
                struct spool_refusal *refusal)
{
	(void)open;
	(void)refusal;
	if (writing)
		abort(); /* one transaction at a time, always ended */
	writing = true;
	string_put(w->id, sizeof w->id, VIEW("0000000000001"));
	return 0;
}

int spool_write(struct spool_writer *w, struct view bytes, struct spool_refusal *refusal)
{
	(void)w;
	(void)bytes;
	(void)refusal;
	if (!writing)
		abort();
	return 0;
}

int spool_add_recipient(struct spool_writer *w, const struct envelope_recipient *r,
                        struct spool_refusal *refusal)
{
	(void)w;
	(void)refusal;
	if (!writing || r->notify > 15)
		abort();
	return 0;
}

int spool_finish(struct spool_writer *w, const struct envelope *e, struct spool_refusal *refusal)
{
	(void)w;
	(void)refusal;
	if (!writing || e->helo[0] == '\0')
		abort();
	writing = false;
	return 0;
}

void spool_abandon(struct spool_writer *w)
{
	(void)w;
	writing = false;
}

/* ---- the target ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings settings;
	struct worker worker = { .settings = &settings,
		                 .resolved = -1,
		                 .writer = { .queued = -1, .fd = -1 },
		                 .authd = { -1 },
		                 .dnsd = -1 };
	struct connection c = { .service = size && data[0] == 'S' ? CONNECTION_SUBMISSION
		                                                  : CONNECTION_SMTP,
		                .client = { .family = 4, .bytes = { 192, 0, 2, 1 } },
		                .token = -1,
		                .tls.on = true };
	int fd[2];

	if (settings.host_name == NULL) {
		settings_default(&settings);
		settings.smtpd_timeout_ms = TIMEOUT_MS;
		log_to_socket(open("/dev/null", O_WRONLY),
		              false); /* a refusal a line is no help here */
	}
	if (size > INPUT_BYTES_MAX)
		size = INPUT_BYTES_MAX;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0 ||
	    (size && write(fd[1], data, size) != (ssize_t)size))
		abort();
	shutdown(fd[1], SHUT_WR);
	c.fd = fd[0];
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	session_run(&worker, &c, -1);
	if (writing)
		abort();
	close(fd[1]);
	return 0;
}
