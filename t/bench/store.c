/* SPDX-License-Identifier: ISC */
/* What the mailbox store costs: t/bench/store [messages].  CPU milliseconds, median of several. */
#include "t/unit/store.h"

#include <time.h>

enum { ROUNDS = 15 };

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct folder *folder;
static uint32_t messages;
static unsigned turn;

static void select_warm(void)
{
	folder_close(&folder);
	folder = box_open("INBOX");
	folder_first_unseen(folder);
}

static void store_flag(void)
{
	folder_store(folder, (uint32_t[]){ messages / 2 + turn++ % 7 }, 1,
	             turn / 7 % 2 ? STORE_REMOVE : STORE_ADD, STORE_FLAG_FLAGGED, 0, NULL);
}

static void sync_idle(void)
{
	box_sync(folder);
}

static void envelopes(void)
{
	uint32_t until = messages < 10000 ? messages : 10000;
	size_t all = 0;

	for (uint32_t seq = 1; seq <= until; seq++)
		all += folder_cache_get(folder, seq).len;
	if (all != until * 400u)
		printf("# cached: %zu\n", all);
}

static void take_in_one(void)
{
	box_deliver("Subject: x\r\n\r\nbody\r\n");
	box_sync(folder);
}

static void status(void)
{
	struct folder_status s;

	folder_status(box, VIEW("INBOX"), false, &s, NULL);
}

static void measure(const char *name, void (*run)(void))
{
	double took[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double before = cpu_ms();

		run();
		took[i] = cpu_ms() - before;
	}
	qsort(took, ROUNDS, sizeof *took, by_value);
	printf("%-40s %9.3f ms (%.3f-%.3f)\n", name, took[ROUNDS / 2], took[0], took[ROUNDS - 1]);
}

static void once(const char *name, void (*run)(void))
{
	double before = cpu_ms();

	run();
	printf("%-40s %9.3f ms\n", name, cpu_ms() - before);
}

static void fill_cache(void)
{
	char piece[400];

	memset(piece, 'e', sizeof piece);
	for (uint32_t seq = 1; seq <= messages && seq <= 10000; seq++)
		folder_cache_put(folder, seq, (struct view){ piece, sizeof piece });
	folder_cache_flush(folder);
}

static void open_first(void)
{
	folder = box_open("INBOX");
}

static void rescan(void)
{
	folder_close(&folder);
	box_shell("touch cur");
	folder = box_open("INBOX");
}

static void rebuild(void)
{
	folder_close(&folder);
	box_shell("rm posthouse.index");
	folder = box_open("INBOX");
}

int main(int argc, char **argv)
{
	messages = argc > 1 ? (uint32_t)atol(argv[1]) : 100000;
	setvbuf(stdout, NULL, _IOLBF, 0);
	box_make(0);
	for (uint32_t i = 0; i < messages; i++) {
		char path[300];

		snprintf(path, sizeof path, "%s/Maildir/new/%u.M%06uP1_0.host,S=24,W=24", box_home,
		         1700000000 + i, i);
		int fd = open(path, O_WRONLY | O_CREAT, 0600);

		if (fd < 0 || write(fd, "Subject: x\r\n\r\n1234567\r\n\n", 24) != 24)
			abort();
		close(fd);
	}
	printf("%u messages\n", messages);
	once("first open: all taken in", open_first);
	messages = folder_count(folder);
	usleep(200000);
	box_sync(folder);
	select_warm();
	measure("SELECT, warm", select_warm);
	measure("STATUS, warm", status);
	measure("sync, nothing new", sync_idle);
	measure("STORE of one flag", store_flag);
	measure("SELECT after it", select_warm);
	once("caching 10000 pieces", fill_cache);
	select_warm();
	measure("10000 cached pieces", envelopes);
	measure("a delivery, and taking it in", take_in_one);
	once("rescan of the directory", rescan);
	once("rebuild without the index", rebuild);
	folder_close(&folder);
	box_remove();
	return 0;
}
