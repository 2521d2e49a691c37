/* SPDX-License-Identifier: ISC */
#include "master/listener.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/program.h"
#include "lib/net/listen.h"

static_assert(LISTENERS_MAX + 16 <= PROGRAM_FDS_MAX, "porter has room for its other descriptors");

/* A duplicate, so that a reload that fails half way leaves the old ones whole. */
static int take_over(const struct listeners *old, const struct net_address *address)
{
	for (unsigned i = 0; old != NULL && i < old->count; i++) {
		const struct listener *l = &old->rows[i];

		if (l->address.port == address->port && net_address_equal(&l->address, address))
			return fcntl(l->fd, F_DUPFD_CLOEXEC, 3);
	}
	return -1;
}

static int open_service(const struct service *service, const char *value,
                        const struct listeners *old, struct listeners *out, struct reason *why)
{
	struct view rest = view_of(value);
	struct net_address address;
	int more;

	for (unsigned n = 0; (more = listen_next(&rest, &address, why)) > 0; n++) {
		struct listener *l = &out->rows[out->count];

		l->address = address;
		string_print(l->name, sizeof l->name, "%s.%u", service->key, n);
		l->fd = take_over(old, &l->address);
		if (l->fd < 0)
			l->fd = net_listen(&l->address, why);
		if (l->fd < 0)
			return -1;
		out->count++;
	}
	return more;
}

/* The first is told. */
static void refuse(void *context, unsigned service, const char *what)
{
	struct reason *why = context;

	(void)service;
	if (why->text[0] == '\0')
		fail(why, "%s", what);
}

int listeners_open(const struct settings *s, const struct listeners *old, struct listeners *out,
                   struct reason *why)
{
	out->count = 0;
	why->text[0] = '\0';
	services_check(s, refuse, why);
	if (why->text[0])
		return -1;
	for (unsigned i = 0; i < SERVICES; i++)
		if (open_service(&services[i], service_addresses(s, i), old, out, why) < 0) {
			listeners_close(out);
			return -1;
		}
	return 0;
}

void listeners_shut(const struct listeners *l)
{
	for (unsigned i = 0; i < l->count; i++)
		shutdown(l->rows[i].fd, SHUT_RDWR);
}

void listeners_close(struct listeners *l)
{
	for (unsigned i = 0; i < l->count; i++)
		close(l->rows[i].fd);
	l->count = 0;
}
