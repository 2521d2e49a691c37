/* SPDX-License-Identifier: ISC */
/*
 * Programs under mailbox owners' uids: pop3d and imapd on authd's word, local on queued's.
 *
 * authd's work is passed on to the one service of that program and uid, which is started at need and ends when it
 * has been idle; its wire outlives it, so that work sent in that instant starts a successor.  Each word of
 * queued starts a local with the wire it brought.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/master.h"

static const enum house_program program_of[OWNER_PROGRAMS] = {
	[OWNER_POP3D] = HOUSE_POP3D,
	[OWNER_IMAPD] = HOUSE_IMAPD,
	[OWNER_LOCAL] = HOUSE_LOCAL,
};

static bool is_wanted(const struct instance *from, const struct owner_work *work)
{
	const struct settings *s = &master.settings;

	if (work->program >= OWNER_PROGRAMS || !(from->row->may_ask & 1u << work->program))
		return false;
	if (!master.launch.privileged)
		return true;
	return work->uid != 0 && work->gid != 0 && work->uid >= (uint32_t)s->mailbox_uid_min &&
	       work->uid <= (uint32_t)s->mailbox_uid_max;
}

static struct owner *find(enum owner_program program, uid_t uid, gid_t gid)
{
	for (struct owner *o = master.owners; o != NULL; o = o->next)
		if (o->program == program && o->instance.uid == uid && o->instance.gid == gid && !o->instance.retired)
			return o;
	return NULL;
}

/* The owner's own ends; what belongs to master (generation, log) stays. */
static void free_owner(struct owner **at)
{
	struct owner *o = *at;

	loop_unwatch(master.loop, &o->instance.wire);
	loop_timer_clear(master.loop, &o->instance.restart);
	close(o->instance.wire.fd);
	close(o->instance.wire_other_end);
	*at = o->next;
	master.owner_count--;
	free(o);
}

static void start(struct owner *o)
{
	struct reason why;

	give_common(&o->instance);
	if (instance_start(&o->instance, &master.launch, &why) < 0)
		log_warn("event=start-failed program=%s reason=\"%s\"", o->instance.row->name, why.text);
}

static void restart_due(struct timer *t)
{
	struct owner *o = loop_owner(loop_owner(t, struct instance, restart), struct owner, instance);

	if (!master.stopping && o->instance.pid == 0)
		start(o);
}

static struct owner *add(const struct owner_work *work)
{
	if (master.owner_count >= OWNERS_MAX)
		return NULL;
	struct owner *o = memory_get(sizeof *o);

	o->program = work->program;
	o->instance.row = &house[program_of[work->program]];
	o->instance.uid = master.launch.privileged ? work->uid : geteuid();
	o->instance.gid = master.launch.privileged ? work->gid : getegid();
	o->instance.restart.due = restart_due;
	child_wire(&o->instance);
	o->next = master.owners;
	master.owners = o;
	master.owner_count++;
	return o;
}

static void start_local(struct owner_work *work)
{
	struct owner *o = work->fd_count == 1 ? add(work) : NULL;

	if (o == NULL) {
		log_warn("event=refused program=local owners=%u", master.owner_count);
		return;
	}
	descriptors_add(&o->instance.descriptors, "queued.job", work->fds[0]);
	start(o);
	/* Only local holds it from now on: its end is the end of the wire. */
	descriptors_drop(&o->instance.descriptors, "queued.job");
}

static void pass_session(struct owner_work *work)
{
	uid_t uid = master.launch.privileged ? work->uid : geteuid();
	gid_t gid = master.launch.privileged ? work->gid : getegid();
	struct owner *o = find(work->program, uid, gid);
	struct wire_out out = { 0 };

	if (o == NULL)
		o = add(work);
	if (o == NULL) {
		log_warn("event=refused program=%d uid=%ld owners=%u", (int)work->program, (long)uid, master.owner_count);
		return;
	}
	wire_begin(&out, OWNER_WORK);
	text_add(&out.bytes, work->rest);
	for (unsigned n = 0; n < work->fd_count; n++)
		wire_put_fd(&out, work->fds[n]);
	if (wire_send(o->instance.wire.fd, &out) != WIRE_OK)
		log_warn("event=refused program=%s uid=%ld reason=\"too many sessions wait\"", o->instance.row->name, (long)uid);
	wire_out_free(&out);
	if (o->instance.pid == 0 && o->instance.restart.place == 0)
		start(o);
}

void owners_work(const struct instance *from, struct wire_in *in)
{
	struct owner_work work;

	if (!owner_work_get(in, &work)) {
		log_warn("event=bad-message from=%s", from->row->name);
		return;
	}
	if (master.stopping || !is_wanted(from, &work))
		log_warn("event=refused from=%s program=%d uid=%lu gid=%lu", from->row->name, (int)work.program,
		         (unsigned long)work.uid, (unsigned long)work.gid);
	else if (work.program == OWNER_LOCAL)
		start_local(&work);
	else
		pass_session(&work);
	for (unsigned n = 0; n < work.fd_count; n++)
		close(work.fds[n]);
}

/* Has work arrived that the service did not take before it ended? */
static bool has_waiting_work(const struct owner *o)
{
	struct pollfd p = { .fd = o->instance.wire_other_end, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void ended(struct owner **at, int status)
{
	struct owner *o = *at;
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	o->instance.pid = 0;
	if (!clean && !master.stopping)
		log_warn("event=died program=%s uid=%ld status=%d", o->instance.row->name, (long)o->instance.uid, status);
	if (o->program == OWNER_LOCAL || o->instance.retired || master.stopping || !has_waiting_work(o)) {
		free_owner(at);
	} else if (clean) {
		start(o);
	} else {
		int64_t now = loop_now_ms(master.loop);

		loop_timer_set(master.loop, &o->instance.restart, now + instance_delay_ms(&o->instance, now));
	}
}

bool owners_reap(pid_t pid, int status)
{
	for (struct owner **at = &master.owners; *at != NULL; at = &(*at)->next)
		if ((*at)->instance.pid == pid) {
			ended(at, status);
			return true;
		}
	return false;
}

void owners_signal(enum house_stage stage, int number)
{
	for (struct owner *o = master.owners; o != NULL; o = o->next)
		if (o->instance.row->stage == stage && o->instance.pid)
			kill(o->instance.pid, number);
}

bool owners_empty(enum house_stage stage)
{
	for (struct owner *o = master.owners; o != NULL; o = o->next)
		if (o->instance.row->stage == stage && o->instance.pid)
			return false;
	return true;
}

void owners_retire(void)
{
	for (struct owner *o = master.owners; o != NULL; o = o->next)
		if (o->instance.pid) {
			o->instance.retired = true;
			kill(o->instance.pid, SIGHUP);
		}
}
