/* SPDX-License-Identifier: ISC */
#include "lib/conf/users.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf/accounts.h"
#include "lib/conf/domains.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/conf/value.h"

int user_parse(struct view text, struct arena *arena, struct user *out, struct reason *why)
{
	struct view rest = text, word;
	int more;

	while ((more = maptext_word(&rest, arena, &word, why)) > 0) {
		int known = user_parse_word(word, out, why);

		if (known < 0)
			return -1;
		if (known > 0)
			return fail(
				why,
				"unknown option \"%.*s\"; a user has uid= gid= home= quota= rights= state=",
				VIEW_ARG(view_take(word, 100)));
	}
	return more;
}

static void expand_home(struct view home, struct view address, struct text *out)
{
	struct view domain = address_domain(address);
	struct view local =
		view_take(address, address.len - domain.len - (domain.len < address.len));

	for (size_t i = 0; i < home.len; i++) {
		bool percent = home.data[i] == '%' && i + 1 < home.len;

		if (percent && home.data[i + 1] == 'u')
			text_add(out, local);
		else if (percent && home.data[i + 1] == 'd')
			text_add(out, domain);
		else
			text_add_byte(out, home.data[i]);
		i += percent && (home.data[i + 1] == 'u' || home.data[i + 1] == 'd');
	}
}

/* A "/" that came in with the local part would make another user's directory out of an address. */
static int check_home(struct view address, struct view home, struct reason *why)
{
	struct view rest = home, part;

	if (view_find(address, '/') < address.len)
		return fail(why, "the address has a \"/\"; give it a home=PATH without %%u");
	if (home.len == 0)
		return fail(why, "home: a path is missing");
	while (view_cut(&rest, '/', &part))
		if (view_equal(part, VIEW("..")) || view_equal(part, VIEW(".")))
			return fail(why, "home: \"%.*s\" has a \".\" or \"..\" in it",
			            VIEW_ARG(home));
	return 0;
}

bool user_home_allowed(const char *root, const char *home)
{
	struct view below = view_of(home), part;

	if (!view_starts(below, view_of(root)))
		return false;
	below = view_skip(below, view_of(root).len);
	if (below.len < 2 || below.data[0] != '/')
		return false;
	while (view_cut(&below, '/', &part))
		if (view_equal(part, VIEW("..")))
			return false;
	return true;
}

int user_home(struct view home, struct view address, struct view root, struct text *out,
              struct reason *why)
{
	struct text expanded;
	bool uses_address = view_find(home, '%') < home.len;

	text_init(&expanded, USER_HOME_MAX + 1);
	expand_home(home, address, &expanded);
	struct view path = text_view_cut(&expanded);
	int result = check_home(uses_address ? address : VIEW(""), path, why);

	if (result == 0 && !view_starts(path, VIEW("/"))) {
		text_add(out, root);
		text_add_byte(out, '/');
	}
	text_add(out, path);
	if (result == 0 && (expanded.full || out->full || out->len > USER_HOME_MAX))
		result = fail(why, "home: the path is longer than %d bytes", USER_HOME_MAX);
	text_free(&expanded);
	return result;
}

bool user_decode(struct view value, struct user *out)
{
	struct value_reader r = { .rest = value };

	user_decode_fields(&r, out);
	return value_end(&r);
}

/* ---- for the build ---- */

/* Who looks at root's house finds in it what root has built: with the account's owner. */
static bool is_roots(const struct settings *s)
{
	struct stat st;

	return geteuid() == 0 || (stat(s->directory_state, &st) == 0 && st.st_uid == 0);
}

/* Owner and group: the line's, the domain's, the settings', the account vmail's. */
static int settle_owner(const struct settings *s, struct user *u, struct reason *why)
{
	uid_t uid = (uid_t)s->mailbox_uid;
	gid_t gid = (gid_t)s->mailbox_gid;

	if ((u->uid == 0 && uid == 0) || (u->gid == 0 && gid == 0)) {
		uid_t found_uid = geteuid();
		gid_t found_gid = getegid();

		if (is_roots(s) &&
		    account_find(ACCOUNT_vmail, s->account_base, &found_uid, &found_gid, why) != 0)
			return -1;
		uid = uid ? uid : found_uid;
		gid = gid ? gid : found_gid;
	}
	u->uid = u->uid ? u->uid : uid;
	u->gid = u->gid ? u->gid : gid;
	if (u->uid < (uint32_t)s->mailbox_uid_min || u->uid > (uint32_t)s->mailbox_uid_max)
		return fail(why, "uid %u is not within mailbox.uid-min %d and mailbox.uid-max %d",
		            u->uid, s->mailbox_uid_min, s->mailbox_uid_max);
	return 0;
}

static int settle_home(const struct mapbuild *b, struct view address, struct user *u,
                       struct reason *why)
{
	struct text home;

	text_init(&home, 2 * USER_HOME_MAX);
	int result = user_home(u->home.len ? u->home : VIEW("%d/%u"), address,
	                       view_of(b->settings->mail_root), &home, why);

	if (result == 0 && !user_home_allowed(b->settings->mail_root, text_string(&home)))
		result = fail(why, "home: %s is not below mail.root (%s)", text_string(&home),
		              b->settings->mail_root);
	if (result == 0)
		u->home = arena_copy(b->arena, text_view(&home));
	text_free(&home);
	return result;
}

static int settle(const struct mapbuild *b, struct view address, struct view value, struct user *u,
                  struct reason *why)
{
	struct view name = address_domain(address);
	struct domain domain;

	if (!domain_of_build(b, name, &domain, why))
		return -1;
	if (domain.class == DOMAIN_ALIAS)
		return fail(why, "%.*s is an alias of %.*s; the user belongs there", VIEW_ARG(name),
		            VIEW_ARG(domain.target));
	if (domain.class == DOMAIN_RELAY)
		return fail(why, "%.*s is of class relay and has no mailboxes here",
		            VIEW_ARG(name));
	*u = domain.defaults;
	if (user_parse(value, b->arena, u, why) != 0 || settle_owner(b->settings, u, why) != 0)
		return -1;
	return settle_home(b, address, u, why);
}

int users_compile(const struct mapbuild *b, struct view key, struct view value, struct text *out,
                  struct reason *why)
{
	struct user u = { 0 };
	int result = settle(b, key, value, &u, why);

	user_encode(&u, out);
	return result;
}

bool users_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct user u;
	struct text words;

	if (!user_decode(value, &u))
		return false;
	text_init(&words, 1 << 16);
	user_words(&u, &words);
	text_add(out, view_trim(text_view(&words)));
	text_free(&words);
	text_add(key_out, key);
	return true;
}
