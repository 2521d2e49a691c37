/* SPDX-License-Identifier: ISC */
/* TLS towards other hosts without memory: wherever in a handshake an allocation fails, that is our
 * own fault, and no reason to send in clear. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/tap.h"

static long allocations, fails_from; /* 0: none fails */

static bool fails(void)
{
	allocations++;
	return fails_from && allocations >= fails_from;
}

static void *short_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

static void *short_realloc(void *memory, size_t size)
{
	return fails() ? NULL : realloc(memory, size);
}

/* What the library gets, and nothing else: the source itself, with another malloc. */
#define malloc  short_malloc
#define realloc short_realloc
#include "deliver/remote/clienttls.c" /* NOLINT(bugprone-suspicious-include) */
#undef malloc
#undef realloc

enum { STEPS = 150, TIMEOUT_MS = 600000 };

static SSL_CTX *server;

static void make_server(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	server = SSL_CTX_new(TLS_server_method());
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) ||
	    SSL_CTX_use_certificate(server, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(server, key) != 1)
		ok(false, "a server");
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void serve(int fd)
{
	SSL *ssl = SSL_new(server);
	char byte;

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1)
		SSL_read(ssl, &byte, 1);
	_exit(0);
}

/* A handshake in which the allocations from this one on fail; is its result what it may be? */
static bool shakes(long from, bool *done)
{
	struct stream s;
	struct reason why = { "" };
	int pair[2];
	bool ours = false;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return false;
	pid_t child = fork();

	if (child == 0) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	stream_open(&s, pair[0], TIMEOUT_MS);
	allocations = 0;
	fails_from = from;
	struct clienttls *tls = clienttls_begin(&s, "mx.test", &ours, &why);

	fails_from = 0;
	*done = tls != NULL;
	if (tls)
		clienttls_end(&tls, &s);
	else if (!ours)
		printf("# from allocation %ld on: %s\n", from, why.text);
	stream_close(&s);
	waitpid(child, NULL, 0);
	return *done || ours;
}

int main(void)
{
	struct reason why = { "" };
	bool done;
	unsigned wrong = 0, failed = 0;

	ok(clienttls_start(&why) == 0, "it starts %s", why.text);
	make_server();
	ok(shakes(0, &done) && done, "with memory it works");
	long all = allocations;

	ok(all > 50, "the library asks for memory here: %ld times", all);
	for (long i = 0; i < STEPS; i++) {
		wrong += !shakes(1 + i * all / STEPS, &done);
		failed += !done;
	}
	ok(failed > 0 && wrong == 0, "of %u handshakes without memory %u are the host's fault",
	   failed, wrong);
	ok(shakes(0, &done) && done, "and it works again");
	SSL_CTX_free(server);
	SSL_CTX_free(context);
	int status = tap_done();

	/* libcrypto 3.0's own cleaning up frees twice what it could not set up. */
	fflush(stdout);
	_exit(status);
}
