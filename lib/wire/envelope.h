/* SPDX-License-Identifier: ISC */
/*
 * The envelope of a message: who sends it and how, and its recipients.  Which fields there are
 * stands in lib/wire/envelope.def and nowhere else; whoever carries an envelope (the conversations
 * spool and job, the queue file, queued's memory) walks over the table of them.
 */
#ifndef LIB_WIRE_ENVELOPE_H
#define LIB_WIRE_ENVELOPE_H

#include "lib/base/limits.h"
#include "lib/net/address.h"
#include "lib/wire/wire.h"

enum {
	ENVELOPE_ENVID_MAX = 104, /* RFC 3461 section 4.4: 100 characters */
	ENVELOPE_ORCPT_MAX = 504  /* RFC 3461 section 4.2: 500 characters */
};

/* The numbers of the words that envelope.def gives `origin`. */
enum envelope_origin {
	ENVELOPE_NETWORK,
	ENVELOPE_AUTHENTICATED,
	ENVELOPE_MACHINE /* sendmail */,
	ENVELOPE_BOUNCE,
	ENVELOPE_RELAY /* the network, from a client that may relay without an account */
};

/* RFC 3461 NOTIFY= */
enum {
	ENVELOPE_NOTIFY_NEVER = 1,
	ENVELOPE_NOTIFY_SUCCESS = 2,
	ENVELOPE_NOTIFY_FAILURE = 4,
	ENVELOPE_NOTIFY_DELAY = 8
};

struct envelope {
#define ENVELOPE_FIELD(name, declaration, kind, detail, way, line) declaration;
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
};

struct envelope_recipient {
#define RECIPIENT_FIELD(name, declaration, kind, detail, way, line) declaration;
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
};

/* ---- the table ---- */
enum envelope_kind {
	ENVELOPE_TEXT,
	ENVELOPE_CHOICE,
	ENVELOPE_LETTER,
	ENVELOPE_NUMBER,
	ENVELOPE_CLIENT
};
enum envelope_way { ENVELOPE_STAYS, ENVELOPE_ONWARD };

struct envelope_field {
	enum envelope_kind kind;
	enum envelope_way way;
	size_t offset, size; /* in its struct */
	const char *detail, *line;
};

/* A row for each, so that tables beside these have the same indices. */
enum envelope_index {
#define ENVELOPE_FIELD(name, ...) ENVELOPE_AT_##name,
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
	ENVELOPE_FIELDS
};
enum envelope_recipient_index {
#define RECIPIENT_FIELD(name, ...) RECIPIENT_AT_##name,
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
	RECIPIENT_FIELDS
};
extern const struct envelope_field envelope_fields[ENVELOPE_FIELDS];
extern const struct envelope_field envelope_recipient_fields[RECIPIENT_FIELDS];

/* CHOICE, LETTER and NUMBER as a number, whatever the field's size. */
uint64_t envelope_number(const struct envelope_field *f, const void *from);
/* false, and nothing is set, for a number that the field cannot have. */
bool envelope_set_number(const struct envelope_field *f, void *to, uint64_t number);
/* Of a CHOICE: the word, empty beyond the last; its number, -1 for none of them. */
struct view envelope_word(const struct envelope_field *f, uint64_t number);
int envelope_choice(const struct envelope_field *f, struct view word);
/* Texts go into log lines, reports and other hosts' commands: has one a control character? */
bool envelope_has_controls(const struct envelope *e);
bool envelope_recipient_has_controls(const struct envelope_recipient *r);

/* ---- on a wire, into a packet that is begun: the getters leave what follows in `in` ---- */
/* ENVELOPE_STAYS: every field; ENVELOPE_ONWARD: those that go on, the getter empties the others. */
void envelope_put(struct wire_out *out, const struct envelope *e, enum envelope_way from);
bool envelope_get(struct wire_in *in, struct envelope *e, enum envelope_way from);
void envelope_recipient_put(struct wire_out *out, const struct envelope_recipient *r);
bool envelope_recipient_get(struct wire_in *in, struct envelope_recipient *r);

#endif
