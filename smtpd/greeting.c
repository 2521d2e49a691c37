/* SPDX-License-Identifier: ISC */
/* HELO, EHLO and what it offers, STARTTLS. */
#include "lib/base/log.h"
#include "lib/mail/esmtp.h"
#include "lib/wire/worker.h"
#include "smtpd/session.h"

static bool tls_is_next(const struct session *s)
{
	return s->connection.tls_offered && !s->connection.tls.on;
}

static const char *mechanisms(const struct session *s)
{
	return auth_mechanisms(s->connection.tls.on, s->settings->auth_without_tls);
}

/* RFC 6409 section 3: accounts are for submission; on port 25 a password has nothing to do. */
static bool auth_is_next(const struct session *s)
{
	return s->connection.service == CONNECTION_SUBMISSION && s->account[0] == '\0' &&
	       mechanisms(s)[0];
}

static void size_value(const struct session *s, struct text *out)
{
	text_format(out, " %llu", (unsigned long long)s->settings->message_size_max_bytes);
}

static void auth_value(const struct session *s, struct text *out)
{
	text_format(out, " %s", mechanisms(s));
}

/* Of the extensions in lib/mail/esmtp.h those that are not simply offered. */
static const struct extension {
	bool (*offered)(const struct session *s);                 /* NULL: always */
	void (*value)(const struct session *s, struct text *out); /* NULL: none */
} extensions[ESMTP_EXTENSIONS] = {
	[ESMTP_SIZE] = { NULL, size_value },
	[ESMTP_STARTTLS] = { tls_is_next, NULL },
	[ESMTP_AUTH] = { auth_is_next, auth_value },
};

enum { EXTENSIONS_TEXT_MAX = 2048 };

static bool is_offered(const struct session *s, unsigned number)
{
	return extensions[number].offered == NULL || extensions[number].offered(s);
}

/* Users' computers greet with names that have umlauts; they are recorded as '?' (VIOLATIONS). */
static bool is_host_byte(const struct session *s, char c)
{
	if ((unsigned char)c >= 0x80)
		return s->connection.service == CONNECTION_SUBMISSION;
	return c > ' ' && c != 0x7f;
}

/* RFC 5321 section 4.1.4: HELO and EHLO end a transaction as RSET does. */
static bool greet(struct session *s, struct view argument, bool extended)
{
	for (size_t i = 0; i < argument.len; i++) {
		if (!is_host_byte(s, argument.data[i])) {
			refuse(s, 501, "5.5.4", "invalid host name");
			return false;
		}
	}
	if (argument.len > HELO_MAX) {
		refuse(s, 501, "5.5.4", "host name too long");
		return false;
	}
	transaction_end(s);
	string_put(s->helo, sizeof s->helo, argument);
	for (char *c = s->helo; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	s->extended = extended;
	return true;
}

void command_helo(struct session *s, struct view argument)
{
	if (greet(s, argument, false))
		reply(s, 250, NULL, "%s", s->settings->host_name);
}

void command_ehlo(struct session *s, struct view argument)
{
	unsigned last = 0;
	struct text out;

	if (!greet(s, argument, true))
		return;
	text_init(&out, EXTENSIONS_TEXT_MAX);
	text_format(&out, "250-%s\r\n", s->settings->host_name);
	for (unsigned i = 0; i < ESMTP_EXTENSIONS; i++)
		if (is_offered(s, i))
			last = i;
	for (unsigned i = 0; i <= last; i++) {
		if (!is_offered(s, i))
			continue;
		text_format(&out, "250%c%s", i == last ? ' ' : '-',
		            esmtp_keyword((enum esmtp_extension)i));
		if (extensions[i].value != NULL)
			extensions[i].value(s, &out);
		text_add_string(&out, "\r\n");
	}
	stream_write(&s->client, text_view(&out));
	text_free(&out);
}

/* RFC 3207 section 4.2: what was said before is worth nothing now. */
static void forget(struct session *s)
{
	transaction_end(s);
	s->helo[0] = s->account[0] = '\0';
	s->extended = s->client_known = false;
	s->idle_commands = 0;
}

void command_starttls(struct session *s, struct view argument)
{
	int fd = s->client.fd;

	(void)argument;
	if (!tls_is_next(s)) {
		refuse(s, 502, "5.5.1",
		       s->connection.tls.on ? "TLS is already active" : "TLS is not available");
		return;
	}
	reply(s, 220, "2.0.0", "go ahead");
	if (stream_flush(&s->client) != STREAM_OK) {
		s->over = true;
		return;
	}
	worker_session(-1);
	s->client.fd = -1;
	stream_close(&s->client);
	if (!connection_starttls(s->hub, &fd, &s->connection.tls)) {
		log_info("event=tls-failed client=%s", s->name);
		s->over = true;
		return;
	}
	forget(s);
	session_open(s, fd);
}
