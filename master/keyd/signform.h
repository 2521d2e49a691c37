/* SPDX-License-Identifier: ISC */
/*
 * Has a block the exact form of what a TLS server signs in a handshake?  Pure; keyd asks it before
 * every signature.
 *
 * What it lets through opens a TLS connection of this host and nothing else: the form of TLS 1.3
 * names its purpose, that of TLS 1.2 is a fixed number of bytes with a fixed structure, and neither
 * can be a message header, a certificate or another protocol's digest.
 */
#ifndef MASTER_KEYD_SIGNFORM_H
#define MASTER_KEYD_SIGNFORM_H

#include "lib/base/bytes.h"
#include "lib/wire/signkey.h"

/* NULL when the key may sign this block under this scheme; else why not. */
const char *sign_refusal(enum sign_key_kind key, uint16_t scheme, struct view block);

#endif
