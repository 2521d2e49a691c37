/* SPDX-License-Identifier: ISC */
#include "conf/load.h"

#include "conf/certificates.h"
#include "conf/consistency.h"

void load_configuration(struct model *m, const char *confdir, const struct override *overrides)
{
	model_read_settings(m, confdir, overrides);
	consistency_of_settings(m);
	model_read_maps(m, overrides);
	consistency_of_domains(m);
	consistency_of_users(m);
	consistency_of_routes(m);
	consistency_of_aliases(m);
	certificates_read(m);
}
