/* SPDX-License-Identifier: ISC */
/* Which posthouse this program belongs to: the text of the file VERSION when it was built. */
#ifndef LIB_BASE_VERSION_H
#define LIB_BASE_VERSION_H

enum { VERSION_MAX = 64 };

extern const char version_text[];

#endif
