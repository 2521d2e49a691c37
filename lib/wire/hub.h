/* SPDX-License-Identifier: ISC */
/*
 * The serving end of a wire, inside an event loop: porter towards its session
 * programs, queued towards writers and agents, resolved, authd, dnsd, keyd;
 * and of a listening socket: pickup towards the programs of this machine.
 *
 * Client processes greet over the shared descriptor (wire_dial) and each gets a
 * line of its own, which lives until the peer closes it or the server drops it.
 * Where the clients are workers (worker.h) the server also keeps them: who is
 * idle, and how many more the service parent should fork. Who connects to a
 * listening socket has a line without a greeting.
 *
 * No callback runs inside the call that caused it. hub_line_send, hub_line_drop, hub_set_idle and
 * hub_stop only note; `closed` and `idle` run from the loop, when the present callback has returned
 * to it. Until its `closed` has returned a line stays valid memory and answers WIRE_CLOSED.
 */
#ifndef LIB_WIRE_HUB_H
#define LIB_WIRE_HUB_H

#include "lib/base/hash.h"
#include "lib/base/loop.h"
#include "lib/base/pace.h"
#include "lib/wire/wire.h"

/* Types that the skeletons of both ends use; a protocol's own types begin at WIRE_OWN. */
enum {
	WIRE_GROW = 1,     /* server -> service parent: fork so many workers */
	WIRE_DONE = 2,     /* worker -> server: idle again */
	WIRE_ANNOUNCE = 3, /* server -> service parent: announce again, I have been started anew */
	WIRE_OWN = 16
};

struct hub;

/* One conversation.  The protocol's own struct begins with it (first member). */
struct hub_line {
	int process;     /* who made it, as the kernel says; 0: not known */
	uint32_t worker; /* for which worker of its own; 0: for itself */
	unsigned jobs;   /* how often it was taken */
	struct watch watch;
	struct hub *server;
	struct link all;             /* in server->lines */
	struct hashed known;         /* in server->known, until it is dropped */
	struct hub_process *made_by; /* NULL: not known who */
	struct link resting;         /* in server->idle_lines */
	struct link noted;           /* in server->noted: the loop has something to do for it */
	bool dropped;                /* its end is noted; the descriptor is closed already */
	unsigned char unheard; /* then: the type of the first message that its peer had sent and
	                          nobody read; 0: none; WIRE_UNREAD: there may be one */
};

struct hub {
	/* Set by the caller before hub_start. */
	struct loop *loop;
	const char *protocol;
	size_t line_size;   /* sizeof the struct that begins with hub_line */
	unsigned lines_max; /* further greetings are refused, with a warning; further connections
	                       wait in the socket */
	bool listens;       /* the shared descriptor is a listening socket */
	bool takes_descriptors; /* that come over its lines; a kernel that can refuses others */
	/* How many workers a process may have that asks for them, a setting; NULL: none. It has
	 * twice as many lines at most, since some of those that have ended are still to be seen,
	 * and some for itself. */
	const int *workers_max;
	bool workers; /* the clients are workers: new lines begin idle, WIRE_DONE makes them idle
	                 again */
	unsigned char farewell; /* the type of an empty message, said to a line that is refused, or
	                           let go for a successor's sake: what its peer has said meanwhile
	                           was not heard, and will not be; 0: none */
	unsigned
		reuse; /* a worker that was taken so often is let go, whatever it says; 0: no end */
	int grow_patience_ms; /* how soon workers that did not come are asked for again; 0: a second
	                       */
	void *context;
	void (*opened)(struct hub_line *line);                      /* may be NULL */
	void (*message)(struct hub_line *line, struct wire_in *in); /* any type but WIRE_DONE */
	void (*closed)(struct hub_line *line);     /* may be NULL; the line is freed behind it */
	void (*idle)(struct hub_line *line);       /* may be NULL: a worker became idle, and is the
	                                              first to be taken */
	bool (*busy)(const struct hub_line *line); /* may be NULL: never; is an answer owed? Of
	                                              workers: is it the worker that owes one,
	                                              without which WIRE_DONE ends the line? */
	void (*announced)(struct hub *server,
	                  struct wire_in *in); /* may be NULL: other messages on the shared wire */
	void (*lost)(struct hub *server); /* may be NULL: nobody holds the other end of the shared
	                                     wire any more */
	void (*retired)(struct hub *server); /* may be NULL: hubs_serve has heard that a successor
	                                        is there for what this one does beside its lines */
	/* The server's own. */
	struct watch watch;
	struct link link;                     /* all hubs of the program */
	struct list lines, idle_lines, noted; /* lines: those too whose `closed` is still to run */
	struct hash known;                    /* by process and worker */
	struct hash processes;                /* that have lines which are not dropped */
	struct deferred due;
	struct pace refusals, drops; /* in the log */
	unsigned growing;
	int64_t grow_until_ms;
};

/* shared_fd stays open for the life of the program, a listening socket until SIGHUP: master keeps
 * the other end too, so that a client program that is restarted finds the same wire. */
void hub_start(struct hub *server, int shared_fd);

/* Stops serving: drops every line and lets go of the shared wire (not closed: it is the
 * caller's). The struct may be given up when `lines` is empty, from a callback that is none of the
 * hub's own. */
void hub_stop(struct hub *server);
/* For a successor's sake (SIGHUP): no new lines. Only for a program with an end of its own
 * (porter); the others have hubs_serve. */
void hub_retire(struct hub *server);
/* Takes new lines after all. */
void hub_resume(struct hub *server);

/* The life of a program that is nothing but hubs whose clients are no workers: ready, then until
 * SIGTERM, which ends it at once, or SIGHUP, which says that a successor has its wires: it takes no
 * new line, lets go of those that are not busy (who asks on one sees it closed and dials again),
 * of the others as soon as they have their answer, and ends with the last. */
void hubs_serve(struct loop *loop);
/* A line that was busy is not any more, although nothing was sent with hub_line_send. */
void hub_line_settled(struct hub_line *line);

/* Sends without waiting; a line whose buffer is full or whose peer is gone is dropped
 * (WIRE_CLOSED comes back): a client that does not read is broken. */
enum wire_result hub_line_send(struct hub_line *line, const struct wire_out *out);
/* Ends a line: its peer sees that at once. why goes to the log, NULL for nothing. */
void hub_line_drop(struct hub_line *line, const char *why);

/* An idle worker, now busy; the one longest in use last (so that spare ones time out). NULL:
 * none. */
struct hub_line *hub_take_idle(struct hub *server);
/* The same of one of idle_lines. */
void hub_take(struct hub_line *line);
/* The worker's job is over: it can be taken when the loop has called `idle`. */
void hub_set_idle(struct hub_line *line);
/* So many jobs wait for a worker: asks the parent for as many as are not already on their way. */
void hub_want(struct hub *server, unsigned jobs);

#endif
