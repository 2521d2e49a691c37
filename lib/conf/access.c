/* SPDX-License-Identifier: ISC */
#include "lib/conf/access.h"

#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/conf/value.h"

/*
 * Compiled keys: "n", family (4 or 6), bits, and the address bytes masked to them for
 * networks; "h:", "f:", "t:" and a name for the others; "l" for the list of lengths.
 */
static const char *const actions[] = { "allow", "relay", "defer", "reject" };

enum { ACTIONS = sizeof actions / sizeof actions[0], RELAY_BITS_MIN = 7 };

static const struct {
	const char *text, *compiled;
} names[] = {
	[ACCESS_HOST] = { "host:", "h:" },
	[ACCESS_SENDER] = { "from:", "f:" },
	[ACCESS_RECIPIENT] = { "to:", "t:" },
};

static void network_key(const struct net_address *address, unsigned bits, struct text *out)
{
	size_t bytes = address->family == 4 ? 4 : 16;

	text_add_byte(out, 'n');
	text_add_byte(out, (char)address->family);
	text_add_byte(out, (char)bits);
	for (size_t i = 0; i < bytes; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8
		                : bits > 8 * i      ? bits - (unsigned)(8 * i)
		                                    : 0;

		text_add_byte(out, (char)(address->bytes[i] & (0xff << (8 - keep))));
	}
}

static int name_key(enum access_name kind, struct view name, struct text *out, struct reason *why)
{
	text_add_string(out, names[kind].compiled);
	if (view_equal(name, VIEW("*"))) {
		text_add(out, name);
		return 0;
	}
	if (kind != ACCESS_HOST && view_find(name, '@') < name.len)
		return maptext_address(name, VIEW(""), out, why);
	if (view_starts(name, VIEW("."))) {
		text_add_byte(out, '.');
		name = view_skip(name, 1);
	}
	return maptext_domain(name, out, why);
}

int access_key(struct view key, struct view mail_domain, struct text *out, struct reason *why)
{
	struct net_network network;

	(void)mail_domain;
	for (unsigned kind = 0; kind < sizeof names / sizeof names[0]; kind++)
		if (view_starts_nocase(key, view_of(names[kind].text)))
			return name_key((enum access_name)kind,
			                view_skip(key, view_of(names[kind].text).len), out, why);
	if (!net_network_parse(key, &network))
		return fail(
			why,
			"\"%.*s\" is not an address, a network without host bits such as 192.0.2.0/24, "
			"host:NAME, from:ADDRESS or to:ADDRESS",
			VIEW_ARG(view_take(key, 100)));
	network_key(&network.base, network.bits, out);
	return 0;
}

int access_parse(struct view text, struct access *out, struct reason *why)
{
	struct view trimmed = view_trim(text);
	size_t end = 0;

	while (end < trimmed.len && !byte_is_space(trimmed.data[end]))
		end++;
	struct view word = view_take(trimmed, end);

	out->text = view_trim(view_skip(trimmed, end));
	for (unsigned i = 0; i < ACTIONS; i++) {
		if (!view_equal(word, view_of(actions[i])))
			continue;
		out->action = (enum access_action)i;
		if (out->action < ACCESS_DEFER && out->text.len)
			return fail(why, "%s has no text", actions[i]);
		return 0;
	}
	return fail(why, "\"%.*s\" is not an action; write allow, relay, defer TEXT or reject TEXT",
	            VIEW_ARG(word));
}

void access_encode(const struct access *a, struct text *out)
{
	value_put_u8(out, (uint8_t)a->action);
	value_put_bytes(out, a->text);
}

bool access_decode(struct view value, struct access *out)
{
	struct value_reader r = { .rest = value };
	unsigned action = value_get_u8(&r);

	out->action = (enum access_action)action;
	out->text = value_get_bytes(&r);
	return value_end(&r) && action < ACTIONS;
}

static bool network_text(struct view key, struct text *out)
{
	struct net_address address = { .family = key.len > 3 ? (uint8_t)key.data[1] : 0 };
	char text[NET_ADDRESS_TEXT_MAX];
	unsigned most = address.family == 4 ? 32 : 128;

	if (key.len != 3 + most / 8)
		return false;
	for (size_t i = 3; i < key.len; i++)
		address.bytes[i - 3] = (uint8_t)key.data[i];
	text_add_string(out, net_address_text(&address, text));
	if ((unsigned char)key.data[2] != most)
		text_format(out, "/%u", (unsigned)(unsigned char)key.data[2]);
	return true;
}

bool access_key_text(struct view key, struct text *out)
{
	if (key.len && key.data[0] == 'n')
		return network_text(key, out);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (view_starts(key, view_of(names[i].compiled))) {
			text_add_string(out, names[i].text);
			text_add(out, view_skip(key, 2));
			return true;
		}
	}
	return false;
}

void access_text(const struct access *a, struct text *out)
{
	text_format(out, "%s%s%.*s", actions[a->action], a->text.len ? " " : "", VIEW_ARG(a->text));
}

void access_note_length(struct access_lengths *lengths, struct view key)
{
	if (key.len < 3 || key.data[0] != 'n')
		return;
	unsigned bits = (unsigned char)key.data[2];

	if (key.data[1] == 4 && bits <= 32)
		lengths->v4[bits] = true;
	else if (key.data[1] == 6 && bits <= 128)
		lengths->v6[bits] = true;
}

struct view access_lengths_key(void)
{
	return VIEW("l");
}

static void encode_family(const bool *used, int most, struct text *out)
{
	struct text bits;

	text_init(&bits, 256);
	for (int i = most; i >= 0; i--)
		if (used[i])
			value_put_u8(&bits, (uint8_t)i);
	value_put_bytes(out, text_view(&bits));
	text_free(&bits);
}

void access_lengths_encode(const struct access_lengths *lengths, struct text *out)
{
	encode_family(lengths->v4, 32, out);
	encode_family(lengths->v6, 128, out);
}

static bool lengths_decode(struct view value, struct view *v4, struct view *v6)
{
	struct value_reader r = { .rest = value };

	*v4 = value_get_bytes(&r);
	*v6 = value_get_bytes(&r);
	return value_end(&r);
}

static enum map_result decode_found(enum map_result result, struct view value, struct access *out)
{
	if (result == MAP_FOUND && !access_decode(value, out))
		return MAP_DAMAGED;
	return result;
}

enum map_result access_find_address(struct map *m, const struct net_address *address,
                                    struct access *out)
{
	struct view value, v4, v6;
	struct text key;
	enum map_result result = map_get(m, access_lengths_key(), &value);

	if (result != MAP_FOUND || address->family == 0)
		return result == MAP_DAMAGED ? result : MAP_MISSING;
	if (!lengths_decode(value, &v4, &v6))
		return MAP_DAMAGED;
	struct view lengths = address->family == 4 ? v4 : v6;

	text_init(&key, MAP_KEY_MAX);
	result = MAP_MISSING;
	for (size_t i = 0; i < lengths.len && result == MAP_MISSING; i++) {
		text_clear(&key);
		network_key(address, (unsigned char)lengths.data[i], &key);
		result = map_get(m, text_view(&key), &value);
	}
	text_free(&key);
	return decode_found(result, value, out);
}

enum map_result access_find_name(struct map *m, enum access_name kind, struct view name,
                                 struct access *out)
{
	struct view value = { "", 0 };
	enum map_result result = map_get_widening(m, view_of(names[kind].compiled), name, &value);

	return decode_found(result, value, out);
}

bool access_has_names(struct map *m, enum access_name kind)
{
	struct view key, value, prefix = view_of(names[kind].compiled);
	enum map_result more;

	for (map_rewind(m); (more = map_next(m, &key, &value)) == MAP_FOUND;)
		if (view_starts(key, prefix))
			return true;
	return more == MAP_DAMAGED;
}

/* ---- for the build ---- */

int access_compile(const struct mapbuild *b, struct view key, struct view value, struct text *out,
                   struct reason *why)
{
	struct access a;

	(void)b;
	if (access_parse(value, &a, why) != 0)
		return -1;
	if (a.action == ACCESS_RELAY && key.data[0] != 'n')
		return fail(
			why,
			"relay is for IP addresses and networks only: names and senders are easily forged");
	/* Half of the Internet, at least: nobody means that. */
	if (a.action == ACCESS_RELAY && (unsigned char)key.data[2] < RELAY_BITS_MIN)
		return fail(why,
		            "relay for a network as large as /%u makes an open relay; name the "
		            "networks of your own clients",
		            (unsigned)(unsigned char)key.data[2]);
	access_encode(&a, out);
	return 0;
}

bool access_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct access a;

	if (view_equal(key, access_lengths_key()) || !access_decode(value, &a))
		return false;
	access_text(&a, out);
	return access_key_text(key, key_out);
}

void access_index(struct map_entry *const *entries, size_t count, struct text *key,
                  struct text *value)
{
	struct access_lengths lengths = { 0 };

	for (size_t i = 0; i < count; i++)
		access_note_length(&lengths, entries[i]->key);
	text_add(key, access_lengths_key());
	access_lengths_encode(&lengths, value);
}
