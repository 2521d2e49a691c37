/* SPDX-License-Identifier: ISC */
#include "lib/conf/userwords.h"

#include "lib/conf/settings.h"
#include "lib/conf/value.h"

static const struct {
	const char *name;
	unsigned right;
} right_names[] = {
	{ "smtp", USER_RIGHT_SMTP }, { "pop3", USER_RIGHT_POP3 },   { "imap", USER_RIGHT_IMAP },
	{ "web", USER_RIGHT_WEB },   { "admin", USER_RIGHT_ADMIN },
};

enum { RIGHTS = sizeof right_names / sizeof right_names[0], RIGHTS_ALL = (1 << RIGHTS) - 1 };

static const char *const state_names[] = { "active", "locked", "closed" };

enum { STATES = sizeof state_names / sizeof state_names[0] };

const char *user_state_name(enum user_state state)
{
	return state_names[state];
}

void user_rights_text(unsigned rights, struct text *out)
{
	bool first = true;

	for (size_t i = 0; i < RIGHTS; i++) {
		if (rights & right_names[i].right) {
			text_format(out, "%s%s", first ? "" : ",", right_names[i].name);
			first = false;
		}
	}
	if (first)
		text_add_string(out, "none");
}

static int parse_rights(struct view list, unsigned *out, struct reason *why)
{
	struct view name;

	*out = 0;
	if (view_equal(list, VIEW("none")))
		return 0;
	while (view_cut(&list, ',', &name)) {
		unsigned right = 0;

		for (size_t i = 0; i < RIGHTS; i++)
			if (view_equal(name, view_of(right_names[i].name)))
				right = right_names[i].right;
		if (right == 0)
			return fail(
				why,
				"rights: \"%.*s\" is not one of smtp, pop3, imap, web, admin, none",
				VIEW_ARG(name));
		*out |= right;
	}
	return 0;
}

static int parse_state(struct view name, enum user_state *out, struct reason *why)
{
	for (unsigned i = 0; i < STATES; i++) {
		if (view_equal(name, view_of(state_names[i]))) {
			*out = (enum user_state)i;
			return 0;
		}
	}
	return fail(why, "state: \"%.*s\" is not one of active, locked, closed", VIEW_ARG(name));
}

static int parse_id(const char *what, struct view text, uint32_t *out, struct reason *why)
{
	uint64_t number;

	if (!view_number(text, INT32_MAX, &number) || number == 0)
		return fail(
			why,
			"%s: \"%.*s\" is not a number from 1 to %d (a mailbox never belongs to root)",
			what, VIEW_ARG(text), INT32_MAX);
	*out = (uint32_t)number;
	return 0;
}

int user_parse_word(struct view word, struct user *out, struct reason *why)
{
	struct view value = word, name;

	view_cut(&value, '=', &name);
	if (view_equal(name, VIEW("uid")))
		return parse_id("uid", value, &out->uid, why);
	if (view_equal(name, VIEW("gid")))
		return parse_id("gid", value, &out->gid, why);
	if (view_equal(name, VIEW("rights")))
		return parse_rights(value, &out->rights, why);
	if (view_equal(name, VIEW("state")))
		return parse_state(value, &out->state, why);
	if (view_equal(name, VIEW("quota"))) {
		if (!size_parse(value, &out->quota_bytes))
			return fail(why, "quota: \"%.*s\" is not a size such as 500M or 2G",
			            VIEW_ARG(value));
		return 0;
	}
	if (!view_equal(name, VIEW("home")))
		return 1;
	if (value.len == 0)
		return fail(why, "home: a path is missing");
	out->home = value;
	return 0;
}

void user_words(const struct user *u, struct text *out)
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

void user_encode(const struct user *u, struct text *out)
{
	value_put_u32(out, u->uid);
	value_put_u32(out, u->gid);
	value_put_u64(out, u->quota_bytes);
	value_put_u8(out, (uint8_t)u->rights);
	value_put_u8(out, (uint8_t)u->state);
	value_put_bytes(out, u->home);
}

void user_decode_fields(struct value_reader *r, struct user *out)
{
	out->uid = value_get_u32(r);
	out->gid = value_get_u32(r);
	out->quota_bytes = value_get_u64(r);
	out->rights = value_get_u8(r);
	unsigned state = value_get_u8(r);

	out->state = (enum user_state)state;
	out->home = value_get_bytes(r);
	if (state >= STATES || out->rights > RIGHTS_ALL)
		r->bad = true;
}
