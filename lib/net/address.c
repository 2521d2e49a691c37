/* SPDX-License-Identifier: ISC */
#include "lib/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void set_v6(struct net_address *a, const uint8_t bytes[16])
{
	memset(a, 0, sizeof *a);
	if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
		a->family = 4;
		memcpy(a->bytes, bytes + 12, 4);
		return;
	}
	a->family = 6;
	memcpy(a->bytes, bytes, 16);
}

bool net_address_parse(struct view text, struct net_address *out)
{
	char copy[INET6_ADDRSTRLEN + 1];
	uint8_t bytes[16];
	bool bracketed = text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';

	if (bracketed) {
		text = view_take(view_skip(text, 1), text.len - 2);
		/* What RFC 5321 section 4.1.3 puts before the address of this family. */
		if (view_starts_nocase(text, VIEW("IPv6:")))
			text = view_skip(text, 5);
	}
	/* inet_pton stops at a NUL: "1.2.3.4\0x" must not pass as an address. */
	if (view_find(text, '\0') != text.len || !string_copy(copy, sizeof copy, text))
		return false;
	if (inet_pton(AF_INET6, copy, bytes) == 1) {
		set_v6(out, bytes);
		return true;
	}
	if (inet_pton(AF_INET, copy, bytes) != 1)
		return false;
	memset(out, 0, sizeof *out);
	out->family = 4;
	memcpy(out->bytes, bytes, 4);
	return true;
}

bool net_address_parse_port(struct view text, struct net_address *out)
{
	struct view host, digits;
	uint64_t port;
	size_t colon = text.len;

	while (colon > 0 && text.data[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return false;
	host = view_take(text, colon - 1);
	digits = view_skip(text, colon);
	if (!view_number(digits, 65535, &port))
		return false;
	/* "::1:25" could be read two ways, so an IPv6 address needs its brackets here. */
	if (view_find(host, ':') != host.len && (host.len == 0 || host.data[0] != '['))
		return false;
	if (!net_address_parse(host, out))
		return false;
	out->port = (uint16_t)port;
	return true;
}

bool net_address_from_sockaddr(const struct sockaddr *sa, struct net_address *out)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		memset(out, 0, sizeof *out);
		out->family = 4;
		memcpy(out->bytes, &in->sin_addr, 4);
		out->port = ntohs(in->sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		set_v6(out, in6->sin6_addr.s6_addr);
		out->port = ntohs(in6->sin6_port);
		return true;
	}
	memset(out, 0, sizeof *out);
	return false;
}

socklen_t net_address_to_sockaddr(const struct net_address *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof *ss);
	if (a->family == 6) {
		struct sockaddr_in6 *in6 = (void *)ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(in6->sin6_addr.s6_addr, a->bytes, 16);
		return sizeof *in6;
	}
	struct sockaddr_in *in = (void *)ss;

	in->sin_family = AF_INET;
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->bytes, 4);
	return sizeof *in;
}

const char *net_address_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_MAX])
{
	if (a->family == 0 ||
	    !inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->bytes, out, NET_ADDRESS_TEXT_MAX))
		string_put(out, NET_ADDRESS_TEXT_MAX, VIEW("none"));
	return out;
}

const char *net_address_literal(const struct net_address *a, char out[NET_ADDRESS_TEXT_MAX])
{
	char plain[NET_ADDRESS_TEXT_MAX];

	string_print(out, NET_ADDRESS_TEXT_MAX, "[%s%s]", a->family == 6 ? "IPv6:" : "",
	             net_address_text(a, plain));
	return out;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void net_address_owners(const struct net_address *a, struct share_path *out)
{
	static const uint8_t ipv4[NET_OWNERS] = { 2, 3, 4 }, ipv6[NET_OWNERS] = { 4, 6, 8 };
	uint8_t key[1 + sizeof a->bytes] = { a->family }; /* no IPv4 network is an IPv6 one */

	memcpy(key + 1, a->bytes, sizeof a->bytes);
	*out = (struct share_path){ 0 };
	for (unsigned i = 0; i < NET_OWNERS; i++)
		share_path_add(out, key,
		               1 + (a->family == 4   ? ipv4[i]
		                    : a->family == 6 ? ipv6[i]
		                                     : 0));
}

/* Are the first `bits` bits of both the same? */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool host_bits_zero(const struct net_address *a, unsigned bits, unsigned width)
{
	for (unsigned bit = bits; bit < width; bit++)
		if (a->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

bool net_network_parse(struct view text, struct net_network *out)
{
	size_t slash = view_find(text, '/');
	unsigned width;
	uint64_t bits;

	if (!net_address_parse(view_take(text, slash), &out->base))
		return false;
	width = out->base.family == 6 ? 128 : 32;
	bits = width;
	if (slash < text.len && !view_number(view_skip(text, slash + 1), width, &bits))
		return false;
	out->bits = (unsigned)bits;
	return host_bits_zero(&out->base, out->bits, width);
}

bool net_network_holds(const struct net_network *n, const struct net_address *a)
{
	return n->base.family == a->family && a->family != 0 &&
	       same_bits(n->base.bytes, a->bytes, n->bits);
}
