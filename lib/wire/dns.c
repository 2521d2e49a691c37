/* SPDX-License-Identifier: ISC */
#include "lib/wire/dns.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/dial.h"

static void host_put(struct wire_out *out, const struct dns_host *h)
{
	wire_put_u16(out, h->preference);
	wire_put_byte(out, h->secure);
	wire_put_byte(out, h->later);
	wire_put_string(out, h->name);
	wire_put_byte(out, (uint8_t)h->address_count);
	for (unsigned i = 0; i < h->address_count; i++)
		wire_put_address(out, &h->addresses[i]);
}

static bool host_get(struct wire_in *in, struct dns_host *h)
{
	h->preference = wire_get_u16(in);
	h->secure = wire_get_bool(in);
	h->later = wire_get_bool(in);
	wire_get_string(in, h->name, sizeof h->name);
	h->address_count = wire_get_byte(in);
	if (in->bad || h->address_count > DNS_ADDRESSES_MAX)
		return false;
	for (unsigned i = 0; i < h->address_count; i++)
		wire_get_address(in, &h->addresses[i]);
	return !in->bad;
}

void dns_answer_put(struct wire_out *out, const struct dns_answer *a)
{
	wire_begin(out, DNS_HOSTS);
	wire_put_byte(out, (uint8_t)a->result);
	wire_put_string(out, a->text);
	wire_put_u32(out, a->ttl_s);
	wire_put_byte(out, (uint8_t)a->host_count);
	for (unsigned i = 0; i < a->host_count; i++)
		host_put(out, &a->hosts[i]);
}

bool dns_answer_get(struct wire_in *in, struct dns_answer *a)
{
	uint8_t result = wire_get_byte(in);

	if (in->type != DNS_HOSTS || result > DNS_OWN_FAULT)
		return false;
	a->result = (enum dns_result)result;
	wire_get_string(in, a->text, sizeof a->text);
	a->ttl_s = wire_get_u32(in);
	a->host_count = wire_get_byte(in);
	if (in->bad || a->host_count > DNS_HOSTS_MAX)
		return false;
	for (unsigned i = 0; i < a->host_count; i++)
		if (!host_get(in, &a->hosts[i]))
			return false;
	return wire_end(in);
}

enum { DNS_PORT = 53 };

int dns_server_parse(struct view text, struct net_address *out, struct reason *why)
{
	if (!net_address_parse_port(text, out)) {
		if (!net_address_parse(text, out))
			return fail(why, "\"%.*s\" is not an address such as 127.0.0.1:53",
			            VIEW_ARG(text));
		out->port = DNS_PORT;
	}
	if (out->family != 4)
		return fail(
			why,
			"\"%.*s\" is not an IPv4 address, and the C library's resolver takes no "
			"other here; for an IPv6 server leave it empty and use /etc/resolv.conf",
			VIEW_ARG(text));
	return 0;
}

void dns_question_put(struct wire_out *out, enum dns_type type, const char *name)
{
	wire_begin(out, (unsigned char)type);
	wire_put_string(out, name);
}

bool dns_question_get(struct wire_in *in, enum dns_type *type, char name[DNS_NAME_MAX])
{
	if (in->type != DNS_ROUTE && in->type != DNS_ADDRESS && in->type != DNS_NAME &&
	    in->type != DNS_EXCHANGERS)
		return false;
	*type = (enum dns_type)in->type;
	wire_get_string(in, name, DNS_NAME_MAX);
	return wire_end(in) && name[0] != '\0';
}

static enum wire_result ask_once(int *line, const struct wire_out *out, struct dns_answer *answer,
                                 int timeout_ms)
{
	struct wire_in in = { 0 };

	if (*line < 0)
		*line = dial("dnsd.dns", "dns");
	enum wire_result r = *line < 0 ? WIRE_ERROR : wire_call(*line, out, &in, timeout_ms);

	if (r == WIRE_OK && !dns_answer_get(&in, answer)) {
		r = WIRE_ERROR;
		errno = EBADMSG;
	}
	wire_in_close(&in);
	if (r != WIRE_OK && *line >= 0) {
		close(*line);
		*line = -1;
	}
	return r;
}

int dns_ask(int *line, enum dns_type type, const char *name, struct dns_answer *answer,
            int timeout_ms)
{
	struct wire_out out = { 0 };

	if (strlen(name) >= DNS_NAME_MAX)
		return -1;
	dns_question_put(&out, type, name);
	enum wire_result r = ask_once(line, &out, answer, timeout_ms);

	if (r == WIRE_CLOSED)
		r = ask_once(line, &out, answer, timeout_ms);
	if (r != WIRE_OK)
		log_warn("event=dns-lost name=%s reason=\"%s\"", log_text(view_of(name)),
		         log_text(view_of(wire_reason(r))));
	wire_out_free(&out);
	return r == WIRE_OK ? 0 : -1;
}
