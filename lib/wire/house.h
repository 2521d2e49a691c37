/* SPDX-License-Identifier: ISC */
/*
 * master <-> every program: the wire named "master".
 *
 * A program says HOUSE_READY once (program_ready). Most programs are replaced on reload: master
 * starts a successor on the same wires and sends SIGHUP to the old one, which takes no new work,
 * closes its idle lines (peers redial and reach the successor) and ends when its last client is
 * gone. queued lives on, since its memory of the queue is dear: it is sent HOUSE_RELOAD. logd lives
 * on, since two readers of a pipe would tear lines: it is sent HOUSE_LOG_OUTPUT. It is also told of
 * each program's pipe, and has its own way to end, for which no signal is early enough.
 */
#ifndef LIB_WIRE_HOUSE_H
#define LIB_WIRE_HOUSE_H

enum house_type {
	HOUSE_READY = 'r',   /* program -> master; see program_ready */
	HOUSE_RELOAD = 16,   /* master -> queued: the new settings.cdb's descriptor */
	HOUSE_CONTROL = 17,  /* master -> queued: a connection of the command line (control.h) whose
	                        next message is queued's */
	HOUSE_LOG_PIPE = 18, /* master -> logd: string program; the reading end of its pipe */
	HOUSE_LOG_OUTPUT = 19, /* master -> logd: bool is_system; where lines go from now on: a
	                          file, or a socket connected to the system's log */
	HOUSE_LOG_END = 20,    /* master -> logd: all others have ended; read all pipes, and end */
	HOUSE_LOG_BROKEN = 'l' /* logd -> master: nobody is at the other end of the socket; is there
	                          a new one? */
};

#endif
