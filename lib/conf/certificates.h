/* SPDX-License-Identifier: ISC */
/*
 * tls.cdb: certificate chains by server name.  Only public parts are in it; a private key
 * stays in its file, which master opens for keyd.
 */
#ifndef LIB_CONF_CERTIFICATES_H
#define LIB_CONF_CERTIFICATES_H

#include "lib/conf/map.h"

enum {
	CERTIFICATE_KEY_BYTES = 32 /* SHA-256 of the SubjectPublicKeyInfo, as in lib/wire/sign.h */
};

struct certificate {
	uint32_t index;         /* 0, 1, ... in order of the files' names */
	struct view chain;      /* PEM, the host's certificate first */
	struct view key_path;   /* absolute */
	struct view key_digest; /* CERTIFICATE_KEY_BYTES */
	struct view file;       /* where it came from, for messages */
};

/* By server name: the name itself, "*" for its first label, else the default (the one that
 * has host.name, or else the first).  MAP_MISSING: there is no certificate at all. */
enum map_result certificates_find(struct map *m, struct view server_name, struct certificate *out);
enum map_result certificates_at(struct map *m, uint32_t index, struct certificate *out);

/* For the builder: the entry of a certificate, and of a name ("*": the default). */
void certificate_key(uint32_t index, struct text *out);
void certificate_name_key(struct view name, struct text *out);
void certificate_encode(const struct certificate *c, struct text *out);
bool certificate_decode(struct view value, struct certificate *out);
void certificate_index_encode(uint32_t index, struct text *out);

#endif
