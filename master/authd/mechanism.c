/* SPDX-License-Identifier: ISC */
#include "master/authd/mechanism.h"

#include <string.h>

/* False when it can be no name: too long, or with a NUL, which no mechanism may carry into a C
 * string. */
static bool take_user(struct sasl *s, struct view user)
{
	return (user.len == 0 || memchr(user.data, '\0', user.len) == NULL) &&
	       string_copy(s->user, sizeof s->user, user);
}

static enum sasl_result take_password(struct sasl *s, struct view password)
{
	if (password.len && memchr(password.data, '\0', password.len) != NULL)
		return SASL_MALFORMED;
	if (!string_copy(s->password, sizeof s->password, password))
		return SASL_DENIED; /* no password of the house is longer */
	s->password_len = password.len;
	return s->user[0] == '\0' || password.len == 0 ? SASL_DENIED : SASL_CHECK;
}

/* RFC 4616 section 2: [authzid] NUL authcid NUL passwd. */
static enum sasl_result step_PLAIN(struct sasl *s, bool has_input, struct view input,
                                   struct view *challenge)
{
	size_t first = view_find(input, '\0');
	size_t second = first < input.len ? first + 1 + view_find(view_skip(input, first + 1), '\0')
	                                  : input.len;

	if (!has_input && s->step == 0) {
		*challenge = VIEW("");
		return SASL_CHALLENGE;
	}
	if (!has_input || second >= input.len)
		return SASL_MALFORMED;
	struct view authzid = view_take(input, first),
		    authcid = view_take(view_skip(input, first + 1), second - first - 1);

	if (!take_user(s, authcid))
		return SASL_MALFORMED;
	enum sasl_result result = take_password(s, view_skip(input, second + 1));

	/* To act for somebody else is a right that nobody has yet. */
	if (result == SASL_CHECK && authzid.len && !view_equal_nocase(authzid, authcid))
		return SASL_DENIED;
	return result;
}

/* draft-murchison-sasl-login-00, with the prompts that its clients really wait for. The name may be
 * sent at once. */
static enum sasl_result step_LOGIN(struct sasl *s, bool has_input, struct view input,
                                   struct view *challenge)
{
	if (!has_input && s->step > 0)
		return SASL_MALFORMED;
	if (!has_input) {
		*challenge = VIEW("Username:");
		return SASL_CHALLENGE;
	}
	if (s->user[0] != '\0')
		return take_password(s, input);
	if (!take_user(s, input))
		return SASL_MALFORMED;
	if (input.len == 0)
		return SASL_DENIED;
	*challenge = VIEW("Password:");
	return SASL_CHALLENGE;
}

typedef enum sasl_result step_function(struct sasl *s, bool has_input, struct view input,
                                       struct view *challenge);

static step_function *const steps[] = {
#define STEP_ROW(word, name, clear_text) [AUTH_##word] = step_##word,
	AUTH_MECHANISMS(STEP_ROW)
#undef STEP_ROW
};

void sasl_start(struct sasl *s, enum auth_mechanism mechanism)
{
	memset(s, 0, sizeof *s);
	s->mechanism = mechanism;
}

enum sasl_result sasl_step(struct sasl *s, bool has_input, struct view input,
                           struct view *challenge)
{
	enum sasl_result result = steps[s->mechanism](s, has_input, input, challenge);

	s->step++;
	return result;
}
