/* SPDX-License-Identifier: ISC */
/* The index of messages and the heap of attempts, against plain arrays. */
#include "queue/queued/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/tap.h"

enum { MESSAGES = 20000 };

static struct message *all[MESSAGES];

static uint32_t noise(void)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static void index_of_many(void)
{
	struct records r;
	unsigned found = 0, walked = 0, wrong = 0;
	size_t position = 0;

	records_init(&r);
	for (unsigned i = 0; i < MESSAGES; i++) {
		/* Neighbours as real ids are, and some far apart. */
		all[i] = message_new(i % 3 ? 0x6c3b000000000ull + i * 4096
		                           : ((uint64_t)noise() << 32 | (i + 1)));
		records_add(&r, all[i]);
	}
	for (unsigned i = 0; i < MESSAGES; i++)
		found += records_find(&r, all[i]->id) == all[i];
	ok(found == MESSAGES && r.count == MESSAGES, "every message is found by its id");
	for (unsigned i = 0; i < MESSAGES; i += 2) {
		records_remove(&r, all[i]);
		message_free(&all[i]);
	}
	for (unsigned i = 1; i < MESSAGES; i += 2)
		wrong += records_find(&r, all[i]->id) != all[i];
	ok(wrong == 0 && r.count == MESSAGES / 2,
	   "after the removal of every second one the others are found");
	while (records_next(&r, &position) != NULL)
		walked++;
	ok(walked == MESSAGES / 2, "and a walk meets each of them");
	ok(records_find(&r, 42) == NULL, "an unknown id is not found");
	for (unsigned i = 1; i < MESSAGES; i += 2)
		records_set_next(&r, all[i], 1 + noise() % 1000);
	for (unsigned i = 1; i < MESSAGES; i += 6)
		records_set_next(&r, all[i], i % 4 == 1 ? 0 : 1 + noise() % 1000);
	int64_t last = 0;
	unsigned due = 0;

	for (struct message *m; (m = records_earliest(&r)) != NULL; due++) {
		wrong += m->next.at_ms < last;
		last = m->next.at_ms;
		records_set_next(&r, m, 0);
	}
	ok(wrong == 0 && due > MESSAGES / 4, "attempts come due in order (%u)", due);
	for (unsigned i = 1; i < MESSAGES; i += 2) {
		records_remove(&r, all[i]);
		message_free(&all[i]);
	}
	ok(r.count == 0 && records_earliest(&r) == NULL, "and nothing is left");
	free(r.table);
	heap_free(&r.attempts);
}

static void messages(void)
{
	struct message *m = message_new(1);
	struct envelope_recipient first = { .address = "a@example.test",
		                            .notify = 3,
		                            .orcpt = "rfc822;o" };
	struct envelope e = { .sender = "s@example.test", .envid = "id" };
	struct queue_header h = { .message_bytes = 10, .envelope_bytes = 5, .arrived_us = 7000 };
	char address[32];

	message_add_recipient(m, &first);
	message_take_envelope(m, &e, &h);
	for (unsigned i = 0; i < 1000; i++) {
		int n = snprintf(address, sizeof address, "r%u@example.test", i);

		message_add_alike(m, 0, (struct view){ address, (size_t)n });
	}
	ok(strcmp(message_sender(m), "s@example.test") == 0 &&
	           strcmp(message_string(m, m->envid), "id") == 0 &&
	           strcmp(recipient_address(m, &m->recipients[0]), "a@example.test") == 0 &&
	           strcmp(recipient_address(m, &m->recipients[1000]), "r999@example.test") == 0,
	   "strings stay what they are while a message grows");
	ok(message_left(m) == 1001 && m->log_end == 256 + 10 + 5 && m->arrived_ms == 7,
	   "recipients are counted, offsets right");
	recipient_set(m, &m->recipients[5], RECIPIENT_GONE);
	ok(message_left(m) == 1000 && message_count(m, RECIPIENT_NEW) == 1000,
	   "states are counted");
	recipient_say(&m->recipients[6], 9, "4.4.1", "", "no answer");
	ok(strcmp(saying_status(m->recipients[6].said), "4.4.1") == 0 &&
	           saying_host(m->recipients[6].said)[0] == '\0' &&
	           strcmp(saying_text(m->recipients[6].said), "no answer") == 0 &&
	           saying_text(NULL)[0] == '\0',
	   "what was said keeps its three words");
	ok(sizeof(struct message) <= 104 && sizeof(struct recipient) <= 32,
	   "the record is compact (%zu, %zu)", sizeof(struct message), sizeof(struct recipient));
	message_free(&m);
}

/* A string or a recipient that is added moves the others. */
static void growing(void)
{
	struct message *m = message_new(2);
	struct envelope e = { .sender = "first@example.test" };
	struct queue_header h = { .message_bytes = 1 };
	struct envelope_recipient to = { .orcpt = "rfc822;o" };
	unsigned wrong = 0;

	message_take_envelope(m, &e, &h);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(to.address, sizeof to.address, "r%u@example.test", i);
		struct recipient *r = message_add_recipient(m, &to);

		wrong += strcmp(recipient_address(m, r), to.address) != 0;
		if (i % 3 == 0)
			recipient_set(m, r, RECIPIENT_DEFERRED);
		wrong += message_count(m, RECIPIENT_DEFERRED) != i / 3 + 1 ||
		         message_count(m, RECIPIENT_NEW) != i - i / 3;
	}
	ok(wrong == 0 && strcmp(message_sender(m), "first@example.test") == 0,
	   "states are counted while few become many, and the sender stays");
	message_cut_recipients(m, 4);
	ok(m->recipient_count == 4 && message_count(m, RECIPIENT_DEFERRED) == 2 &&
	           message_count(m, RECIPIENT_NEW) == 2,
	   "those that are forgotten do not count");
	message_free(&m);
}

static void said(void)
{
	struct recipient one = { 0 }, other = { 0 };

	recipient_say(&one, 1, "4.4.1", "mx.example.test", "no answer");
	recipient_say(&other, -1, "4.4.1", "mx.example.test", "no answer");
	ok(one.said == other.said && one.said_s == 1 && other.said_s == 0,
	   "what is said of many is there once");
	recipient_say(&other, 1LL << 40, "4.4.1", "mx.example.tes", "tno answer");
	ok(one.said != other.said && other.said_s == UINT32_MAX &&
	           strcmp(saying_text(one.said), "no answer") == 0,
	   "but for no more than it was said of");
	saying_drop(&one.said);
	saying_drop(&other.said);
	ok(one.said == NULL, "and is gone with the last of them");
}

static void at_rest(void)
{
	struct message *m = message_new(3);

	ok(m->under_way == NULL && message_deliveries(m)->count == 0 && message_put_off_s(m) == 0 &&
	           message_unwritten(m) == NULL,
	   "a message that waits has nothing under way");
	message_under_way(m)->put_off_s = 7;
	message_rest(m);
	ok(message_put_off_s(m) == 7, "what is under way is kept");
	m->under_way->put_off_s = 0;
	message_rest(m);
	ok(m->under_way == NULL, "and gives its memory back at the end");
	message_free(&m);
}

static void targets(void)
{
	static struct resolve_target answer = { .agent = AGENT_REMOTE,
		                                .mailbox = { .home = "/not/kept" },
		                                .route = {
							.lmtp = true,
							.hops = { { "a", 24 }, { "[::1]", 2400 } },
							.hop_count = 2 } };
	static struct resolve_route route;
	static struct resolve_mailbox box;
	struct target *t = target_new(&answer);

	target_route(t, &route);
	ok(t->agent == AGENT_REMOTE && route.lmtp && route.domain[0] == '\0' &&
	           route.hop_count == 2 && strcmp(route.hops[1].host, "[::1]") == 0 &&
	           route.hops[1].port == 2400,
	   "a target remembers its route");
	target_drop(&t);
	answer.agent = AGENT_LOCAL;
	answer.mailbox = (struct resolve_mailbox){ 7, 8, "/mail/x", 9 };
	t = target_new(&answer);
	target_mailbox(t, &box);
	ok(box.uid == 7 && box.gid == 8 && strcmp(box.home, "/mail/x") == 0 && box.quota_bytes == 9,
	   "or its mailbox");
	target_drop(&t);
	ok(t == NULL, "and is gone with its last recipient");
}

int main(void)
{
	index_of_many();
	messages();
	growing();
	said();
	at_rest();
	targets();
	return tap_done();
}
