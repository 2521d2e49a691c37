/* SPDX-License-Identifier: ISC */
/* Whose turn it is to be asked about, and how many at once. */
#include "queue/queued/admission.h"

#include <stdlib.h>

#include "t/tap.h"

enum { SPARE = 5 };

static struct message messages[ADMISSION_ACTIVE_MAX + SPARE];

static void begin_anew(void)
{
	for (unsigned i = 0; i < ADMISSION_ACTIVE_MAX + SPARE; i++)
		free(messages[i].under_way);
	memset(messages, 0, sizeof messages);
}

static void turns(void)
{
	struct admission a = { 0 };
	char order[13] = "";
	struct message *m;

	begin_anew();
	ok(admission_next(&a) == NULL, "nobody waits");
	for (unsigned i = 0; i < 12; i++) {
		messages[i].id = i;
		admission_stand_in_line(&a, &messages[i], i >= 6);
	}
	ok(admission_next(&a) == admission_next(&a) && a.active == 1,
	   "who is not through is asked about further, and counts once");
	for (unsigned i = 0; i < 12 && (m = admission_next(&a)) != NULL; i++) {
		order[i] = m->id >= 6 ? 'o' : 'f';
		admission_leave_line(&a, m);
	}
	ok(strcmp(order, "offfofffoooo") == 0, "fresh mail has three turns in four: %s", order);
	ok(a.active == 12 && !messages[3].in_line && messages[3].admitted, "all are active");
	admission_over(&a, &messages[3]);
	admission_over(&a, &messages[3]);
	ok(a.active == 11, "one is over, once");
	admission_stand_in_line(&a, &messages[4], true);
	ok(admission_next(&a) == &messages[4] && a.active == 11,
	   "one that is active is not counted again");
}

static void stand(struct admission *a, const char *sender, unsigned number, bool old)
{
	struct message *m = message_new(number);

	m->sender = message_add_string(m, view_of(sender));
	admission_stand_in_line(a, m, old);
}

/* What was given out, each a digit, until nobody waits. */
static void take_all(struct admission *a, char *order)
{
	for (struct message *m; (m = admission_next(a)) != NULL; message_free(&m)) {
		admission_leave_line(a, m);
		admission_over(a, m);
		*order++ = (char)('0' + m->id);
	}
	*order = '\0';
}

static void senders(void)
{
	struct admission a = { 0 };
	char order[32];

	for (unsigned i = 0; i < 6; i++)
		stand(&a, "many@x.test", i, false);
	stand(&a, "one@x.test", 6, false);
	stand(&a, "two@x.test", 7, false);
	stand(&a, "two@x.test", 8, false);
	take_all(&a, order);
	ok(strcmp(order, "067182345") == 0,
	   "senders take turns, each in their order, whoever came first: %s", order);
	ok(a.fresh.first == NULL && a.fresh.last == NULL && a.active == 0, "then nobody waits");
	for (unsigned i = 0; i < 3; i++)
		stand(&a, "many@x.test", i, true);
	stand(&a, "one@x.test", 3, true);
	take_all(&a, order);
	ok(strcmp(order, "0312") == 0, "among old mail too: %s", order);
}

static void bound(void)
{
	struct admission a = { 0 };
	struct message *m;
	unsigned n = 0;

	begin_anew();
	for (unsigned i = 0; i < ADMISSION_ACTIVE_MAX + SPARE; i++)
		admission_stand_in_line(&a, &messages[i], false);
	while ((m = admission_next(&a)) != NULL) {
		admission_leave_line(&a, m);
		n++;
	}
	ok(n == ADMISSION_ACTIVE_MAX && a.fresh.first->first == &messages[n],
	   "no more than ADMISSION_ACTIVE_MAX at once");
	admission_over(&a, &messages[0]);
	ok(admission_next(&a) == &messages[n], "then one for one");
}

int main(void)
{
	turns();
	senders();
	bound();
	begin_anew();
	return tap_done();
}
