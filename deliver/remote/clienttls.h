/* SPDX-License-Identifier: ISC */
/* TLS towards other mail hosts, as a layer of a stream: used when offered, without demanding a
 * certificate that can be verified (RFC 3207, RFC 7435: protection where there is none
 * otherwise). */
#ifndef DELIVER_REMOTE_CLIENTTLS_H
#define DELIVER_REMOTE_CLIENTTLS_H

#include "lib/base/reason.h"
#include "lib/net/stream.h"

struct clienttls;

/* Once, before the jail: reads the system's CA certificates. */
int clienttls_start(struct reason *why);
/* The handshake on s->fd, within the stream's timeout; the name goes into SNI. NULL with the
 * reason: the connection cannot be used any more. On success s->layer is set. */
struct clienttls *clienttls_begin(struct stream *s, const char *host, struct reason *why);
/* "TLSv1.3:TLS_AES_256_GCM_SHA384:verified" (or "unverified") for the log. */
void clienttls_facts(const struct clienttls *tls, char *out, size_t size);
void clienttls_end(struct clienttls **tls, struct stream *s);

#endif
