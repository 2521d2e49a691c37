/* SPDX-License-Identifier: ISC */
/* Names that others choose, where people see them and copy them. */
#ifndef LIB_BASE_SHOWN_H
#define LIB_BASE_SHOWN_H

#include "lib/base/bytes.h"

/* As it may go to a terminal: control bytes, what is not UTF-8, and what nobody sees, as \xNN. */
void text_add_shown(struct text *out, struct view v);

/* At most so many bytes for a word of `bytes`. */
#define SHELL_WORD_MAX(bytes) (4 * (bytes) + 3)
/* As a word of a command that somebody may run: in quotes where a shell would see more in it, and
 * where it cannot be shown as it is in $'...' with \NNN (POSIX.1-2024, XCU 2.2.4), so that what is
 * shown is what is meant. text_add_shown leaves it as it is. */
void text_add_shell_word(struct text *out, struct view word);

#endif
