/* SPDX-License-Identifier: ISC */
#include "master/authd/standing.h"

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/wire/hub.h"
#include "lib/wire/session.h"
#include "master/authd/account.h"

enum { SESSION_PARENTS_MAX = 4096 /* of one program: a mailbox owner each */ };

/* May it? With a map that cannot be read, as before. */
static bool still_holds(const struct session_facts *f)
{
	struct password record;
	enum map_result found = account_find(f->account, &record);

	if (found == MAP_DAMAGED) {
		log_warn("event=map-damaged map=passwords user=<%s>",
		         log_quote(view_of(f->account)));
		return true;
	}
	return found == MAP_FOUND && account_may(&record.user, f->service) &&
	       account_stamp(&record) == f->stamp;
}

/* A packet at a time: others have their turn in between. */
static void check_sessions(struct hub_line *line, struct wire_in *in)
{
	static struct wire_out out;
	struct session_facts f;

	wire_begin(&out, SESSION_END);
	while (in->type == SESSION_CHECK && in->rest.len && session_facts_get(in, &f))
		if (!still_holds(&f))
			wire_put_u64(&out, f.id);
	if (in->type != SESSION_CHECK || !wire_end(in))
		hub_line_drop(line, "invalid message");
	else if (out.bytes.len > 1)
		hub_line_send(line, &out);
}

static const char *const wires[] = { "smtpd.session", "pop3d.session", "imapd.session" };
enum { WIRES = sizeof wires / sizeof wires[0] };
static struct hub hubs[WIRES];

/* A parent that does not read loses its line, dials again and tells of all. */
void standing_again(const char *account)
{
	static struct wire_out out;

	wire_begin(&out, SESSION_AGAIN);
	wire_put_string(&out, account);
	for (unsigned i = 0; i < WIRES; i++)
		LIST_EACH(line, &hubs[i].lines, struct hub_line, all)
			hub_line_send(line, &out);
}

void standing_start(struct loop *loop)
{
	static const int parents_max = SESSION_PARENTS_MAX;

	for (unsigned i = 0; i < WIRES; i++) {
		int fd = program_fd(wires[i]);

		if (fd < 0)
			continue;
		hubs[i] = (struct hub){ .loop = loop,
			                .protocol = "session",
			                .line_size = sizeof(struct hub_line),
			                .lines_max = 2 * SESSION_PARENTS_MAX,
			                .workers_max = &parents_max,
			                .message = check_sessions };
		hub_start(&hubs[i], fd);
	}
}
