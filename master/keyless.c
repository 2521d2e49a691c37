/* SPDX-License-Identifier: ISC */
#include "master/keyless.h"

#include "lib/base/log.h"
#include "lib/wire/master.h"
#include "master/master.h"

enum { FILES_BYTES_MAX = 16384 };

/* Files, each with an LF behind it: in use, of a keyd that is not ready yet, of the last trial. */
static struct text now, coming, tried;

static bool is_keyd(const struct instance *i)
{
	return i->row == &house[HOUSE_KEYD];
}

static void move(struct text *to, struct text *from)
{
	text_free(to);
	*to = *from;
	*from = (struct text){ 0 };
}

void keyless_begin(const struct instance *keyd)
{
	if (is_keyd(keyd))
		text_free(keyd->trial ? &tried : &coming);
}

void keyless_heard(const struct instance *keyd, struct wire_in *in)
{
	struct text *files = keyd->trial ? &tried : &coming;
	char file[PATH_MAX];

	if (!is_keyd(keyd) || !master_keyless_get(in, file))
		return;
	if (files->max == 0)
		text_init(files, FILES_BYTES_MAX);
	/* Of more than are said here the log has all. */
	if (text_has_room(files, PATH_MAX))
		text_format(files, "%s\n", log_text(view_of(file)));
}

void keyless_ready(const struct instance *keyd)
{
	if (is_keyd(keyd))
		move(&now, &coming);
}

static bool is_known(struct view file)
{
	struct view rest = text_view(&now), line;

	while (view_cut(&rest, '\n', &line))
		if (view_equal(line, file))
			return true;
	return false;
}

int keyless_judge(const struct instance *keyd, struct reason *why)
{
	struct view rest, file;
	struct wire_in in;

	if (!is_keyd(keyd))
		return 0;
	while (wire_receive_now(keyd->wire.fd, &in) == WIRE_OK) {
		keyless_heard(keyd, &in);
		wire_in_close(&in);
	}
	rest = text_view(&tried);
	while (view_cut(&rest, '\n', &file))
		if (!is_known(file))
			return fail(why,
			            "TLS would not work for %.*s: its private key is not in the "
			            "generation; put the key back and run posthouse build",
			            VIEW_ARG(file));
	return 0;
}

void keyless_take(void)
{
	move(&now, &tried);
}

void keyless_each(void (*tell)(void *context, const char *file), void *context)
{
	struct view rest = text_view(&now), file;
	char text[PATH_MAX];

	while (view_cut(&rest, '\n', &file)) {
		string_cut(text, sizeof text, file);
		tell(context, text);
	}
}
