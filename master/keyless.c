/* SPDX-License-Identifier: ISC */
#include "master/keyless.h"

#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/generation.h"
#include "lib/conf/map.h"
#include "lib/wire/master.h"
#include "master/master.h"

enum { FILES_BYTES_MAX = 1 << 20 };

/* Files, each with an LF behind it: in use, of a keyd that is not ready yet, of the last trial; and
 * those whose key the running one alone has. */
static struct text now, coming, tried, lost;
static bool stays; /* by the last trial, until another is ready */

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
	if (!is_keyd(keyd))
		return;
	text_free(keyd->trial ? &tried : &coming);
	if (keyd->trial)
		stays = false;
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
	if (!is_keyd(keyd))
		return;
	move(&now, &coming);
	text_free(&lost);
	stays = false;
}

static bool is_known(struct view file)
{
	struct view rest = text_view(&now), line;

	while (view_cut(&rest, '\n', &line))
		if (view_equal(line, file))
			return true;
	return false;
}

static bool open_certificates(int generation, struct map *out)
{
	int fd = generation_file(generation, "tls.cdb", NULL);

	if (fd >= 0 && map_open(out, fd, "tls.cdb", NULL) == 0)
		return true;
	if (fd >= 0)
		close(fd);
	return false;
}

static bool have_same(struct map *a, struct map *b)
{
	struct view key[2] = { { "", 0 } }, value[2] = { { "", 0 } };
	enum map_result more[2];

	do {
		more[0] = map_next(a, &key[0], &value[0]);
		more[1] = map_next(b, &key[1], &value[1]);
	} while (more[0] == MAP_FOUND && more[1] == MAP_FOUND && view_equal(key[0], key[1]) &&
	         view_equal(value[0], value[1]));
	return more[0] == MAP_MISSING && more[1] == MAP_MISSING;
}

static bool has_certificates_in_use(int generation)
{
	struct map used, next;
	bool same = false;

	if (!open_certificates(master.generation, &used))
		return false;
	if (open_certificates(generation, &next)) {
		same = have_same(&used, &next);
		map_close(&next);
	}
	map_close(&used);
	return same;
}

int keyless_judge(const struct instance *keyd, int generation, struct reason *why)
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
		if (!is_known(file)) {
			stays = stays || has_certificates_in_use(generation);
			if (stays)
				continue;
			return fail(why,
			            "TLS would not work for %.*s: its private key is not in the "
			            "generation; put the key back and run posthouse build",
			            VIEW_ARG(file));
		}
	return 0;
}

bool keyless_stays(const struct instance *keyd)
{
	return is_keyd(keyd) && stays && keyd->pid && keyd->ready;
}

void keyless_untried(int generation)
{
	stays = stays && has_certificates_in_use(generation);
}

void keyless_take(void)
{
	move(stays ? &lost : &now, &tried);
	if (!stays)
		text_free(&lost);
}

static void tell_each(struct view rest, bool is_lost,
                      void (*tell)(void *context, const char *file, bool lost), void *context)
{
	char text[PATH_MAX];
	struct view file;

	while (view_cut(&rest, '\n', &file)) {
		string_cut(text, sizeof text, file);
		if (!is_lost || !is_known(file))
			tell(context, text, is_lost);
	}
}

void keyless_each(void (*tell)(void *context, const char *file, bool lost), void *context)
{
	tell_each(text_view(&now), false, tell, context);
	tell_each(text_view(&lost), true, tell, context);
}
