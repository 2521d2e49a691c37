/* SPDX-License-Identifier: ISC */
#include "master/porter/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/certificates.h"
#include "master/porter/signer.h"
#include "master/porter/tickets.h"

enum {
	CHAINS_MAX = 500, /* parsed certificates kept; the least recently parsed goes first */
	CHAIN_LENGTH_MAX = 10
};

/* A parsed certificate with its chain and the handle of its key. */
struct chain {
	uint32_t index;
	X509 *host;
	STACK_OF(X509) * above;
	EVP_PKEY *key;
};

static struct {
	SSL_CTX *context;
	struct map certificates;
	struct chain chains[CHAINS_MAX];
	unsigned count, oldest;
	struct tickets *tickets;
	int64_t tickets_since_s; /* of those in use */
	bool offered;
} tls;

static void chain_free(struct chain *c)
{
	X509_free(c->host);
	sk_X509_pop_free(c->above, X509_free);
	EVP_PKEY_free(c->key);
	*c = (struct chain){ 0 };
}

static const char *openssl_reason(void)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return why ? why : "unknown";
}

static bool chain_parse(struct chain *c, BIO *pem)
{
	X509 *next;

	ERR_clear_error();
	c->above = sk_X509_new_null();
	c->host = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	if (c->host == NULL || c->above == NULL)
		return false;
	while (sk_X509_num(c->above) < CHAIN_LENGTH_MAX &&
	       (next = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_push(c->above, next)) {
			X509_free(next);
			return false;
		}
	/* The end of the file was reported as an error; any other would cut the chain short. */
	if (ERR_peek_error() != 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	c->key = signer_key(X509_get0_pubkey(c->host));
	return c->key != NULL;
}

static struct chain *chain_load(const struct certificate *from)
{
	struct chain fresh = { .index = from->index };
	BIO *pem = BIO_new_mem_buf(from->chain.data, (int)from->chain.len);
	bool good = pem != NULL && chain_parse(&fresh, pem);

	BIO_free(pem);
	if (!good) {
		log_warn("event=certificate-unusable file=%s reason=\"%s\"", log_quote(from->file),
		         log_text(view_of(openssl_reason())));
		chain_free(&fresh);
		return NULL;
	}
	struct chain *place =
		&tls.chains[tls.count < CHAINS_MAX ? tls.count++ : tls.oldest++ % CHAINS_MAX];

	chain_free(place);
	*place = fresh;
	return place;
}

static struct chain *chain_for(struct view server_name)
{
	struct certificate found;

	if (certificates_find(&tls.certificates, server_name, &found) != MAP_FOUND)
		return NULL;
	for (unsigned i = 0; i < tls.count; i++)
		if (tls.chains[i].index == found.index)
			return &tls.chains[i];
	return chain_load(&found);
}

/* Called in each full handshake when the ClientHello is known. */
static int choose_certificate(SSL *ssl, void *context)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct chain *c = chain_for(view_of(name));

	(void)context;
	return c != NULL && SSL_use_cert_and_key(ssl, c->host, c->key, c->above, 1) == 1;
}

/* Keys of session tickets live in memory only, each for some hours: one that is stolen opens no old
 * traffic for long (TLS 1.2) and clients with an older ticket do a full handshake. Another porter
 * may have made new ones, or be about to. */
static void rotate_tickets(void)
{
	unsigned char keys[TICKET_KEY_BYTES];
	int64_t since_s = tls.tickets_since_s;
	int taken = tickets_take(tls.tickets, 1 + clock_ms() / 1000, &since_s, keys);

	if (taken > 0 && SSL_CTX_set_tlsext_ticket_keys(tls.context, keys, sizeof keys) == 1)
		tls.tickets_since_s = since_s;
	else if (taken != 0)
		log_warn("event=ticket-keys-kept reason=\"%s\"",
		         log_text(view_of(openssl_reason())));
	OPENSSL_cleanse(keys, sizeof keys);
}

/* ECDHE only: keyd signs and never decrypts. Suites without AEAD come last, for peers on port 25
 * that would else fall back to clear text. */
static const char suites_tls12[] =
	"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES128:!aNULL:!eNULL";

static SSL_CTX *make_context(const char *minimum_version)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	int minimum = strcmp(minimum_version, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (c == NULL || !SSL_CTX_set_min_proto_version(c, minimum) ||
	    !SSL_CTX_set_cipher_list(c, suites_tls12) ||
	    !SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384:P-521") ||
	    !SSL_CTX_set_session_id_context(c, (const unsigned char *)"posthouse", 9))
		log_fatal("setting up TLS: %s", openssl_reason());
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
	                               SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 1);
	SSL_CTX_set_cert_cb(c, choose_certificate, NULL);
	return c;
}

void tls_start(const char *minimum_version)
{
	struct certificate first;
	struct reason why;

	/* The system's openssl.cnf is not ours to read, and a jail has none. */
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		log_fatal("OpenSSL cannot be initialised");
	signer_start();
	if (map_open(&tls.certificates, program_generation_file("tls.cdb"), "tls.cdb", &why) < 0)
		log_fatal("tls.cdb: %s", why.text);
	enum map_result found = certificates_at(&tls.certificates, 0, &first);

	if (found != MAP_FOUND && found != MAP_MISSING)
		log_fatal("tls.cdb: the first certificate cannot be read");
	tls.offered = found == MAP_FOUND;
	if (!tls.offered) {
		log_warn("event=tls-off reason=\"no certificate is configured\"");
		return;
	}
	tls.context = make_context(minimum_version);
	tls.tickets = program_kept(sizeof *tls.tickets);
	/* What is loaded late would be looked for inside the jail. */
	if (chain_for(VIEW("")) == NULL)
		log_fatal("the default certificate %s cannot be used", log_quote(first.file));
	rotate_tickets();
}

void tls_stop(void)
{
	while (tls.count)
		chain_free(&tls.chains[--tls.count]);
	SSL_CTX_free(tls.context);
	signer_stop();
}

bool tls_is_offered(void)
{
	return tls.offered;
}

SSL *tls_session(void)
{
	rotate_tickets();
	SSL *ssl = SSL_new(tls.context);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}
