/* SPDX-License-Identifier: ISC */
/* The programs that run as long as the house does, and the wires between them. */
#ifndef MASTER_RESIDENTS_H
#define MASTER_RESIDENTS_H

#include "lib/conf/settings.h"
#include "lib/wire/wire.h"
#include "master/inputs.h"
#include "master/instance.h"

/* Makes all of house.c and starts them. */
void residents_start(instance_ended *ended);
/* The number-th instance of a resident program; NULL: there are fewer. */
struct instance *resident_of(enum house_program program, unsigned number);
unsigned residents_count(bool only_ready);
/* How the residents come to another generation. */
struct renewal {
	const enum change *changes;       /* of each program */
	void (*tell)(struct instance *i); /* one that lives on, and runs, whatever changed */
	/* One that reads maps, when nothing else is another; it may have the same. */
	void (*give)(struct instance *i);
	bool (*stays)(const struct instance *i); /* what would be replaced is not, until it ends */
};

/* All are given it for their next start. Those for which something is another, and those that do
 * not run, are told, given or replaced: the successor starts on the same wires, the old one
 * finishes what it has. */
void residents_renew(const struct renewal *how);
/* This one alone. */
void residents_replace_one(struct instance *i);

/* One successor for each of that program: with another descriptor of that name, which is taken, the
 * old one closed; NULL: with those that it has. */
void residents_replace(enum house_program program, const char *name, int fd);

/* What the ends of a wire are called; suffix: of the one end of several. */
void residents_wire_names(const struct house_wire *wire, const char *suffix,
                          char from[PROGRAM_NAME_MAX], char to[PROGRAM_NAME_MAX]);
/* The directory that a program is jailed in; NULL: none. */
const char *residents_root_of(const struct house_row *row, const struct settings *s);

/* To the parents of all session programs, predecessors and owners' among them: how many could not
 * be told. */
unsigned residents_tell_sessions(const struct wire_out *out);
/* A line to the program at the other end of the wire that begins at owners' programs of this kind.
 */
void residents_dial_for(struct instance *owner);

#endif
