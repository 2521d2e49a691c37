/* SPDX-License-Identifier: ISC */
/* posthouse alias. */
#include <string.h>

#include "conf/batch.h"
#include "conf/entry.h"

static int alias_put(const struct command *c, int argc, char **argv, bool replace)
{
	struct text value;
	bool fails = strcmp(argv[1], ":fail:") == 0;

	command_join(argc - 1, argv + 1, fails ? " " : ", ", &value);
	int code = entry_change(c, MAP_ALIASES, argv[0], text_view(&value), replace);

	text_free(&value);
	return code;
}

static int alias_add(const struct command *c, int argc, char **argv)
{
	if (batch_is_asked(argc, argv))
		return entry_add_lines(c, MAP_ALIASES, "");
	if (argc < 2)
		return command_usage(c, "add ADDRESS TARGET...");
	return alias_put(c, argc, argv, false);
}

static int alias_set(const struct command *c, int argc, char **argv)
{
	if (batch_is_asked(argc, argv))
		return entry_set_lines(c, MAP_ALIASES);
	if (argc < 2)
		return command_usage(c, "set ADDRESS TARGET...");
	return alias_put(c, argc, argv, true);
}

static int alias_del(const struct command *c, int argc, char **argv)
{
	if (batch_is_asked(argc, argv))
		return entry_delete_lines(c, MAP_ALIASES);
	return entry_change(c, MAP_ALIASES, argv[0], VIEW(""), true);
}

static int alias_list(const struct command *c, int argc, char **argv)
{
	return entry_list(c, MAP_ALIASES, argc ? argv[0] : NULL);
}

static int alias_show(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return entry_show(c, MAP_ALIASES, argv[0]);
}

int command_alias(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "add", 1, -1, "add ADDRESS TARGET... | add -", alias_add, true },
		{ "set", 1, -1, "set ADDRESS TARGET... | set -", alias_set, true },
		{ "del", 1, 1, "del ADDRESS | del -", alias_del, true },
		{ "list", 0, 1, "list [DOMAIN]", alias_list, false },
		{ "show", 1, 1, "show ADDRESS", alias_show, false },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
