/* SPDX-License-Identifier: ISC */
#include "conf/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/consistency.h"

static void load_rest(struct model *m, const struct override *overrides)
{
	consistency_of_settings(m);
	model_read_maps(m, overrides);
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

void load_to_look(struct model *m, const char *confdir)
{
	model_read_settings(m, confdir, NULL);
	if (m->conf.unreadable) /* nothing would be where it says */
		return;
	m->problems.onlooker = house_is_anothers(m);
	load_rest(m, NULL);
}
