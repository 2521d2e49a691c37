/* SPDX-License-Identifier: ISC */
#include "t/unit/queueworld.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "queue/queued/messages.h"
#include "queue/queued/recover.h"
#include "t/unit/queuedisk.h"
#include "t/unit/queuefakes.h"
#include "t/unit/queueresolved.h"
#include "t/unit/queuetruth.h"

enum { WORKERS = 2, REST_TURNS = 1000, FINISH_TURNS = 200 };
enum { RETRY_MS = 4000, NOTICE_MS = 2000 };

static struct {
	const struct world_scenario *scenario;
	enum world_fault fault;
	struct settings settings;
	struct disk disk;
	struct journal journal;
	struct records records;
	struct messages *messages;
	struct recovery *recovery;
	struct agents *agents;
	uint8_t left[WORLD_TYPES]; /* how often it may still happen */
	bool stopping;
	unsigned brought; /* messages, in bits */
	unsigned trouble; /* in a row, which the schedule remembers */
} w;

const char *world_wrong(void)
{
	return truth_what_is_wrong();
}

/* ---- agents ---- */

static struct truth_work *work_of(const struct hub_line *line)
{
	struct fakes_hub *h = fakes_hub_of(line);
	unsigned l = 0;

	while (h->lines[l] != line)
		l++;
	return &truth_works[h - fakes_hubs][l];
}

/* A packet of a job. */
static void sent(struct hub_line *line, const struct wire_out *out)
{
	static struct job job;
	static struct job_recipient to;
	struct truth_work *k = work_of(line), taken = *k;
	struct wire_in in = { .type = (unsigned char)out->bytes.raw[0],
		              .rest = view_skip(text_view(&out->bytes), 1),
		              .fd_count = out->fd_count };
	uint64_t id;

	memcpy(in.fds, out->fds, sizeof in.fds);
	if (in.type == JOB_BEGIN) {
		if (!job_get(&in, &job) || !queue_id_parse(view_of(job.id), &id)) {
			truth_wrong("a malformed job", 0, "");
			return;
		}
		taken = (struct truth_work){ .message = (unsigned)(id - DISK_FIRST_ID),
			                     .report = job.report };
	}
	while (in.rest.len && job_recipient_get(&in, &to)) {
		unsigned i = taken.count++;

		taken.who[i].index = to.index;
		taken.who[i].address = (uint8_t)truth_address_number(to.to.address);
		truth_judge_job(&taken, i, w.stopping);
	}
	*k = taken;
	k->busy = true;
}

static void dropped(const char *why)
{
	truth_wrong("queued refuses a correct result", 0, why);
}

static void deliver_result(struct hub_line *line, unsigned i, enum world_type type)
{
	static struct wire_out out;
	struct truth_work *k = work_of(line);
	struct job_result r = { .index = k->who[i].index,
		                .outcome = type == WORLD_DONE                        ? JOB_DONE
		                           : type == WORLD_FAIL                      ? JOB_FAILED
		                           : type == WORLD_OWN || type == WORLD_TEXT ? JOB_OWN_FAULT
		                                                                     : JOB_RETRY,
		                .host_trouble = type == WORLD_TROUBLE,
		                .damaged = type == WORLD_TEXT,
		                .last = true };

	if (type == WORLD_DONE || type == WORLD_TROUBLE)
		w.trouble = type == WORLD_TROUBLE ? w.trouble + 1 : 0;
	truth_told(k, i, r.outcome);
	k->who[i].answered = true;
	for (unsigned n = 0; n < k->count; n++)
		r.last = r.last && k->who[n].answered;
	if (w.fault == WORLD_RESULT_TURNED && k->report == JOB_REPORT_NONE &&
	    r.outcome == JOB_RETRY)
		r.outcome = JOB_DONE;
	if (r.last)
		k->busy = false;
	string_put(r.status, sizeof r.status,
	           view_of(r.outcome == JOB_DONE     ? "2.0.0"
	                   : r.outcome == JOB_FAILED ? "5.0.0"
	                                             : "4.2.2"));
	string_put(r.text, sizeof r.text, view_of("the agent's words"));
	job_result_put(&out, &r);
	line->server->message(line,
	                      &(struct wire_in){ .type = JOB_RESULT,
	                                         .rest = view_skip(text_view(&out.bytes), 1) });
}

static struct hub_line *line_at(unsigned number)
{
	return fakes_hubs[number / FAKES_LINES].lines[number % FAKES_LINES];
}

static void die(struct hub_line *line)
{
	*work_of(line) = (struct truth_work){ 0 };
	fakes_worker_dies(line);
}

/* ---- queued's life ---- */

/* Until nothing is to be done without an event from outside. */
static void rest(void)
{
	for (unsigned turn = 0; fakes_hubs_run_due() || fakes_loop_run_due(); turn++)
		if (turn > REST_TURNS) {
			truth_wrong("queued never rests", 0, "");
			return;
		}
}

static void start(void)
{
	struct reason why;

	fakes_loop_forget();
	fakes_hubs_forget();
	resolved_begin();
	w.stopping = false;
	w.trouble = 0;
	records_init(&w.records);
	journal_init(&w.journal, &w.disk, &w.records);
	w.messages = messages_new(&(struct messages_setup){ .loop = fakes_loop,
	                                                    .settings = &w.settings,
	                                                    .disk = &w.disk,
	                                                    .journal = &w.journal,
	                                                    .records = &w.records });
	w.agents = agents_start(&(struct agents_setup){ .loop = fakes_loop,
	                                                .settings = &w.settings,
	                                                .disk = &w.disk,
	                                                .context = w.messages,
	                                                .result = messages_result,
	                                                .finished = messages_finished,
	                                                .damaged = messages_damaged,
	                                                .turned_away = messages_turned_away,
	                                                .freed = messages_admit });
	w.recovery = recovery_begin(&(struct recovery_setup){ .disk = &w.disk,
	                                                      .context = w.messages,
	                                                      .found = messages_found },
	                            &why);
	if (w.recovery == NULL)
		truth_wrong("the start fails", 0, why.text);
	while (w.scenario->times[WORLD_READ] == 0 && recovery_step(w.recovery))
		;
	if (recovery_serve(w.recovery, &why) < 0)
		truth_wrong("the mark of a clean stop stays", 0, why.text);
	messages_begin(w.messages, w.agents, NULL);
}

bool world_is_unread(unsigned n)
{
	return recovery_is_unread(w.recovery, DISK_FIRST_ID + n);
}

static bool is_all_read(void)
{
	uint32_t all;

	return recovery_left(w.recovery, &all) == 0;
}

static void read_one(void)
{
	recovery_step(w.recovery);
	messages_look(w.messages);
}

/* An operator means this one: it is looked at before its turn. */
static struct message *named(unsigned n)
{
	recovery_look_at(w.recovery, DISK_FIRST_ID + n);
	messages_look(w.messages);
	return truth_message(n);
}

static void start_again(void)
{
	truth_restarted();
	start();
}

static void bring(unsigned n)
{
	w.brought |= 1u << n;
	const struct world_message *from = &w.scenario->messages[n];
	struct envelope e = { .origin = from->origin };
	struct envelope_recipient to[3] = { { 0 } };
	struct queue_header header;

	string_put(e.sender, sizeof e.sender, view_of(from->sender));
	for (unsigned i = 0; i < from->count; i++) {
		string_put(to[i].address, sizeof to[i].address,
		           view_of(truth_address(from->to[i].address)->address));
		to[i].notify = from->to[i].notify;
	}
	truth_acknowledged(n);
	disk_accept(n, &e, to, from->count, &header);
	struct message *m = message_new(header.id);

	for (unsigned i = 0; i < from->count; i++)
		message_add_recipient(m, &to[i]);
	message_take_envelope(m, &e, &header);
	messages_accepted(w.messages, m);
}

static void begin(const struct world_scenario *s, enum world_fault fault)
{
	memset(&w, 0, sizeof w);
	w.scenario = s;
	w.fault = fault;
	w.settings = (struct settings){ .postmaster = "postmaster@x.test",
		                        .queue_retry_first_ms = RETRY_MS,
		                        .queue_retry_max_ms = RETRY_MS,
		                        .queue_lifetime_ms = TRUTH_LIFETIME_MS,
		                        .queue_delay_notice_ms = NOTICE_MS,
		                        .queue_concurrency_start = 1,
		                        .queue_concurrency_max = 2,
		                        .local_agents_max = 2,
		                        .remote_agents_max = 2 };
	memcpy(w.left, s->times, sizeof w.left);
	fakes_now_ms = TRUTH_START_MS;
	truth_begin(s, &w.records);
	fakes_sent = sent;
	fakes_dropped = dropped;
	disk_begin(fault == WORLD_DONE_UNWRITTEN  ? "done"
	           : fault == WORLD_NEW_UNWRITTEN ? "new"
	                                          : NULL);
	start();
	for (unsigned n = 0; n < (s->times[WORLD_BRING] ? 1 : s->message_count); n++)
		bring(n);
	rest();
	truth_judge();
}

void world_begin(const struct world_scenario *s, enum world_fault fault)
{
	fakes_memory_forget();
	begin(s, fault);
}

/* ---- what can happen ---- */

static bool may(enum world_type type)
{
	return w.left[type] > 0;
}

struct list_of_events {
	struct world_event *out;
	unsigned count, max;
};

static void add(struct list_of_events *l, enum world_type type, unsigned a, unsigned b)
{
	if (may(type) && l->count < l->max)
		l->out[l->count++] = (struct world_event){ type, (uint8_t)a, (uint8_t)b };
}

static void add_results(struct list_of_events *l, unsigned line)
{
	const struct truth_work *k = &truth_works[line / FAKES_LINES][line % FAKES_LINES];
	bool report = k->report != JOB_REPORT_NONE;

	for (unsigned i = 0; i < k->count; i++) {
		if (k->who[i].answered)
			continue;
		add(l, WORLD_DONE, line, i);
		add(l, WORLD_RETRY, line, i);
		add(l, WORLD_OWN, line, i);
		add(l, WORLD_FAIL, line, i);
		if (!report)
			add(l, WORLD_TROUBLE, line, i);
		if (!report)
			add(l, WORLD_TEXT, line, i);
	}
	add(l, WORLD_DIE, line, 0);
}

static void add_operator(struct list_of_events *l, unsigned n)
{
	const struct message *m = truth_message(n);

	if (world_is_unread(n)) {
		add(l, WORLD_HOLD, n, 0);
		add(l, WORLD_AGAIN, n, 0);
		add(l, WORLD_REMOVE, n, 0);
	}
	if (m == NULL)
		return;
	add(l, m->held ? WORLD_RELEASE : WORLD_HOLD, n, 0);
	add(l, WORLD_AGAIN, n, 0);
	if (!m->removed)
		add(l, WORLD_REMOVE, n, 0);
	if (disk_file_is_there(n)) {
		add(l, WORLD_DAMAGE, n, 0);
		add(l, WORLD_UNLINK, n, 0);
	}
}

static bool is_worker_wanted(unsigned h)
{
	unsigned have = 0;

	for (unsigned l = 0; l < FAKES_LINES; l++)
		have += fakes_hubs[h].lines[l] != NULL;
	return fakes_hubs[h].wanted && have < WORKERS;
}

unsigned world_possible(struct world_event *out, unsigned max)
{
	struct list_of_events l = { out, 0, max };

	for (unsigned i = 0; i < RESOLVED_QUESTIONS; i++)
		if (resolved_is_asked(i) && !(w.fault == WORLD_QUESTION_LOST && i == 0)) {
			add(&l, WORLD_ANSWER, i, 0);
			add(&l, WORLD_LATER, i, 0);
		}
	for (unsigned h = 0; h < FAKES_HUBS; h++)
		if (is_worker_wanted(h))
			add(&l, WORLD_WORKER, h, 0);
	for (unsigned line = 0; line < FAKES_HUBS * FAKES_LINES; line++)
		if (line_at(line) && truth_works[line / FAKES_LINES][line % FAKES_LINES].busy)
			add_results(&l, line);
	if (fakes_loop_next_ms())
		add(&l, WORLD_TIME, 0, 0);
	for (unsigned n = 0; n < w.scenario->message_count; n++) {
		add_operator(&l, n);
		if (!(w.brought >> n & 1))
			add(&l, WORLD_BRING, n, 0);
	}
	if (!w.stopping && !is_all_read())
		add(&l, WORLD_READ, 0, 0);
	add(&l, WORLD_NO_SPACE, 0, 0);
	add(&l, WORLD_NO_OPEN, 0, 0);
	if (!disk_was_away()) /* for longer than a moment it is missing */
		add(&l, WORLD_AWAY, 0, 0);
	if (!w.stopping)
		add(&l, WORLD_STOP, 0, 0);
	else
		l.out[l.count++] = (struct world_event){ WORLD_STOPPED, 0, 0 };
	add(&l, WORLD_KILL, 0, 0);
	for (unsigned u = 0; u <= disk_unsynced(); u++)
		add(&l, WORLD_POWER, u, 0);
	for (unsigned u = 0; u + 1 < disk_unsynced(); u++)
		add(&l, WORLD_POWER_HOLE, u, 0);
	for (unsigned n = 0; n < w.scenario->message_count; n++)
		if (disk_may_come_back(n))
			add(&l, WORLD_BACK, n, 0);
	return l.count;
}

static void pass_time(void)
{
	int64_t next = fakes_loop_next_ms();

	if (next > fakes_now_ms)
		fakes_now_ms = next;
}

static void stop(void)
{
	w.stopping = true;
	agents_stop(w.agents);
}

/* Either all jobs have ended, or queued's patience: what agents do then it never learns. */
static void stopped(void)
{
	journal_stop(&w.journal);
	journal_stop(&w.journal); /* a disk without room has some again */
	disk_stop(w.disk.unknown);
	truth_all_written();
	start_again();
}

static void come_back(unsigned n)
{
	disk_come_back(n);
	start_again();
}

static void remove_by_hand(unsigned n)
{
	disk_unlink(n);
	truth_removed(n);
}

/* One that had all its ends in the file is over when it is looked at. */
static void steer(struct world_event e)
{
	struct message *m = named(e.a);

	if (m == NULL)
		return;
	if (e.type == WORLD_HOLD || e.type == WORLD_RELEASE) {
		messages_hold(w.messages, m, e.type == WORLD_HOLD);
	} else if (e.type == WORLD_AGAIN) {
		messages_forgive(w.messages);
		messages_retry(w.messages, m);
	} else {
		truth_removed(e.a);
		messages_remove(w.messages, m);
	}
}

static void do_event(struct world_event e)
{
	switch ((enum world_type)e.type) {
	case WORLD_ANSWER: resolved_answers(w.messages, e.a, false); break;
	case WORLD_LATER: resolved_answers(w.messages, e.a, true); break;
	case WORLD_WORKER: fakes_worker_comes(&fakes_hubs[e.a]); break;
	case WORLD_TEXT:
	case WORLD_DONE:
	case WORLD_RETRY:
	case WORLD_OWN:
	case WORLD_TROUBLE:
	case WORLD_FAIL: deliver_result(line_at(e.a), e.b, (enum world_type)e.type); break;
	case WORLD_DIE: die(line_at(e.a)); break;
	case WORLD_TIME: pass_time(); break;
	case WORLD_HOLD:
	case WORLD_RELEASE:
	case WORLD_AGAIN:
	case WORLD_REMOVE: steer(e); break;
	case WORLD_NO_SPACE:
		disk_fill();
		truth_lossy();
		break;
	case WORLD_NO_OPEN: disk_refuse_open(EMFILE); break;
	case WORLD_AWAY: disk_refuse_open(ENOENT); break;
	case WORLD_DAMAGE: disk_damage(e.a); break;
	case WORLD_UNLINK: remove_by_hand(e.a); break;
	case WORLD_STOP: stop(); break;
	case WORLD_STOPPED: stopped(); break;
	case WORLD_BACK: come_back(e.a); break;
	case WORLD_KILL: start_again(); break;
	case WORLD_POWER:
		disk_cut(e.a, false);
		start_again();
		break;
	case WORLD_POWER_HOLE:
		disk_cut(e.a, true);
		start_again();
		break;
	case WORLD_BRING: bring(e.a); break;
	case WORLD_READ: read_one(); break;
	case WORLD_TYPES: break;
	}
	if (e.type >= WORLD_HOLD && e.type <= WORLD_REMOVE)
		messages_admit(w.messages);
}

void world_do(struct world_event e)
{
	if (w.left[e.type] != WORLD_ANY && w.left[e.type] > 0)
		w.left[e.type]--;
	do_event(e);
	rest();
	truth_judge();
}

/* ---- the end ---- */

/* What comes first when everybody does their work. */
static bool next(bool well, struct world_event *out)
{
	for (unsigned i = 0; i < RESOLVED_QUESTIONS; i++)
		if (resolved_is_asked(i) && !(w.fault == WORLD_QUESTION_LOST && i == 0))
			return *out = (struct world_event){ WORLD_ANSWER, (uint8_t)i, 0 }, true;
	for (unsigned line = 0; line < FAKES_HUBS * FAKES_LINES; line++) {
		const struct truth_work *k = &truth_works[line / FAKES_LINES][line % FAKES_LINES];

		for (unsigned i = 0; line_at(line) && k->busy && i < k->count; i++)
			if (!k->who[i].answered)
				return *out = (struct world_event){ well || k->report ? WORLD_DONE
					                                              : WORLD_RETRY,
					                            (uint8_t)line, (uint8_t)i },
				       true;
	}
	if (!w.stopping && !is_all_read())
		return *out = (struct world_event){ WORLD_READ, 0, 0 }, true;
	if (w.stopping)
		return *out = (struct world_event){ WORLD_STOPPED, 0, 0 }, true;
	for (unsigned h = 0; h < FAKES_HUBS; h++)
		if (is_worker_wanted(h))
			return *out = (struct world_event){ WORLD_WORKER, (uint8_t)h, 0 }, true;
	for (unsigned n = 0; n < w.scenario->message_count; n++)
		if (truth_message(n) && truth_message(n)->held)
			return *out = (struct world_event){ WORLD_RELEASE, (uint8_t)n, 0 }, true;
	if (fakes_loop_next_ms())
		return *out = (struct world_event){ WORLD_TIME, 0, 0 }, true;
	return false;
}

void world_finish(bool well)
{
	struct world_event e;

	for (unsigned turn = 0; turn < FINISH_TURNS && !world_wrong(); turn++) {
		if (w.records.count == 0 && is_all_read())
			return;
		if (!next(well, &e)) {
			truth_wrong("waits for nothing, for ever", 0, "");
			return;
		}
		if (fakes_log_shown) {
			char text[128];

			world_tell(text, sizeof text, e);
			printf("#    .. %s\n", text);
		}
		w.left[e.type] = WORLD_ANY;
		world_do(e);
	}
	if (!world_wrong())
		truth_wrong("comes to no end", 0, "");
}

void world_warm_up(const struct world_scenario *s)
{
	begin(s, WORLD_RIGHT);
	memset(w.left, WORLD_ANY, sizeof w.left);
	world_finish(true);
}

/* ---- the state as a number ---- */

static uint64_t hash_state;

static void mix(uint64_t n)
{
	hash_state = disk_mix(hash_state, n);
}

static void mix_time(int64_t at_ms)
{
	int64_t left = at_ms - fakes_now_ms;

	mix(at_ms == 0 ? 99999 : (uint64_t)(left > 20000 ? 20000 : left < -20000 ? -20000 : left));
}

static void mix_recipient(const struct recipient *r, const struct message *m)
{
	mix(r->state | (uint64_t)r->final << 4 | (uint64_t)r->relayed << 5 |
	    (uint64_t)r->listed << 6 | (uint64_t)(r->target != NULL) << 7 |
	    (uint64_t)(saying_status(r->said)[0]) << 8 |
	    (uint64_t)truth_address_number(recipient_address(m, r)) << 16);
	mix(r->own_faults);
	if (r->target && r->target->destination)
		mix(8 * schedule_window(r->target->destination) +
		    2 * schedule_standing(r->target->destination) +
		    schedule_is_down(r->target->destination, fakes_now_ms));
}

static void mix_delivery(const struct delivery *d)
{
	mix(d->report | (uint64_t)d->running << 4 | (uint64_t)d->heard << 7 |
	    (uint64_t)d->trouble << 5 | (uint64_t)d->count << 8);
	for (unsigned i = 0; i < d->count; i++)
		mix(d->who[i].index * 2 + d->who[i].answered);
}

static void mix_message(const struct message *m)
{
	if (m == NULL) {
		mix(0);
		return;
	}
	mix(m->held | m->noticed << 1 | m->removed << 2 | m->damaged << 3 | m->in_line << 5 |
	    m->admitted << 6 | m->repeats << 7 | m->report_wait << 8 | m->report_faults << 10);
	mix_time(message_put_off_s(m) ? m->born_ms + (int64_t)message_put_off_s(m) * 1000 : 0);
	mix(m->attempts * 16u + (m->in_line ? m->under_way->cursor : 0));
	mix(message_unwritten(m) != NULL);
	mix_time(m->next.place ? m->next.at_ms : 0);
	mix_time(m->born_ms);
	for (uint32_t i = 0; i < m->recipient_count; i++)
		mix_recipient(&m->recipients[i], m);
	LIST_EACH(d, message_deliveries(m), struct delivery, of_message)
		mix_delivery(d);
}

static void mix_agents(void)
{
	for (unsigned h = 0; h < FAKES_HUBS; h++) {
		mix(fakes_hubs[h].wanted > 0);
		for (unsigned l = 0; l < FAKES_LINES; l++) {
			const struct truth_work *k = &truth_works[h][l];

			mix(fakes_hubs[h].lines[l] ? 1 + k->busy : 0);
			for (unsigned i = 0; k->busy && i < k->count; i++)
				mix(k->message | k->who[i].index << 4 |
				    (unsigned)k->who[i].answered << 8 | (unsigned)k->report << 12);
		}
	}
}

uint64_t world_hash(void)
{
	hash_state = 1;
	for (unsigned n = 0; n < w.scenario->message_count; n++) {
		mix(world_is_unread(n) + 2u * (w.brought >> n & 1));
		mix_message(truth_message(n));
		mix(disk_hash(n));
	}
	mix(truth_hash());
	mix_agents();
	mix(resolved_hash());
	for (unsigned t = 0; t < WORLD_TYPES; t++)
		mix(w.left[t]);
	mix(w.trouble | (uint64_t)w.stopping << 9);
	mix_time(fakes_loop_next_ms());
	return hash_state;
}

void world_tell(char *out, unsigned size, struct world_event e)
{
	static const char *const texts[] = {
#define WORLD_TEXT_OF(name, text) text,
		WORLD_EVENTS(WORLD_TEXT_OF)
#undef WORLD_TEXT_OF
	};
	const char *text = texts[e.type];
	unsigned numbers[] = { e.a, e.b }, used = 0, len = 0;

	for (; *text && len + 4 < size; text++) {
		if (text[0] == '%' && text[1] == 'u') {
			len += (unsigned)snprintf(out + len, size - len, "%u", numbers[used++ & 1]);
			text++;
		} else {
			out[len++] = *text;
		}
	}
	out[len] = '\0';
}
