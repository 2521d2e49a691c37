/* SPDX-License-Identifier: ISC */
/*
 * What each program of the house works with, as a sum of it, so that a reload leaves those alone
 * for which a generation changes nothing:
 *
 *	its settings         those that settings.def says it reads
 *	its maps             by their entries and their files (lib/conf/maps.def)
 *	its binary           the file that would be started now
 *	certificates         of a program with listeners or keys (house.c), by tls.cdb's entries
 *	keys                 their names and bytes
 *	listeners            the sockets
 *	files of the system  that it reads at its start (inputs.c), and its jail's directory
 *
 * Who reads something else at its start needs a row here: it is not started anew for it.
 */
#ifndef MASTER_INPUTS_H
#define MASTER_INPUTS_H

#include <stdint.h>

#include "master/house.h"
#include "master/listener.h"

struct inputs {
	uint64_t maps[HOUSE_PROGRAMS], binary[HOUSE_PROGRAMS], others[HOUSE_PROGRAMS];
};

/* What of a program's inputs is another than it was. Maps alone a program that reads some takes
 * while it runs (lib/wire/mapwire.h). With another binary the others may have changed, too. */
enum change { CHANGE_NONE, CHANGE_MAPS, CHANGE_OTHERS, CHANGE_BINARY };

/* Of a generation that has been verified; keys -1: none. */
void inputs_look(struct inputs *out, int generation, const struct settings *settings,
                 const struct listeners *listeners, int keys);
/* Certificates of the generation in use that were damaged since are another input than those of the
 * next, which has its own file of the same entries. */
void inputs_doubt(struct inputs *in_use, int generation);
enum change inputs_compare(const struct inputs *before, const struct inputs *after,
                           enum house_program program);
bool inputs_has_maps(enum house_program program);

#endif
