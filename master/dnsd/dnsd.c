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
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/wire/hub.h"
#include "lib/wire/tasks.h"
#include "master/dnsd/lookup.h"
#include "master/dnsd/route.h"
#include "master/dnsd/sharing.h"

enum {
	ASKERS = 2,
	LINES_MAX = SESSION_LINES_MAX,
	CACHE_SLOTS =
		4096, /* answers kept; a newer one takes the place of another with the same hash */
	QUESTIONS_MAX = 20000, /* under way for each wire */
	HOSTS_AT_ONCE = 8,     /* of one route */
	/* While there are no more, the hosts of a route that was answered in time without them are
	 * looked up all the same, for the next who asks. */
	LEFT_MAX = 256,
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
	struct sharing sharing; /* who of them is next */
	struct answer_slot cache[CACHE_SLOTS];
};

struct asker {
	struct hub_line line;
	struct request *request; /* one at a time */
};

/* A question of an asker. A route takes several lookups; those of its hosts run at the same time,
 * a few at once, so that one that is slow holds up no other. */
struct request {
	struct asker *asker; /* NULL: has gone, or has an answer */
	struct service *service;
	enum dns_type type;
	char name[DNS_NAME_MAX];
	struct timer in_time;     /* then the answer is what is known */
	struct list lookups;      /* under way */
	struct dns_answer *route; /* NULL: its exchangers are not known */
	unsigned begun;           /* of its hosts */
	enum dns_result mx;       /* of a domain without any */
	bool own_fault;           /* a host of it could not be asked about */
	bool unwanted;            /* nobody waits for it: nothing more is begun for it */
};

/* What one answer is to its request: a place in the route, or one of these. */
enum { PLACE_WHOLE = DNS_HOSTS_MAX, PLACE_EXCHANGERS, PLACE_DOMAIN };

struct lookup {
	struct task task;
	struct sharer sharer;
	struct link among; /* request->lookups */
	struct request *request;
	unsigned place;
	enum dns_type type;
	char name[DNS_NAME_MAX];
};

static struct {
	struct loop *loop;
	struct settings settings;
	struct service services[ASKERS];
} dnsd;

static const struct dns_answer own_fault = { .result = DNS_OWN_FAULT,
	                                     .text = "dnsd could not send the query" };

static void lower(char *name)
{
	for (char *p = name; *p; p++)
		*p = byte_lower(*p);
}

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

/* ---- the workers ---- */

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
	const struct lookup *l = loop_owner(task, const struct lookup, task);

	dns_question_put(out, l->type, l->name);
}

/* ---- a request ---- */

static void advance(struct request *r);

static void answer_asker(struct request *r, const struct dns_answer *answer)
{
	struct wire_out out = { 0 };

	loop_timer_clear(dnsd.loop, &r->in_time);
	if (r->asker == NULL)
		return;
	struct asker *asker = r->asker;

	r->asker = NULL;
	asker->request = NULL;
	dns_answer_put(&out, answer);
	hub_line_send(&asker->line, &out);
	wire_out_free(&out);
}

static void answer_with_route(struct request *r)
{
	route_conclude(r->route, r->name, r->own_fault);
	answer_asker(r, r->route);
}

static bool take_from_cache(struct request *r, enum dns_type type, const char *name,
                            struct dns_answer *answer)
{
	const struct answer_slot *slot = slot_of(r->service, type, name);
	struct view packet = text_view(&slot->packet.bytes);
	struct wire_in in = { .type = packet.len ? (unsigned char)packet.data[0] : 0,
		              .rest = view_skip(packet, 1) };

	return is_fresh(slot, type, name) && dns_answer_get(&in, answer);
}

static void known(struct request *r, unsigned place, struct dns_answer *answer);

/* false: there are too many. */
static bool wait_for_worker(struct service *s, struct lookup *l)
{
	const struct answer_slot *slot = slot_of(s, l->type, l->name);

	if (sharing_count(&s->sharing) >= QUESTIONS_MAX)
		return false;
	sharing_add(&s->sharing, &l->sharer, l->name,
	            slot->type == l->type && strcmp(slot->name, l->name) == 0);
	tasks_come(&s->lookups);
	return true;
}

static void look_up(struct request *r, enum dns_type type, const char *name, unsigned place)
{
	static struct dns_answer answer;

	if (take_from_cache(r, type, name, &answer)) {
		known(r, place, &answer);
		return;
	}
	struct lookup *l = memory_get(sizeof *l);

	l->type = type;
	string_put(l->name, sizeof l->name, view_of(name));
	l->request = r;
	l->place = place;
	if (wait_for_worker(r->service, l)) {
		list_add_last(&r->lookups, &l->among);
		return;
	}
	free(l);
	answer = own_fault;
	known(r, place, &answer);
}

/* One lookup of it has come to this. */
static void known(struct request *r, unsigned place, struct dns_answer *answer)
{
	bool no_mx = answer->result == DNS_NO_HOST || answer->result == DNS_NO_DOMAIN;

	if (place < DNS_HOSTS_MAX) {
		route_take(r->route, place, answer);
		r->own_fault = r->own_fault || answer->result == DNS_OWN_FAULT;
	} else if (place == PLACE_EXCHANGERS && answer->result == DNS_FOUND) {
		r->route = memory_get(sizeof *r->route);
		*r->route = *answer;
		route_begin(r->route);
	} else if (place == PLACE_EXCHANGERS && no_mx && !r->unwanted) {
		r->mx = answer->result;
		look_up(r, DNS_ADDRESS, r->name, PLACE_DOMAIN);
	} else {
		if (place == PLACE_DOMAIN)
			route_without_mx(answer, r->name, r->mx);
		answer_asker(r, answer);
	}
}

/* Whatever can be begun is; a request that is done with is freed. */
static void advance(struct request *r)
{
	while (r->route && !r->unwanted && r->begun < r->route->host_count &&
	       r->lookups.count < HOSTS_AT_ONCE) {
		unsigned host = r->begun++;

		look_up(r, DNS_ADDRESS, r->route->hosts[host].name, host);
	}
	if (r->lookups.count > 0)
		return;
	if (r->asker != NULL)
		answer_with_route(r);
	free(r->route);
	free(r);
}

/* Nobody waits for it any more, nor shall others behind what it waits for. What is being looked up
 * already is kept for the next who asks. */
static void want_no_more(struct request *r)
{
	r->unwanted = true;
	LIST_EACH(l, &r->lookups, struct lookup, among) {
		if (!task_is_under_way(&l->task)) {
			sharing_leave(&l->sharer);
			list_remove(&l->among);
			free(l);
		}
	}
	advance(r);
}

static void answer_later(struct request *r)
{
	struct dns_answer *none = memory_get(sizeof *none);

	none->result = DNS_LATER;
	string_print_cut(none->text, sizeof none->text, "%s: the name servers do not respond",
	                 r->name);
	answer_asker(r, none);
	free(none);
}

static void time_is_over(struct timer *timer)
{
	struct request *r = loop_owner(timer, struct request, in_time);
	bool kept = r->route && sharing_count(&r->service->sharing) <= LEFT_MAX;

	if (r->route)
		answer_with_route(r);
	else
		answer_later(r);
	if (!kept)
		want_no_more(r);
}

/* ---- lookups ---- */

static void end(struct lookup *l, struct dns_answer *answer)
{
	struct request *r = l->request;

	sharing_leave(&l->sharer);
	list_remove(&l->among);
	known(r, l->place, answer);
	free(l);
	advance(r);
}

static void lookup_lost(struct task *task)
{
	static struct dns_answer answer;

	answer = own_fault;
	end(loop_owner(task, struct lookup, task), &answer);
}

static void keep(const struct lookup *l, const struct dns_answer *answer)
{
	struct answer_slot *slot = slot_of(l->request->service, l->type, l->name);
	/* A worker that was taken over may say any number. */
	uint32_t ttl_s = answer->ttl_s < LOOKUP_TTL_MAX_S ? answer->ttl_s : LOOKUP_TTL_MAX_S;

	slot->type = l->type;
	memcpy(slot->name, l->name, sizeof slot->name);
	slot->until_ms = loop_now_ms(dnsd.loop) + (int64_t)ttl_s * 1000;
	dns_answer_put(&slot->packet, answer);
}

static bool lookup_answered(struct task *task, struct wire_in *in)
{
	static struct dns_answer answer;
	struct lookup *l = loop_owner(task, struct lookup, task);

	if (!dns_answer_get(in, &answer))
		return false;
	for (unsigned i = 0; i < answer.host_count; i++)
		lower(answer.hosts[i].name);
	/* What the servers could not tell is asked again soon, not remembered. */
	if (answer.result != DNS_LATER && answer.result != DNS_OWN_FAULT)
		keep(l, &answer);
	end(l, &answer);
	return true;
}

/* ---- askers ---- */

static void ask(struct asker *a, enum dns_type type, const char *name)
{
	struct request *r = memory_get(sizeof *r);

	r->asker = a;
	r->service = loop_owner(a->line.server, struct service, hub);
	r->type = type;
	string_put(r->name, sizeof r->name, view_of(name));
	r->in_time.due = time_is_over;
	a->request = r;
	if (type == DNS_ROUTE)
		look_up(r, DNS_EXCHANGERS, name, PLACE_EXCHANGERS);
	else
		look_up(r, type, name, PLACE_WHOLE);
	if (r->asker != NULL)
		loop_timer_set(dnsd.loop, &r->in_time, loop_now_ms(dnsd.loop) + DNS_IN_TIME_MS);
	advance(r);
}

static void asker_said(struct hub_line *line, struct wire_in *in)
{
	struct asker *a = (struct asker *)line;
	char name[DNS_NAME_MAX];
	enum dns_type type;

	if (a->request != NULL || !dns_question_get(in, &type, name) || type == DNS_EXCHANGERS) {
		hub_line_drop(line, "invalid question");
		return;
	}
	lower(name);
	ask(a, type, name);
}

static void asker_gone(struct hub_line *line)
{
	struct request *r = ((struct asker *)line)->request;

	if (r == NULL)
		return;
	r->asker = NULL;
	loop_timer_clear(dnsd.loop, &r->in_time);
	want_no_more(r);
}

static bool asker_busy(const struct hub_line *line)
{
	return ((const struct asker *)line)->request != NULL;
}

/* ---- order of service ---- */

static struct task *next_lookup(struct tasks *tasks)
{
	struct service *s = loop_owner(tasks, struct service, lookups);
	struct sharer *next = sharing_next(&s->sharing);

	return next != NULL ? &loop_owner(next, struct lookup, sharer)->task : NULL;
}

static void lookup_taken(struct task *task)
{
	struct lookup *l = loop_owner(task, struct lookup, task);

	sharing_taken(&l->request->service->sharing, &l->sharer);
}

static void start_lookups(struct service *service)
{
	service->lookups = (struct tasks){ .loop = dnsd.loop,
		                           .workers_max = SHARING_WORKERS + SHARING_KEPT,
		                           .timeout_ms = LOOKUP_TIMEOUT_MS,
		                           .profile = { .promises = SANDBOX_CONNECT },
		                           .work = work,
		                           .put = put,
		                           .answered = lookup_answered,
		                           .lost = lookup_lost,
		                           .next = next_lookup,
		                           .taken = lookup_taken };
	sharing_start(&service->sharing);
	tasks_start(&service->lookups);
}

static void serve(unsigned place, const char *wire, const int *workers_max)
{
	struct service *service = &dnsd.services[place];

	start_lookups(service);
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
	srandom((unsigned)getpid());
	settings_inherit(&dnsd.settings);
	if (lookup_open(dnsd.settings.dns_server, &why) < 0)
		log_fatal("%s", why.text);
	bounds_confine("dnsd", &dnsd.settings, &profile);
	dnsd.loop = loop_new();
	serve(0, "remote.dns", &dnsd.settings.remote_agents_max);
	serve(1, "smtpd.dns", &dnsd.settings.smtpd_sessions_max);
	hubs_serve(dnsd.loop);
	return EXIT_DONE;
}
