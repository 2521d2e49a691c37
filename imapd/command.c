/* SPDX-License-Identifier: ISC */
#include "imapd/command.h"

#include "imapd/extension.h"
#include "imapd/list.h"
#include "imapd/mailboxname.h"

enum { ANY = SESSION_AUTHENTICATED | SESSION_SELECTED, SELECTED = SESSION_SELECTED };

/* In the order in which the capabilities are told. */
static const struct command commands[] = {
	{ "CAPABILITY", capability_run, ANY, "", 0, NULL },
	{ "NOOP", noop_run, ANY, "", 0, NULL },
	{ "LOGOUT", logout_run, ANY, "", COMMAND_QUIET, NULL },
	{ "ID", id_run, ANY, "x", 0, "ID" },
	{ "ENABLE", enable_run, ANY, "+", 0, "ENABLE" },
	{ "IDLE", idle_run, ANY, "", 0, "IDLE" },
	{ "NAMESPACE", namespace_run, ANY, "", 0, "NAMESPACE" },

	/* The login's commands: only to be refused. */
	{ "STARTTLS", already_run, ANY, "*", 0, NULL },
	{ "AUTHENTICATE", already_run, ANY, "*", 0, NULL },
	{ "LOGIN", already_run, ANY, "*", 0, NULL },

	/* One mailbox is selected. */
	{ "SELECT", select_run, ANY, "m", COMMAND_QUIET, NULL },
	{ "EXAMINE", examine_run, ANY, "m", COMMAND_QUIET, NULL },
	{ "CHECK", check_run, SELECTED, "", 0, NULL },
	{ "EXPUNGE", expunge_run, SELECTED, "", COMMAND_WRITES, NULL },
	{ "UID EXPUNGE", uid_expunge_run, SELECTED, "s", COMMAND_BY_UID | COMMAND_WRITES,
	  "UIDPLUS" },
	{ "CLOSE", close_run, SELECTED, "", COMMAND_QUIET, NULL },
	{ "UNSELECT", unselect_run, SELECTED, "", COMMAND_QUIET, "UNSELECT" },

	/* All the mailboxes. */
	{ "CREATE", create_run, ANY, "m", 0, NULL },
	{ "DELETE", delete_run, ANY, "m", 0, NULL },
	{ "RENAME", rename_run, ANY, "mm", 0, NULL },
	{ "SUBSCRIBE", subscribe_run, ANY, "m", 0, NULL },
	{ "UNSUBSCRIBE", unsubscribe_run, ANY, "m", 0, NULL },
	{ "LIST", list_run, ANY, "+", 0, "CHILDREN SPECIAL-USE LIST-EXTENDED LIST-STATUS" },
	{ "LSUB", lsub_run, ANY, "al", 0, NULL },

	/* Messages. */
	{ "FETCH", fetch_run, SELECTED, "s+", COMMAND_KEEPS_NUMBERS, NULL },
	{ "STORE", store_run, SELECTED, "sa+", COMMAND_KEEPS_NUMBERS | COMMAND_WRITES, NULL },
	{ "COPY", copy_run, SELECTED, "sm", 0, NULL },
	{ "MOVE", move_run, SELECTED, "sm", COMMAND_WRITES, "MOVE" },
	{ "SEARCH", search_run, SELECTED, "+", COMMAND_KEEPS_NUMBERS, "ESEARCH" },
	{ "UID FETCH", fetch_run, SELECTED, "s+", COMMAND_BY_UID, NULL },
	{ "UID STORE", store_run, SELECTED, "sa+", COMMAND_BY_UID | COMMAND_WRITES, NULL },
	{ "UID COPY", copy_run, SELECTED, "sm", COMMAND_BY_UID, NULL },
	{ "UID MOVE", move_run, SELECTED, "sm", COMMAND_BY_UID | COMMAND_WRITES, NULL },
	{ "UID SEARCH", search_run, SELECTED, "+", COMMAND_BY_UID, NULL },

	/* A mailbox that need not be selected. */
	{ "APPEND", append_run, ANY, "m*", COMMAND_STREAMS, NULL },
	{ "STATUS", status_run, ANY, "m(", 0, "STATUS=SIZE" },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

void command_capabilities(struct text *out)
{
	const struct capability_writer w = {
		.out = out, .before = " ", .after = "", .states = CAPABILITY_LOGGED_IN
	};

	extensions_write(&w);
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].capability != NULL)
			text_format(out, " %s", commands[i].capability);
}

const struct command *command_find(struct view name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (view_equal_nocase(view_of(commands[i].name), name))
			return &commands[i];
	return NULL;
}

/* ---- the argument rule ---- */

/* Brings the name into the store's form, or answers NO: a name that cannot be is not a syntax
 * error. */
static bool mailbox_fits(struct session *s, struct argument *a, bool *answered)
{
	struct view name;

	if (!argument_astring(a, &name))
		return false;
	/* CREATE "a." says that children will come (RFC 3501 section 6.3.3); the name is "a". */
	if (name.len > 1 && name.data[name.len - 1] == STORE_DELIMITER)
		name.len--;
	const char *fault = mailboxname_fault(name);

	if (fault != NULL) {
		session_no(s, "[CANNOT] %s", fault);
		*answered = true;
		return false;
	}
	a->text = mailboxname_canonical(&s->parser.arena, name);
	return a->text.data != NULL;
}

static bool argument_fits(struct session *s, struct argument *a, char rule, bool *answered)
{
	struct view text;

	switch (rule) {
	case 'a': return argument_astring(a, &text);
	case 'm': return mailbox_fits(s, a, answered);
	case 'l': return list_pattern_valid(a);
	case 's': return a->type == ARGUMENT_ATOM && session_read_set(s, a->text);
	case '(': return a->type == ARGUMENT_LIST;
	default: return true;
	}
}

static bool arguments_fit(struct session *s, const char *rule, struct argument *a, bool *answered)
{
	for (; *rule && *rule != '*' && *rule != '+'; rule++, a = a->next)
		if (a == NULL || !argument_fits(s, a, *rule, answered))
			return false;
	if (*rule == '+')
		return a != NULL;
	return *rule == '*' || a == NULL;
}

/* ---- the dispatcher ---- */

static void run(struct session *s, const struct command *c)
{
	bool answered = false;

	if (!(c->states & s->state)) {
		session_bad(s, "%s requires a selected mailbox", c->name);
		return;
	}
	s->by_uid = c->flags & COMMAND_BY_UID;
	if (!arguments_fit(s, c->arguments, s->parser.first, &answered)) {
		if (!answered)
			session_bad(s, "%s: invalid arguments", c->name);
		return;
	}
	if (c->flags & COMMAND_WRITES && folder_read_only(s->folder)) {
		session_no(s, "[READ-ONLY] Mailbox is read-only");
		return;
	}
	c->run(s, s->parser.first);
}

void command_dispatch(struct session *s)
{
	const struct command *c = command_find(s->parser.name);

	if (c == NULL) {
		session_bad(s, "Unknown command");
		return;
	}
	run(s, c);
	if (!(c->flags & COMMAND_QUIET) && s->folder != NULL && !s->bad)
		session_sync(s, !(c->flags & COMMAND_KEEPS_NUMBERS));
	s->by_uid = false;
}
