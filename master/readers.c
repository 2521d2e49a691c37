/* SPDX-License-Identifier: ISC */
#include "master/readers.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/generation.h"
#include "lib/conf/maptable.h"
#include "lib/wire/master.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/residents.h"

/* Longer than verifying the largest map takes on a machine that is short of memory. */
enum { PATIENCE_MS = 60000 };

static struct {
	uint32_t round;
	struct instance *owing[HOUSE_RESIDENT]; /* by their program; NULL: nothing */
	unsigned count;
	void (*done)(void);
	struct timer late;
	struct deferred end;
	struct wire_out out;
} readers;

static struct instance **place_of(const struct instance *i)
{
	return &readers.owing[i->row - house];
}

static void owes_no_more(const struct instance *i)
{
	*place_of(i) = NULL;
	if (--readers.count == 0 && readers.done != NULL)
		loop_defer(master.loop, &readers.end);
}

static void log_untaken(const struct instance *i, const char *why)
{
	log_warn("event=maps-not-taken program=%s pid=%ld reason=\"%s\"", i->row->name,
	         (long)i->pid, log_text(view_of(why)));
}

static void replace(struct instance *i, const char *why)
{
	log_untaken(i, why);
	/* Its successor opens maps long after they were verified. */
	reload_forget_maps((enum house_program)(i->row - house));
	residents_replace_one(i);
}

/* One that hangs: as a predecessor nobody would look at it any more, and who waits for its answers
 * would wait for ever. It is started again as after a death. */
static void end(struct instance *i, const char *why)
{
	log_untaken(i, why);
	if (i->pid)
		kill(i->pid, SIGKILL);
}

static void owes(struct instance *i)
{
	readers.count += *place_of(i) == NULL;
	*place_of(i) = i;
}

static void all_have(struct deferred *d)
{
	void (*done)(void) = readers.done;

	(void)d;
	loop_timer_clear(master.loop, &readers.late);
	readers.done = NULL;
	if (done != NULL)
		done();
}

static void late(struct timer *t)
{
	(void)t;
	for (unsigned p = 0; p < HOUSE_RESIDENT; p++) {
		struct instance *i = readers.owing[p];

		if (i == NULL)
			continue;
		owes_no_more(i);
		end(i, "no answer within a minute");
	}
}

void readers_begin(void)
{
	for (unsigned p = 0; p < HOUSE_RESIDENT; p++)
		readers.owing[p] = NULL;
	readers.count = 0;
	readers.round++;
	readers.late.due = late;
	readers.end.run = all_have;
}

static bool send_file(struct instance *i, int file)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_generation_file(file, name);
	int fd = generation_file(master.generation, name, NULL);

	if (fd < 0) /* most maps have no overlay; one that was verified is lost */
		return errno == ENOENT && file >= GENERATION_OVERLAYS && !reload_has_file(file);
	master_map_put(&readers.out, name, fd);
	bool sent = wire_send_now(i->wire.fd, &readers.out) == WIRE_OK;

	close(fd);
	return sent;
}

static bool send_round(struct instance *i)
{
	master_round_put(&readers.out, (int)i->pid, readers.round);
	return wire_send_now(i->wire.fd, &readers.out) == WIRE_OK;
}

/* One that is not ready yet opens what it was started with, which may be what was current before:
 * the maps wait in its wire. */
void readers_give(struct instance *i)
{
	bool sent = true;
	int file;

	for (unsigned n = 0; sent && (file = maptable_file_of(i->row->name, n)) >= 0; n++)
		sent = send_file(i, file) && send_file(i, GENERATION_OVERLAYS + file);
	if (sent && send_round(i))
		owes(i);
	else
		replace(i, "they cannot be sent");
}

void readers_wait(void (*done)(void))
{
	readers.done = done;
	if (readers.count == 0)
		loop_defer(master.loop, &readers.end);
	else
		loop_timer_set(master.loop, &readers.late, loop_now_ms(master.loop) + PATIENCE_MS);
}

void readers_heard(struct instance *i, struct wire_in *in)
{
	uint32_t round;
	unsigned more;
	bool taken;
	int pid;

	if (!master_taken_get(in, &pid, &round, &taken)) {
		if (instance_may_complain(i, &more))
			log_warn("event=bad-message peer=%s type=%d more=%u", i->row->name,
			         in->type, more);
		return;
	}
	if (i->row >= &house[HOUSE_RESIDENT] || pid != i->pid || round != readers.round ||
	    *place_of(i) != i)
		return;
	owes_no_more(i);
	if (!taken)
		replace(i, "it cannot open them");
}

void readers_died(const struct instance *i)
{
	if (i->row < &house[HOUSE_RESIDENT] && *place_of(i) == i)
		owes_no_more(i);
}
