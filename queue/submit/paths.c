/* SPDX-License-Identifier: ISC */
#include "queue/submit/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/conf/maptext.h"
#include "lib/conf/settings.h"

enum { CONF_BYTES_MAX = 1 << 20 };

/* Without the file the defaults serve; half of it, or one that cannot be opened now, would send the
 * message astray. */
static int read_file(const char *path, struct text *out, struct reason *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return fail_errno(why, "open %s", path);
	enum file_result got = file_read_rest(fd, out);
	int result = got == FILE_WHOLE ? 0 : fail(why, "%s %s", path, file_result_text(got));

	close(fd);
	return result;
}

/* Errors in it are posthouse build's to tell. */
static int read_settings(const char *directory, struct settings *settings, struct reason *why)
{
	char path[PATHS_MAX + 32];
	struct text text;
	struct maptext reader;
	struct maptext_entry entry;
	struct reason ignored;
	int more;

	string_print(path, sizeof path, "%s/posthouse.conf", directory);
	text_init(&text, CONF_BYTES_MAX);
	if (read_file(path, &text, why) < 0) {
		text_free(&text);
		return -1;
	}
	maptext_init(&reader, text_view(&text));
	while ((more = maptext_next(&reader, &settings->strings, &entry, &ignored)) != 0)
		if (more > 0)
			setting_parse(settings, entry.key, entry.value, &ignored);
	text_free(&text);
	return 0;
}

static int take(char out[PATHS_MAX], const char *configured, const char *variable,
                struct reason *why)
{
	const char *chosen = variable ? getenv(variable) : NULL;
	struct view path = view_of(chosen && chosen[0] ? chosen : configured);

	return string_copy(out, PATHS_MAX, path)
	               ? 0
	               : fail(why, "the path %.100s... is longer than %d bytes", path.data,
	                      PATHS_MAX - 1);
}

int paths_find(struct paths *p, bool environment, struct reason *why)
{
	struct settings settings;
	char conf[PATHS_MAX];

	if (take(conf, SYSCONFDIR, environment ? "POSTHOUSE_CONF" : NULL, why) != 0)
		return -1;
	settings_default(&settings);
	int result = read_settings(conf, &settings, why);

	if (result == 0)
		result = take(p->run, settings.directory_run,
		              environment ? "POSTHOUSE_RUNDIR" : NULL, why);
	if (result == 0)
		result = take(p->drop, settings.drop_directory,
		              environment ? "POSTHOUSE_DROPDIR" : NULL, why);
	if (result == 0)
		result = take(p->state, settings.directory_state, NULL, why);
	if (result == 0)
		result = take(p->programs, LIBEXECDIR, environment ? "POSTHOUSE_PROGRAMS" : NULL,
		              why);
	p->message_size_max = settings.message_size_max_bytes;
	p->space_min = settings.queue_space_min_bytes;
	settings_free(&settings);
	return result;
}
