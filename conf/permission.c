/* SPDX-License-Identifier: ISC */
#include "conf/permission.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/log.h"

/* Nobody has it, and it fits into the 65536 that a container often has. */
enum { NOBODYS_UID = 65533 };

const struct asker permission_anybody = { NOBODYS_UID, NOBODYS_UID, "other users" };

static struct asker now;
static bool is_other;

/* ---- who asks ---- */

void permission_as_self(void)
{
	if (!is_other)
		return;
	if (seteuid(getuid()) != 0 || setegid(getgid()) != 0)
		log_panic("root could not be regained: %m");
	is_other = false;
}

/* Root's other groups are not missed afterwards. */
int permission_as(const struct asker *who)
{
	if (is_other && now.uid == who->uid && now.gid == who->gid)
		return 0;
	permission_as_self();
	if (geteuid() != 0 || getuid() != 0)
		return 0;
	is_other = true;
	now = *who;
	if (setgroups(0, NULL) == 0 && setegid(who->gid) == 0 && seteuid(who->uid) == 0)
		return 0;
	int error = errno;

	permission_as_self();
	errno = error;
	return -1;
}

/* ---- what stands in the way ---- */

static bool may(const char *path, int wanted)
{
	return faccessat(AT_FDCWD, path, wanted, AT_EACCESS) == 0;
}

/* The first directory on the way that cannot be passed, or is not there; else the end. */
static void find(const char *path, int wanted, struct obstacle *o)
{
	size_t at = 1, len = strlen(path);

	for (;;) {
		at += view_find(view_of(path + at), '/');
		o->last = at >= len;
		o->wanted = o->last ? wanted : X_OK;
		string_put(o->path, sizeof o->path, view_take(view_of(path), at));
		if (o->last || !may(o->path, X_OK))
			return;
		at++;
	}
}

/* *o of what was refused with this errno. */
static void explain(const struct asker *who, const char *path, int wanted, int error,
                    struct obstacle *o)
{
	char real[PATH_MAX];

	permission_as_self();
	if (realpath(path, real) == NULL)
		string_print_cut(real, sizeof real, "%s", path);
	*o = (struct obstacle){ .error = error, .wanted = wanted, .last = true };
	if (permission_as(who) == 0)
		find(real, wanted, o);
	else
		string_print_cut(o->path, sizeof o->path, "%s", real);
	permission_as_self();
	if (stat(o->path, &o->st) != 0)
		o->st = (struct stat){ 0 };
}

int permission_ask(const struct asker *who, const char *path, int wanted, struct obstacle *o)
{
	bool was_who = is_other;
	int error = permission_as(who) == 0 && may(path, wanted) ? 0 : errno;

	if (error)
		explain(who, path, wanted, error, o);
	if (!was_who)
		permission_as_self();
	else if (error && permission_as(who) != 0)
		log_panic("uid %u was there a moment ago: %m", (unsigned)who->uid);
	errno = error;
	return error ? -1 : 0;
}

static bool is_class(const struct obstacle *o, const struct asker *who, char *class, int *bits)
{
	unsigned shift = o->st.st_uid == who->uid ? 6 : o->st.st_gid == who->gid ? 3 : 0;

	*class = shift == 6 ? 'u' : shift == 3 ? 'g' : 'o';
	*bits = o->wanted & ~(int)(o->st.st_mode >> shift);
	return *bits != 0;
}

void obstacle_remedy(const struct obstacle *o, const struct asker *who, bool own,
                     struct reason *remedy)
{
	const struct asker self = { geteuid(), getegid(), "" };
	char class;
	int bits;

	if (!is_class(o, geteuid() == 0 ? who : &self, &class, &bits))
		fail(remedy, "the access list (getfacl) or the file system does not let them");
	else if (own && class != 'u')
		fail(remedy, "run chown %u:%u", (unsigned)who->uid, (unsigned)who->gid);
	else
		fail(remedy, "run chmod %c+%s%s%s", class, bits & R_OK ? "r" : "",
		     bits & W_OK ? "w" : "", bits & X_OK ? "x" : "");
}

void obstacle_text(const struct obstacle *o, const struct asker *who, bool own, struct reason *text)
{
	struct reason remedy;
	bool directory = S_ISDIR(o->st.st_mode);

	if (o->error != EACCES) {
		fail(text, "%s: %s cannot use it", strerror(o->error), who->name);
		return;
	}
	obstacle_remedy(o, who, own, &remedy);
	fail(text, "mode is %04o, owner %u:%u: %s cannot %s it; %s",
	     (unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid, (unsigned)o->st.st_gid,
	     who->name,
	     o->wanted & W_OK   ? "write to"
	     : directory        ? "enter"
	     : o->wanted & X_OK ? "run"
	                        : "read",
	     remedy.text);
}
