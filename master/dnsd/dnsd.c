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

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/settings.h"
#include "lib/wire/hub.h"
#include "lib/wire/jail.h"
#include "master/dnsd/lookup.h"

enum {
	WORKERS_MAX = 32,
	LINES_MAX = 4096,
	CACHE_SLOTS =
		4096, /* answers kept; a newer one takes the place of another with the same hash */
	WAITING_MAX = 20000 /* questions under way */
};

struct answer_slot {
	enum dns_type type;
	char name[DNS_NAME_MAX];
	int64_t until_ms;
	struct wire_out packet; /* the encoded answer */
};

struct asker {
	struct hub_line line;
	struct question *question; /* one at a time */
};

struct question {
	enum dns_type type;
	char name[DNS_NAME_MAX];
	struct asker *asker; /* NULL: has gone */
	struct question *next;
};

struct worker {
	struct watch watch;
	pid_t pid; /* 0: place free */
	struct question *question;
};

static struct {
	struct loop *loop;
	struct settings settings;
	struct hub servers[2];
	struct worker workers[WORKERS_MAX];
	struct question *first, **last;
	unsigned waiting;
	struct answer_slot cache[CACHE_SLOTS];
} dnsd;

static struct answer_slot *slot_of(enum dns_type type, const char *name)
{
	uint32_t hash = view_hash(HASH_START ^ (uint32_t)type, view_of(name));

	return &dnsd.cache[hash % CACHE_SLOTS];
}

static bool is_fresh(const struct answer_slot *slot, enum dns_type type, const char *name)
{
	return slot->type == type && slot->until_ms > loop_now_ms(dnsd.loop) &&
	       strcmp(slot->name, name) == 0;
}

/* ---- workers ---- */

static void worker_main(int hub)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_CONNECT };
	struct dns_answer answer;
	struct wire_out out = { 0 };
	char name[DNS_NAME_MAX];
	enum dns_type type;
	struct wire_in in;

	jail_enter(&profile);
	srandom((unsigned)getpid());
	while (wire_receive(hub, &in) == WIRE_OK && dns_question_get(&in, &type, name)) {
		lookup(type, name, &answer);
		dns_answer_put(&out, &answer);
		if (wire_send(hub, &out) != WIRE_OK)
			break;
	}
	exit(EXIT_DONE);
}

static void finish(struct question *q, const struct wire_out *packet)
{
	if (q->asker != NULL) {
		q->asker->question = NULL;
		hub_line_send(&q->asker->line, packet);
	}
	dnsd.waiting--;
	free(q);
}

static void answer_later(struct question *q)
{
	struct dns_answer answer = { .result = DNS_LATER, .text = "dnsd could not send the query" };
	struct wire_out out = { 0 };

	dns_answer_put(&out, &answer);
	finish(q, &out);
	wire_out_free(&out);
}

static void give_work(void);

static void worker_lost(struct worker *w)
{
	struct question *q = w->question;

	loop_unwatch(dnsd.loop, &w->watch);
	close(w->watch.fd);
	w->pid = 0;
	w->question = NULL;
	if (q != NULL)
		answer_later(q);
}

static void keep(const struct question *q, const struct dns_answer *answer)
{
	struct answer_slot *slot = slot_of(q->type, q->name);

	slot->type = q->type;
	memcpy(slot->name, q->name, sizeof slot->name);
	slot->until_ms = loop_now_ms(dnsd.loop) + (int64_t)answer->ttl_s * 1000;
	dns_answer_put(&slot->packet, answer);
}

static void worker_said(struct watch *watch, unsigned events)
{
	struct worker *w = loop_owner(watch, struct worker, watch);
	struct question *q = w->question;
	static struct dns_answer answer;
	struct wire_in in;
	enum wire_result r = wire_receive_now(watch->fd, &in);

	(void)events;
	if (r == WIRE_AGAIN)
		return;
	bool answered = r == WIRE_OK && q != NULL && dns_answer_get(&in, &answer);

	/* An answer carries no descriptor; those of a captured worker must not pile up. */
	if (r == WIRE_OK)
		wire_in_close(&in);
	if (!answered) {
		worker_lost(w);
	} else {
		w->question = NULL;
		/* What the servers could not tell is asked again soon, not remembered. */
		if (answer.result != DNS_LATER) {
			keep(q, &answer);
			finish(q, &slot_of(q->type, q->name)->packet);
		} else {
			struct wire_out out = { 0 };

			dns_answer_put(&out, &answer);
			finish(q, &out);
			wire_out_free(&out);
		}
	}
	give_work();
}

static bool start_worker(struct worker *w)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		return false;
	pid_t pid = jail_fork(&ends[1], 1, SIGKILL);

	if (pid == 0)
		worker_main(ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return false;
	}
	w->pid = pid;
	w->question = NULL;
	w->watch.fd = ends[0];
	w->watch.ready = worker_said;
	loop_watch(dnsd.loop, &w->watch, LOOP_READ);
	return true;
}

static struct worker *free_worker(void)
{
	struct worker *place = NULL;

	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		struct worker *w = &dnsd.workers[i];

		if (w->pid && w->question == NULL)
			return w;
		if (w->pid == 0 && place == NULL)
			place = w;
	}
	return place != NULL && start_worker(place) ? place : NULL;
}

static void give_work(void)
{
	struct worker *w;

	while (dnsd.first != NULL && (w = free_worker()) != NULL) {
		struct question *q = dnsd.first;
		struct wire_out out = { 0 };

		dnsd.first = q->next;
		if (dnsd.first == NULL)
			dnsd.last = &dnsd.first;
		w->question = q;
		dns_question_put(&out, q->type, q->name);
		if (wire_send_now(w->watch.fd, &out) != WIRE_OK)
			worker_lost(w);
		wire_out_free(&out);
	}
}

/* ---- askers ---- */

static void ask(struct asker *a, enum dns_type type, const char *name)
{
	struct answer_slot *slot = slot_of(type, name);

	if (is_fresh(slot, type, name)) {
		hub_line_send(&a->line, &slot->packet);
		return;
	}
	struct question *q = memory_get(sizeof *q);

	q->type = type;
	memcpy(q->name, name, strlen(name) + 1);
	q->asker = a;
	a->question = q;
	dnsd.waiting++;
	if (dnsd.waiting > WAITING_MAX) {
		answer_later(q);
		return;
	}
	*dnsd.last = q;
	dnsd.last = &q->next;
	give_work();
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
	struct asker *a = (struct asker *)line;

	if (a->question != NULL)
		a->question->asker = NULL;
}

static bool asker_busy(const struct hub_line *line)
{
	return ((const struct asker *)line)->question != NULL;
}

/* ---- order of service ---- */

static void reap(int number, void *context)
{
	(void)number;
	(void)context;
	/* The end of its line tells which worker it was. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void serve(unsigned place, const char *wire)
{
	dnsd.servers[place] = (struct hub){ .loop = dnsd.loop,
		                            .protocol = "dns",
		                            .line_size = sizeof(struct asker),
		                            .lines_max = LINES_MAX,
		                            .message = asker_said,
		                            .closed = asker_gone,
		                            .busy = asker_busy };
	hub_start(&dnsd.servers[place], program_need_fd(wire));
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
	dnsd.last = &dnsd.first;
	loop_signal(dnsd.loop, SIGCHLD, reap, NULL);
	serve(0, "remote.dns");
	serve(1, "smtpd.dns");
	hubs_serve(dnsd.loop);
	return EXIT_DONE;
}
