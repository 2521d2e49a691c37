/* SPDX-License-Identifier: ISC */
/* Certificates and their keys: what is below certs/ and keys/, and which key fits which. */
#ifndef CONF_CERTIFICATES_H
#define CONF_CERTIFICATES_H

struct model;

/* Fills m->certificates; the settings have been read. */
void certificates_read(struct model *m);

#endif
