/* SPDX-License-Identifier: ISC */
/*
 * The names of message files.
 *
 *     1732262400.M012345P77_3.host,S=4096,W=4096,U=67405a00.17:2,FSa
 *     ---------------- stem ---------------------,-- UID ----,flags and keywords
 *
 * S is the size of the file, W that with CRLF (they differ where lines end with LF), U the second
 * record of the UID: the folder's UIDVALIDITY in hexadecimal and the UID. A name is canonical when
 * name_format would write it just so. Strangers' programs choose names: everything here takes any
 * bytes.
 */
#ifndef LIB_STORE_NAME_H
#define LIB_STORE_NAME_H

#include "lib/base/bytes.h"

enum {
	NAME_BYTES_MAX = 255,
	NAME_STEM_MAX = 160, /* with UID, 26 flags and 26 keywords it stays below NAME_BYTES_MAX */
	NAME_LETTERS = 26
};

struct message_name {
	char stem[NAME_STEM_MAX + 1]; /* without the ,U= field */
	uint32_t validity, uid;       /* 0: the name has none */
	bool has_size, has_wire;
	uint64_t size, wire_size; /* S=, W= */
	uint32_t flags;           /* bit = letter - 'A' */
	uint64_t keywords;        /* bit = letter - 'a'; only the first 26 */
	bool canonical;
};

/* false: not a message (begins with a dot, or is too long to be kept). */
bool name_parse(struct view name, struct message_name *out);
/* The canonical name. out holds NAME_BYTES_MAX + 1. */
void name_format(char *out, struct view stem, uint32_t validity, uint32_t uid, uint32_t flags,
                 uint64_t keywords);
/* A stem that no other delivery on this host gives; out holds NAME_STEM_MAX + 1. Begins with the
 * time, so that stems sort by it (name_order). */
void name_unique(char *out);
/* The same with ,S= and ,W= behind it. */
void name_add_size(char *stem, uint64_t size, uint64_t wire_size);
/* By time of delivery, then by bytes. */
int name_order(const char *a, const char *b);

#endif
