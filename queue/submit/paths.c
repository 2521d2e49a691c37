/* SPDX-License-Identifier: ISC */
#include "queue/submit/paths.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/conf/maptext.h"
#include "lib/conf/settings.h"

enum { CONF_BYTES_MAX = 1 << 20 };

static void read_file(const char *path, struct text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *to;
	ssize_t n;

	if (fd < 0)
		return;
	while ((to = text_reserve(out, 4096)) != NULL && (n = read(fd, to, 4096)) > 0)
		out->len += (size_t)n;
	close(fd);
}

/* Errors are posthouse build's to tell. */
static void read_settings(const char *directory, struct settings *settings)
{
	char path[PATHS_MAX + 32];
	struct text text;
	struct maptext reader;
	struct maptext_entry entry;
	struct reason why;
	int more;

	snprintf(path, sizeof path, "%s/posthouse.conf", directory);
	text_init(&text, CONF_BYTES_MAX);
	read_file(path, &text);
	maptext_init(&reader, text_view(&text));
	while ((more = maptext_next(&reader, &settings->strings, &entry, &why)) != 0)
		if (more > 0)
			setting_parse(settings, entry.key, entry.value, &why);
	text_free(&text);
}

static void take(char out[PATHS_MAX], const char *configured, const char *variable)
{
	const char *chosen = variable ? getenv(variable) : NULL;

	string_copy(out, PATHS_MAX, view_of(chosen && chosen[0] ? chosen : configured));
}

void paths_find(struct paths *p, bool environment)
{
	struct settings settings;
	char conf[PATHS_MAX];

	take(conf, SYSCONFDIR, environment ? "POSTHOUSE_CONF" : NULL);
	settings_default(&settings);
	read_settings(conf, &settings);
	take(p->run, settings.directory_run, environment ? "POSTHOUSE_RUNDIR" : NULL);
	take(p->drop, settings.drop_directory, environment ? "POSTHOUSE_DROPDIR" : NULL);
	take(p->programs, LIBEXECDIR, environment ? "POSTHOUSE_PROGRAMS" : NULL);
	p->message_size_max = settings.message_size_max_bytes;
	settings_free(&settings);
}
