/* SPDX-License-Identifier: ISC */
/*
 * master <-> every program: the wire named "master".
 *
 * A program says MASTER_READY once. Most programs are replaced on reload: master starts a successor
 * on the same wires and sends SIGHUP to the old one, which takes no new work, closes its idle lines
 * (peers redial and reach the successor) and ends when its last client is gone. queued lives on,
 * since its memory of the queue is dear: it is sent MASTER_RELOAD. logd lives on, since two readers
 * of a pipe would tear lines: it is sent MASTER_LOG_OUTPUT. It is also told of each program's pipe,
 * and has its own way to end, for which no signal is early enough. porter is told who runs as each
 * session program, before that one can say a word, since an old one and its workers may have their
 * wires still: each porter has a wire to master of its own.
 *
 * From then on its loop says MASTER_BEAT each POSTHOUSE_BEAT_MS (a number in its environment), so
 * that master sees that it still turns: one that does not is killed and started again
 * (master/beats.c). master asks for nothing: there is no question that could be read by a
 * predecessor on the same wire, or wait behind work that a service at its limit does not take.
 *
 * Those that read maps (resolved, authd) live on where nothing but these has changed: they are
 * given the new ones (mapwire.h), and master answers who asked for the reload when all have taken
 * them.
 *
 * On the same wire: work for owners' programs (owner.h).
 */
#ifndef LIB_WIRE_MASTER_H
#define LIB_WIRE_MASTER_H

#include <limits.h>

#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/wire/wire.h"

enum master_type {
	MASTER_READY = 'r',     /* program -> master: everything is in place */
	MASTER_RELOAD = 16,     /* master -> queued: the new settings.cdb's descriptor */
	MASTER_CONTROL = 17,    /* master -> queued: a connection of the command line (control.h)
	                           whose next message is queued's */
	MASTER_LOG_PIPE = 18,   /* master -> logd: string program; the reading end of its pipe */
	MASTER_LOG_OUTPUT = 19, /* master -> logd: bool is_system; where lines go from now on: a
	                           file, or a socket connected to the system's log */
	MASTER_LOG_END = 20,    /* master -> logd: all others have ended; read all pipes, and end */
	MASTER_PARENT = 21,     /* master -> porter: string program, u32 pid (0: none): who runs as
	                           this session program now */
	MASTER_SESSIONS = 22,   /* master -> session programs' parents: the fields of a
	                           CONTROL_SESSIONS as they came, and its connection */
	MASTER_DIAL = 23,       /* parents of owners' session programs -> master: a line to authd,
	                           protocol "session" */
	MASTER_DIALLED = 24,    /* the answer: the line */
	MASTER_MAP = 25,        /* master -> readers of maps: string file ("users.cdb"), its
	                           descriptor. One for each file of a generation that the program
	                           reads, then: */
	MASTER_MAPS = 26,       /* u32 pid, u32 round: these are all; take them in one step ->
	                           MASTER_TAKEN. Of what was meant for another one, which has died,
	                           nothing is taken */
	MASTER_KEYLESS = 'k', /* keyd -> master, before it is ready, in a trial too: string file of
	                         a certificate of the generation whose key it has not */
	MASTER_BEAT = 'b',    /* program -> master: u32 its pid; a predecessor on the same wire has
	                         another */
	MASTER_TAKEN = 't',   /* readers of maps -> master: u32 pid, u32 round, bool taken; false:
	                         it has those of before, and is replaced */
	MASTER_LOG_BROKEN = 'l', /* logd -> master: nobody is at the other end of the socket; is
	                           there a new one? */
	MASTER_LOG_LEFT = 'n'    /* logd -> master, its last: u64 lines that it has read and the log
	                            does not take */
};

enum { MASTER_FILE_MAX = 64 /* the name of a generation's file */ };

/* Called by every program once everything is in place: tells master, for which `posthouse start`
 * and t/house wait, and lets the loop that it is about to run tell that it turns. A trial
 * (program_is_trial) ends here. Fatal when master cannot be told, which would wait for ever. */
void master_tell_ready(struct loop *loop);
/* For a loop that does one thing for long, between two parts of it: as if it had turned. Says
 * nothing more often than the loop would. */
void master_tell_busy(void);

/* MASTER_RELOAD, MASTER_CONTROL, MASTER_DIALLED. Of a message that is refused every getter leaves
 * the descriptor to wire_in_close. */
void master_file_put(struct wire_out *out, enum master_type type, int fd);
bool master_file_get(struct wire_in *in, int *fd);
void master_map_put(struct wire_out *out, const char *file, int fd);
bool master_map_get(struct wire_in *in, char file[MASTER_FILE_MAX], int *fd);
/* MASTER_MAPS. */
void master_round_put(struct wire_out *out, int pid, uint32_t round);
bool master_round_get(struct wire_in *in, int *pid, uint32_t *round);
void master_taken_put(struct wire_out *out, int pid, uint32_t round, bool taken);
bool master_taken_get(struct wire_in *in, int *pid, uint32_t *round, bool *taken);
void master_pipe_put(struct wire_out *out, const char *program, int fd);
bool master_pipe_get(struct wire_in *in, char program[PROGRAM_NAME_MAX], int *fd);
void master_parent_put(struct wire_out *out, const char *program, int pid);
bool master_parent_get(struct wire_in *in, char program[PROGRAM_NAME_MAX], int *pid);
void master_output_put(struct wire_out *out, bool is_system, int fd);
bool master_output_get(struct wire_in *in, bool *is_system, int *fd);
void master_keyless_put(struct wire_out *out, const char *file);
bool master_keyless_get(struct wire_in *in, char file[PATH_MAX]);
void master_beat_put(struct wire_out *out, int pid);
bool master_beat_get(struct wire_in *in, int *pid);
void master_left_put(struct wire_out *out, uint64_t lines);
bool master_left_get(struct wire_in *in, uint64_t *lines);

#endif
