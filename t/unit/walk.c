/* SPDX-License-Identifier: ISC */
/* A walk through a directory, which tells its end from a failure. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "t/tap.h"

static void walks(void)
{
	char path[] = "/tmp/posthouse-t-walk.XXXXXX";
	const struct dirent *entry;
	struct walk w;
	int found = 0, at = -1;

	ok(mkdtemp(path) != NULL && (at = open(path, O_RDONLY | O_DIRECTORY)) >= 0, "a directory");
	ok(mkdirat(at, "a", 0700) == 0 && mkdirat(at, ".b", 0700) == 0 &&
	           symlinkat("a", at, "link") == 0,
	   "with something in it");
	for (int turn = 0; turn < 2; turn++) {
		ok(walk_begin(&w, at, ".") == 0, "walked anew");
		for (found = 0; (entry = walk_next(&w)) != NULL;)
			found += (int)strlen(entry->d_name);
		ok(walk_end(&w) == 0 && found == 7, "to its end, without . and ..");
	}
	ok(walk_begin(&w, at, "c") < 0 && walk_next(&w) == NULL && walk_end(&w) < 0 &&
	           errno == ENOENT,
	   "one that is missing");
	ok(walk_begin(&w, at, "link") < 0 && walk_end(&w) < 0, "never through a link");
	walk_begin_fd(&w, openat(at, "a", O_PATH));
	ok(walk_next(&w) == NULL && walk_end(&w) < 0 && errno == EBADF, "a failure is not the end");
	unlinkat(at, "link", 0);
	unlinkat(at, "a", AT_REMOVEDIR);
	unlinkat(at, ".b", AT_REMOVEDIR);
	rmdir(path);
	close(at);
}

int main(void)
{
	walks();
	return tap_done();
}
