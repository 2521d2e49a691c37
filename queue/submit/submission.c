/* SPDX-License-Identifier: ISC */
#include "queue/submit/submission.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/mail/date.h"
#include "lib/mail/mailaddress.h"
#include "lib/wire/resolve.h"

static bool refuse(struct submission *s, bool permanent, const char *text)
{
	if (!s->failed) {
		s->failed = true;
		s->result = (struct submit_result){ .permanent = permanent };
		string_cut(s->result.text, sizeof s->result.text, view_of(text));
	}
	s->over = true;
	return false;
}

static bool refuse_as(struct submission *s, const struct spool_refusal *r)
{
	char text[sizeof r->status + sizeof r->text + 2];

	string_print_cut(text, sizeof text, "%s %s", r->status, r->text);
	return refuse(s, r->permanent, text);
}

/* The house's form of an address that a user wrote; one without a domain is ours. */
static bool complete(const struct submission *s, const char *written, char out[ADDRESS_MAX])
{
	struct mailaddress a;

	if (mailaddress_parse(view_of(written), MAILADDRESS_NO_DOMAIN, &a) != MAILADDRESS_OK)
		return false;
	struct view domain = mailaddress_domain(&a);

	return string_format(out, ADDRESS_MAX, "%s%s%s", a.text, domain.len ? "" : "@",
	                     domain.len ? "" : s->settings->mail_domain);
}

/* A display name as a quoted string (RFC 5322 section 3.2.4); controls and 8-bit bytes are left
 * out. */
static void write_from(struct submission *s)
{
	char name[SUBMIT_NAME_MAX * 2];
	size_t n = 0;

	for (const char *c = s->envelope.full_name; *c && n + 2 < sizeof name; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			continue;
		if (*c == '"' || *c == '\\')
			name[n++] = '\\';
		name[n++] = *c;
	}
	name[n] = '\0';
	char address[ADDRESS_MAX];

	if (s->sender[0])
		string_put(address, sizeof address, view_of(s->sender));
	else
		string_print(address, sizeof address, "MAILER-DAEMON@%s", s->settings->mail_domain);

	if (n)
		string_print(s->from, sizeof s->from, "\"%s\" <%s>", name, address);
	else
		string_print(s->from, sizeof s->from, "%s", address);
}

static bool take_envelope(struct submission *s, struct wire_in *in)
{
	if (s->begun || !submit_envelope_get(in, &s->envelope))
		return refuse(s, true, "invalid or unexpected envelope");
	s->begun = true;
	if (!s->envelope.sender_given) {
		if (!complete(s, s->login, s->sender))
			return refuse(s, true,
			              "your login name is not a valid address: give one with -f");
	} else if (s->envelope.sender[0] && !complete(s, s->envelope.sender, s->sender)) {
		return refuse(s, true, "5.1.7 invalid sender address");
	}
	write_from(s);
	return true;
}

static bool take_recipient(struct submission *s, struct wire_in *in)
{
	struct envelope_recipient r;
	char text[ADDRESS_MAX + 64];

	if (!s->begun || s->writing || !submit_recipient_get(in, &r))
		return refuse(s, true, "invalid or unexpected recipient");
	if (s->recipient_count >= (uint32_t)s->settings->recipients_max)
		return refuse(s, true, "5.5.3 too many recipients");
	s->recipients = memory_grow_for(s->recipients, s->recipient_count, sizeof *s->recipients);
	struct envelope_recipient *to = &s->recipients[s->recipient_count];

	*to = r;
	if (!complete(s, r.address, to->address)) {
		string_print(text, sizeof text, "5.1.3 <%s>: invalid address", r.address);
		return refuse(s, true, text);
	}
	s->recipient_count++;
	return true;
}

/* ---- the message ---- */

static int write_to_spool(void *context, struct view bytes)
{
	struct submission *s = context;
	struct spool_refusal refusal;

	s->bytes += bytes.len;
	for (size_t i = 0; i < bytes.len && !s->eight_bit; i++)
		s->eight_bit = (unsigned char)bytes.data[i] >= 0x80;
	if (s->bytes > s->settings->message_size_max_bytes) {
		refuse(s, true, "5.3.4 message exceeds the size limit");
		return -1;
	}
	if (spool_write(s->writer, bytes, &refusal) == 0)
		return 0;
	refuse_as(s, &refusal);
	return -1;
}

/* RFC 5321 section 4.4; there is no host it came from. */
static bool write_received(struct submission *s)
{
	struct text line;
	struct date now = { clock_wall_s(), 0 };
	char when[DATE_TEXT_MAX];

	now.zone_minutes = date_local_zone(now.when_s);
	date_mail(now, when);
	string_put(s->date, sizeof s->date, view_of(when));
	string_print(s->message_id, sizeof s->message_id, "<%s@%s>", s->writer->id,
	             s->settings->host_name);
	text_init(&line, 1024);
	text_format(&line, "Received: by %s (posthouse, from %s uid %u)\r\n\tid %s;\r\n\t%s\r\n",
	            s->settings->host_name, s->login, s->uid, s->writer->id, when);
	int written = write_to_spool(s, text_view(&line));

	text_free(&line);
	return written == 0;
}

static bool begin_message(struct submission *s)
{
	const struct spool_open open = { .uid = s->uid };
	struct spool_refusal refusal;

	if (!s->begun || s->recipient_count == 0)
		return refuse(s, true, "no recipients");
	s->writing = true;
	if (spool_begin(s->writer, &open, &refusal) != 0)
		return refuse_as(s, &refusal);
	s->header = (struct fixup){ .mend = true,
		                    .domain = s->settings->mail_domain,
		                    .from = s->from,
		                    .date = s->date,
		                    .message_id = s->message_id,
		                    .write = write_to_spool,
		                    .context = s };
	return write_received(s);
}

static bool add(struct submission *s, struct view v)
{
	if (v.len && fixup_add(&s->header, v) != 0)
		return refuse(s, false, "cannot write the message");
	return s->header.header_bytes <= s->settings->message_header_max_bytes ||
	       refuse(s, true, "5.3.4 header exceeds the limit (message.header-max)");
}

/* Lines end with CR LF from here on, however the program ended them. */
static bool add_lines(struct submission *s, struct view v)
{
	size_t from = 0;

	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];

		if (c == '\0')
			return refuse(s, true, "5.6.0 NUL in message");
		bool bare_cr = s->last == '\r' && c != '\n', bare_lf = c == '\n' && s->last != '\r';

		if (bare_cr || bare_lf) {
			if (!add(s, (struct view){ v.data + from, i - from }) ||
			    !add(s, bare_cr ? VIEW("\n") : VIEW("\r")))
				return false;
			from = i;
		}
		s->last = c;
	}
	return add(s, view_skip(v, from));
}

static bool take_chunk(struct submission *s, struct wire_in *in)
{
	struct view chunk;

	if (!submit_chunk_get(in, &chunk))
		return refuse(s, true, "invalid or unexpected text");
	if (!s->writing && !begin_message(s))
		return false;
	return add_lines(s, chunk);
}

/* ---- the end ---- */

/* Unknown recipients are told to the program while it waits, if nobody else would get the message;
 * otherwise they come back as a bounce, since the others are not to be lost. */
static bool check_recipients(struct submission *s, const char *account)
{
	static struct resolve_question q;
	static struct resolve_answer a;
	char text[sizeof s->result.text];
	uint32_t refused = 0;

	memset(&q, 0, sizeof q);
	q.submission = true;
	string_put(q.account, sizeof q.account, view_of(account));
	string_put(q.sender, sizeof q.sender, view_of(s->sender));
	for (uint32_t i = 0; i < s->recipient_count; i++) {
		string_put(q.recipient, sizeof q.recipient, view_of(s->recipients[i].address));
		resolve_ask(s->resolved, RESOLVE_RECIPIENT, &q, &a);
		if (a.verdict == RESOLVE_REJECT) {
			if (refused++ == 0)
				string_print_cut(text, sizeof text, "%s <%s> %s", a.status,
				                 s->recipients[i].address, a.text);
		} else if (a.verdict == RESOLVE_ACCEPT && a.normal[0]) {
			string_put(s->recipients[i].address, sizeof s->recipients[i].address,
			           view_of(a.normal));
		}
	}
	if (refused == s->recipient_count && !s->from_file)
		return refuse(s, true, text);
	return true;
}

static bool finish(struct submission *s)
{
	struct envelope e = { .origin = ENVELOPE_MACHINE,
		              .eight_bit = s->eight_bit,
		              .ret = s->envelope.ret };
	struct spool_refusal refusal;

	string_put(e.sender, sizeof e.sender, view_of(s->sender));
	string_put(e.envid, sizeof e.envid, view_of(s->envelope.envid));
	string_print(e.account, sizeof e.account, "%s@%s", s->login, s->settings->mail_domain);
	e.hops = (uint16_t)(s->header.received + 1);
	if (!check_recipients(s, e.account))
		return false;
	for (uint32_t i = 0; i < s->recipient_count; i++)
		if (spool_add_recipient(s->writer, &s->recipients[i], &refusal) != 0)
			return refuse_as(s, &refusal);
	if (spool_finish(s->writer, &e, &refusal) != 0)
		return refusal.own_fault
		               ? refuse(s, false,
		                        "4.3.0 queued did not respond; the message may or may not have been accepted")
		               : refuse_as(s, &refusal);
	log_info("id=%s event=submit uid=%u login=%s from=<%s> recipients=%u bytes=%llu",
	         s->writer->id, s->uid, log_quote(view_of(s->login)), log_quote(view_of(s->sender)),
	         s->recipient_count, (unsigned long long)s->bytes);
	s->result = (struct submit_result){ .accepted = true };
	string_put(s->result.text, sizeof s->result.text, view_of(s->writer->id));
	s->over = true;
	return false;
}

static bool take_end(struct submission *s, struct wire_in *in)
{
	if (!wire_end(in))
		return refuse(s, true, "invalid or unexpected end of the message");
	/* An empty message is one. */
	if (!s->writing && !begin_message(s))
		return false;
	if (s->last && s->last != '\n' && !add(s, s->last == '\r' ? VIEW("\n") : VIEW("\r\n")))
		return false;
	if (fixup_end(&s->header) != 0)
		return refuse(s, false, "cannot write the message");
	if (s->header.received > (unsigned)s->settings->received_hops_max)
		return refuse(s, true, "5.4.6 mail loop: too many Received fields");
	return finish(s);
}

bool submission_take(struct submission *s, struct wire_in *in)
{
	if (s->over)
		return false;
	switch (in->type) {
	case SUBMIT_ENVELOPE: return take_envelope(s, in);
	case SUBMIT_RECIPIENT: return take_recipient(s, in);
	case SUBMIT_CHUNK: return take_chunk(s, in);
	case SUBMIT_END: return take_end(s, in);
	default:
		return refuse(
			s, true,
			"message of an unknown type: sendmail and pickup are of different versions");
	}
}

void submission_end(struct submission *s)
{
	if (s->writing && !s->result.accepted)
		spool_abandon(s->writer);
	fixup_free(&s->header);
	free(s->recipients);
	s->recipients = NULL;
	s->recipient_count = 0;
}
