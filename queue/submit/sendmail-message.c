/* SPDX-License-Identifier: ISC */
/* sendmail: a message on standard input. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/mail/addresslist.h"
#include "lib/mail/header.h"
#include "lib/mail/mailaddress.h"
#include "queue/submit/lines.h"
#include "queue/submit/sendmail.h"

enum { TO_BYTES_MAX = 8 << 20 };

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

/* Standard input as the message's text; a lone dot ends it unless -i. */
struct reader {
	const struct sending *sending;
	struct lines lines;
	bool first;
	struct text piece; /* with CR LF where a line ends */
};

/* Mail has no NUL (RFC 5322 section 2.2). Cron neither sends again nor tells of what is
 * refused: the output of a job goes without it. */
static void without_nul(struct text *piece)
{
	size_t kept = 0;

	for (size_t i = 0; i < piece->len; i++)
		if (piece->raw[i] != '\0')
			piece->raw[kept++] = piece->raw[i];
	text_cut_back(piece, kept);
}

/* The next piece of text; false at the end, and when it cannot be read to its end. */
static bool next_piece(struct reader *r)
{
	struct lines *l = &r->lines;

	if (l->over || !lines_next(l))
		return false;
	if (l->whole && !r->sending->dot_is_text && view_equal(text_view(&l->piece), VIEW("."))) {
		l->over = true;
		return false;
	}
	text_clear(&r->piece);
	text_add(&r->piece, text_view(&l->piece));
	without_nul(&r->piece);
	if (l->ends)
		text_add(&r->piece, VIEW("\r\n"));
	return true;
}

/* The header and its empty line into `out`. false: it does not fit; r->piece is what comes next. */
static bool read_header(struct reader *r, struct text *out)
{
	bool skips = false;

	while (next_piece(r)) {
		/* Programs that read mailboxes leave their separator in. */
		skips = skips || (r->first && view_starts(text_view(&r->piece), VIEW("From ")));
		r->first = false;
		if (skips) {
			skips = !r->lines.ends;
			continue;
		}
		if (!text_has_room(out, r->piece.len))
			return false;
		text_add(out, text_view(&r->piece));
		if (r->lines.whole && r->piece.len == 2)
			return true;
	}
	text_clear(&r->piece);
	return true;
}

/* What was read of the header, and all that comes behind it. */
static void send_text(struct reader *r, struct handover *o, struct text *header, bool fits)
{
	handover_bytes(o, text_view(header));
	text_clear(header);
	if (!fits)
		text_add(header, text_view(&r->piece));
	/* Collected to whole chunks. */
	while (!handover_is_lost(o) && next_piece(r)) {
		if (header->len + r->piece.len > SUBMIT_CHUNK_MAX) {
			handover_bytes(o, text_view(header));
			text_clear(header);
		}
		text_add(header, text_view(&r->piece));
	}
	handover_bytes(o, text_view(header));
}

static int send_parts(const struct sending *s, struct handover *o, char **recipients, int count)
{
	struct reader r = { .sending = s, .first = true };
	struct text header;
	unsigned found = 0;
	int code = EX_OK;

	text_init(&header, HEADER_BYTES_MAX);
	text_init(&r.piece, PIECE_BYTES_MAX + 2);
	bool fits = read_header(&r, &header);

	handover_envelope(o, &s->envelope);
	if (!fits && s->read_recipients) {
		log_warn("the header has more than %u bytes: its recipients are not looked for",
		         HEADER_BYTES_MAX);
		code = EX_DATAERR;
	}
	for (int i = 0; i < count && code == EX_OK; i++)
		code = add_list(s, o, view_of(recipients[i]), &found);
	if (s->read_recipients && code == EX_OK)
		code = add_from_header(s, o, text_view(&header), &found);
	if (code == EX_OK && found == 0 && !r.lines.failed) {
		log_warn("no recipients; give them as arguments, or use -t");
		code = EX_USAGE;
	}
	if (code == EX_OK)
		send_text(&r, o, &header, fits);
	text_free(&header);
	text_free(&r.piece);
	lines_free(&r.lines);
	if (r.lines.failed) {
		log_warn("standard input: %s; nothing was sent", strerror(r.lines.failed));
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
		string_cut(text, size, view_of(why.text));
		return EX_TEMPFAIL;
	}
	string_cut(text, size, view_of(result.text));
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
