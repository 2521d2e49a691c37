/* SPDX-License-Identifier: ISC */
#include "lib/wire/job.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void job_put(struct wire_out *out, const struct job *j)
{
	wire_begin(out, JOB_BEGIN);
	wire_put_string(out, j->id);
	wire_put_u64(out, j->message_offset);
	wire_put_u64(out, j->message_bytes);
	wire_put_u64(out, j->extra_offset);
	wire_put_u64(out, j->extra_bytes);
	wire_put_view(out, (struct view){ (const char *)j->checksum, sizeof j->checksum });
	envelope_put(out, &j->envelope, ENVELOPE_ONWARD);
	wire_put_u64(out, (uint64_t)j->arrived_s);
	wire_put_u16(out, (uint16_t)j->attempts);
	resolve_route_put(out, &j->route);
	wire_put_byte(out, (uint8_t)j->report);
	wire_put_u64(out, (uint64_t)j->gives_up_s);
	wire_put_fd(out, j->fd);
}

bool job_get(struct wire_in *in, struct job *j)
{
	j->fd = -1;
	wire_get_string(in, j->id, sizeof j->id);
	j->message_offset = wire_get_u64(in);
	j->message_bytes = wire_get_u64(in);
	j->extra_offset = wire_get_u64(in);
	j->extra_bytes = wire_get_u64(in);
	struct view checksum = wire_get_view(in, sizeof j->checksum);

	if (checksum.len != sizeof j->checksum)
		return false;
	memcpy(j->checksum, checksum.data, sizeof j->checksum);
	envelope_get(in, &j->envelope, ENVELOPE_ONWARD);
	j->arrived_s = (int64_t)wire_get_u64(in);
	j->attempts = wire_get_u16(in);
	resolve_route_get(in, &j->route);
	uint8_t report = wire_get_byte(in);

	j->gives_up_s = (int64_t)wire_get_u64(in);
	if (in->bad || in->fd_count != 1 || report > JOB_REPORT_ALIAS)
		return false;
	j->report = (enum job_report)report;
	j->fd = wire_get_fd(in);
	return true;
}

void job_recipient_put(struct wire_out *out, const struct job_recipient *r)
{
	wire_put_u32(out, r->index);
	wire_put_byte(out, r->last);
	envelope_recipient_put(out, &r->to);
	resolve_mailbox_put(out, &r->mailbox);
	wire_put_byte(out, r->contested);
	wire_put_string(out, r->status);
	wire_put_string(out, r->text);
	wire_put_string(out, r->remote_host);
	wire_put_u64(out, (uint64_t)r->last_attempt_s);
}

bool job_recipient_get(struct wire_in *in, struct job_recipient *r)
{
	r->index = wire_get_u32(in);
	r->last = wire_get_bool(in);
	envelope_recipient_get(in, &r->to);
	resolve_mailbox_get(in, &r->mailbox);
	r->contested = wire_get_byte(in);
	wire_get_string(in, r->status, sizeof r->status);
	wire_get_string(in, r->text, sizeof r->text);
	wire_get_string(in, r->remote_host, sizeof r->remote_host);
	r->last_attempt_s = (int64_t)wire_get_u64(in);
	return !in->bad;
}

void job_result_put(struct wire_out *out, const struct job_result *r)
{
	wire_begin(out, JOB_RESULT);
	wire_put_u32(out, r->index);
	wire_put_byte(out, (uint8_t)r->outcome);
	wire_put_string(out, r->status);
	wire_put_string(out, r->text);
	wire_put_string(out, r->remote_host);
	wire_put_byte(out, r->passed_on);
	wire_put_byte(out, r->damaged);
	wire_put_byte(out, r->host_trouble);
	wire_put_byte(out, r->before_text);
	wire_put_byte(out, r->unknown);
	wire_put_byte(out, r->contested);
	wire_put_byte(out, r->last);
}

bool job_result_get(struct wire_in *in, struct job_result *r)
{
	r->index = wire_get_u32(in);
	uint8_t outcome = wire_get_byte(in);

	wire_get_string(in, r->status, sizeof r->status);
	wire_get_string(in, r->text, sizeof r->text);
	wire_get_string(in, r->remote_host, sizeof r->remote_host);
	r->passed_on = wire_get_bool(in);
	r->damaged = wire_get_bool(in);
	r->host_trouble = wire_get_bool(in);
	r->before_text = wire_get_bool(in);
	r->unknown = wire_get_bool(in);
	r->contested = wire_get_bool(in);
	r->last = wire_get_bool(in);
	if (!wire_end(in) || outcome > JOB_OWN_FAULT || (r->before_text && outcome != JOB_FAILED))
		return false;
	if ((r->unknown && !r->before_text) || (r->contested && outcome != JOB_RETRY))
		return false;
	if (outcome == JOB_OWN_FAULT ? r->host_trouble : r->damaged)
		return false;
	r->outcome = (enum job_outcome)outcome;
	return true;
}

/* ---- the agent's side ---- */

enum taken { TAKEN_ALL, TAKEN_SOME, TAKEN_BAD };

/* Those of one packet. */
static enum taken take_recipients(struct wire_in *in, struct job_recipient *recipients,
                                  unsigned *count)
{
	while (in->rest.len) {
		if (*count == JOB_RECIPIENTS_MAX || !job_recipient_get(in, &recipients[*count]))
			return TAKEN_BAD;
		if (recipients[(*count)++].last)
			return wire_end(in) ? TAKEN_ALL : TAKEN_BAD;
	}
	return wire_end(in) ? TAKEN_SOME : TAKEN_BAD;
}

static bool receive_recipients(struct wire_in *first, int queued, struct job_recipient *recipients,
                               unsigned *count)
{
	enum taken taken = take_recipients(first, recipients, count);

	while (taken == TAKEN_SOME) {
		struct wire_in in;

		if (wire_receive(queued, &in) != WIRE_OK)
			return false;
		taken = in.type == JOB_RECIPIENT && in.rest.len
		                ? take_recipients(&in, recipients, count)
		                : TAKEN_BAD;
		wire_in_close(&in);
	}
	return taken == TAKEN_ALL;
}

bool job_receive(struct wire_in *in, int queued, struct job *job, struct job_recipient *recipients,
                 unsigned *count)
{
	*count = 0;
	if (in->type != JOB_BEGIN || !job_get(in, job))
		return false;
	if (receive_recipients(in, queued, recipients, count))
		return true;
	wire_close_given(job->fd);
	job->fd = -1;
	return false;
}

static struct wire_out answers; /* one worker, one job: its memory is kept */

void job_answer(int queued, const struct job_result *result)
{
	job_result_put(&answers, result);
	/* A lost line needs no word here: the next receive ends the worker, and queued retries what
	 * was unanswered. So it does when an answer is lost; it would wait for it for ever. */
	if (wire_send(queued, &answers) != WIRE_OK)
		shutdown(queued, SHUT_RDWR);
}
