/* SPDX-License-Identifier: ISC */
#include "imapd/extension.h"

static const struct capability general[] = {
	{ "IMAP4rev1", CAPABILITY_ALWAYS, CAPABILITY_WORD },     /* RFC 3501 */
	{ "LITERAL+", CAPABILITY_ALWAYS, CAPABILITY_WORD },      /* RFC 7888 */
	{ "SASL-IR", CAPABILITY_BEFORE_LOGIN, CAPABILITY_WORD }, /* RFC 4959 */
};

void extensions_write(const struct capability_writer *w)
{
	for (size_t i = 0; i < sizeof general / sizeof general[0]; i++)
		capability_write(w, &general[i]);
}
