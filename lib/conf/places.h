/* SPDX-License-Identifier: ISC */
/*
 * Is a directory of settings the one that was used before, or the empty one beneath a mount point
 * whose volume is not mounted?
 *
 *	DIRECTORY/.posthouse    in queue.directory, drop.directory and mail.root: 32 hexadecimal
 *	                        digits, chosen when posthouse first started in it
 *	STATEDIR/directories    "SETTING ID PATH", a line for each of the three, and "volume - PATH"
 *	                        for each file system that was seen mounted below mail.root
 *	                        (lib/conf/volumes.h) at a start or a reload
 *
 * Where STATEDIR has no line of a setting with this path (a first start, an upgrade, another path)
 * the directory is taken as it is, with the id that it has, or a new one.  Who makes a directory
 * anew, or restores one without its .posthouse, removes the line.
 */
#ifndef LIB_CONF_PLACES_H
#define LIB_CONF_PLACES_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/conf/settings.h"

/* Tells, one line each, which directories are others than before and what to do; how many. A
 * directory that is not there, or that may not be looked at, is not one of them. */
unsigned places_check(const struct settings *s, void (*tell)(void *context, const char *text),
                      void *context);
/* The same of the file systems below mail.root that are known and not mounted, as this process sees
 * mounts: a service manager may give master others. */
unsigned places_check_volumes(const struct settings *s,
                              void (*tell)(void *context, const char *text), void *context);
/* Initialises the text, which the caller frees: their paths in no order, each followed by LF. */
void places_missing_volumes(const struct settings *s, struct text *out);
/* Why nothing may be made on this one, and what to do; -1. */
int places_fail_volume(const struct settings *s, struct view path, struct reason *why);
/* Another path that the setting had in an earlier run; false: none is known. */
bool places_before(const struct settings *s, const char *setting, char *out, size_t size);
/* For master, once it is the only one: -1 when one is another than before, or a file
 * system below mail.root is not mounted; else all are known from now on. What cannot be written is
 * logged, and stays unknown. */
int places_take(const struct settings *s, struct reason *why);
/* After a reload: what is not known yet is from now on. */
void places_learn(const struct settings *s);
/* For the program drop, which runs as anybody: may a message be left in this directory, where no
 * mount hides it? -1: no. What directory.state knows of is the one that it knows; before the first
 * start of a version that marks drop.directory, any is in which a house may have worked. */
int places_may_drop(const char *directory_state, const char *path, int directory,
                    struct reason *why);

#endif
