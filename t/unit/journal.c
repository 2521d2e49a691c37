/* SPDX-License-Identifier: ISC */
/* Records of a queue file that find no room: those that are there stay whole. */
#include "queue/queued/journal.h"

#include "t/tap.h"

enum { ID = 77, ROOM = 300 };

static struct disk disk;

static unsigned whole_records(const struct text *records, unsigned *bad)
{
	struct view rest = text_view(records);
	struct queue_log l;
	unsigned count = 0;

	while (queue_log_next(&rest, &disk.key, ID, &l, bad))
		count++;
	*bad += rest.len != 0;
	return count;
}

static void note(struct journal *j, const struct message *m, unsigned times)
{
	const struct queue_log l = { .event = QUEUE_DONE, .index = 1, .status = "2.0.0" };

	for (unsigned i = 0; i < times; i++)
		journal_note(j, m, &l);
}

int main(void)
{
	struct message *m = message_new(ID);
	struct journal j;
	struct text notes;
	unsigned bad = 0;

	journal_init(&j, &disk, NULL);
	j.records.max = ROOM;
	text_init(&notes, ROOM);
	note(&j, m, 1);
	size_t one = j.records.len;

	note(&j, m, 2 * ROOM / (unsigned)one);
	ok(whole_records(&j.records, &bad) == ROOM / one && bad == 0,
	   "%zu records of %zu bytes, each whole", ROOM / one, one);
	journal_put_off(&j, m, &notes);
	ok(j.records.len == 0 && whole_records(&notes, &bad) == ROOM / one && bad == 0,
	   "they wait aside");
	note(&j, m, 1);
	journal_put_off(&j, m, &notes);
	ok(whole_records(&notes, &bad) == ROOM / one && bad == 0, "one more does not spoil them");
	note(&j, m, 1);
	journal_take_up(&j, m, &notes);
	ok(whole_records(&j.records, &bad) == 1 && bad == 0,
	   "and what finds no room leaves those that are there");
	text_free(&j.records);
	text_free(&notes);
	message_free(&m);
	return tap_done();
}
