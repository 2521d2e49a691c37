/* SPDX-License-Identifier: ISC */
/*
 * dnsd: answers whole questions about the DNS ("where does mail for this domain go"), so that no
 * other program sees a DNS packet.
 *
 * It runs as its own uid in an empty jail and may do nothing but talk to name servers. It trusts
 * the names it is asked about no further than to put them into a question, and treats every packet
 * as hostile. The asking is done by workers, which block in the C library's resolver, one question
 * each; this parent keeps the answers for their lifetime and never waits.
 *
 * Who owns it can send our mail elsewhere (as any forger of DNS can), but reads no message and no
 * file.
 */
#include "lib/wire/dns.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/settings.h"
#include "lib/wire/hub.h"
#include "lib/wire/tasks.h"
#include "master/dnsd/lookup.h"

enum {
	ASKERS = 2,
	WORKERS_MAX = 32, /* for each wire */
	LINES_MAX = SESSION_LINES_MAX,
	CACHE_SLOTS =
		4096, /* answers kept; a newer one takes the place of another with the same hash */
	QUESTIONS_MAX = 20000, /* under way for each wire */
	/* Nobody waits for so long; a worker that was taken over shall not keep its place. */
	LOOKUP_TIMEOUT_MS = 600000
};

struct answer_slot {
	enum dns_type type;
	char name[DNS_NAME_MAX];
	int64_t until_ms;
	struct wire_out packet; /* the encoded answer */
};

/* Who asks. Strangers decide about the questions of smtpd, which are about them: these take neither
 * a worker nor a place in the cache from those of remote, which are about where mail goes. */
struct service {
	struct hub hub;
	struct tasks lookups;
	struct answer_slot cache[CACHE_SLOTS];
};

struct asker {
	struct hub_line line;
	struct question *question; /* one at a time */
};

struct question {
	struct task task;
	enum dns_type type;
	char name[DNS_NAME_MAX];
	struct asker *asker; /* NULL: has gone */
	struct service *service;
};

static struct {
	struct loop *loop;
	struct settings settings;
	struct service services[ASKERS];
} dnsd;

static struct answer_slot *slot_of(struct service *s, enum dns_type type, const char *name)
{
	uint32_t hash = view_hash(HASH_START ^ (uint32_t)type, view_of(name));

	return &s->cache[hash % CACHE_SLOTS];
}

static bool is_fresh(const struct answer_slot *slot, enum dns_type type, const char *name)
{
	return slot->type == type && slot->until_ms > loop_now_ms(dnsd.loop) &&
	       strcmp(slot->name, name) == 0;
}

/* ---- lookups ---- */

static void begin(void)
{
	srandom((unsigned)getpid());
}

static bool work(struct wire_in *in, struct wire_out *out)
{
	static struct dns_answer answer;
	char name[DNS_NAME_MAX];
	enum dns_type type;

	if (!dns_question_get(in, &type, name))
		return false;
	lookup(type, name, &answer);
	dns_answer_put(out, &answer);
	return true;
}

static void put(const struct task *task, struct wire_out *out)
{
	const struct question *q = loop_owner(task, const struct question, task);

	dns_question_put(out, q->type, q->name);
}

static void finish(struct question *q, const struct wire_out *packet)
{
	if (q->asker != NULL) {
		q->asker->question = NULL;
		hub_line_send(&q->asker->line, packet);
	}
	free(q);
}

static void finish_with(struct question *q, const struct dns_answer *answer)
{
	struct wire_out out = { 0 };

	dns_answer_put(&out, answer);
	finish(q, &out);
	wire_out_free(&out);
}

static void answer_unasked(struct task *task)
{
	static const struct dns_answer answer = { .result = DNS_OWN_FAULT,
		                                  .text = "dnsd could not send the query" };

	finish_with(loop_owner(task, struct question, task), &answer);
}

static void keep(const struct question *q, const struct dns_answer *answer)
{
	struct answer_slot *slot = slot_of(q->service, q->type, q->name);
	/* A worker that was taken over may say any number. */
	uint32_t ttl_s = answer->ttl_s < LOOKUP_TTL_MAX_S ? answer->ttl_s : LOOKUP_TTL_MAX_S;

	slot->type = q->type;
	memcpy(slot->name, q->name, sizeof slot->name);
	slot->until_ms = loop_now_ms(dnsd.loop) + (int64_t)ttl_s * 1000;
	dns_answer_put(&slot->packet, answer);
}

static bool answered(struct task *task, struct wire_in *in)
{
	static struct dns_answer answer;
	struct question *q = loop_owner(task, struct question, task);

	if (!dns_answer_get(in, &answer))
		return false;
	/* What the servers could not tell is asked again soon, not remembered. */
	if (answer.result == DNS_LATER || answer.result == DNS_OWN_FAULT) {
		finish_with(q, &answer);
	} else {
		keep(q, &answer);
		finish(q, &slot_of(q->service, q->type, q->name)->packet);
	}
	return true;
}

/* ---- askers ---- */

static void ask(struct asker *a, enum dns_type type, const char *name)
{
	struct service *service = loop_owner(a->line.server, struct service, hub);
	struct answer_slot *slot = slot_of(service, type, name);

	if (is_fresh(slot, type, name)) {
		hub_line_send(&a->line, &slot->packet);
		return;
	}
	struct question *q = memory_get(sizeof *q);

	q->type = type;
	memcpy(q->name, name, strlen(name) + 1);
	q->asker = a;
	q->service = service;
	a->question = q;
	if (!tasks_submit(&service->lookups, &q->task))
		answer_unasked(&q->task);
}

static void asker_said(struct hub_line *line, struct wire_in *in)
{
	struct asker *a = (struct asker *)line;
	char name[DNS_NAME_MAX];
	enum dns_type type;

	if (a->question != NULL || !dns_question_get(in, &type, name)) {
		hub_line_drop(line, "invalid question");
		return;
	}
	for (char *p = name; *p; p++)
		*p = byte_lower(*p);
	ask(a, type, name);
}

static void asker_gone(struct hub_line *line)
{
	struct question *q = ((struct asker *)line)->question;

	if (q == NULL)
		return;
	q->asker = NULL;
	/* What is being looked up already is kept for the next who asks. */
	if (task_waits(&q->task)) {
		task_cancel(&q->task);
		free(q);
	}
}

static bool asker_busy(const struct hub_line *line)
{
	return ((const struct asker *)line)->question != NULL;
}

/* ---- order of service ---- */

static void look_up(struct service *service)
{
	service->lookups = (struct tasks){ .loop = dnsd.loop,
		                           .workers_max = WORKERS_MAX,
		                           .tasks_max = QUESTIONS_MAX,
		                           .timeout_ms = LOOKUP_TIMEOUT_MS,
		                           .profile = { .promises = SANDBOX_CONNECT },
		                           .begin = begin,
		                           .work = work,
		                           .put = put,
		                           .answered = answered,
		                           .lost = answer_unasked };
	tasks_start(&service->lookups);
}

static void serve(unsigned place, const char *wire, const int *workers_max)
{
	struct service *service = &dnsd.services[place];

	look_up(service);
	service->hub = (struct hub){ .loop = dnsd.loop,
		                     .protocol = "dns",
		                     .line_size = sizeof(struct asker),
		                     .lines_max = LINES_MAX,
		                     .workers_max = workers_max,
		                     .message = asker_said,
		                     .closed = asker_gone,
		                     .busy = asker_busy };
	hub_start(&service->hub, program_need_fd(wire));
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises =
		                                                SANDBOX_CONNECT | SANDBOX_FORK };
	struct reason why;

	program_start("dnsd");
	settings_inherit(&dnsd.settings);
	if (lookup_open(dnsd.settings.dns_server, &why) < 0)
		log_fatal("%s", why.text);
	program_confine(&profile);
	dnsd.loop = loop_new();
	serve(0, "remote.dns", &dnsd.settings.remote_agents_max);
	serve(1, "smtpd.dns", &dnsd.settings.smtpd_sessions_max);
	hubs_serve(dnsd.loop);
	return EXIT_DONE;
}
