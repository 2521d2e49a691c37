/* SPDX-License-Identifier: ISC */
#include "master/predecessors.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "master/inputs.h"
#include "master/master.h"

static struct predecessor {
	pid_t pid;
	const struct house_row *row;
	bool asked_to_end;
	/* With the wire of one that knows who is there, or may still say something; NULL. */
	struct instance *heard;
} * all; /* the oldest first */
static unsigned count;

bool predecessors_is_one(const struct instance *i)
{
	return i->retired && i->wire_other_end < 0;
}

/* What is meant for its successor, as maps are, is not read by it; what it says is heard. */
static struct instance *with_wire(struct instance *i)
{
	struct instance *heard = memory_get(sizeof *heard);

	heard->row = i->row;
	heard->pid = i->pid;
	heard->retired = true;
	heard->wire_other_end = -1;
	heard->wire = (struct watch){ .fd = instance_leave_wire(i), .ready = master.wire_said };
	if (loop_try_watch(master.loop, &heard->wire, LOOP_READ) < 0)
		log_warn("event=predecessor-unheard program=%s reason=\"%m\"", i->row->name);
	return heard;
}

/* Its clients and some more, which all of its kind have: each is a descriptor. UINT_MAX: not known.
 */
static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned found = 0;
	struct walk w;

	string_print(path, sizeof path, "/proc/%ld/fd", (long)pid);
	walk_begin(&w, -1, path);
	while (walk_next(&w) != NULL)
		found++;
	return walk_end(&w) == 0 ? found : UINT_MAX;
}

static struct predecessor *with_fewest_clients(void)
{
	struct predecessor *least = NULL;
	unsigned least_count = 0;

	for (struct predecessor *p = all; p < all + count; p++) {
		unsigned has = p->asked_to_end ? 0 : descriptors_of(p->pid);

		if (p->asked_to_end || (least != NULL && has >= least_count))
			continue;
		least = p;
		least_count = has;
	}
	return least;
}

static void make_room(void)
{
	unsigned wanted = 0;

	for (unsigned n = 0; n < count; n++)
		wanted += !all[n].asked_to_end;
	if (wanted <= PREDECESSORS_MAX)
		return;
	struct predecessor *p = with_fewest_clients();

	log_warn("event=predecessor-ended program=%s pid=%ld reason=\"more than %d finish their "
	         "last clients\"",
	         p->row->name, (long)p->pid, PREDECESSORS_MAX);
	p->asked_to_end = true;
	kill(p->pid, SIGTERM);
}

void predecessors_add(struct instance *i)
{
	bool own_wire = i->row->sessions || inputs_has_maps((enum house_program)(i->row - house));

	kill(i->pid, SIGHUP);
	all = memory_grow_for(all, count, sizeof *all);
	all[count++] = (struct predecessor){ .pid = i->pid,
		                             .row = i->row,
		                             .heard = own_wire ? with_wire(i) : NULL };
	i->pid = 0;
	make_room();
}

/* Such as sessions that it has passed on. */
static void hear_last_words(struct watch *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };

	while (loop_is_watched(w) && poll(&p, 1, 0) == 1)
		w->ready(w, LOOP_READ);
}

static void bury(struct predecessor *p)
{
	if (p->heard != NULL) {
		hear_last_words(&p->heard->wire);
		loop_unwatch(master.loop, &p->heard->wire);
		wire_hang_up(p->heard->wire.fd);
		free(p->heard);
	}
	for (count--; p < all + count; p++)
		*p = p[1];
}

bool predecessors_ended(pid_t pid)
{
	for (unsigned n = 0; n < count; n++)
		if (all[n].pid == pid) {
			bury(&all[n]);
			return true;
		}
	return false;
}

unsigned predecessors_signal(int number)
{
	for (unsigned n = 0; n < count; n++)
		kill(all[n].pid, number);
	return count;
}

unsigned predecessors_untold(int wire, const struct wire_out *out)
{
	enum wire_result r = wire_send_now(wire, out);

	return r != WIRE_OK && r != WIRE_CLOSED;
}

unsigned predecessors_tell_sessions(const struct wire_out *out)
{
	unsigned untold = 0;

	for (unsigned n = 0; n < count; n++)
		if (all[n].heard != NULL && all[n].row->sessions)
			untold += predecessors_untold(all[n].heard->wire.fd, out);
	return untold;
}
