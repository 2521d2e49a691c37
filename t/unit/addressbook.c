/* SPDX-License-Identifier: ISC */
/* The address book over real cdbs made here: verdicts, and where mail ends. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/conf/mapbuild.h"
#include "queue/resolved/addressbook.h"
#include "t/tap.h"

struct row {
	const char *key, *value;
};

static struct addressbook book;
static struct arena arena;

/* ---- making maps ---- */

static int compile_domain(struct view text, struct text *out, struct reason *why)
{
	struct domain d;

	if (domain_parse(text, &arena, &d, why) != 0)
		return -1;
	domain_encode(&d, out);
	return 0;
}

static int compile_user(struct view text, struct text *out, struct reason *why)
{
	struct user u = {
		.uid = 5000, .gid = 5000, .rights = USER_RIGHTS_DEFAULT, .home = VIEW("/mail/box")
	};

	if (user_parse(text, &arena, &u, why) != 0)
		return -1;
	user_encode(&u, out);
	return 0;
}

static int compile_alias(struct view text, struct text *out, struct reason *why)
{
	struct alias_source source = { .domain = VIEW("a.test"), .arena = &arena };

	return alias_compile(&source, text, out, why);
}

static int compile_access(struct view text, struct text *out, struct reason *why)
{
	struct access a;

	if (access_parse(text, &a, why) != 0)
		return -1;
	access_encode(&a, out);
	return 0;
}

static void put(struct cdb_make *making, struct view key, struct view value)
{
	cdb_make_add(making, key.data, (unsigned)key.len, value.data, (unsigned)value.len);
}

static void make_map(struct map *m, const struct row *rows, bool is_access,
                     int (*compile)(struct view, struct text *, struct reason *))
{
	char path[] = "/tmp/addressbook.XXXXXX";
	int fd = mkstemp(path);
	struct cdb_make making;
	struct access_lengths lengths = { 0 };
	struct text key, value;
	struct reason why;

	unlink(path);
	cdb_make_start(&making, fd);
	text_init(&key, 1024);
	text_init(&value, VALUE_MAX);
	for (; rows->key != NULL; rows++) {
		text_clear(&key);
		text_clear(&value);
		if ((is_access ? access_key(view_of(rows->key), VIEW(""), &key, &why)
		     : text_add_string(&key, rows->key) ? 0
		                                        : -1) != 0 ||
		    compile(view_of(rows->value), &value, &why) != 0)
			ok(false, "%s %s: %s", rows->key, rows->value, why.text);
		access_note_length(&lengths, text_view(&key));
		put(&making, text_view(&key), text_view(&value));
	}
	if (is_access) {
		text_clear(&value);
		access_lengths_encode(&lengths, &value);
		put(&making, access_lengths_key(), text_view(&value));
	}
	cdb_make_finish(&making);
	map_open(m, fd, "", &why);
	text_free(&key);
	text_free(&value);
}

static const struct row domains[] = {
	{ "a.test", "mailboxes" },
	{ "b.test", "mailboxes" },
	{ "old.test", "alias-of a.test" },
	{ "older.test", "alias-of old.test" },
	{ "round.test", "alias-of around.test" },
	{ "around.test", "alias-of round.test" },
	{ "dept.test", "relay" },
	{ "listed.test", "relay" },
	{ "bare.test", "relay" },
	{ "self.bare.test", "relay" },
	{ NULL, NULL },
};
static const struct row users[] = {
	{ "anna@a.test", "quota=1G" },
	{ "bert@a.test", "" },
	{ "carl@a.test", "state=closed" },
	{ "dora@a.test", "state=locked" },
	{ "a+b@a.test", "" },
	{ "box@dept.test", "" },
	{ "all@b.test", "" },
	{ "post@a.test", "" },
	{ NULL, NULL },
};
static const struct row aliases[] = {
	{ "info@a.test", "anna@a.test, bert@a.test anna@a.test" },
	{ "bert@a.test", "bert@a.test, bert@far.test" },
	{ "gone@a.test", ":fail: 5.1.6 moved to gone@far.test" },
	{ "away@a.test", ":fail:" },
	{ "nested@a.test", "info@a.test, nested2@a.test" },
	{ "nested2@a.test", "nested@a.test x@far.test" },
	{ "circle@a.test", "circle2@a.test" },
	{ "circle2@a.test", "circle@a.test" },
	{ "self@a.test", "self@a.test" },
	{ "team@a.test", "nobody@a.test, anna+list@a.test" },
	{ "lost@a.test", "nobody@a.test, nobody2@a.test" },
	{ "lost2@a.test", "gone@a.test lost@a.test" },
	{ "shut@a.test", "lost2@a.test carl@a.test" },
	{ "wait@a.test", "nobody@a.test, x@slow.test" },
	{ "out@a.test", "nobody@a.test, x@far.test" },
	{ "@b.test", "all@b.test" },
	{ "one@dept.test", "anna@a.test" },
	{ NULL, NULL },
};
static const struct row routes[] = {
	{ "dept.test", "smtp mail1.dept.test:2525 [2001:db8::1] mail2.dept.test" },
	{ "moved@a.test", "smtp 192.0.2.7" },
	{ "anna@listed.test", "smtp 192.0.2.8" },
	{ "listed.test", "error 5.1.1 no such mailbox" },
	{ "box@dept.test", "local" },
	{ "dead.test", "error 5.1.2 this domain is no more" },
	{ "slow.test", "error 4.4.1 not now" },
	{ ".lmtp.test", "lmtp 127.0.0.1" },
	{ "mx.test", "smtp mx=relay.test" },
	{ ".bare.test", "smtp mx" },
	{ "[192.0.2.99]", "smtp 192.0.2.99" },
	{ NULL, NULL },
};
static const struct row access_rows[] = {
	{ "192.0.2.0/24", "relay" },
	{ "192.0.2.66", "reject not from this machine" },
	{ "198.51.100.0/24", "defer 4.7.1 later" },
	{ "host:.dialup.test", "reject" },
	{ "host:good.dialup.test", "allow" },
	{ "from:spam@evil.test", "reject 5.7.1 go away" },
	{ "from:.bad.test", "reject" },
	{ "to:old@a.test", "reject 5.1.6 moved" },
	{ NULL, NULL },
};

static void open_book(void)
{
	make_map(&book.maps[MAP_DOMAINS], domains, false, compile_domain);
	make_map(&book.maps[MAP_USERS], users, false, compile_user);
	make_map(&book.maps[MAP_ALIASES], aliases, false, compile_alias);
	make_map(&book.maps[MAP_ROUTES], routes, false, route_compile);
	make_map(&book.maps[MAP_ACCESS], access_rows, true, compile_access);
	book.host_names = access_has_names(&book.maps[MAP_ACCESS], ACCESS_HOST);
	book.sender_names = access_has_names(&book.maps[MAP_ACCESS], ACCESS_SENDER);
	ok(book.host_names && !access_has_names(&book.maps[MAP_ROUTES], ACCESS_HOST),
	   "the access map has names of hosts");
	addressbook_settings(&book, &(struct settings){ .mail_domain = "a.test",
	                                                .postmaster = "post@a.test",
	                                                .address_delimiter = "+",
	                                                .submission_sender = "own",
	                                                .remote_port = 25 });
}

/* ---- verdicts ---- */

static const char *const verdicts[] = { "accept", "relay", "reject", "later" };

static const char *said(const struct resolve_answer *a)
{
	static char out[512];

	snprintf(out, sizeof out, "%s%s%s%s%s", verdicts[a->verdict], a->status[0] ? " " : "",
	         a->status, a->text[0] ? " " : "", a->text);
	return out;
}

static struct resolve_question asked(const char *client, const char *account, const char *sender,
                                     const char *recipient)
{
	struct resolve_question q = { 0 };

	net_address_parse(view_of(client), &q.client);
	string_put(q.account, sizeof q.account, view_of(account));
	string_put(q.sender, sizeof q.sender, view_of(sender));
	string_put(q.recipient, sizeof q.recipient, view_of(recipient));
	return q;
}

static void clients(void)
{
	static const struct {
		const char *client, *name, *want;
		bool wants_name;
	} cases[] = {
		{ "203.0.113.1", "", "accept", true },
		{ "203.0.113.1", "x.dialup.test", "reject 5.7.1 your host may not send mail here",
		  false },
		{ "203.0.113.1", "Good.dialup.test", "accept", false },
		{ "203.0.113.1", "other.test", "accept", false },
		{ "192.0.2.1", "", "relay", false },
		{ "192.0.2.1", "x.dialup.test", "relay", false },
		{ "192.0.2.66", "", "reject 5.7.1 not from this machine", false },
		{ "198.51.100.9", "", "later 4.7.1 later", false },
		{ "2001:db8::9", "", "accept", true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct resolve_question q = asked(cases[i].client, "", "", "");
		struct resolve_answer a = { 0 };

		string_put(q.client_name, sizeof q.client_name, view_of(cases[i].name));
		addressbook_client(&book, &q, &a);
		is_string(said(&a), cases[i].want, "client %s %s", cases[i].client, cases[i].name);
		ok(a.wants_name == cases[i].wants_name, "its name is %sasked for",
		   a.wants_name ? "" : "not ");
	}
	struct resolve_question q = asked("203.0.113.1", "", "", "");
	struct resolve_answer a = { 0 };

	book.host_names = false;
	addressbook_client(&book, &q, &a);
	ok(!a.wants_name, "without names in the map nobody is asked for one");
	book.host_names = true;
	ok(!a.any_sender, "there are senders in the map: each is asked about");
	book.sender_names = false;
	addressbook_client(&book, &q, &a);
	ok(a.any_sender, "without them none needs to be");
	book.sender_names = true;
}

static void senders(void)
{
	static const char not_own[] = "reject 5.7.1 this address does not belong to your account";
	static const struct {
		const char *account, *sender, *want;
	} cases[] = {
		{ "", "x@far.test", "accept" },
		{ "", "", "accept" },
		{ "", "anna@a.test", "accept" },
		{ "", "spam@evil.test", "reject 5.7.1 go away" },
		{ "", "x@y.bad.test", "reject 5.7.1 mail from this address is not accepted" },
		{ "anna@a.test", "anna@a.test", "accept" },
		{ "anna@a.test", "Anna@a.test", "accept" },
		{ "anna@a.test", "anna+shop@a.test", "accept" },
		{ "anna@a.test", "anna@old.test", "accept" },
		{ "anna@a.test", "info@a.test", "accept" },
		{ "anna@a.test", "", "accept" },
		{ "anna@a.test", "bert@a.test", not_own },
		{ "anna@a.test", "annabel@a.test", not_own },
		{ "anna@a.test", "x@far.test", not_own },
		{ "anna@a.test", "nobody@a.test", not_own },
		{ "bert@a.test", "bert@a.test", "accept" },
		{ "all@b.test", "whatever@b.test", "accept" },
		{ "anna@a.test", "spam@evil.test", "reject 5.7.1 go away" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct resolve_question q =
			asked("203.0.113.1", cases[i].account, cases[i].sender, "");
		struct resolve_answer a = { 0 };

		addressbook_sender(&book, &q, &a);
		is_string(said(&a), cases[i].want, "account <%s> as <%s>", cases[i].account,
		          cases[i].sender);
	}
	struct resolve_question q = asked("203.0.113.1", "anna@a.test", "x@far.test", "");
	struct resolve_answer a = { 0 };

	book.own_senders = false;
	addressbook_sender(&book, &q, &a);
	ok(a.verdict == RESOLVE_ACCEPT, "submission.sender any: as anybody");
	book.own_senders = true;
}

struct recipient_case {
	const char *client, *account, *recipient, *want;
};

static const char nobody[] = "reject 5.1.1 no such mailbox here",
		  denied[] = "reject 5.7.1 relaying denied";

static void recipients(const struct recipient_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct resolve_question q =
			asked(cases[i].client, cases[i].account, "s@far.test", cases[i].recipient);
		struct resolve_answer a = { 0 };

		addressbook_recipient(&book, &q, &a);
		is_string(said(&a), cases[i].want, "from %s <%s> to <%s>", cases[i].client,
		          cases[i].account, cases[i].recipient);
	}
}

#define RECIPIENTS(cases) recipients((cases), sizeof(cases) / sizeof(cases)[0])

static void mailboxes(void)
{
	static const struct recipient_case cases[] = {
		{ "203.0.113.1", "", "anna@a.test", "accept" },
		{ "203.0.113.1", "", "ANNA@A.test", "accept" },
		{ "203.0.113.1", "", "anna+x@a.test", "accept" },
		{ "203.0.113.1", "", "a+b@a.test", "accept" },
		{ "203.0.113.1", "", "a+c@a.test", nobody },
		{ "203.0.113.1", "", "+anna@a.test", nobody },
		{ "203.0.113.1", "", "anna@old.test", "accept" },
		{ "203.0.113.1", "", "anna@older.test", "accept" },
		{ "203.0.113.1", "", "nobody@older.test", nobody },
		{ "203.0.113.1", "", "anna@round.test",
		  "later 4.3.5 cannot look up addresses now, try again later" },
		{ "203.0.113.1", "", "carl@a.test", "reject 5.2.1 this mailbox is disabled" },
		{ "203.0.113.1", "", "dora@a.test", "accept" },
		{ "203.0.113.1", "", "info@a.test", "accept" },
		{ "203.0.113.1", "", "info+x@a.test", "accept" },
		{ "203.0.113.1", "", "gone@a.test", "reject 5.1.6 moved to gone@far.test" },
		{ "203.0.113.1", "", "away@a.test", nobody },
		{ "203.0.113.1", "", "moved@a.test", "accept" },
		{ "203.0.113.1", "", "old@a.test", "reject 5.1.6 moved" },
		{ "203.0.113.1", "", "nobody@a.test", nobody },
		/* A department that publishes its addresses. */
		{ "203.0.113.1", "", "Anna@listed.test", "accept" },
		{ "203.0.113.1", "", "bert@listed.test", "reject 5.1.1 no such mailbox" },
	};

	RECIPIENTS(cases);
}

/* Aliases of which no end takes mail, and others. */
static void alias_ends(void)
{
	static const struct recipient_case cases[] = {
		{ "203.0.113.1", "", "lost@a.test", nobody },
		{ "203.0.113.1", "", "lost@older.test", nobody },
		{ "203.0.113.1", "", "lost2@a.test", "reject 5.1.6 moved to gone@far.test" },
		{ "203.0.113.1", "anna@a.test", "shut@a.test",
		  "reject 5.2.1 this mailbox is disabled" },
		{ "203.0.113.1", "", "shut@a.test", "reject 5.2.1 this mailbox is disabled" },
		{ "203.0.113.1", "", "wait@a.test", "later 4.4.1 not now" },
		{ "203.0.113.1", "", "out@a.test", "accept" },
		{ "203.0.113.1", "", "team@a.test", "accept" },
		{ "203.0.113.1", "", "nested@a.test", "accept" },
		{ "203.0.113.1", "", "bert@a.test", "accept" },
		{ "203.0.113.1", "", "self@a.test", nobody },
		{ "203.0.113.1", "", "circle@a.test",
		  "later 4.3.5 aliases are nested too deeply, or in a loop" },
	};

	RECIPIENTS(cases);
}

/* Whose mail goes where: the postmaster of each domain, departments, other hosts. */
static void relaying(void)
{
	static const struct recipient_case cases[] = {
		{ "203.0.113.1", "", "postmaster@a.test", "accept" },
		{ "203.0.113.1", "", "PostMaster@b.test", "accept" },
		{ "203.0.113.1", "", "postmaster", "accept" },
		{ "203.0.113.1", "", "anna", "accept" },
		{ "203.0.113.1", "", "postmaster@far.test", denied },
		{ "203.0.113.1", "", "anything@b.test", "accept" },
		{ "203.0.113.1", "", "x@far.test", denied },
		{ "203.0.113.1", "anna@a.test", "x@far.test", "accept" },
		{ "192.0.2.1", "", "x@far.test", "accept" },
		{ "203.0.113.1", "", "x@dept.test", "accept" },
		{ "203.0.113.1", "", "box@dept.test", "accept" },
		{ "203.0.113.1", "", "x%far.test@a.test", nobody },
		{ "203.0.113.1", "", "x%far.test@dept.test", denied },
		{ "203.0.113.1", "", "far.test!x@dept.test", denied },
		{ "203.0.113.1", "", "\"x@far.test\"@dept.test", denied },
		{ "203.0.113.1", "anna@a.test", "x%far.test@dept.test", "accept" },
		{ "203.0.113.1", "", "x@mx.test", denied },
		{ "203.0.113.1", "", "x@dead.test", denied },
		{ "203.0.113.1", "anna@a.test", "x@dead.test",
		  "reject 5.1.2 this domain is no more" },
		{ "203.0.113.1", "anna@a.test", "x@slow.test", "later 4.4.1 not now" },
		{ "203.0.113.1", "anna@a.test", "x@[192.0.2.1]",
		  "reject 5.1.2 mail to address literals is not accepted" },
		{ "203.0.113.1", "anna@a.test", "x@[192.0.2.99]", "accept" },
		{ "203.0.113.1", "", "x@[192.0.2.1]", denied },
	};

	RECIPIENTS(cases);
}

/* What never fits is refused when its size is announced; and what RCPT says of a mailbox. */
static void sizes(void)
{
	static const struct {
		const char *recipient;
		uint64_t size;
		const char *want;
		bool mailbox;
		uint64_t size_max;
	} cases[] = {
		{ "anna@a.test", 0, "accept", true, 1 << 30 },
		{ "anna+x@older.test", 1 << 30, "accept", true, 1 << 30 },
		{ "anna@a.test", (1 << 30) + 1,
		  "reject 5.2.3 message exceeds the quota of the mailbox", false, 0 },
		{ "dora@a.test", 1ULL << 40, "accept", true, 0 },
		{ "info@a.test", 1ULL << 40, "accept", false, 0 },
		{ "team@a.test", 1ULL << 40,
		  "reject 5.2.3 message exceeds the quota of the mailbox", false, 0 },
		{ "x@dept.test", 1ULL << 40, "accept", false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct resolve_question q = asked("203.0.113.1", "", "", cases[i].recipient);
		struct resolve_answer a = { 0 };

		q.size_bytes = cases[i].size;
		addressbook_recipient(&book, &q, &a);
		is_string(said(&a), cases[i].want, "%llu bytes for <%s>",
		          (unsigned long long)cases[i].size, cases[i].recipient);
		ok(a.mailbox == cases[i].mailbox && a.size_max_bytes == cases[i].size_max,
		   "whose limit is %llu", (unsigned long long)a.size_max_bytes);
	}
}

/* What deliveries have taught, and for whom it counts. */
static void refusals(void)
{
	static const char full[] = "later 4.2.2 the mailbox is full",
			  unknown[] = "reject 5.1.1 no mail server accepts mail for this address";
	static const struct {
		const char *account, *recipient;
		uint64_t size;
		bool submission;
		const char *want;
	} cases[] = {
		{ "", "full@b.test", 0, false, full },
		{ "", "full+x@b.test", 1, false, full },
		{ "", "tofull@b.test", 1, false, full },
		{ "", "fullor@b.test", 1, false, "accept" },
		{ "anna@a.test", "full@b.test", 0, false, "accept" },
		{ "", "full@b.test", 0, true, "accept" },
		{ "", "near@b.test", 0, false, "accept" },
		{ "", "near@b.test", 1 << 20, false, full },
		{ "", "near@b.test", (1 << 20) - 1, false, "accept" },
		{ "", "ends@dept.test", 0, false, unknown },
		{ "", "ends@DEPT.test", 0, false, unknown },
		{ "", "alive@dept.test", 0, false, "accept" },
		{ "", "toends@b.test", 0, false, unknown },
		{ "", "lost@b.test", 0, false, full },
		{ "anna@a.test", "ends@dept.test", 0, false, "accept" },
		{ "", "ends@dept.test", 0, true, "accept" },
	};
	static const struct row more_users[] = { { "full@b.test", "home=/mail/full quota=1G" },
		                                 { "near@b.test", "home=/mail/near quota=1G" },
		                                 { NULL, NULL } };
	static const struct row more_aliases[] = { { "tofull@b.test", "full@b.test" },
		                                   { "fullor@b.test", "full@b.test near@b.test" },
		                                   { "toends@b.test", "ends@dept.test" },
		                                   { "lost@b.test",
		                                     "nobody@b.test ends@dept.test full@b.test" },
		                                   { NULL, NULL } };
	struct map kept_users = book.maps[MAP_USERS], kept_aliases = book.maps[MAP_ALIASES];
	int64_t now_ms = clock_ms();

	make_map(&book.maps[MAP_USERS], more_users, false, compile_user);
	make_map(&book.maps[MAP_ALIASES], more_aliases, false, compile_alias);
	refusals_begin(&book.refusals);
	refusals_add(&book.refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/full"), 700, now_ms,
	             3600000);
	refusals_add(&book.refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/near"), 1 << 20, now_ms,
	             3600000);
	refusals_add(&book.refusals, RESOLVE_ADDRESS_UNKNOWN, VIEW("ends@dept.test"), 0, now_ms,
	             3600000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct resolve_question q =
			asked("203.0.113.1", cases[i].account, "", cases[i].recipient);
		struct resolve_answer a = { 0 };

		q.size_bytes = cases[i].size;
		q.submission = cases[i].submission;
		addressbook_recipient(&book, &q, &a);
		is_string(said(&a), cases[i].want, "%llu bytes by <%s> for <%s>%s",
		          (unsigned long long)cases[i].size, cases[i].account, cases[i].recipient,
		          cases[i].submission ? ", submitted" : "");
	}
	refusals_free(&book.refusals);
	map_close(&book.maps[MAP_USERS]);
	map_close(&book.maps[MAP_ALIASES]);
	book.maps[MAP_USERS] = kept_users;
	book.maps[MAP_ALIASES] = kept_aliases;
}

/* ---- expansion ---- */

struct listing {
	struct text text;
	unsigned count, lasts;
	bool last_was_last;
};

static void list_target(void *context, const struct resolve_target *t)
{
	struct listing *l = context;

	l->count++;
	l->lasts += t->last;
	l->last_was_last = t->last;
	text_format(&l->text, "%s%s%s", l->text.len ? " | " : "", t->expanded ? ">" : "",
	            t->address);
	if (t->agent == AGENT_LOCAL)
		text_format(&l->text, " box %u %s", t->mailbox.uid, t->mailbox.home);
	if (t->agent == AGENT_NONE)
		text_format(&l->text, " error %s %s", t->status, t->text);
	if (t->agent == AGENT_REMOTE) {
		const struct resolve_route *r = &t->route;

		text_format(&l->text, " %s %s%s%s", r->lmtp ? "lmtp" : "smtp",
		            r->domain[0] ? "mx=" : "to", r->domain, r->ours ? " (ours)" : "");
		for (unsigned i = 0; i < r->hop_count; i++)
			text_format(&l->text, " %s:%u", r->hops[i].host, r->hops[i].port);
	}
}

static void expansions(void)
{
	static const struct {
		const char *address, *want;
	} cases[] = {
		{ "anna@a.test", "anna@a.test box 5000 /mail/box" },
		{ "anna+X@A.test", "anna+X@a.test box 5000 /mail/box" },
		{ "anna@older.test", "anna@a.test box 5000 /mail/box" },
		{ "anna", "anna@a.test box 5000 /mail/box" },
		{ "info@a.test",
		  ">anna@a.test box 5000 /mail/box | >bert@a.test box 5000 /mail/box | >bert@far.test smtp mx=far.test" },
		{ "bert@a.test",
		  ">bert@a.test box 5000 /mail/box | >bert@far.test smtp mx=far.test" },
		{ "nested@a.test",
		  ">anna@a.test box 5000 /mail/box | >x@far.test smtp mx=far.test | >bert@a.test box 5000 /mail/box | "
		  ">bert@far.test smtp mx=far.test" },
		{ "circle@a.test", "circle@a.test error 4.3.5 alias loop" },
		{ "self@a.test", ">self@a.test error 5.1.1 no such mailbox here" },
		{ "team@a.test",
		  ">nobody@a.test error 5.1.1 no such mailbox here | >anna+list@a.test box 5000 /mail/box" },
		{ "gone@a.test", "gone@a.test error 5.1.6 moved to gone@far.test" },
		{ "carl@a.test", "carl@a.test error 5.2.1 this mailbox is disabled" },
		{ "nobody@a.test", "nobody@a.test error 5.1.1 no such mailbox here" },
		{ "any@b.test", ">all@b.test box 5000 /mail/box" },
		{ "postmaster@b.test", ">post@a.test box 5000 /mail/box" },
		{ "postmaster", ">post@a.test box 5000 /mail/box" },
		{ "x@far.test", "x@far.test smtp mx=far.test" },
		{ "X@Far.test", "X@far.test smtp mx=far.test" },
		{ "x@mx.test", "x@mx.test smtp mx=relay.test (ours)" },
		{ "x@bare.test", "x@bare.test smtp mx=bare.test (ours)" },
		{ "x@self.bare.test", "x@self.bare.test smtp mx=self.bare.test (ours)" },
		{ "x@not.bare.test", "x@not.bare.test smtp mx=not.bare.test" },
		{ "x@dept.test",
		  "x@dept.test smtp to mail1.dept.test:2525 [2001:db8::1]:25 mail2.dept.test:25" },
		{ "one@dept.test", ">anna@a.test box 5000 /mail/box" },
		{ "box@dept.test", "box@dept.test box 5000 /mail/box" },
		{ "moved@a.test", "moved@a.test smtp to 192.0.2.7:25" },
		{ "x@y.lmtp.test", "x@y.lmtp.test lmtp to 127.0.0.1:24" },
		{ "x@dead.test", "x@dead.test error 5.1.2 this domain is no more" },
		{ "x@[192.0.2.1]",
		  "x@[192.0.2.1] error 5.1.2 mail to address literals is not accepted" },
		{ "x@round.test", "x@around.test error 4.3.5 the maps cannot be read" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct listing l = { .count = 0 };

		text_init(&l.text, 1 << 16);
		addressbook_expand(&book, view_of(cases[i].address), list_target, &l);
		is_string(l.text.raw, cases[i].want, "<%s> ends", cases[i].address);
		ok(l.lasts == 1 && l.last_was_last, "<%s>: the last is the last", cases[i].address);
		text_free(&l.text);
	}
}

static void default_route(void)
{
	static const struct row all[] = { { "*", "smtp smart.test:587" },
		                          { "far.test", "smtp mx" },
		                          { NULL, NULL } };
	struct map kept = book.maps[MAP_ROUTES];
	struct listing l = { .count = 0 };

	make_map(&book.maps[MAP_ROUTES], all, false, route_compile);
	text_init(&l.text, 1 << 16);
	addressbook_expand(&book, VIEW("x@other.test"), list_target, &l);
	addressbook_expand(&book, VIEW("x@far.test"), list_target, &l);
	addressbook_expand(&book, VIEW("anna@a.test"), list_target, &l);
	is_string(
		l.text.raw,
		"x@other.test smtp to smart.test:587 | x@far.test smtp mx=far.test | anna@a.test box 5000 /mail/box",
		"a smart host for all, by MX for one, and ours stay here");
	text_free(&l.text);
	map_close(&book.maps[MAP_ROUTES]);
	book.maps[MAP_ROUTES] = kept;
}

/* ---- limits ---- */

/* No resolved has other maps than at its start. */
static void aliases_instead(const struct row *rows,
                            int (*compile)(struct view, struct text *, struct reason *))
{
	make_map(&book.maps[MAP_ALIASES], rows, false, compile);
	memset(book.judged, 0, sizeof book.judged);
}

static void aliases_back(const struct map *kept)
{
	map_close(&book.maps[MAP_ALIASES]);
	book.maps[MAP_ALIASES] = *kept;
	memset(book.judged, 0, sizeof book.judged);
}

static void count_target(void *context, const struct resolve_target *t)
{
	struct listing *l = context;

	l->count++;
	l->lasts += t->last;
	if (t->agent == AGENT_NONE)
		text_format(&l->text, "%s %s", t->status, t->text);
}

static char *many_targets(unsigned from, unsigned to)
{
	struct text t;

	text_init(&t, VALUE_MAX);
	for (unsigned i = from; i < to; i++)
		text_format(&t, "u%u@far.test ", i);
	return t.raw;
}

static const char *verdict_of(const char *address)
{
	struct resolve_question q = asked("203.0.113.1", "", "s@far.test", address);
	static struct resolve_answer a;

	a = (struct resolve_answer){ 0 };
	addressbook_recipient(&book, &q, &a);
	return said(&a);
}

/* A stranger asks: what RCPT looks at has an end. */
static void ends_have_a_limit(void)
{
	struct row rows[3] = { { "all@a.test", NULL }, { "over@a.test", NULL } };
	struct map kept = book.maps[MAP_ALIASES];
	struct text targets;

	text_init(&targets, VALUE_MAX);
	for (unsigned i = 0; i < ADDRESSBOOK_ENDS_MAX; i++)
		text_format(&targets, "u%u@a.test ", i);
	char *all = memory_string(text_view(&targets));

	text_add_string(&targets, "one@a.test");
	rows[0].value = all;
	rows[1].value = targets.raw;
	aliases_instead(rows, compile_alias);
	is_string(verdict_of("all@a.test"), "reject 5.1.1 no such mailbox here",
	          "%d ends that take nothing", ADDRESSBOOK_ENDS_MAX);
	is_string(verdict_of("over@a.test"), "accept", "with one more nobody looks further");
	free(all);
	text_free(&targets);
	aliases_back(&kept);
}

static void limits(void)
{
	char *ten = many_targets(0, 10000);
	struct row rows[48] = { { "ten@a.test", ten },
		                { "more@a.test", "over@far.test ten@a.test" },
		                { "fork@a.test", "x@dept.test d0@a.test" },
		                { "round@a.test", "round1@a.test round2@a.test" },
		                { "round1@a.test", "round@a.test round2@a.test" },
		                { "round2@a.test", "round1@a.test round@a.test" } };
	char names[40][16], targets[40][32];
	struct map kept = book.maps[MAP_ALIASES];
	struct listing l = { .count = 0 };

	for (unsigned i = 0; i < 40; i++) {
		snprintf(names[i], sizeof names[i], "d%u@a.test", i);
		snprintf(targets[i], sizeof targets[i], "d%u@a.test", i + 1);
		rows[6 + i] = (struct row){ names[i], i == 39 ? "x@far.test" : targets[i] };
	}
	aliases_instead(rows, compile_alias);
	free(ten);
	text_init(&l.text, 1 << 16);
	addressbook_expand(&book, VIEW("ten@a.test"), count_target, &l);
	ok(l.count == 10000 && l.lasts == 1 && l.text.len == 0, "%u targets are given out",
	   l.count);
	l.count = 0;
	addressbook_expand(&book, VIEW("more@a.test"), count_target, &l);
	ok(l.count == 1, "one more, and none is");
	is_string(l.text.raw, "4.3.5 the alias has too many targets", "but why");
	text_clear(&l.text);
	addressbook_expand(&book, VIEW("d0@a.test"), count_target, &l);
	is_string(l.text.raw, "4.3.5 aliases are nested too deeply", "40 aliases deep is too deep");
	text_clear(&l.text);
	l.count = 0;
	addressbook_expand(&book, VIEW("d8@a.test"), count_target, &l);
	ok(l.count == 1 && l.text.len == 0, "%d deep are not", EXPANSION_DEPTH_MAX);
	/* RCPT asks the same: what is taken can be expanded. */
	for (unsigned again = 0; again < 2; again++) {
		is_string(verdict_of("more@a.test"), "later 4.3.5 the alias has too many targets",
		          "RCPT: too many, the first of which would take it");
		is_string(verdict_of("fork@a.test"), "later 4.3.5 aliases are nested too deeply",
		          "one branch too deep");
		is_string(verdict_of("round@a.test"),
		          "later 4.3.5 aliases are nested too deeply, or in a loop",
		          "a loop of three, with more ways than anybody goes");
		is_string(verdict_of("ten@a.test"), "accept", "as many as may be");
		is_string(verdict_of("d8@a.test"), "accept", "as deep as may be");
	}
	text_free(&l.text);
	aliases_back(&kept);
}

/* As builds of before 0.2 left it: one target, longer than any address. */
static int compile_long(struct view ignored, struct text *out, struct reason *why)
{
	char target[RESOLVE_ADDRESS_MAX];

	(void)ignored;
	(void)why;
	memset(target, 'l', sizeof target);
	value_put_u8(out, 0);
	value_put_bytes(out, VIEW(""));
	value_put_u32(out, 1);
	value_put_bytes(out, (struct view){ target, sizeof target });
	return 0;
}

static void long_targets(void)
{
	static const struct row rows[] = { { "long@a.test", "" }, { NULL, NULL } };
	struct map kept = book.maps[MAP_ALIASES];
	struct listing l = { .count = 0 };

	aliases_instead(rows, compile_long);
	text_init(&l.text, 1 << 16);
	addressbook_expand(&book, VIEW("long@a.test"), count_target, &l);
	is_string(text_string(&l.text), "4.3.5 the alias has a target that is too long",
	          "mail for a target that is no address waits");
	text_free(&l.text);
	aliases_back(&kept);
}

static void statuses(void)
{
	static const struct {
		const char *text, *status, *rest;
	} cases[] = {
		{ "5.7.1 go away", "5.7.1", "go away" },
		{ "go away", "5.0.0", "go away" },
		{ "4.2.1", "4.2.1", "" },
		{ "", "5.0.0", "" },
		{ "5.7 no", "5.0.0", "5.7 no" },
		{ "2.0.0 yes", "5.0.0", "2.0.0 yes" },
		{ "5.7.1x no", "5.0.0", "5.7.1x no" },
		{ "5.7.1234567 no", "5.7.1234567", "no" },
		{ "5.7.12345678901 no", "5.0.0", "5.7.12345678901 no" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char status[STATUS_MAX];
		struct view rest;

		classify_split_status(view_of(cases[i].text), "5.0.0", status, &rest);
		ok(strcmp(status, cases[i].status) == 0 && view_equal(rest, view_of(cases[i].rest)),
		   "\"%s\" is %s and \"%.*s\"", cases[i].text, status, VIEW_ARG(rest));
	}
}

int main(void)
{
	open_book();
	clients();
	senders();
	mailboxes();
	alias_ends();
	relaying();
	sizes();
	refusals();
	expansions();
	default_route();
	limits();
	ends_have_a_limit();
	long_targets();
	statuses();
	return tap_done();
}
