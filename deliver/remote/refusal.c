/* SPDX-License-Identifier: ISC */
#include "deliver/remote/refusal.h"

#include <string.h>

enum meaning {
	MEANS_ADDRESS = 1, /* unknown, and the status says it */
	MEANS_UNKNOWN,     /* unknown, and 5.1.1 says it better */
	MEANS_RECIPIENT,   /* the same, where its words name the recipient's address */
	MEANS_DISABLED,    /* a mailbox, where its words say that it is closed */
	MEANS_WORDS        /* its words decide */
};

static const struct {
	const char *status;
	enum meaning meaning;
} statuses[] = {
	{ "5.1.1", MEANS_ADDRESS }, { "5.1.3", MEANS_ADDRESS },   { "5.1.4", MEANS_ADDRESS },
	{ "5.1.6", MEANS_ADDRESS }, { "5.1.10", MEANS_ADDRESS },  { "5.2.1", MEANS_DISABLED },
	{ "5.1.2", MEANS_UNKNOWN }, { "5.4.1", MEANS_RECIPIENT }, { "5.4.4", MEANS_UNKNOWN },
	{ "5.0.0", MEANS_WORDS },   { "5.1.0", MEANS_WORDS },     { "5.3.0", MEANS_WORDS },
	{ "5.4.0", MEANS_WORDS },   { "5.5.0", MEANS_WORDS },
};

/* In any case. Each has a blank, or is qmail's status: no name of a host or domain is one of them.
 * Not "mailbox unavailable", which RFC 5321 section 4.2.2 has for every 550. */
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
	"no such account",
	"account does not exist",
	"#5.1.1",
	NULL,
};

static const char *const disabled_words[] = {
	"disabled", "deactivated", "inactive", "suspended", "closed", "no longer", NULL,
};

/* With one of them, as a part of a word too, it is, or may be, about something else, whatever the
 * status: the sender, a list, how much comes in, how full it is, another host's probe. */
static const char *const doubtful_words[] = {
	"sender",    "spf",           "dkim",      "dmarc",         "black",    "block",
	"spam",      "polic",         "verif",     "helo",          "callout",  "reputation",
	"greylist",  "listed",        "quota",     "too many",      "too much", "too fast",
	" rate",     "receivingrate", "limit",     "exceed",        "is full",  "mailbox full",
	"later",     "temporar",      "try again", "undeliverable", " said:",   "connect",
	"timed out", "timeout",       NULL,
};

/* Of words without a status of the address's: Postfix writes "User unknown in relay recipient
 * table". */
static const char *const others_words[] = {
	" from", "relay", "#5.7.", "#5.1.7", "#5.1.8", NULL,
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

static bool has_any(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (find(text, *words))
			return true;
	return false;
}

static bool words_mean_unknown(const char *text)
{
	if (has_any(text, others_words))
		return false;
	for (const char *const *words = unknown_words; *words; words++)
		if (has_words(text, *words))
			return true;
	return false;
}

/* Codes with which hosts refuse an address: 552 is a size or a quota. */
static bool is_of_address(int code)
{
	return code == 550 || code == 551 || code == 553 || code == 554;
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
	/* Of a text that is cut the rest may say something else. */
	if (r->code / 100 != 5 || strlen(r->text) + 1 >= sizeof r->text ||
	    has_any(r->text, doubtful_words))
		return false;
	switch (meaning_of(r)) {
	case MEANS_ADDRESS:
	case MEANS_UNKNOWN: return is_of_address(r->code) || r->code == 501 || r->code == 556;
	case MEANS_RECIPIENT:
		return is_of_address(r->code) && find(r->text, "recipient address") != NULL;
	case MEANS_DISABLED: return is_of_address(r->code) && has_any(r->text, disabled_words);
	case MEANS_WORDS: return is_of_address(r->code) && words_mean_unknown(r->text);
	}
	return false;
}

void refusal_be_precise(struct reply *r)
{
	enum meaning meaning = meaning_of(r);

	if (meaning != MEANS_ADDRESS && meaning != MEANS_DISABLED)
		string_put(r->status, sizeof r->status, VIEW("5.1.1"));
}

bool refusal_is_hosts_own(const char *sender)
{
	return strpbrk(sender, " \t\"\\#%&") == NULL;
}
