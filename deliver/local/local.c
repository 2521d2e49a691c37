/* SPDX-License-Identifier: ISC */
/*
 * local: puts messages into mailboxes.
 *
 * It runs under a mailbox owner's uid: queued asks master for a local of that uid, gives it the
 * message's descriptor and, for each recipient, the home to deliver to, and is told done, retry or
 * failed. A delivery is a Return-Path and a Delivered-To line, the header lines that the house
 * added, and the message, written to tmp, synced, and renamed into new (lib/store/delivery.h):
 * after "done" the message is safe without the queue's copy.
 *
 * It trusts queued for who receives what, but checks that the descriptor is an ordinary file and
 * that homes lie below mail.root, to which the sandbox confines it. The message is a stranger's:
 * nothing of it is interpreted but Delivered-To lines, which end loops through forwarding. It reads
 * no configuration but the settings and writes nothing but mailboxes.
 *
 * Whoever owns it can read and write the mailboxes of that one uid; with the default policy (one
 * uid for all) these are all mailboxes, with a uid per user or domain just theirs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/conf/users.h"
#include "lib/queue/checksum.h"
#include "lib/store/delivery.h"
#include "lib/wire/job.h"
#include "lib/wire/worker.h"

enum {
	WORKER_IDLE_MS = 30000,
	QUIT_IDLE_MS = 60000,
	DESCRIPTORS_MAX = 256,
	MEMORY_MAX_BYTES = 1 << 30, /* beside the message: indexes of large folders */
	WHOLE_BYTES =
		128 * 1024, /* a message up to this size is read once and written with one call */
	HEADER_BYTES_MAX = 128 * 1024, /* how far Delivered-To lines are looked for */
	TRACE_MAX = 1024
};

static struct settings settings;
static char buffer[WHOLE_BYTES]; /* extra lines and message of the job at hand, what fits of them */
static size_t buffered;          /* bytes of the message among them */
static dev_t queue_device;
static bool queue_device_known;
static bool owner_checked; /* unprivileged, every owner is the one user */
static uid_t own_uid;
static gid_t own_gid;

/* ---- the message ---- */

static int look_at_file(const struct job *job, struct reason *why)
{
	struct stat st;

	if (fstat(job->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(why, "the message's descriptor is not a file");
	if (job->message_offset + job->message_bytes > (uint64_t)st.st_size)
		return fail(why, "the queue file is shorter than the message");
	queue_device = st.st_dev;
	queue_device_known = true;
	return 0;
}

/* Reads what fits of extra lines and message: they stand one behind the other in `buffer`. After a
 * failure nothing of it is anybody's: what stands there may be an earlier job's. */
static int read_message(const struct job *job, struct reason *why)
{
	size_t room = sizeof buffer - job->extra_bytes;

	buffered = 0;
	if (job->message_offset > INT64_MAX / 2 || job->message_bytes > INT64_MAX / 2 ||
	    job->extra_bytes > sizeof buffer / 2)
		return fail(why, "the queue file is shorter than the message");
	/* What is read whole, and pread reads only files, proves itself; all of the queue is on one
	 * device. */
	if ((!queue_device_known || job->message_bytes > room) && look_at_file(job, why) < 0)
		return -1;
	size_t bytes = job->message_bytes < room ? (size_t)job->message_bytes : room;
	enum file_result got = file_read_at(job->fd, buffer, job->extra_bytes, job->extra_offset);

	if (got == FILE_WHOLE)
		got = file_read_at(job->fd, buffer + job->extra_bytes, bytes, job->message_offset);
	if (got != FILE_WHOLE)
		return fail(why, "read the message: it %s", file_result_text(got));
	buffered = bytes;
	return 0;
}

/* Is it the message that came?  What is in the buffer is what will be written; of a larger one all
 * is read for it. */
static bool is_damaged(const struct job *job, struct reason *why)
{
	uint8_t sum[SPOOL_CHECKSUM_BYTES];
	struct checksum c;

	if (buffered == job->message_bytes) {
		checksum_begin(&c);
		checksum_add(&c, (struct view){ buffer + job->extra_bytes, buffered });
		checksum_end(&c, sum);
	} else if (checksum_file(job->fd, job->message_offset, job->message_bytes, sum) !=
	           FILE_WHOLE) {
		fail_errno(why, "read the message");
		buffered = 0;
		return false;
	}
	if (checksum_equal(sum, job->checksum))
		return false;
	fail(why, "the message has a wrong checksum");
	buffered = 0;
	return true;
}

/* Has this mailbox had the message before?  Only whole lines of the header count. */
static bool is_loop(const struct job *job, const char *address)
{
	struct view rest = { buffer + job->extra_bytes,
		             buffered < HEADER_BYTES_MAX ? buffered : HEADER_BYTES_MAX },
		    line;

	while (view_cut(&rest, '\n', &line) && !view_equal(line, VIEW("\r")))
		if (view_starts_nocase(line, VIEW("Delivered-To:")) &&
		    view_equal_nocase(view_trim(view_skip(line, sizeof "Delivered-To:" - 1)),
		                      view_of(address)))
			return true;
	return false;
}

/* ---- one recipient ---- */

static struct job_result result_of(const struct job_recipient *r, enum job_outcome outcome,
                                   const char *status, const char *text)
{
	struct job_result result = { .index = r->index, .outcome = outcome };

	string_put(result.status, sizeof result.status, view_of(status));
	string_cut(result.text, sizeof result.text, view_of(text));
	return result;
}

static int write_all(int fd, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t put = writev(fd, parts, count);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		for (; count > 0 && (size_t)put >= parts->iov_len; parts++, count--)
			put -= (ssize_t)parts->iov_len;
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + put;
			parts->iov_len -= (size_t)put;
		}
	}
	return 0;
}

/* In the kernel where it can; a file shorter than queued said is an error, never a short
 * message. */
static int copy_rest(int to, const struct job *job, uint64_t done)
{
	off_t at = (off_t)(job->message_offset + done);
	uint64_t left = job->message_bytes - done;

	while (left > 0) {
#if HAVE_COPY_FILE_RANGE
		ssize_t copied = copy_file_range(job->fd, &at, to, NULL, left, 0);
#else
		ssize_t copied = -1;

		errno = ENOSYS;
#endif
		if (copied < 0 && errno == EINTR)
			continue;
		if (copied < 0 &&
		    (errno == ENOSYS || errno == EXDEV || errno == EINVAL || errno == EPERM)) {
			static char rest[WHOLE_BYTES]; /* `buffer` is for further recipients too */
			size_t piece = left < sizeof rest ? (size_t)left : sizeof rest;
			struct iovec part = { rest, piece };
			enum file_result got = file_read_at(job->fd, rest, piece, (uint64_t)at);

			if (got == FILE_SHORT)
				errno = EIO;
			if (got != FILE_WHOLE || write_all(to, &part, 1) < 0)
				return -1;
			at += (off_t)piece;
			copied = (ssize_t)piece;
		}
		if (copied < 0)
			return -1;
		if (copied == 0) {
			errno = EIO;
			return -1;
		}
		left -= (uint64_t)copied;
	}
	return 0;
}

static int write_message(int to, const struct job *job, struct view trace)
{
	size_t done = buffered;
	struct iovec parts[] = { { (char *)trace.data, trace.len },
		                 { buffer, job->extra_bytes + done } };

	return write_all(to, parts, 2) < 0 ? -1 : copy_rest(to, job, done);
}

static struct job_result failure(const struct job_recipient *r, enum store_result result,
                                 const struct reason *why)
{
	int error = errno;

	if (result == STORE_FAILED && out_of_resources(error))
		return result_of(r, JOB_OWN_FAULT, "4.3.0", strerror(error));
	if (result == STORE_OVER_QUOTA || error == EDQUOT)
		return result_of(r, JOB_RETRY, "4.2.2", "the mailbox is full");
	if (result == STORE_TOO_LARGE)
		return result_of(r, JOB_FAILED, "5.2.3", why->text);
	if (error == ENOSPC)
		return result_of(r, JOB_RETRY, "4.3.1", "the disk is full");
	return result_of(r, JOB_RETRY, "4.3.0", "the mailbox cannot be written");
}

/* The lines a mailbox adds (RFC 5321 section 4.4; Delivered-To after qmail and RFC 9228). */
static struct view trace_lines(const struct job *job, const struct job_recipient *r)
{
	static char trace[TRACE_MAX];
	size_t len = string_print(trace, sizeof trace, "Return-Path: <%s>\r\nDelivered-To: %s\r\n",
	                          job->envelope.sender, r->to.address);

	return (struct view){ trace, len };
}

static enum store_result deliver(const struct job *job, const struct job_recipient *r,
                                 struct reason *why)
{
	struct view trace = trace_lines(job, r);
	uint64_t size = trace.len + job->extra_bytes + job->message_bytes;
	struct delivery d;
	struct stat st;
	enum store_result result =
		delivery_begin(&d, r->mailbox.home, r->mailbox.quota_bytes, size, why);

	if (result != STORE_OK)
		return result;
	if (write_message(d.fd, job, trace) < 0 || fstat(d.fd, &st) < 0) {
		int kept_errno = errno;

		fail_errno(why, "write tmp/%s", d.name);
		delivery_abort(&d);
		errno = kept_errno;
		return STORE_FAILED;
	}
	if ((uint64_t)st.st_size != size) {
		fail(why, "the file in tmp does not have the size of the message");
		delivery_abort(&d);
		errno = EIO;
		return STORE_FAILED;
	}
	/* On one file system the rename is in the journal before the queue file's removal is; on
	 * two it must be on disk before queued hears of it. */
	return delivery_finish(&d, size, st.st_dev != queue_device, why);
}

static bool refused_owner(const struct job_recipient *r)
{
	return owner_checked && (r->mailbox.uid != own_uid || r->mailbox.gid != own_gid);
}

static struct job_result serve(const struct job *job, const struct job_recipient *r)
{
	struct reason why = { "" };

	/* They would end a line of the trace, and so write header lines of their own. */
	if (view_has_controls(view_of(job->envelope.sender)) ||
	    view_has_controls(view_of(r->to.address)))
		return result_of(r, JOB_FAILED, "5.1.3", "an address with control characters");
	if (is_loop(job, r->to.address))
		return result_of(r, JOB_FAILED, "5.4.6",
		                 "mail loop: the message has been in this mailbox before");
	/* The sandbox would refuse too, but with less of a reason. */
	if (!user_home_allowed(settings.mail_root, r->mailbox.home) || refused_owner(r)) {
		log_warn(
			"id=%s event=refused to=<%s> home=%s reason=\"the home directory is outside mail.root\"",
			job->id, log_quote(view_of(r->to.address)),
			log_quote(view_of(r->mailbox.home)));
		return result_of(r, JOB_RETRY, "4.3.5", "the mailbox is outside mail.root");
	}
	errno = 0;
	enum store_result result = deliver(job, r, &why);

	if (result == STORE_OK)
		return result_of(r, JOB_DONE, "2.0.0", "delivered to mailbox");
	struct job_result answer = failure(r, result, &why);

	log_warn("id=%s event=delivery-failed to=<%s> status=%s reason=\"%s\"", job->id,
	         log_quote(view_of(r->to.address)), answer.status, log_text(view_of(why.text)));
	return answer;
}

static void work(struct wire_in *in, int queued)
{
	static struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	static struct job job;
	struct reason why;
	unsigned count;

	if (!job_receive(in, queued, &job, recipients, &count))
		exit(EXIT_TEMPORARY);
	why.text[0] = '\0';
	bool read = read_message(&job, &why) == 0, damaged = read && is_damaged(&job, &why);
	bool readable = why.text[0] == '\0';

	if (!readable)
		log_warn("id=%s event=unreadable reason=\"%s\"", job.id,
		         log_text(view_of(why.text)));
	for (unsigned i = 0; i < count; i++) {
		struct job_result result =
			readable ? serve(&job, &recipients[i])
				 : result_of(&recipients[i], JOB_OWN_FAULT, "4.3.0",
		                             "the queue file cannot be read");

		result.damaged = damaged;
		result.last = i + 1 == count;
		if (result.last)
			close(job.fd);
		job_answer(queued, &result);
	}
}

int main(void)
{
	static struct sandbox_profile profile = { .promises = SANDBOX_FILES | SANDBOX_FORK };
	static struct worker_service service = { .wire = "queued.job",
		                                 .protocol = "job",
		                                 .answers = true,
		                                 .reuse = JOB_REUSE_LOCAL,
		                                 .idle_ms = WORKER_IDLE_MS,
		                                 .quit_when_idle_ms = QUIT_IDLE_MS,
		                                 .work = work };

	program_start("local");
	settings_inherit(&settings);
	owner_checked = getenv("POSTHOUSE_UID") != NULL;
	checksum_start();
	store_begin();
	profile.paths[0] = (struct sandbox_path){ .path = settings.mail_root, .writable = true };
	bounds_confine("local", &settings, &profile);
	own_uid = getuid();
	own_gid = getgid();
	service.workers_max = (unsigned)settings.local_agents_max;
	service.profile = profile;
	service.profile.descriptors_max = DESCRIPTORS_MAX;
	service.profile.memory_max =
		MEMORY_MAX_BYTES + (unsigned long)settings.message_size_max_bytes;
	worker_run(&service);
}
