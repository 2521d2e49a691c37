/* SPDX-License-Identifier: ISC */
/* Where lines go, and what logd is told. */
#ifndef MASTER_LOGS_H
#define MASTER_LOGS_H

#include "lib/conf/settings.h"
#include "lib/wire/wire.h"

/* Where lines go from now on; after a failure, where they went before. */
int logs_open(const struct settings *s, struct reason *why);
void logs_start(void);       /* master's own pipe */
void logs_tell_output(void); /* to logd: the present log */
/* Sends logd the pipes that it does not have, in the last stage its end too; what its wire has no
 * room for goes when it has. */
void logs_tell(void);
/* logd reads: our own lines go to it like everybody's. Until then, and from its end on, we write
 * them ourselves. */
void logs_reader_ready(void);
void logs_reader_ended(void); /* before logd is started again */
void logs_reader_hangs(void);
void logs_take_left(struct wire_in *in); /* logd's last word */
void logs_tell_left(void);               /* when logd has ended for good: what nobody will read */
void logs_reconnect(void);               /* the system's log was started again */

#endif
