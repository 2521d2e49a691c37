/* SPDX-License-Identifier: ISC */
#include "queue/queued/owners.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/owner.h"

enum { OWNER_PAUSE_MS = 1000 };

static struct wire_out out;

static uint32_t hash_of(enum agent agent, uint32_t uid, uint32_t gid)
{
	uint32_t words[] = { agent, uid, gid };

	return view_hash(HASH_START, (struct view){ (const char *)words, sizeof words });
}

struct channel *owners_find(struct owners *o, enum agent agent, uint32_t uid, uint32_t gid)
{
	HASH_EACH(c, &o->channels, hash_of(agent, uid, gid), struct channel, owned)
		if (c->agent == agent && c->uid == uid && c->gid == gid)
			return c;
	return NULL;
}

struct channel *owners_add(struct owners *o, enum agent agent, uint32_t uid, uint32_t gid)
{
	struct channel *c = memory_get(sizeof *c);

	c->owners = o;
	c->agent = agent;
	c->uid = uid;
	c->gid = gid;
	hash_add(&o->channels, &c->owned, hash_of(agent, uid, gid));
	return c;
}

void owners_each(struct owners *o, void (*visit)(struct channel *c, void *context), void *context)
{
	for (uint32_t i = 0; i < o->channels.size; i++)
		HASH_EACH(c, &o->channels, i, struct channel, owned)
			visit(c, context);
}

/* Which program of owners an agent is; 0 where it is none. */
static const enum owner_program owner_programs[AGENTS] = {
#define PROGRAM_BEHIND_WIRE(ID)  0
#define PROGRAM_BEHIND_OWNER(ID) OWNER_##ID
#define AGENT(ID, name, REACHED, CARRIES, start, max, all) \
	[AGENT_##ID] = PROGRAM_BEHIND_##REACHED(ID),
#define TRANSPORT(ID, word, AGENT, REST)
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
};

void owners_start(struct channel *c)
{
	struct loop *loop = c->hub.loop;
	struct owner_work work = {
		.program = owner_programs[c->agent], .uid = c->uid, .gid = c->gid, .fd_count = 1
	};
	int ends[2];

	if (c->started)
		return;
	if (loop_now_ms(loop) < c->not_before_ms) {
		loop_timer_set(loop, &c->run, c->not_before_ms);
		return;
	}
	c->not_before_ms = loop_now_ms(loop) + OWNER_PAUSE_MS;
	if (wire_pair(ends) < 0) {
		log_warn("event=owner-start-failed reason=\"%m\"");
		loop_timer_set(loop, &c->run, c->not_before_ms);
		return;
	}
	work.fds[0] = ends[1];
	owner_work_put(&out, &work);
	if (wire_send(c->owners->master, &out) != WIRE_OK) {
		log_warn("event=owner-start-failed uid=%u reason=\"%m\"", c->uid);
		close(ends[0]);
		loop_timer_set(loop, &c->run, c->not_before_ms);
	} else {
		c->started = true;
		hub_start(&c->hub, ends[0]);
	}
	close(ends[1]);
}

/* Its workers' last results may still wait on their lines. */
void owners_lost(struct hub *hub)
{
	struct channel *c = hub->context;

	c->ending = true;
	channel_run_soon(c);
}

static void channel_free(struct channel *c)
{
	hash_remove(&c->owners->channels, &c->owned);
	loop_timer_clear(c->hub.loop, &c->run);
	loop_timer_clear(c->hub.loop, &c->look);
	schedule_free(&c->schedule);
	free(c);
}

void owners_ended(struct channel *c)
{
	if (c->hub.lines.first)
		return;
	hub_stop(&c->hub);
	close(c->hub.watch.fd);
	c->hub.watch.fd = -1;
	c->started = c->ending = false;
	if (schedule_is_idle(c->schedule))
		channel_free(c);
	else
		channel_run_soon(c);
}
