/* SPDX-License-Identifier: ISC */
#include "deliver/remote/refusal.h"

#include <string.h>

enum evidence {
	IS_SURE = 1,  /* the status says it */
	IS_EDGE,      /* the status says it, if not to everybody; 5.1.1 says it better */
	IS_CLEAR,     /* unknown_words decide; 5.1.1 says it better */
	IS_IN_WORDS,  /* the same, or a vague one */
	IS_CLOSED,    /* the same as IS_SURE_WORDS, or closed_words */
	IS_SURE_WORDS /* its words decide; the status is precise */
};

static const struct {
	const char *status;
	enum evidence evidence;
} statuses[] = {
	{ "5.1.1", IS_SURE },       { "5.1.10", IS_SURE },      { "5.4.1", IS_EDGE },
	{ "5.1.2", IS_CLEAR },      { "5.4.4", IS_CLEAR },      { "5.0.0", IS_IN_WORDS },
	{ "5.1.0", IS_IN_WORDS },   { "5.3.0", IS_IN_WORDS },   { "5.4.0", IS_IN_WORDS },
	{ "5.5.0", IS_IN_WORDS },   { "5.1.3", IS_SURE_WORDS }, { "5.1.4", IS_SURE_WORDS },
	{ "5.1.6", IS_SURE_WORDS }, { "5.2.1", IS_CLOSED },
};

/* In any case, each between borders. They have a blank, or are qmail's status: no name of a host or
 * domain is one of them, and no word that a sender has chosen. */
static const char *const unknown_words[] = {
	"unrouteable address",
	"unroutable address",
	"user unknown",
	"user is unknown",
	"unknown user",
	"no such user",
	"no such person",
	"user not found",
	"user does not exist",
	"user doesn't exist",
	"user not local",
	"recipient unknown",
	"recipient is unknown",
	"unknown recipient",
	"no such recipient",
	"invalid recipient",
	"not a valid recipient",
	"recipient not found",
	"recipient does not exist",
	"addressee unknown",
	"address unknown",
	"unknown address",
	"no such address",
	"address does not exist",
	"mailbox unknown",
	"unknown mailbox",
	"no such mailbox",
	"invalid mailbox",
	"not a valid mailbox",
	"no mailbox here",
	"mailbox not found",
	"mailbox does not exist",
	"no such account",
	"account does not exist",
	"account disabled",
	"account is disabled",
	"#5.1.1",
	NULL,
};

/* The same where the status speaks of the mailbox. */
static const char *const closed_words[] = {
	"disabled", "deactivated", "inactive", "suspended", "closed", "no longer", NULL,
};

/* Exchange Online, of a recipient that it does not have. */
static const char *const edge_words[] = {
	"recipient address rejected: access denied",
	"recipient addresses rejected : access denied",
	NULL,
};

/* RFC 5321 section 4.2.2 has them for 550 of any cause. */
static const char vague_words[] = "mailbox unavailable";

/* With one of them it is, or may be, about the sender, about us, or about the moment. */
static const char *const other_parts[] = {
	"sender",   " from",      "dkim",      "dmarc",       "relay",   "black",    "block",
	"spam",     "polic",      "verif",     "helo",        "ehlo",    "callout",  "callback",
	"list",     "reputation", "abuse",     "unsolicited", "suspic",  "authenti", "unauthori",
	"not auth", "denied",     "prohibit",  "not allowed", "permi",   "forbid",   "banned",
	"quota",    "exceed",     "limit",     "throttl",     "frequen", "temporar", "too many",
	"too much", "too fast",   "too quick", "again",       "retry",   "overload", "undeliver",
	"said:",    "timeout",    "timed out", "insuffi",     "5.7.",    "5.2.2",    "5.1.7",
	"5.1.8",    NULL,
};
static const char *const other_words[] = {
	"rate", "full", "later", "busy", "spf", "rbl", "dns", "size", "space", NULL,
};

/* Postfix, of a recipient. */
static const char table_words[] = "in relay recipient table";

enum { TAKEN_OUT = '\1' /* in no reply */ };

static const char *find(const char *text, const char *words)
{
	struct view rest = view_of(text), wanted = view_of(words);

	for (; rest.len > 0; rest = view_skip(rest, 1))
		if (view_starts_nocase(rest, wanted))
			return rest.data;
	return NULL;
}

/* So that "unknown user@far.test" is no unknown user. */
static bool is_border(const char *at)
{
	return *at == '\0' || (*at == '.' && (at[1] == ' ' || at[1] == '\0')) ||
	       strchr(" ,:;!()[]<>'/", *at) != NULL;
}

static bool is_inside(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c);
}

static bool has_words(const char *text, const char *words)
{
	for (const char *at = text; (at = find(at, words)) != NULL; at++)
		if ((at == text || (at[-1] != '.' && is_border(at - 1))) &&
		    is_border(at + strlen(words)))
			return true;
	return false;
}

static bool has_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (has_words(text, *words))
			return true;
	return false;
}

static bool stands_alone(const char *text, const char *at, size_t len)
{
	return (at == text || !is_inside(at[-1])) && !is_inside(at[len]);
}

/* Wherever it stands alone; what was around it does not become one. */
static void take_out(char *text, struct view words)
{
	for (char *at = text; *at && words.len > 0; at++)
		if (view_starts_nocase(view_of(at), words) && stands_alone(text, at, words.len))
			memset(at, TAKEN_OUT, words.len);
}

/* The part before the last @ and the one behind it. */
static void part_address(struct view address, struct view *local, struct view *domain)
{
	size_t at = address.len;

	while (at > 0 && address.data[at - 1] != '@')
		at--;
	*local = view_take(address, at > 0 ? at - 1 : address.len);
	*domain = at > 0 ? view_skip(address, at) : VIEW("");
}

static void take_out_address(char *text, const char *address, bool parts)
{
	struct view local, domain;

	part_address(view_of(address), &local, &domain);
	take_out(text, view_of(address));
	take_out(text, domain);
	if (parts)
		take_out(text, local);
}

static bool has_other_words(const char *text)
{
	for (const char *const *words = other_parts; *words; words++)
		if (find(text, *words))
			return true;
	for (const char *const *words = other_words; *words; words++)
		for (const char *at = text; (at = find(at, *words)) != NULL; at++)
			if (stands_alone(text, at, strlen(*words)))
				return true;
	return false;
}

/* What is in the name of the recipient, of its domain or of the host says nothing: no stranger
 * chooses it for others. A local part may stand there by itself as well, and does not count as a
 * name. */
static bool is_of_something_else(const char *words, bool is_edge, const struct refusal_parties *p)
{
	char text[REPLY_TEXT_MAX];

	string_put(text, sizeof text, view_of(words));
	take_out_address(text, p->recipient, false);
	take_out(text, view_of(p->host));
	take_out(text, view_of(table_words));
	for (const char *const *edge = edge_words; is_edge && *edge; edge++)
		take_out(text, view_of(*edge));
	return has_other_words(text);
}

/* Who has other characters in a sender may have more of the words, and of what is around them, than
 * is found in the answer by looking for it. */
static bool is_plain(const char *sender)
{
	for (; *sender; sender++)
		if (!is_inside(*sender) && strchr("@.-_+=", *sender) == NULL)
			return false;
	return true;
}

static bool is_code_of_address(int code)
{
	return code == 511 || code == 550 || code == 551 || code == 553 || code == 554 ||
	       code == 556;
}

/* Does the host say so itself?  text: without what it may have been told. */
static bool says_surely(const char *text, const char *status, enum evidence evidence)
{
	if (evidence == IS_SURE)
		return view_starts(view_of(text), view_of(status));
	return has_one_of(text, unknown_words) ||
	       (evidence == IS_EDGE && has_one_of(text, edge_words)) ||
	       (evidence == IS_CLOSED && has_one_of(text, closed_words));
}

static enum refusal judge(const struct reply *r, enum evidence evidence,
                          const struct refusal_parties *p)
{
	char text[REPLY_TEXT_MAX];

	string_put(text, sizeof text, view_skip(view_of(r->text), 4));
	if (is_of_something_else(text, evidence == IS_EDGE, p))
		return REFUSAL_OTHER;
	take_out_address(text, p->sender, true);
	take_out(text, view_of(p->us));
	bool sure = says_surely(text, r->status, evidence);

	if (sure && is_plain(p->sender) && is_code_of_address(r->code))
		return REFUSAL_SURE;
	if (sure || evidence == IS_EDGE)
		return REFUSAL_UNKNOWN;
	return evidence == IS_IN_WORDS && has_words(text, vague_words) ? REFUSAL_UNKNOWN
	                                                               : REFUSAL_OTHER;
}

/* 0: none. */
static enum evidence evidence_of(const struct reply *r)
{
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
		if (strcmp(r->status, statuses[i].status) == 0)
			return statuses[i].evidence;
	return 0;
}

enum refusal refusal_judge(const struct reply *r, const struct refusal_parties *p)
{
	enum evidence evidence = evidence_of(r);

	/* Of a text that is cut the rest may say something else. */
	if (p->recipient == NULL || r->code / 100 != 5 || r->code == 552 ||
	    (r->code >= 500 && r->code <= 504) || evidence == 0 ||
	    strlen(r->text) + 1 >= sizeof r->text)
		return REFUSAL_OTHER;
	return judge(r, evidence, p);
}

void refusal_be_precise(struct reply *r)
{
	enum evidence evidence = evidence_of(r);

	if (evidence != IS_SURE && evidence != IS_CLOSED && evidence != IS_SURE_WORDS)
		string_put(r->status, sizeof r->status, VIEW("5.1.1"));
}
