/* SPDX-License-Identifier: ISC */
#include "smtpd/credit.h"

void credit_message(struct credit *c, int64_t now_ms, int64_t for_ms)
{
	*c = (struct credit){ .until_ms = now_ms + for_ms };
}

void credit_mail(struct credit *c, int64_t now_ms, int64_t for_ms)
{
	c->earned = !c->spent;
	c->spent = true;
	if (c->earned)
		c->until_ms = now_ms + for_ms;
}

/* Many at once do not last for longer than one. */
void credit_recipient(struct credit *c, int64_t now_ms, int64_t for_ms)
{
	if (!c->earned || !credit_lasts(c, now_ms))
		return;
	c->until_ms += CREDIT_RECIPIENT_MS;
	if (c->until_ms > now_ms + for_ms)
		c->until_ms = now_ms + for_ms;
}

void credit_wait(struct credit *c, int64_t waited_ms)
{
	c->until_ms += waited_ms;
}

bool credit_lasts(const struct credit *c, int64_t now_ms)
{
	return now_ms < c->until_ms;
}
