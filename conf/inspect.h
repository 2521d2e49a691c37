/* SPDX-License-Identifier: ISC */
/* The parts of posthouse check that have files of their own: each adds what it finds to
 * m->problems, after load_configuration. */
#ifndef CONF_INSPECT_H
#define CONF_INSPECT_H

#include <stdbool.h>

struct model;
struct problems;
struct settings;

void inspect_texts(struct model *m); /* the current generation, and what it was built from */
/* Secrets in the generations that are kept and that others may read. */
void inspect_secrets(const struct settings *s, struct problems *problems, bool as_errors);
void inspect_mailboxes(struct model *m); /* homes */
/* The queue and drop directories; running: by this house. */
void inspect_queue(struct model *m, bool running);

#endif
