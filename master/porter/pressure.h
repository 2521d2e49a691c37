/* SPDX-License-Identifier: ISC */
/*
 * When what porter or a program may hold is nearly used up: then those who do nothing have less
 * time. Pure.
 */
#ifndef MASTER_PORTER_PRESSURE_H
#define MASTER_PORTER_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	/* Of a client under pressure. */
	PRESSURE_FIRST_LINE_MS = 10000, /* instead of porter.idle-timeout */
	PRESSURE_HANDSHAKE_MS = 10000,
	PRESSURE_SESSION_MS = 20000, /* of a session that makes no progress */
};

/* Zeroed at first. */
struct pressure {
	bool on;
};

/* From three quarters of the most on, until it is less than half. true: it begins now. */
bool pressure_begins(struct pressure *pressure, size_t held, size_t most);

#endif
