/* SPDX-License-Identifier: ISC */
/*
 * keyd: the private keys.
 *
 * Reads the key files (PEM, of the directory that master opened), then confines itself, then parses
 * them, tells master of which certificates it has none, and from then on answers one question: sign
 * this TLS handshake with that key. It signs nothing that has not exactly that form and never
 * decrypts, so that a captured porter gets handshakes of its own and nothing that outlives it.
 *
 * Runs as _phkeyd in an empty root. Trusts: the key files. Reads from porter: requests, each
 * checked to the last byte. Writes nothing; sees no network.
 *
 * Who owns it has the keys of the certificates and can pose as this host to whoever connects, until
 * they are revoked. They read no recorded traffic (every key exchange is ephemeral) and reach no
 * other program but porter.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/certificates.h"
#include "lib/conf/generation.h"
#include "lib/conf/settings.h"
#include "lib/wire/master.h"
#include "lib/wire/hub.h"
#include "lib/wire/sign.h"
#include "master/keyd/signform.h"

enum {
	KEY_NAME_MAX = 256,
	SECURE_BYTES = 4 << 20, /* OpenSSL's locked heap for the parsed keys; grows by none */
	LINES_MAX = 256         /* of each porter: its own, and its predecessors' */
};

struct key {
	char name[KEY_NAME_MAX];
	char *pem; /* in locked memory until it is parsed */
	size_t pem_len;
	EVP_PKEY *key;
	unsigned char digest[SIGN_KEY_BYTES];
	enum sign_key_kind kind;
};

static struct {
	struct key *keys;
	unsigned count;
	struct map certificates; /* of the generation */
	bool certificates_open;
	struct loop *loop;
	struct hub hubs[PORTERS_MAX];
	unsigned hub_count;
} keyd;

/* ---- before the jail: bytes ---- */

static struct key *add_key(const char *name)
{
	if (keyd.count == SIGN_KEYS_MAX)
		log_fatal("more than %d key files", SIGN_KEYS_MAX);
	keyd.keys = memory_grow(keyd.keys, (keyd.count + 1) * sizeof *keyd.keys);
	struct key *k = &keyd.keys[keyd.count++];

	*k = (struct key){ 0 };
	if (!string_copy(k->name, sizeof k->name, view_of(name)))
		log_fatal("the name of key file %s is too long", log_quote(view_of(name)));
	return k;
}

static void read_key_file(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	/* Whatever stands there, it is no key; any other error may be over in a moment. */
	if (fd < 0 && errno != ENOENT && errno != ELOOP && errno != EACCES && errno != ENXIO)
		log_fatal("opening key file %s: %m", log_quote(view_of(name)));
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_warn("event=key-unusable file=%s reason=\"%m\"", log_quote(view_of(name)));
		return;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > SIGN_KEY_FILE_MAX) {
		log_warn("event=key-unusable file=%s reason=\"not a regular file of at most %d "
		         "bytes\"",
		         log_quote(view_of(name)), SIGN_KEY_FILE_MAX);
		close(fd);
		return;
	}
	struct key *k = add_key(name);

	k->pem = sodium_malloc((size_t)st.st_size + 1);
	if (k->pem == NULL)
		log_fatal("out of memory for key file %s", log_quote(view_of(name)));
	enum file_result result = file_read_at(fd, k->pem, (size_t)st.st_size, 0);

	if (result != FILE_WHOLE)
		log_fatal("reading key file %s: %s", log_quote(view_of(name)),
		          file_result_text(result));
	k->pem_len = (size_t)st.st_size;
	close(fd);
}

static bool is_key_name(const char *name)
{
	return name[0] != '.' && view_ends_nocase(view_of(name), VIEW(".pem"));
}

static void read_key_files(int directory)
{
	const struct dirent *entry;
	struct walk w;

	/* Walked anew: a place in the directory belongs to the open file, which our predecessor
	 * read to its end. */
	if (directory < 0) {
		log_warn("event=no-keys reason=\"no directory of keys: TLS cannot be offered\"");
		return;
	}
	if (walk_begin(&w, directory, ".") == 0)
		while ((entry = walk_next(&w)) != NULL)
			if (is_key_name(entry->d_name))
				read_key_file(walk_fd(&w), entry->d_name);
	/* A part of them would be another answer: TLS would be dead until the next reload. */
	if (walk_end(&w) < 0)
		log_fatal("reading the directory of keys: %m");
	close(directory);
}

/* Whose keys ought to be here. A start verifies the generation's files, and judges one that is
 * damaged. */
static void open_certificates(void)
{
	int fd = generation_file(program_fd("generation"), "tls.cdb", NULL);

	keyd.certificates_open = fd >= 0 && map_open(&keyd.certificates, fd, "tls.cdb", NULL) == 0;
	if (fd >= 0 && !keyd.certificates_open)
		close(fd);
}

/* As root, before the uid goes: what is locked stays locked. */
static void start_secure_memory(void)
{
	struct rlimit lock = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK,
	          &lock); /* fails without privilege: then the system's limit holds */
	if (sodium_init() < 0 || !OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		log_fatal("the cryptographic libraries cannot be initialised");
	if (CRYPTO_secure_malloc_init(SECURE_BYTES, 32) != 1)
		log_warn("event=memory-not-locked reason=\"keys may be written to swap\"");
	ERR_clear_error();
}

/* ---- in the jail: keys ---- */

static int no_passphrase(char *out, int size, int writing, void *context)
{
	(void)out, (void)size, (void)writing, (void)context;
	return -1;
}

/* Empties OpenSSL's queue of errors. */
static bool is_out_of_memory(void)
{
	bool found = false;
	unsigned long error;

	while ((error = ERR_get_error()) != 0)
		found |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
	return found;
}

static int parse_key(struct key *k, struct reason *why)
{
	BIO *pem = BIO_new_mem_buf(k->pem, (int)k->pem_len);
	unsigned char *der = NULL;

	k->key = pem ? PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL) : NULL;
	if (pem == NULL || (k->key == NULL && is_out_of_memory()))
		log_fatal("out of memory for key %s", log_quote(view_of(k->name)));
	BIO_free(pem);
	sodium_free(k->pem); /* wipes it */
	k->pem = NULL;
	int len = k->key ? i2d_PUBKEY(k->key, &der) : 0;

	if (len <= 0)
		return fail(why, "not a private key in PEM without passphrase");
	SHA256(der, (size_t)len, k->digest);
	OPENSSL_free(der);
	return sign_key_judge(k->key, &k->kind, why);
}

static void parse_keys(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < keyd.count; i++) {
		struct key *k = &keyd.keys[i];
		struct reason why;

		if (parse_key(k, &why) == 0) {
			keyd.keys[good++] = *k;
			continue;
		}
		log_warn("event=key-unusable file=%s reason=\"%s\"", log_quote(view_of(k->name)),
		         log_text(view_of(why.text)));
		EVP_PKEY_free(k->key);
		ERR_clear_error();
	}
	keyd.count = good;
	log_info("event=keys count=%u", good);
}

static const struct key *find_key(const unsigned char digest[SIGN_KEY_BYTES])
{
	for (unsigned i = 0; i < keyd.count; i++)
		if (memcmp(keyd.keys[i].digest, digest, SIGN_KEY_BYTES) == 0)
			return &keyd.keys[i];
	return NULL;
}

/* TLS is dead for these, whatever else works: master refuses a reload that would make one of them,
 * and posthouse status names them. */
static void tell_keyless(void)
{
	struct wire_out out = { 0 };
	int fd = program_fd("master");
	struct certificate c;

	for (uint32_t i = 0;
	     keyd.certificates_open && certificates_at(&keyd.certificates, i, &c) == MAP_FOUND;
	     i++) {
		char file[PATH_MAX];

		if (find_key((const unsigned char *)c.key_digest.data) != NULL)
			continue;
		string_cut(file, sizeof file, c.file);
		log_warn("event=key-missing file=%s reason=\"TLS does not work for it: its "
		         "private key is not in the generation\"",
		         log_quote(c.file));
		master_keyless_put(&out, file);
		if (fd >= 0)
			wire_send(fd, &out); /* one that is gone ends us anyway */
	}
	wire_out_free(&out);
	if (keyd.certificates_open)
		map_close(&keyd.certificates);
}

static void forget_keys(void)
{
	while (keyd.count)
		EVP_PKEY_free(keyd.keys[--keyd.count].key); /* wipes what is secret */
	free(keyd.keys);
	keyd.keys = NULL;
}

/* ---- requests ---- */

static const EVP_MD *scheme_digest(uint16_t scheme)
{
	switch (scheme) {
	case SIGN_RSA_PKCS1_SHA256:
	case SIGN_RSA_PSS_SHA256:
	case SIGN_ECDSA_SHA256: return EVP_sha256();
	case SIGN_RSA_PKCS1_SHA384:
	case SIGN_RSA_PSS_SHA384:
	case SIGN_ECDSA_SHA384: return EVP_sha384();
	case SIGN_ED25519: return NULL;
	default: return EVP_sha512();
	}
}

static bool is_pss(uint16_t scheme)
{
	return scheme == SIGN_RSA_PSS_SHA256 || scheme == SIGN_RSA_PSS_SHA384 ||
	       scheme == SIGN_RSA_PSS_SHA512;
}

static bool make_signature(EVP_MD_CTX *context, const struct key *k, const struct sign_request *r,
                           unsigned char *out, size_t *len)
{
	EVP_PKEY_CTX *how = NULL; /* the context's own */

	if (EVP_DigestSignInit(context, &how, scheme_digest(r->scheme), NULL, k->key) != 1)
		return false;
	if (is_pss(r->scheme) &&
	    (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
	     EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) != 1))
		return false;
	return EVP_DigestSign(context, out, len, (const unsigned char *)r->block.data,
	                      r->block.len) == 1;
}

static const char *sign(const struct sign_request *r, unsigned char *out, size_t *len)
{
	const struct key *k = find_key(r->key);
	const char *refusal = k ? sign_refusal(k->kind, r->scheme, r->block) : "unknown key";

	if (refusal != NULL)
		return refusal;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context != NULL && make_signature(context, k, r, out, len);

	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return good ? NULL : "signing failed";
}

static void answer(struct hub_line *line, struct wire_in *in)
{
	static struct wire_out out;
	unsigned char signature[SIGN_SIGNATURE_MAX];
	size_t len = sizeof signature;
	struct sign_request r;

	if (!sign_request_get(in, &r)) {
		hub_line_drop(line, "invalid request");
		return;
	}
	const char *refusal = sign(&r, signature, &len);

	struct sign_answer a = { .signature = { (const char *)signature, len } };

	if (refusal != NULL) {
		log_warn("event=sign-refused scheme=%04x bytes=%zu reason=\"%s\"",
		         (unsigned)r.scheme, r.block.len, log_text(view_of(refusal)));
		a = (struct sign_answer){ .refusal = view_of(refusal) };
	}
	sign_answer_put(&out, &a);
	hub_line_send(line, &out);
}

/* ---- porters ---- */

static void serve_porters(void)
{
	int fd;

	for (unsigned i = 0; i < PORTERS_MAX && (fd = program_fd_at("porter.sign", i, NULL)) >= 0;
	     i++) {
		struct hub *hub = &keyd.hubs[keyd.hub_count++];

		*hub = (struct hub){ .loop = keyd.loop,
			             .protocol = "sign",
			             .line_size = sizeof(struct hub_line),
			             .lines_max = LINES_MAX,
			             .message = answer };
		hub_start(hub, fd);
	}
	if (keyd.hub_count == 0)
		program_need_fd("porter.sign");
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = 0 };
	struct settings settings;

	program_start("keyd");
	settings_inherit(&settings); /* for log.debug and bounds.h */
	start_secure_memory();
	open_certificates();
	read_key_files(program_fd("keys"));
	bounds_confine("keyd", &settings, &profile);
	settings_free(&settings);
	parse_keys();
	tell_keyless();
	keyd.loop = loop_new();
	serve_porters();
	hubs_serve(keyd.loop);
	forget_keys();
	return EXIT_DONE;
}
