/* SPDX-License-Identifier: ISC */
/* The compiled maps: text to value to struct, lookups, and values cut at every byte. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/sum.h"
#include "lib/base/file.h"

#include "lib/conf/access.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/aliases.h"
#include "lib/conf/mapsure.h"
#include "lib/conf/certificates.h"
#include "lib/conf/domains.h"
#include "lib/conf/passwords.h"
#include "lib/conf/routes.h"
#include "lib/conf/users.h"
#include "t/tap.h"

static struct cdb_make making;
static int making_fd;

static void begin(void)
{
	char path[] = "/tmp/maps.XXXXXX";

	making_fd = mkstemp(path);
	unlink(path);
	cdb_make_start(&making, making_fd);
}

static void add(struct view key, struct view value)
{
	cdb_make_add(&making, key.data, (unsigned)key.len, value.data, (unsigned)value.len);
}

static struct map finish(void)
{
	struct map m;

	cdb_make_finish(&making);
	map_open(&m, making_fd, "a.cdb", NULL);
	return m;
}

static void reading(void)
{
	struct view key, value = { "", 0 };

	begin();
	add(VIEW("anna@a.test"), VIEW("1"));
	add(VIEW("a.test"), VIEW("2"));
	add(VIEW(".a.test"), VIEW("3"));
	add(VIEW("*"), VIEW("4"));
	struct map m = finish();
	static const struct {
		const char *address, *want;
	} cases[] = { { "Anna@A.test", "1" },
		      { "bert@a.test", "2" },
		      { "x@b.a.test", "3" },
		      { "x@c.b.a.test", "3" },
		      { "x@xa.test", "4" },
		      { "x@test", "4" },
		      { "a.test", "2" },
		      { "", "4" },
		      { "anna@a.test@z.test", "4" } };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ok(map_get_widening(&m, VIEW(""), view_of(cases[i].address), &value) == MAP_FOUND,
		   "%s is found", cases[i].address);
		ok(view_equal(value, view_of(cases[i].want)), "%s by entry %s", cases[i].address,
		   cases[i].want);
	}
	ok(map_get(&m, VIEW("Anna@a.test"), &value) == MAP_MISSING, "map_get is exact");
	int count = 0;

	for (map_rewind(&m); map_next(&m, &key, &value) == MAP_FOUND; count++)
		;
	ok(count == 4, "every entry is listed");
	char long_key[MAP_KEY_MAX + 2] = "";

	memset(long_key, 'a', sizeof long_key - 1);
	ok(map_get_lower(&m, VIEW(""), view_of(long_key), &value) == MAP_MISSING,
	   "an over-long key is in no map");
	map_close(&m);
}

/* Every prefix of a value must be refused, and so must one byte more. */
static void torn(const char *what, struct text *value, bool (*decode)(struct view))
{
	bool refused = true;

	ok(decode(text_view(value)), "%s: the whole value is read", what);
	for (size_t len = 0; len < value->len; len++) {
		char *exact =
			memory_get(len ? len
		                       : 1); /* so that a sanitizer sees a read past the end */

		memcpy(exact, value->raw, len);
		if (decode((struct view){ exact, len })) {
			refused = false;
			printf("# %s: %zu of %zu bytes were taken\n", what, len, value->len);
		}
		free(exact);
	}
	ok(refused, "%s: cut at any byte it is refused", what);
}

static void refuses_more(const char *what, struct text *value, bool (*decode)(struct view))
{
	text_add_byte(value, 'x');
	ok(!decode(text_view(value)), "%s: with a byte more it is refused", what);
}

static bool decode_user(struct view v)
{
	struct user u;
	return user_decode(v, &u);
}

static bool decode_domain(struct view v)
{
	struct domain d;
	return domain_decode(v, &d);
}

static bool decode_password(struct view v)
{
	struct password p;
	return password_decode(v, &p);
}

static bool decode_alias(struct view v)
{
	struct alias a;
	return alias_decode(v, &a);
}

static bool decode_route(struct view v)
{
	struct route r;
	return route_decode(v, &r);
}

static bool decode_access(struct view v)
{
	struct access a;
	return access_decode(v, &a);
}

static void users(void)
{
	struct arena arena = { 0 };
	struct user u = { .rights = USER_RIGHTS_DEFAULT }, back;
	struct text value;
	struct reason why;

	text_init(&value, 4096);
	ok(user_parse(
		   VIEW("uid=5000 gid=5001 quota=2G rights=pop3,admin state=locked home=\"x y\""),
		   &arena, &u, &why) != 0,
	   "a quote inside a word is an error");
	ok(user_parse(
		   VIEW("uid=5000 gid=5001 quota=2G rights=pop3,admin state=locked \"home=/x y\""),
		   &arena, &u, &why) == 0,
	   "all words of a user");
	user_encode(&u, &value);
	ok(user_decode(text_view(&value), &back) && back.uid == 5000 && back.gid == 5001 &&
	           back.quota_bytes == 2LL << 30 &&
	           back.rights == (USER_RIGHT_POP3 | USER_RIGHT_ADMIN) &&
	           back.state == USER_LOCKED && view_equal(back.home, VIEW("/x y")),
	   "come back");
	torn("user", &value, decode_user);
	refuses_more("user", &value, decode_user);

	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "uid=0",
		  "uid: \"0\" is not a number from 1 to 2147483647 (a mailbox never belongs to root)" },
		{ "uid=-1",
		  "uid: \"-1\" is not a number from 1 to 2147483647 (a mailbox never belongs to root)" },
		{ "uid=4294967296",
		  "uid: \"4294967296\" is not a number from 1 to 2147483647 (a mailbox never belongs "
		  "to root)" },
		{ "quota=2X", "quota: \"2X\" is not a size such as 500M or 2G" },
		{ "rights=smtp,root",
		  "rights: \"root\" is not one of smtp, pop3, imap, web, admin, none" },
		{ "state=off", "state: \"off\" is not one of active, locked, closed" },
		{ "home=", "home: a path is missing" },
		{ "shell=/bin/sh",
		  "unknown option \"shell=/bin/sh\"; a user has uid= gid= home= quota= rights= state=" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		why.text[0] = '\0';
		user_parse(view_of(bad[i].text), &arena, &u, &why);
		is_string(why.text, bad[i].why, "user %s", bad[i].text);
	}
	text_free(&value);
	arena_clear(&arena);
}

static void homes(void)
{
	static const struct {
		const char *home, *address, *want;
	} cases[] = {
		{ "%d/%u", "anna@a.test", "/mail/a.test/anna" },
		{ "u1", "anna@a.test", "/mail/u1" },
		{ "/srv/%u", "anna@a.test", "/srv/anna" },
		{ "100%", "anna@a.test", "/mail/100%" },
		{ "../x", "anna@a.test", "!home: \"../x\" has a \".\" or \"..\" in it" },
		{ "x/./y", "anna@a.test", "!home: \"x/./y\" has a \".\" or \"..\" in it" },
		{ "%u/x", "a/b@a.test",
		  "!the address has a \"/\"; give it a home=PATH without %u" },
		{ "own", "a/b@a.test", "/mail/own" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text out;
		struct reason why;

		text_init(&out, 4096);
		if (user_home(view_of(cases[i].home), view_of(cases[i].address), VIEW("/mail"),
		              &out, &why) != 0) {
			text_clear(&out);
			text_format(&out, "!%s", why.text);
		}
		is_string(out.raw, cases[i].want, "home %s of %s", cases[i].home, cases[i].address);
		text_free(&out);
	}
}

static void domains(void)
{
	struct arena arena = { 0 };
	struct domain d, back;
	struct text value;
	struct reason why;

	text_init(&value, 4096);
	ok(domain_parse(VIEW("mailboxes home=%d/%u quota=1G language=de"), &arena, &d, &why) == 0,
	   "a domain of mailboxes");
	domain_encode(&d, &value);
	ok(domain_decode(text_view(&value), &back) && back.class == DOMAIN_MAILBOXES &&
	           back.defaults.quota_bytes == 1 << 30 && view_equal(back.language, VIEW("de")) &&
	           view_equal(back.defaults.home, VIEW("%d/%u")),
	   "comes back");
	torn("domain", &value, decode_domain);
	refuses_more("domain", &value, decode_domain);
	ok(domain_parse(VIEW("alias-of Example.Test"), &arena, &d, &why) == 0 &&
	           view_equal(d.target, VIEW("example.test")),
	   "the target of an alias is lower-cased");
	ok(domain_parse(VIEW(""), &arena, &d, &why) != 0, "a class is needed");
	ok(domain_parse(VIEW("alias-of"), &arena, &d, &why) != 0, "an alias needs a target");
	ok(domain_parse(VIEW("relay quota=1G"), &arena, &d, &why) != 0,
	   "a relayed domain has no users");
	is_string(why.text, "\"quota=1G\" is not an option of a domain of this class",
	          "and says so");
	ok(domain_parse(VIEW("local"), &arena, &d, &why) != 0, "an unknown class");
	text_free(&value);
	arena_clear(&arena);
}

static void passwords(void)
{
	struct password p = { .user = { .uid = 7, .gid = 8, .home = VIEW("/mail/x") } }, back;
	struct text value;
	struct reason why;

	text_init(&value, 4096);
	ok(password_parse(VIEW("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"), &p.hash, &why) == 0,
	   "an argon2id string");
	password_encode(&p, &value);
	ok(password_decode(text_view(&value), &back) && view_equal(back.hash, p.hash) &&
	           back.user.uid == 7,
	   "comes back");
	torn("password", &value, decode_password);
	refuses_more("password", &value, decode_password);
	ok(password_parse(VIEW("secret"), &p.hash, &why) != 0, "a clear password is refused");
	ok(password_parse(VIEW("{PLAIN}secret"), &p.hash, &why) != 0, "so is one that says so");
	ok(password_parse(VIEW("$6$a b"), &p.hash, &why) != 0, "so is white space");
	text_free(&value);
}

static int open_include(const void *context, struct view path, struct view *text,
                        struct reason *why)
{
	(void)context;
	if (view_equal(path, VIEW("loop"))) {
		*text = VIEW("include:loop\n");
		return 0;
	}
	if (!view_equal(path, VIEW("list")))
		return fail(why, "include:%.*s: No such file", VIEW_ARG(path));
	*text = VIEW("# staff\nc@x.test\n\nd@x.test, e\n");
	return 0;
}

static void aliases(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "a@x.test", "a@x.test " },
		{ "a@x.test, B@x.test c", "a@x.test B@x.test c@here.test " },
		{ "a@x.test,b@x.test", "a@x.test b@x.test " },
		{ "include:list f@x.test", "c@x.test d@x.test e@here.test f@x.test " },
		{ "include:loop",
		  "!include:loop:1: include:loop:1: include:loop:1: include:loop:1: include:loop: included files may "
		  "include 4 deep" },
		{ "include:other", "!include:other: No such file" },
		{ ":fail: 5.1.6 moved away", "(5.1.6 moved away)" },
		{ ":fail:", "()" },
		{ "|/bin/sh",
		  "!|/bin/sh: delivery to programs and files is not supported; give an address" },
		{ "/dev/null",
		  "!/dev/null: delivery to programs and files is not supported; give an address" },
		{ "", "!no target; give addresses, include:FILE or :fail: TEXT" },
		{ "a@x..test", "!\"x..test\" is not a domain (letters, digits, hyphens, dots)" },
	};
	struct arena arena = { 0 };
	struct alias_source source = { VIEW("here.test"), &arena, open_include, NULL };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text value, shown;
		struct reason why = { "" };
		struct alias a;
		struct view target;

		text_init(&value, VALUE_MAX);
		text_init(&shown, 4096);
		if (alias_compile(&source, view_of(cases[i].text), &value, &why) != 0) {
			text_format(&shown, "!%s", why.text);
		} else if (alias_decode(text_view(&value), &a)) {
			if (a.fails)
				text_format(&shown, "(%.*s)", VIEW_ARG(a.text));
			while (alias_next(&a, &target))
				text_format(&shown, "%.*s ", VIEW_ARG(target));
			torn(cases[i].text, &value, decode_alias);
			refuses_more(cases[i].text, &value, decode_alias);
		}
		is_string(shown.raw, cases[i].want, "alias %s", cases[i].text);
		text_free(&value);
		text_free(&shown);
	}
	arena_clear(&arena);
}

static void show_route(const struct route *found, struct text *out)
{
	struct route r = *found;
	struct route_hop hop;

	text_format(out, "%d(%.*s)", (int)r.transport, VIEW_ARG(r.text));
	while (route_next(&r, &hop))
		text_format(out, " %s%.*s:%u", hop.mx ? "mx=" : "", VIEW_ARG(hop.host),
		            (unsigned)hop.port);
}

static void routes(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "smtp mx", "0() mx=:0" },
		{ "smtp mx=Relay.Example", "0() mx=relay.example:0" },
		{ "smtp a.test:26 192.0.2.1 [2001:db8::1]:27 2001:db8::2",
		  "0() a.test:26 192.0.2.1:0 2001:db8::1:27 "
		  "2001:db8::2:0" },
		{ "lmtp\t127.0.0.1:24", "1() 127.0.0.1:24" },
		{ "local", "2()" },
		{ "error 5.1.2 no more", "3(5.1.2 no more)" },
		{ "error", "3()" },
		{ "smtp mx mail.test",
		  "!mx and mx=DOMAIN stand alone: remove them or the other next hops" },
		{ "smtp mail.test mx=a.test",
		  "!mx and mx=DOMAIN stand alone: remove them or the other next hops" },
		{ "smtp h h h h h h h h h h h h h h h h h", "!more than 16 next hops" },
		{ "smtp", "!a next hop is missing; write HOST, HOST:PORT, mx or mx=DOMAIN" },
		{ "local x.test", "!local has no next hop" },
		{ "smtp a.test:0", "!\"a.test:0\": the port is not a number from 1 to 65535" },
		{ "smtp a.test:x", "!\"a.test:x\": the port is not a number from 1 to 65535" },
		{ "smtp [1.2.3]:25",
		  "!\"[1.2.3]\" is not a domain (letters, digits, hyphens, dots)" },
		{ "uucp x", "!\"uucp\" is not a transport; write smtp, lmtp, local or error" },
		{ "", "!\"\" is not a transport; write smtp, lmtp, local or error" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text value, shown;
		struct reason why = { "" };
		struct route r;

		text_init(&value, VALUE_MAX);
		text_init(&shown, 4096);
		if (route_compile(view_of(cases[i].text), &value, &why) != 0)
			text_format(&shown, "!%s", why.text);
		else if (route_decode(text_view(&value), &r))
			show_route(&r, &shown);
		is_string(shown.raw, cases[i].want, "route %s", cases[i].text);
		if (shown.raw[0] != '!')
			refuses_more(cases[i].text, &value, decode_route);
		text_free(&value);
		text_free(&shown);
	}
}

static void access_names(struct map *m)
{
	static const struct {
		enum access_name kind;
		const char *name;
		int want; /* -1: missing */
	} cases[] = {
		{ ACCESS_HOST, "a.dialup.test", ACCESS_REJECT },
		{ ACCESS_HOST, "dialup.test", -1 },
		{ ACCESS_SENDER, "Spam@evil.test", ACCESS_REJECT },
		{ ACCESS_SENDER, "ham@evil.test", -1 },
		{ ACCESS_SENDER, "x@bad.test", ACCESS_DEFER },
		{ ACCESS_RECIPIENT, "x@bad.test", ACCESS_ALLOW },
		{ ACCESS_RECIPIENT, "y@other.test", ACCESS_ALLOW },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct access a = { 0 };
		enum map_result result =
			access_find_name(m, cases[i].kind, view_of(cases[i].name), &a);

		ok(cases[i].want < 0 ? result == MAP_MISSING
		                     : result == MAP_FOUND && (int)a.action == cases[i].want,
		   "access by name %s", cases[i].name);
	}
}

static void access_addresses(struct map *m)
{
	static const struct {
		const char *address;
		int want;
	} cases[] = {
		{ "192.0.2.1", ACCESS_RELAY },
		{ "192.0.2.66", ACCESS_REJECT },
		{ "192.0.3.1", -1 },
		{ "10.1.2.3", ACCESS_ALLOW },
		{ "2001:db8::5", ACCESS_DEFER },
		{ "2001:db9::5", -1 },
		{ "::ffff:192.0.2.66", ACCESS_REJECT },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct net_address address;
		struct access a = { 0 };

		net_address_parse(view_of(cases[i].address), &address);
		enum map_result result = access_find_address(m, &address, &a);

		ok(cases[i].want < 0 ? result == MAP_MISSING
		                     : result == MAP_FOUND && (int)a.action == cases[i].want,
		   "access by address %s", cases[i].address);
	}
}

static void access_map(void)
{
	static const char *const lines[][2] = {
		{ "192.0.2.0/24", "relay" },       { "192.0.2.66", "reject not this one" },
		{ "10.0.0.0/8", "allow" },         { "2001:db8::/32", "defer" },
		{ "host:.dialup.test", "reject" }, { "from:SPAM@Evil.test", "reject" },
		{ "from:bad.test", "defer wait" }, { "to:*", "allow" },
	};
	static const char *const bad[][2] = {
		{ "192.0.2.1/24", "allow" },     { "192.0.2.1", "permit" },
		{ "192.0.2.1", "allow please" }, { "10.0.0.0/8", "" },
		{ "host:a..b", "allow" },        { "example.test", "allow" },
		{ "from:a@", "allow" },
	};
	struct access_lengths lengths = { 0 };
	struct text key, value;
	struct reason why;
	struct access a;

	text_init(&key, MAP_KEY_MAX);
	text_init(&value, VALUE_MAX);
	begin();
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		text_clear(&key);
		text_clear(&value);
		ok(access_key(view_of(lines[i][0]), VIEW(""), &key, &why) == 0 &&
		           access_parse(view_of(lines[i][1]), &a, &why) == 0,
		   "%s %s", lines[i][0], lines[i][1]);
		access_encode(&a, &value);
		access_note_length(&lengths, text_view(&key));
		add(text_view(&key), text_view(&value));
	}
	torn("access", &value, decode_access);
	text_clear(&value);
	access_lengths_encode(&lengths, &value);
	add(access_lengths_key(), text_view(&value));
	struct map m = finish();

	access_addresses(&m);
	access_names(&m);
	map_close(&m);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		text_clear(&key);
		ok(access_key(view_of(bad[i][0]), VIEW(""), &key, &why) != 0 ||
		           access_parse(view_of(bad[i][1]), &a, &why) != 0,
		   "%s %s is refused", bad[i][0], bad[i][1]);
	}
	text_free(&key);
	text_free(&value);
}

static bool decode_certificate(struct view v)
{
	struct certificate c;
	return certificate_decode(v, &c);
}

static void add_certificate(uint32_t index, struct view chain, const char *const *hosts)
{
	struct certificate c = { index, chain, VIEW("/keys/x.pem"),
		                 VIEW("0123456789abcdef0123456789abcdef"), VIEW("x.pem") };
	struct text key, value;

	text_init(&key, 1024);
	text_init(&value, 1024);
	certificate_key(index, &key);
	certificate_encode(&c, &value);
	add(text_view(&key), text_view(&value));
	torn("certificate", &value, decode_certificate);
	for (; *hosts != NULL; hosts++) {
		text_clear(&key);
		text_clear(&value);
		certificate_name_key(view_of(*hosts), &key);
		certificate_index_encode(index, &value);
		add(text_view(&key), text_view(&value));
	}
	text_free(&key);
	text_free(&value);
}

static void certificates(void)
{
	static const struct {
		const char *name, *chain;
	} cases[] = {
		{ "mail.a.test", "one" },  { "MAIL.A.test", "one" }, { "x.b.test", "two" },
		{ "b.test", "one" },       { "x.y.b.test", "one" },  { "", "one" },
		{ "unknown.test", "one" }, { "*.b.test", "two" },
	};
	struct certificate c;

	begin();
	add_certificate(0, VIEW("one"), (const char *const[]){ "mail.a.test", "*", NULL });
	add_certificate(1, VIEW("two"), (const char *const[]){ "*.b.test", NULL });
	struct map m = finish();

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ok(certificates_find(&m, view_of(cases[i].name), &c) == MAP_FOUND &&
		           view_equal(c.chain, view_of(cases[i].chain)),
		   "%s is served by certificate %s", cases[i].name, cases[i].chain);
	ok(certificates_at(&m, 1, &c) == MAP_FOUND && c.index == 1, "certificates can be listed");
	ok(certificates_at(&m, 2, &c) == MAP_MISSING, "to their end");
	map_close(&m);
	begin();
	m = finish();
	ok(certificates_find(&m, VIEW("mail.a.test"), &c) == MAP_MISSING,
	   "without certificates none is found");
	map_close(&m);
}

/* ---- damage ---- */

static int file_of(struct view bytes)
{
	char path[] = "/tmp/maps.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	write_whole(fd, bytes.data, bytes.len);
	return fd;
}

static bool opens(struct view bytes)
{
	struct map m;
	int fd = file_of(bytes);
	bool good = map_open(&m, fd, "a.cdb", NULL) == 0;

	if (good)
		map_release(&m);
	close(fd);
	return good;
}

static size_t sealed(char *out, size_t room)
{
	begin();
	add(VIEW("anna@a.test"), VIEW("1"));
	add(VIEW("bert@a.test"), VIEW("2"));
	cdb_make_finish(&making);
	uint64_t sum = 0;

	ok(map_seal(making_fd, "a.cdb", 7, &sum, NULL) == 0, "a map is sealed");
	ssize_t len = pread(making_fd, out, room, 0);

	close(making_fd);
	return len > 0 ? (size_t)len : 0;
}

static void one_byte(char *bytes, size_t len)
{
	unsigned passed = 0;

	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
			passed += opens((struct view){ bytes, len });
			bytes[i] = (char)(bytes[i] ^ 1 << bit);
		}
	ok(passed == 0, "a sealed map with one bit turned is refused, whichever (%u passed)",
	   passed);
}

static void cuts(char *bytes, size_t len, size_t trailer)
{
	unsigned passed = 0;

	for (size_t i = 0; i < len; i++)
		passed += i != len - trailer && opens((struct view){ bytes, i });
	ok(passed == 0, "a map that was cut is refused, wherever (%u passed)", passed);
	ok(opens((struct view){ bytes, len - trailer }),
	   "one without a trailer is of an older release and is read");
	ok(!opens((struct view){ bytes, len - trailer + 1 }), "but with a byte more it is not");
	memset(bytes, 0, 2048);
	ok(!opens((struct view){ bytes, len }), "a zeroed header is refused");
	ok(!opens((struct view){ bytes, len - trailer }), "in one without a trailer too");
}

/* What tinycdb itself says of a file with a trailer. */
static void behind_the_tables(struct view bytes)
{
	struct cdb plain;
	unsigned position, entries = 0;
	int fd = file_of(bytes);

	ok(cdb_init(&plain, fd) == 0, "a reader that knows no trailer opens the file");
	ok(cdb_find(&plain, "bert@a.test", 11) == 1 && cdb_find(&plain, "bert@b.test", 11) == 0,
	   "and finds what is there");
	cdb_seqinit(&position, &plain);
	while (cdb_seqnext(&position, &plain) > 0)
		entries++;
	ok(entries == 2, "and sees no entry in the trailer");
	cdb_free(&plain);
	close(fd);
}

/* Another file's name, another generation's number, the trailer of an older release. */
static void whose(char *bytes, size_t len, size_t trailer)
{
	struct map m;
	uint64_t old[2] = { htole64(len - trailer),
		            htole64(sum64((struct view){ bytes, len - trailer })) };

	ok(map_open(&m, file_of((struct view){ bytes, len }), "b.cdb", NULL) < 0 &&
	           errno == MAP_ERRNO_DAMAGED,
	   "under another map's name it is refused");
	ok(map_open(&m, file_of((struct view){ bytes, len }), "a.cdb", NULL) == 0 &&
	           m.generation == 7,
	   "it knows which generation it is of");
	map_close(&m);
	memcpy(bytes + len - trailer, "phsum 1\n", 8);
	memcpy(bytes + len - trailer + 8, old, sizeof old);
	ok(opens((struct view){ bytes, len - 8 }), "one with a trailer of the form before is read");
	bytes[2050] ^= 1;
	ok(!opens((struct view){ bytes, len - 8 }), "and verified");
}

/* One that was whole when it was last written is not summed again. */
static void known(char *bytes, size_t len)
{
	struct map_identity whole, other;
	struct map m;

	bytes[2050] ^= 1;
	int fd = file_of((struct view){ bytes, len });

	ok(map_identify(fd, &whole) && map_same_identity(&whole, &whole), "a file has an identity");
	other = whole;
	other.mtime_ns++;
	ok(map_open_known(&m, fd, "a.cdb", &other, NULL) < 0, "written since: it is verified");
	other = (struct map_identity){ 0 };
	ok(map_open_known(&m, fd, "a.cdb", &other, NULL) < 0, "never verified: it is verified");
	ok(map_open_known(&m, fd, "a.cdb", &whole, NULL) == 0 && m.generation == 7,
	   "known to be whole: it is not, and has its number all the same");
	ok(map_is_of(&m, fd), "and is of its file");
	ok(pwrite(fd, "x", 1, 2051) == 1 && ftruncate(fd, (off_t)len + 1) == 0 &&
	           !map_is_of(&m, fd),
	   "until that is written");
	map_close(&m);
	fd = file_of((struct view){ bytes, 100 });
	ok(map_identify(fd, &whole) && map_open_known(&m, fd, "a.cdb", &whole, NULL) < 0,
	   "what is no map is none, known or not");
	close(fd);
	bytes[2050] ^= 1;
}

static void damaged_answers(void)
{
	struct map m;
	struct view key, value;
	struct access a;
	struct reason why;

	errno = 0;
	ok(map_open(&m, file_of(VIEW("x")), "a.cdb", &why) < 0 && errno == MAP_ERRNO_DAMAGED,
	   "a file that is no map is damaged");
	ok(map_open(&m, -1, "a.cdb", &why) < 0 && errno != MAP_ERRNO_DAMAGED,
	   "one that cannot be opened is not");
	map_open_damaged(&m, file_of(VIEW("x")));
	ok(map_get(&m, VIEW("anna@a.test"), &value) == MAP_DAMAGED, "a damaged map: damaged");
	ok(map_get_widening(&m, VIEW(""), VIEW("anna@a.test"), &value) == MAP_DAMAGED,
	   "by any lookup");
	map_rewind(&m);
	ok(map_next(&m, &key, &value) == MAP_DAMAGED, "its first entry too");
	ok(access_has_names(&m, ACCESS_HOST) &&
	           access_find_name(&m, ACCESS_HOST, VIEW("a.test"), &a) == MAP_DAMAGED,
	   "it may have names, which are asked for in vain");
	map_close(&m);
}

static void checksums(void)
{
	char bytes[200];
	unsigned same = 0;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7);
	for (size_t len = 1; len <= sizeof bytes; len++) {
		uint64_t sum = sum64((struct view){ bytes, len });

		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= 1;
			same += sum == sum64((struct view){ bytes, len });
			bytes[i] ^= 1;
		}
		same += sum == sum64((struct view){ bytes, len - 1 });
	}
	ok(same == 0, "each byte and the length are in a checksum");
	ok(sum64(VIEW("")) != sum64((struct view){ "\0", 1 }), "of zeros too");
}

static void damage(void)
{
	enum { TRAILER = 32 };
	char bytes[8192];
	size_t len = sealed(bytes, sizeof bytes);

	behind_the_tables((struct view){ bytes, len });
	ok(opens((struct view){ bytes, len }), "it is opened");
	one_byte(bytes, len);
	cuts(bytes, len, TRAILER);
	len = sealed(bytes, sizeof bytes);
	known(bytes, len);
	whose(bytes, len, TRAILER);
	damaged_answers();
	checksums();
}

/* All entries in their order, as "key=value ". */
static const char *whole_of(struct map *m)
{
	static char all[256];
	struct text out;
	struct view key, value;
	enum map_result more;

	text_init(&out, sizeof all - 1);
	map_rewind(m);
	while ((more = map_next(m, &key, &value)) == MAP_FOUND)
		text_format(&out, "%.*s=%.*s ", VIEW_ARG(key), VIEW_ARG(value));
	if (more == MAP_DAMAGED)
		text_add(&out, VIEW("damaged"));
	string_put(all, sizeof all, text_view(&out));
	text_free(&out);
	return all;
}

static struct map overlay_of(const char *const *entries)
{
	begin();
	for (; entries[0] != NULL; entries += 2)
		add(view_of(entries[0]), view_of(entries[1]));
	return finish();
}

static struct map four(void)
{
	begin();
	add(VIEW("a"), VIEW("1"));
	add(VIEW("b"), VIEW("2"));
	add(VIEW("c"), VIEW("3"));
	add(VIEW("d"), VIEW("4"));
	return finish();
}

static void places(struct map *m)
{
	uint64_t last = 0, place;
	bool rises = true;

	for (const char *key = "acdeb"; *key; key++) { /* b stands behind the others */
		rises = rises && mapsure_place(m, (struct view){ key, 1 }, &place) == MAP_FOUND &&
		        place > last;
		last = place;
	}
	ok(rises, "places rise in the order of the entries");
	ok(mapsure_place(m, VIEW("x"), &place) == MAP_MISSING, "what is not there has none");
}

/* Who goes on with map_next begins again, whatever was laid or taken off. */
static void begins_again(void)
{
	static const char *const some[] = { "c", "=33", NULL };
	struct map m = four(), over = overlay_of(some);
	struct view key, value;

	for (int laid = 1; laid >= 0; laid--) {
		while (map_next(&m, &key, &value) == MAP_FOUND)
			;
		if (laid)
			map_lay(&m, &over);
		else
			map_unlay(&m);
		ok(map_next(&m, &key, &value) == MAP_FOUND && view_equal(key, VIEW("a")),
		   "%s an overlay the first entry comes first", laid ? "with" : "without");
	}
	map_unlay(&m);
	ok(map_next(&m, &key, &value) == MAP_FOUND && view_equal(key, VIEW("a")),
	   "also where there was none to take off");
	map_close(&m);
}

static void overlays(void)
{
	static const char *const some[] = { "c", "=33", "d", "-", "b", "+22", "e", "+5", NULL };
	static const char *const placed[] = { "e", "+5", "b", "+22", NULL };
	static const char *const bad[] = { "b", "", NULL };
	struct map m = four(), over = overlay_of(some);
	struct view value;

	ok(map_base_count(&m) == 4 && !map_has_overlay(&m), "a map knows how many it has");
	map_lay(&m, &over);
	is_string(whole_of(&m), "a=1 c=33 b=22 e=5 ",
	          "an overlay changes, removes and adds; what it moved stands behind");
	is_string(whole_of(&m), "a=1 c=33 b=22 e=5 ", "as often as one likes");
	ok(map_get(&m, VIEW("d"), &value) == MAP_MISSING, "one that went is not found");
	ok(map_get(&m, VIEW("c"), &value) == MAP_FOUND && view_equal(value, VIEW("33")) &&
	           map_get(&m, VIEW("e"), &value) == MAP_FOUND && view_equal(value, VIEW("5")) &&
	           map_get(&m, VIEW("a"), &value) == MAP_FOUND && view_equal(value, VIEW("1")),
	   "the others are, as they are now");
	ok(map_has_overlay(&m) && map_base_count(&m) == 4, "the first file has what it had");
	map_unlay(&m);
	is_string(whole_of(&m), "a=1 b=2 c=3 d=4 ", "without it all is as it was");
	over = overlay_of(placed);
	map_lay(&m, &over);
	is_string(whole_of(&m), "a=1 c=3 d=4 e=5 b=22 ", "another one is laid");
	over = overlay_of(bad);
	map_lay(&m, &over);
	ok(map_get(&m, VIEW("b"), &value) == MAP_DAMAGED, "a value without a mark is damage");
	is_string(whole_of(&m), "a=1 damaged", "in a row too");
	over = overlay_of(placed);
	map_lay(&m, &over);
	places(&m);
	map_close(&m);
}

/* Each key of so many that is said to be missing from a map that was not summed; -1: it is refused.
 */
static int unsure(struct view bytes, unsigned keys)
{
	struct map_identity whole;
	struct map m;
	char key[16];
	int fd = file_of(bytes), missing = 0;

	map_identify(fd, &whole);
	if (map_open_known(&m, fd, "a.cdb", &whole, NULL) != 0) {
		close(fd);
		return -1;
	}
	for (unsigned i = 0; i < keys; i++) {
		string_print(key, sizeof key, "u%u@a.test", i);
		missing += mapsure_has(&m, view_of(key)) == MAP_MISSING;
	}
	bool there = mapsure_has(&m, VIEW("nobody@a.test")) == MAP_FOUND;

	map_close(&m);
	return missing + there;
}

static struct view sealed_users(unsigned keys, char *out, size_t room)
{
	char key[16];
	uint64_t sum;

	begin();
	for (unsigned i = 0; i < keys; i++) {
		string_print(key, sizeof key, "u%u@a.test", i);
		add(view_of(key), VIEW("value"));
	}
	cdb_make_finish(&making);
	map_seal(making_fd, "a.cdb", 7, &sum, NULL);
	ssize_t len = pread(making_fd, out, room, 0);

	close(making_fd);
	return (struct view){ out, len > 0 ? (size_t)len : 0 };
}

/* A damaged map that is not summed does not say that there is nothing. */
static void sure(void)
{
	enum { FEW = 5, MANY = 2000 };
	static char bytes[1 << 17], whole[1 << 17];
	struct view all = sealed_users(FEW, bytes, sizeof bytes);
	int wrong = 0, refused = 0;

	ok(unsure(all, FEW) == 0 && unsure(all, FEW + 1) == 1, "a lookup that is sure, in a map");
	for (size_t bit = 0; bit < all.len * 8; bit++) {
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
		int result = unsure(all, FEW);

		wrong += result > 0;
		refused += result < 0;
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
	}
	ok(wrong == 0, "with one bit turned, whichever: nothing that is there is missing (%d)",
	   wrong);
	ok(refused == 64, "no more are refused than without the trailer's name (%d)", refused);
	all = sealed_users(MANY, whole, sizeof whole);
	wrong = 0;
	for (size_t at = 0; at + 512 <= all.len; at += 512) {
		memcpy(bytes, whole, all.len);
		memset(bytes + at, 0, 512);
		wrong += unsure((struct view){ bytes, all.len }, MANY) > 0;
	}
	ok(wrong == 0, "with one sector of zeros, whichever (%d)", wrong);
	ok(unsure(all, MANY) == 0, "and all is there in the whole one");
}

/* Whoever copies a value does so of a summed map; looking costs no sum. */
static void copied(void)
{
	static char bytes[8192];
	struct map_identity whole;
	struct view all, key, value;
	struct map m;

	begin();
	add(VIEW("k"), VIEW("value"));
	cdb_make_finish(&making);
	map_seal(making_fd, "users.cdb", 7, &(uint64_t){ 0 }, NULL);
	ssize_t len = pread(making_fd, bytes, sizeof bytes, 0);

	close(making_fd);
	all = (struct view){ bytes, len > 0 ? (size_t)len : 0 };
	for (int turn = 0; turn < 2; turn++) {
		enum map_result expected = turn ? MAP_DAMAGED : MAP_FOUND;

		bytes[2048 + 8 + 1] ^= (char)turn; /* of the value */
		int fd = file_of(all);

		map_identify(fd, &whole);
		bool judged = map_open_known(&m, fd, "users.cdb", &whole, NULL) == 0 &&
		              mapsure_get(&m, MAP_USERS, VIEW("x"), &value) == MAP_MISSING &&
		              mapsure_judge(&m, VIEW("k"), &value) == MAP_FOUND &&
		              mapsure_has(&m, VIEW("k")) == MAP_FOUND && !m.summed;

		ok(judged, "what is asked for, or decided by, is not summed");
		ok(mapsure_get(&m, MAP_USERS, VIEW("k"), &value) == expected &&
		           mapsure_next(&m, MAP_USERS, &key, &value) == expected && m.summed,
		   "what is copied is, and %s", turn ? "bad" : "good");
		map_close(&m);
	}
}

static void verified_later(void)
{
	static char bytes[8192];
	struct view all = sealed_users(2, bytes, sizeof bytes);
	struct map_identity whole;
	struct map m;

	for (int turn = 0; turn < 2; turn++) {
		bytes[2060] ^= (char)turn;
		int fd = file_of(all);

		map_identify(fd, &whole);
		ok(map_open_known(&m, fd, "a.cdb", &whole, NULL) == 0 &&
		           (map_verify(&m, "a.cdb", NULL) == 0) == !turn,
		   "one that was not summed is, when it is asked for: %s", turn ? "bad" : "good");
		map_close(&m);
	}
	map_open_damaged(&m, file_of(all));
	ok(map_verify(&m, "a.cdb", NULL) < 0 && errno == MAP_ERRNO_DAMAGED, "a damaged one too");
	map_close(&m);
}

int main(void)
{
	damage();
	sure();
	copied();
	verified_later();
	overlays();
	begins_again();
	certificates();
	reading();
	users();
	homes();
	domains();
	passwords();
	aliases();
	routes();
	access_map();
	return tap_done();
}
