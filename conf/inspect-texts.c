/* SPDX-License-Identifier: ISC */
/* posthouse check: is the current generation whole, and what the texts say? */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/changes.h"
#include "conf/inspect.h"
#include "conf/keys.h"
#include "lib/conf/generation.h"

/* Who may write a text decides what root's programs do. */
static void check_text(struct model *m, const char *path, bool differs, const char *how)
{
	struct stat text;

	if (stat(path, &text) != 0)
		return;
	if (text.st_mode & (S_IWGRP | S_IWOTH))
		problem_error(&m->problems, path, 0, "writable by other users; run chmod go-w");
	if (text.st_uid != 0 && text.st_uid != geteuid())
		problem_error(&m->problems, path, 0, "owned by uid %u; run chown",
		              (unsigned)text.st_uid);
	if (differs)
		problem_warning(&m->problems, path, 0,
		                "not what the current generation was built from; posthouse %s it",
		                how);
}

static void key_is_wrong(void *context, const char *text)
{
	struct model *m = context;

	problem_error(&m->problems, NULL, 0, "%s; run posthouse build", text);
}

struct exposure {
	const struct settings *s;
	struct problems *problems;
	long number;
	bool as_errors;
};

static void note_exposed(void *context, const char *name, unsigned mode)
{
	const struct exposure *x = context;
	char path[PATH_MAX];

	string_print_cut(path, sizeof path, "%s/generations/%04ld/%s", x->s->directory_state,
	                 x->number, name);
	(x->as_errors ? problem_error : problem_warning)(
		x->problems, path, 0,
		"a secret, but others may read it; run chown %u and chmod %04o, and replace what is "
		"in it if somebody may have read it",
		(unsigned)geteuid(), mode);
}

static void look_into(void *context, const struct generation_row *row)
{
	struct exposure *x = context;
	int fd = generation_open_number(x->s->directory_state, row->number, NULL);

	x->number = row->number;
	if (fd < 0)
		return;
	maptable_exposed(fd, note_exposed, x);
	close(fd);
}

void inspect_secrets(const struct settings *s, struct problems *problems, bool as_errors)
{
	struct exposure x = { .s = s, .problems = problems, .as_errors = as_errors };

	/* inspect_texts says when there is none. */
	(void)generation_list(s->directory_state, look_into, &x, NULL);
}

/* An onlooker of an ordinary user's house compiles another default owner into users.map. */
static bool is_seen(const struct model *m, enum map_id id)
{
	return !m->maps[id].source.denied && !(m->problems.onlooker && id == MAP_USERS);
}

void inspect_texts(struct model *m)
{
	char how[64];
	struct reason why;
	struct maptable_verifying v;
	int fd = generation_open(m->settings.directory_state, &why);
	bool known = m->problems.errors == 0; /* else the texts are not what they would be */

	if (fd < 0) {
		if (!problem_is_unseen(&m->problems, errno))
			problem_error(&m->problems, NULL, 0, "%s", why.text);
		return;
	}
	maptable_verify_begin(&v, fd, NULL);
	for (int file = 0; file < GENERATION_FILES; file++) {
		errno = 0; /* it is that of the file that cannot be opened */
		if (maptable_verify(&v, file, NULL, &why) != 0 &&
		    !problem_is_unseen(&m->problems, errno))
			problem_error(&m->problems, NULL, 0, "%s", why.text);
	}
	maptable_verify_end(&v);
	keys_verify(fd, m->confdir, " of the current generation", key_is_wrong, m);
	if (!m->certificates_unseen && changes_of_certificates(m, fd))
		problem_warning(
			&m->problems, m->settings.tls_certificates, 0,
			"the certificates were changed since the last build; posthouse build "
			"takes them");
	check_text(m, m->conf.path, known && changes_of_settings(m, fd), "build takes");
	for (int id = 0; id < MAPS; id++) {
		string_print(how, sizeof how, "map diff %s shows", maptable[id].name);
		check_text(m, m->maps[id].source.path,
		           known && is_seen(m, (enum map_id)id) &&
		                   changes_count(m, (enum map_id)id),
		           how);
	}
	close(fd);
}
