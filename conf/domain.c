/* SPDX-License-Identifier: ISC */
/* posthouse domain. */
#include "conf/entry.h"

static int domain_add(const struct command *c, int argc, char **argv)
{
	struct text value;

	command_join(argc - 1, argv + 1, " ", &value);
	if (value.len == 0)
		text_add_string(&value, "mailboxes");
	int code = entry_change(c, MAP_DOMAINS, argv[0], text_view(&value), false);

	text_free(&value);
	return code;
}

static int domain_del(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return entry_change(c, MAP_DOMAINS, argv[0], VIEW(""), true);
}

static int domain_list(const struct command *c, int argc, char **argv)
{
	(void)argc, (void)argv;
	return entry_list(c, MAP_DOMAINS, NULL);
}

static int domain_show(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return entry_show(c, MAP_DOMAINS, argv[0]);
}

int command_domain(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "add", 1, -1, "add DOMAIN [mailboxes [WORD=VALUE...] | relay | alias-of DOMAIN]",
		  domain_add, true },
		{ "del", 1, 1, "del DOMAIN", domain_del, true },
		{ "list", 0, 0, "list", domain_list, false },
		{ "show", 1, 1, "show DOMAIN", domain_show, false },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
