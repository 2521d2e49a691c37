/* SPDX-License-Identifier: ISC */
#include "conf/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "lib/conf/certificates.h"
#include "lib/conf/generation.h"

struct keys {
	int directory;
	const char *place; /* " of the current generation" */
	void (*tell)(void *context, const char *text);
	void *context;
};

static void verify_key(const struct keys *k, const struct certificate *c)
{
	char path[PATH_MAX];
	struct reason why, whole;
	const char *slash = string_copy(path, sizeof path, c->key_path) ? strrchr(path, '/') : NULL;

	if (slash == NULL)
		return;
	int fd = k->directory < 0 ? -1
	                          : openat(k->directory, slash + 1,
	                                   O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int result = fd < 0 ? fail(&why, "%s", strerror(k->directory < 0 ? ENOENT : errno))
	                    : certificate_verify_key(c, fd, &why);

	if (result != 0) {
		fail(&whole, "keys%s%s: %s: TLS does not work for %.*s", slash, k->place, why.text,
		     VIEW_ARG(c->file));
		k->tell(k->context, whole.text);
	}
	if (fd >= 0)
		close(fd);
}

void keys_verify(int generation, const char *confdir, const char *which,
                 void (*tell)(void *context, const char *text), void *context)
{
	char path[PATH_MAX], place[PATH_MAX + 8];
	struct keys k = { .place = which, .tell = tell, .context = context };
	struct certificate c;
	struct map compiled;

	k.directory = generation_keys(generation, NULL);
	if (k.directory < 0 && errno == ENOENT &&
	    string_format(path, sizeof path, "%s/keys", confdir)) {
		k.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		string_print(place, sizeof place, " in %s", confdir);
		k.place = k.directory >= 0 ? place : which;
	}
	if (k.directory < 0 && errno == EACCES)
		return; /* who may not look cannot say */
	int fd = generation_file(generation, "tls.cdb", NULL);
	bool open = fd >= 0 && map_open(&compiled, fd, "tls.cdb", NULL) == 0;

	for (uint32_t i = 0; open && certificates_at(&compiled, i, &c) == MAP_FOUND; i++)
		verify_key(&k, &c);
	if (open)
		map_close(&compiled);
	else if (fd >= 0)
		close(fd);
	if (k.directory >= 0)
		close(k.directory);
}
