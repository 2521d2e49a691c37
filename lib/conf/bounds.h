/* SPDX-License-Identifier: ISC */
/* How much each program of the house may use (bounds.def). */
#ifndef LIB_CONF_BOUNDS_H
#define LIB_CONF_BOUNDS_H

#include "lib/base/sandbox.h"
#include "lib/conf/settings.h"

enum { BOUNDS_FILE_MIB_BESIDE = 64 /* for a writer of messages, beside the largest message */ };

/* program_confine with the bounds of this program beside the profile. Processes are bounded only
 * where the program has an account of its own: in a private instance they are the user's. */
void bounds_confine(const char *program, const struct settings *settings,
                    const struct sandbox_profile *profile);

/* For master, which is not confined: the memory of its row alone, since those that it starts would
 * inherit the rest. */
void bounds_of_master(const struct settings *settings);

#endif
