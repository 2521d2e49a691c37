/* SPDX-License-Identifier: ISC */
/* One line of a POP3 client in the TRANSACTION state (RFC 1939 section 5), taken apart and checked
 * for form. */
#ifndef POP3D_COMMAND_H
#define POP3D_COMMAND_H

#include "lib/login/capability.h"

/* RFC 2449 section 4: 255 octets with the CRLF. */
enum { POP3_LINE_MAX = 253, POP3_CAPA_MAX = 1024 };

enum pop3_verb {
	POP3_STAT,
	POP3_LIST,
	POP3_RETR,
	POP3_DELE,
	POP3_NOOP,
	POP3_RSET,
	POP3_QUIT,
	POP3_TOP,
	POP3_UIDL,
	POP3_CAPA,
	POP3_VERBS
};

enum pop3_argument {
	POP3_NONE,
	POP3_MAY_NAME_MESSAGE,
	POP3_NAMES_MESSAGE,
	POP3_NAMES_MESSAGE_AND_LINES
};

struct pop3_row {
	const char *name;
	enum pop3_argument argument;
	const char *capability; /* that it stands for, told at all times; NULL: none (RFC 2449
	                           section 6) */
};
extern const struct pop3_row pop3_table[POP3_VERBS];

struct pop3_command {
	enum pop3_verb verb;
	bool has_message;
	uint32_t message; /* 0 is never a message: refused by form */
	uint32_t lines;
};

/* The answer to CAPA (RFC 2449 section 5), with "+OK", what these commands stand for and what is no
 * command; pop3-login puts its own between. out and states are the caller's. */
void pop3_capabilities_begin(struct capability_writer *w);
void pop3_capabilities_end(const struct capability_writer *w);

/* NULL, or what is wrong with the line: words for the client. */
const char *pop3_parse(struct view line, struct pop3_command *out);

#endif
