/* SPDX-License-Identifier: ISC */
/* What is restored is on the disk before it says that it is live, and then that is too. */
#include "lib/queue/restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/queue/checksum.h"
#include "t/tap.h"

enum { ID = 77, SYNCS_MAX = 4 };

static struct queue_key key;
static const struct view message = { "Subject: x\r\n\r\nthe text\r\n", 24 };

/* The state byte at each sync of a file. */
static char states[SYNCS_MAX + 1];
static unsigned syncs;

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && syncs < SYNCS_MAX &&
	    pread(fd, &states[syncs], 1, QUEUE_STATE_OFFSET) == 1)
		syncs++;
	return 0;
}

/* Aside; -1: not. */
static int write_file(int directory, const char *name, char state, struct view text)
{
	static struct envelope e = { .origin = ENVELOPE_MACHINE, .sender = "s@example.test" };
	struct envelope_recipient r = { .address = "u@example.test" };
	struct queue_header h = { .id = ID,
		                  .state = state,
		                  .message_bytes = message.len,
		                  .arrived_us = 1795323790000000 };
	char bytes[QUEUE_HEADER_BYTES];
	struct checksum *sum = checksum_new();
	struct text envelope;

	checksum_begin(sum);
	checksum_add(sum, message);
	checksum_end(sum, h.checksum);
	free(sum);
	text_init(&envelope, 1 << 16);
	queue_envelope_encode(&envelope, &e);
	queue_recipient_encode(&envelope, &r);
	h.envelope_bytes = envelope.len;
	queue_header_encode(&h, text_view(&envelope), &key, bytes);
	int fd = openat(directory, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int result = fd < 0 || pwrite_whole(fd, bytes, sizeof bytes, 0) < 0 ||
	                             pwrite_whole(fd, text.data, text.len, sizeof bytes) < 0 ||
	                             pwrite_whole(fd, text_string(&envelope), envelope.len,
	                                          sizeof bytes + text.len) < 0
	                     ? -1
	                     : 0;

	if (fd >= 0)
		close(fd);
	text_free(&envelope);
	return result;
}

static void restores(int directory, char state, struct view text, bool unverified, const char *what)
{
	char from[QUEUEDIR_NAME_MAX], to[QUEUEDIR_NAME_MAX], wanted[] = { state, QUEUE_LIVE, '\0' };
	struct reason why = { "" };
	uint64_t id;
	int result;

	queuedir_name(ID, to);
	string_print(from, sizeof from, "torn/%s", to + 3);
	mkdirat(directory, "torn", 0700);
	to[2] = '\0';
	mkdirat(directory, to, 0700);
	to[2] = '/';
	result = write_file(directory, from, state, text);
	syncs = 0;
	memset(states, 0, sizeof states);
	if (result == 0)
		result = queue_restore(directory, &key, from, unverified, &id, &why);
	ok(result == 0 && id == ID, "%s is restored (%s)", what, why.text);
	ok(strcmp(states, wanted) == 0, "synced before it is live, and after that (%s)", states);
	unlinkat(directory, to, 0);
	to[2] = '\0';
	unlinkat(directory, to, AT_REMOVEDIR);
	unlinkat(directory, "torn", AT_REMOVEDIR);
}

int main(void)
{
	static const struct view other = { "Subject: x\r\n\r\nthe other\n", 24 };
	const unsigned char secret[QUEUE_SECRET_BYTES] = { 1 };
	char path[] = "/tmp/posthouse-queuerestore-XXXXXX";
	int directory = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	checksum_start();
	queue_key_derive(&key, secret);
	restores(directory, QUEUE_COMMITTED, message, false, "one that its writer had not synced");
	restores(directory, QUEUE_COMMITTED, other, true, "one whose text is another");
	restores(directory, QUEUE_LIVE, message, false, "one that a hand has copied");
	close(directory);
	rmdir(path);
	return tap_done();
}
