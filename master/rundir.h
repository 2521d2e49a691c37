/* SPDX-License-Identifier: ISC */
/*
 * What stands in the run directory (master.pid, the sockets control and submit, the empty root of
 * programs), made at the start and, when somebody removes it or puts something else in its place,
 * made again within seconds. Also noticed: a queue or drop directory that is not the one that its
 * program works in any more.
 *
 *	removed or replaced             what becomes of it
 *	the run directory, empty/       made again
 *	master.pid                      made and locked again
 *	control                         bound again; who was connected stays so
 *	submit                          bound again, and pickup replaced, which gets it
 *	the drop directory              pickup is replaced when there is one again; logged
 *	the queue directory             logged, and in the status: queued goes on in the one that it
 *	                                has open, which a restart would leave
 *	generations                     in the status: a reload takes what is there
 *	the log's file                  in the status: a reload opens it anew
 *	what is mounted below mail.root in the status, by the kernel's list of mounts alone
 *	mailboxes                       not looked at: they are opened anew for each session and
 *	                                delivery, and may be on a server that does not answer
 */
#ifndef MASTER_RUNDIR_H
#define MASTER_RUNDIR_H

#include "master/control.h"

/* Fatal when a part of it cannot be made. */
void rundir_start(const struct control_calls *calls);
/* For the stop: who submits from now on finds nobody there, and leaves a drop file. */
void rundir_refuse_submitters(void);
void rundir_take_settings(void); /* after a reload: the directories of programs may be others */
/* What programs work in and is not what its path names any more, a line each with what to do. */
void rundir_tell_replaced(void (*tell)(void *context, const char *text), void *context);

#endif
