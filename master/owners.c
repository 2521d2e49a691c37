/* SPDX-License-Identifier: ISC */
/*
 * Programs under mailbox owners' uids: pop3d and imapd on authd's word, local (and other agents
 * that owners have, lib/conf/agents.def) on queued's.
 *
 * authd's work is passed on to the one service of that program and uid, which is started at need
 * and ends when it has been idle; its wire outlives it, so that work sent in that instant starts a
 * successor. Each word of queued starts an agent with the wire it brought.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/master.h"
#include "master/owners.h"

static_assert((int)OWNER_POP3D == HOUSE_POP3D - HOUSE_RESIDENT &&
                      (int)OWNER_IMAPD == HOUSE_IMAPD - HOUSE_RESIDENT &&
                      (int)OWNER_LOCAL == HOUSE_LOCAL - HOUSE_RESIDENT,
              "owners' programs stand in the house's order");

enum {
	OWNERS_MAX = 4096,
	DESCRIPTORS_PER_OWNER = 4, /* both ends of its wire and of its pipe */
	/* For the control socket's askers, what a reload opens, and work on its way. */
	DESCRIPTORS_SPARE = 256
};
static unsigned owner_count, owners_most = OWNERS_MAX;

void owners_start(unsigned long descriptors)
{
	int next = dup(master.null_fd); /* the lowest that is free: all below are in use */

	if (next < 0)
		log_fatal("no descriptor is left for programs of mailbox owners: %m");
	unsigned long used = (unsigned long)next;
	unsigned long left = descriptors > used ? descriptors - used : 0;

	close(next);
	left = left > 2 * DESCRIPTORS_SPARE ? left - DESCRIPTORS_SPARE : left / 2;
	if (left / DESCRIPTORS_PER_OWNER >= OWNERS_MAX)
		return;
	owners_most = (unsigned)(left / DESCRIPTORS_PER_OWNER);
	log_warn("event=limit owners=%u reason=\"the system allows %lu descriptors\"", owners_most,
	         descriptors);
}

static bool is_wanted(const struct instance *from, const struct owner_work *work)
{
	const struct settings *s = &master.settings;

	if (work->program >= OWNER_PROGRAMS || !(from->row->may_ask & 1u << work->program) ||
	    (house[HOUSE_RESIDENT + work->program].by_wire && work->fd_count != 1))
		return false;
	return !master.privileged ||
	       (work->uid != 0 && work->gid != 0 && work->uid >= (uint32_t)s->mailbox_uid_min &&
	        work->uid <= (uint32_t)s->mailbox_uid_max);
}

static struct instance *find(const struct owner_work *work)
{
	for (struct instance *o = master.instances; o != NULL; o = o->next)
		if (o->row == &house[HOUSE_RESIDENT + work->program] && o->uid == work->uid &&
		    o->gid == work->gid && !o->retired && !o->trial)
			return o;
	return NULL;
}

static void drop(struct instance *o)
{
	instance_let_go(o);
	owner_count--;
	free(o);
}

static bool start(struct instance *o)
{
	instance_give_common(o);
	return instance_start(o);
}

/* Its work waits on its wire: tried again when it could not be started. */
static void start_service(struct instance *o)
{
	if (!start(o))
		loop_timer_set(master.loop, &o->restart,
		               loop_now_ms(master.loop) + RESTART_FIRST_MS);
}

static void restart_due(struct timer *t)
{
	struct instance *o = loop_owner(t, struct instance, restart);

	if (!master.stopping && o->pid == 0)
		start_service(o);
}

/* Has work arrived that the service did not take before it ended? */
static bool has_waiting_work(const struct instance *o)
{
	struct pollfd p = { .fd = o->wire_other_end, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void ended(struct instance *o, int status)
{
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (!clean && !master.stopping)
		instance_log_end(o, status);
	/* What a retired one has left waiting its next life takes, with the new generation. */
	if (master.stopping) /* its pipe may hold lines that are to be counted */
		return;
	if (o->row->by_wire || !has_waiting_work(o)) {
		drop(o);
		return;
	}
	o->retired = false;
	if (clean)
		start_service(o);
	else
		instance_start_later(o);
}

/* As often as authd and queued like. */
static void log_not_passed(const struct owner_work *work, const char *reason)
{
	enum { LOGGED_PER_SECOND = 4 };
	static struct pace pace;
	unsigned more;

	if (pace_says(&pace, loop_now_ms(master.loop), LOGGED_PER_SECOND, &more))
		log_warn("event=refused program=%s uid=%lu reason=\"%s\" more=%u",
		         house[HOUSE_RESIDENT + work->program].name, (unsigned long)work->uid,
		         log_text(view_of(reason)), more);
}

/* For the sessions that come while it starts, as after each reload: some thousands. Where the
 * system does not let us, some hundreds. */
static void make_room(int wire)
{
	enum { ROOM_BYTES = 16 << 20 };
	int room = ROOM_BYTES;

	if (master.privileged)
		setsockopt(wire, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
}

static struct instance *add(const struct owner_work *work)
{
	const struct house_row *row = &house[HOUSE_RESIDENT + work->program];

	if (owner_count >= owners_most) {
		log_not_passed(work, "too many programs of mailbox owners");
		return NULL;
	}
	struct instance *o = memory_get(sizeof *o);

	o->row = row;
	o->uid = work->uid;
	o->gid = work->gid;
	o->restart.due = restart_due;
	o->ended = ended;
	if (instance_take_in(o) < 0) {
		log_not_passed(work, strerror(errno));
		free(o);
		return NULL;
	}
	make_room(o->wire.fd);
	owner_count++;
	return o;
}

static void start_agent(struct owner_work *work)
{
	struct instance *o = add(work);

	if (o == NULL)
		return;
	descriptors_add(&o->descriptors, "queued.job", work->fds[0]);
	bool started = start(o);

	/* Only the agent holds it from now on: its end is the end of the wire. */
	descriptors_drop(&o->descriptors, "queued.job");
	if (!started)
		drop(o);
}

static void pass_session(struct owner_work *work)
{
	struct instance *o = find(work);
	struct wire_out out = { 0 };

	if (o == NULL)
		o = add(work);
	if (o == NULL)
		return;
	wire_begin(&out, OWNER_WORK);
	text_add(&out.bytes, work->rest);
	for (unsigned n = 0; n < work->fd_count; n++)
		wire_put_fd(&out, work->fds[n]);
	enum wire_result r = wire_send(o->wire.fd, &out);

	if (r != WIRE_OK)
		log_not_passed(work,
		               r == WIRE_AGAIN ? "too many sessions are waiting" : wire_reason(r));
	wire_out_free(&out);
	if (o->pid == 0 && !loop_timer_is_set(&o->restart))
		start_service(o);
}

static void log_refused(struct instance *from, const struct owner_work *work)
{
	unsigned more;

	if (instance_may_complain(from, &more))
		log_warn("event=refused peer=%s program=%d uid=%lu gid=%lu more=%u",
		         from->row->name, (int)work->program, (unsigned long)work->uid,
		         (unsigned long)work->gid, more);
}

void owners_work(struct instance *from, struct wire_in *in)
{
	struct owner_work work;
	unsigned more;

	if (!owner_work_get(in, &work)) {
		if (instance_may_complain(from, &more))
			log_warn("event=bad-message peer=%s type=%d more=%u", from->row->name,
			         in->type, more);
		return;
	}
	if (!master.privileged) {
		work.uid = geteuid();
		work.gid = getegid();
	}
	if (master.stopping || !is_wanted(from, &work))
		log_refused(from, &work);
	else if (house[HOUSE_RESIDENT + work.program].by_wire)
		start_agent(&work);
	else
		pass_session(&work);
	for (unsigned n = 0; n < work.fd_count; n++)
		wire_close_given(work.fds[n]);
}

void owners_retire(enum house_program program)
{
	for (struct instance *o = master.instances; o != NULL; o = o->next)
		if (o->ended == ended && o->row == &house[program] && o->pid) {
			o->retired = true;
			if (o->ready) /* else when it is: until then the signal would kill it */
				kill(o->pid, SIGHUP);
		}
}
