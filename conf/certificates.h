/* SPDX-License-Identifier: ISC */
/* Certificates and their keys: what is below certs/ and keys/, and which key fits which. */
#ifndef CONF_CERTIFICATES_H
#define CONF_CERTIFICATES_H

#include "lib/base/reason.h"

struct certificate;
struct model;

/* Fills m->certificates; the settings have been read. */
void certificates_read(struct model *m);
/* Writes the certificate's private key, as its file is now, to the descriptor; -1 when the file is
 * no longer of that key. */
int certificate_copy_key(const struct certificate *c, int fd, struct reason *why);
/* Is what this file has the certificate's private key? */
int certificate_verify_key(const struct certificate *c, int fd, struct reason *why);

#endif
