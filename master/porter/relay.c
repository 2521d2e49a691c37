/* SPDX-License-Identifier: ISC */
/*
 * The outer side is the client's socket under TLS, the inner one porter's end of a stream pair
 * whose other end the session has. Bytes pass through one buffer for all; only what one side does
 * not take at once is kept, at most one record each way, and the other side is not read until it is
 * gone: that is the backpressure, and why an idle relay holds nothing but the state of TLS.
 */
#include "master/porter/relay.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/net/listen.h"
#include "lib/wire/wire.h"

enum {
	RECORDS_PER_TURN = 8,
	RECORD_BYTES = 16384, /* RFC 8446 section 5.1 */
	LINGER_MS = 3000      /* after our close_notify, for the client's end */
};

static struct {
	struct loop *loop;
	struct relay_callbacks tell;
	char scratch[RECORD_BYTES]; /* what passes through and is never kept */
} relays;

/* What one side has not taken yet. */
struct rest {
	char *data;
	size_t start, len;
};

struct relay {
	SSL *ssl;
	void *owner;
	struct watch outer, inner; /* inner.fd -1: no session yet */
	struct timer linger;
	struct rest inward, outward;
	bool secured;       /* the handshake is done */
	bool outer_ended;   /* the client sends no more */
	bool inner_ended;   /* the session sends no more */
	bool inner_told;    /* the session has been shown the client's end */
	bool finishing;     /* no session will come: close when all is sent */
	bool notified;      /* our close_notify is out; what still comes is discarded */
	bool write_blocked; /* TLS waits for the socket to take bytes */
	bool broken;
	bool spoken; /* the first bytes came before there was a session */
};

/* ---- the socket under TLS ---- OpenSSL's own socket BIO needs a non-blocking descriptor. That
 * flag belongs to the open file, which a session program that gave a socket back for STARTTLS may
 * still hold and could change, to stop porter with one read. MSG_DONTWAIT belongs to the call. */

static int bio_fd(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static bool must_wait(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static int bio_read(BIO *bio, char *out, int len)
{
	ssize_t n = recv(bio_fd(bio), out, (size_t)len, MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	if (n < 0 && must_wait())
		BIO_set_retry_read(bio);
	return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len)
{
	ssize_t n = send(bio_fd(bio), data, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && must_wait())
		BIO_set_retry_write(bio);
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO *bio_for(int fd)
{
	static BIO_METHOD *method;

	if (method == NULL) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
		                      "posthouse socket");
		if (method == NULL)
			return NULL;
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_control);
		BIO_meth_set_create(method, bio_create);
	}
	BIO *bio = BIO_new(method);

	if (bio != NULL)
		BIO_set_data(bio, (void *)(intptr_t)fd);
	return bio;
}

/* ---- what is kept ---- */

static void rest_keep(struct rest *r, const char *data, size_t len)
{
	char *all = memory_get(r->len + len);

	if (r->len)
		memcpy(all, r->data + r->start, r->len);
	memcpy(all + r->len, data, len);
	free(r->data);
	*r = (struct rest){ all, 0, r->len + len };
}

static void rest_took(struct rest *r, size_t n)
{
	r->start += n;
	r->len -= n;
	if (r->len == 0) {
		free(r->data);
		*r = (struct rest){ 0 };
	}
}

/* ---- one call each ---- */

enum step { STEP_MOVED, STEP_WAIT, STEP_ENDED, STEP_BROKEN };

static enum step tls_step(struct relay *r, int result)
{
	switch (SSL_get_error(r->ssl, result)) {
	case SSL_ERROR_WANT_READ: return STEP_WAIT;
	case SSL_ERROR_WANT_WRITE: r->write_blocked = true; return STEP_WAIT;
	case SSL_ERROR_ZERO_RETURN: return STEP_ENDED;
	default: return STEP_BROKEN;
	}
}

static enum step tls_write(struct relay *r, const char *data, size_t len, size_t *taken)
{
	ERR_clear_error();
	int n = SSL_write(r->ssl, data, (int)len);

	*taken = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		return tls_step(r, n);
	return STEP_MOVED;
}

static enum step inner_write(struct relay *r, const char *data, size_t len, size_t *taken)
{
	ssize_t n = send(r->inner.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	*taken = n > 0 ? (size_t)n : 0;
	if (n < 0)
		return must_wait() ? STEP_WAIT : STEP_ENDED;
	return STEP_MOVED;
}

/* ---- client to session ---- */

static void outer_end(struct relay *r)
{
	r->outer_ended = true;
	if (!r->inner_told && r->inner.fd >= 0 && r->inward.len == 0) {
		shutdown(r->inner.fd, SHUT_WR);
		r->inner_told = true;
	}
}

/* The session's end is closed: what the client says is for nobody. */
static void forget_inward(struct relay *r)
{
	if (r->inward.len)
		rest_took(&r->inward, r->inward.len);
	r->inner_told = true;
}

static enum step send_inward(struct relay *r)
{
	size_t taken;
	enum step s = inner_write(r, r->inward.data + r->inward.start, r->inward.len, &taken);

	if (s == STEP_ENDED)
		forget_inward(r);
	else if (s == STEP_MOVED)
		rest_took(&r->inward, taken);
	return s;
}

static void pass_inward(struct relay *r, size_t len)
{
	size_t taken = 0;
	enum step s = STEP_WAIT;

	if (r->inner_told)
		return;
	if (r->inner.fd >= 0)
		s = inner_write(r, relays.scratch, len, &taken);
	else
		r->spoken = true;
	if (s == STEP_ENDED)
		forget_inward(r);
	else if (taken < len)
		rest_keep(&r->inward, relays.scratch + taken, len - taken);
}

static enum step read_outer(struct relay *r)
{
	ERR_clear_error();
	int n = SSL_read(r->ssl, relays.scratch, sizeof relays.scratch);

	if (n <= 0) {
		enum step s = tls_step(r, n);

		r->outer_ended = s == STEP_ENDED;
		return s;
	}
	pass_inward(r, (size_t)n);
	return STEP_MOVED;
}

static void pump_inward(struct relay *r)
{
	for (unsigned turn = 0; turn < RECORDS_PER_TURN && !r->broken; turn++) {
		enum step s;

		if (r->inward.len && r->inner.fd < 0)
			return;
		if (r->inward.len)
			s = send_inward(r);
		else if (!r->outer_ended)
			s = read_outer(r);
		else
			break;
		if (s == STEP_WAIT)
			return;
		if (s == STEP_BROKEN)
			r->broken = true;
	}
	if (r->outer_ended)
		outer_end(r);
}

/* ---- session to client ---- */

static enum step send_outward(struct relay *r)
{
	size_t taken;
	enum step s = tls_write(r, r->outward.data + r->outward.start, r->outward.len, &taken);

	if (s == STEP_MOVED)
		rest_took(&r->outward, taken);
	return s;
}

static enum step pass_outward(struct relay *r, const char *data, size_t len)
{
	size_t taken;
	enum step s = tls_write(r, data, len, &taken);

	if (taken < len && s != STEP_BROKEN)
		rest_keep(&r->outward, data + taken, len - taken);
	return s;
}

static enum step read_inner(struct relay *r)
{
	ssize_t n = recv(r->inner.fd, relays.scratch, sizeof relays.scratch, MSG_DONTWAIT);

	if (n < 0 && must_wait())
		return STEP_WAIT;
	if (n <= 0) {
		/* Session programs never close one direction alone. */
		r->inner_ended = true;
		forget_inward(r);
		return STEP_ENDED;
	}
	return pass_outward(r, relays.scratch, (size_t)n);
}

static void notify_close(struct relay *r)
{
	ERR_clear_error();
	int n = SSL_shutdown(r->ssl);

	if (n < 0 && tls_step(r, n) == STEP_WAIT && r->write_blocked)
		return;
	r->notified = true;
	shutdown(r->outer.fd, SHUT_WR);
	loop_timer_set(relays.loop, &r->linger, loop_now_ms(relays.loop) + LINGER_MS);
}

static void pump_outward(struct relay *r)
{
	for (unsigned turn = 0; turn < RECORDS_PER_TURN && !r->broken && !r->notified; turn++) {
		enum step s = STEP_WAIT;

		if (r->outward.len)
			s = send_outward(r);
		else if (r->inner_ended || r->finishing)
			notify_close(r);
		else if (r->inner.fd >= 0)
			s = read_inner(r);
		if (s == STEP_WAIT)
			return;
		if (s == STEP_BROKEN)
			r->broken = true;
	}
}

/* ---- turns ---- */

/* A descriptor of which nothing is wanted is not watched at all: its hang-up would be reported for
 * ever. */
static void want(struct watch *w, unsigned events)
{
	if (w->fd < 0)
		return;
	if (events == 0)
		loop_unwatch(relays.loop, w);
	else if (!loop_is_watched(w))
		loop_watch(relays.loop, w, events);
	else
		loop_change(relays.loop, w, events);
}

static void want_all(struct relay *r)
{
	bool read_outer_side = !r->outer_ended && r->inward.len == 0;
	bool read_inner_side = !r->inner_ended && r->outward.len == 0 && r->secured;

	want(&r->outer, (read_outer_side || r->notified ? LOOP_READ : 0u) |
	                        (r->write_blocked ? LOOP_WRITE : 0u));
	want(&r->inner, (read_inner_side ? LOOP_READ : 0u) | (r->inward.len ? LOOP_WRITE : 0u));
}

/* After close_notify: until the client has closed too, so that no reset overtakes our last
 * bytes. */
static bool discarded_all(struct relay *r)
{
	for (unsigned turn = 0; turn < RECORDS_PER_TURN; turn++) {
		ssize_t n = recv(r->outer.fd, relays.scratch, sizeof relays.scratch, MSG_DONTWAIT);

		if (n < 0 && must_wait())
			return false;
		if (n <= 0)
			return true;
	}
	return false;
}

/* What it tells the owner comes last: the relay may be gone after it. */
static void relay_turn(struct relay *r)
{
	if (!r->notified) {
		r->write_blocked = false;
		pump_inward(r);
		pump_outward(r);
	}
	if (r->broken || (r->notified && (r->outer_ended || discarded_all(r)))) {
		relays.tell.over(r->owner);
		return;
	}
	want_all(r);
	if (r->spoken && r->inner.fd < 0 && !r->finishing) {
		r->spoken = false;
		relays.tell.spoke(r->owner);
	} else if (r->outer_ended && r->inner.fd < 0 && !r->finishing && r->inward.len == 0) {
		relays.tell.over(r->owner); /* left without a word */
	}
}

static const char *handshake_error(void)
{
	unsigned long error = ERR_peek_error();
	const char *why = error ? ERR_reason_error_string(error) : "connection closed";

	return why ? why : "unknown";
}

static void handshake_turn(struct relay *r)
{
	ERR_clear_error();
	r->write_blocked = false;
	int n = SSL_accept(r->ssl);

	if (n == 1) {
		r->secured = true;
		want_all(r);
		relays.tell.secured(r->owner);
	} else if (tls_step(r, n) == STEP_WAIT) {
		want_all(r);
	} else {
		relays.tell.handshake_failed(r->owner, handshake_error());
	}
}

static void outer_ready(struct watch *w, unsigned events)
{
	struct relay *r = loop_owner(w, struct relay, outer);

	(void)events;
	if (r->secured)
		relay_turn(r);
	else
		handshake_turn(r);
}

static void inner_ready(struct watch *w, unsigned events)
{
	(void)events;
	relay_turn(loop_owner(w, struct relay, inner));
}

static void linger_over(struct timer *t)
{
	relays.tell.over(loop_owner(t, struct relay, linger)->owner);
}

/* ---- for the owner ---- */

void relays_start(struct loop *loop, const struct relay_callbacks *callbacks)
{
	relays.loop = loop;
	relays.tell = *callbacks;
}

struct relay *relay_new(void *owner, SSL *ssl, int fd)
{
	struct relay *r = memory_get(sizeof *r);
	BIO *bio = bio_for(fd);

	r->owner = owner;
	r->outer = (struct watch){ .fd = fd, .ready = outer_ready };
	r->inner = (struct watch){ .fd = -1, .ready = inner_ready };
	r->linger.due = linger_over;
	r->ssl = ssl;
	if (r->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		relay_free(&r);
		return NULL;
	}
	SSL_set_bio(r->ssl, bio, bio);
	/* The first bytes are mostly there, or on their way: the loop's first event starts the
	 * handshake. */
	want_all(r);
	return r;
}

void relay_free(struct relay **relay)
{
	struct relay *r = *relay;

	if (r == NULL)
		return;
	loop_unwatch(relays.loop, &r->outer);
	loop_unwatch(relays.loop, &r->inner);
	loop_timer_clear(relays.loop, &r->linger);
	SSL_free(r->ssl);
	close(r->outer.fd);
	if (r->inner.fd >= 0)
		close(r->inner.fd);
	free(r->inward.data);
	free(r->outward.data);
	free(r);
	*relay = NULL;
}

void relay_write(struct relay *r, struct view bytes)
{
	if (r->outward.len)
		rest_keep(&r->outward, bytes.data, bytes.len);
	else if (pass_outward(r, bytes.data, bytes.len) == STEP_BROKEN)
		r->broken = true; /* the socket's error wakes the relay */
	want_all(r);
}

int relay_open_session(struct relay *r)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	net_take_no_descriptors(ends[0]);
	r->inner.fd = ends[0];
	return ends[1];
}

void relay_close_session(struct relay *r)
{
	close(r->inner.fd);
	r->inner.fd = -1;
}

void relay_begin_session(struct relay *r)
{
	if (r->inward.len)
		send_inward(r);
	if (r->outer_ended)
		outer_end(r);
	want_all(r);
}

void relay_end_session(struct relay *r)
{
	if (r->inner.fd < 0)
		return;
	loop_unwatch(relays.loop, &r->inner);
	relay_close_session(r);
	forget_inward(r);
}

void relay_finish(struct relay *r)
{
	r->finishing = true;
	r->write_blocked = true; /* the loop takes it up when the socket has room */
	want_all(r);
}

void relay_facts(const struct relay *r, struct connection_tls *tls)
{
	const char *name = SSL_get_servername(r->ssl, TLSEXT_NAMETYPE_host_name);

	*tls = (struct connection_tls){ .on = true,
		                        .bits = (uint16_t)SSL_get_cipher_bits(r->ssl, NULL) };
	string_cut(tls->version, sizeof tls->version, view_of(SSL_get_version(r->ssl)));
	string_cut(tls->cipher, sizeof tls->cipher, view_of(SSL_get_cipher_name(r->ssl)));
	string_put(tls->server_name, sizeof tls->server_name, view_of(name));
}
