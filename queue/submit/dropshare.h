/* SPDX-License-Identifier: ISC */
/*
 * What one user may leave in the drop directory while nobody takes it, and how full the disk may
 * get. For drop, which can search the directory and not list it: the names of a user's messages
 * stand in a file of that user's, .of-UID, and the next drop of the same user passes over those
 * that have gone. Without the file (a power cut) what is there already does not count.
 */
#ifndef QUEUE_SUBMIT_DROPSHARE_H
#define QUEUE_SUBMIT_DROPSHARE_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/base/reason.h"

enum {
	DROPSHARE_FILES_MAX = 1000,      /* of one user that wait at a time, but root */
	DROPSHARE_BYTES_MAX = 256 << 20, /* the same, and one largest message */
	DROPSHARE_STEP_BYTES = 1 << 20   /* written before it is looked at again */
};

struct dropshare {
	int directory;
	uid_t uid;
	uint64_t space_min_bytes; /* on the disk of the directory */
	uint64_t bytes_max;
};

/* Notes one message more. -1: there is no room for it, or too many wait. */
int dropshare_enter(const struct dropshare *s, const char *name, struct reason *why);
/* While it is written: is there still? */
int dropshare_holds(const struct dropshare *s, struct reason *why);

#endif
