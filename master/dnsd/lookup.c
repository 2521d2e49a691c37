/* SPDX-License-Identifier: ISC */
#include "master/dnsd/lookup.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"

enum {
	PACKET_MAX = 65535,
	TIMEOUT_S = 4,
	TRIES = 2,
	/* For the name of a client, whose servers are a stranger's: in all, so long as smtpd
	 * waits, beside what the last of the queries takes. */
	NAME_TIMEOUT_S = 2,
	NAME_MS = 10000
};

static struct __res_state resolver;
static int64_t until_ms; /* then no further query is made; 0: no end */

int lookup_open(const char *server, struct reason *why)
{
	struct net_address address;

	if (res_ninit(&resolver) < 0)
		return fail(why, "the resolver library cannot be initialised");
	resolver.retrans = TIMEOUT_S;
	resolver.retry = TRIES;
	if (server[0] == '\0')
		return 0;
	struct reason detail;

	if (dns_server_parse(view_of(server), &address, &detail) < 0)
		return fail(why, "dns.server: %s", detail.text);
	struct sockaddr_storage ss;

	net_address_to_sockaddr(&address, &ss);
	memcpy(&resolver.nsaddr_list[0], &ss, sizeof resolver.nsaddr_list[0]);
	resolver.nscount = 1;
	return 0;
}

/* ---- packets ---- */

static uint16_t get16(const unsigned char *p)
{
	return (uint16_t)number_get_big((const char *)p, 2);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)number_get_big((const char *)p, 4);
}

/* One record's data into *r; false when it is not well formed. */
static bool parse_data(const unsigned char *packet, const unsigned char *end,
                       const unsigned char *data, uint16_t len, uint16_t type,
                       struct lookup_record *r)
{
	memset(r, 0, sizeof *r);
	if (type == ns_t_a || type == ns_t_aaaa) {
		r->address.family = type == ns_t_a ? 4 : 6;
		if (len != (type == ns_t_a ? 4 : 16))
			return false;
		memcpy(r->address.bytes, data, len);
		return true;
	}
	if (type == ns_t_mx) {
		if (len < 3)
			return false;
		r->preference = get16(data);
		data += 2;
	}
	return dn_expand(packet, end, data, r->name, sizeof r->name) >= 0;
}

/* A place for one more record; NULL: it is left out. */
static struct lookup_record *place_for(struct lookup_records *all, const struct lookup_record *r)
{
	struct lookup_record *worst = &all->rows[0];

	if (all->count < sizeof all->rows / sizeof all->rows[0])
		return &all->rows[all->count++];
	for (unsigned i = 1; i < all->count; i++)
		if (all->rows[i].preference > worst->preference)
			worst = &all->rows[i];
	return r->preference < worst->preference ? worst : NULL;
}

bool lookup_parse(const unsigned char *packet, size_t len, uint16_t type,
                  struct lookup_records *out)
{
	const unsigned char *p = packet + 12, *end = packet + len;
	char name[DNS_NAME_MAX * 4];

	out->count = 0;
	out->ttl_s = LOOKUP_TTL_MAX_S;
	if (len < 12)
		return false;
	for (unsigned n = get16(packet + 4); n > 0; n--) {
		int used = dn_expand(packet, end, p, name, sizeof name);

		if (used < 0 || end - p < used + 4)
			return false;
		p += used + 4;
	}
	for (unsigned n = get16(packet + 6); n > 0; n--) {
		int used = dn_expand(packet, end, p, name, sizeof name);

		if (used < 0 || end - p < used + 10)
			return false;
		p += used;
		uint16_t data_len = get16(p + 8);
		uint32_t ttl_s = get32(p + 4);

		if (end - p < 10 + data_len)
			return false;
		if (ttl_s < out->ttl_s)
			out->ttl_s = ttl_s;
		if (get16(p) == type && get16(p + 2) == ns_c_in) {
			struct lookup_record record, *place;

			if (!parse_data(packet, end, p + 10, data_len, type, &record))
				return false;
			place = place_for(out, &record);
			if (place != NULL)
				*place = record;
		}
		p += 10 + data_len;
	}
	return true;
}

/* ---- questions ---- */

static enum dns_result query(const char *name, uint16_t type, struct lookup_records *records)
{
	static unsigned char packet[PACKET_MAX];

	records->count = 0;
	records->ttl_s = LOOKUP_TTL_FAILED_S;
	if (until_ms != 0 && clock_ms() >= until_ms)
		return DNS_LATER;
	int len = res_nquery(&resolver, name, ns_c_in, type, packet, sizeof packet);

	if (len < 0)
		return resolver.res_h_errno == HOST_NOT_FOUND ? DNS_NO_DOMAIN
		       : resolver.res_h_errno == NO_DATA      ? DNS_NO_HOST
		                                              : DNS_LATER;
	if (len > PACKET_MAX || !lookup_parse(packet, (size_t)len, type, records))
		return DNS_LATER;
	return records->count ? DNS_FOUND : DNS_NO_HOST;
}

static void add_addresses(struct dns_host *host, const struct lookup_records *records, unsigned max)
{
	for (unsigned i = 0; i < records->count && host->address_count < max; i++)
		host->addresses[host->address_count++] = records->rows[i].address;
}

static void keep_shorter(struct dns_answer *answer, uint32_t ttl_s)
{
	if (ttl_s < answer->ttl_s)
		answer->ttl_s = ttl_s;
}

static bool is_localhost(const char *name)
{
	return strcasecmp(name, "localhost") ==
	       0; /* RFC 6761 section 6.3: never asked of a server */
}

/* Fills the addresses of host->name, IPv6 first, half of the room for each family when both want
 * it. DNS_LATER only when nothing is known. Each family answers for itself: there are servers that
 * say NXDOMAIN for the one that they do not know (RFC 4074 section 4.2), or nothing at all (section
 * 4.1). That is AAAA: of servers that are silent about A no more is asked. */
static enum dns_result find_addresses(struct dns_host *host, struct dns_answer *answer)
{
	struct lookup_records six_records = { .ttl_s = LOOKUP_TTL_FAILED_S }, records;
	int64_t began_ms = clock_ms();

	if (is_localhost(host->name)) {
		net_address_parse(VIEW("127.0.0.1"), &host->addresses[host->address_count++]);
		return DNS_FOUND;
	}
	enum dns_result four = query(host->name, ns_t_a, &records);
	bool silent =
		four == DNS_LATER && clock_ms() - began_ms >= (int64_t)resolver.retrans * 1000;
	enum dns_result six = silent ? DNS_LATER : query(host->name, ns_t_aaaa, &six_records);
	unsigned half = DNS_ADDRESSES_MAX / 2, fours = records.count < half ? records.count : half;

	add_addresses(host, &six_records, DNS_ADDRESSES_MAX - fours);
	add_addresses(host, &records, DNS_ADDRESSES_MAX);
	keep_shorter(answer, six == DNS_FOUND ? six_records.ttl_s : LOOKUP_TTL_MAX_S);
	keep_shorter(answer,
	             four == DNS_FOUND || six != DNS_FOUND ? records.ttl_s : LOOKUP_TTL_MAX_S);
	host->later = six == DNS_LATER || four == DNS_LATER;
	if (host->later)
		keep_shorter(answer, LOOKUP_TTL_FAILED_S);
	if (host->address_count)
		return DNS_FOUND;
	if (host->later)
		return DNS_LATER;
	return six == DNS_NO_DOMAIN && four == DNS_NO_DOMAIN ? DNS_NO_DOMAIN : DNS_NO_HOST;
}

static void give(struct dns_answer *answer, enum dns_result result, const char *name,
                 const char *text)
{
	answer->result = result;
	string_print_cut(answer->text, sizeof answer->text, "%s: %s", name, text);
	if (result != DNS_FOUND)
		keep_shorter(answer, LOOKUP_TTL_FAILED_S);
}

static void address_question(const char *name, struct dns_answer *answer)
{
	struct dns_host *host = &answer->hosts[0];

	string_put(host->name, sizeof host->name, view_of(name));
	enum dns_result result = find_addresses(host, answer);

	answer->host_count = result == DNS_FOUND;
	if (result == DNS_LATER)
		give(answer, result, name, "the name servers do not respond");
	else if (result != DNS_FOUND)
		give(answer, result, name, "host not found");
}

static void exchangers_question(const char *domain, struct dns_answer *answer)
{
	struct lookup_records exchanges;
	enum dns_result result =
		is_localhost(domain) ? DNS_NO_HOST : query(domain, ns_t_mx, &exchanges);

	if (result != DNS_FOUND) {
		give(answer, result, domain,
		     result == DNS_LATER ? "the name servers do not respond" : "no MX record");
		return;
	}
	if (exchanges.count == 1 && exchanges.rows[0].name[0] == '\0') {
		give(answer, DNS_NULL_MX, domain, "the domain accepts no mail (null MX)");
		return;
	}
	answer->ttl_s = exchanges.ttl_s;
	for (unsigned i = 0; i < exchanges.count; i++) {
		struct dns_host *host = &answer->hosts[answer->host_count];

		if (exchanges.rows[i].name[0] == '\0')
			continue;
		*host = (struct dns_host){ .preference = exchanges.rows[i].preference };
		string_put(host->name, sizeof host->name, view_of(exchanges.rows[i].name));
		answer->host_count++;
	}
}

static void reverse_name(const struct net_address *a, char out[DNS_NAME_MAX])
{
	size_t n = 0;

	if (a->family == 4) {
		string_print(out, DNS_NAME_MAX, "%u.%u.%u.%u.in-addr.arpa", a->bytes[3],
		             a->bytes[2], a->bytes[1], a->bytes[0]);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		out[n++] = hex_digits[a->bytes[i] & 15];
		out[n++] = '.';
		out[n++] = hex_digits[a->bytes[i] >> 4];
		out[n++] = '.';
	}
	memcpy(out + n, "ip6.arpa", 9);
}

static bool points_back(const struct dns_host *host, const struct net_address *address)
{
	for (unsigned i = 0; i < host->address_count; i++)
		if (net_address_equal(&host->addresses[i], address))
			return true;
	return false;
}

static void name_question(const char *text, struct dns_answer *answer)
{
	enum { NAMES_MAX = 4 };
	struct lookup_records names;
	struct net_address address;
	char reverse[DNS_NAME_MAX];

	if (!net_address_parse(view_of(text), &address)) {
		give(answer, DNS_NO_HOST, text, "not an address");
		return;
	}
	reverse_name(&address, reverse);
	enum dns_result result = query(reverse, ns_t_ptr, &names);

	answer->ttl_s = names.ttl_s;
	for (unsigned i = 0; i < names.count && i < NAMES_MAX; i++) {
		struct dns_host *host = &answer->hosts[answer->host_count];

		*host = (struct dns_host){ 0 };
		string_put(host->name, sizeof host->name, view_of(names.rows[i].name));
		if (host->name[0] && find_addresses(host, answer) == DNS_FOUND &&
		    points_back(host, &address))
			answer->host_count++;
	}
	if (answer->host_count == 0)
		give(answer, result == DNS_LATER ? DNS_LATER : DNS_NO_HOST, text,
		     "the address has no host name");
}

static void in_time(const char *name, struct dns_answer *answer)
{
	resolver.retrans = NAME_TIMEOUT_S;
	until_ms = clock_ms() + NAME_MS;
	name_question(name, answer);
	until_ms = 0;
	resolver.retrans = TIMEOUT_S;
}

void lookup(enum dns_type type, const char *name, struct dns_answer *answer)
{
	*answer = (struct dns_answer){ .result = DNS_FOUND, .ttl_s = LOOKUP_TTL_MAX_S };
	if (type == DNS_EXCHANGERS)
		exchangers_question(name, answer);
	else if (type == DNS_ADDRESS)
		address_question(name, answer);
	else
		in_time(name, answer);
	if (answer->ttl_s < LOOKUP_TTL_MIN_S)
		answer->ttl_s = LOOKUP_TTL_MIN_S;
}
