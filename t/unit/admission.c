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
	ok(n == ADMISSION_ACTIVE_MAX && a.fresh.first == &messages[n],
	   "no more than ADMISSION_ACTIVE_MAX at once");
	admission_over(&a, &messages[0]);
	ok(admission_next(&a) == &messages[n], "then one for one");
}

int main(void)
{
	turns();
	bound();
	begin_anew();
	return tap_done();
}
