/* SPDX-License-Identifier: ISC */
/* Edited texts are checked, written, compiled, and taken by the running house. */
#ifndef CONF_COMMIT_H
#define CONF_COMMIT_H

struct edits;

/* Says what happened; an exit code.  When it is not EXIT_DONE, either nothing was changed, or the
 * texts are and it says so. */
int commit_edits(struct edits *e);

#endif
