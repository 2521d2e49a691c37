/* SPDX-License-Identifier: ISC */
/* What a client says to pop3-login: the program itself, with another main. */
int pop3_login_main(void);
#define main pop3_login_main
#include "pop3d/pop3-login.c"
#undef main
#include "t/fuzz/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	login_fuzz(CONNECTION_POP3, data, size);
	return 0;
}
