/* SPDX-License-Identifier: ISC */
/* The lines of a POP3 client after its login: a known verb with what its row asks for, or words of
 * refusal. */
#include <stdlib.h>

#include "pop3d/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = { (const char *)data, size }, line;

	while (view_cut(&rest, '\n', &line)) {
		struct pop3_command c;
		const char *wrong = pop3_parse(line, &c);

		if (wrong != NULL) {
			need(wrong[0] != '\0');
			continue;
		}
		need(c.verb < POP3_VERBS);
		enum pop3_argument rule = pop3_table[c.verb].argument;

		need(c.has_message ? c.message > 0 && rule != POP3_NONE
		                   : rule == POP3_NONE || rule == POP3_MAY_NAME_MESSAGE);
	}
	return 0;
}
