/* SPDX-License-Identifier: ISC */
/*
 * remote: delivers to other hosts, over SMTP or LMTP.
 *
 * It runs as its own uid in an empty jail, without any file; queued gives it a message's
 * descriptor, the recipients and the next hops (or the domain whose mail exchangers are to be asked
 * of dnsd), and hears for every recipient: done, retry or failed, with the other side's words. It
 * trusts queued and dnsd; what the other side says is read as answers of SMTP and nothing else.
 *
 * Whoever owns it reads the messages that go out meanwhile, and can speak SMTP with the world.
 *
 * A worker keeps its connection for a moment (remote.timeout-idle), so that further mail to the
 * same hop costs no new one; one on which anything has come meanwhile is not used again. Hosts are
 * tried in order until one answers: what is refused for now, and an exchanger that wants no mail of
 * ours at all, leads to the next; what is said of a message or a recipient for good counts, unless
 * a better host may know better, for which so many refusals wait (candidates.h).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver/remote/candidates.h"
#include "deliver/remote/conversation.h"
#include "deliver/remote/destination.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/base/utf8.h"
#include "lib/conf/settings.h"
#include "lib/queue/checksum.h"
#include "lib/wire/worker.h"

enum {
	MESSAGES_PER_CONNECTION = 100,
	HOSTS_ASKED_MAX = 2, /* by one attempt, of those that answer for a recipient or the text */
	LET_IN_MS = 60000    /* who refuses us so soon after a connection minds how often */
};

static struct settings settings;
static struct conversation_limits limits;
static struct conversation kept = { .stream = { .fd = -1 } };
static struct resolve_route kept_route; /* where `kept` leads */
static struct net_address let_in_by;    /* the last one before it, until when it counts */
static int64_t let_in_until_ms;

/* ---- where to ---- */

static bool is_kept_route(const struct resolve_route *r)
{
	bool same = r->lmtp == kept_route.lmtp && r->hop_count == kept_route.hop_count &&
	            strcmp(r->domain, kept_route.domain) == 0;

	for (unsigned i = 0; same && i < r->hop_count; i++)
		same = r->hops[i].port == kept_route.hops[i].port &&
		       strcmp(r->hops[i].host, kept_route.hops[i].host) == 0;
	return same;
}

/* ---- delivering ---- */

static bool is_at(const struct net_address *a, const struct net_address *b)
{
	return net_address_equal(a, b) && a->port == b->port;
}

static void let_go(void)
{
	if (kept.stream.fd >= 0) {
		let_in_by = kept.to;
		let_in_until_ms = clock_ms() + LET_IN_MS;
	}
	conversation_close(&kept);
	kept.host[0] = kept.address[0] = '\0';
}

static bool open_one(const struct candidate *to, const struct job *job, struct reply *reply)
{
	enum conversation_result result = CONVERSATION_NO_TLS;

	/* A host whose TLS does not work gets the message in clear: it would have, had it not
	 * offered TLS. */
	for (int without_tls = 0; without_tls < 2 && result == CONVERSATION_NO_TLS; without_tls++) {
		result = conversation_open(&kept, &to->address, to->host, job->route.lmtp,
		                           settings.host_name, without_tls, &limits, reply);
		if (result == CONVERSATION_REFUSED &&
		    (without_tls ||
		     (is_at(&to->address, &let_in_by) && clock_ms() < let_in_until_ms)))
			reply_is_for_now(reply); /* it let us in a moment ago */
		if (result == CONVERSATION_NO_TLS)
			log_info("id=%s event=no-tls host=%s reason=\"%s\"", job->id,
			         log_quote(view_of(to->host)), log_text(view_of(reply->text)));
	}
	return result == CONVERSATION_OPEN;
}

/* An exchanger that calls itself by our name is ourselves, under whatever name DNS has us: what we
 * give it comes back, as a stranger's mail. A hop is an operator's word, and may be another server
 * of this machine. */
static bool is_loop(const struct job *job)
{
	return kept.ourselves && job->route.domain[0];
}

/* Is it the destination as a whole? One that speaks of the message is there, and so is a name that
 * leads nowhere, for good. */
static bool is_host_trouble(const struct candidates *why)
{
	return why->kind == CANDIDATES_NONE || why->kind == CANDIDATES_LATER ||
	       (why->kind == CANDIDATES_REFUSED && why->said_by[0]);
}

/* The same for all recipients: none was reached. */
static void fail_all(struct job_result *results, unsigned count, const struct candidates *why,
                     bool unknown)
{
	for (unsigned i = 0; i < count; i++) {
		results[i] =
			(struct job_result){ .outcome = reply_outcome(&why->trouble),
			                     .host_trouble = is_host_trouble(why),
			                     .before_text = reply_for_good(&why->trouble),
			                     .unknown = unknown && reply_for_good(&why->trouble) };
		string_put(results[i].status, sizeof results[i].status,
		           view_of(why->trouble.status));
		string_put(results[i].text, sizeof results[i].text, view_of(why->trouble.text));
		string_put(results[i].remote_host, sizeof results[i].remote_host,
		           view_of(why->said_by));
	}
}

/* A job on its way: who is answered for leaves `recipients`; there is always one left, whose answer
 * ends the job. */
struct delivery {
	const struct job *job;
	int queued;
	int64_t began_ms;
	struct job_recipient recipients[JOB_RECIPIENTS_MAX];
	struct job_result results[JOB_RECIPIENTS_MAX]; /* of recipients[i] */
	bool contested[JOB_RECIPIENTS_MAX];            /* of recipients[i], by any host so far */
	unsigned count;
	unsigned asked;    /* hosts that have put these recipients off */
	bool ends_with_it; /* the connection: it came to this host since another put it off */
	struct net_address put_off_at; /* the last of these; family 0: none */
};

static const char *tls_facts(void)
{
	static char facts[128];

	if (kept.tls == NULL)
		return "none";
	clienttls_facts(kept.tls, facts, sizeof facts);
	return facts;
}

static void tell(const struct delivery *d, unsigned i)
{
	const struct job_result *r = &d->results[i];
	const char *host = kept.host[0] ? kept.host : r->remote_host[0] ? r->remote_host : "none";
	static const char *const events[] = { [JOB_DONE] = "sent",
		                              [JOB_RETRY] = "deferred",
		                              [JOB_FAILED] = "failed",
		                              [JOB_OWN_FAULT] = "deferred" };

	log_info(
		"id=%s event=%s to=<%s> status=%s host=%s address=%s tls=%s duration_ms=%lld text=\"%s\"",
		d->job->id, events[r->outcome], log_quote(view_of(d->recipients[i].to.address)),
		r->status, host, kept.address[0] ? kept.address : "none", tls_facts(),
		(long long)(clock_ms() - d->began_ms), log_text(view_of(r->text)));
}

static void answer(struct delivery *d, unsigned i, bool last)
{
	struct job_result *r = &d->results[i];

	r->index = d->recipients[i].index;
	r->last = last;
	r->contested = r->outcome == JOB_RETRY && d->contested[i];
	tell(d, i);
	if (last && (kept.broken || d->ends_with_it))
		let_go();
	job_answer(d->queued, r);
}

static void answer_from(struct delivery *d, unsigned first)
{
	for (unsigned i = first; i < d->count; i++)
		answer(d, i, false);
	d->count = first;
}

static bool send_kept(struct delivery *d, struct reply *reply)
{
	kept.wanted_by = d->queued;
	return conversation_send(&kept, d->job, d->recipients, d->count, &limits, d->results,
	                         reply);
}

/* The others are answered for. What is done is told at once: an agent that dies in the middle makes
 * one transaction twice, not all. */
static void leave(struct delivery *d, const bool *stays)
{
	unsigned left = 0;

	for (unsigned i = 0; i < d->count; i++) {
		if (!stays[i]) {
			answer(d, i, false);
			continue;
		}
		d->recipients[left] = d->recipients[i];
		d->contested[left] = d->contested[i];
		d->results[left++] = d->results[i];
	}
	d->count = left;
}

/* Some have it, and the host wants the others in a transaction of their own. Leaves those. */
static bool leave_rest(struct delivery *d)
{
	unsigned left = 0, done = 0;

	for (unsigned i = 0; i < d->count; i++) {
		left += kept.no_room[i];
		done += d->results[i].outcome == JOB_DONE;
	}
	if (left == 0 || done == 0 || kept.broken)
		return false;
	leave(d, kept.no_room);
	return true;
}

/* RFC 5321 section 4.5.3.1.10. Each time there are fewer; who comes to nothing here waits. */
static void send_rest(struct delivery *d)
{
	struct reply reply;

	while (leave_rest(d)) {
		kept.kept = false; /* it has just shown that it is there */
		kept.took = true;
		if (!send_kept(d, &reply))
			break;
	}
	kept.took = false;
}

static bool try_kept(struct delivery *d)
{
	struct reply reply;

	if (kept.stream.fd < 0)
		return false;
	/* It may have been ended on the other side meanwhile, or be ended just now: then nothing is
	 * settled and a new one is opened. */
	if (!is_kept_route(&d->job->route) || kept.messages >= MESSAGES_PER_CONNECTION) {
		let_go();
		return false;
	}
	kept.kept = true;
	kept.waits = false;
	if (!send_kept(d, &reply))
		return false;
	kept.waits = kept.worse; /* the better ones were not asked this time */
	send_rest(d);
	return true;
}

/* true: it was open, and *settled says whether it has answered. One that breaks at a recipient may
 * do so at the same one each time: those before it are offered alone, and the others wait. */
static bool try_host(const struct candidate *to, struct delivery *d,
                     enum candidates_standing standing, struct reply *reply, bool *settled)
{
	*settled = false;
	for (int turn = 0; turn < 2; turn++) {
		if (!open_one(to, d->job, reply)) {
			if (turn > 0)
				kept.connect_error = 0; /* it was reached */
			return false;
		}
		if (is_loop(d->job))
			return true;
		kept_route = d->job->route;
		kept.took = turn > 0;
		kept.waits = standing == CANDIDATES_WAITS;
		kept.worse = standing != CANDIDATES_FIRST;
		*settled = send_kept(d, reply);
		kept.took = false;
		if (*settled || kept.bore == 0 || turn > 0)
			break;
		answer_from(d, kept.bore);
		let_go();
	}
	return true;
}

/* Those whom the host has put off, with 4yz to the recipient, to DATA or to the text: it has
 * certainly not taken the message for them. Who has no answer may have it. */
static unsigned put_off(const struct delivery *d, bool *them)
{
	unsigned count = 0;

	for (unsigned i = 0; i < d->count; i++) {
		const struct job_result *r = &d->results[i];

		them[i] = r->outcome == JOB_RETRY && r->remote_host[0] && !kept.out_of_step;
		count += them[i];
	}
	return count;
}

/* Another host may do better for them (RFC 5321 section 5.1). false: there is none, or nobody to be
 * taken to it, and all have their answers. */
static bool ask_another(struct delivery *d, const struct candidate *other)
{
	bool stays[JOB_RECIPIENTS_MAX];

	if (other == NULL || put_off(d, stays) == 0 || ++d->asked >= HOSTS_ASKED_MAX)
		return false;
	leave(d, stays);
	log_info("id=%s event=host-failed host=%s address=%s reason=\"%s\"", d->job->id,
	         log_quote(view_of(kept.host)), kept.address,
	         log_text(view_of(d->results[0].text)));
	let_go();
	return true;
}

/* Another name of the host that has put them off is no other host. */
static const struct candidate *next_host(const struct delivery *d, struct candidates *all)
{
	const struct candidate *c;

	do
		c = candidates_next(all);
	while (c != NULL && is_at(&c->address, &d->put_off_at));
	return c;
}

/* By how many refusals of each the better hosts have been waited for. */
static unsigned contested_so_far(const struct delivery *d)
{
	unsigned least = UINT8_MAX;

	for (unsigned i = 0; i < d->count; i++)
		if (d->recipients[i].contested < least)
			least = d->recipients[i].contested;
	return least;
}

/* The host has refused them, or the message, for good, and a better one may know better: not one
 * that has put them off itself, which may do so for ever. */
static void note_contested(struct delivery *d, bool all)
{
	for (unsigned i = 0; i < d->count && !d->ends_with_it; i++)
		d->contested[i] = d->contested[i] || all || d->results[i].contested;
}

/* true: it has answered for all. */
static bool try_candidate(struct delivery *d, struct candidates *all, const struct candidate *c)
{
	struct reply reply = { 0 };
	int64_t began_ms = clock_ms();
	/* What one host has put off is not returned since another one refuses it; and the next
	 * message does not begin with that one. */
	d->ends_with_it = d->asked > 0 || all->kind == CANDIDATES_MESSAGE;
	enum candidates_standing standing =
		d->ends_with_it ? CANDIDATES_WAITS : candidates_standing(all, contested_so_far(d));
	bool settled, open = try_host(c, d, standing, &reply, &settled);

	if (settled) {
		note_contested(d, false);
		send_rest(d);
		reply = (struct reply){ .code = 450 }; /* each recipient has its own */
		candidates_tried(all, clock_ms() - began_ms, 0, true, &reply);
		return true;
	}
	if (open && is_loop(d->job)) {
		candidates_are_us(all);
		destination_loops_back(all, d->job->route.ours);
		let_go();
		return false;
	}
	note_contested(d, open && kept.waits && reply.for_now);
	candidates_tried(all, clock_ms() - began_ms, kept.connect_error, open, &reply);
	log_info("id=%s event=host-failed host=%s address=%s reason=\"%s\"", d->job->id,
	         log_quote(view_of(c->host)), kept.address, log_text(view_of(reply.text)));
	let_go();
	return false;
}

static void deliver(struct delivery *d)
{
	static struct candidates all;
	bool settled = try_kept(d), them[JOB_RECIPIENTS_MAX];

	if (settled && put_off(d, them) == 0)
		return;
	if (settled) {
		leave(d, them); /* before dnsd takes its time */
	} else {
		let_go();
	}
	destination_find(&d->job->route, d->job->attempts, &settings, &all);
	for (const struct candidate *c;;) {
		if (settled) {
			d->put_off_at = kept.to;
			candidates_put_last(&all, kept.host, kept.to.port);
		}
		c = next_host(d, &all);
		if (settled && !ask_another(d, c))
			return;
		if (c == NULL)
			break;
		if (wire_is_shut(d->queued))
			exit(EXIT_TEMPORARY); /* nobody is there to be told */
		settled = try_candidate(d, &all, c);
	}
	candidates_conclude(&all);
	/* No host was there to be asked: what DNS says of a domain is true of all its addresses.
	 * That we are its host ourselves is for our operator to correct. */
	if (d->asked == 0)
		fail_all(d->results, d->count, &all,
		         all.count == 0 && d->job->route.domain[0] &&
		                 strcmp(all.trouble.status, DESTINATION_LOOP) != 0);
}

/* A host that breaks at a recipient, each time, keeps those behind it waiting: at another attempt
 * they are before it. */
static void turn_recipients(struct delivery *d)
{
	static struct job_recipient turned[JOB_RECIPIENTS_MAX];

	for (unsigned i = 0; i < d->count; i++)
		turned[i] = d->recipients[(i + d->job->attempts) % d->count];
	memcpy(d->recipients, turned, d->count * sizeof *turned);
}

/* To say such an address without SMTPUTF8 breaks the protocol (RFC 6531 section 3.4), and hosts
 * that go by it refuse it. The build lets none into a map; the queue of a version before may have
 * some, and configurations of that time. */
static bool is_not_ascii(const struct delivery *d, unsigned i)
{
	return !utf8_is_ascii(view_of(d->recipients[i].to.address)) ||
	       !utf8_is_ascii(view_of(d->job->envelope.sender));
}

static void refuse_not_ascii(struct job_result *r)
{
	*r = (struct job_result){ .outcome = JOB_FAILED, .before_text = true };
	string_put(r->status, sizeof r->status, VIEW("5.6.7")); /* RFC 6531 section 3.5 */
	string_put(r->text, sizeof r->text,
	           VIEW("the address is not ASCII, and SMTPUTF8 is not supported; use an address "
	                "in ASCII"));
}

/* Those to whom the message can be sent come first. Their number; the others are refused. */
static unsigned part_not_ascii(struct delivery *d)
{
	unsigned left = 0;

	for (unsigned i = 0; i < d->count; i++) {
		if (is_not_ascii(d, i)) {
			refuse_not_ascii(&d->results[i]);
			continue;
		}
		struct job_recipient other = d->recipients[left];

		d->recipients[left] = d->recipients[i];
		d->recipients[i] = other;
		d->results[i] = d->results[left];
		d->results[left++] = (struct job_result){ 0 };
	}
	return left;
}

/* Answers those who are refused; true: all are, and the last of them has yet to be answered. */
static bool refuse_those_not_ascii(struct delivery *d)
{
	unsigned left = part_not_ascii(d);

	if (left == d->count)
		return false;
	let_go(); /* of these no host has been asked, whatever one is kept */
	answer_from(d, left > 0 ? left : 1);
	return left == 0;
}

static void work(struct wire_in *in, int queued)
{
	static struct delivery d;
	static struct job job;

	d.job = &job;
	d.queued = queued;
	d.began_ms = clock_ms();
	if (!job_receive(in, queued, &job, d.recipients, &d.count))
		exit(EXIT_TEMPORARY);
	memset(d.results, 0, d.count * sizeof *d.results);
	memset(d.contested, 0, sizeof d.contested);
	d.asked = 0;
	d.ends_with_it = false;
	d.put_off_at = (struct net_address){ 0 };
	if (!refuse_those_not_ascii(&d)) {
		turn_recipients(&d);
		deliver(&d);
	}
	close(job.fd);
	for (unsigned i = 0; i < d.count; i++)
		answer(&d, i, i + 1 == d.count);
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises =
		                                                SANDBOX_CONNECT | SANDBOX_FORK };
	static struct worker_service service = { .wire = "queued.job",
		                                 .protocol = "job",
		                                 .dials = { { "dnsd.dns", "dns" } },
		                                 .profile = { .promises = SANDBOX_CONNECT },
		                                 .answers = true,
		                                 .workers_min = 1,
		                                 .reuse = JOB_REUSE,
		                                 .idle_ms = 60000,
		                                 .pause = let_go,
		                                 .work = work };
	struct reason why;

	program_start("remote");
	settings_inherit(&settings);
	tzset();
	checksum_start();
	if (clienttls_start(&why) < 0)
		log_fatal("%s", why.text);
	limits =
		(struct conversation_limits){ .connect_ms = (int)settings.remote_timeout_connect_ms,
		                              .command_ms = (int)settings.remote_timeout_command_ms,
		                              .data_ms = (int)settings.remote_timeout_data_ms };
	service.workers_max = (unsigned)settings.remote_agents_max;
	service.pause_ms =
		settings.remote_timeout_idle_ms > 0 ? (int)settings.remote_timeout_idle_ms : 1;
	bounds_confine("remote", &settings, &profile);
	worker_run(&service);
}
