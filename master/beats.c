/* SPDX-License-Identifier: ISC */
#include "master/beats.h"

#include <signal.h>

#include "lib/base/log.h"
#include "lib/wire/master.h"
#include "master/master.h"

enum {
	LOOKS_PER_TIMEOUT = 4, /* at least so many find it silent */
	INTERVAL_MIN_MS = 250,
	INTERVAL_MAX_MS = 15000,
	BEATS_MORE = 16 /* than its time gives: loops that were late */
};

static struct timer look;

unsigned beats_interval_ms(void)
{
	int64_t ms = master.settings.master_heartbeat_timeout_ms / LOOKS_PER_TIMEOUT;

	/* Also when nobody is to be killed: a later reload may wish it. */
	if (ms == 0 || ms > INTERVAL_MAX_MS)
		return INTERVAL_MAX_MS;
	return ms < INTERVAL_MIN_MS ? INTERVAL_MIN_MS : (unsigned)ms;
}

/* One that lives on may have been told an interval longer than the present one. */
static int64_t limit_ms(const struct instance *i)
{
	int64_t timeout_ms = master.settings.master_heartbeat_timeout_ms,
		least_ms = (int64_t)LOOKS_PER_TIMEOUT * i->beat_ms;

	return timeout_ms > least_ms ? timeout_ms : least_ms;
}

static bool is_looked_at(const struct instance *i)
{
	return i->pid != 0 && i->ready && i->beat_ms != 0 && !i->given_up;
}

static bool is_over_limit(const struct instance *i)
{
	return is_looked_at(i) && master.settings.master_heartbeat_timeout_ms != 0 &&
	       i->silent_ms >= limit_ms(i);
}

/* One that even this does not end (it waits for a disk) stays in the status, and is not told of
 * again. */
static void give_up(struct instance *i)
{
	log_warn("event=unresponsive program=%s pid=%ld uid=%ld duration_ms=%lld", i->row->name,
	         (long)i->pid, (long)i->uid, (long long)i->silent_ms);
	i->given_up = true;
	kill(i->pid, SIGKILL);
}

static void look_due(struct timer *t)
{
	unsigned interval_ms = beats_interval_ms();
	struct instance *hanging = NULL;

	loop_timer_set(master.loop, t, loop_now_ms(master.loop) + interval_ms);
	if (!master.up || master.stopping)
		return;
	for (struct instance *i = master.instances; i != NULL; i = i->next) {
		if (!is_looked_at(i) && !i->given_up)
			continue;
		i->silent_ms += interval_ms;
		if (hanging == NULL && is_over_limit(i))
			hanging = i;
	}
	if (hanging != NULL)
		give_up(hanging);
}

/* master may not have read for a while: counted over its life. */
static bool is_flooding(struct instance *i)
{
	int64_t life_ms = loop_now_ms(master.loop) - i->started_ms;

	return i->beat_ms != 0 && ++i->beats > BEATS_MORE + life_ms / i->beat_ms;
}

void beats_heard(struct instance *i, struct wire_in *in)
{
	unsigned more;
	int pid;
	bool valid = master_beat_get(in, &pid);

	if (valid && pid != i->pid)
		return;
	if (valid && !is_flooding(i))
		i->silent_ms = 0;
	else if (instance_may_complain(i, &more))
		log_warn("event=bad-message peer=%s type=%d more=%u", i->row->name, in->type, more);
}

int64_t beats_silent_ms(const struct instance *i)
{
	unsigned interval_ms = beats_interval_ms();
	int64_t usual_ms = 2 * (int64_t)(i->beat_ms > interval_ms ? i->beat_ms : interval_ms);

	return i->silent_ms > usual_ms ? i->silent_ms : 0;
}

void beats_take_settings(void)
{
	loop_timer_set(master.loop, &look, loop_now_ms(master.loop) + beats_interval_ms());
}

void beats_start(void)
{
	look.due = look_due;
	beats_take_settings();
}
