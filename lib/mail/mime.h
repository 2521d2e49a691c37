/* SPDX-License-Identifier: ISC */
/*
 * The MIME structure of a message in memory (RFC 2045, 2046; an mmap'd file):
 * a tree of parts in the caller's arena, offsets into the message, and what
 * IMAP's BODYSTRUCTURE says of each part.  One pass over the lines.
 *
 * Lines should end with CRLF: sizes in octets are those of the bytes as they
 * stand.  Messages with bare LF are parsed all the same; the store hands out a CRLF form of such
 * files, and that is what to parse.
 *
 * Nothing is an error.  As in other IMAP servers: a boundary line counts when it
 * begins with the boundary (of several that do, the longest); what stands
 * outside of all parts is ignored; a part without its end reaches to the end
 * of what holds it; behind the closing boundary everything is epilogue.  A
 * multipart without a boundary parameter, or in which no boundary comes, has no
 * children (BODYSTRUCTURE must show it as one empty text/plain part then).
 *
 * Views point into the message where the text needed no change, and into the
 * arena otherwise.
 */
#ifndef LIB_MAIL_MIME_H
#define LIB_MAIL_MIME_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"
#include "lib/mail/encoding.h"

enum {
	MIME_DEPTH_MAX = 100,       /* parts in parts; deeper ones stay unparsed bodies */
	MIME_PARTS_MAX = 10000,     /* parts of a message; further ones are left out */
	MIME_PARAMS_MAX = 100,      /* parameters of one field; further ones are dropped */
	MIME_FIELD_MAX = 64 * 1024, /* bytes of one structured field that are read */
	MIME_BOUNDARY_MAX = 250, /* RFC 2046 allows 70; of a longer one the beginning is compared */
	MIME_ARENA_BYTES = 16 * 1024 * 1024, /* a sensible arena limit for one message */
};

/* A parameter, or one tag of Content-Language (then without a value). */
struct mime_param {
	struct view name, value; /* unquoted; RFC 2231 pieces stay apart, see mime_param_text */
	struct mime_param *next;
};

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART, /* children: its parts */
	MIME_MESSAGE    /* message/rfc822 or message/global; child: the message inside, one */
};

struct mime_part {
	struct mime_part *parent, *next, *child, *last_child;
	unsigned children;
	enum mime_kind kind;
	unsigned depth;

	size_t header_start, header_len; /* with the empty line; of a MIME part, its MIME header */
	size_t body_start,
		body_len; /* without the line end that belongs to the boundary behind it */
	uint32_t header_lines, body_lines;

	struct view type, subtype; /* as written; text/plain where absent or unreadable */
	bool type_default; /* no usable Content-Type: params are empty, charset is us-ascii */
	struct mime_param *params;
	enum transfer_encoding encoding;
	struct view encoding_text; /* data NULL: absent; so for all below */
	struct view id, description, md5, location;
	struct view disposition;
	struct mime_param *disposition_params;
	struct mime_param *languages;
};

struct mime_message {
	struct mime_part *root; /* the message itself: its header is the message's */
	unsigned parts;
	bool truncated; /* a limit was met (depth, parts, arena): the tree stops short, and is sound
	                 */
};

/* message must outlive the tree.  false: the arena had no room for a single part. */
bool mime_parse(struct arena *arena, struct view message, struct mime_message *out);

/* The part that the numbers at the front of an IMAP section name ("2.1.HEADER"; RFC 3501 section
 * 6.4.5); *rest is left at what follows the numbers and their dot.  Without numbers, the root.
 * NULL: no such part.  *whole: the numbers name root's own body (part 1 of a message that is not
 * multipart), so that the part's body is meant and MIME is its header.  HEADER and TEXT
 * of a MIME_MESSAGE part are those of its child. */
struct mime_part *mime_section(struct mime_part *root, struct view section, struct view *rest,
                               bool *whole);

/* The value of a parameter in UTF-8, RFC 2231 pieces and charsets resolved, encoded words decoded
 * (many mailers put them there).  false: absent, or out was full. */
bool mime_param_text(const struct mime_param *params, struct view name, struct text *out);
/* The raw value; data NULL when absent. */
struct view mime_param(const struct mime_param *params, struct view name);

/* "type/subtype; name=value" or, with `slash` false, "word; name=value". */
bool mime_value_parse(struct arena *arena, struct view value, bool slash, struct view *type,
                      struct view *subtype, struct mime_param **params);

#endif
