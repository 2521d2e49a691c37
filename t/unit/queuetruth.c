/* SPDX-License-Identifier: ISC */
#include "t/unit/queuetruth.h"

#include <stdio.h>
#include <string.h>

#include "lib/wire/envelope.h"
#include "t/unit/queuedisk.h"

/* What really happened with an address of a message, and what queued has been told of it. */
struct fate {
	bool owed;                       /* it is, in the end, a recipient */
	bool delivered, failed;          /* as the agents, or resolved, said */
	bool reported, told_success;     /* in a report that is in the queue, or cannot be made */
	bool known_done, known_reported; /* queued has been told, and must know it */
	bool known_failed;
};

struct truth_work truth_works[FAKES_HUBS][FAKES_LINES];

static struct {
	const struct world_scenario *scenario;
	const struct records *records;
	struct fate fates[WORLD_MESSAGES][WORLD_ADDRESSES];
	bool removed[WORLD_MESSAGES];
	bool lossy;
	char wrong[256];
} truth;

void truth_begin(const struct world_scenario *s, const struct records *records)
{
	memset(&truth, 0, sizeof truth);
	memset(truth_works, 0, sizeof truth_works);
	truth.scenario = s;
	truth.records = records;
}

struct message *truth_message(unsigned number)
{
	return records_find(truth.records, DISK_FIRST_ID + number);
}

void truth_removed(unsigned message)
{
	truth.removed[message] = true;
}

void truth_lossy(void)
{
	truth.lossy = true;
}

/* The wrong that was seen first. */
void truth_wrong(const char *what, unsigned message, const char *address)
{
	if (truth.wrong[0] == '\0')
		snprintf(truth.wrong, sizeof truth.wrong, "%s (message %u, %s)", what, message,
		         address);
}

const char *truth_what_is_wrong(void)
{
	return truth.wrong[0] ? truth.wrong : NULL;
}

const struct world_address *truth_address(unsigned n)
{
	return &truth.scenario->addresses[n];
}

unsigned truth_address_number(const char *address)
{
	for (unsigned n = 0; n < WORLD_ADDRESSES && truth_address(n)->address; n++)
		if (strcmp(truth_address(n)->address, address) == 0)
			return n;
	truth_wrong("an address that nobody gave", 0, address);
	return 0;
}

/* ---- who is owed what ---- */

static void owe(unsigned message, const struct world_address *row)
{
	if (row->kind != WORLD_ALIAS) {
		truth.fates[message][row - truth.scenario->addresses].owed = true;
		truth.fates[message][row - truth.scenario->addresses].failed =
			row->kind == WORLD_ERROR;
		return;
	}
	for (unsigned i = 0; i < 3 && row->targets[i]; i++) {
		const struct world_address *to =
			truth_address(truth_address_number(row->targets[i]));

		if (to == row)
			truth.fates[message][row - truth.scenario->addresses].owed = true;
		else
			owe(message, to);
	}
}

static uint8_t notify_of(unsigned message)
{
	return truth.scenario->messages[message].to[0].notify;
}

static bool is_null_sender(unsigned message)
{
	return truth.scenario->messages[message].sender[0] == '\0';
}

static bool wants_failure(unsigned message)
{
	const struct world_message *m = &truth.scenario->messages[message];

	if (m->origin == ENVELOPE_BOUNCE)
		return strcmp(truth_address(m->to[0].address)->address, "postmaster@x.test") != 0;
	/* Strangers name whom they like as the sender: nobody is told of what somebody has judged.
	 */
	if (m->origin == ENVELOPE_NETWORK)
		return false;
	return notify_of(message) == 0 || notify_of(message) & ENVELOPE_NOTIFY_FAILURE;
}

static bool wants_success(unsigned message)
{
	return notify_of(message) & ENVELOPE_NOTIFY_SUCCESS && !is_null_sender(message);
}

static bool is_settled(unsigned message, const struct fate *f)
{
	if (f->delivered)
		return f->told_success || f->reported || !wants_success(message);
	return (f->failed || fakes_now_ms >= TRUTH_START_MS + TRUTH_LIFETIME_MS) &&
	       (f->reported || !wants_failure(message));
}

/* Does queued still have it in mind: itself, or an alias that leads there? */
static bool is_minded(const struct message *m, unsigned address)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct recipient *r = &m->recipients[i];
		const struct world_address *row =
			truth_address(truth_address_number(recipient_address(m, r)));

		if (r->state == RECIPIENT_GONE)
			continue;
		if (row == truth_address(address))
			return true;
		for (unsigned t = 0; row->kind == WORLD_ALIAS && t < 3 && row->targets[t]; t++)
			if (truth_address_number(row->targets[t]) == address)
				return true;
	}
	return false;
}

static bool is_in_job(unsigned message, unsigned address, bool report)
{
	for (unsigned h = 0; h < FAKES_HUBS; h++)
		for (unsigned l = 0; l < FAKES_LINES; l++) {
			const struct truth_work *k = &truth_works[h][l];

			for (unsigned i = 0; k->busy && i < k->count; i++)
				if (k->message == message && k->who[i].address == address &&
				    (k->report != JOB_REPORT_NONE) == report)
					return true;
		}
	return false;
}

static void judge_fate(unsigned message, unsigned address)
{
	const struct fate *f = &truth.fates[message][address];
	const struct message *m = truth_message(message);
	const char *name = truth_address(address)->address;
	bool there = disk_file_is_there(message);

	if (!f->owed || truth.removed[message] || disk_file_is_aside(message))
		return;
	if (there && world_is_unread(message))
		return;
	if (!is_settled(message, f) && (m == NULL || !there))
		truth_wrong("lost: neither delivered nor reported, and not in the queue", message,
		            name);
	else if (!is_settled(message, f) && !is_minded(m, address))
		truth_wrong("lost: neither delivered nor reported, and nobody has it in mind",
		            message, name);
	if (f->known_done && there && !truth.lossy && !is_in_job(message, address, false) &&
	    !disk_says_done(message, name))
		truth_wrong("the job is over, and its result is not in the log", message, name);
}

void truth_judge(void)
{
	for (unsigned m = 0; m < truth.scenario->message_count; m++) {
		for (unsigned a = 0; a < WORLD_ADDRESSES; a++)
			judge_fate(m, a);
		if (truth_message(m) == NULL && disk_file_is_there(m) && !truth.removed[m] &&
		    !world_is_unread(m))
			truth_wrong("its file is in the queue, and queued does not know it", m, "");
		if (disk_bad_records(m) && !truth.lossy)
			truth_wrong("a record that belongs to another message, or to none", m, "");
	}
}

void truth_all_written(void)
{
	truth.lossy = false;
	truth_judge();
}

void truth_judge_job(const struct truth_work *k, unsigned i, bool stopping)
{
	const struct fate *f = &truth.fates[k->message][k->who[i].address];
	const struct message *m = truth_message(k->message);
	const char *name = truth_address(k->who[i].address)->address;
	bool report = k->report != JOB_REPORT_NONE;

	if (m == NULL || m->removed)
		truth_wrong("a job for a message that has been removed", k->message, name);
	else if (m->held)
		truth_wrong("a job for a message that is held", k->message, name);
	if (stopping)
		truth_wrong("a job during an orderly stop", k->message, name);
	if (is_in_job(k->message, k->who[i].address, report))
		truth_wrong("in two jobs at once", k->message, name);
	if (!report && !f->owed)
		truth_wrong("delivered to who is not a recipient", k->message, name);
	if (!report && f->known_done)
		truth_wrong("delivered to who was done", k->message, name);
	if (!report && f->known_failed)
		truth_wrong("delivered to who failed for good", k->message, name);
	if (k->report == JOB_REPORT_FAILED && !wants_failure(k->message))
		truth_wrong("reported, and is not to be", k->message, name);
	if (k->report == JOB_REPORT_ALIAS &&
	    truth.scenario->messages[k->message].origin != ENVELOPE_NETWORK)
		truth_wrong("the postmaster is told what the sender may know", k->message, name);
	if (k->report == JOB_REPORT_ALIAS && !f->failed)
		truth_wrong("the postmaster is told that it failed, and it has not", k->message,
		            name);
	if (k->report == JOB_REPORT_FAILED && f->known_reported)
		truth_wrong("reported twice", k->message, name);
	if (k->report == JOB_REPORT_FAILED && f->known_done)
		truth_wrong("reported as failed, and was delivered", k->message, name);
	if (k->report == JOB_REPORT_FAILED && !f->failed &&
	    fakes_now_ms < TRUTH_START_MS + TRUTH_LIFETIME_MS)
		truth_wrong("reported as failed, and has not", k->message, name);
	if ((k->report == JOB_REPORT_DELIVERED || k->report == JOB_REPORT_RELAYED) && !f->delivered)
		truth_wrong("reported as delivered, and was not", k->message, name);
}

void truth_told(const struct truth_work *k, unsigned i, enum job_outcome outcome)
{
	struct fate *f = &truth.fates[k->message][k->who[i].address];

	if (outcome == JOB_RETRY || outcome == JOB_OWN_FAULT)
		return;
	switch (k->report) {
	case JOB_REPORT_NONE:
		f->delivered = f->delivered || outcome == JOB_DONE;
		f->failed = f->failed || outcome == JOB_FAILED;
		f->known_done = outcome == JOB_DONE;
		f->known_failed = outcome == JOB_FAILED;
		break;
	case JOB_REPORT_FAILED:
		f->reported = f->known_reported = true;
		f->failed = true;
		break;
	case JOB_REPORT_DELIVERED:
	case JOB_REPORT_RELAYED: f->told_success = true; break;
	case JOB_REPORT_DELAYED:
	case JOB_REPORT_ALIAS: break;
	}
}

void truth_acknowledged(unsigned message)
{
	const struct world_message *m = &truth.scenario->messages[message];

	for (unsigned i = 0; i < m->count; i++)
		owe(message, truth_address(m->to[i].address));
}

void truth_restarted(void)
{
	memset(truth_works, 0, sizeof truth_works);
	for (unsigned m = 0; m < truth.scenario->message_count; m++)
		for (unsigned a = 0; a < WORLD_ADDRESSES && truth_address(a)->address; a++) {
			struct fate *f = &truth.fates[m][a];
			const char *name = truth_address(a)->address;

			f->known_done = f->known_done && disk_says_done(m, name);
			f->known_reported = f->known_reported && disk_says_finished(m, name);
			f->known_failed = f->known_failed && disk_says_failed(m, name);
		}
	truth.lossy = truth.lossy || disk_bad_records(0) || disk_bad_records(1);
}

uint64_t truth_hash(void)
{
	uint64_t hash = truth.lossy;

	for (unsigned n = 0; n < truth.scenario->message_count; n++) {
		hash = disk_mix(hash, truth.removed[n]);
		for (unsigned a = 0; a < WORLD_ADDRESSES; a++) {
			const struct fate *f = &truth.fates[n][a];

			hash = disk_mix(
				hash, (uint64_t)(f->delivered | f->failed << 1 | f->reported << 2 |
			                         f->told_success << 3 | f->known_done << 4 |
			                         f->known_reported << 5 | f->known_failed << 6));
		}
	}
	return hash;
}
