/* SPDX-License-Identifier: ISC */
/* Envelope addresses, address lists and network addresses: the normal form is its own normal
 * form. */
#include <stdlib.h>

#include "lib/mail/addresslist.h"
#include "lib/mail/mailaddress.h"
#include "lib/net/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal(const struct mailaddress *a, unsigned flags)
{
	struct mailaddress again;

	if (a->len == 0)
		return;
	if (mailaddress_parse(mailaddress_view(a), flags, &again) != MAILADDRESS_OK ||
	    !view_equal(mailaddress_view(a), mailaddress_view(&again)))
		abort();
}

static void check_path(struct view in, unsigned flags)
{
	struct mailaddress a;
	struct view rest = in;

	if (mailaddress_path(&rest, flags, &a) == MAILADDRESS_OK) {
		if (rest.len > in.len)
			abort();
		check_normal(&a, flags);
	}
	if (mailaddress_parse(in, flags, &a) == MAILADDRESS_OK)
		check_normal(&a, flags);
}

static void check_list(struct view in, size_t limit)
{
	struct arena arena = { .limit = limit };
	int depth = 0;

	for (struct listed_address *a = addresslist_parse(&arena, in, 1000); a; a = a->next) {
		struct mailaddress joined;

		depth += a->kind == LISTED_GROUP_START ? 1 : a->kind == LISTED_GROUP_END ? -1 : 0;
		if (depth < 0 || depth > 1)
			abort();
		if (a->kind == LISTED_MAILBOX &&
		    mailaddress_join(a->mailbox, a->host, 0, &joined) == MAILADDRESS_OK)
			check_normal(&joined, 0);
	}
	arena_clear(&arena);
}

static void check_network(struct view in)
{
	char text[NET_ADDRESS_TEXT_MAX];
	struct net_address a, again;
	struct net_network n;

	if (net_address_parse(in, &a) &&
	    (!net_address_parse(view_of(net_address_literal(&a, text)), &again) ||
	     !net_address_equal(&a, &again)))
		abort();
	net_address_parse_port(in, &a);
	if (net_network_parse(in, &n) && !net_network_holds(&n, &n.base))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view in = { (const char *)data, size }, rest = in, line;

	check_list(in, 0);
	check_list(in, 500);
	for (int lines = 0; lines < 200 && view_cut(&rest, '\n', &line); lines++) {
		for (unsigned flags = 0; flags < 32; flags += 5)
			check_path(line, flags);
		check_network(line);
	}
	return 0;
}
