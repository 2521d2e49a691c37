/* SPDX-License-Identifier: ISC */
#include "deliver/remote/refusal.h"

#include <string.h>

enum meaning {
	MEANS_ADDRESS = 1, /* unknown, and the status says it */
	MEANS_UNKNOWN,     /* unknown, and 5.1.1 says it better */
	MEANS_WORDS        /* its words decide */
};

static const struct {
	const char *status;
	enum meaning meaning;
} statuses[] = {
	{ "5.1.1", MEANS_ADDRESS }, { "5.1.3", MEANS_ADDRESS },  { "5.1.4", MEANS_ADDRESS },
	{ "5.1.6", MEANS_ADDRESS }, { "5.1.10", MEANS_ADDRESS }, { "5.2.1", MEANS_ADDRESS },
	{ "5.1.2", MEANS_UNKNOWN }, { "5.4.1", MEANS_UNKNOWN },  { "5.4.4", MEANS_UNKNOWN },
	{ "5.0.0", MEANS_WORDS },   { "5.1.0", MEANS_WORDS },    { "5.3.0", MEANS_WORDS },
	{ "5.4.0", MEANS_WORDS },   { "5.5.0", MEANS_WORDS },
};

/* In any case. Each has a blank, or is qmail's status: no name of a host or domain is one of them.
 */
static const char *const unknown_words[] = {
	"unrouteable address",
	"unroutable address",
	"user unknown",
	"unknown user",
	"no such user",
	"user not found",
	"user does not exist",
	"user doesn't exist",
	"user not local",
	"recipient unknown",
	"unknown recipient",
	"no such recipient",
	"invalid recipient",
	"recipient not found",
	"recipient does not exist",
	"address unknown",
	"unknown address",
	"no such address",
	"address does not exist",
	"mailbox unknown",
	"unknown mailbox",
	"no such mailbox",
	"no mailbox here",
	"mailbox not found",
	"mailbox does not exist",
	"mailbox unavailable",
	"no such account",
	"account does not exist",
	"#5.1.1",
};

/* With one of them, as a part of a word too, it is, or may be, about the sender or about us. */
static const char *const other_words[] = {
	"sender",   " from",  "spf",   "dkim",   "dmarc",  "relay",   "black",
	"block",    "spam",   "polic", "verif",  "helo",   "callout", "reputation",
	"greylist", "listed", "#5.7.", "#5.1.7", "#5.1.8",
};

static const char *find(const char *text, const char *words)
{
	size_t len = strlen(words);

	for (; *text; text++)
		if (view_starts_nocase(view_of(text), (struct view){ words, len }))
			return text;
	return NULL;
}

/* So that "unknown user@far.test" is no unknown user. */
static bool is_border(const char *at)
{
	return *at == '\0' || (*at == '.' && (at[1] == ' ' || at[1] == '\0')) ||
	       strchr(" ,:;!()[]<>'/", *at) != NULL;
}

static bool has_words(const char *text, const char *words)
{
	for (const char *at = text; (at = find(at, words)) != NULL; at++)
		if ((at == text || (at[-1] != '.' && is_border(at - 1))) &&
		    is_border(at + strlen(words)))
			return true;
	return false;
}

/* Of a text that is cut the rest may say something else. */
static bool words_mean_unknown(const struct reply *r)
{
	if (strlen(r->text) + 1 >= sizeof r->text)
		return false;
	for (size_t i = 0; i < sizeof other_words / sizeof other_words[0]; i++)
		if (find(r->text, other_words[i]))
			return false;
	if (r->code == 551) /* RFC 5321 section 4.2.3: user not local */
		return true;
	for (size_t i = 0; i < sizeof unknown_words / sizeof unknown_words[0]; i++)
		if (has_words(r->text, unknown_words[i]))
			return true;
	return false;
}

/* 0: it is about something else. */
static enum meaning meaning_of(const struct reply *r)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (strcmp(r->status, statuses[i].status) == 0)
			return statuses[i].meaning;
	return 0;
}

bool refusal_means_unknown(const struct reply *r)
{
	enum meaning meaning = meaning_of(r);

	if (r->code / 100 != 5 || meaning == 0)
		return false;
	if (meaning != MEANS_WORDS)
		return true;
	return (r->code == 550 || r->code == 551 || r->code == 553 || r->code == 554) &&
	       words_mean_unknown(r);
}

void refusal_be_precise(struct reply *r)
{
	if (meaning_of(r) != MEANS_ADDRESS)
		string_put(r->status, sizeof r->status, VIEW("5.1.1"));
}

bool refusal_is_hosts_own(const char *sender)
{
	return strchr(sender, ' ') == NULL;
}
