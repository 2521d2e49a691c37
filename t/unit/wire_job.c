/* SPDX-License-Identifier: ISC */
/* The protocols job, control and submit: what is put is what is got, and nothing torn is taken. */
#include "lib/wire/control.h"
#include "lib/wire/job.h"
#include "lib/wire/submit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "t/torn.h"

static struct job job;
static struct job_recipient recipient;
static struct job_result result;
static struct control_entry entry;
static struct submit_envelope envelope;
static struct submit_result verdict;
static struct envelope_recipient spool;

static bool get_job(struct wire_in *in)
{
	bool good = job_get(in, &job) && wire_end(in);

	/* The recipients follow in the same packet: job_receive closes when they are refused. */
	if (!good)
		in->fds_taken = 0;
	return good;
}

static bool get_recipient(struct wire_in *in)
{
	return job_recipient_get(in, &recipient) && wire_end(in);
}

static bool get_result(struct wire_in *in)
{
	return job_result_get(in, &result);
}

/* An entry is a part of a packet: the test adds the demand that nothing is left. */
static bool get_entry(struct wire_in *in)
{
	return control_entry_get(in, &entry) && wire_end(in);
}

static bool get_end(struct wire_in *in)
{
	char text[CONTROL_LINE_MAX];
	uint8_t code;

	return control_end_get(in, &code, text) && code == 100 &&
	       strcmp(text, "no such message") == 0;
}

static bool get_line(struct wire_in *in)
{
	char text[CONTROL_LINE_MAX];

	return control_line_get(in, text) && strcmp(text, "a line") == 0;
}

static bool get_version(struct wire_in *in)
{
	char version[VERSION_MAX];

	return control_version_get(in, version) && strcmp(version, "1.2") == 0;
}

static bool get_envelope(struct wire_in *in)
{
	return submit_envelope_get(in, &envelope);
}

static bool get_chunk(struct wire_in *in)
{
	struct view bytes;

	return submit_chunk_get(in, &bytes) && view_equal(bytes, VIEW("Subject: x\r\n"));
}

static bool get_verdict(struct wire_in *in)
{
	return submit_result_get(in, &verdict);
}

static bool get_spool(struct wire_in *in)
{
	return submit_recipient_get(in, &spool);
}

static bool again(const struct wire_out *out, bool (*get)(struct wire_in *))
{
	struct wire_in in = { .rest = view_skip(text_view(&out->bytes), 1),
		              .fd_count = out->fd_count };

	memcpy(in.fds, out->fds, sizeof in.fds);
	return get(&in);
}

static void jobs(struct wire_out *out)
{
	static const struct job j = {
		.id = "0123456789abc",
		.fd = 0,
		.message_offset = 256,
		.message_bytes = 1ULL << 33,
		.extra_offset = 9,
		.extra_bytes = 8,
		.checksum = { 1, 2, 3 },
		.envelope = { .sender = "a@example.test",
		              .eight_bit = true,
		              .ret = 'H',
		              .envid = "e",
		              .helo = "stays" },
		.arrived_s = 1700000000,
		.attempts = 17,
		.route = { .lmtp = true,
		           .ours = true,
		           .domain = "example.org",
		           .hops = { { "a", 25 }, { "[::1]", 24 } },
		           .hop_count = 2 },
		.report = JOB_REPORT_DELAYED,
		.gives_up_s = 1700000001,
	};
	struct job bad = j;

	job_put(out, &j);
	torn("a job", out, get_job);
	ok(again(out, get_job) && strcmp(job.id, j.id) == 0 &&
	           job.message_bytes == j.message_bytes && job.route.lmtp && job.route.ours &&
	           strcmp(job.route.domain, "example.org") == 0 && job.route.hop_count == 2 &&
	           strcmp(job.route.hops[1].host, "[::1]") == 0 && job.route.hops[1].port == 24 &&
	           job.report == j.report && job.envelope.ret == 'H' &&
	           strcmp(job.envelope.sender, "a@example.test") == 0 && job.envelope.eight_bit &&
	           strcmp(job.envelope.envid, "e") == 0 && job.envelope.helo[0] == '\0' &&
	           job.arrived_s == j.arrived_s && job.attempts == j.attempts &&
	           job.gives_up_s == j.gives_up_s && job.extra_bytes == 8 && job.fd == 0 &&
	           memcmp(job.checksum, j.checksum, 32) == 0,
	   "every field of a job came through");
	bad.report = (enum job_report)(JOB_REPORT_ALIAS + 1);
	job_put(out, &bad);
	ok(!again(out, get_job), "an unknown report is refused");
	bad = j;
	bad.envelope.ret = 'x';
	job_put(out, &bad);
	ok(!again(out, get_job), "RET is F, H or nothing");
}

static void recipients(struct wire_out *out)
{
	struct job_recipient r = {
		.index = 70000,
		.last = true,
		.to = { .address = "b@example.test", .notify = 3, .orcpt = "rfc822;x" },
		.mailbox = { .uid = 5000,
		             .gid = 5001,
		             .home = "/mail/b",
		             .quota_bytes = 1ULL << 40 },
		.contested = 200,
		.status = "5.1.1",
		.text = "no such user",
		.remote_host = "mx.test",
		.last_attempt_s = 12
	};
	struct job_result s = { .index = 3,
		                .outcome = JOB_RETRY,
		                .status = "4.4.1",
		                .text = "down",
		                .remote_host = "mx",
		                .host_trouble = true,
		                .last = true };

	wire_begin(out, JOB_RECIPIENT);
	job_recipient_put(out, &r);
	torn("a recipient", out, get_recipient);
	ok(again(out, get_recipient) && recipient.index == 70000 && recipient.last &&
	           recipient.mailbox.gid == 5001 && recipient.to.notify == 3 &&
	           strcmp(recipient.to.orcpt, "rfc822;x") == 0 &&
	           strcmp(recipient.to.address, "b@example.test") == 0 &&
	           recipient.mailbox.quota_bytes == r.mailbox.quota_bytes &&
	           strcmp(recipient.mailbox.home, "/mail/b") == 0 && recipient.contested == 200 &&
	           recipient.last_attempt_s == 12,
	   "every field of a recipient came through");
	r.to.notify = 16;
	wire_begin(out, JOB_RECIPIENT);
	job_recipient_put(out, &r);
	ok(!again(out, get_recipient), "an unknown NOTIFY bit is refused");
	job_result_put(out, &s);
	torn("a result", out, get_result);
	ok(again(out, get_result) && result.outcome == JOB_RETRY && result.host_trouble &&
	           !result.damaged && result.last && result.index == 3,
	   "the result again");
	s.outcome = JOB_OWN_FAULT;
	job_result_put(out, &s);
	ok(!again(out, get_result), "a fault of our own is no trouble of the host");
	s.host_trouble = false;
	s.damaged = true;
	job_result_put(out, &s);
	torn("a fault of our own", out, get_result);
	ok(again(out, get_result) && result.outcome == JOB_OWN_FAULT && result.damaged,
	   "the message may be damaged");
	for (s.outcome = JOB_DONE; s.outcome <= JOB_FAILED; s.outcome++) {
		job_result_put(out, &s);
		ok(!again(out, get_result), "damaged, it is not outcome %d", (int)s.outcome);
	}
	s.damaged = false;
	s.unknown = true;
	s.outcome = JOB_FAILED;
	job_result_put(out, &s);
	ok(!again(out, get_result), "who is unknown was refused before the text");
	s.before_text = true;
	for (s.outcome = JOB_DONE; s.outcome <= JOB_OWN_FAULT; s.outcome++) {
		job_result_put(out, &s);
		ok(again(out, get_result) == (s.outcome == JOB_FAILED),
		   "what was refused before the text has failed, outcome %d", (int)s.outcome);
	}
	s.outcome = JOB_FAILED;
	job_result_put(out, &s);
	ok(again(out, get_result) && result.unknown && !result.damaged, "so it is a result");
	s.unknown = s.before_text = false;
	s.contested = true;
	for (s.outcome = JOB_DONE; s.outcome <= JOB_OWN_FAULT; s.outcome++) {
		job_result_put(out, &s);
		ok(again(out, get_result) == (s.outcome == JOB_RETRY) &&
		           (s.outcome != JOB_RETRY || result.contested),
		   "what a better host may contradict waits, outcome %d", (int)s.outcome);
	}
	s.contested = false;
	s.outcome = (enum job_outcome)(JOB_OWN_FAULT + 1);
	job_result_put(out, &s);
	ok(!again(out, get_result), "an unknown outcome is refused");
}

/* Many recipients need several packets; nothing else may come between, and the last must be
 * there. */
static void whole_jobs(struct wire_out *out)
{
	static struct job_recipient got[JOB_RECIPIENTS_MAX];
	static const struct job j = { .id = "0123456789abc", .fd = 0 };
	struct job_recipient r = { .to = { .address = "b@example.test" } };
	int ends[2];

	if (wire_pair(ends) < 0)
		abort();
	for (int turn = 0; turn < 3; turn++) {
		struct wire_in in;
		unsigned count = 0;

		job_put(out, &j);
		for (r.index = 0; r.index < 5; r.index++) {
			r.last = r.index == 4 && turn < 2;
			job_recipient_put(out, &r);
			if (r.index == 1 || r.index == 3) {
				wire_send(ends[0], out);
				wire_begin(out, turn == 1 ? JOB_RESULT : JOB_RECIPIENT);
			}
		}
		wire_send(ends[0], out);
		if (turn == 2)
			shutdown(ends[0], SHUT_WR);
		bool good = wire_receive(ends[1], &in) == WIRE_OK &&
		            job_receive(&in, ends[1], &job, got, &count);

		if (turn == 0)
			ok(good && count == 5 && got[0].index == 0 && got[4].index == 4,
			   "recipients in three packets");
		else
			ok(!good && job.fd == -1, turn == 1 ? "another type between them is refused"
			                                    : "no last one: the job is refused");
		wire_in_close(&in);
		if (good)
			close(job.fd);
		while (wire_receive_now(ends[1], &in) == WIRE_OK)
			wire_in_close(&in);
	}
	close(ends[0]);
	close(ends[1]);
}

static struct control_counts counts;

static bool get_reading(struct wire_in *in)
{
	uint32_t read, all;

	return control_reading_get(in, &read, &all) && read == 8 && all == 9;
}

static bool get_counts(struct wire_in *in)
{
	return control_counts_get(in, &counts);
}

static void control(struct wire_out *out)
{
	struct control_entry e = { .id = "0123456789abc",
		                   .state = 'd',
		                   .bytes = 77,
		                   .arrived_s = 1,
		                   .next_s = 2,
		                   .sender = "s@example.test",
		                   .recipients = 2,
		                   .recipient_list = VIEW("a@x.test\nb@x.test"),
		                   .reason = "later" };

	wire_begin(out, CONTROL_QUEUE_ENTRY);
	control_entry_put(out, &e);
	torn("an entry", out, get_entry);
	control_entry_put(out, &e);
	struct wire_in in = { .rest = view_skip(text_view(&out->bytes), 1) };

	ok(control_entry_get(&in, &entry) && in.rest.len && control_entry_get(&in, &entry) &&
	           wire_end(&in),
	   "two in one packet");
	ok(entry.recipient_list.len == 17 && entry.next_s == 2, "with their fields");
	control_end_put(out, 100, "no such message");
	torn("the end", out, get_end);
	control_line_put(out, "a line");
	torn("a line", out, get_line);
	control_version_put(out, "1.2");
	torn("a version", out, get_version);
	control_reading_put(out, 8, 9);
	torn("how far the start is", out, get_reading);
	control_counts_put(out, &(struct control_counts){ 1, 2, 3, 4, 5, 6, 7, 8, true });
	torn("counts", out, get_counts);
	ok(counts.damaged == 1 && counts.torn == 2 && counts.misplaced == 3 && counts.stray == 4 &&
	           counts.unreadable == 5 && counts.left == 6 && counts.unwritten == 7 &&
	           counts.unread == 8 && counts.secret_lost,
	   "with their fields");
}

static void submit(struct wire_out *out)
{
	struct submit_envelope e = { .sender = "root@host.test",
		                     .sender_given = true,
		                     .full_name = "Charlie &",
		                     .ret = 'F',
		                     .envid = "v" };
	struct submit_result r = { true, false, "0123456789abc" };
	struct envelope_recipient to = { .address = "a@b.test",
		                         .notify = 2,
		                         .orcpt = "rfc822;a@b.test" };

	submit_envelope_put(out, &e);
	torn("an envelope", out, get_envelope);
	submit_result_put(out, &r);
	torn("a verdict", out, get_verdict);
	submit_recipient_put(out, &to);
	ok(out->bytes.raw[0] == SUBMIT_RECIPIENT, "a recipient of submit has submit's type");
	torn("a recipient of submit", out, get_spool);
	submit_chunk_put(out, VIEW("Subject: x\r\n"));
	torn("a piece of text", out, get_chunk);
}

static bool full; /* of the system's buffers */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (full) {
		errno = ENOBUFS;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}

/* queued would wait for it as long as the agent lives. */
static void lost_answer(void)
{
	const struct job_result done = { .text = "delivered", .last = true };
	struct wire_in in;
	int ends[2];

	if (wire_pair(ends) < 0)
		return;
	full = true;
	job_answer(ends[0], &done);
	full = false;
	ok(wire_receive(ends[1], &in) == WIRE_CLOSED, "an answer that is lost ends the line");
	ok(wire_receive(ends[0], &in) == WIRE_CLOSED, "at both ends");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	struct wire_out out = { 0 };

	jobs(&out);
	recipients(&out);
	whole_jobs(&out);
	lost_answer();
	control(&out);
	submit(&out);
	wire_out_free(&out);
	return tap_done();
}
