/* SPDX-License-Identifier: ISC */
/* The index of messages and the heap of attempts, against plain arrays. */
#include "queue/queued/record.h"

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
	ok(message_left(m) == 1000 && m->counts[RECIPIENT_NEW] == 1000, "states are counted");
	outcome_set(&m->recipients[6].outcome, 9, "4.4.1", "", "no answer");
	ok(strcmp(outcome_status(m->recipients[6].outcome), "4.4.1") == 0 &&
	           outcome_host(m->recipients[6].outcome)[0] == '\0' &&
	           strcmp(outcome_text(m->recipients[6].outcome), "no answer") == 0 &&
	           outcome_text(NULL)[0] == '\0',
	   "an outcome keeps its three words");
	ok(sizeof(struct message) <= 200 && sizeof(struct recipient) <= 48,
	   "the record is compact (%zu, %zu)", sizeof(struct message), sizeof(struct recipient));
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
	targets();
	return tap_done();
}
