/* SPDX-License-Identifier: ISC */
#include "master/authd/mailbox.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/wire/owner.h"

static bool session_of(const struct mailbox_session *m, struct owner_session *s)
{
	*s = (struct owner_session){
		.fd = m->begin->session.fd,
		.token = m->begin->session.token,
		.pending = m->pending,
		.id = m->begin->session.id,
		.client = m->begin->client,
		.tls = m->begin->session.tls,
		.quota_bytes = m->user->quota_bytes,
		.stamp = m->stamp,
	};
	return string_copy(s->address, sizeof s->address, view_of(m->address)) &&
	       string_copy(s->tag, sizeof s->tag, view_of(m->begin->session.tag)) &&
	       string_copy(s->home, sizeof s->home, m->user->home) && s->home[0] == '/';
}

enum wire_result mailbox_hand_over(int master_fd, const struct mailbox_session *m)
{
	struct owner_session session;
	struct wire_out inner = { 0 }, out = { 0 };
	struct owner_work work = { .program = m->begin->service == CONNECTION_POP3 ? OWNER_POP3D
		                                                                   : OWNER_IMAPD,
		                   .uid = m->user->uid,
		                   .gid = m->user->gid };

	if (work.uid == 0 || work.gid == 0 || !session_of(m, &session)) {
		log_warn(
			"event=handover-refused user=<%s> reason=\"uid or gid 0, or a home that is not an absolute path\"",
			log_quote(view_of(m->address)));
		return WIRE_ERROR;
	}
	owner_session_put(&inner, &session);
	work.rest = view_skip(text_view(&inner.bytes), 1);
	work.fd_count = inner.fd_count;
	memcpy(work.fds, inner.fds, sizeof work.fds);
	owner_work_put(&out, &work);
	enum wire_result r = wire_send(master_fd, &out);

	wire_out_free(&inner);
	wire_out_free(&out);
	if (r != WIRE_OK && r != WIRE_AGAIN)
		log_warn("event=handover-failed reason=\"sending to master: %m\"");
	return r;
}
