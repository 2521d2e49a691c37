/* SPDX-License-Identifier: ISC */
#include "lib/conf/accounts.h"

#include <pwd.h>
#include <stddef.h>

static const char *const names[ACCOUNTS] = {
#define ACCOUNT(word, purpose) [ACCOUNT_##word] = ACCOUNT_PREFIX #word,
#include "lib/conf/accounts.def"
#undef ACCOUNT
};

const char *account_name(enum account account)
{
	return account == ACCOUNT_vmail ? "vmail" : names[account];
}

int account_find(enum account account, long base, uid_t *uid, gid_t *gid, struct reason *why)
{
	if (base > 0) {
		*uid = (uid_t)(base + account);
		*gid = (gid_t)(base + account);
		return 0;
	}
	const struct passwd *entry = getpwnam(account_name(account));

	if (entry == NULL)
		return fail(
			why,
			"there is no system account %s: run `make accounts' as root, or set account.base",
			account_name(account));
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return 0;
}
