/* SPDX-License-Identifier: ISC */
/* The capabilities that are no command, for imap-login and imapd; those that are stand in the rows
 * of the two tables of commands. */
#ifndef IMAPD_EXTENSION_H
#define IMAPD_EXTENSION_H

#include "lib/login/capability.h"

void extensions_write(const struct capability_writer *w);

#endif
