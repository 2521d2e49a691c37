/* SPDX-License-Identifier: ISC */
/* sendmail: a message on standard input. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/mail/addresslist.h"
#include "lib/mail/header.h"
#include "lib/mail/mailaddress.h"
#include "queue/submit/sendmail.h"

enum { READ_BYTES = 65536, TO_BYTES_MAX = 8 << 20 };

/* ---- recipients ---- */

static int add_recipient(const struct sending *s, struct handover *o, struct view address)
{
	struct envelope_recipient r = { .notify = s->notify };

	if (address.len == 0)
		return EX_OK;
	if (!string_copy(r.address, sizeof r.address, address)) {
		log_warn("%.100s...: the address is too long", address.data);
		return EX_DATAERR;
	}
	handover_recipient(o, &r);
	return EX_OK;
}

static int add_listed(const struct sending *s, struct handover *o, const struct listed_address *a,
                      unsigned *count)
{
	struct mailaddress address;

	if (a->kind != LISTED_MAILBOX || a->mailbox.len == 0)
		return EX_OK;
	if (a->loose) {
		log_warn("\"%s%s%s\": other words stand beside this address; is a comma missing?",
		         log_text(a->mailbox), a->host.len ? "@" : "", log_text(a->host));
		return EX_DATAERR;
	}
	if (mailaddress_join(a->mailbox, a->host, MAILADDRESS_NO_DOMAIN, &address) !=
	    MAILADDRESS_OK) {
		log_warn("%s@%s: invalid address", log_quote(a->mailbox), log_quote(a->host));
		return EX_DATAERR;
	}
	++*count;
	return add_recipient(s, o, mailaddress_view(&address));
}

/* "anna, Bob <bob@example.test>": an argument may be a list. */
static int add_list(const struct sending *s, struct handover *o, struct view value, unsigned *count)
{
	struct arena arena = { .limit = TO_BYTES_MAX };
	int code = EX_OK;

	for (struct listed_address *a = addresslist_parse(&arena, value, ADDRESSLIST_COUNT_MAX);
	     a && code == EX_OK; a = a->next)
		code = add_listed(s, o, a, count);
	arena_clear(&arena);
	return code;
}

static bool is_resent(struct view name)
{
	return view_starts_nocase(name, VIEW("Resent-"));
}

/* A message that is sent again goes to its Resent- fields alone (RFC 5322 section 3.6.6). */
static int add_from_header(const struct sending *s, struct handover *o, struct view header,
                           unsigned *count)
{
	struct header_field f;
	struct view rest = header;
	bool resent = false;
	int code = EX_OK;

	while (header_next(&rest, &f))
		resent = resent || view_equal_nocase(f.name, VIEW("Resent-To")) ||
		         view_equal_nocase(f.name, VIEW("Resent-Cc")) ||
		         view_equal_nocase(f.name, VIEW("Resent-Bcc"));
	rest = header;
	while (code == EX_OK && header_next(&rest, &f)) {
		struct view name = f.name;

		if (is_resent(name) != resent)
			continue;
		if (resent)
			name = view_skip(name, strlen("Resent-"));
		if (view_equal_nocase(name, VIEW("To")) || view_equal_nocase(name, VIEW("Cc")) ||
		    view_equal_nocase(name, VIEW("Bcc")))
			code = add_list(s, o, f.value, count);
	}
	return code;
}

/* ---- the message ---- */

/* Lines of standard input, their ends made CR LF; a lone dot ends it unless -i. */
struct reader {
	const struct sending *sending;
	struct text line;
	bool first, over;
	int failed; /* errno: what was read is not the message */
};

/* The next line with CR LF; false at the end, and when it cannot be read to its end. A last line
 * without an end gets one. */
static bool next_line(struct reader *r)
{
	static char buffer[READ_BYTES];
	static size_t start, end;

	text_clear(&r->line);
	while (!r->over) {
		if (start == end) {
			ssize_t n = file_read_some(STDIN_FILENO, buffer, sizeof buffer);

			if (n < 0) {
				r->failed = errno;
				r->over = true;
				return false;
			}
			if (n == 0) {
				r->over = true;
				break;
			}
			start = 0;
			end = (size_t)n;
		}
		struct view rest = { buffer + start, end - start };
		size_t at = view_find(rest, '\n');
		bool whole = at < rest.len;

		/* A line longer than the buffer may be is handed on in pieces. */
		if (!text_add(&r->line, view_take(rest, at)))
			return true;
		start += at + whole;
		if (whole)
			break;
	}
	if (r->over && r->line.len == 0)
		return false;
	struct view line = text_view(&r->line);

	if (!r->sending->dot_is_text &&
	    (view_equal(line, VIEW(".")) || view_equal(line, VIEW(".\r")))) {
		r->over = true;
		return false;
	}
	return text_add(&r->line,
	                line.len && line.data[line.len - 1] == '\r' ? VIEW("\n") : VIEW("\r\n"));
}

/* The header and its empty line into `out`; what does not fit is body already. */
static void read_header(struct reader *r, struct text *out)
{
	while (next_line(r)) {
		/* Programs that read mailboxes leave their separator in. */
		if (r->first && view_starts(text_view(&r->line), VIEW("From "))) {
			r->first = false;
			continue;
		}
		r->first = false;
		if (!text_add(out, text_view(&r->line)) || r->line.len == 2)
			return;
	}
}

static int send_parts(const struct sending *s, struct handover *o, char **recipients, int count)
{
	struct reader r = { .sending = s, .first = true };
	struct text header;
	unsigned found = 0;
	int code = EX_OK;

	text_init(&header, HEADER_BYTES_MAX);
	text_init(&r.line, 4 << 20);
	read_header(&r, &header);
	handover_envelope(o, &s->envelope);
	for (int i = 0; i < count && code == EX_OK; i++)
		code = add_list(s, o, view_of(recipients[i]), &found);
	if (s->read_recipients && code == EX_OK)
		code = add_from_header(s, o, text_view(&header), &found);
	if (code == EX_OK && found == 0 && !r.failed) {
		log_warn("no recipients; give them as arguments, or use -t");
		code = EX_USAGE;
	}
	if (code == EX_OK) {
		handover_bytes(o, text_view(&header));
		text_clear(&header);
		/* Collected to whole pieces. */
		while (!o->lost && next_line(&r))
			if (!text_add(&header, text_view(&r.line)) ||
			    header.len >= SUBMIT_CHUNK_MAX) {
				handover_bytes(o, text_view(&header));
				if (header.full)
					handover_bytes(o, text_view(&r.line));
				text_clear(&header);
			}
		handover_bytes(o, text_view(&header));
	}
	text_free(&header);
	text_free(&r.line);
	if (r.failed) {
		log_warn("standard input: %s; nothing was sent", strerror(r.failed));
		return EX_IOERR;
	}
	return code;
}

/* The enhanced status code that may stand at the front of a refusal. */
static int code_of(const struct submit_result *r)
{
	if (!r->permanent)
		return EX_TEMPFAIL;
	if (view_starts(view_of(r->text), VIEW("5.1.7")) ||
	    view_starts(view_of(r->text), VIEW("5.6.")))
		return EX_DATAERR;
	if (view_starts(view_of(r->text), VIEW("5.1.")))
		return EX_NOUSER;
	return EX_UNAVAILABLE;
}

int sendmail_finish(struct handover *o, char *text, size_t size)
{
	struct submit_result result;
	struct reason why;

	if (handover_finish(o, &result, &why) < 0) {
		string_copy(text, size, view_take(view_of(why.text), size - 1));
		return EX_TEMPFAIL;
	}
	string_copy(text, size, view_take(view_of(result.text), size - 1));
	return result.accepted ? EX_OK : code_of(&result);
}

int send_message(const struct sending *s, char **recipients, int count)
{
	struct handover o;
	struct reason why;
	char text[REASON_MAX];

	if (handover_open(&o, &s->paths, &why) < 0) {
		log_warn("%s", why.text);
		return EX_TEMPFAIL;
	}
	int code = send_parts(s, &o, recipients, count);

	if (code != EX_OK) {
		handover_abandon(&o);
		return code;
	}
	code = sendmail_finish(&o, text, sizeof text);
	if (code != EX_OK)
		log_warn("%s", text);
	return code;
}
