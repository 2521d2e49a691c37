/* SPDX-License-Identifier: ISC */
/*
 * Is a directory of settings the one that was used before, or the empty one beneath a mount point
 * whose volume is not mounted?
 *
 *	DIRECTORY/.posthouse    in queue.directory and mail.root: 32 hexadecimal digits, chosen
 *	                        when posthouse first started in it
 *	STATEDIR/directories    "SETTING ID PATH", a line for each of the two
 *
 * Where STATEDIR has no line of a setting with this path (a first start, an upgrade, another path)
 * the directory is taken as it is, with the id that it has, or a new one.  Who makes a directory
 * anew, or restores one without its .posthouse, removes the line.
 */
#ifndef LIB_CONF_PLACES_H
#define LIB_CONF_PLACES_H

#include "lib/base/reason.h"
#include "lib/conf/settings.h"

/* Tells, one line each, which directories are others than before and what to do; how many. A
 * directory that is not there, or that may not be looked at, is not one of them. */
unsigned places_check(const struct settings *s, void (*tell)(void *context, const char *text),
                      void *context);
/* Another path that the setting had in an earlier run; false: none is known. */
bool places_before(const struct settings *s, const char *setting, char *out, size_t size);
/* For master, once it is the only one: -1 when one is another than before; else all are known from
 * now on. What cannot be written is logged, and stays unknown. */
int places_take(const struct settings *s, struct reason *why);

#endif
