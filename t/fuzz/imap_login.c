/* SPDX-License-Identifier: ISC */
/* What a client says to imap-login: the program itself, with another main. */
int imap_login_main(void);
#define main imap_login_main
#include "imapd/imap-login.c"
#undef main
#include "t/fuzz/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	login_fuzz(CONNECTION_IMAP, data, size);
	return 0;
}
