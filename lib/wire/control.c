/* SPDX-License-Identifier: ISC */
#include "lib/wire/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/reason.h"

void control_entry_put(struct wire_out *out, const struct control_entry *e)
{
	wire_put_string(out, e->id);
	wire_put_byte(out, (uint8_t)e->state);
	wire_put_u64(out, e->bytes);
	wire_put_u64(out, (uint64_t)e->arrived_s);
	wire_put_u64(out, (uint64_t)e->next_s);
	wire_put_string(out, e->sender);
	wire_put_u32(out, e->recipients);
	wire_put_view(out, e->recipient_list);
	wire_put_string(out, e->reason);
}

bool control_entry_get(struct wire_in *in, struct control_entry *e)
{
	wire_get_string(in, e->id, sizeof e->id);
	e->state = (char)wire_get_byte(in);
	e->bytes = wire_get_u64(in);
	e->arrived_s = (int64_t)wire_get_u64(in);
	e->next_s = (int64_t)wire_get_u64(in);
	wire_get_string(in, e->sender, sizeof e->sender);
	e->recipients = wire_get_u32(in);
	e->recipient_list = wire_get_view(in, CONTROL_RECIPIENT_LIST_MAX);
	wire_get_string(in, e->reason, sizeof e->reason);
	return !in->bad && (e->state == 'a' || e->state == 'd' || e->state == 'h');
}

void control_counts_put(struct wire_out *out, const struct control_counts *c)
{
	wire_begin(out, CONTROL_QUEUE_COUNTS);
	wire_put_u32(out, c->damaged);
	wire_put_u32(out, c->torn);
	wire_put_u32(out, c->misplaced);
	wire_put_u32(out, c->stray);
	wire_put_u32(out, c->unreadable);
	wire_put_u32(out, c->left);
	wire_put_u32(out, c->unwritten);
	wire_put_u32(out, c->unread);
	wire_put_byte(out, c->secret_lost);
}

void control_reading_put(struct wire_out *out, uint32_t read, uint32_t all)
{
	wire_begin(out, CONTROL_QUEUE_READING);
	wire_put_u32(out, read);
	wire_put_u32(out, all);
}

bool control_reading_get(struct wire_in *in, uint32_t *read, uint32_t *all)
{
	*read = wire_get_u32(in);
	*all = wire_get_u32(in);
	return wire_end(in);
}

bool control_counts_get(struct wire_in *in, struct control_counts *c)
{
	c->damaged = wire_get_u32(in);
	c->torn = wire_get_u32(in);
	c->misplaced = wire_get_u32(in);
	c->stray = wire_get_u32(in);
	c->unreadable = wire_get_u32(in);
	c->left = wire_get_u32(in);
	c->unwritten = wire_get_u32(in);
	c->unread = wire_get_u32(in);
	c->secret_lost = wire_get_bool(in);
	return wire_end(in);
}

void control_end_put(struct wire_out *out, uint8_t code, const char *text)
{
	wire_begin(out, CONTROL_END);
	wire_put_byte(out, code);
	wire_put_string(out, text);
}

bool control_end_get(struct wire_in *in, uint8_t *code, char text[CONTROL_LINE_MAX])
{
	*code = wire_get_byte(in);
	wire_get_string(in, text, CONTROL_LINE_MAX);
	return !in->bad && in->rest.len == 0;
}

void control_line_put(struct wire_out *out, const char *text)
{
	wire_begin(out, CONTROL_LINE);
	wire_put_string(out, text);
}

bool control_line_get(struct wire_in *in, char text[CONTROL_LINE_MAX])
{
	wire_get_string(in, text, CONTROL_LINE_MAX);
	return wire_end(in);
}

void control_version_put(struct wire_out *out, const char *version)
{
	wire_begin(out, CONTROL_VERSION);
	wire_put_string(out, version);
}

bool control_version_get(struct wire_in *in, char version[VERSION_MAX])
{
	wire_get_string(in, version, VERSION_MAX);
	return wire_end(in);
}

void control_sessions_put(struct wire_out *out, const struct control_sessions *q)
{
	wire_begin(out, CONTROL_SESSIONS);
	wire_put_byte(out, q->end);
	wire_put_u64(out, q->id);
	wire_put_string(out, q->whom);
}

bool control_sessions_get(struct wire_in *in, struct control_sessions *q, int *fd)
{
	q->end = wire_get_bool(in);
	q->id = wire_get_u64(in);
	wire_get_string(in, q->whom, sizeof q->whom);
	if (q->whom[0] == '\0' && (q->end || q->id != 0))
		in->bad = true;
	*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void control_session_put(struct wire_out *out, const struct control_session *s)
{
	session_facts_put(out, &s->facts);
	wire_put_u64(out, (uint64_t)s->since_s);
	wire_put_u32(out, s->pid);
}

bool control_session_get(struct wire_in *in, struct control_session *s)
{
	bool good = session_facts_get(in, &s->facts);

	s->since_s = (int64_t)wire_get_u64(in);
	s->pid = wire_get_u32(in);
	return good && !in->bad;
}

enum { LENGTH_BYTES = 4 };

void control_answer_add(struct control_answer *a, const struct wire_out *out)
{
	char length[LENGTH_BYTES];

	if (a->packets.raw == NULL)
		text_init(&a->packets, CONTROL_ANSWER_MAX);
	if (a->packets.len + LENGTH_BYTES + out->bytes.len > CONTROL_ANSWER_MAX)
		return;
	number_put_little(length, out->bytes.len, LENGTH_BYTES);
	text_add(&a->packets, (struct view){ length, LENGTH_BYTES });
	text_add(&a->packets, text_view(&out->bytes));
}

enum wire_result control_answer_send(struct control_answer *a, int fd)
{
	static struct wire_out out;
	enum wire_result r = WIRE_OK;
	size_t at = 0;

	while (at < a->packets.len) {
		const char *packet = a->packets.raw + at;
		size_t len = number_get_little(packet, LENGTH_BYTES);
		struct view bytes = { packet + LENGTH_BYTES, len };

		wire_begin(&out, (unsigned char)bytes.data[0]);
		text_add(&out.bytes, view_skip(bytes, 1));
		r = wire_send(fd, &out);
		if (r != WIRE_OK)
			break;
		at += LENGTH_BYTES + len;
	}
	if (at > 0)
		text_drop_front(&a->packets, at);
	return r;
}

void control_answer_free(struct control_answer *a)
{
	if (a->packets.raw != NULL)
		text_free(&a->packets);
	*a = (struct control_answer){ 0 };
}

bool control_is_absent(int error)
{
	return error == ENOENT || error == ECONNREFUSED;
}

int control_exit_code(int error)
{
	return error == EACCES || error == EPERM || error == ENAMETOOLONG ? EXIT_PERMANENT
	                                                                  : EXIT_TEMPORARY;
}

static int explain(const char *path, struct reason *why)
{
	if (control_is_absent(errno))
		return fail(
			why,
			"posthouse is not running (nothing listens on %s): start it with posthouse start",
			path);
	if (errno == EACCES || errno == EPERM)
		return fail(why,
		            "%s: permission denied: only root and members of control.group may ask",
		            path);
	return fail_errno(why, "%s", path);
}

int control_connect(const char *rundir, struct reason *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!string_format(address.sun_path, sizeof address.sun_path, "%s/control", rundir))
		return errno = ENAMETOOLONG,
		       fail(why, "%s/control: the path is too long for a socket", rundir);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = errno;

	explain(address.sun_path, why);
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}
