/* SPDX-License-Identifier: ISC */
/*
 * bounce: writes reports (RFC 3464) of failed, delayed and delivered mail, and puts them into the
 * queue as new messages from the null sender.
 *
 * It runs as its own uid in an empty jail, sees no network, and opens no file: queued gives it the
 * message's descriptor with what happened to whom, and takes the report like any other writer's
 * message. It trusts queued for the facts and nobody for the text: words of other systems are
 * reduced to printable ASCII before they stand in a report, and the message goes back as it is,
 * behind a boundary that does not occur in it.
 *
 * Whoever owns it reads the messages it is given and can send mail from the null sender.
 *
 * What cannot be delivered and has no sender (a bounce of a bounce) goes to the postmaster, and so
 * does what is the postmaster's to correct; whether such a one may be reported at all is queued's
 * to know.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver/bounce/report.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/queue/spooling.h"
#include "lib/wire/jail.h"
#include "lib/wire/worker.h"

enum {
	WORKERS_MAX = 4,
	WHOLE_MAX_BYTES = 64 * 1024, /* a message up to this size goes back whole when the sender
	                                did not say RET= */
	HEADER_MAX_BYTES = 256 * 1024,
	READ_BYTES = 65536
};

static struct settings settings;
static struct spool_writer writer = { .queued = -1, .fd = -1 };
static char double_bounce_to[ADDRESS_MAX];

static int cannot_read(enum file_result result, struct spool_refusal *refusal)
{
	*refusal = (struct spool_refusal){ .status = "4.3.0", .own_fault = true };
	string_print_cut(refusal->text, sizeof refusal->text, "the message cannot be read: %s",
	                 file_result_text(result));
	return -1;
}

/* The first `size` bytes of the message in turns. Each piece goes to take(), which says whether to
 * go on and, when not, has filled the refusal. */
static int each_piece(const struct job *job, uint64_t size,
                      bool (*take)(void *context, struct view piece, struct spool_refusal *refusal),
                      void *context, struct spool_refusal *refusal)
{
	static char buffer[READ_BYTES];
	uint64_t done = 0;

	while (done < size) {
		size_t want = size - done < sizeof buffer ? (size_t)(size - done) : sizeof buffer;

		enum file_result result =
			file_read_at(job->fd, buffer, want, job->message_offset + done);

		if (result != FILE_WHOLE)
			return cannot_read(result, refusal);
		if (!take(context, (struct view){ buffer, want }, refusal))
			return -1;
		done += want;
	}
	return 0;
}

/* ---- what goes back ---- */

struct survey {
	bool eight_bit;
	uint64_t seen,
		header_bytes; /* header_bytes: up to and with its last line's end; 0 until known */
	unsigned line_state;  /* how much of CRLF CRLF has just been seen */
};

static bool survey_piece(void *context, struct view piece, struct spool_refusal *refusal)
{
	static const char end[] = "\r\n\r\n";
	struct survey *s = context;

	(void)refusal;
	for (size_t i = 0; i < piece.len; i++) {
		if (piece.data[i] & 0x80)
			s->eight_bit = true;
		s->seen++;
		if (s->header_bytes)
			continue;
		if (piece.data[i] == end[s->line_state])
			s->line_state++;
		else
			s->line_state = piece.data[i] == '\r';
		if (s->line_state == 4)
			s->header_bytes = s->seen - 2;
	}
	return true;
}

/* *size: how much goes back, the message or its header (all of it when it has no body). */
static int survey_returned(const struct job *job, bool whole, uint64_t *size, bool *eight_bit,
                           struct spool_refusal *refusal)
{
	struct survey all = { 0 }, head = { 0 };

	*size = job->message_bytes;
	if (each_piece(job, job->message_bytes, survey_piece, &all, refusal) < 0)
		return -1;
	*eight_bit = all.eight_bit;
	if (whole)
		return 0;
	if (all.header_bytes)
		*size = all.header_bytes;
	if (*size > HEADER_MAX_BYTES)
		*size = HEADER_MAX_BYTES;
	if (each_piece(job, *size, survey_piece, &head, refusal) < 0)
		return -1;
	*eight_bit = head.eight_bit;
	return 0;
}

/* RET speaks of failures only; all else returns the header (RFC 3461 section 4.3). */
static bool goes_back_whole(const struct job *job)
{
	if (job->report != JOB_REPORT_FAILED || job->envelope.ret == 'H')
		return false;
	return job->envelope.ret == 'F' || job->message_bytes <= WHOLE_MAX_BYTES;
}

/* A boundary nobody can have foreseen cannot stand in the message. */
static void make_boundary(char out[REPORT_BOUNDARY_MAX])
{
	unsigned char bytes[16];
	size_t n = string_print(out, REPORT_BOUNDARY_MAX, "=_posthouse_");

	if (getentropy(bytes, sizeof bytes) < 0)
		log_fatal("getentropy: %m");
	for (size_t i = 0; i < sizeof bytes; i++)
		n += string_print(out + n, REPORT_BOUNDARY_MAX - n, "%02x", bytes[i]);
}

/* ---- writing it ---- */

static bool write_piece(void *context, struct view piece, struct spool_refusal *refusal)
{
	(void)context;
	return spool_write(&writer, piece, refusal) == 0;
}

static int write_report(const struct report *r, uint64_t size, struct spool_refusal *refusal)
{
	struct envelope_recipient to = { .notify = ENVELOPE_NOTIFY_NEVER };
	struct envelope envelope = { .origin = ENVELOPE_BOUNCE,
		                     .eight_bit = r->eight_bit,
		                     .hops = 0 };
	struct text text;

	text_init(&text, REPORT_TEXT_MAX);
	string_put(to.address, sizeof to.address, view_of(r->to));
	string_put(envelope.helo, sizeof envelope.helo, view_of(r->host));
	int result = spool_begin(&writer, &(struct spool_open){ .uid = 0 }, refusal);

	if (result == 0 && !report_head(r, &text)) {
		spool_abandon(&writer);
		*refusal = (struct spool_refusal){ .permanent = true,
			                           .status = "5.3.4",
			                           .text = "the report would be too long" };
		result = -1;
	}
	if (result == 0)
		result = spool_write(&writer, text_view(&text), refusal);
	if (result == 0 && each_piece(r->job, size, write_piece, NULL, refusal) < 0) {
		spool_abandon(&writer);
		result = -1;
	}
	report_tail(r, &text);
	if (result == 0)
		result = spool_write(&writer, text_view(&text), refusal);
	if (result == 0)
		result = spool_add_recipient(&writer, &to, refusal);
	if (result == 0)
		result = spool_finish(&writer, &envelope, refusal);
	text_free(&text);
	return result;
}

static enum job_outcome outcome_of(const struct spool_refusal *refusal)
{
	return refusal->permanent ? JOB_FAILED : refusal->own_fault ? JOB_OWN_FAULT : JOB_RETRY;
}

static void answer_all(int queued, const struct job_recipient *recipients, unsigned count,
                       int result, const struct spool_refusal *refusal)
{
	for (unsigned i = 0; i < count; i++) {
		struct job_result r = { .index = recipients[i].index, .outcome = JOB_DONE };
		const char *status = result == 0 ? "2.0.0" : refusal->status;

		if (result != 0)
			r.outcome = outcome_of(refusal);
		string_put(r.status, sizeof r.status, view_of(status));
		string_cut(r.text, sizeof r.text,
		           view_of(result == 0 ? "reported" : refusal->text));
		r.last = i + 1 == count;
		job_answer(queued, &r);
	}
}

static void work(struct wire_in *in, int queued)
{
	static struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	static struct job job;
	struct spool_refusal refusal = { 0 };
	char boundary[REPORT_BOUNDARY_MAX];
	unsigned count;

	if (!job_receive(in, queued, &job, recipients, &count))
		exit(EXIT_TEMPORARY);
	bool to_sender = job.envelope.sender[0] && job.report != JOB_REPORT_ALIAS;

	make_boundary(boundary);
	struct report r = { .job = &job,
		            .recipients = recipients,
		            .count = count,
		            .host = settings.host_name,
		            .to = to_sender ? job.envelope.sender : double_bounce_to,
		            .boundary = boundary,
		            .now_s = clock_wall_s(),
		            .whole = goes_back_whole(&job) };
	uint64_t size;
	int result = survey_returned(&job, r.whole, &size, &r.eight_bit, &refusal);

	if (result == 0)
		result = write_report(&r, size, &refusal);

	close(job.fd);
	if (result == 0)
		log_info("id=%s event=report kind=%d to=<%s> report=%s recipients=%u", job.id,
		         (int)job.report, log_quote(view_of(r.to)), writer.id, count);
	else
		log_warn("id=%s event=report-failed to=<%s> status=%s reason=\"%s\"", job.id,
		         log_quote(view_of(r.to)), refusal.status, log_text(view_of(refusal.text)));
	answer_all(queued, recipients, count, result, &refusal);
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_FORK };
	static struct worker_service service = { .wire = "queued.job",
		                                 .protocol = "job",
		                                 .dials = { { "queued.spool", "spool" } },
		                                 .answers = true,
		                                 .workers_min = 1,
		                                 .workers_max = WORKERS_MAX,
		                                 .reuse = JOB_REUSE,
		                                 .idle_ms = 60000,
		                                 .work = work };

	program_start("bounce");
	settings_inherit(&settings);
	tzset(); /* before the jail hides the zone file */
	string_print(double_bounce_to, sizeof double_bounce_to, "%s%s%s", settings.postmaster,
	             strchr(settings.postmaster, '@') ? "" : "@",
	             strchr(settings.postmaster, '@') ? "" : settings.mail_domain);
	service.profile.file_bytes_max = (unsigned long)settings.message_size_max_bytes +
	                                 ((unsigned long)BOUNDS_FILE_MIB_BESIDE << 20);
	bounds_confine("bounce", &settings, &profile);
	worker_run(&service);
}
