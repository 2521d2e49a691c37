/* SPDX-License-Identifier: ISC */
#include "queue/submit/handover.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"

enum {
	ANSWER_TIMEOUT_MS = 300000,
	PATIENCE_MS = 5000,   /* for pickup to let us in; then it is drop's */
	KEPT_MAX = 16 << 20,  /* bytes, for drop: above it the caller is told to try again */
	SPARE_BYTES = 4 << 20 /* memory that is left for all else, or nothing is kept */
};

/* Until pickup has said so it has taken nothing, and will not when we have gone. */
static bool is_let_in(int fd)
{
	struct wire_in in = { 0 };
	bool ready =
		wire_receive_within(fd, &in, PATIENCE_MS) == WIRE_OK && in.type == SUBMIT_READY;

	wire_in_close(&in);
	return ready;
}

/* *busy: somebody listens there, and has not let us in. */
static int connect_socket(const struct paths *p, bool *busy)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { PATIENCE_MS / 1000, 0 };
	int fd = string_format(address.sun_path, sizeof address.sun_path, "%s/submit", p->run)
	                 ? socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)
	                 : -1;

	if (fd < 0)
		return -1;
	/* The kernel waits too when many wait. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

	*busy = connected || errno == EAGAIN;
	if (connected && is_let_in(fd)) {
		patience = (struct timeval){ 0 };
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		return fd;
	}
	close(fd);
	return -1;
}

static int start_drop(struct handover *o, const struct paths *p, struct reason *why)
{
	char path[PATHS_MAX + 8];
	int ends[2];

	string_print(path, sizeof path, "%s/drop", p->programs);
	if (access(path, X_OK) < 0)
		return fail_errno(why, "posthouse is %s, and cannot run %s",
		                  o->busy ? "busy" : "not running", path);
	if (pipe(ends) < 0)
		return fail_errno(why, "pipe");
	o->drop = fork();
	if (o->drop == 0) {
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(path, "drop", (char *)NULL);
		_exit(EXIT_TEMPORARY);
	}
	close(ends[0]);
	if (o->drop < 0) {
		close(ends[1]);
		return fail_errno(why, "fork");
	}
	o->fd = ends[1];
	return 0;
}

int handover_open(struct handover *o, const struct paths *p, struct reason *why)
{
	*o = (struct handover){ .paths = p };
	o->fd = connect_socket(p, &o->busy);
	text_init(&o->kept, KEPT_MAX);
	signal(SIGPIPE, SIG_IGN);
	/* A caller that ignores its children has us do so too, and drop's answer would be lost. */
	signal(SIGCHLD, SIG_DFL);
	return o->fd >= 0 ? 0 : start_drop(o, p, why);
}

static void send_to_drop(struct handover *o)
{
	struct text frame;

	text_init(&frame, WIRE_MESSAGE_MAX + 8);
	submit_frame_put(&frame, &o->out);
	o->lost = write_whole(o->fd, text_string(&frame), frame.len) < 0;
	text_free(&frame);
}

/* What is lost on the way is kept too: whether pickup has refused it or is not there any more is
 * known at the end. */
static void send_out(struct handover *o)
{
	if (o->drop && !o->lost)
		send_to_drop(o);
	if (o->drop)
		return;
	if (!o->kept.full && text_reserve_spared(&o->kept, WIRE_MESSAGE_MAX + 8, SPARE_BYTES))
		submit_frame_put(&o->kept, &o->out);
	o->lost = o->lost || wire_send(o->fd, &o->out) != WIRE_OK;
}

void handover_envelope(struct handover *o, const struct submit_envelope *e)
{
	submit_envelope_put(&o->out, e);
	send_out(o);
}

void handover_recipient(struct handover *o, const struct envelope_recipient *r)
{
	submit_recipient_put(&o->out, r);
	send_out(o);
}

bool handover_is_lost(const struct handover *o)
{
	return o->lost && (o->drop || o->kept.full);
}

void handover_bytes(struct handover *o, struct view bytes)
{
	while (bytes.len && !handover_is_lost(o)) {
		struct view piece = view_take(bytes, SUBMIT_CHUNK_MAX);

		submit_chunk_put(&o->out, piece);
		send_out(o);
		bytes = view_skip(bytes, piece.len);
	}
}

static int finish_drop(struct handover *o, struct submit_result *result, struct reason *why)
{
	int status;

	close(o->fd);
	o->fd = -1;
	while (waitpid(o->drop, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(why, "waiting for drop");
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	/* Killed: its file may be whole. */
	if (code != EXIT_DONE && code != EXIT_PERMANENT && code != EXIT_TEMPORARY)
		return fail(why, "drop was ended; the message may or may not have been accepted");
	*result = (struct submit_result){ .accepted = code == EXIT_DONE,
		                          .permanent = code == EXIT_PERMANENT };
	if (code == EXIT_DONE)
		string_print(result->text, sizeof result->text,
		             "posthouse is %s; the message was stored for pickup",
		             o->busy ? "busy" : "not running");
	else
		string_put(result->text, sizeof result->text,
		           VIEW("the message could not be stored for pickup"));
	return 0;
}

/* The end of the message was sent last: pickup has taken nothing when it could not be sent, nor
 * when the socket was closed with something in it that was not read (ECONNRESET). */
static enum wire_result wait_for_answer(struct handover *o, struct wire_in *in)
{
	struct timeval t = { ANSWER_TIMEOUT_MS / 1000, 0 };

	/* It waits for the rest, unless it has refused already and gone. */
	if (o->lost)
		shutdown(o->fd, SHUT_WR);
	setsockopt(o->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	errno = 0;
	enum wire_result r = wire_receive(o->fd, in);

	/* That comes before an answer that is there. */
	if (r == WIRE_CLOSED && errno == ECONNRESET) {
		o->lost = true;
		r = wire_receive(o->fd, in);
	}
	return r;
}

static int leave_kept(struct handover *o, struct submit_result *result, struct reason *why)
{
	close(o->fd);
	o->fd = -1;
	o->lost = false;
	if (o->kept.full)
		return fail(why,
		            "the message could not be handed to posthouse; it is not accepted");
	if (start_drop(o, o->paths, why) < 0)
		return -1;
	o->lost = write_whole(o->fd, text_string(&o->kept), o->kept.len) < 0;
	return finish_drop(o, result, why);
}

static int finish_socket(struct handover *o, struct submit_result *result, struct reason *why)
{
	struct wire_in in;

	if (wait_for_answer(o, &in) != WIRE_OK)
		return o->lost ? leave_kept(o, result, why)
		               : fail(why,
		                      "posthouse did not respond; the message may or may not have been accepted");
	bool good = in.type == SUBMIT_RESULT && submit_result_get(&in, result);

	wire_in_close(&in);
	return good ? 0
	            : fail(why,
	                   "unexpected answer from posthouse: sendmail and pickup are of different versions");
}

int handover_finish(struct handover *o, struct submit_result *result, struct reason *why)
{
	wire_begin(&o->out, SUBMIT_END);
	send_out(o);
	int code = o->drop ? finish_drop(o, result, why) : finish_socket(o, result, why);

	handover_abandon(o);
	return code;
}

void handover_abandon(struct handover *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	wire_out_free(&o->out);
	text_free(&o->kept);
}
