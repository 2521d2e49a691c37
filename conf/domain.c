/* SPDX-License-Identifier: ISC */
/* posthouse domain. */
#include <stdio.h>

#include "conf/batch.h"
#include "conf/entry.h"
#include "conf/load.h"

static int domain_add(const struct command *c, int argc, char **argv)
{
	struct text value;

	if (batch_is_asked(argc, argv))
		return entry_add_lines(c, MAP_DOMAINS, "mailboxes");
	command_join(argc - 1, argv + 1, " ", &value);
	if (value.len == 0)
		text_add_string(&value, "mailboxes");
	int code = entry_change(c, MAP_DOMAINS, argv[0], text_view(&value), false);

	text_free(&value);
	return code;
}

static int domain_set(const struct command *c, int argc, char **argv)
{
	struct text value;

	if (batch_is_asked(argc, argv))
		return entry_set_lines(c, MAP_DOMAINS);
	if (argc < 2)
		return command_usage(c, "set DOMAIN WORDS... | set -");
	command_join(argc - 1, argv + 1, " ", &value);
	int code = entry_change(c, MAP_DOMAINS, argv[0], text_view(&value), true);

	text_free(&value);
	return code;
}

static size_t count_in(const struct model *m, enum map_id map, const char *domain)
{
	size_t count = 0;

	for (size_t i = 0; i < m->maps[map].count; i++) {
		struct view key = m->maps[map].entries[i]->key;
		struct view of = view_find(key, '@') < key.len ? address_domain(key)
		                                               : view_of(m->settings.mail_domain);

		count += view_equal_nocase(of, view_of(domain));
	}
	return count;
}

/* One line, where the build would have one for each. */
static bool is_in_use(const struct command *c, const char *domain)
{
	struct model m;

	load_configuration(&m, c->confdir, NULL);
	size_t users = count_in(&m, MAP_USERS, domain), aliases = count_in(&m, MAP_ALIASES, domain);

	if (users || aliases)
		fprintf(stderr,
		        "posthouse: %s has %zu user%s and %zu alias%s: remove these first (posthouse "
		        "user list, user del, alias list, alias del)\nposthouse: nothing was changed\n",
		        domain, users, users == 1 ? "" : "s", aliases, aliases == 1 ? "" : "es");
	model_free(&m);
	return users || aliases;
}

static int domain_del(const struct command *c, int argc, char **argv)
{
	if (batch_is_asked(argc, argv))
		return entry_delete_lines(c, MAP_DOMAINS);
	if (!c->only_mine && is_in_use(c, argv[0]))
		return EXIT_PERMANENT;
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
		{ "add", 1, -1,
		  "add DOMAIN [mailboxes [WORD=VALUE...] | relay | alias-of DOMAIN] | add -",
		  domain_add, true },
		{ "set", 1, -1, "set DOMAIN WORDS... | set -", domain_set, true },
		{ "del", 1, 1, "del DOMAIN | del -", domain_del, true },
		{ "list", 0, 0, "list", domain_list, false },
		{ "show", 1, 1, "show DOMAIN", domain_show, false },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
