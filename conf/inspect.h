/* SPDX-License-Identifier: ISC */
/* The parts of posthouse check that have files of their own: each adds what it finds to
 * m->problems, after load_configuration. */
#ifndef CONF_INSPECT_H
#define CONF_INSPECT_H

#include <stdbool.h>

#include "lib/base/shown.h"
#include "lib/conf/settings.h"

struct model;
struct problems;

void inspect_texts(struct model *m); /* the current generation, and what it was built from */
/* Secrets in the generations that are kept and that others may read. */
void inspect_secrets(const struct settings *s, struct problems *problems, bool as_errors);
void inspect_mailboxes(struct model *m); /* homes */
/* The queue and drop directories; running: by this house; secret_lost: so its queued says. */
void inspect_queue(struct model *m, bool running, bool secret_lost);
/* Of a private house (account.base) other users know nothing, and its programs are a build's. */
bool house_is_systems(const struct model *m);
/* Who cannot do what they must with what is not a home. */
void inspect_access(struct model *m, bool running);
/* Who could decide what the house does, and must not. */
void inspect_owners(struct model *m);
/* At most so long. */
enum { QUEUE_ACCESS_TEXT_MAX = 2 * SHELL_WORD_MAX(SETTING_VALUE_MAX) + 512 };
/* One line, "" when all is well: what in the queue directory its account cannot use, and what to
 * run; files: each message is looked at, too, which queued does itself while it runs. Not for an
 * onlooker (house_is_anothers). */
void inspect_queue_access(const struct settings *s, bool files, struct text *out);

#endif
