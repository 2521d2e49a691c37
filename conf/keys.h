/* SPDX-License-Identifier: ISC */
/* Has each certificate of a generation its private key, where keyd looks for it? */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

/* keyd is given the generation's keys/; of one built before 0.2, which has none of its own, those
 * in the configuration directory now. Tells each certificate whose key is not there, or is
 * another's: "keys/x.pem of the current generation: not the private key: ..."; which: " of the
 * current generation", or "". */
void keys_verify(int generation, const char *confdir, const char *which,
                 void (*tell)(void *context, const char *text), void *context);

#endif
