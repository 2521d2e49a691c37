/* SPDX-License-Identifier: ISC */
#include "conf/consistency.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/model.h"
#include "lib/conf/accounts.h"
#include "lib/conf/domains.h"
#include "lib/conf/services.h"
#include "lib/conf/users.h"
#include "lib/conf/maptext.h"
#include "lib/net/networks.h"
#include "lib/wire/dns.h"

static void check_order(struct model *m, const char *small, int64_t small_value, const char *large,
                        int64_t large_value)
{
	int small_line = model_setting_line(m, small), large_line = model_setting_line(m, large);

	if (small_value > large_value)
		problem_error(&m->problems, m->conf.path,
		              small_line > large_line ? small_line : large_line,
		              "%s is greater than %s; change one of the two", small, large);
}

static void check_name(struct model *m, const char *key, const char *value)
{
	struct text name;
	struct reason why;

	text_init(&name, 1024);
	if (maptext_domain(view_of(value), &name, &why) != 0)
		problem_error(&m->problems, m->conf.path, model_setting_line(m, key), "%s: %s", key,
		              why.text);
	text_free(&name);
}

static void found_listener(void *context, unsigned service, const char *what)
{
	struct model *m = context;

	problem_error(&m->problems, m->conf.path,
	              service < SERVICES ? model_setting_line(m, services[service].key) : 0, "%s",
	              what);
}

static void check_log(struct model *m)
{
	const char *to = m->settings.log_to;
	int line = model_setting_line(m, "log.to");
	struct view above = view_of(to);
	char path[PATH_MAX];
	struct stat st;

	if (strcmp(to, "syslog") == 0 || strcmp(to, "stderr") == 0)
		return;
	if (to[0] != '/') {
		problem_error(&m->problems, m->conf.path, line,
		              "log.to: \"%s\" is not syslog, stderr or an absolute path", to);
		return;
	}
	/* master opens it, and ends when it cannot. */
	while (above.len > 1 && above.data[above.len - 1] != '/')
		above.len--;
	if (stat(to, &st) == 0 && S_ISDIR(st.st_mode))
		problem_error(&m->problems, m->conf.path, line,
		              "log.to: %s is a directory, not a file", to);
	else if (string_copy(path, sizeof path, above) && stat(path, &st) != 0)
		problem_error(&m->problems, m->conf.path, line, "log.to: the directory %s: %s",
		              path, strerror(errno));
}

static void check_name_server(struct model *m)
{
	struct view server = view_of(m->settings.dns_server);
	struct net_address address;
	struct reason why;

	if (server.len && dns_server_parse(server, &address, &why) != 0)
		problem_error(&m->problems, m->conf.path, model_setting_line(m, "dns.server"),
		              "dns.server: %s", why.text);
}

static void check_proxies(struct model *m)
{
	struct networks networks;
	struct reason why;

	if (networks_parse(view_of(m->settings.porter_proxy_from), &networks, &why) != 0)
		problem_error(&m->problems, m->conf.path,
		              model_setting_line(m, "porter.proxy-from"), "porter.proxy-from: %s",
		              why.text);
}

static void check_delimiter(struct model *m)
{
	const char *delimiter = m->settings.address_delimiter;
	bool plain = byte_is_alpha(delimiter[0]) || byte_is_digit(delimiter[0]) ||
	             delimiter[0] == '@' || delimiter[0] == '.';

	if (delimiter[0] && (delimiter[1] || plain))
		problem_error(&m->problems, m->conf.path,
		              model_setting_line(m, "address.delimiter"),
		              "address.delimiter: \"%s\" is not one character such as + or -",
		              delimiter);
}

static void check_postmaster(struct model *m)
{
	struct text address;
	struct reason why;

	text_init(&address, MAP_KEY_MAX);
	if (maptext_address(view_of(m->settings.postmaster), view_of(m->settings.mail_domain),
	                    &address, &why) != 0)
		problem_error(&m->problems, m->conf.path, model_setting_line(m, "postmaster"),
		              "postmaster: %s", why.text);
	text_free(&address);
}

static void check_control_group(struct model *m)
{
	const char *name = m->settings.control_group;

	if (name[0] && getgrnam(name) == NULL)
		problem_error(&m->problems, m->conf.path, model_setting_line(m, "control.group"),
		              "control.group: there is no group \"%s\"", name);
}

void consistency_of_settings(struct model *m)
{
	const struct settings *s = &m->settings;

	check_name(m, "host.name", s->host_name);
	check_name(m, "mail.domain", s->mail_domain);
	check_order(m, "mailbox.uid-min", s->mailbox_uid_min, "mailbox.uid-max",
	            s->mailbox_uid_max);
	check_order(m, "queue.retry-first", s->queue_retry_first_ms, "queue.retry-max",
	            s->queue_retry_max_ms);
	check_order(m, "queue.delay-notice", s->queue_delay_notice_ms, "queue.lifetime",
	            s->queue_lifetime_ms);
	check_order(m, "queue.concurrency-start", s->queue_concurrency_start,
	            "queue.concurrency-max", s->queue_concurrency_max);
	services_check(s, found_listener, m);
	check_log(m);
	check_name_server(m);
	check_proxies(m);
	check_delimiter(m);
	check_postmaster(m);
	check_control_group(m);
}

static void check_alias_domain(struct model *m, const struct map_entry *e, const struct domain *d)
{
	struct domain target;
	struct view compiled;

	if (!model_find(m, MAP_DOMAINS, d->target, &compiled) || !domain_decode(compiled, &target))
		problem_error(&m->problems, m->maps[MAP_DOMAINS].source.path, e->line,
		              "%.*s is an alias of %.*s, which is not in domains.map",
		              VIEW_ARG(e->key), VIEW_ARG(d->target));
	else if (target.class == DOMAIN_ALIAS)
		problem_error(
			&m->problems, m->maps[MAP_DOMAINS].source.path, e->line,
			"%.*s is an alias of %.*s, which is an alias itself; name the domain behind it",
			VIEW_ARG(e->key), VIEW_ARG(d->target));
}

void consistency_of_domains(struct model *m)
{
	const struct model_map *map = &m->maps[MAP_DOMAINS];

	for (size_t i = 0; i < map->count; i++) {
		struct domain d;

		if (domain_decode(map->entries[i]->compiled, &d) && d.class == DOMAIN_ALIAS &&
		    d.target.len)
			check_alias_domain(m, map->entries[i], &d);
	}
	if (map->count == 0)
		problem_warning(
			&m->problems, map->source.path, 0,
			"no domains: mail is accepted for none; add one with posthouse domain add NAME");
}

/* ---- users: whose mail is whose ---- */

/* Without the slashes that say nothing, in the model's memory. */
static struct view plain_path(struct model *m, struct view path)
{
	struct text plain;
	struct view part;

	text_init(&plain, path.len + 1);
	while (view_cut(&path, '/', &part))
		if (part.len)
			text_format(&plain, "/%.*s", VIEW_ARG(part));
	struct view copy = arena_copy(&m->arena, text_view(&plain));

	text_free(&plain);
	return copy;
}

/* The other user in whose Maildir this home lies. */
static const struct map_entry *holder_of(const struct hashtable *homes, struct view home)
{
	const struct map_entry *holder = NULL;

	for (size_t i = 0; i < home.len && holder == NULL; i++) {
		struct view below = view_skip(home, i);

		if (view_equal(below, VIEW("/Maildir")) || view_starts(below, VIEW("/Maildir/")))
			holder = hashtable_find(homes, view_take(home, i));
	}
	return holder;
}

/* What a user who comes later must be held against. */
static void note_home(struct model *m, struct view home)
{
	sieve_add(&m->asked, SIEVE_HOME, home);
	for (size_t i = 0; i < home.len; i++) {
		struct view below = view_skip(home, i);

		if (view_equal(below, VIEW("/Maildir")) || view_starts(below, VIEW("/Maildir/")))
			sieve_add(&m->asked, SIEVE_HOLDER, view_take(home, i));
	}
}

static void check_homes(struct model *m, struct hashtable *homes)
{
	const struct model_map *map = &m->maps[MAP_USERS];
	struct view *all = memory_get((map->count + 1) * sizeof *all);
	struct user user;

	for (size_t i = 0; i < map->count; i++) {
		struct map_entry *e = map->entries[i];

		if (!user_decode(e->compiled, &user))
			continue;
		all[i] = plain_path(m, user.home);
		note_home(m, all[i]);
		const struct map_entry *before = hashtable_add(homes, all[i], e);

		/* Without its line: an edit would tell it anew whenever lines have moved. */
		if (before != NULL)
			problem_warning(&m->problems, map->source.path, e->line,
			                "%.*s has the home of %.*s: each reads and removes the "
			                "other's mail; give one of the two a home= of its own",
			                VIEW_ARG(e->key), VIEW_ARG(before->key));
	}
	for (size_t i = 0; i < map->count; i++) {
		const struct map_entry *e = map->entries[i], *holder = holder_of(homes, all[i]);

		if (holder != NULL)
			problem_error(&m->problems, map->source.path, e->line,
			              "home: %.*s is inside the Maildir of %.*s (line %d), whose "
			              "folders it would be among; name another one",
			              VIEW_ARG(all[i]), VIEW_ARG(holder->key), holder->line);
	}
	free(all);
}

/* The programs of mailbox owners would run as one of the others. */
static void check_owner(struct model *m, const struct map_entry *e, const uid_t uids[ACCOUNTS])
{
	struct user u;

	if (!user_decode(e->compiled, &u))
		return;
	for (int a = 0; a < ACCOUNTS; a++)
		if (a != ACCOUNT_vmail && uids[a] != (uid_t)-1 && u.uid == uids[a])
			problem_error(
				&m->problems, m->maps[MAP_USERS].source.path, e->line,
				"uid: %lu is the system account %s, which is posthouse's own; give "
				"%.*s another",
				(unsigned long)u.uid, account_name((enum account)a),
				VIEW_ARG(e->key));
}

void consistency_of_users(struct model *m)
{
	const struct model_map *map = &m->maps[MAP_USERS];
	struct hashtable homes = { 0 };
	uid_t uids[ACCOUNTS];
	gid_t gid;

	if (m->problems.errors == 0) /* a line that is wrong has no home */
		check_homes(m, &homes);
	hashtable_free(&homes);
	for (int a = 0; a < ACCOUNTS; a++)
		if (account_find((enum account)a, m->settings.account_base, &uids[a], &gid, NULL) !=
		    0)
			uids[a] = (uid_t)-1;
	for (size_t i = 0; i < map->count; i++)
		check_owner(m, map->entries[i], uids);
}
