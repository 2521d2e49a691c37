/* SPDX-License-Identifier: ISC */
#include "master/porter/proxy.h"

#include <netinet/in.h>
#include <string.h>

enum { V2_HEAD = 16, V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static const struct view v1_word = { "PROXY ", 6 };
static const struct view v2_signature = { "\r\n\r\n\0\r\nQUIT\n", 12 };

static bool parse_port(struct view text, uint16_t *port)
{
	uint64_t n;

	if (!view_number(text, UINT16_MAX, &n))
		return false;
	*port = (uint16_t)n;
	return true;
}

/* "TCP4 192.0.2.1 192.0.2.2 1234 25" */
static bool parse_v1_line(struct view line, struct proxy *out)
{
	struct view family, client, local, client_port, local_port;
	uint8_t number;

	if (!view_cut(&line, ' ', &family))
		return false;
	if (view_equal(family, VIEW("UNKNOWN")))
		return true;
	if (view_equal(family, VIEW("TCP4")))
		number = 4;
	else if (view_equal(family, VIEW("TCP6")))
		number = 6;
	else
		return false;
	if (!view_cut(&line, ' ', &client) || !view_cut(&line, ' ', &local) ||
	    !view_cut(&line, ' ', &client_port))
		return false;
	local_port = line;
	out->proxied = true;
	/* A mapped address is held as IPv4, whatever family the balancer gave it. */
	return net_address_parse(client, &out->client) && net_address_parse(local, &out->local) &&
	       (out->client.family == number || number == 6) &&
	       (out->local.family == number || number == 6) &&
	       parse_port(client_port, &out->client.port) &&
	       parse_port(local_port, &out->local.port);
}

static enum proxy_result parse_v1(struct view arrived, struct proxy *out)
{
	struct view head = view_take(arrived, PROXY_V1_MAX);
	size_t end = view_find(head, '\n');

	if (end == head.len)
		return head.len == PROXY_V1_MAX ? PROXY_BAD : PROXY_MORE;
	if (end == 0 || head.data[end - 1] != '\r')
		return PROXY_BAD;
	out->used = end + 1;
	if (end - 1 < v1_word.len)
		return PROXY_BAD;
	return parse_v1_line(view_skip(view_take(head, end - 1), v1_word.len), out) ? PROXY_DONE
	                                                                            : PROXY_BAD;
}

static unsigned byte_at(struct view v, size_t place)
{
	return (unsigned char)v.data[place];
}

static uint16_t port_at(struct view v, size_t place)
{
	return (uint16_t)(byte_at(v, place) << 8 | byte_at(v, place + 1));
}

static struct net_address address_at(struct view v, size_t place, int family)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct net_address out = { 0 };

	if (family == AF_INET) {
		memcpy(&four.sin_addr, v.data + place, 4);
		net_address_from_sockaddr((const struct sockaddr *)&four, &out);
	} else {
		memcpy(&six.sin6_addr, v.data + place, 16);
		net_address_from_sockaddr((const struct sockaddr *)&six, &out);
	}
	return out;
}

static void take_addresses(struct view body, int family, size_t bytes, struct proxy *out)
{
	out->proxied = true;
	out->client = address_at(body, 0, family);
	out->local = address_at(body, bytes, family);
	out->client.port = port_at(body, 2 * bytes);
	out->local.port = port_at(body, 2 * bytes + 2);
}

static enum proxy_result parse_v2(struct view arrived, struct proxy *out)
{
	if (arrived.len < V2_HEAD)
		return PROXY_MORE;
	unsigned command = byte_at(arrived, 12), family = byte_at(arrived, 13);
	size_t len = port_at(arrived, 14);

	if ((command != V2_LOCAL && command != V2_PROXY) || V2_HEAD + len > PROXY_V2_MAX)
		return PROXY_BAD;
	if (arrived.len < V2_HEAD + len)
		return PROXY_MORE;
	struct view body = view_take(view_skip(arrived, V2_HEAD), len);

	out->used = V2_HEAD + len;
	if (command == V2_LOCAL)
		return PROXY_DONE; /* the balancer's own health check */
	if (family == V2_TCP4 && len >= 12)
		take_addresses(body, AF_INET, 4, out);
	else if (family == V2_TCP6 && len >= 36)
		take_addresses(body, AF_INET6, 16, out);
	else if (family == V2_TCP4 || family == V2_TCP6)
		return PROXY_BAD;
	return PROXY_DONE;
}

enum proxy_result proxy_parse(struct view arrived, struct proxy *out)
{
	*out = (struct proxy){ 0 };
	if (arrived.len == 0)
		return PROXY_MORE;
	struct view expected = arrived.data[0] == 'P' ? v1_word : v2_signature;

	if (!view_equal(view_take(arrived, expected.len), view_take(expected, arrived.len)))
		return PROXY_BAD;
	return arrived.data[0] == 'P' ? parse_v1(arrived, out) : parse_v2(arrived, out);
}
