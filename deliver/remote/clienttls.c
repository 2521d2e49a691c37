/* SPDX-License-Identifier: ISC */
#include "deliver/remote/clienttls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"

enum {
	TICKETS_MAX = 16, /* records of TLS's own that may come together */
	ROOM_WAIT_MS = 100,
	ERROR_MAX = 256
};

struct clienttls {
	struct stream_layer layer; /* first: a layer is one of these */
	SSL *ssl;
	char error[ERROR_MAX];
	bool own_fault;
};

static SSL_CTX *context;
static bool memory_short;

/* What the library says after an allocation failed is often something else ("unsupported"), and
 * would be taken for the host's fault: so it is asked where it gets its memory. */
static void *got(void *memory, size_t size)
{
	memory_short = memory_short || (memory == NULL && size > 0);
	return memory;
}

static void *get_memory(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return size > 0 ? got(malloc(size), size) : NULL;
}

static void *resize_memory(void *memory, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	if (size > 0)
		return got(realloc(memory, size), size);
	free(memory);
	return NULL;
}

static void free_memory(void *memory, const char *file, int line)
{
	(void)file, (void)line;
	free(memory);
}

/* That the host has closed needs no words of TLS. */
static bool only_ended(unsigned long error)
{
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
	return ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
#else
	(void)error;
	return false;
#endif
}

/* Takes the errors of the last call: the first one's words, which stay as they were when there is
 * none. */
static void take_errors(char text[ERROR_MAX])
{
	unsigned long first = ERR_peek_error();

	if (first && !only_ended(first))
		ERR_error_string_n(first, text, ERROR_MAX);
	ERR_clear_error();
}

static int tls_fail(struct reason *why, const char *what)
{
	char text[ERROR_MAX] = "out of memory";

	take_errors(text);
	return fail(why, "%s: %s", what, text);
}

int clienttls_start(struct reason *why)
{
	/* Refused only when somebody has used the library before; then a shortage goes unseen. */
	CRYPTO_set_mem_functions(get_memory, resize_memory, free_memory);
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return tls_fail(why, "starting TLS");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	/* Record by record, so that the clock is looked at between any two. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
	/* Without them every certificate counts as not verified: told in the log, no reason not to
	 * send. The default file alone: the default directory and store are looked into when a
	 * certificate is there, from within the jail; libcrypto 3.0's store frees twice what it
	 * could not set up. */
	SSL_CTX_set_default_verify_file(context);
	ERR_clear_error();
	return 0;
}

/* After a call that failed, with this errno where it was the system's. */
static void note_fault(struct clienttls *tls, int error, char text[ERROR_MAX])
{
	take_errors(text);
	tls->own_fault = tls->own_fault || memory_short || (error && out_of_resources(error));
	memory_short = false;
}

static ssize_t as_errno(struct clienttls *tls, int result)
{
	int kept_errno = errno;
	int error = SSL_get_error(tls->ssl, result);

	note_fault(tls, error == SSL_ERROR_SYSCALL ? kept_errno : 0, tls->error);
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		errno = EAGAIN;
	else
		errno = error == SSL_ERROR_SYSCALL && kept_errno ? kept_errno : ECONNRESET;
	return -1;
}

static int int_size(size_t size)
{
	return size > 1 << 20 ? 1 << 20 : (int)size;
}

static ssize_t layer_read(struct stream_layer *layer, char *bytes, size_t size)
{
	struct clienttls *tls = (struct clienttls *)layer;
	int n = SSL_read(tls->ssl, bytes, int_size(size));

	/* An answer of TLS's own waits for room; the stream waits for bytes. */
	if (n <= 0 && SSL_get_error(tls->ssl, n) == SSL_ERROR_WANT_WRITE)
		file_wait(SSL_get_fd(tls->ssl), POLLOUT, ROOM_WAIT_MS);
	return n > 0 ? n : as_errno(tls, n);
}

static ssize_t layer_write(struct stream_layer *layer, const char *bytes, size_t size)
{
	struct clienttls *tls = (struct clienttls *)layer;
	int n = SSL_write(tls->ssl, bytes, int_size(size));

	return n > 0 ? n : as_errno(tls, n);
}

/* A signal, as at every reload, must not end a handshake: the message would go in clear. */
static int shake_hands(struct clienttls *tls, const struct stream *s, struct reason *why)
{
	char text[ERROR_MAX] = "connection closed";
	int64_t until_ms = clock_ms() + s->timeout_ms;

	for (;;) {
		int done = SSL_connect(tls->ssl), at = errno, ready;
		int error = SSL_get_error(tls->ssl, done);
		int64_t left_ms = until_ms - clock_ms();

		if (done == 1)
			return 0;
		note_fault(tls, error == SSL_ERROR_SYSCALL ? at : 0, text);
		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			return fail(why, "TLS handshake: %s", text);
		ready = left_ms <= 0
		                ? 0
		                : file_wait(s->fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT,
		                            left_ms);
		if (ready < 0) {
			tls->own_fault = true;
			return fail_errno(why, "TLS handshake");
		}
		if (ready == 0)
			return fail(why, "TLS handshake: timeout");
	}
}

static int start(struct clienttls *tls, struct stream *s, const char *host, struct reason *why)
{
	int flags = fcntl(s->fd, F_GETFL);

	memory_short = false;
	tls->ssl = SSL_new(context);
	if (tls->ssl) {
		/* A name that TLS cannot take is none to ask for. */
		SSL_set_tlsext_host_name(tls->ssl, host);
		SSL_set1_host(tls->ssl, host);
		ERR_clear_error();
	}
	if (tls->ssl && SSL_set_fd(tls->ssl, s->fd) == 1 && !memory_short && flags >= 0 &&
	    fcntl(s->fd, F_SETFL, flags | O_NONBLOCK) == 0)
		return shake_hands(tls, s, why);
	tls->own_fault = true;
	return tls_fail(why, "starting TLS");
}

struct clienttls *clienttls_begin(struct stream *s, const char *host, bool *ours,
                                  struct reason *why)
{
	struct clienttls *tls = memory_get(sizeof *tls);

	*tls = (struct clienttls){ .layer = { layer_read, layer_write } };
	if (start(tls, s, host, why) == 0) {
		s->layer = &tls->layer;
		return tls;
	}
	*ours = tls->own_fault;
	SSL_free(tls->ssl);
	free(tls);
	return NULL;
}

bool clienttls_quiet(struct clienttls *tls)
{
	char byte;

	for (unsigned i = 0; i < TICKETS_MAX; i++) {
		if (SSL_pending(tls->ssl) == 0 && file_wait(SSL_get_fd(tls->ssl), POLLIN, 0) == 0)
			return true;
		int n = SSL_peek(tls->ssl, &byte, 1);

		if (n > 0 || as_errno(tls, n) == 0 || errno != EAGAIN)
			return false;
	}
	return true;
}

const char *clienttls_error(const struct clienttls *tls)
{
	return tls->error;
}

bool clienttls_own_fault(const struct clienttls *tls)
{
	return tls->own_fault;
}

void clienttls_facts(const struct clienttls *tls, char *out, size_t size)
{
	string_print_cut(out, size, "%s:%s:%s", SSL_get_version(tls->ssl),
	                 SSL_get_cipher_name(tls->ssl),
	                 SSL_get_verify_result(tls->ssl) == X509_V_OK ? "verified" : "unverified");
}

void clienttls_end(struct clienttls **tls, struct stream *s)
{
	if (*tls == NULL)
		return;
	SSL_shutdown((*tls)->ssl);
	ERR_clear_error();
	SSL_free((*tls)->ssl);
	s->layer = NULL;
	free(*tls);
	*tls = NULL;
}
