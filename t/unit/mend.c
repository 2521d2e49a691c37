/* SPDX-License-Identifier: ISC */
/* One flipped bit of header or envelope comes back: each of them. */
#include "lib/queue/mend.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/queue/checksum.h"
#include "t/tap.h"

static struct queue_key key;
static struct queue_verified verified;
static const struct view message = { "Subject: x\r\n\r\nthe text\r\n", 24 };

/* A file with so many recipients. */
static size_t write_file(int fd, unsigned recipients)
{
	static struct envelope e = { .origin = ENVELOPE_MACHINE, .sender = "s@example.test" };
	struct queue_header h = { .id = 77,
		                  .state = QUEUE_LIVE,
		                  .message_bytes = message.len,
		                  .arrived_us = 1795323790000000 };
	struct envelope_recipient r = { .notify = 0 };
	char bytes[QUEUE_HEADER_BYTES];
	struct checksum *sum = checksum_new();
	struct text envelope;

	checksum_begin(sum);
	checksum_add(sum, message);
	checksum_end(sum, h.checksum);
	free(sum);
	text_init(&envelope, 1 << 24);
	queue_envelope_encode(&envelope, &e);
	for (unsigned i = 0; i < recipients; i++) {
		string_print(r.address, sizeof r.address, "u%04u@example.test", i);
		queue_recipient_encode(&envelope, &r);
	}
	h.envelope_bytes = envelope.len;
	queue_header_encode(&h, text_view(&envelope), &key, bytes);
	size_t len = envelope.len;

	if (ftruncate(fd, 0) < 0 || pwrite_whole(fd, bytes, sizeof bytes, 0) < 0 ||
	    pwrite_whole(fd, message.data, message.len, sizeof bytes) < 0 ||
	    pwrite_whole(fd, text_string(&envelope), len, sizeof bytes + message.len) < 0)
		len = 0;
	text_free(&envelope);
	return len;
}

static char flip(int fd, uint64_t at, char bits)
{
	char is, was;

	if (file_read_at(fd, &was, 1, at) != FILE_WHOLE)
		return 0;
	is = (char)(was ^ bits);
	pwrite_whole(fd, &is, 1, at);
	return was;
}

/* Is it found, as the only thing that is wrong?  The state byte is under no seal, and a letter of
 * the seal may be a capital: those files are whole. */
static bool comes_back(int fd, uint64_t at, int bit, const struct queue_key *with)
{
	struct queue_mend m;
	char was = flip(fd, at, (char)(1 << bit));
	bool good;

	queue_verify(&verified, fd, 77, with, QUEUE_READ_ALL);
	good = queue_verified_whole(&verified) ||
	       (queue_mend_suits(&verified) && queue_mend(fd, 77, with, &m) && m.at == at &&
	        m.byte == was && m.whole);
	pwrite_whole(fd, &was, 1, at);
	return good;
}

static void each_bit(int fd)
{
	uint64_t message_at = QUEUE_HEADER_BYTES, envelope_at = message_at + message.len;
	size_t len = write_file(fd, 2);
	unsigned header = 0, envelope = 0;

	for (uint64_t i = 0; i < QUEUE_HEADER_BYTES * 8; i++)
		header += comes_back(fd, i / 8, (int)(i % 8), &key);
	for (uint64_t i = 0; i < len * 8; i++)
		envelope += comes_back(fd, envelope_at + i / 8, (int)(i % 8), &key);
	ok(header == QUEUE_HEADER_BYTES * 8, "each bit of the header comes back (%u)", header);
	ok(len > 0 && envelope == len * 8, "each bit of the envelope (%u)", envelope);
}

static void others(int fd)
{
	uint64_t envelope_at = QUEUE_HEADER_BYTES + message.len;
	struct queue_key other = key;
	struct queue_mend m;
	size_t len = write_file(fd, 2);

	flip(fd, envelope_at + 5, 3);
	ok(!queue_mend(fd, 77, &key, &m), "two bits of a byte do not");
	flip(fd, envelope_at + 5, 2);
	ok(!queue_mend(fd, 78, &key, &m), "nor does one in a file of another name");
	other.seal[0] ^= 1;
	ok(!queue_mend(fd, 77, &other, &m), "nor under another secret");
	flip(fd, QUEUE_HEADER_BYTES + 1, 1);
	ok(queue_mend(fd, 77, &key, &m) && m.at == envelope_at + 5 && !m.whole,
	   "with damage in the message too it is found, and that is told");
	len = write_file(fd, 1000);
	ok(len > QUEUE_MEND_ENVELOPE_MAX && len < QUEUE_MEND_HEADER_MAX &&
	           comes_back(fd, 25, 0, &key) && !comes_back(fd, envelope_at + 9, 0, &key),
	   "of a long envelope the header's bits alone are tried");
	len = write_file(fd, 20000);
	ok(len > QUEUE_MEND_HEADER_MAX && !comes_back(fd, 25, 0, &key), "of a longer one nothing");
}

int main(void)
{
	const unsigned char secret[QUEUE_SECRET_BYTES] = { 1 };
	char path[] = "/tmp/posthouse-mend-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	checksum_start();
	queue_key_derive(&key, secret);
	queue_verified_init(&verified);
	each_bit(fd);
	others(fd);
	queue_verified_free(&verified);
	close(fd);
	return tap_done();
}
