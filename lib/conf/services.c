/* SPDX-License-Identifier: ISC */
#include "lib/conf/services.h"

#include <string.h>

const struct service services[SERVICES] = {
#define SERVICE(name, protocol, tls, port) { #name, "listen." #name, tls, port },
#include "lib/conf/services.def"
#undef SERVICE
};

const char *service_addresses(const struct settings *s, unsigned service)
{
	const char *const addresses[SERVICES] = {
#define SERVICE(name, protocol, tls, port) s->listen_##name,
#include "lib/conf/services.def"
#undef SERVICE
	};

	return addresses[service];
}

int listen_next(struct view *rest, struct net_address *address, struct reason *why)
{
	struct view entry;
	uint64_t port;

	if (!view_cut(rest, ',', &entry))
		return 0;
	entry = view_trim(entry);
	if (view_starts(entry, VIEW("*:")) && view_number(view_skip(entry, 2), 65535, &port) &&
	    port != 0) {
		*address = (struct net_address){ .port = (uint16_t)port };
		return 1;
	}
	if (net_address_parse_port(entry, address) && address->port != 0)
		return 1;
	return fail(
		why,
		"\"%.*s\" is not an address with a port such as *:25, 192.0.2.1:25 or [2001:db8::1]:25",
		VIEW_ARG(entry));
}

static bool is_any(const struct net_address *a)
{
	static const uint8_t zero[sizeof a->bytes];

	return memcmp(a->bytes, zero, sizeof zero) == 0;
}

bool listen_overlap(const struct net_address *a, const struct net_address *b)
{
	if (a->port != b->port)
		return false;
	if (a->family == 0 || b->family == 0)
		return true;
	return a->family == b->family && (is_any(a) || is_any(b) || net_address_equal(a, b));
}

struct listening {
	unsigned service;
	struct view text;
	struct net_address address;
};

static void describe(const struct listening *a, const struct listening *b, struct text *out)
{
	text_clear(out);
	if (a->service == b->service)
		text_format(out, "%s: %.*s and %.*s overlap; remove one of the two",
		            services[a->service].key, VIEW_ARG(a->text), VIEW_ARG(b->text));
	else
		text_format(out, "%s and %s both listen on port %u; change one of the two",
		            services[a->service].key, services[b->service].key,
		            (unsigned)b->address.port);
}

static void check_overlaps(const struct listening *list, unsigned count, services_found *found,
                           void *context)
{
	struct text what;

	text_init(&what, REASON_MAX);
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = i + 1; j < count; j++) {
			if (!listen_overlap(&list[i].address, &list[j].address))
				continue;
			describe(&list[i], &list[j], &what);
			found(context, list[j].service, text_string(&what));
		}
	text_free(&what);
}

void services_check(const struct settings *s, services_found *found, void *context)
{
	struct listening list[LISTENERS_MAX];
	unsigned count = 0, kept;
	char what[REASON_MAX];

	for (unsigned i = 0; i < SERVICES; i++) {
		struct view rest = view_of(service_addresses(s, i)), left = rest;
		struct listening l = { .service = i };

		while (listen_next(&rest, &l.address, NULL) > 0) {
			l.text = view_trim(view_take(left, view_find(left, ',')));
			left = rest;
			if (count++ < LISTENERS_MAX)
				list[count - 1] = l;
		}
	}
	kept = count < LISTENERS_MAX ? count : LISTENERS_MAX;
	if (count > kept) {
		string_print(what, sizeof what,
		             "listen: %u addresses to listen on, more than %d; remove some", count,
		             LISTENERS_MAX);
		found(context, SERVICES, what);
	}
	check_overlaps(list, kept, found, context);
}
