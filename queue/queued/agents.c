/* SPDX-License-Identifier: ISC */
/*
 * The agents' side: jobs out, results in (lib/wire/job.h). remote and bounce are always there;
 * local runs under a mailbox owner's uid and is started by master on our word when there is work
 * for that owner.
 */
#include "queue/queued/agents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/queue/checksum.h"
#include "queue/queued/owners.h"

enum { WANT_MAX = 1000 };

struct agents {
	struct agents_setup with;
	struct channel by_wire[AGENTS];
	struct owners owners;
	struct channel *reporting; /* one of these */
	bool stopping;
};

struct agent_line {
	struct hub_line line;
	struct delivery *delivery; /* NULL: idle */
	/* Where the last one went, and when it ended: it may have a connection there still. */
	uint32_t last_hash;
	int64_t last_ms;
};

static struct wire_out out;

static struct agent_line *agent_of(struct hub_line *line)
{
	return (struct agent_line *)(void *)line;
}

static struct channel *channel_of(const struct hub_line *line)
{
	return line->server->context;
}

/* ---- jobs ---- */

static void fill_job(const struct agents *a, const struct delivery *d, int fd,
                     const uint8_t checksum[SPOOL_CHECKSUM_BYTES])
{
	static struct job job;
	const struct message *m = d->message;
	const struct target *t = m->recipients[d->who[0].index].target;

	memset(&job, 0, sizeof job);
	queue_id_text(m->id, job.id);
	job.fd = fd;
	job.message_offset = QUEUE_HEADER_BYTES;
	job.message_bytes = m->message_bytes;
	job.extra_offset = QUEUE_HEADER_BYTES + m->message_bytes;
	job.extra_bytes = m->extra_bytes;
	memcpy(job.checksum, checksum, sizeof job.checksum);
	message_envelope(m, &job.envelope);
	job.arrived_s = m->arrived_ms / 1000;
	job.attempts = m->attempts;
	job.report = d->report;
	job.gives_up_s = d->report == JOB_REPORT_DELAYED
	                         ? (m->arrived_ms + a->with.settings->queue_lifetime_ms) / 1000
	                         : 0;
	if (d->report == JOB_REPORT_NONE && t && agent_carries(t->agent, AGENT_CARRIES_HOPS))
		target_route(t, &job.route);
	job_put(&out, &job);
}

static void fill_recipient(const struct delivery *d, unsigned number)
{
	static struct job_recipient to;
	const struct message *m = d->message;
	const struct recipient *r = &m->recipients[d->who[number].index];

	memset(&to, 0, sizeof to);
	to.index = d->who[number].index;
	to.last = number + 1 == d->count;
	message_recipient(m, r, &to.to);
	to.contested = r->contested;
	if (d->report != JOB_REPORT_NONE) {
		string_put(to.status, sizeof to.status, view_of(saying_status(r->said)));
		string_cut(to.text, sizeof to.text, view_of(saying_text(r->said)));
		string_put(to.remote_host, sizeof to.remote_host, view_of(saying_host(r->said)));
		to.last_attempt_s = r->said_s;
	} else if (r->target && agent_carries(r->target->agent, AGENT_CARRIES_MAILBOX)) {
		target_mailbox(r->target, &to.mailbox);
	}
	job_recipient_put(&out, &to);
}

/* What waits for it, and may not. It is held meanwhile: the last that points there may end. */
static void turn_away(struct channel *c, struct schedule_destination *from, enum turned_away why)
{
	struct agents *a = c->agents;
	struct schedule_item *item;
	bool any = false;

	while ((item = schedule_drain(c->schedule, from)) != NULL) {
		a->with.turned_away(a->with.context, loop_owner(item, struct delivery, item), why);
		any = true;
	}
	if (any)
		a->with.freed(a->with.context);
}

static enum schedule_end end_of(const struct delivery *d)
{
	return d->trouble ? SCHEDULE_TROUBLE : d->heard ? SCHEDULE_SUCCESS : SCHEDULE_UNTRIED;
}

/* Whatever is unanswered is tried again: at worst a duplicate, never a loss. */
static void finish(struct agents *a, struct delivery *d, const char *why)
{
	struct job_result result = { .outcome = JOB_OWN_FAULT, .status = "4.3.0" };
	struct schedule_destination *to = d->item.destination;
	struct channel *c = d->channel;
	bool trouble = d->trouble;

	string_cut(result.text, sizeof result.text, view_of(why));
	for (unsigned i = 0; i < d->count; i++) {
		if (d->who[i].answered)
			continue;
		result.index = d->who[i].index;
		a->with.result(a->with.context, d, &d->message->recipients[result.index], &result);
	}
	schedule_finished(c->schedule, to, end_of(d), loop_now_ms(a->with.loop));
	schedule_hold(to); /* the message may end here, and with it the last that points there */
	a->with.finished(a->with.context, d);
	if (trouble && schedule_is_down(to, loop_now_ms(a->with.loop)))
		turn_away(c, to, TURNED_AWAY_DOWN);
	schedule_release(to);
	channel_run_soon(c);
}

/* A directory that is moved or restored is away for a while, however often it is looked for then. A
 * file that is not there when the message's time is over, and was not for long, was removed by
 * somebody; who is wrong in that has the file still, for queue check or the next start. */
static bool is_missing(const struct agents *a, struct message *m)
{
	const struct settings *s = a->with.settings;
	int64_t age_ms = clock_ms() - m->born_ms, away_ms;

	if (age_ms / 1000 > MESSAGE_AGE_MAX_S)
		return false;
	if (m->away_s == 0)
		m->away_s = age_ms < 1000 ? 1 : (unsigned)(age_ms / 1000);
	away_ms = age_ms - (int64_t)m->away_s * 1000;
	return age_ms > s->queue_lifetime_ms && away_ms > s->queue_retry_max_ms;
}

/* The descriptor and the header of the message's file; -1 when it cannot be delivered now, or never
 * from this file. */
static int open_message(struct agents *a, struct message *m, struct queue_header *header)
{
	const struct queue_header taken = { .id = m->id,
		                            .message_bytes = m->message_bytes,
		                            .extra_bytes = m->extra_bytes,
		                            .envelope_bytes = m->envelope_bytes };
	char id[QUEUE_ID_CHARS + 1];
	bool damaged;
	int fd = disk_message(a->with.disk, &taken, header, &damaged), error = errno;

	if (fd >= 0 || error != ENOENT)
		m->away_s = 0;
	if (fd >= 0)
		return fd;
	queue_id_text(m->id, id);
	if (damaged) {
		a->with.damaged(a->with.context, m, MESSAGE_FILE_DAMAGED,
		                "the file was truncated or replaced, or its header is damaged");
		return -1;
	}
	log_warn("id=%s event=open-failed reason=\"%s\"", id, log_text(view_of(strerror(error))));
	if (error == ENOENT && is_missing(a, m))
		a->with.damaged(a->with.context, m, MESSAGE_FILE_MISSING,
		                "its file is missing; it is not looked for any more");
	return -1;
}

/* An agent has read another text than came: is it so?  What cannot be read now is no answer. */
static void look_damaged(struct agents *a, struct message *m)
{
	uint8_t sum[SPOOL_CHECKSUM_BYTES];
	struct queue_header header;
	int fd = m->damaged ? -1 : open_message(a, m, &header);

	if (fd < 0)
		return;
	enum file_result got = checksum_file(fd, QUEUE_HEADER_BYTES, header.message_bytes, sum);

	close(fd);
	if (got == FILE_WHOLE && !checksum_equal(sum, header.checksum))
		a->with.damaged(a->with.context, m, MESSAGE_TEXT_DAMAGED,
		                "wrong checksum of the message");
}

/* The whole job, or nothing: a line that breaks on the way counts as an agent that died. */
static void send_job(struct channel *c, struct hub_line *line, struct delivery *d)
{
	struct agents *a = c->agents;
	struct queue_header header;

	d->running = true;
	int fd = open_message(a, d->message, &header);

	if (fd < 0) {
		hub_set_idle(line);
		finish(a, d,
		       d->message->damaged ? "the message is damaged"
		                           : "the queue file cannot be opened");
		return;
	}
	agent_of(line)->delivery = d;
	fill_job(a, d, fd, header.checksum);
	enum wire_result sent = WIRE_OK;

	for (unsigned i = 0; i < d->count && sent == WIRE_OK; i++) {
		if (out.bytes.len >= JOB_PACKET_BYTES) {
			sent = hub_line_send(line, &out);
			wire_begin(&out, JOB_RECIPIENT);
		}
		fill_recipient(d, i);
	}
	if (sent == WIRE_OK)
		hub_line_send(line, &out);
	close(fd);
}

/* Who says nothing keeps no crowd waiting. Silence is no event, and nothing may come of it else. */
static void look_for_silent(struct channel *c)
{
	struct loop *loop = c->hub.loop;
	struct schedule_destination *d;
	int64_t look_ms;

	while ((d = schedule_crowded(c->schedule, loop_now_ms(loop))) != NULL) {
		schedule_hold(d);
		turn_away(c, d, TURNED_AWAY_CROWD);
		schedule_release(d);
	}
	channel_tell_shortage(c);
	look_ms = schedule_look_ms(c->schedule);
	if (look_ms)
		loop_timer_set(loop, &c->look, look_ms);
}

static void look_due(struct timer *t)
{
	look_for_silent(loop_owner(t, struct channel, look));
}

static uint32_t hash_of(const struct schedule_destination *d)
{
	return view_hash(HASH_START, schedule_key(d));
}

/* Who has a connection to the destination still; else who has none, or has had one for longest. */
static struct hub_line *best_idle(struct channel *c, const struct schedule_destination *to)
{
	int64_t kept_ms = c->agents->with.settings->remote_timeout_idle_ms,
		now_ms = loop_now_ms(c->hub.loop);
	struct hub_line *none = NULL, *longest = NULL;
	uint32_t hash = hash_of(to);

	LIST_EACH(line, &c->hub.idle_lines, struct hub_line, resting) {
		const struct agent_line *agent = agent_of(line);
		bool connected = agent->last_ms && now_ms - agent->last_ms < kept_ms;

		if (connected && agent->last_hash == hash)
			return line;
		if (!connected && none == NULL)
			none = line;
		longest = line;
	}
	return none != NULL ? none : longest;
}

static struct hub_line *take_agent(struct channel *c, const struct schedule_destination *to)
{
	if (!agent_carries(c->agent, AGENT_CARRIES_HOPS))
		return hub_take_idle(&c->hub);
	struct hub_line *line = best_idle(c, to);

	hub_take(line);
	return line;
}

static void give_jobs(struct channel *c)
{
	struct schedule_item *item;

	while (c->hub.idle_lines.first && !c->agents->stopping &&
	       (item = schedule_take(c->schedule, loop_now_ms(c->hub.loop))) != NULL)
		send_job(c, take_agent(c, item->destination),
		         loop_owner(item, struct delivery, item));
}

static void run_due(struct timer *t)
{
	struct channel *c = loop_owner(t, struct channel, run);
	unsigned more;

	if (c->ending) {
		owners_ended(c);
		return;
	}
	give_jobs(c);
	look_for_silent(c);
	more = c->agents->stopping ? 0 : schedule_runnable(c->schedule, WANT_MAX);
	if (more && c->owners)
		owners_start(c);
	if (more && (c->started || !c->owners))
		hub_want(&c->hub, more);
}

/* ---- results ---- */

static bool take_result(struct agents *a, struct delivery *d, struct wire_in *in, bool *last)
{
	static struct job_result result;

	if (!job_result_get(in, &result))
		return false;
	*last = result.last;
	for (unsigned i = 0; i < d->count; i++) {
		if (d->who[i].index != result.index)
			continue;
		if (d->who[i].answered)
			return false;
		d->who[i].answered = true;
		d->heard = d->heard || result.outcome != JOB_OWN_FAULT;
		d->trouble = d->trouble || result.host_trouble;
		if (result.damaged)
			look_damaged(a, d->message);
		a->with.result(a->with.context, d, &d->message->recipients[result.index], &result);
		return true;
	}
	return false;
}

static void message(struct hub_line *line, struct wire_in *in)
{
	struct agent_line *agent = agent_of(line);
	struct channel *c = channel_of(line);
	struct delivery *d = agent->delivery;

	bool last = in->type == JOB_FINISHED;

	if (d == NULL || (in->type != JOB_RESULT && !(last && wire_end(in)))) {
		hub_line_drop(line, "unexpected message");
		return;
	}
	if (in->type == JOB_RESULT && !take_result(c->agents, d, in, &last)) {
		hub_line_drop(line, "invalid result");
		return;
	}
	if (last) {
		agent->delivery = NULL;
		agent->last_hash = hash_of(d->item.destination);
		agent->last_ms = loop_now_ms(c->hub.loop);
		hub_set_idle(line);
		finish(c->agents, d, "the delivery agent sent no result");
	}
}

static void closed(struct hub_line *line)
{
	struct agent_line *agent = agent_of(line);
	struct delivery *d = agent->delivery;

	agent->delivery = NULL;
	if (d)
		finish(channel_of(line)->agents, d, "the delivery agent died");
	channel_run_soon(channel_of(line));
}

static bool busy(const struct hub_line *line)
{
	return ((const struct agent_line *)(const void *)line)->delivery != NULL;
}

static bool is_outdated(const struct hub_line *line)
{
	return line->process != channel_of(line)->parent;
}

/* The parent of the last line is the present one: workers of an older one know the configuration
 * before the reload, and one of them that was taken over would never leave. */
static void opened(struct hub_line *line)
{
	struct channel *c = channel_of(line);

	if (!is_outdated(line))
		return;
	c->parent = line->process;
	LIST_EACH(other, &c->hub.idle_lines, struct hub_line, resting)
		if (is_outdated(other))
			hub_line_drop(other, NULL);
}

static void idle(struct hub_line *line)
{
	if (is_outdated(line))
		hub_line_drop(line, NULL);
	channel_run_soon(channel_of(line));
}

/* ---- channels ---- */

static struct schedule_limits limits_of(const struct channel *c)
{
	const struct settings *s = c->agents->with.settings;
	const struct {
		int start, max, agents;
	} of[AGENTS] = {
#define AGENT(ID, name, REACHED, CARRIES, start, max, all) \
	[AGENT_##ID] = { s->start, s->max, s->all },
#define TRANSPORT(ID, word, AGENT, REST)
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
	};
	bool many = agent_carries(c->agent, AGENT_CARRIES_HOPS); /* destinations */

	return (struct schedule_limits){
		.window_start = of[c->agent].start,
		.window_max = of[c->agent].max,
		.agents = many ? of[c->agent].agents : 0,
		.pause_first_ms = s->queue_retry_first_ms / 2 + 1,
		.pause_max_ms = s->queue_retry_max_ms / 2 + 1,
		.retry_first_ms = s->queue_retry_first_ms,
		.retry_max_ms = s->queue_retry_max_ms,
	};
}

static void channel_init(struct agents *a, struct channel *c, enum agent agent)
{
	c->agents = a;
	c->agent = agent;
	c->run.due = run_due;
	c->look.due = look_due;
	c->hub = (struct hub){
		.loop = a->with.loop,
		.protocol = "job",
		.line_size = sizeof(struct agent_line),
		.lines_max = AGENTS_MAX,
		.workers = true,
		.context = c,
		.reuse = c->owners ? JOB_REUSE_LOCAL : JOB_REUSE,
		.opened = opened,
		.message = message,
		.busy = busy,
		.closed = closed,
		.idle = idle,
		.lost = c->owners ? owners_lost : NULL,
		.watch = { .fd = -1 },
	};
	struct schedule_limits limits = limits_of(c);

	c->schedule = schedule_new(&limits);
}

static struct channel *owner_of(struct agents *a, const struct target *t)
{
	static struct resolve_mailbox box;

	target_mailbox(t, &box);
	struct channel *c = owners_find(&a->owners, t->agent, box.uid, box.gid);

	if (c == NULL) {
		c = owners_add(&a->owners, t->agent, box.uid, box.gid);
		channel_init(a, c, t->agent);
	}
	return c;
}

/* Scheduling tells destinations apart by all that makes their jobs different. */
static struct schedule_destination *destination_of(struct channel *c, const struct target *t)
{
	bool hops = agent_carries(t->agent, AGENT_CARRIES_HOPS);

	return schedule_find(c->schedule, hops ? (struct view){ t->bytes, t->len } : VIEW(""));
}

void agents_aim(struct agents *a, struct target *t)
{
	if (t->destination)
		return;
	t->channel = agent_rows[t->agent].reached == AGENT_BY_OWNER ? owner_of(a, t)
	                                                            : &a->by_wire[t->agent];
	t->destination = destination_of(t->channel, t);
	schedule_hold(t->destination);
}

bool agents_is_down(const struct agents *a, const struct target *t)
{
	return schedule_is_down(t->destination, loop_now_ms(a->with.loop));
}

static void put_into_schedule(struct agents *a, struct channel *c, struct delivery *d,
                              struct schedule_destination *to)
{
	const struct message *m = d->message;

	d->channel = c;
	schedule_add(c->schedule, to, &d->item, view_of(message_sender(m)), m->attempts > 0,
	             loop_now_ms(a->with.loop));
	channel_run_soon(c);
}

void agents_deliver(struct agents *a, struct delivery *d)
{
	const struct target *t = d->message->recipients[d->who[0].index].target;

	put_into_schedule(a, t->channel, d, t->destination);
}

void agents_report(struct agents *a, struct delivery *d)
{
	put_into_schedule(a, a->reporting, d, schedule_find(a->reporting->schedule, VIEW("")));
}

void agents_take_back(struct agents *a, struct delivery *d)
{
	(void)a;
	schedule_cancel(d->channel->schedule, &d->item);
}

const char *agents_name(const struct delivery *d)
{
	return agent_rows[d->channel->agent].name;
}

static void serve(struct agents *a, enum agent agent)
{
	struct channel *c = &a->by_wire[agent];
	char wire[64];

	channel_init(a, c, agent);
	string_print(wire, sizeof wire, "%s.job", agent_rows[agent].name);
	hub_start(&c->hub, program_need_fd(wire));
	if (agent_carries(agent, AGENT_CARRIES_REPORTS))
		a->reporting = c;
}

struct agents *agents_start(const struct agents_setup *setup)
{
	struct agents *a = memory_get(sizeof *a);

	a->with = *setup;
	a->owners.master = setup->master;
	for (enum agent agent = AGENT_NONE + 1; agent < AGENTS; agent++)
		if (agent_rows[agent].reached == AGENT_BY_WIRE)
			serve(a, agent);
	return a;
}

void agents_stop(struct agents *a)
{
	a->stopping = true;
}

static void each(struct agents *a, void (*visit)(struct channel *c, void *context), void *context)
{
	for (enum agent agent = AGENT_NONE + 1; agent < AGENTS; agent++)
		if (agent_rows[agent].reached == AGENT_BY_WIRE)
			visit(&a->by_wire[agent], context);
	owners_each(&a->owners, visit, context);
}

static void set_limits(struct channel *c, void *context)
{
	struct schedule_limits limits = limits_of(c);

	(void)context;
	schedule_set_limits(c->schedule, &limits);
}

void agents_set_limits(struct agents *a)
{
	each(a, set_limits, NULL);
}

static void look_busy(struct channel *c, void *context)
{
	LIST_EACH(line, &c->hub.lines, struct hub_line, all)
		if (agent_of(line)->delivery)
			*(bool *)context = true;
}

bool agents_busy(const struct agents *a)
{
	bool busy = false;

	each((struct agents *)a, look_busy, &busy);
	return busy;
}

static void forgive(struct channel *c, void *context)
{
	(void)context;
	schedule_forgive(c->schedule);
}

void agents_forgive(struct agents *a)
{
	each(a, forgive, NULL);
}
