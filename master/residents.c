/* SPDX-License-Identifier: ISC */
#include "master/residents.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/master.h"
#include "master/kept.h"
#include "master/master.h"
#include "master/predecessors.h"
#include "master/readers.h"
#include "master/reload.h"

enum { RESIDENTS_MAX = HOUSE_RESIDENT - 1 + PORTERS_MAX };

static struct instance residents[RESIDENTS_MAX];
static unsigned count;
static bool porters_follow; /* in a reload: they are replaced behind the others */

struct instance *resident_of(enum house_program program, unsigned number)
{
	for (unsigned i = 0; i < count; i++)
		if (residents[i].row == &house[program] && number-- == 0)
			return &residents[i];
	return NULL;
}

unsigned residents_count(bool only_ready)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		n += !only_ready || residents[i].ready;
	return n;
}

void residents_wire_names(const struct house_wire *wire, const char *suffix,
                          char from[PROGRAM_NAME_MAX], char to[PROGRAM_NAME_MAX])
{
	string_print(from, PROGRAM_NAME_MAX, "%s.%s", house[wire->to].name, wire->protocol);
	string_print(to, PROGRAM_NAME_MAX, "%s.%s%s", house[wire->from].name, wire->protocol,
	             suffix);
}

/* A wire has a name at each end. */
struct ends {
	struct instance *from, *to;
	char from_name[PROGRAM_NAME_MAX], to_name[PROGRAM_NAME_MAX];
};

/* n: which of several that it begins at. false: there is none. */
static bool ends_of(const struct house_wire *wire, unsigned n, struct ends *e)
{
	char suffix[16] = "";

	e->to = resident_of(wire->to, 0);
	e->from = resident_of(wire->from, n);
	if (e->from == NULL)
		return false;
	if (e->from->row->several && master.settings.porter_processes > 1)
		string_print(suffix, sizeof suffix, ".%u", n);
	residents_wire_names(wire, suffix, e->from_name, e->to_name);
	return true;
}

/* Ours of those that begin at owners' programs. */
static int owners_ends[HOUSE_PROGRAMS - HOUSE_RESIDENT];

static void make_owners_wire(const struct house_wire *wire)
{
	char name[PROGRAM_NAME_MAX];
	int pair[2];

	if (wire_pair(pair) < 0)
		log_fatal("making a wire: %m");
	string_print(name, sizeof name, "%s.%s", house[wire->from].name, wire->protocol);
	descriptors_add(&resident_of(wire->to, 0)->descriptors, name, pair[1]);
	owners_ends[wire->from - HOUSE_RESIDENT] = pair[0];
}

static const struct house_wire *wire_from(const struct house_row *row)
{
	for (unsigned w = 0; w < house_wire_count; w++)
		if (&house[house_wires[w].from] == row)
			return &house_wires[w];
	return NULL;
}

/* A captured owner's program could shut the wire for all: it has its line alone. */
void residents_dial_for(struct instance *owner)
{
	static uint32_t number; /* each has lines of its own */
	static struct wire_out out;
	const struct house_wire *wire = wire_from(owner->row);
	int line = -1;

	if (owner->row >= &house[HOUSE_RESIDENT] && wire != NULL)
		line = wire_dial_now(owners_ends[wire->from - HOUSE_RESIDENT], wire->protocol,
		                     ++number ? number : ++number);
	if (line < 0)
		return; /* it asks again */
	master_file_put(&out, MASTER_DIALLED, line);
	wire_send_now(owner->wire.fd, &out);
	close(line);
}

static void make_wires(void)
{
	struct ends e;
	int pair[2];

	for (unsigned w = 0; w < house_wire_count; w++)
		if (house_wires[w].from >= HOUSE_RESIDENT)
			make_owners_wire(&house_wires[w]);
	for (unsigned w = 0; w < house_wire_count; w++)
		for (unsigned n = 0; ends_of(&house_wires[w], n, &e); n++) {
			if (wire_pair(pair) < 0)
				log_fatal("making a wire: %m");
			descriptors_add(&e.from->descriptors, e.from_name, pair[0]);
			descriptors_add(&e.to->descriptors, e.to_name, pair[1]);
		}
}

/* What may change with a generation. */
static void give_generation(struct instance *i)
{
	instance_give_common(i);
	descriptors_drop(&i->descriptors, "keys");
	if (i->row->keys && master.keys >= 0)
		descriptors_add(&i->descriptors, "keys", master.keys);
	if (!i->row->listens)
		return;
	descriptors_drop(&i->descriptors, "listen.");
	for (unsigned n = 0; n < master.listeners.count; n++)
		descriptors_add(&i->descriptors, master.listeners.rows[n].name,
		                master.listeners.rows[n].fd);
}

/* ---- whose workers porter takes ---- */

/* In the child that will be a session program, which so cannot have said a word before. A porter
 * that does not run is told at its start, and at a reload the present ones go too: they keep the
 * workers that they have, and their successors are told by tell_of_parents. */
static void tell_porters(const struct instance *i)
{
	const struct instance *porter;
	struct wire_out out = { 0 };

	master_parent_put(&out, i->row->name, (int)getpid());
	for (unsigned n = 0; !porters_follow && (porter = resident_of(HOUSE_PORTER, n)) != NULL;
	     n++)
		if (porter->pid && wire_send_now(porter->wire.fd, &out) != WIRE_OK)
			log_warn("event=parent-untold program=%s", i->row->name);
	wire_out_free(&out);
}

static bool is_session_wire(const struct house_wire *wire)
{
	return wire->from == HOUSE_PORTER && strcmp(wire->protocol, "connection") == 0;
}

/* Over a wire that nobody reads yet: a predecessor would take what is for its successor. */
static bool tell_of_parents(struct instance *porter)
{
	struct wire_out out = { 0 };

	if (!instance_lay_wire_again(porter))
		return false;
	for (unsigned w = 0; w < house_wire_count; w++) {
		const struct instance *to = resident_of(house_wires[w].to, 0);

		if (!is_session_wire(&house_wires[w]))
			continue;
		master_parent_put(&out, to->row->name, (int)to->pid);
		if (wire_send_now(porter->wire.fd, &out) != WIRE_OK)
			log_warn("event=parent-untold program=%s", to->row->name);
	}
	wire_out_free(&out);
	return true;
}

static void start(struct instance *i)
{
	bool can = i->row != &house[HOUSE_PORTER] || master.stopping || tell_of_parents(i);

	if (!master.stopping && (!can || !instance_start(i)))
		loop_timer_set(master.loop, &i->restart,
		               loop_now_ms(master.loop) + RESTART_FIRST_MS);
}

static void replace(struct instance *i);

/* Nobody hears anything any more on a wire that one of its two has shut: both get a new one, for
 * which the other one has to be started anew as well. */
static void lay_again(struct instance *dead, const struct ends *e)
{
	struct instance *other = e->from == dead ? e->to : e->from;
	int pair[2];

	if (wire_pair(pair) < 0) {
		log_warn("event=wire-shut program=%s peer=%s reason=\"%m\"", dead->row->name,
		         other->row->name);
		return;
	}
	log_warn("event=wire-shut program=%s peer=%s", dead->row->name, other->row->name);
	descriptors_replace(&e->from->descriptors, e->from_name, pair[0]);
	descriptors_replace(&e->to->descriptors, e->to_name, pair[1]);
	if (other->pid && other->row->lives_on)
		kill(other->pid, SIGTERM);
	else if (other->pid)
		replace(other);
}

static void mend_wires(struct instance *dead)
{
	struct ends e;

	for (unsigned w = 0; w < house_wire_count; w++)
		for (unsigned n = 0; ends_of(&house_wires[w], n, &e); n++)
			if ((e.from == dead || e.to == dead) &&
			    (wire_is_shut(descriptors_find(&e.from->descriptors, e.from_name)) ||
			     wire_is_shut(descriptors_find(&e.to->descriptors, e.to_name))))
				lay_again(dead, &e);
}

static void restart_due(struct timer *t)
{
	struct instance *i = loop_owner(t, struct instance, restart);

	mend_wires(i);
	kept_renew(i, NULL);
	if (inputs_has_maps((enum house_program)(i->row - house)))
		reload_forget_maps((enum house_program)(i->row - house));
	start(i);
}

const char *residents_root_of(const struct house_row *row, const struct settings *s)
{
	const char *roots[] = { [ROOT_NONE] = NULL,
		                [ROOT_EMPTY] = master.empty_root,
		                [ROOT_QUEUE] = s->queue_directory,
		                [ROOT_DROP] = s->drop_directory };

	return roots[row->root];
}

/* Of several of a program; NULL: it is the first itself. */
static const struct instance *first_of(const struct instance *i)
{
	const struct instance *first = resident_of((enum house_program)(i->row - house), 0);

	return first != i ? first : NULL;
}

static void add(const struct house_row *row, instance_ended *ended)
{
	struct instance *i = &residents[count++];

	i->row = row;
	i->uid = master.uids[row->account];
	i->gid = master.gids[row->account];
	i->root = residents_root_of(row, &master.settings);
	i->restart.due = restart_due;
	i->ended = ended;
	if (instance_take_in(i) < 0)
		log_fatal("making the wire and the pipe of %s: %m", row->name);
	give_generation(i);
	kept_renew(i, first_of(i));
	if (row->submit)
		descriptors_add(&i->descriptors, "listen.submit", master.submit);
}

void residents_start(instance_ended *ended)
{
	for (int p = 0; p < HOUSE_RESIDENT; p++)
		for (int n = 0; n < (house[p].several ? master.settings.porter_processes : 1); n++)
			add(&house[p], ended);
	make_wires();
	for (unsigned w = 0; w < house_wire_count; w++)
		if (is_session_wire(&house_wires[w]))
			resident_of(house_wires[w].to, 0)->begins = tell_porters;
	for (unsigned i = 0; i < count; i++)
		start(&residents[i]);
}

/* The successor starts on the same wires; the old one finishes what it has. One that has died, and
 * would have been started again a little later, leaves nothing. */
static void replace(struct instance *i)
{
	mend_wires(i);
	readers_died(i);
	if (i->pid)
		predecessors_add(i);
	else
		kept_renew(i, NULL);
	loop_timer_clear(master.loop, &i->restart);
	i->starts = 0; /* those that the next one needs tell of trouble */
	start(i);
}

void residents_replace_one(struct instance *i)
{
	replace(i);
}

static void renew(struct instance *i, const struct renewal *how)
{
	enum change change = how->changes[i->row - house];

	/* Its text belonged to the old settings. */
	i->root = residents_root_of(i->row, &master.settings);
	give_generation(i);
	if (i->row->lives_on && i->pid)
		how->tell(i);
	else if (i->pid && change == CHANGE_MAPS &&
	         inputs_has_maps((enum house_program)(i->row - house)))
		how->give(i);
	else if ((change != CHANGE_NONE || i->pid == 0) && !how->stays(i)) {
		if (change == CHANGE_BINARY && i->pid)
			kept_renew(i, first_of(i));
		replace(i);
	}
}

void residents_renew(const struct renewal *how)
{
	porters_follow = how->changes[HOUSE_PORTER] >= CHANGE_OTHERS;
	for (unsigned n = 0; n < count; n++) {
		residents[n].failures = 0;
		renew(&residents[n], how);
	}
	porters_follow = false;
}

void residents_replace(enum house_program program, const char *name, int fd)
{
	struct instance *i;

	for (unsigned n = 0; (i = resident_of(program, n)) != NULL; n++) {
		if (name != NULL)
			descriptors_replace(&i->descriptors, name, fd);
		replace(i);
	}
}

unsigned residents_tell_sessions(const struct wire_out *out)
{
	unsigned untold = predecessors_tell_sessions(out);

	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		if (i->row->sessions && i->pid && !i->trial)
			untold += predecessors_untold(i->wire.fd, out);
	return untold;
}
