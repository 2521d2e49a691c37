/* SPDX-License-Identifier: ISC */
#include "queue/queued/channel.h"

#include "lib/base/log.h"

enum { SHORTAGE_LOGGED_EVERY_MS = 60000 };

void channel_tell_shortage(struct channel *c)
{
	int64_t now_ms = loop_now_ms(c->hub.loop);
	struct schedule_held held;

	if (now_ms < c->shortage_again_ms || !schedule_is_short(c->schedule, &held))
		return;
	c->shortage_again_ms = now_ms + SHORTAGE_LOGGED_EVERY_MS;
	log_warn(
		"event=agents-short agent=%s silent=%zu new=%u further=%u reason=\"destinations that do not answer use all that they may; others wait\"",
		agent_rows[c->agent].name, held.silent, held.unknown, held.further);
}
