/* SPDX-License-Identifier: ISC */
/*
 * How every program of the house starts.
 *
 * master execs it as root (or, unprivileged, as the ordinary user) with its
 * descriptors in place and tells it in the environment who it will be:
 *     POSTHOUSE_FDS="generation=5,queued.spool=6,listen.smtp.0=7"   descriptors by name
 *     POSTHOUSE_MASTER                                      its process id, to die with
 *     POSTHOUSE_UID, POSTHOUSE_GID, POSTHOUSE_ROOT          absent when unprivileged
 *     POSTHOUSE_BEAT_MS                                     how often to say that its loop turns
 *     POSTHOUSE_TRIAL                                       see program_is_trial
 * The order of service of a main function is: program_start, settings,
 * files that must be opened before the jail, program_confine, peers, loop.
 */
#ifndef LIB_BASE_PROGRAM_H
#define LIB_BASE_PROGRAM_H

#include <sys/types.h>

#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/base/sandbox.h"

enum { PROGRAM_FDS_MAX = 64, PROGRAM_NAME_MAX = 32 };

/* Takes over: log name, descriptors (all close-on-exec), SIGPIPE ignored, umask 077,
 * and dies when its parent dies.  Started by hand, without the environment, it says
 * that master starts it and exits 100. */
void program_start(const char *name);

/* Started only to see whether it starts (master/trial.h): it ends, 0, where it would say that it is
 * ready, and holds nothing that belongs to the one that runs. */
bool program_is_trial(void);

/* The descriptor that master gave under this name: "master"; "generation" (a directory); a wire's
 * "PEER.PROTOCOL" such as "queued.spool" (with ".0", ".1" ... where the peer runs several times, as
 * porter may); "kept" (program_kept); a listener's "listen.SERVICE.N"; "log" (descriptor 2, a pipe
 * to logd), for logd itself "log.system" where that is the log. -1 when there is none.
 * program_need_fd: fatal when there is none. */
int program_fd(const char *name);
int program_need_fd(const char *name);
/* Every descriptor whose name begins with prefix, in order: index 0, 1, ...; -1 past the end.
 * name (may be NULL) receives the whole name. */
int program_fd_at(const char *prefix, unsigned index, const char **name);

/* Memory that a successor finds as this process left it, and shares with it while both run: what is
 * written there may be half of one and half of the other. Zeroed for the first. master gives it
 * anew after a death, and with another binary (master/kept.h); without any, as in a trial, it is
 * the process's own. Children that are forked do not have it. Before program_confine. */
void *program_kept(size_t bytes);

/* Zeroed memory of this process alone, for its life: children that are forked have nothing there,
 * so that no fork copies its page tables and no page of it is copied after one. Fatal when there is
 * none. */
void *program_unforked(size_t bytes);

/* In a worker after fork: closes every descriptor but 0, 1, 2 and these, and forgets the
 * names of those that are closed. */
void program_keep_only(const int *keep, unsigned count);

/* As many descriptors as are wanted, or as many as the system gives (root may raise its own bound);
 * how many there are now. Never more than a million: a worker on a kernel without close_range tries
 * each. */
unsigned long program_raise_descriptors(unsigned long wanted);

/* Locks DIRECTORY/name, which says our process id, for life, or until it is called again. -1 with
 * the reason when another process has it and keeps it for so long. */
int program_hold(const char *directory, const char *name, int patience_ms, struct reason *why);

/* The directory, which is open, for this process alone, until it ends or program_let_go: no other
 * house may work on it, whatever its run directory is. Who has it is said in its file .holder. A
 * predecessor in our own house, and what is left of a house whose master is gone, is waited for a
 * while; anybody else is fatal. setting and path are for the words. Before program_confine. */
void program_hold_directory(int directory, const char *setting, const char *path);
void program_let_go(int directory);

/* The signal when the parent ends, also when it has ended before this was asked: then the process
 * ends here. parent: the process that started this one, as it was known before the fork. */
void program_die_with(pid_t parent, int signal_number);

/* A file of the generation that master started the house with ("settings.cdb", "users.cdb",
 * "tls.cdb"), opened for reading; before program_confine only. Fatal when it cannot be opened.
 * lib/conf's settings_inherit uses it. */
int program_generation_file(const char *name);

/* chroot (POSTHOUSE_ROOT), groups, gid, uid for good, then the sandbox; proves that root
 * cannot come back; logs "event=started uid=... sandbox=...".  Fatal on any failure. */
void program_confine(const struct sandbox_profile *profile);

#endif
