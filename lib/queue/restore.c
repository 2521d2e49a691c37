/* SPDX-License-Identifier: ISC */
#include "lib/queue/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/queue/checksum.h"
#include "lib/queue/mend.h"

enum queue_restorable queue_restorable(const struct queue_verified *v)
{
	bool whole = queue_verified_whole(v);
	bool damaged = v->verdict == QUEUE_SEAL_WRONG || v->verdict == QUEUE_TEXT_WRONG;

	if ((!whole && !damaged) || !queue_verified_envelope(v))
		return QUEUE_RESTORE_NO;
	return whole ? QUEUE_RESTORE_YES : QUEUE_RESTORE_UNVERIFIED;
}

/* The checksum and the seal of what is there. */
static int seal_anew(int fd, struct queue_verified *v, const struct queue_key *key,
                     struct reason *why)
{
	struct queue_header *h = &v->header;
	char bytes[QUEUE_HEADER_BYTES];
	enum file_result got = checksum_file(fd, QUEUE_HEADER_BYTES, h->message_bytes, h->checksum);

	if (got != FILE_WHOLE)
		return fail(why, "the message: %s", file_result_text(got));
	h->state = QUEUE_LIVE;
	queue_header_encode(h, view_take(text_view(&v->tail), h->envelope_bytes), key, bytes);
	return pwrite_whole(fd, bytes, sizeof bytes, 0) < 0 ? fail_errno(why, "the header") : 0;
}

static int restore_file(int fd, struct queue_verified *v, const struct queue_key *key,
                        bool unverified, struct reason *why)
{
	enum queue_restorable restorable = queue_restorable(v);

	if (restorable == QUEUE_RESTORE_NO ||
	    (restorable == QUEUE_RESTORE_UNVERIFIED && !unverified))
		return fail(why, "%s",
		            restorable == QUEUE_RESTORE_NO && queue_verified_whole(v)
		                    ? "unknown field in the envelope"
		                    : queue_verdict_text(v));
	/* The live byte says of the text that it is on the disk: a start does not read it again. */
	if (fsync(fd) < 0)
		return fail_errno(why, "fsync");
	if (restorable == QUEUE_RESTORE_UNVERIFIED) {
		if (seal_anew(fd, v, key, why) < 0)
			return -1;
	} else if (v->state != QUEUE_LIVE && queuedir_make_live(fd) < 0) {
		return fail_errno(why, "the state byte");
	}
	return fsync(fd) < 0 ? fail_errno(why, "fsync") : 0;
}

/* One flipped bit of header or envelope is put right: it is what the seal says. */
static void mend(int fd, uint64_t id, struct queue_verified *v, const struct queue_key *key)
{
	struct queue_mend m;

	if (queue_mend_suits(v) && queue_mend(fd, id, key, &m) &&
	    pwrite_whole(fd, &m.byte, 1, m.at) == 0)
		queue_verify(v, fd, id, key, QUEUE_READ_ALL);
}

int queue_restore(int directory, const struct queue_key *key, const char *from, bool unverified,
                  uint64_t *id, struct reason *why)
{
	struct queue_verified v;
	char to[QUEUEDIR_NAME_MAX];
	bool aside;

	if (!queuedir_parse(from, id, &aside))
		return fail(why, "not the name of a message's file");
	int fd = queuedir_open(directory, from, O_RDWR);

	if (fd < 0)
		return fail(why, "%s", queuedir_error(errno));
	queue_verified_init(&v);
	const uint64_t expected = aside ? 0 : *id;

	queue_verify(&v, fd, expected, key, QUEUE_READ_ALL);
	mend(fd, expected, &v, key);
	if (queue_verified_whole(&v))
		*id = v.header.id;
	v.header.id = *id;
	int result = restore_file(fd, &v, key, unverified, why);

	queue_verified_free(&v);
	close(fd);
	queuedir_name(*id, to);
	if (result == 0 && strcmp(from, to) != 0 && queuedir_give_name(directory, from, to) < 0)
		result = errno == EEXIST ? fail(why, "there is a message with this id in the queue")
		                         : fail_errno(why, "moving it to %s", to);
	return result;
}
