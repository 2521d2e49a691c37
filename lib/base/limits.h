/* SPDX-License-Identifier: ISC */
/* Limits that more than one library keeps: each is written here and nowhere else. And those of the
 * process (lib/conf/bounds.def), when they have been reached. */
#ifndef LIB_BASE_LIMITS_H
#define LIB_BASE_LIMITS_H

enum {
	/* Room for an address with its terminator: RFC 5321 (section 4.5.3.1.3, erratum 1690) has
	 * no address of more than 254 on the wire, so that one always fits. */
	ADDRESS_MAX = 320,
	STATUS_MAX = 16, /* an enhanced status code (RFC 3463), "5.7.123", with its terminator */
	HOME_MAX = 1024, /* the path of a mailbox owner's home, with its terminator */
	/* Sessions of one program at a time, and with those that the program before a reload still
	 * has, which ask the same servers. */
	SESSIONS_MAX = 20000,
	SESSION_LINES_MAX = 2 * SESSIONS_MAX
};

enum limit { LIMIT_MEMORY, LIMIT_DESCRIPTORS, LIMIT_PROCESSES, LIMIT_FILE, LIMITS };

/* To the log, by name, once a second; errno stays. */
void limit_reached(enum limit limit);

#endif
