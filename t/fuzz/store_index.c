/* SPDX-License-Identifier: ISC */
/*
 * The index file, any bytes: the folder opens all the same, with its messages under their UIDs. So
 * that the inside of the format is reached, the sums of the header and of the records are set right
 * again first.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/store/internal.h"
#include "t/unit/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 20 };

static uint32_t validity;

static void need(bool good)
{
	if (!good)
		abort();
}

static void clean_up(void)
{
	box_remove();
}

static void prepare(void)
{
	box_make(0);
	atexit(clean_up);
	struct folder *f = box_open("INBOX");

	for (int i = 0; i < 3; i++)
		box_append(f, "Subject: x\r\n\r\n", 0);
	folder_close(&f);
	f = box_open("INBOX");
	validity = folder_uidvalidity(f);
	folder_close(&f);
}

/* The sums as a writer would have set them, over whatever the bytes are. */
static void mend_sums(char *bytes, size_t size)
{
	struct index_header h;

	memcpy(&h, bytes, sizeof h);
	h.uidvalidity = validity;
	h.record_bytes = sizeof(struct record);
	h.sum = store_hash(INDEX_FORMAT, &h, offsetof(struct index_header, sum));
	memcpy(bytes, &h, sizeof h);
	if (h.count > 64 || h.sums_at + 8 > size || h.sums_at < sizeof h)
		return;
	uint64_t sum = store_hash(h.generation, bytes + sizeof h, h.count * sizeof(struct record));

	memcpy(bytes + h.sums_at, &sum, sizeof sum);
	/* The log's records too. */
	for (uint64_t at = h.log_at; at + sizeof(struct log_head) <= size;) {
		struct log_head head;

		memcpy(&head, bytes + at, sizeof head);
		if (head.len > size - at - sizeof head)
			break;
		head.sum = store_hash(h.generation + at + ((uint64_t)head.type << 56) +
		                              ((uint64_t)head.len << 24),
		                      bytes + at + sizeof head, head.len);
		memcpy(bytes + at, &head, sizeof head);
		at += sizeof head + (head.len + 7u) / 8 * 8;
	}
}

static void place(const char *bytes, size_t size)
{
	char path[200];

	snprintf(path, sizeof path, "%s/Maildir/%s", box_home, INDEX_FILE);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	need(fd >= 0 && write_whole(fd, bytes, size) == 0);
	close(fd);
}

/* An index that lies under right sums may know other messages; what the disk has must come out of
 * it. */
static void use(void)
{
	struct folder *f = NULL;
	struct folder_changes c;
	struct store_message m;

	if (folder_open(box, VIEW("INBOX"), false, &f, &box_why) != STORE_OK)
		return;
	for (uint32_t seq = 1; seq <= folder_count(f) && seq < 100; seq++) {
		folder_message(f, seq, STORE_WANT_SIZE | STORE_WANT_DATE, &m, NULL);
		folder_cache_get(f, seq);
	}
	folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD, STORE_FLAG_SEEN, 0, NULL);
	folder_sync(f, STORE_EXPUNGES, &c, NULL);
	folder_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool prepared;
	char *bytes;

	if (!prepared)
		prepare();
	prepared = true;
	if (size > BYTES_MAX)
		return 0;
	place((const char *)data, size);
	use();
	if (size < sizeof(struct index_header))
		return 0;
	bytes = memory_get(size);
	memcpy(bytes, data, size);
	mend_sums(bytes, size);
	place(bytes, size);
	use();
	free(bytes);
	need(box_shell("test $(ls cur | wc -l) = 3"));
	return 0;
}
