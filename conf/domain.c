/* SPDX-License-Identifier: ISC */
/* posthouse domain, posthouse alias. */
#include <stdio.h>
#include <string.h>

#include "conf/command.h"
#include "conf/edits.h"
#include "conf/load.h"

/* Sets, or with an empty value deletes, one entry; an exit code. */
static int change(const struct command *c, enum map_id map, const char *key, struct view value,
                  bool replace)
{
	struct edits e;
	struct reason why;
	struct text old;
	int code;

	if (edits_begin(&e, c->confdir, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	text_init(&old, 1 << 20);
	struct edit *f = edits_open(&e, map, &why);
	int found = f != NULL ? edit_get(&e, f, view_of(key), &old, &why) : -1,
	    result = found < 0 ? -1 : 0;

	if (found > 0 && value.len && !replace)
		result = fail(&why, "\"%s\" is in %s already: %s", key, f->name, old.data);
	else if (found == 0 && value.len == 0)
		result = fail(&why, "\"%s\" is not in %s", key, f->name);
	else if (found >= 0 && value.len)
		result = edit_set(&e, f, view_of(key), value, &why);
	else if (found >= 0)
		result = edit_delete(&e, f, view_of(key), &why) > 0 ? 0 : -1;
	code = result == 0 ? edits_commit(&e) : command_fail(EXIT_PERMANENT, &why);
	text_free(&old);
	edits_end(&e);
	return code;
}

static int list(const struct command *c, enum map_id map, const char *only_domain)
{
	struct model m;

	load_configuration(&m, c->confdir, NULL);
	for (size_t i = 0; i < m.maps[map].count; i++) {
		const struct map_entry *e = m.maps[map].entries[i];

		if (only_domain == NULL ||
		    view_equal_nocase(address_domain(e->key), view_of(only_domain)))
			printf("%.*s %.*s\n", VIEW_ARG(e->key), VIEW_ARG(e->value));
	}
	model_free(&m);
	return EXIT_DONE;
}

static int show(const struct command *c, enum map_id map, const char *key)
{
	struct edits e;
	struct reason why;
	struct text value;

	if (edits_begin(&e, c->confdir, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	text_init(&value, 1 << 20);
	struct edit *f = edits_open(&e, map, &why);
	int found = f != NULL ? edit_get(&e, f, view_of(key), &value, &why) : -1;

	if (found == 0)
		found = fail(&why, "\"%s\" is not in %s", key, f->name);
	int code = found > 0 ? EXIT_DONE : command_fail(EXIT_PERMANENT, &why);

	if (found > 0)
		printf("%s\n", value.data);
	text_free(&value);
	edits_end(&e);
	return code;
}

/* ---- domain ---- */

static int domain_add(const struct command *c, int argc, char **argv)
{
	struct text value;

	text_init(&value, 1 << 16);
	command_join(argc - 1, argv + 1, " ", &value);
	if (value.len == 0)
		text_add_string(&value, "mailboxes");
	int code = change(c, MAP_DOMAINS, argv[0], text_view(&value), false);

	text_free(&value);
	return code;
}

static int domain_del(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return change(c, MAP_DOMAINS, argv[0], VIEW(""), true);
}

static int domain_list(const struct command *c, int argc, char **argv)
{
	(void)argc, (void)argv;
	return list(c, MAP_DOMAINS, NULL);
}

static int domain_show(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return show(c, MAP_DOMAINS, argv[0]);
}

int command_domain(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "add", 1, -1, "add DOMAIN [mailboxes [WORD=VALUE...] | relay | alias-of DOMAIN]",
		  domain_add },
		{ "del", 1, 1, "del DOMAIN", domain_del },
		{ "list", 0, 0, "list", domain_list },
		{ "show", 1, 1, "show DOMAIN", domain_show },
		{ NULL, 0, 0, NULL, NULL },
	};

	return command_verb(c, verbs, argc, argv);
}

/* ---- alias ---- */

static int alias_put(const struct command *c, int argc, char **argv, bool replace)
{
	struct text value;
	bool fails = strcmp(argv[1], ":fail:") == 0;

	text_init(&value, 1 << 20);
	command_join(argc - 1, argv + 1, fails ? " " : ", ", &value);
	int code = change(c, MAP_ALIASES, argv[0], text_view(&value), replace);

	text_free(&value);
	return code;
}

static int alias_add(const struct command *c, int argc, char **argv)
{
	return alias_put(c, argc, argv, false);
}

static int alias_set(const struct command *c, int argc, char **argv)
{
	return alias_put(c, argc, argv, true);
}

static int alias_del(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return change(c, MAP_ALIASES, argv[0], VIEW(""), true);
}

static int alias_list(const struct command *c, int argc, char **argv)
{
	return list(c, MAP_ALIASES, argc ? argv[0] : NULL);
}

static int alias_show(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return show(c, MAP_ALIASES, argv[0]);
}

int command_alias(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "add", 2, -1, "add ADDRESS TARGET...", alias_add },
		{ "set", 2, -1, "set ADDRESS TARGET...", alias_set },
		{ "del", 1, 1, "del ADDRESS", alias_del },
		{ "list", 0, 1, "list [DOMAIN]", alias_list },
		{ "show", 1, 1, "show ADDRESS", alias_show },
		{ NULL, 0, 0, NULL, NULL },
	};

	return command_verb(c, verbs, argc, argv);
}
