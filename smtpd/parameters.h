/* SPDX-License-Identifier: ISC */
/*
 * The parameters of MAIL and RCPT (RFC 5321 section 4.1.2, esmtp-param): SIZE (RFC 1870), BODY (RFC
 * 6152), AUTH (RFC 4954), RET, ENVID, NOTIFY, ORCPT (RFC 3461). Parsers without I/O; envid and
 * orcpt are kept in xtext as they came.
 */
#ifndef SMTPD_PARAMETERS_H
#define SMTPD_PARAMETERS_H

#include "lib/wire/envelope.h"

struct mail_parameters {
	uint64_t size_bytes;      /* 0: not said */
	struct envelope envelope; /* what the parameters say of it; the rest is empty */
};

enum parameter_result {
	PARAMETERS_OK,
	PARAMETERS_SYNTAX, /* 501 5.5.4: a value that is none, or a parameter given twice */
	PARAMETERS_UNKNOWN /* 555 5.5.4 */
};

/* rest: what follows the path.  *culprit is the keyword at fault. */
enum parameter_result mail_parameters_parse(struct view rest, struct mail_parameters *out,
                                            struct view *culprit);
/* All of *out but the address. */
enum parameter_result recipient_parameters_parse(struct view rest, struct envelope_recipient *out,
                                                 struct view *culprit);

#endif
