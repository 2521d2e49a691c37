/* SPDX-License-Identifier: ISC */
/*
 * How a program comes to a line of its own.
 *
 * Who holds a wire dials it. A worker of a service (worker.h) holds none, so that whatever a
 * captured one does to its sockets ends with it: it asks its parent over a line that only the two
 * have, and the parent, which holds the wires, dials and hands the line on.
 *
 *     DIAL_ASK    worker -> parent: byte, the place in the service's table of dials
 *     DIAL_LINE   parent -> worker: the same byte, and the line as a descriptor
 *     DIAL_NONE   parent -> worker: this house has no such wire
 */
#ifndef LIB_WIRE_DIAL_H
#define LIB_WIRE_DIAL_H

#include "lib/wire/wire.h"

enum dial_type { DIAL_ASK = 1, DIAL_LINE, DIAL_NONE };

enum { DIALS_MAX = 4 };

/* What the workers of a service may reach: the wire's name and its protocol. */
struct dial {
	const char *wire, *protocol;
};

/* A line to the program at the other end of the wire; blocks for some seconds at most. -1: none
 * (errno). */
int dial(const char *wire, const char *protocol);

/* By worker.c: from now on dial asks over this line for what stands in the table. */
void dial_through(int parent, const struct dial *table);

void dial_ask_put(struct wire_out *out, uint8_t place);
bool dial_ask_get(struct wire_in *in, uint8_t *place);
/* fd -1: there is no such wire. */
void dial_line_put(struct wire_out *out, uint8_t place, int fd);
bool dial_line_get(struct wire_in *in, uint8_t *place, int *fd);

#endif
