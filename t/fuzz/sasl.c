/* SPDX-License-Identifier: ISC */
/* SASL messages and stored hashes: the first byte chooses, then messages that a newline parts. */
#include <stdlib.h>
#include <string.h>

#include "master/authd/hash.h"
#include "master/authd/mechanism.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_mechanism(enum auth_mechanism mechanism, struct view messages)
{
	struct sasl s;
	struct view message, challenge;
	enum sasl_result result = SASL_CHALLENGE;

	sasl_start(&s, mechanism);
	while (result == SASL_CHALLENGE && view_cut(&messages, '\n', &message)) {
		/* "-": the client has said nothing yet. */
		result = sasl_step(&s, !view_equal(message, VIEW("-")), message, &challenge);
		if (memchr(s.user, '\0', sizeof s.user) == NULL ||
		    s.password_len > AUTH_PASSWORD_MAX)
			abort();
		if (result == SASL_CHECK && (s.user[0] == '\0' || s.password_len == 0 ||
		                             strlen(s.password) != s.password_len))
			abort();
		if (s.step > 3)
			abort(); /* no mechanism of the house asks as often */
	}
}

/* Costs as little as the cheapest scheme: what is dear is only looked at. */
static void run_hash(struct view in)
{
	struct view stored;

	if (!view_cut(&in, '\n', &stored))
		return;
	bool usable = hash_usable(stored);

	if (view_starts_nocase(stored, VIEW("{S")) && hash_check(stored, in) == HASH_MATCHES &&
	    !usable)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct view rest = { (const char *)data + 1, size - 1 };

	if (data[0] % 3 < AUTH_MECHANISM_COUNT)
		run_mechanism((enum auth_mechanism)(data[0] % 3), rest);
	else
		run_hash(rest);
	return 0;
}
