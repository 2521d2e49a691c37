/* SPDX-License-Identifier: ISC */
/* The system accounts that programs run as: names and numbers from one list, accounts.def. */
#ifndef LIB_CONF_ACCOUNTS_H
#define LIB_CONF_ACCOUNTS_H

#include <sys/types.h>

#include "lib/base/reason.h"

enum account {
#define ACCOUNT(word, purpose) ACCOUNT_##word,
#include "lib/conf/accounts.def"
#undef ACCOUNT
	ACCOUNTS
};

/* "_phporter", "vmail". */
const char *account_name(enum account account);
/* base: the setting account.base.  -1: there is no such account; the reason says how to make it. */
int account_find(enum account account, long base, uid_t *uid, gid_t *gid, struct reason *why);

#endif
