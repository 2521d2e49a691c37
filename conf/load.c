/* SPDX-License-Identifier: ISC */
#include "conf/load.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/consistency.h"

enum { LOOKUPS_EACH = 4 }; /* of an alias that is checked, about */

static void load_rest(struct model *m, const struct override *overrides)
{
	consistency_of_settings(m);
	model_read_maps(m, overrides);
	sieve_init(&m->asked, m->maps[MAP_USERS].count + LOOKUPS_EACH * m->maps[MAP_ALIASES].count);
	consistency_of_domains(m);
	consistency_of_users(m);
	consistency_of_routes(m);
	consistency_of_aliases(m);
	certificates_read(m);
}

void load_configuration(struct model *m, const char *confdir, const struct override *overrides)
{
	model_read_settings(m, confdir, overrides);
	load_rest(m, overrides);
}

/* Whose house it is shows its state: of one that was never built, its text. */
bool house_is_anothers(const struct model *m)
{
	struct stat st;

	if (geteuid() == 0 ||
	    (stat(m->settings.directory_state, &st) != 0 && stat(m->conf.path, &st) != 0))
		return false;
	return st.st_uid != geteuid();
}

/* 0: root's, or it does not show. */
static uid_t owner_of(const struct model *m, gid_t *gid)
{
	struct stat conf, other;

	if (stat(m->conf.path, &conf) != 0 ||
	    (stat(m->settings.directory_state, &other) != 0 && stat(m->confdir, &other) != 0))
		return 0;
	*gid = conf.st_gid;
	return conf.st_uid == other.st_uid ? conf.st_uid : 0;
}

int house_look_as_owner(const struct model *m, struct reason *why)
{
	gid_t gid = 0;
	uid_t uid = geteuid() == 0 ? owner_of(m, &gid) : 0;
	const struct passwd *user = uid ? getpwuid(uid) : NULL;

	if (uid == 0)
		return 0;
	if (user != NULL)
		gid = user->pw_gid;
	if ((user != NULL ? initgroups(user->pw_name, gid) : setgroups(0, NULL)) != 0 ||
	    setgid(gid) != 0 || setuid(uid) != 0)
		return fail_errno(why, "becoming uid %u, whose %s is", (unsigned)uid, m->conf.path);
	return 0;
}

void load_to_look(struct model *m, const char *confdir)
{
	struct reason why;

	model_read_settings(m, confdir, NULL);
	if (m->conf.unreadable || m->conf.missing) /* nothing would be where it says */
		return;
	if (house_look_as_owner(m, &why) != 0)
		problem_error(&m->problems, NULL, 0, "%s", why.text);
	m->problems.onlooker = house_is_anothers(m);
	load_rest(m, NULL);
}
