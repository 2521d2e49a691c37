/* SPDX-License-Identifier: ISC */
/*
 * access.map: who may do what; the kill file.
 *
 *	192.0.2.0/24           relay
 *	192.0.2.66             reject not from this machine
 *	2001:db8::/32          allow
 *	host:.dialup.example   reject               (the client's name, checked both ways)
 *	from:spammer@evil.test reject 5.7.1 go away (the envelope's sender; domain, .parent also)
 *	to:old@example.test    reject moved         (the recipient)
 *
 * The longest network decides; names are looked up from the particular to the general.
 */
#ifndef LIB_CONF_ACCESS_H
#define LIB_CONF_ACCESS_H

#include "lib/conf/map.h"
#include "lib/net/address.h"

enum access_action {
	ACCESS_ALLOW,
	ACCESS_RELAY, /* may send to other domains without authentication (addresses only) */
	ACCESS_DEFER, /* a temporary refusal */
	ACCESS_REJECT
};

enum access_name { ACCESS_HOST, ACCESS_SENDER, ACCESS_RECIPIENT };

struct access {
	enum access_action action;
	struct view text; /* of defer and reject; may begin with an enhanced status; may be empty */
};

enum map_result access_find_address(struct map *m, const struct net_address *address,
                                    struct access *out);
enum map_result access_find_name(struct map *m, enum access_name kind, struct view name,
                                 struct access *out);

/* Is there any entry of this kind?  Reads the whole map. */
bool access_has_names(struct map *m, enum access_name kind);

int access_parse(struct view text, struct access *out, struct reason *why);
void access_encode(const struct access *a, struct text *out);
bool access_decode(struct view value, struct access *out);
/* Compiled keys and values as text again; false: not a key of the text. */
bool access_key_text(struct view compiled, struct text *out);
void access_text(const struct access *a, struct text *out);

/* The builder notes each network's length and adds one entry that lists them, so that a
 * lookup asks only for lengths in use. */
struct access_lengths {
	bool v4[33], v6[129];
};
void access_note_length(struct access_lengths *lengths, struct view compiled_key);
struct view access_lengths_key(void);
void access_lengths_encode(const struct access_lengths *lengths, struct text *out);

#endif
