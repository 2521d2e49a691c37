/* SPDX-License-Identifier: ISC */
/* The small things that everything stands on: lists, hashes, hash tables, rates, reading files. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/file.h"
#include "lib/base/hash.h"
#include "lib/base/lines.h"
#include "lib/base/list.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"
#include "t/tap.h"

struct item {
	int number;
	struct link link;
};

static int joined(const struct list *list)
{
	int all = 0;

	LIST_EACH(item, list, struct item, link)
		all = all * 10 + item->number;
	return all;
}

static void lists(void)
{
	struct list list = { 0 };
	struct item a = { 1, { 0 } }, b = { 2, { 0 } }, c = { 3, { 0 } };

	list_add_last(&list, &b.link);
	list_add_last(&list, &c.link);
	list_add_first(&list, &a.link);
	ok(joined(&list) == 123 && list.count == 3, "first and last");
	list_add_last(&list, &a.link);
	ok(joined(&list) == 123 && list.count == 3, "what is in a list is not added again");
	LIST_EACH(item, &list, struct item, link)
		if (item->number != 3)
			list_remove(&item->link);
	ok(joined(&list) == 3 && list.count == 1, "the present one may go");
	list_remove(&a.link);
	ok(list.count == 1, "what is in none is not removed again");
	ok(list_take_first(&list) == &c.link && list.first == NULL && list.last == NULL,
	   "the last one leaves an empty list");
	ok(list_take_first(&list) == NULL, "of which nothing is taken");
}

static void hashes(void)
{
	ok(view_hash(HASH_START, VIEW("foobar")) == 0xbf9cf968u, "FNV-1a");
	ok(view_hash(view_hash(HASH_START, VIEW("foo")), VIEW("bar")) == 0xbf9cf968u, "in pieces");
	ok(view_hash_nocase(HASH_START, VIEW("FooBar")) == 0xbf9cf968u, "in either case");
	ok(view_has_controls(VIEW("a\nb")) && view_has_controls(VIEW("\x7f")), "controls");
	ok(!view_has_controls(VIEW("a b\xc3\xa4")), "and none");
}

static void files(void)
{
	char path[] = "/tmp/posthouse-t-file.XXXXXX", bytes[8];
	int fd = mkstemp(path), ends[2];
	struct text text;

	unlink(path);
	ok(write_whole(fd, "12345678", 8) == 0, "written");
	ok(file_read_at(fd, bytes, 8, 0) == FILE_WHOLE && memcmp(bytes, "12345678", 8) == 0,
	   "read whole");
	ok(file_read_at(fd, bytes, 8, 1) == FILE_SHORT, "short");
	ok(file_read_at(-1, bytes, 8, 0) == FILE_FAILED && errno == EBADF, "failed");
	text_init(&text, 8);
	lseek(fd, 0, SEEK_SET);
	ok(file_read_rest(fd, &text) == FILE_WHOLE && text.len == 8, "a text that just holds it");
	text_free(&text);
	text_init(&text, 7);
	lseek(fd, 0, SEEK_SET);
	ok(file_read_rest(fd, &text) == FILE_TOO_LARGE, "a text that does not");
	text_free(&text);
	ok(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
	           write_whole(ends[1], "ab", 2) == 0,
	   "a pipe");
	text_init(&text, 100);
	ok(file_read_rest(ends[0], &text) == FILE_FAILED && errno == EAGAIN && text.len == 2,
	   "what fails behind some bytes has failed");
	text_free(&text);
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

enum { ENTRIES = 20000, SAME = 7 };

struct entry {
	uint32_t key;
	struct hashed hashed;
};

static uint32_t key_hash(uint32_t key)
{
	return view_hash(HASH_START, (struct view){ (const char *)&key, sizeof key });
}

static unsigned with_key(const struct hash *table, uint32_t key)
{
	unsigned count = 0;

	HASH_EACH(e, table, key_hash(key), struct entry, hashed)
		count += e->key == key;
	return count;
}

static unsigned longest_chain(const struct hash *table)
{
	unsigned longest = 0;

	for (uint32_t i = 0; i < table->size; i++) {
		unsigned length = 0;

		HASH_EACH(e, table, i, struct entry, hashed)
			length += e->key < ENTRIES;
		longest = length > longest ? length : longest;
	}
	return longest;
}

static int rung; /* the end of a pipe */

/* The first ring finds nothing to read yet, the second brings it. */
static void ring(int number)
{
	static int rings;

	(void)number;
	if (++rings == 2)
		ok(write(rung, "x", 1) == 1, "the second signal writes");
}

static void lines_are_found(void)
{
	struct lines l;

	lines_init(&l, VIEW("ab\nb\n\na\nab\nabc d\nlast"));
	ok(l.count == 7 && view_equal(l.sorted[0], VIEW("")) &&
	           view_equal(l.sorted[1], VIEW("a")) && view_equal(l.sorted[2], VIEW("ab")) &&
	           view_equal(l.sorted[3], VIEW("ab")) && view_equal(l.sorted[4], VIEW("abc d")),
	   "lines in order, with those that are equal");
	ok(lines_has(&l, VIEW("")) && lines_has(&l, VIEW("ab")) && lines_has(&l, VIEW("b")) &&
	           lines_has(&l, VIEW("last")),
	   "each is there");
	ok(!lines_has(&l, VIEW("abc")) && !lines_has(&l, VIEW("las")) && !lines_has(&l, VIEW("c")),
	   "none that only begins so");
	const struct view *found = lines_starting(&l, VIEW("abc"));

	ok(found != NULL && view_equal(*found, VIEW("abc d")) && lines_starting(&l, VIEW("")) &&
	           !lines_starting(&l, VIEW("abcd")) && !lines_starting(&l, VIEW("laste")),
	   "one that begins so");
	lines_free(&l);
	lines_init(&l, VIEW(""));
	ok(!lines_has(&l, VIEW("")) && lines_starting(&l, VIEW("")) == NULL, "of none, none");
	lines_free(&l);
}

static void waits(void)
{
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } },
			       never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = ring };
	int ends[2];

	if (pipe(ends) < 0)
		exit(1);
	rung = ends[1];
	ok(file_wait(ends[0], POLLIN, 0) == 0, "nothing to read, and no time");
	ok(file_wait(ends[1], POLLOUT, -5) == 1, "asked once, also when the time is over");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	ok(file_wait(ends[0], POLLIN, 3600000) == 1, "a signal does not end a wait");
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	close(ends[1]);
	ok(file_wait(ends[0], POLLIN, 3600000) == 1, "what has ended is ready");
	close(ends[0]);
}

static void tables(void)
{
	static struct entry entries[ENTRIES], same[SAME];
	struct hash table = { 0 };
	bool all = true;

	ok(hash_chain(&table, 5) == NULL && with_key(&table, 5) == 0, "an empty table has nothing");
	for (uint32_t i = 0; i < ENTRIES; i++) {
		entries[i].key = i;
		hash_add(&table, &entries[i].hashed, key_hash(i));
		hash_add(&table, &entries[i].hashed, key_hash(i));
	}
	for (uint32_t i = 0; i < ENTRIES; i++)
		all = all && with_key(&table, i) == 1;
	ok(all && table.count == ENTRIES, "each is found, once");
	ok(longest_chain(&table) < 16, "no chain is long (%u)", longest_chain(&table));
	for (unsigned i = 0; i < SAME; i++) {
		same[i].key = 4;
		hash_add(&table, &same[i].hashed, key_hash(4));
	}
	ok(with_key(&table, 4) == SAME + 1, "keys may stand there more than once");
	HASH_EACH(e, &table, key_hash(4), struct entry, hashed)
		if (e != &same[3])
			hash_remove(&table, &e->hashed);
	ok(with_key(&table, 4) == 1, "the present one may go");
	hash_remove(&table, &same[2].hashed);
	for (uint32_t i = 0; i < ENTRIES; i++)
		hash_remove(&table, &entries[i].hashed);
	ok(table.count == 1 && with_key(&table, 4) == 1 && with_key(&table, 7) == 0,
	   "what has gone is not removed again");
	hash_free(&table);
	ok(table.count == 0 && with_key(&table, 4) == 0, "freed");
}

static void windows(void)
{
	struct window w = { 0 };
	struct pace p = { 0 };
	unsigned more = 9;

	ok(window_count(&w, 1500) == 1 && window_count(&w, 1600) == 2, "in a second that begins");
	ok(window_count(&w, 2499) == 3 && window_count(&w, 2500) == 1, "with the first");
	ok(pace_says(&p, 5000, 1, &more) && more == 0, "the first is said");
	ok(!pace_says(&p, 5000, 1, &more) && !pace_says(&p, 5999, 1, &more), "not within a second");
	ok(pace_says(&p, 6000, 1, &more) && more == 2, "then with the number of those kept back");
	ok(pace_says(&p, 6100, 2, &more) && more == 0 && !pace_says(&p, 6200, 2, &more),
	   "or so many in a second");
	ok(pace_says(&p, 7000, 2, &more) && more == 1, "and how many not");
}

static unsigned taken(struct bucket *b, const struct bucket_rate *rate, int64_t now_ms,
                      int64_t amount)
{
	unsigned count = 0;

	while (bucket_take(b, rate, now_ms, amount))
		count++;
	return count;
}

static void buckets(void)
{
	static const struct bucket_rate rate = { .per_second = 10, .full = 4 },
					bytes = { .per_second = 4 << 20, .full = 8 << 20 };
	const int64_t late_ms = (int64_t)1 << 42; /* a hundred years */
	struct bucket b = { 0 };

	ok(taken(&b, &rate, 1000, 1) == 4, "as many at once as the bucket holds");
	ok(taken(&b, &rate, 1099, 1) == 0 && taken(&b, &rate, 1100, 1) == 1, "and one each refill");
	ok(taken(&b, &rate, 1050, 1) == 0, "a clock that goes back gives none");
	ok(bucket_has(&b, &rate, 1300, 2) && !bucket_has(&b, &rate, 1300, 3), "looked at");
	ok(taken(&b, &rate, 1300, 1) == 2, "it is not emptied");
	for (int64_t ms = 1301; ms < 2300; ms++)
		bucket_has(&b, &rate, ms, 1);
	ok(taken(&b, &rate, 2300, 1) == 4, "nor do many looks lose what comes back");
	b = (struct bucket){ 0 };
	ok(taken(&b, &bytes, 1000, 4096) == 2048, "bytes");
	ok(taken(&b, &bytes, 1001, 1) == (4 << 20) / 1000, "a millisecond's");
	ok(taken(&b, &bytes, late_ms, 4096) == 2048, "never more than it holds");
	ok(!bucket_take(&b, &bytes, 2 * late_ms, (8 << 20) + 1), "nor at once");
}

/* How many seconds it goes on when so many bytes come every `each_s`, up to a day. */
static int64_t goes_on_s(const struct progress_rate *rate, int64_t each_s, int64_t amount)
{
	struct progress p;
	int64_t s = 0;

	progress_begin(&p, 1000);
	while (s < 86400) {
		s += each_s;
		if (!progress_goes_on(&p, rate, 1000 + 1000 * s, amount))
			return s;
	}
	return s;
}

static void progresses(void)
{
	static const struct progress_rate least = { .per_second = 500, .patience_ms = 300000 },
					  any = { .patience_ms = 300000 };
	struct progress p;

	ok(goes_on_s(&least, 1, 1000) >= 86400, "a modem of 1000 bytes a second goes on");
	ok(goes_on_s(&least, 1, 500) >= 86400, "so does the least");
	ok(goes_on_s(&least, 1, 400) == 1501, "who is somewhat slower has some time");
	ok(goes_on_s(&least, 299, 1) == 598, "a byte in every five minutes has ten at most");
	ok(goes_on_s(&least, 240, 120000) >= 86400, "who is silent for long, and then is not");
	ok(goes_on_s(&any, 299, 1) >= 86400, "without a least rate anything does");
	progress_begin(&p, 0);
	ok(progress_goes_on(&p, &least, 1000, 48 << 20), "most of a message at once");
	ok(progress_goes_on(&p, &least, 300000, 1), "buys no more");
	ok(!progress_goes_on(&p, &least, 302000, 1), "than anybody has");
}

static void numbers(void)
{
	char bytes[8];
	unsigned wrong = 0;

	number_put_little(bytes, 0x010203, 3);
	ok(memcmp(bytes, "\3\2\1", 3) == 0 && number_get_little(bytes, 2) == 0x0203,
	   "the least byte first");
	number_put_big(bytes, 0x010203, 3);
	ok(memcmp(bytes, "\1\2\3", 3) == 0 && number_get_big(bytes, 2) == 0x0102,
	   "the greatest byte first");
	for (size_t n = 1; n <= 8; n++) {
		uint64_t most = UINT64_MAX >> (64 - 8 * n);

		number_put_little(bytes, most - 1, n);
		wrong += number_get_little(bytes, n) != most - 1;
		number_put_big(bytes, most - 1, n);
		wrong += number_get_big(bytes, n) != most - 1;
	}
	ok(wrong == 0, "of one to eight bytes");
	ok(view_has_controls(VIEW("a\x7f")) && view_has_controls(VIEW("\0")) &&
	           !view_has_controls(VIEW("a \x80\xff")),
	   "control characters are those below blank, and DEL");
}

/* As another process, and any kind of lock, finds it. */
static bool is_held(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = open(path, O_RDWR);

		_exit(fd < 0 ? 2 : fcntl(fd, F_SETLK, &lock) < 0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void holds(void)
{
	char directory[] = "/tmp/posthouse-base.XXXXXX", path[64];
	struct reason why;
	struct stat st;

	if (mkdtemp(directory) == NULL)
		abort();
	snprintf(path, sizeof path, "%s/held", directory);
	ok(program_hold(directory, "held", 0, &why) == 0 && is_held(path), "a file is held");
	ok(program_hold(directory, "held", 0, &why) < 0 &&
	           strstr(why.text, "held is locked") != NULL,
	   "a second time it is refused: %s", why.text);
	unlink(path);
	ok(program_hold(directory, "held", 0, &why) == 0 && is_held(path),
	   "removed, it is made and held again");
	ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "and nobody else may open it");
#ifdef F_OFD_SETLK
	close(open(path, O_RDONLY));
	ok(is_held(path), "also when another descriptor of it has been closed");
#endif
	unlink(path);
	rmdir(directory);
}

/* A child has nothing there: the kernel finds no byte to write. */
static void own_memory(void)
{
	enum { BYTES = 100000 };
	char *own = program_unforked(BYTES);
	int ends[2], status = 0;

	ok(own[0] == 0 && own[BYTES - 1] == 0, "memory of this process alone is zeroed");
	own[BYTES - 1] = 'x';
	if (pipe(ends) < 0)
		abort();
	pid_t child = fork();

	if (child == 0)
		_exit(write(ends[1], own + BYTES - 1, 1) < 0 && errno == EFAULT ? 0 : 1);
	ok(waitpid(child, &status, 0) == child && status == 0, "a child does not have it");
	ok(own[BYTES - 1] == 'x', "its parent still does");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	holds();
	lists();
	lines_are_found();
	waits();
	hashes();
	tables();
	windows();
	buckets();
	progresses();
	numbers();
	own_memory();
	files();
	return tap_done();
}
