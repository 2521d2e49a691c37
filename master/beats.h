/* SPDX-License-Identifier: ISC */
/*
 * A program that hangs is noticed and started again.
 *
 * Each says over its wire, now and then, that its loop turns (MASTER_BEAT). What counts is how many
 * of master's own looks in a row found a program silent, not a clock: when the machine was
 * suspended, or master stopped, nobody has been silent for longer than one look. One that is silent
 * for master.heartbeat-timeout is killed, and goes the way of every program that died. One at a
 * look, those that others ask first (the order of house.c): who only waited for it is heard again
 * by the next.
 *
 * Not looked at: a program that is not ready yet (queued reads its queue), one that a successor has
 * replaced, the workers of a service, and nobody while the house starts or stops.
 */
#ifndef MASTER_BEATS_H
#define MASTER_BEATS_H

#include "lib/wire/wire.h"
#include "master/instance.h"

void beats_start(void);
void beats_take_settings(void); /* after a reload */
/* What a program that is started now is told (POSTHOUSE_BEAT_MS). */
unsigned beats_interval_ms(void);
/* Who says it more often than it was told to is logged, and not heard. */
void beats_heard(struct instance *i, struct wire_in *in);
/* For how long it has not been heard, when that is worth telling; else 0. */
int64_t beats_silent_ms(const struct instance *i);

#endif
