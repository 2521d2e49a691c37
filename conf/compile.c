/* SPDX-License-Identifier: ISC */
/* The maps, one row each: how keys and values become compiled entries and text again. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/model.h"
#include "lib/conf/accounts.h"
#include "lib/conf/aliases.h"
#include "lib/conf/domains.h"
#include "lib/conf/maptext.h"
#include "lib/conf/passwords.h"
#include "lib/conf/routes.h"
#include "lib/conf/users.h"

static struct domain *domain_of(const struct model *m, struct view domain)
{
	const struct map_entry *e = table_find(&m->maps[MAP_DOMAINS].index, domain);

	return e != NULL ? e->parsed : NULL;
}

static bool show_key(struct view key, struct text *out)
{
	text_add(out, key);
	return true;
}

/* ---- domains ---- */

static int domains_key(const struct model *m, struct view text, struct text *out,
                       struct reason *why)
{
	(void)m;
	return maptext_domain(text, out, why);
}

static int domains_compile(struct model *m, struct map_entry *e, struct text *out,
                           struct reason *why)
{
	struct domain *d = arena_get(&m->arena, sizeof *d);

	e->parsed = d;
	if (domain_parse(e->value, &m->arena, d, why) != 0)
		return -1;
	domain_encode(d, out);
	return 0;
}

static void show_user(const struct user *u, struct text *out)
{
	if (u->uid)
		text_format(out, " uid=%u", u->uid);
	if (u->gid)
		text_format(out, " gid=%u", u->gid);
	if (u->home.len)
		text_format(out, " home=%.*s", VIEW_ARG(u->home));
	if (u->quota_bytes) {
		text_add_string(out, " quota=");
		size_format(u->quota_bytes, out);
	}
	if (u->rights != USER_RIGHTS_DEFAULT) {
		text_add_string(out, " rights=");
		user_rights_text(u->rights, out);
	}
	if (u->state != USER_ACTIVE)
		text_format(out, " state=%s", user_state_name(u->state));
}

static bool domains_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct domain d;

	if (!domain_decode(value, &d))
		return false;
	text_add_string(out, d.class == DOMAIN_MAILBOXES ? "mailboxes"
	                     : d.class == DOMAIN_RELAY   ? "relay"
	                                                 : "alias-of ");
	text_add(out, d.target);
	if (d.language.len)
		text_format(out, " language=%.*s", VIEW_ARG(d.language));
	if (d.class == DOMAIN_MAILBOXES)
		show_user(&d.defaults, out);
	return show_key(key, key_out);
}

/* ---- users ---- */

static int address_key(const struct model *m, struct view text, struct text *out,
                       struct reason *why)
{
	return maptext_address(text, view_of(m->settings.mail_domain), out, why);
}

/* Owner and group: the line's, the domain's, the settings', the account vmail's. */
static int settle_owner(struct model *m, struct user *u, struct reason *why)
{
	uid_t uid = (uid_t)m->settings.mailbox_uid;
	gid_t gid = (gid_t)m->settings.mailbox_gid;

	if ((u->uid == 0 && uid == 0) || (u->gid == 0 && gid == 0)) {
		uid_t found_uid = geteuid();
		gid_t found_gid = getegid();

		if (geteuid() == 0 && account_find(ACCOUNT_vmail, m->settings.account_base,
		                                   &found_uid, &found_gid, why) != 0)
			return -1;
		uid = uid ? uid : found_uid;
		gid = gid ? gid : found_gid;
	}
	u->uid = u->uid ? u->uid : uid;
	u->gid = u->gid ? u->gid : gid;
	if (u->uid < (uint32_t)m->settings.mailbox_uid_min ||
	    u->uid > (uint32_t)m->settings.mailbox_uid_max)
		return fail(why, "uid %u is not within mailbox.uid-min %d and mailbox.uid-max %d",
		            u->uid, m->settings.mailbox_uid_min, m->settings.mailbox_uid_max);
	return 0;
}

static int settle_home(struct model *m, struct view address, struct user *u, struct reason *why)
{
	struct text home;

	text_init(&home, 2 * USER_HOME_MAX);
	int result = user_home(u->home.len ? u->home : VIEW("%d/%u"), address,
	                       view_of(m->settings.mail_root), &home, why);

	u->home = arena_copy(&m->arena, text_view(&home));
	text_free(&home);
	return result;
}

static int users_compile(struct model *m, struct map_entry *e, struct text *out, struct reason *why)
{
	struct view name = address_domain(e->key);
	const struct domain *domain = domain_of(m, name);
	struct user *u = arena_get(&m->arena, sizeof *u);

	e->parsed = u;
	if (domain == NULL)
		return fail(why, "%.*s is not in domains.map; posthouse domain add %.*s",
		            VIEW_ARG(name), VIEW_ARG(name));
	if (domain->class == DOMAIN_ALIAS)
		return fail(why, "%.*s is an alias of %.*s; the user belongs there", VIEW_ARG(name),
		            VIEW_ARG(domain->target));
	if (domain->class == DOMAIN_RELAY)
		return fail(why, "%.*s is of class relay and has no mailboxes here",
		            VIEW_ARG(name));
	*u = domain->defaults;
	if (user_parse(e->value, &m->arena, u, why) != 0 || settle_owner(m, u, why) != 0 ||
	    settle_home(m, e->key, u, why) != 0)
		return -1;
	user_encode(u, out);
	return 0;
}

static bool users_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct user u;

	if (!user_decode(value, &u))
		return false;
	struct text words;

	text_init(&words, 1 << 16);
	show_user(&u, &words);
	text_add(out, view_trim(text_view(&words)));
	text_free(&words);
	return show_key(key, key_out);
}

/* ---- passwords ---- */

static int passwords_compile(struct model *m, struct map_entry *e, struct text *out,
                             struct reason *why)
{
	const struct map_entry *user = table_find(&m->maps[MAP_USERS].index, e->key);
	struct password p;

	if (user == NULL)
		return fail(why,
		            "%.*s is not in users.map; posthouse user add %.*s, or remove the line",
		            VIEW_ARG(e->key), VIEW_ARG(e->key));
	if (password_parse(e->value, &p.hash, why) != 0)
		return -1;
	p.user = *(const struct user *)user->parsed;
	password_encode(&p, out);
	return 0;
}

static bool passwords_show(struct view key, struct view value, struct text *key_out,
                           struct text *out)
{
	struct password p;

	if (!password_decode(value, &p))
		return false;
	text_add(out, p.hash);
	return show_key(key, key_out);
}

/* ---- aliases ---- */

static int aliases_key(const struct model *m, struct view text, struct text *out,
                       struct reason *why)
{
	if (text.len == 0 || text.data[0] != '@')
		return address_key(m, text, out, why);
	text_add_byte(out, '@');
	return maptext_domain(view_skip(text, 1), out, why);
}

static int open_include(void *context, struct view path, struct view *text, struct reason *why)
{
	struct model *m = context;
	struct source source;
	unsigned before = m->problems.errors;
	char *name = arena_string(&m->arena, path);

	if (path.len == 0 || path.data[0] == '/' || strstr(name, "..") != NULL)
		return fail(why, "include:%s: the path is relative to %s and has no \"..\"", name,
		            m->confdir);
	source_read(m, name, NULL, &source);
	if (source.missing || m->problems.errors != before)
		return fail(why, "include:%s: %s", name,
		            source.missing ? "there is no such file" : "it cannot be read");
	*text = arena_copy(&m->arena, source.text);
	free(source.memory);
	return 0;
}

static int aliases_compile(struct model *m, struct map_entry *e, struct text *out,
                           struct reason *why)
{
	struct view name = address_domain(e->key);
	const struct domain *domain = domain_of(m, name);
	const struct alias_source source = { view_of(m->settings.mail_domain), &m->arena,
		                             open_include, m };

	if (domain == NULL)
		return fail(why, "%.*s is not in domains.map; posthouse domain add %.*s",
		            VIEW_ARG(name), VIEW_ARG(name));
	if (domain->class == DOMAIN_ALIAS)
		return fail(why, "%.*s is an alias of %.*s; the alias belongs there",
		            VIEW_ARG(name), VIEW_ARG(domain->target));
	return alias_compile(&source, e->value, out, why);
}

static bool aliases_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct alias a;
	struct view target;

	if (!alias_decode(value, &a))
		return false;
	if (a.fails)
		text_format(out, ":fail: %.*s", VIEW_ARG(a.text));
	for (bool first = true; alias_next(&a, &target); first = false)
		text_format(out, "%s%.*s", first ? "" : ", ", VIEW_ARG(target));
	return show_key(key, key_out);
}

/* ---- routes ---- */

static int routes_key(const struct model *m, struct view text, struct text *out, struct reason *why)
{
	if (view_equal(text, VIEW("*")))
		return text_add(out, text) ? 0 : -1;
	if (view_find(text, '@') < text.len)
		return address_key(m, text, out, why);
	if (view_starts(text, VIEW("."))) {
		text_add_byte(out, '.');
		text = view_skip(text, 1);
	}
	return maptext_domain(text, out, why);
}

static int routes_compile(struct model *m, struct map_entry *e, struct text *out,
                          struct reason *why)
{
	(void)m;
	return route_compile(e->value, out, why);
}

static void show_hop(const struct route_hop *hop, struct text *out)
{
	bool brackets = hop->port && view_find(hop->host, ':') < hop->host.len;

	text_add_string(out, hop->mx && hop->host.len ? " mx=" : hop->mx ? " mx" : " ");
	text_format(out, brackets ? "[%.*s]" : "%.*s", VIEW_ARG(hop->host));
	if (hop->port)
		text_format(out, ":%u", (unsigned)hop->port);
}

static bool routes_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	static const char *const transports[] = { "smtp", "lmtp", "local", "error" };
	struct route r;
	struct route_hop hop;

	if (!route_decode(value, &r))
		return false;
	text_add_string(out, transports[r.transport]);
	if (r.text.len)
		text_format(out, " %.*s", VIEW_ARG(r.text));
	while (route_next(&r, &hop))
		show_hop(&hop, out);
	return show_key(key, key_out);
}

/* ---- access ---- */

static int access_map_key(const struct model *m, struct view text, struct text *out,
                          struct reason *why)
{
	(void)m;
	return access_key(text, out, why);
}

static int access_compile(struct model *m, struct map_entry *e, struct text *out,
                          struct reason *why)
{
	struct access a;

	(void)m;
	if (access_parse(e->value, &a, why) != 0)
		return -1;
	if (a.action == ACCESS_RELAY && e->key.data[0] != 'n')
		return fail(
			why,
			"relay is for addresses and networks: names and senders are easily forged");
	access_encode(&a, out);
	return 0;
}

static bool access_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct access a;

	if (view_equal(key, access_lengths_key()) || !access_decode(value, &a))
		return false;
	access_text(&a, out);
	return access_key_text(key, key_out);
}

const struct map_kind map_kinds[MAPS] = {
	[MAP_DOMAINS] = { "domains", 0644, domains_key, domains_compile, domains_show },
	[MAP_USERS] = { "users", 0644, address_key, users_compile, users_show },
	[MAP_PASSWORDS] = { "passwords", 0600, address_key, passwords_compile, passwords_show },
	[MAP_ALIASES] = { "aliases", 0644, aliases_key, aliases_compile, aliases_show },
	[MAP_ROUTES] = { "routes", 0644, routes_key, routes_compile, routes_show },
	[MAP_ACCESS] = { "access", 0644, access_map_key, access_compile, access_show },
};
