/* SPDX-License-Identifier: ISC */
/*
 * master <-> every program: the wire named "master".
 *
 * A program says HOUSE_READY once (program_ready). Most programs are replaced on reload: master
 * starts a successor on the same wires and sends SIGHUP to the old one, which takes no new work,
 * closes its idle lines (peers redial and reach the successor) and ends when its last client is
 * gone. queued alone lives on, since its memory of the queue is dear: it is sent HOUSE_RELOAD.
 */
#ifndef LIB_WIRE_HOUSE_H
#define LIB_WIRE_HOUSE_H

enum house_type {
	HOUSE_READY = 'r', /* program -> master; see program_ready */
	HOUSE_RELOAD = 16, /* master -> queued: the new settings.cdb's descriptor */
	HOUSE_CONTROL = 17 /* master -> queued: a connection of the command line (control.h) whose
	                      next message is queued's */
};

#endif
