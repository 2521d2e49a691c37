/* SPDX-License-Identifier: ISC */
/* What porter speaks as TLS, and which certificate it shows to whom. */
#ifndef MASTER_PORTER_TLS_H
#define MASTER_PORTER_TLS_H

#include <stdbool.h>

typedef struct ssl_st SSL;

/* Before the jail: starts OpenSSL and opens tls.cdb. minimum_version: "1.2" or "1.3". */
void tls_start(const char *minimum_version);
/* Is there a certificate? */
bool tls_is_offered(void);
/* The server's side of a fresh session, without a socket; NULL: no memory. */
SSL *tls_session(void);
/* At the end: what OpenSSL holds. */
void tls_stop(void);

#endif
