/* SPDX-License-Identifier: ISC */
/*
 * queued keeps the queue: one file for each message, and in memory a record of each.
 *
 * Runs as _phqueue, in the queue directory; no network. It trusts the disk below it and its own
 * secret; it does not trust its peers: writers (smtpd, pickup, bounce) are checked in what they say
 * about sizes, addresses and origins, agents (local, remote, bounce) in which recipients they
 * answer for, resolved in its answers' form.
 * Reads and writes: the queue directory, nothing else. It gives descriptors away: to a writer the
 * file of the message it brings (until then unknown to anybody), to an agent a read-only one of the
 * message it delivers. It forks one process, which syncs what it has written (writeback.h). Who
 * owns queued reads and loses all mail that is on its way, sends mail in anybody's name, and can
 * have local started under any mailbox uid to add messages there; no mailbox, no password, no key
 * is in reach.
 *
 * Every event is handled to its end before the next one; what takes long is done by others
 * (resolving, delivering, syncing). Here each piece is made and told whom to tell; what a message
 * needs next is decided in messages.c, and queue/INTERNALS has the states and what a crash at each
 * step leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/base/shown.h"
#include "lib/conf/bounds.h"
#include "lib/queue/restore.h"
#include "lib/wire/master.h"
#include "queue/queued/commands.h"
#include "queue/queued/kept.h"
#include "queue/queued/messages.h"
#include "queue/queued/recover.h"
#include "queue/queued/writeback.h"
#include "queue/queued/writers.h"

enum {
	STOP_PATIENCE_MS = 20000,
	STOP_LOOK_MS = 50,
	TORN_LOOK_MS = 3600 * 1000,
	UNWRITTEN_LOOK_MS = 5000,
	/* How long the start looks at the queue before it takes messages, and then in one go. */
	SCAN_FIRST_MS = 100,
	SCAN_SLICE_MS = 2
};

static struct queued {
	struct loop *loop;
	struct settings settings;
	struct disk disk;
	struct records records;
	struct journal journal;
	/* Each keeps its own state; only messages knows agents and resolving. */
	struct messages *messages;
	struct recovery *recovery;
	struct agents *agents;
	struct resolving *resolving;
	struct writers *writers;
	struct commands *commands;
	struct watch master;
	bool stopping;
	struct timer scan, stop_look, torn_look, unwritten_look;
	int64_t stop_late_ms;
} queued;

/* New settings; what is planned already stays planned. */
static void reload(struct queued *q, int fd)
{
	struct settings fresh;
	struct reason why;

	if (settings_load(&fresh, fd, &why) < 0) {
		log_warn("event=reload-failed reason=\"%s\"", log_text(view_of(why.text)));
		return;
	}
	settings_free(&q->settings);
	q->settings = fresh;
	log_set_debug(q->settings.log_debug);
	agents_set_limits(q->agents);
	log_info("event=reloaded");
}

static void from_master(struct watch *w, unsigned events)
{
	struct queued *q = loop_owner(w, struct queued, master);
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);
	int fd;

	(void)events;
	if (r == WIRE_CLOSED) {
		/* The death signal is on its way. */
		loop_unwatch(q->loop, w);
	}
	if (r != WIRE_OK)
		return;
	if (in.type == MASTER_CONTROL && master_file_get(&in, &fd)) {
		commands_take(q->commands, fd);
	} else if (in.type == MASTER_RELOAD && master_file_get(&in, &fd)) {
		reload(q, fd);
		close(fd);
	}
	wire_in_close(&in);
}

/* Writers that have a file and agents in a job are waited for; who comes now is told to come again.
 * A message that has an id and no file yet goes to the next queued unless it comes before the end.
 */
static void stop_look(struct timer *t)
{
	struct queued *q = loop_owner(t, struct queued, stop_look);

	if (loop_now_ms(q->loop) < q->stop_late_ms &&
	    (writers_busy(q->writers) || agents_busy(q->agents)))
		loop_timer_set(q->loop, t, loop_now_ms(q->loop) + STOP_LOOK_MS);
	else
		loop_stop(q->loop);
}

static void stop(int number, void *context)
{
	struct queued *q = context;

	(void)number;
	if (q->stopping)
		return;
	q->stopping = true;
	loop_timer_clear(q->loop, &q->scan);
	writers_stop(q->writers);
	agents_stop(q->agents);
	q->stop_late_ms = loop_now_ms(q->loop) + STOP_PATIENCE_MS;
	loop_timer_set(q->loop, &q->stop_look, loop_now_ms(q->loop));
}

/* Not at the start: a clock that is wrong then is mostly set right within the hour. */
static void torn_look(struct timer *t)
{
	struct queued *q = loop_owner(t, struct queued, torn_look);

	disk_remove_torn(&q->disk, q->settings.queue_torn_keep_ms);
	loop_timer_set(q->loop, t, loop_now_ms(q->loop) + TORN_LOOK_MS);
}

static void unwritten_look(struct timer *t)
{
	struct queued *q = loop_owner(t, struct queued, unwritten_look);

	journal_look(&q->journal, q->settings.queue_lifetime_ms);
	loop_timer_set(q->loop, t, loop_now_ms(q->loop) + UNWRITTEN_LOOK_MS);
}

/* ---- what lies in the queue ---- */

/* false: all is known. */
static bool scan_for(struct queued *q, int64_t ms)
{
	int64_t until = clock_ms() + ms;

	while (recovery_step(q->recovery))
		if (clock_ms() >= until)
			return true;
	return false;
}

/* In between come all other events. */
static void scan_due(struct timer *t)
{
	struct queued *q = loop_owner(t, struct queued, scan);
	bool more = scan_for(q, SCAN_SLICE_MS);

	messages_look(q->messages);
	if (more) /* not in this round again */
		loop_timer_set(q->loop, t, loop_now_ms(q->loop) + 1);
	else
		commands_all_known(q->commands);
}

static void look_at(uint64_t id)
{
	recovery_look_at(queued.recovery, id);
	messages_look(queued.messages);
}

static uint32_t left_to_look_at(uint32_t *all)
{
	return recovery_left(queued.recovery, all);
}

static void nothing(int number, void *context)
{
	(void)number;
	(void)context;
}

/* Where resolved and the agents tell what has become of a message, and are told what to do. */
static void start_messages(struct queued *q)
{
	q->messages = messages_new(&(struct messages_setup){
		.loop = q->loop,
		.settings = &q->settings,
		.disk = &q->disk,
		.journal = &q->journal,
		.records = &q->records,
	});
	q->agents = agents_start(&(struct agents_setup){
		.loop = q->loop,
		.settings = &q->settings,
		.disk = &q->disk,
		.master = q->master.fd,
		.context = q->messages,
		.result = messages_result,
		.finished = messages_finished,
		.damaged = messages_damaged,
		.turned_away = messages_turned_away,
		.freed = messages_admit,
	});
}

/* A queue that root has restored is often root's. */
static void end_without_queue(const struct queued *q, int error, const struct reason *why)
{
	const char *path = q->settings.queue_directory;
	struct text word;

	if (error != EACCES && error != EPERM)
		log_fatal("queue.directory %s: %s", path, why->text);
	text_init(&word, SHELL_WORD_MAX(SETTING_VALUE_MAX));
	text_add_shell_word(&word, view_of(path));
	log_fatal("queue.directory %s: %s; run chown -R %u:%u %s && chmod -R u+rwX %s", path,
	          why->text, (unsigned)geteuid(), (unsigned)getegid(), text_string(&word),
	          text_string(&word));
}

static void open_queue(struct queued *q, int directory, const struct sandbox_profile *aside)
{
	struct reason why;

	if (disk_open(&q->disk, directory, &why) < 0)
		end_without_queue(q, errno, &why);
	/* Forks: before there are records to be copied. */
	writeback_start(q->loop, &q->disk, aside);
	q->recovery = recovery_begin(&(struct recovery_setup){ .disk = &q->disk,
	                                                       .context = q->messages,
	                                                       .found = messages_found },
	                             &why);
	if (q->recovery == NULL)
		end_without_queue(q, errno, &why);
	bool more = scan_for(q, SCAN_FIRST_MS);

	if (recovery_serve(q->recovery, &why) < 0)
		end_without_queue(q, errno, &why);
	kept_forget(&q->disk); /* it holds only with a mark for all */
	q->scan.due = scan_due;
	if (more)
		loop_timer_set(q->loop, &q->scan, loop_now_ms(q->loop));
	q->resolving = resolving_start(&(struct resolving_setup){
		.loop = q->loop,
		.context = q->messages,
		.answered = messages_answered,
		.dialled = messages_dialled,
		.room = messages_admit,
	});
	messages_begin(q->messages, q->agents, q->resolving);
}

/* On an operator's word, but never a file that a writer is at, or one that is done. */
static int restore(const char *name, bool unverified, struct reason *why)
{
	struct queued *q = &queued;
	const struct recovery_setup setup = { .disk = &q->disk,
		                              .context = q->messages,
		                              .found = messages_restored };
	char place[QUEUEDIR_NAME_MAX];
	uint64_t id;
	bool aside;

	if (!queuedir_parse(name, &id, &aside))
		return fail(why, "not the name of a message's file");
	if (!aside && writers_have(q->writers, id))
		return fail(why, "a message that is being written");
	if (!aside)
		look_at(id);
	if (!aside && journal_is_over(&q->journal, id))
		return fail(why, "delivered already; it is removed as soon as that is possible");
	if (queue_restore(q->disk.directory, &q->disk.key, name, unverified, &id, why) < 0 ||
	    (records_find(&q->records, id) == NULL &&
	     recover_one(q->recovery, &setup, id, why) < 0))
		return -1;
	disk_forget_odd(&q->disk, name);
	queuedir_name(id, place);
	log_warn("id=%s %s name=%s", place + 3,
	         unverified ? "event=restored-unverified" : "event=restored",
	         log_quote(view_of(name)));
	return 0;
}

/* Who brings messages, and who asks about them. */
static void serve(struct queued *q)
{
	q->writers = writers_start(&(struct writers_setup){
		.loop = q->loop,
		.settings = &q->settings,
		.disk = &q->disk,
		.journal = &q->journal,
		.context = q->messages,
		.accepted = messages_accepted,
	});
	q->commands = commands_new(&(struct commands_setup){
		.loop = q->loop,
		.records = &q->records,
		.disk = &q->disk,
		.journal = &q->journal,
		.context = q->messages,
		.forgive = messages_forgive,
		.retry = messages_retry,
		.hold = messages_hold,
		.remove = messages_remove,
		.changed = messages_admit,
		.restore = restore,
		.look_at = look_at,
		.left = left_to_look_at,
	});
	q->stop_look.due = stop_look;
	q->torn_look.due = torn_look;
	loop_timer_set(q->loop, &q->torn_look, loop_now_ms(q->loop) + TORN_LOOK_MS);
	q->unwritten_look.due = unwritten_look;
	loop_timer_set(q->loop, &q->unwritten_look, loop_now_ms(q->loop) + UNWRITTEN_LOOK_MS);
	q->master.ready = from_master;
	loop_watch(q->loop, &q->master, LOOP_READ);
	loop_signal(q->loop, SIGTERM, stop, q);
	loop_signal(q->loop, SIGHUP, nothing, NULL);
}

/* At first without the records: the mark does not wait for them. */
static void put_clean_mark(struct queued *q)
{
	uint64_t stop_us = 0;

	kept_forget(&q->disk);
	if (disk_put_clean_mark(&q->disk))
		stop_us = kept_write(&q->disk, &q->records,
		                     (uint64_t)q->settings.queue_space_min_bytes);
	if (stop_us != 0 && disk_name_clean_mark(&q->disk, stop_us) < 0)
		kept_forget(&q->disk);
}

int main(void)
{
	struct queued *q = &queued;

	program_start("queued");
	settings_inherit(&q->settings);
	int directory = open(q->settings.queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		log_fatal("queue.directory %s: %m", q->settings.queue_directory);
	/* Privileged, the queue directory is the root by then. */
	struct sandbox_profile profile = {
		.promises = SANDBOX_FILES | SANDBOX_FORK, /* writeback.h */
		.paths = { { getenv("POSTHOUSE_ROOT") ? "/" : q->settings.queue_directory, true } },
	};

	program_hold_directory(directory, "queue.directory", q->settings.queue_directory);
	bounds_confine("queued", &q->settings, &profile);
	q->loop = loop_new();
	q->master.fd = program_need_fd("master");
	records_init(&q->records);
	journal_init(&q->journal, &q->disk, &q->records);
	start_messages(q);
	profile.paths[0].writable = false;
	open_queue(q, directory, &profile);
	serve(q);
	master_tell_ready(q->loop);
	loop_run(q->loop);
	writers_end(q->writers);
	journal_stop(&q->journal);
	put_clean_mark(q);
	uint32_t all, left = recovery_left(q->recovery, &all);

	log_info("event=stopped messages=%zu", q->records.count + left);
	return EXIT_DONE;
}
