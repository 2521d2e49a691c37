/* SPDX-License-Identifier: ISC */
/* The accounts that authd knows: passwords.cdb, opened before the jail. */
#ifndef MASTER_AUTHD_ACCOUNT_H
#define MASTER_AUTHD_ACCOUNT_H

#include "lib/conf/passwords.h"
#include "lib/wire/auth.h"

/* Fatal when the map cannot be opened; mail_domain stays the caller's. Its maps, which mapwire.h
 * replaces. */
struct map *account_open(const char *mail_domain);
void account_close(void); /* in a worker, which needs none of them */
/* There is another map: what was found in the old one is gone. */
void account_renew(void);

/* Lower case, and with a domain: the account's one name. false: it is too long for any. */
bool account_name(const char *user, char address[AUTH_ADDRESS_MAX]);
/* What is found points into the map. */
enum map_result account_find(const char *address, struct password *out);
/* Is it in use, with the right to that service? */
bool account_may(const struct user *user, enum connection_service service);
/* Of what, once changed, ends the account's sessions: password, owner and home. */
uint64_t account_stamp(const struct password *record);
/* An unknown user costs what a known one would: the same name always meets the same of some real
 * hashes. */
struct view account_hash_for_nobody(const char *address);

#endif
