/* SPDX-License-Identifier: ISC */
/*
 * posthouse queue check: reads the queue directory itself and says what is not whole, and what can
 * be done; takes back what can be.
 *
 * Root becomes the queue's account before it opens anything there: whoever owns queued owns what
 * this reads.  What is to change is told to queued while it runs; else it is done here.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/load.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/accounts.h"
#include "lib/queue/ask.h"
#include "lib/queue/mend.h"
#include "lib/queue/restore.h"
#include "lib/queue/whose.h"

struct check {
	int directory, queued; /* queued: -1, it does not run */
	struct queue_key key;
	bool have_key, repair, onlooker;
	bool secret_lost;  /* a running queued uses another: what it serves cannot be verified */
	bool all_waiting;  /* "waiting" stood among the ids */
	char **unverified; /* ids */
	int unverified_count;
	struct queuedir_entry *entries;
	size_t count;
	uint64_t *known; /* what a running queued has, in order */
	size_t known_count;
	struct queue_verified file;
	bool mendable; /* by one bit, which is then all that is wrong with it */
	size_t whole, left, restored;
};

/* Stands for one of these words that need not be looked for any more. */
static char found[] = "";

/* ---- what is there ---- */

static bool keep(void *context, const struct queuedir_entry *e)
{
	struct check *k = context;

	k->entries = memory_grow_for(k->entries, k->count, sizeof *k->entries);
	k->entries[k->count++] = *e;
	return true;
}

static void keep_known(void *context, const struct control_entry *e)
{
	struct check *k = context;

	k->known = memory_grow_for(k->known, k->known_count, sizeof *k->known);
	k->known_count += queue_id_parse(view_of(e->id), &k->known[k->known_count]);
}

static void count_one(void *context, const struct control_entry *e)
{
	(void)e;
	++*(size_t *)context;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_listed(const struct check *k, uint64_t id)
{
	return k->known_count &&
	       bsearch(&id, k->known, k->known_count, sizeof *k->known, compare_ids) != NULL;
}

/* What is not in the list may have come since. */
static bool is_known(const struct check *k, uint64_t id)
{
	char text[QUEUE_ID_CHARS + 1];
	size_t count = 0;
	struct reason why;

	queue_id_text(id, text);
	if (k->queued < 0 || is_listed(k, id))
		return k->queued >= 0;
	return queue_ask_list(k->queued, text, count_one, &count, &why) == 0 && count > 0;
}

static bool is_there(const struct check *k, const char *name)
{
	struct stat st;

	return fstatat(k->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Has the operator named it, by its id or as one of those that wait under a secret that is lost?
 * Those that nobody asks for here are told of at the end. */
static bool is_named(const struct check *k, const struct queuedir_entry *e)
{
	char text[QUEUE_ID_CHARS + 1];
	bool waits = e->place == QUEUEDIR_LIVE && k->file.verdict == QUEUE_SEAL_WRONG;
	bool named = k->all_waiting && waits;

	queue_id_text(e->id, text);
	for (int i = 0; i < k->unverified_count; i++)
		if (strcmp(k->unverified[i], text) == 0) {
			k->unverified[i] = found;
			named = true;
		}
	return named;
}

/* ---- one file ---- */

static int take_back(const struct check *k, const char *name, bool unverified, struct reason *why)
{
	uint64_t id;

	if (k->queued >= 0)
		return queue_ask_restore(k->queued, name, unverified, why);
	/* From now on there are messages of this secret, by the operator's order. */
	if (unverified && queue_secret_remember(k->directory, &k->key) < 0)
		return fail_errno(why, "writing secret.id");
	return queue_restore(k->directory, &k->key, name, unverified, &id, why);
}

static void report(struct check *k, const struct queuedir_entry *e, const char *what,
                   const char *remedy)
{
	queue_list_clean(stdout, view_of(e->name));
	printf(": ");
	queue_list_clean(stdout, view_of(what));
	printf("%s%s\n", remedy[0] ? "; " : "", remedy);
	k->left++;
}

/* As many are shown of those that an unverified envelope names. */
enum { ADDRESSED_MAX = 5 };

struct addressed {
	struct text *out;
	unsigned count;
};

static bool add_addressed(void *context, const struct envelope_recipient *r)
{
	struct addressed *a = context;

	if (a->count++ < ADDRESSED_MAX)
		text_format(a->out, "%s<%s>", a->count > 1 ? ", " : "", r->address);
	return true;
}

/* Whom it would go to and whose it would be: what is damaged may be just that. */
static void report_addressed(struct check *k, const struct queuedir_entry *e, const char *what,
                             const char *remedy)
{
	static struct envelope envelope;
	struct text to, clean;
	struct addressed a = { &to, 0 };
	struct view bytes = view_take(text_view(&k->file.tail), k->file.header.envelope_bytes);

	text_init(&to, (ADDRESSED_MAX + 1) * (ADDRESS_MAX + 8));
	text_init(&clean, (ADDRESSED_MAX + 3) * (ADDRESS_MAX + 64));
	if (queue_envelope_decode(bytes, &envelope, add_addressed, &a))
		text_format(&clean, "%s (unverified: from <%s> to %.*s", what, envelope.sender,
		            VIEW_ARG(text_view(&to)));
	else
		text_format(&clean, "%s", what);
	if (clean.len > strlen(what) && a.count > ADDRESSED_MAX)
		text_format(&clean, " and %u more", a.count - ADDRESSED_MAX);
	if (clean.len > strlen(what))
		text_add_byte(&clean, ')');
	report(k, e, text_string(&clean), remedy);
	text_free(&to);
	text_free(&clean);
}

static void act(struct check *k, const struct queuedir_entry *e, bool unverified)
{
	struct reason why;
	char text[REASON_MAX + 64];

	if (take_back(k, e->name, unverified, &why) < 0) {
		string_print_cut(text, sizeof text, "cannot be taken back: %s", why.text);
		report(k, e, text, "");
		return;
	}
	queue_list_clean(stdout, view_of(e->name));
	printf(": %s\n", unverified ? "taken back unverified" : "taken back");
	k->restored++;
}

static void judge_restorable(struct check *k, const struct queuedir_entry *e, const char *what,
                             bool whole)
{
	char remedy[128];

	if (whole ? k->repair : is_named(k, e)) {
		act(k, e, !whole);
		return;
	}
	if (whole)
		string_print(remedy, sizeof remedy, "--repair takes it back");
	else
		string_print(remedy, sizeof remedy, "--unverified %.13s takes it back as it is",
		             strrchr(e->name, '/') + 1);
	if (k->file.verdict == QUEUE_SEAL_WRONG)
		report_addressed(k, e, what, remedy);
	else
		report(k, e, what, remedy);
}

/* A message whose file is read, and is not simply one that waits. */
static void judge_odd(struct check *k, const struct queuedir_entry *e)
{
	enum queue_restorable restorable = queue_restorable(&k->file);
	enum queue_verdict verdict = k->file.verdict;
	const char *what = queue_verdict_text(&k->file);
	bool whole = verdict == QUEUE_WHOLE;

	if (verdict == QUEUE_SEAL_WRONG && !k->have_key)
		what = "not verifiable without the queue's secret";
	else if (whole && restorable == QUEUE_RESTORE_NO)
		what = "unknown field in the envelope, written by a later version";
	else if (whole)
		what = e->kind == QUEUEDIR_MISPLACED ? "complete, in the wrong directory"
		       : e->place == QUEUEDIR_LIVE   ? "complete, not in service"
		                                     : "complete";
	if (k->mendable)
		judge_restorable(k, e, "one flipped bit in header or envelope", true);
	else if (restorable != QUEUE_RESTORE_NO)
		judge_restorable(k, e, what, restorable == QUEUE_RESTORE_YES);
	else if (verdict == QUEUE_EMPTY)
		report(k, e, what, "nothing is left of it; remove it");
	else if (verdict == QUEUE_UNREADABLE)
		report(k, e, what, "make it readable");
	else
		report(k, e, what,
		       whole ? ""
		             : "it cannot be delivered; what is left of the message begins at byte 256");
}

/* In its place: one that waits, one that is being written, or one that is not whole. */
static void judge_live(struct check *k, const struct queuedir_entry *e)
{
	const struct queue_verified *v = &k->file;
	bool running = k->queued >= 0, known = is_known(k, e->id);
	bool unfinished = v->state == QUEUE_COMMITTED || v->verdict == QUEUE_EMPTY ||
	                  v->verdict == QUEUE_NO_HEADER;

	if (k->secret_lost && known && v->verdict == QUEUE_SEAL_WRONG)
		return;
	if (v->verdict == QUEUE_WHOLE && (!running || known) && queue_verified_envelope(v))
		k->whole++;
	else if (running && !known && (unfinished || !is_there(k, e->name)))
		return; /* a writer is at it, or it has gone meanwhile */
	else
		judge_odd(k, e);
}

static void judge_message(struct check *k, const struct queuedir_entry *e)
{
	int fd = queuedir_open(k->directory, e->name, O_RDONLY);

	if (fd < 0) {
		if (errno != ENOENT)
			report(k, e, queuedir_error(errno),
			       queuedir_is_stray(errno) ? "move it away" : "make it readable");
		return;
	}
	/* What was set aside may have been under a name that was another's. */
	queue_verify(&k->file, fd, e->place == QUEUEDIR_LIVE ? e->id : 0,
	             k->have_key ? &k->key : NULL, QUEUE_READ_ALL);
	struct queue_mend m;

	k->mendable = k->have_key && queue_mend_suits(&k->file) &&
	              queue_mend(fd, e->place == QUEUEDIR_LIVE ? e->id : 0, &k->key, &m) && m.whole;
	close(fd);
	if (e->place == QUEUEDIR_LIVE && e->kind == QUEUEDIR_MESSAGE)
		judge_live(k, e);
	else
		judge_odd(k, e);
}

static void judge(struct check *k, const struct queuedir_entry *e)
{
	switch (e->kind) {
	case QUEUEDIR_MESSAGE:
	case QUEUEDIR_MISPLACED: judge_message(k, e); break;
	case QUEUEDIR_STRAY: report(k, e, "not a message's file", "move it away"); break;
	case QUEUEDIR_UNREADABLE: report(k, e, strerror(e->error), "make it readable"); break;
	}
}

/* ---- the whole ---- */

int command_become_queue(const struct settings *s, struct reason *why)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return 0;
	if (account_find(ACCOUNT_queue, s->account_base, &uid, &gid, why) < 0)
		return -1;
	if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
		return fail_errno(why, "becoming the queue's account");
	return 0;
}

static bool is_secret_lost(int queued)
{
	struct control_counts counts;

	return queued >= 0 && queue_ask_counts(queued, &counts) == 0 && counts.secret_lost;
}

static int take_secret(struct check *k, struct reason *why)
{
	int there = queuedir_secret(k->directory, &k->key, why);

	if (there == 0 && k->unverified_count && k->queued < 0) {
		if (queuedir_make_secret(k->directory, &k->key, why) < 0)
			return -1;
		printf("secret: there is none; a new one has been made\n");
		there = 1;
	}
	k->have_key = there == 1;
	k->secret_lost = is_secret_lost(k->queued);
	bool others = k->have_key && !k->secret_lost && !k->all_waiting &&
	              queue_secret_is_others(k->directory, &k->key);

	if (k->secret_lost)
		printf("secret: %s\n", QUEUE_SECRET_IS_LOST);
	else if (there < 0)
		printf("secret: %s\n", why->text);
	else if (there == 0)
		printf("secret: missing; restore it, or accept messages with --unverified ID ...\n");
	else if (others)
		printf("secret: %s\n", QUEUE_SECRET_IS_OTHERS);
	k->left += there != 1 || others || k->secret_lost;
	return there < 0 && k->unverified_count && !k->secret_lost ? -1 : 0;
}

/* Whose file is in the queue directory is told of by its name as well, where something is wrong
 * with it. */
static void tell_unwritten(struct check *k)
{
	struct control_counts counts = { 0 };

	if (k->queued < 0 || queue_ask_counts(k->queued, &counts) < 0 || counts.unwritten == 0)
		return;
	printf("%u message%s: what has been delivered cannot be written to the file (event=log-failed, remove-failed in the log); queued tries again every few seconds, a crash before that delivers again\n",
	       counts.unwritten, counts.unwritten == 1 ? "" : "s");
	k->left++;
}

static int look(struct check *k, struct reason *why)
{
	for (enum queuedir_place p = QUEUEDIR_LIVE; p <= QUEUEDIR_TORN; p++)
		queuedir_walk(k->directory, p, keep, k);
	if (take_secret(k, why) < 0 ||
	    (k->queued >= 0 && queue_ask_list(k->queued, "", keep_known, k, why) < 0))
		return -1;
	for (size_t i = 0; i < k->count; i++)
		judge(k, &k->entries[i]);
	for (int i = 0; i < k->unverified_count; i++)
		if (k->unverified[i][0]) {
			printf("%s: there is no such message that is not verified\n",
			       k->unverified[i]);
			k->left++;
		}
	tell_unwritten(k);
	printf("%zu message%s verified, %zu taken back, %zu problem%s\n", k->whole,
	       k->whole == 1 ? "" : "s", k->restored, k->left, k->left == 1 ? "" : "s");
	return 0;
}

static int check_queue(const struct settings *s, struct check *k)
{
	struct reason why;
	int running = control_connect(s->directory_run, &why);

	if (running < 0 && !control_is_absent(errno))
		return command_fail(control_exit_code(errno), &why);
	if (running >= 0) {
		close(running);
		k->queued = queue_ask_open(s->directory_run, &why);
		if (k->queued < 0)
			return command_fail(-k->queued, &why);
		k->left += command_queue_is_replaced(s);
	}
	if (command_become_queue(s, &why) < 0)
		return command_fail(EXIT_PERMANENT, &why);
	k->directory = open(s->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->directory < 0 && k->onlooker && errno == EACCES) {
		fail(&why, "run as root to look into the queue, which this user cannot see");
		return command_fail(EXIT_PERMANENT, &why);
	}
	if (k->directory < 0) {
		fail_errno(&why, "queue.directory %s", s->queue_directory);
		return command_fail(EXIT_TEMPORARY, &why);
	}
	if (look(k, &why) < 0)
		return command_fail(EXIT_TEMPORARY, &why);
	return k->left ? EXIT_PERMANENT : EXIT_DONE;
}

static bool take_options(struct check *k, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--repair") == 0) {
			k->repair = true;
		} else if (strcmp(argv[i], "--unverified") == 0 && i + 1 < argc) {
			k->unverified = argv + i + 1;
			while (i + 1 < argc && argv[i + 1][0] != '-') {
				k->unverified_count++;
				i++;
				if (strcmp(argv[i], "waiting") == 0) {
					k->all_waiting = true;
					argv[i] = found;
				}
			}
		} else {
			return false;
		}
	}
	return k->unverified == NULL || k->unverified_count > 0;
}

int command_queue_check(const struct command *c, int argc, char **argv)
{
	struct check k = { .directory = -1, .queued = -1 };
	struct model m;
	struct reason why;

	if (!take_options(&k, argc, argv))
		return command_usage(c, "check [--repair] [--unverified ID|waiting ...]");
	int code = command_places_read(c, &m);

	if (code == EXIT_DONE && house_look_as_owner(&m, &why) != 0)
		code = command_fail(EXIT_TEMPORARY, &why);
	if (code == EXIT_DONE) {
		k.onlooker = house_is_anothers(&m);
		queue_verified_init(&k.file);
		code = check_queue(&m.settings, &k);
		queue_verified_free(&k.file);
		free(k.known);
		free(k.entries);
	}
	model_free(&m);
	return code;
}

/* ---- for status and check ---- */

/* Whether a queued that runs does not answer. */
static bool count_queue(const struct settings *s, struct control_counts *counts)
{
	struct reason why;
	int fd = queue_ask_open(s->directory_run, &why);
	bool told = fd >= 0 && queue_ask_counts(fd, counts) == 0, silent = fd >= 0 && !told;

	if (fd >= 0)
		close(fd);
	fd = told ? -1 : open(s->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return silent;
	/* Names are read, no file is opened. */
	queuedir_count(fd, counts);
	close(fd);
	return silent;
}

/* What pickup does not take at once; while it does not run everything waits. */
enum { DROP_WAITING_S = 10 };

struct drop_counts {
	unsigned bad, sent, waiting;
};

/* The time at which it came under its name: a file that was restored has an old one of its own. */
static bool is_old(int directory, const char *name)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ctime < time(NULL) - DROP_WAITING_S;
}

static void count_drop(const struct settings *s, struct drop_counts *counts)
{
	const struct dirent *d;
	struct walk walk;
	struct reason ignored;
	int running = control_connect(s->directory_run, &ignored);

	if (running >= 0)
		close(running);
	walk_begin_fd(&walk, open(s->drop_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while ((d = walk_next(&walk)) != NULL) {
		struct view name = view_of(d->d_name);

		counts->bad += view_starts(name, VIEW(".bad-"));
		counts->sent += view_starts(name, VIEW(".sent-"));
		if ((name.data[0] != '.' || view_starts(name, VIEW(".taken-"))) && running >= 0)
			counts->waiting += is_old(walk_fd(&walk), d->d_name);
	}
	bool whole = walk_end(&walk) == 0;

	(void)whole; /* of a directory that cannot be read check tells elsewhere */
}

static void add_count(struct text *out, unsigned count, const char *what, const char *more)
{
	if (count)
		text_format(out, "%s%u file%s %s%s", out->len ? "; " : "", count,
		            count == 1 ? "" : "s", what, more);
}

void aside_text(const struct settings *s, bool *secret_lost, struct text *out)
{
	struct control_counts counts = { 0 };
	struct drop_counts dropped = { 0 };
	char text[QUEUE_COUNTS_TEXT_MAX];

	bool silent = count_queue(s, &counts);

	count_drop(s, &dropped);
	queue_counts_text(&counts, text);
	*secret_lost = counts.secret_lost;
	if (silent)
		text_add_string(out, "queued does not respond");
	if (counts.unread)
		text_format(out, "%squeued is still reading the queue, %u message%s to go",
		            out->len ? "; " : "", counts.unread, counts.unread == 1 ? "" : "s");
	if (text[0])
		text_format(out, "%sin the queue: %s; posthouse queue check shows them",
		            out->len ? "; " : "", text);
	add_count(out, dropped.bad, ".bad-* in ", s->drop_directory);
	add_count(out, dropped.sent, ".sent-*, sent, that cannot be removed, in ",
	          s->drop_directory);
	add_count(out, dropped.waiting,
	          "that pickup cannot take (event=drop-later, drop-stuck in the log) in ",
	          s->drop_directory);
}
