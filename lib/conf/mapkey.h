/* SPDX-License-Identifier: ISC */
/*
 * The kinds of keys that maps have: each checks a key of the text and adds its compiled form, ASCII
 * letters lower-cased, to `out`; -1 with a reason when it is none.  mail_domain is added to an
 * address without a domain.
 */
#ifndef LIB_CONF_MAPKEY_H
#define LIB_CONF_MAPKEY_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

typedef int mapkey_function(struct view text, struct view mail_domain, struct text *out,
                            struct reason *why);

mapkey_function mapkey_domain;      /* example.test */
mapkey_function mapkey_address;     /* anna@example.test, anna */
mapkey_function mapkey_recipient;   /* an address, @example.test */
mapkey_function mapkey_destination; /* an address, example.test, .example.test, * */

#endif
