/* SPDX-License-Identifier: ISC */
/* The keys of session tickets, in memory that porters which run at once share, and leave to those
 * that come. One of them may have been taken over: what is there is believed for as long as keys of
 * one's own would be, and nobody is waited for. */
#ifndef MASTER_PORTER_TICKETS_H
#define MASTER_PORTER_TICKETS_H

#include <stdatomic.h>
#include <stdint.h>

enum {
	TICKET_KEY_BYTES = 80, /* OpenSSL's: name, HMAC secret, AES key */
	TICKET_KEY_SECONDS = 8 * 3600,
	TICKETS_BUSY_SECONDS = 2 /* then who was busy has died of it, or wants us to wait */
};

/* Zeroed: nobody has made any yet. */
struct tickets {
	_Atomic int64_t busy_s;  /* since when somebody reads or writes the rest; 0: nobody does */
	_Atomic int64_t since_s; /* of the keys; 0: there are none */
	unsigned char keys[TICKET_KEY_BYTES];
};

/* now_s: of a clock that only goes forward, above 0. *since_s: of the keys in use, 0 for none; it
 * follows. 1: these are to be used instead; 0: those in use are the ones, or somebody is busy; -1:
 * new ones are due and there are no random bytes. */
int tickets_take(struct tickets *t, int64_t now_s, int64_t *since_s,
                 unsigned char keys[TICKET_KEY_BYTES]);

#endif
