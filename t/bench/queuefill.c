/* SPDX-License-Identifier: ISC */
/*
 * Fills the queue directory of a stopped house with messages that wait: t/bench/queuefill DIR COUNT
 * [DOMAIN]. Each has 1 KB, a sender, a recipient at DOMAIN that was put off, and its next attempt
 * hours ahead. What is in the queue stays.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/queue/checksum.h"
#include "lib/queue/queuedir.h"
#include "lib/queue/queuelog.h"

enum { MESSAGE_BYTES = 1024, APART_US = 1000, RECENT_S = 60 };

static char bytes[QUEUE_HEADER_BYTES + MESSAGE_BYTES + 4096];
static uint8_t checksum[SPOOL_CHECKSUM_BYTES];

static void make_message(void)
{
	char *message = bytes + QUEUE_HEADER_BYTES;
	struct checksum *c = checksum_new();

	memset(message, 'x', MESSAGE_BYTES);
	memcpy(message, "Subject: waiting\r\n\r\n", 20);
	memcpy(message + MESSAGE_BYTES - 2, "\r\n", 2);
	checksum_begin(c);
	checksum_add(c, (struct view){ message, MESSAGE_BYTES });
	checksum_end(c, checksum);
	free(c);
}

static void put_log(struct text *t, const struct queue_key *key, uint64_t id)
{
	struct queue_log retry = { .event = QUEUE_RETRY,
		                   .time_s = clock_wall_s(),
		                   .status = "4.4.1",
		                   .text = "connecting to 127.0.0.1: Connection refused" };
	struct queue_log attempt = { .event = QUEUE_ATTEMPT,
		                     .number = 1,
		                     .time_s = clock_wall_s() + 3 * 3600 };

	queue_log_encode(t, key, id, &retry);
	queue_log_encode(t, key, id, &attempt);
}

/* The file's bytes; how many. */
static size_t make_file(const struct queue_key *key, uint64_t id, unsigned number,
                        const char *domain)
{
	static struct envelope e;
	static struct envelope_recipient to;
	static struct text tail;
	struct queue_header h = { .id = id,
		                  .state = QUEUE_LIVE,
		                  .message_bytes = MESSAGE_BYTES,
		                  .arrived_us = (int64_t)(id >> 12) };

	if (tail.max == 0)
		text_init(&tail, sizeof bytes - QUEUE_HEADER_BYTES - MESSAGE_BYTES - 1);
	text_clear(&tail);
	snprintf(e.sender, sizeof e.sender, "u%04u@example.test", number % 1000);
	snprintf(to.address, sizeof to.address, "u%04u@%s", number % 1000, domain);
	queue_envelope_encode(&tail, &e);
	queue_recipient_encode(&tail, &to);
	h.envelope_bytes = tail.len;
	memcpy(h.checksum, checksum, sizeof checksum);
	queue_header_encode(&h, text_view(&tail), key, bytes);
	put_log(&tail, key, id);
	memcpy(bytes + QUEUE_HEADER_BYTES + MESSAGE_BYTES, text_string(&tail), tail.len);
	return QUEUE_HEADER_BYTES + MESSAGE_BYTES + tail.len;
}

static void write_file(int directory, const struct stat *owner, const char *name, size_t len)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len ||
	    (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) < 0) || close(fd) < 0)
		log_fatal("%s: %m", name);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atol(argv[2]) : 0;
	const char *domain = argc > 3 ? argv[3] : "defer.test";
	int directory = argc > 2 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int64_t first_us = clock_wall_us() - RECENT_S * 1000000LL - (int64_t)count * APART_US;
	struct reason why = { "" };
	struct queue_key key;
	struct stat owner;
	uint64_t id = 0;

	checksum_start();
	if (directory < 0 || queuedir_secret(directory, &key, &why) <= 0 ||
	    fstat(directory, &owner) < 0)
		log_fatal(
			"t/bench/queuefill DIR COUNT [DOMAIN]: DIR is the queue of a house that was started once %s",
			why.text);
	make_message();
	for (unsigned i = 0; i < count; i++) {
		char name[QUEUEDIR_NAME_MAX];

		id = queue_id_next(id, first_us + (int64_t)i * APART_US, i);
		queuedir_name(id, name);
		write_file(directory, &owner, name, make_file(&key, id, i, domain));
	}
	return 0;
}
