/* SPDX-License-Identifier: ISC */
/*
 * Certificates: certs/NAME.pem is a chain, the host's certificate first; the key that fits it is
 * in keys/.  The names a certificate serves are those it has in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/services.h"
#include "lib/wire/signkey.h"

enum { CHAIN_MAX = 16 };

struct key {
	const char *name; /* of the file */
	char digest[CERTIFICATE_KEY_BYTES];
};

struct keys {
	struct key *all;
	size_t count;
	bool unread; /* not all could be read: which are missing is not known */
};

static bool digest_public(const X509_PUBKEY *public, char out[CERTIFICATE_KEY_BYTES])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(public, &der);
	bool good = len > 0 && EVP_Digest(der, (size_t)len, (unsigned char *)out, NULL,
	                                  EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return good;
}

static bool digest_key(EVP_PKEY *key, char out[CERTIFICATE_KEY_BYTES])
{
	X509_PUBKEY *public = NULL;
	bool good = X509_PUBKEY_set(&public, key) == 1 && digest_public(public, out);

	X509_PUBKEY_free(public);
	return good;
}

/* No passphrase is ever asked for: keyd has nobody to ask at a restart. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return 0;
}

static bool is_pem(const struct dirent *e)
{
	return e->d_name[0] != '.' && view_ends_nocase(view_of(e->d_name), VIEW(".pem"));
}

static int pem_only(const struct dirent *e)
{
	return is_pem(e);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The whole file, or NULL after noting the problem: of a chain cut short OpenSSL would not tell. */
static BIO *open_file(struct model *m, const char *path, struct source *source)
{
	unsigned before = m->problems.errors;

	model_read_source(m, path, NULL, source);
	if (source->missing)
		problem_error(&m->problems, path, 0, "%s", strerror(ENOENT));
	BIO *file = m->problems.errors == before && !source->denied
	                    ? BIO_new_mem_buf(source->text.data, (int)source->text.len)
	                    : NULL;

	if (file != NULL)
		return file;
	if (m->problems.errors == before && !source->denied)
		problem_error(&m->problems, path, 0, "OpenSSL: out of memory");
	free(source->memory);
	return NULL;
}

static void close_file(BIO *file, struct source *source)
{
	BIO_free(file);
	OPENSSL_cleanse(source->memory, source->text.len);
	free(source->memory);
}

static void read_key(struct model *m, struct keys *keys, const char *directory, const char *name)
{
	const char *path = model_path(m, directory, name);
	struct stat st = { 0 };
	struct source source;
	BIO *file = open_file(m, path, &source);

	keys->unread = keys->unread || source.denied;
	if (file == NULL)
		return;
	if (stat(path, &st) != 0 || (st.st_mode & 077) != 0)
		problem_error(&m->problems, path, 0,
		              "readable by other users, but a private key; run chmod 600");
	if (source.text.len > SIGN_KEY_FILE_MAX)
		problem_error(&m->problems, path, 0, "longer than %d bytes, which is no key",
		              SIGN_KEY_FILE_MAX);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
	struct key *slot = &keys->all[keys->count];

	if (key != NULL && digest_key(key, slot->digest)) {
		slot->name = path;
		keys->count++;
	} else {
		problem_error(&m->problems, path, 0,
		              "not a private key in PEM without a passphrase");
	}
	EVP_PKEY_free(key);
	close_file(file, &source);
}

static void read_keys(struct model *m, struct keys *keys)
{
	const char *directory = model_path(m, m->confdir, "keys");
	struct dirent **names;
	int count = scandir(directory, &names, pem_only, by_name);

	if (count < 0) {
		keys->unread = errno != ENOENT;
		if (errno != ENOENT && !problem_is_unseen(&m->problems, errno))
			problem_error(&m->problems, directory, 0, "%s", strerror(errno));
		return;
	}
	if (count > SIGN_KEYS_MAX)
		problem_error(&m->problems, directory, 0, "more than %d key files", SIGN_KEYS_MAX);
	keys->all = memory_get(sizeof *keys->all * (size_t)(count + 1));
	for (int i = 0; i < count; i++) {
		read_key(m, keys, directory, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static void add_name(struct model *m, struct model_certificate *c, const char *name, size_t len)
{
	char *copy = arena_string(&m->arena, (struct view){ name, len });

	for (size_t i = 0; i < len; i++)
		copy[i] = byte_lower(copy[i]);
	c->names = memory_grow(c->names, sizeof *c->names * (c->name_count + 1));
	c->names[c->name_count++] = (struct view){ copy, len };
}

/* RFC 6125: the names of subjectAltName; the common name only where there is no such extension. */
static void read_names(struct model *m, struct model_certificate *c, X509 *certificate,
                       const char *path)
{
	int how;
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &how, NULL);
	char common[256];

	if (names == NULL && how != -1) {
		problem_error(&m->problems, path, 0, "its host names cannot be read");
		return;
	}
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_name(m, c, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
			         (size_t)ASN1_STRING_length(name->d.dNSName));
	}
	int len = names == NULL ? X509_NAME_get_text_by_NID(X509_get_subject_name(certificate),
	                                                    NID_commonName, common, sizeof common)
	                        : -1;

	if (len > 0)
		add_name(m, c, common, (size_t)len);
	GENERAL_NAMES_free(names);
}

static void check_dates(struct model *m, struct model_certificate *c, X509 *certificate,
                        const char *path)
{
	struct tm tm;
	time_t now = time(NULL);

	ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm);
	c->expires_s = timegm(&tm);
	if (c->expires_s < now)
		problem_warning(&m->problems, path, 0, "the certificate has expired; renew it");
	ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &tm);
	if (timegm(&tm) > now)
		problem_warning(&m->problems, path, 0,
		                "the certificate is not valid yet; check the system clock");
}

/* Does a later certificate of the chain have a key? */
static bool is_in_wrong_order(const struct certificate *c, const struct keys *keys)
{
	BIO *chain = BIO_new_mem_buf(c->chain.data, (int)c->chain.len);
	char digest[CERTIFICATE_KEY_BYTES];
	bool found = false;
	X509 *next;

	while ((next = PEM_read_bio_X509(chain, NULL, no_passphrase, NULL)) != NULL) {
		bool known = digest_public(X509_get_X509_PUBKEY(next), digest);

		for (size_t i = 0; i < keys->count && known; i++)
			found |= memcmp(keys->all[i].digest, digest, sizeof digest) == 0;
		X509_free(next);
	}
	BIO_free(chain);
	ERR_clear_error();
	return found;
}

static void find_key(struct model *m, struct model_certificate *c, const struct keys *keys,
                     const char *path, const char *name)
{
	const char *same_name = model_path(m, model_path(m, m->confdir, "keys"), name);
	struct stat st;

	for (size_t i = 0; i < keys->count; i++)
		if (memcmp(keys->all[i].digest, c->certificate.key_digest.data,
		           CERTIFICATE_KEY_BYTES) == 0)
			c->certificate.key_path = view_of(keys->all[i].name);
	if (c->certificate.key_path.len || keys->unread)
		return;
	if (is_in_wrong_order(&c->certificate, keys))
		problem_error(
			&m->problems, path, 0,
			"the private key is that of a later certificate in the file: the first "
			"certificate must be the host's own");
	else if (stat(same_name, &st) == 0)
		problem_error(
			&m->problems, path, 0,
			"%s is not the private key of this certificate; replace it with the matching key",
			same_name);
	else
		problem_error(&m->problems, path, 0,
		              "there is no private key for this certificate; put it into %s",
		              same_name);
}

/* The chain as PEM again, so that nothing else that may stand in the file gets into a generation;
 * its first certificate, NULL when there is none, or when one is malformed: a chain cut short would
 * be none. */
static X509 *copy_chain(BIO *file, BIO *memory)
{
	X509 *first = NULL, *next = NULL;
	bool whole = memory != NULL;
	int count = 0;

	while (whole && count < CHAIN_MAX &&
	       (next = PEM_read_bio_X509(file, NULL, no_passphrase, NULL)) != NULL) {
		whole = PEM_write_bio_X509(memory, next) == 1;
		if (count++ == 0)
			first = next;
		else
			X509_free(next);
	}
	if (whole && next == NULL)
		whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	if (whole)
		return first;
	X509_free(first);
	return NULL;
}

/* keys/ is for keys; where certificates are nobody expects one to be a secret. */
static void check_secrecy(struct model *m, const char *path, const struct source *source)
{
	static const char mark[] = "PRIVATE KEY-----";
	struct stat st;

	if (memmem(source->text.data, source->text.len, mark, sizeof mark - 1) != NULL &&
	    stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		problem_error(
			&m->problems, path, 0,
			"has a private key in it, and is readable by other users; move the key to "
			"%s/keys",
			m->confdir);
}

static X509 *read_chain(struct model *m, BIO *file, struct model_certificate *c)
{
	BIO *memory = BIO_new(BIO_s_mem());
	X509 *first = copy_chain(file, memory);
	char *data;

	if (first != NULL) {
		long len = BIO_get_mem_data(memory, &data);

		c->certificate.chain = arena_copy(&m->arena, (struct view){ data, (size_t)len });
	}
	BIO_free(memory);
	return first;
}

static void check_kind(struct model *m, X509 *certificate, const char *path)
{
	const EVP_PKEY *key = X509_get0_pubkey(certificate);
	enum sign_key_kind kind;
	struct reason why;

	if (key == NULL)
		fail(&why, "a key that OpenSSL does not know");
	if (key == NULL || sign_key_judge(key, &kind, &why) != 0)
		problem_error(&m->problems, path, 0,
		              "the certificate is for %s; have one issued for such a key",
		              why.text);
}

static void read_certificate(struct model *m, const struct keys *keys, const char *directory,
                             const char *name)
{
	struct model_certificate c = { .certificate.index = (uint32_t)m->certificate_count };
	const char *path = model_path(m, directory, name);
	char digest[CERTIFICATE_KEY_BYTES];
	struct source source;
	BIO *file = open_file(m, path, &source);

	m->certificates_unseen |= m->problems.onlooker && source.denied;
	if (file == NULL)
		return;
	check_secrecy(m, path, &source);
	X509 *certificate = read_chain(m, file, &c);

	close_file(file, &source);
	if (certificate == NULL || !digest_public(X509_get_X509_PUBKEY(certificate), digest)) {
		problem_error(&m->problems, path, 0,
		              "contains no certificate in PEM format, or a malformed one");
		X509_free(certificate);
		return;
	}
	c.certificate.key_digest = arena_copy(&m->arena, (struct view){ digest, sizeof digest });
	c.certificate.file = view_of(path);
	check_kind(m, certificate, path);
	read_names(m, &c, certificate, path);
	if (c.name_count == 0)
		problem_warning(&m->problems, path, 0, "the certificate contains no host name");
	check_dates(m, &c, certificate, path);
	find_key(m, &c, keys, path, name);
	X509_free(certificate);
	m->certificates[m->certificate_count++] = c;
}

static bool serves(const struct model_certificate *c, struct view host)
{
	struct view parent = view_skip(host, view_find(host, '.'));

	for (size_t i = 0; i < c->name_count; i++) {
		struct view name = c->names[i];

		if (view_equal_nocase(name, host))
			return true;
		if (view_starts(name, VIEW("*.")) && view_equal_nocase(view_skip(name, 1), parent))
			return true;
	}
	return false;
}

static void choose_default(struct model *m, const char *directory)
{
	bool any = false;

	for (size_t i = 0; i < m->certificate_count; i++)
		any |= serves(&m->certificates[i], view_of(m->settings.host_name));
	if (m->certificate_count && !any && !m->certificates_unseen)
		problem_warning(
			&m->problems, directory, 0,
			"no certificate is for %s (host.name): mail programs that check the "
			"name of the server do not connect",
			m->settings.host_name);
	for (size_t i = m->certificate_count; i-- > 0;)
		if (serves(&m->certificates[i], view_of(m->settings.host_name)))
			m->certificate_default = i;
}

static bool offers_tls(const struct settings *s)
{
	for (unsigned i = 0; i < SERVICES; i++)
		if (services[i].tls && service_addresses(s, i)[0])
			return true;
	return false;
}

void certificates_read(struct model *m)
{
	const char *set = m->settings.tls_certificates, *directory = model_path(m, m->confdir, set);
	struct keys keys = { 0 };
	struct dirent **names;

	int count = set[0] ? scandir(directory, &names, pem_only, by_name) : 0;

	m->certificates_unseen = count < 0 && problem_is_unseen(&m->problems, errno);
	if (count < 0 && errno != ENOENT && !m->certificates_unseen)
		problem_error(&m->problems, directory, 0, "%s", strerror(errno));
	/* keyd reads them all, whether a certificate wants them or not. */
	read_keys(m, &keys);
	if (count > 0) {
		m->certificates = memory_get(sizeof *m->certificates * (size_t)count);
		for (int i = 0; i < count; i++) {
			read_certificate(m, &keys, directory, names[i]->d_name);
			free(names[i]);
		}
		free(names);
	}
	free(keys.all);
	choose_default(m, directory);
	if (count <= 0 && offers_tls(&m->settings) && !m->certificates_unseen)
		problem_warning(&m->problems, directory, 0,
		                "no certificate: TLS is not offered; put NAME.pem here and its key "
		                "into %s/keys/NAME.pem",
		                m->confdir);
}

static bool is_key_of(const struct certificate *c, const char *pem, size_t len)
{
	char digest[CERTIFICATE_KEY_BYTES];
	BIO *file = BIO_new_mem_buf(pem, (int)len);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
	bool good = key != NULL && digest_key(key, digest) &&
	            memcmp(digest, c->key_digest.data, sizeof digest) == 0;

	EVP_PKEY_free(key);
	BIO_free(file);
	ERR_clear_error();
	return good;
}

int certificate_verify_key(const struct certificate *c, int fd, struct reason *why)
{
	char *pem = OPENSSL_zalloc(SIGN_KEY_FILE_MAX);
	ssize_t len = pem == NULL ? -1 : file_read_some(fd, pem, SIGN_KEY_FILE_MAX);
	int result = len < 0                           ? fail_errno(why, "reading it")
	             : !is_key_of(c, pem, (size_t)len) ? fail(why, "not the private key")
	                                               : 0;

	OPENSSL_clear_free(pem, SIGN_KEY_FILE_MAX);
	return result;
}

int certificate_copy_key(const struct certificate *c, int fd, struct reason *why)
{
	const char *path = c->key_path.data;
	char *pem = OPENSSL_zalloc(SIGN_KEY_FILE_MAX);
	int from = open(path, O_RDONLY | O_CLOEXEC), result = -1;
	ssize_t len = from < 0 || pem == NULL ? -1 : file_read_some(from, pem, SIGN_KEY_FILE_MAX);

	if (len < 0)
		fail_errno(why, "read %s", path);
	else if (!is_key_of(c, pem, (size_t)len))
		fail(why, "%s was changed while it was read; try again", path);
	else if (write_whole(fd, pem, (size_t)len) != 0 || fsync(fd) != 0)
		fail_errno(why, "copy %s", path);
	else
		result = 0;
	OPENSSL_clear_free(pem, SIGN_KEY_FILE_MAX);
	if (from >= 0)
		close(from);
	return result;
}
