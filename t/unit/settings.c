/* SPDX-License-Identifier: ISC */
#include "lib/conf/settings.h"

#include <cdb.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/conf/services.h"
#include "lib/net/listen.h"
#include "lib/wire/spool.h"
#include "queue/queued/agents.h"
#include "t/tap.h"

static void defaults(void)
{
	struct settings s;

	settings_default(&s);
	ok(s.message_size_max_bytes == 50 << 20, "50M is 50 * 1024 * 1024");
	ok(s.queue_lifetime_ms == 5 * 86400000LL, "5d in milliseconds");
	is_string(s.tls_minimum, "1.2", "a choice");
	ok(s.host_name[0] != '\0', "host.name is filled in");
	is_string(s.mail_domain, s.host_name, "mail.domain follows host.name");
	settings_free(&s);
}

static const struct setting *row_of(const char *key)
{
	const struct setting *row = settings_table;

	while (strcmp(row->key, key) != 0)
		row++;
	return row;
}

static void table(void)
{
	struct settings s;
	struct text out;

	text_init(&out, 4096);
	settings_default(&s);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		size_t help = strlen(row->help);

		text_clear(&out);
		setting_format(&s, row, &out);
		if (row->initial[0] != '\0')
			is_string(out.raw, row->initial, "%s: the default is written canonically",
			          row->key);
		ok(help > 0 && row->help[help - 1] == '.', "%s: has a line of help", row->key);
	}
	ok(settings_count < 100, "fewer than 100 settings");
	text_clear(&out);
	text_format(&out, "1..%d", PORTERS_MAX);
	is_string(row_of("porter.processes")->range, out.raw,
	          "there are places for as many porters as porter.processes allows");
	text_free(&out);
	settings_free(&s);
}

static const struct {
	const char *key, *value, *want; /* want: the canonical value, or the reason */
} value_cases[] = {
	{ "porter.sessions", "1", "1" },
	{ "porter.sessions", "50000", "50000" },
	{ "porter.sessions", "0", "porter.sessions: \"0\" is not a number from 1 to 50000" },
	{ "porter.sessions", "50001",
	  "porter.sessions: \"50001\" is not a number from 1 to 50000" },
	{ "porter.sessions", "-1", "porter.sessions: \"-1\" is not a number from 1 to 50000" },
	{ "porter.sessions", "", "porter.sessions: \"\" is not a number from 1 to 50000" },
	{ "porter.sessions", "99999999999999999999",
	  "porter.sessions: \"99999999999999999999\" is not a number "
	  "from 1 to 50000" },
	{ "message.size-max", "64K", "64K" },
	{ "message.size-max", "65536", "64K" },
	{ "message.size-max", "65537", "65537" },
	{ "message.size-max", "2g", "2G" },
	{ "message.size-max", "2049M",
	  "message.size-max: \"2049M\" is not a size in bytes (or with K, M, G) from "
	  "64K to 2G" },
	{ "message.size-max", "99999999T",
	  "message.size-max: \"99999999T\" is not a size in bytes (or with K, M, "
	  "G) from 64K to 2G" },
	{ "smtpd.timeout", "90s", "90s" },
	{ "smtpd.timeout", "120s", "2m" },
	{ "smtpd.timeout", "1500ms", "1500ms" },
	{ "smtpd.timeout", "1h", "1h" },
	{ "smtpd.timeout", "30",
	  "smtpd.timeout: \"30\" is not a time with its unit (ms, s, m, h, d) from 1s to "
	  "1h" },
	{ "smtpd.timeout", "2h",
	  "smtpd.timeout: \"2h\" is not a time with its unit (ms, s, m, h, d) from 1s to "
	  "1h" },
	{ "queue.delay-notice", "0", "0" },
	{ "queue.delay-notice", "99999999999999999d",
	  "queue.delay-notice: \"99999999999999999d\" is not a time "
	  "with its unit (ms, s, m, h, d) from 0 to 30d" },
	{ "log.debug", "yes", "yes" },
	{ "log.debug", "1", "log.debug: \"1\" is neither yes nor no" },
	{ "tls.minimum", "1.3", "1.3" },
	{ "tls.minimum", "1.1", "tls.minimum: \"1.1\" is not one of 1.2|1.3" },
	{ "host.name", "", "" },
	{ "host.name", "a\nb", "host.name: a control character in the value" },
	{ "log.to", "", "log.to: a value is needed" },
	{ "mail.root", "relative", "mail.root: \"relative\" is not an absolute path" },
	{ "listen.smtp", "", "" },
	{ "listen.smtp", "*:25, [::1]:2525", "*:25, [::1]:2525" },
	{ "listen.smtp", "localhost:25",
	  "listen.smtp: \"localhost:25\" is not an address with a port such as "
	  "*:25, 192.0.2.1:25 or [2001:db8::1]:25" },
	{ "listen.smtp", "*:0",
	  "listen.smtp: \"*:0\" is not an address with a port such as *:25, 192.0.2.1:25 or "
	  "[2001:db8::1]:25" },
	{ "listen.smtp", "*:65536",
	  "listen.smtp: \"*:65536\" is not an address with a port such as *:25, "
	  "192.0.2.1:25 or [2001:db8::1]:25" },
	{ "porter.session", "1",
	  "unknown setting \"porter.session\"; did you mean porter.sessions?" },
	{ "Porter.idle_timeout", "1",
	  "unknown setting \"Porter.idle_timeout\"; did you mean porter.idle-timeout?" },
	{ "xyzzy", "1", "unknown setting \"xyzzy\"; see posthouse.conf(5)" },
};

static void values(void)
{
	for (size_t i = 0; i < sizeof value_cases / sizeof value_cases[0]; i++) {
		struct settings s;
		struct reason why = { "" };
		struct text out;

		text_init(&out, 4096);
		settings_default(&s);
		if (setting_parse(&s, view_of(value_cases[i].key), view_of(value_cases[i].value),
		                  &why) == 0)
			setting_format(&s, setting_find(view_of(value_cases[i].key)), &out);
		is_string(why.text[0] ? why.text : out.raw, value_cases[i].want, "%s %s",
		          value_cases[i].key, value_cases[i].value);
		text_free(&out);
		settings_free(&s);
	}
}

static int compiled(const char *key, const char *value)
{
	char path[] = "/tmp/settings.XXXXXX";
	int fd = mkstemp(path);
	struct cdb_make make;

	unlink(path);
	cdb_make_start(&make, fd);
	cdb_make_add(&make, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
	cdb_make_finish(&make);
	return fd;
}

static void loading(void)
{
	struct settings s;
	struct reason why;
	int fd = compiled("host.name", "mail.example.test");

	ok(settings_load(&s, fd, &why) == 0, "compiled settings are loaded");
	close(fd);
	is_string(s.host_name, "mail.example.test", "a string outlives the descriptor");
	is_string(s.mail_domain, "mail.example.test", "mail.domain follows");
	settings_free(&s);

	fd = compiled("host.nome", "x");
	ok(settings_load(&s, fd, &why) != 0, "an unknown key is an error");
	is_string(why.text, "unknown setting \"host.nome\"; did you mean host.name?", "and named");
	settings_free(&s);
	ok(ftruncate(fd, 100) == 0 && settings_load(&s, fd, &why) != 0, "a torn file is an error");
	settings_free(&s);
	close(fd);

	fd = compiled("host.name", "mail.example.test");
	ok(pwrite(fd, "\xff\xff\xff\x7f", 4, 2048) == 4 && settings_load(&s, fd, &why) != 0,
	   "an entry that cannot be read is not the end");
	is_string(why.text, "damaged: an entry cannot be read", "and is named");
	settings_free(&s);
	close(fd);
}

/* What a setting may be at most, the programs must hold. */
static void ranges(void)
{
	static const struct {
		const char *key;
		int most;
	} rows[] = {
		{ "recipients-max", SPOOL_RECIPIENTS_MAX }, { "smtpd.sessions-max", SESSIONS_MAX },
		{ "login.sessions-max", SESSIONS_MAX },     { "porter.processes", PORTERS_MAX },
		{ "local.agents-max", AGENTS_MAX },         { "remote.agents-max", AGENTS_MAX },
	};
	char value[32];
	struct settings s;
	struct reason why;

	settings_default(&s);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		snprintf(value, sizeof value, "%d", rows[i].most);
		ok(setting_parse(&s, view_of(rows[i].key), view_of(value), &why) == 0,
		   "%s may be what the programs hold", rows[i].key);
		snprintf(value, sizeof value, "%d", rows[i].most + 1);
		ok(setting_parse(&s, view_of(rows[i].key), view_of(value), &why) != 0,
		   "and not more");
	}
	settings_free(&s);
}

/* Each row of services.def has its setting, which leads to its port, and each such setting has its
 * row. */
static void test_services(void)
{
	unsigned listeners = 0;
	char value[32];

	for (size_t i = 0; i < settings_count; i++)
		listeners += settings_table[i].type == SETTING_LISTEN;
	ok(listeners == SERVICES, "%u settings of listeners, %d services", listeners, SERVICES);
	for (unsigned i = 0; i < SERVICES; i++) {
		const struct setting *row = setting_find(view_of(services[i].key));
		struct reason why;
		struct settings s;

		snprintf(value, sizeof value, "*:%u", services[i].port);
		is_string(row ? row->initial : "none", value, "%s is by default", services[i].key);
		snprintf(value, sizeof value, "192.0.2.1:%u", i + 1);
		settings_default(&s);
		setting_parse(&s, view_of(services[i].key), view_of(value), &why);
		is_string(service_addresses(&s, i), value, "%s has its own field", services[i].key);
		settings_free(&s);
	}
}

/* Binds both to one port that the system chooses: 1, 0 when the second was refused, -1 when this
 * machine cannot have the first. A stranger may have the port at the second address, seldom. */
static int bind_both(struct net_address *a, struct net_address *b)
{
	int result = 0;

	for (int tries = 0; tries < 10 && result == 0; tries++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof ss;
		struct net_address got;

		a->port = 0;
		int first = net_listen(a, NULL);

		if (first < 0 || getsockname(first, (struct sockaddr *)&ss, &len) < 0 ||
		    !net_address_from_sockaddr((struct sockaddr *)&ss, &got))
			return -1;
		a->port = b->port = got.port;
		int second = net_listen(b, NULL);

		result = second >= 0;
		if (second < 0 && errno != EADDRINUSE)
			result = -1;
		close(first);
		if (second >= 0)
			close(second);
	}
	return result;
}

static struct net_address address_of(const char *text)
{
	struct net_address a = { 0 };

	if (strcmp(text, "*") != 0)
		net_address_parse(view_of(text), &a);
	return a;
}

/* What the build takes for an overlap is what the system refuses. */
static void test_overlaps(void)
{
	static const char *const hosts[] = {
		"*", "0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1"
	};
	enum { HOSTS = sizeof hosts / sizeof hosts[0] };

	for (unsigned i = 0; i < HOSTS; i++) {
		for (unsigned j = 0; j < HOSTS; j++) {
			struct net_address a = address_of(hosts[i]), b = address_of(hosts[j]);
			int both = bind_both(&a, &b);

			if (both < 0)
				ok(true, "# skip no such address on this machine");
			else
				ok(listen_overlap(&a, &b) == !both, "%s and %s on one port %s",
				   hosts[i], hosts[j], both ? "go together" : "overlap");
			b.port = (uint16_t)(a.port ^ 1);
			if (listen_overlap(&a, &b))
				ok(false, "%s and %s on two ports", hosts[i], hosts[j]);
		}
	}
}

int main(void)
{
	test_overlaps();
	ranges();
	test_services();
	defaults();
	table();
	values();
	loading();
	return tap_done();
}
