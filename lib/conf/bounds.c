/* SPDX-License-Identifier: ISC */
#include "lib/conf/bounds.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/program.h"

enum file { FILE_NONE, FILE_MESSAGE, FILE_LARGE, FILE_ANY };

enum { NO_BOUND = 0, LARGE_MIB = 4096 };

struct bounds {
	unsigned long memory_mib, descriptors, processes;
	enum file file;
};

#define SMTPD   ((unsigned long)s->smtpd_sessions_max)
#define LOGIN   ((unsigned long)s->login_sessions_max)
#define POP3D   ((unsigned long)s->pop3d_sessions_max)
#define IMAPD   ((unsigned long)s->imapd_sessions_max)
#define LOCAL   ((unsigned long)s->local_agents_max)
#define REMOTE  ((unsigned long)s->remote_agents_max)
#define CLIENTS ((unsigned long)s->porter_clients_max)
#define RELAYS  ((unsigned long)s->porter_sessions)

static struct bounds find(const char *program, const struct settings *s)
{
#define BOUND(name, memory, descriptors, processes, file) \
	if (strcmp(program, name) == 0)                   \
		return (struct bounds){ memory, descriptors, processes, FILE_##file };
#include "lib/conf/bounds.def"
#undef BOUND
	log_panic("no bounds for %s", program);
}

static void bound_file(struct sandbox_profile *p, enum file file, const struct settings *s)
{
	p->no_file_grows = file == FILE_NONE;
	if (file == FILE_MESSAGE)
		p->file_bytes_max = (unsigned long)s->message_size_max_bytes +
		                    ((unsigned long)BOUNDS_FILE_MIB_BESIDE << 20);
	else if (file == FILE_LARGE)
		p->file_bytes_max = (unsigned long)LARGE_MIB << 20;
}

void bounds_confine(const char *program, const struct settings *settings,
                    const struct sandbox_profile *profile)
{
	struct sandbox_profile bounded = *profile;
	struct bounds b = find(program, settings);

	bounded.data_max = b.memory_mib << 20;
	bounded.descriptors_max = b.descriptors;
	if (getenv("POSTHOUSE_UID") != NULL)
		bounded.processes_max = b.processes;
	bound_file(&bounded, b.file, settings);
	program_confine(&bounded);
}

void bounds_of_master(const struct settings *settings)
{
	sandbox_bound_data(find("master", settings).memory_mib << 20);
}
