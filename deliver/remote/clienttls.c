/* SPDX-License-Identifier: ISC */
#include "deliver/remote/clienttls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "lib/base/clock.h"

struct clienttls {
	struct stream_layer layer; /* first: a layer is one of these */
	SSL *ssl;
};

static SSL_CTX *context;

static int tls_fail(struct reason *why, const char *what)
{
	char text[256] = "connection closed";
	unsigned long error = ERR_get_error();

	if (error)
		ERR_error_string_n(error, text, sizeof text);
	ERR_clear_error();
	return fail(why, "%s: %s", what, text);
}

int clienttls_start(struct reason *why)
{
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return tls_fail(why, "starting TLS");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	/* Without them every certificate counts as not verified: told in the log, no reason not to
	 * send. */
	SSL_CTX_set_default_verify_paths(context);
	ERR_clear_error();
	return 0;
}

static ssize_t as_errno(struct clienttls *tls, int result)
{
	int error = SSL_get_error(tls->ssl, result);
	int kept_errno = errno;

	ERR_clear_error();
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

	return n > 0 ? n : as_errno(tls, n);
}

static ssize_t layer_write(struct stream_layer *layer, const char *bytes, size_t size)
{
	struct clienttls *tls = (struct clienttls *)layer;
	int n = SSL_write(tls->ssl, bytes, int_size(size));

	return n > 0 ? n : as_errno(tls, n);
}

/* A signal, as at every reload, must not end a handshake: the message would go in clear. */
static bool shake_hands(SSL *ssl, int timeout_ms)
{
	int64_t until_ms = clock_ms() + timeout_ms;
	int done, error;

	do {
		done = SSL_connect(ssl);
		error = SSL_get_error(ssl, done);
	} while (done != 1 && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) &&
	         clock_ms() < until_ms);
	return done == 1;
}

struct clienttls *clienttls_begin(struct stream *s, const char *host, struct reason *why)
{
	struct clienttls *tls = memory_get(sizeof *tls);

	tls->layer = (struct stream_layer){ layer_read, layer_write };
	tls->ssl = SSL_new(context);
	if (tls->ssl == NULL || SSL_set_fd(tls->ssl, s->fd) != 1) {
		tls_fail(why, "starting TLS");
	} else {
		SSL_set_tlsext_host_name(tls->ssl, host);
		SSL_set1_host(tls->ssl, host);
		if (shake_hands(tls->ssl, s->timeout_ms)) {
			s->layer = &tls->layer;
			return tls;
		}
		tls_fail(why, "TLS handshake");
	}
	SSL_free(tls->ssl);
	free(tls);
	return NULL;
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
