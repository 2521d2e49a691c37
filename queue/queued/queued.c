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
 * message it delivers. Who owns queued reads and loses all mail that is on its way, sends mail in
 * anybody's name, and can have local started under any mailbox uid to add messages there; he sees
 * no mailbox, no password, no key.
 *
 * Every event is handled to its end before the next one; what takes long is done by others
 * (resolving, delivering, syncing). queue/INTERNALS has the states and what a crash at each step
 * leaves.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/wire/house.h"
#include "queue/queued/queued.h"
#include "queue/queued/recover.h"

enum { STOP_PATIENCE_MS = 20000, STOP_LOOK_MS = 50 };

static struct queued queued;

/* New settings; what is planned already stays planned. */
static void reload(struct queued *q, int fd)
{
	struct settings fresh;
	struct reason why;

	if (settings_load(&fresh, fd, &why) < 0) {
		log_warn("event=reload-failed reason=\"%s\"", why.text);
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
	fd = wire_get_fd(&in);
	if (wire_end(&in) && in.type == HOUSE_CONTROL) {
		commands_take(q->commands, fd);
	} else {
		if (wire_end(&in) && in.type == HOUSE_RELOAD)
			reload(q, fd);
		if (fd >= 0)
			close(fd);
	}
	wire_in_close(&in);
}

/* Writers in the middle of a message and agents in a job are waited for; who comes now is told to
 * come again. */
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
	writers_stop(q->writers);
	agents_stop(q->agents);
	q->stop_late_ms = loop_now_ms(q->loop) + STOP_PATIENCE_MS;
	loop_timer_set(q->loop, &q->stop_look, loop_now_ms(q->loop));
}

static void nothing(int number, void *context)
{
	(void)number;
	(void)context;
}

static void open_queue(struct queued *q, int directory)
{
	struct reason why;

	if (disk_open(&q->disk, directory, &why) < 0 || recover(&q->disk, life_found, q, &why) < 0)
		log_fatal("%s", why.text);
	life_found_all(q);
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
	const struct sandbox_profile profile = {
		.promises = SANDBOX_FILES,
		.paths = { { getenv("POSTHOUSE_ROOT") ? "/" : q->settings.queue_directory, true } },
	};

	program_confine(&profile);
	q->loop = loop_new();
	records_init(&q->records);
	life_start(q);
	q->master.fd = program_need_fd("master");
	q->agents = agents_start(&(struct agents_setup){
		.loop = q->loop,
		.settings = &q->settings,
		.disk = &q->disk,
		.master = q->master.fd,
		.context = q,
		.result = life_result,
		.finished = life_delivered,
		.turned_away = life_turned_away,
	});
	open_queue(q, directory);
	q->resolving = resolving_start(&(struct resolving_setup){
		.loop = q->loop,
		.context = q,
		.answered = life_answered,
		.room = life_admit,
	});
	q->writers = writers_start(&(struct writers_setup){
		.loop = q->loop,
		.settings = &q->settings,
		.disk = &q->disk,
		.context = q,
		.accepted = life_begin,
	});
	q->commands = commands_new(&(struct commands_setup){
		.loop = q->loop,
		.records = &q->records,
		.disk = &q->disk,
		.context = q,
		.forgive = life_forgive,
		.retry = life_retry,
		.hold = life_hold,
		.remove = life_remove,
		.changed = life_admit,
	});
	life_admit(q);
	q->stop_look.due = stop_look;
	q->master.ready = from_master;
	loop_watch(q->loop, &q->master, LOOP_READ);
	loop_signal(q->loop, SIGTERM, stop, q);
	loop_signal(q->loop, SIGHUP, nothing, NULL);
	program_ready();
	loop_run(q->loop);
	disk_put_clean_mark(&q->disk);
	log_info("event=stopped messages=%zu", q->records.count);
	return EXIT_DONE;
}
