/* SPDX-License-Identifier: ISC */
/* Is a generation whole, by its manifest? What is known of before is not summed, and the manifest
 * always is. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf/manifest.h"
#include "lib/conf/maptable.h"
#include "t/tap.h"

enum { NUMBER = 7, OVERLAY = GENERATION_OVERLAYS + MAP_USERS };

static char directory[] = "/tmp/verifying.XXXXXX";
static int generation;

static void begin_file(const char *name, struct cdb_make *make)
{
	int fd = openat(generation, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || cdb_make_start(make, fd) != 0)
		abort();
}

static uint64_t end_file(const char *name, struct cdb_make *make)
{
	uint64_t sum;

	if (cdb_make_finish(make) != 0 || map_seal(make->cdb_fd, name, NUMBER, &sum, NULL) != 0)
		abort();
	close(make->cdb_fd);
	return sum;
}

static bool is_there(int file)
{
	return file < GENERATION_ASKED || file == OVERLAY;
}

/* Every file, and an overlay of the users. */
static void make_generation(void)
{
	struct cdb_make manifest, make;
	char name[MAPTABLE_FILE_NAME_MAX];
	struct text value;

	text_init(&value, 64);
	begin_file(MANIFEST_FILE, &manifest);
	for (int file = 0; file < GENERATION_MANIFEST; file++) {
		if (!is_there(file))
			continue;
		maptable_generation_file(file, name);
		begin_file(name, &make);
		cdb_make_add(&make, "k", 1, "=v", 2);
		const struct manifest_row row = { .generation = NUMBER,
			                          .sum = end_file(name, &make) };

		text_clear(&value);
		manifest_encode(&row, &value);
		cdb_make_add(&manifest, name, (unsigned)strlen(name), text_string(&value),
		             (unsigned)value.len);
	}
	end_file(MANIFEST_FILE, &manifest);
	text_free(&value);
}

/* A bit of it, as a disk turns it: nobody wrote the file. */
static void turn(const char *name)
{
	int fd = openat(generation, name, O_RDWR | O_CLOEXEC);
	struct stat st;
	char byte;

	if (fd < 0 || fstat(fd, &st) != 0 || pread(fd, &byte, 1, 2060) != 1)
		abort();
	byte ^= 1;
	if (pwrite(fd, &byte, 1, 2060) != 1 ||
	    futimens(fd, (struct timespec[2]){ st.st_atim, st.st_mtim }) != 0)
		abort();
	close(fd);
}

static void known_before(void)
{
	struct maptable_known known, found;
	struct reason why;

	ok(maptable_verify_all(generation, NULL, &known, &why) == 0 &&
	           known.files[OVERLAY].inode != 0 && known.files[GENERATION_MANIFEST].inode != 0,
	   "a whole generation");
	turn("users.cdb");
	ok(maptable_verify_all(generation, &known, &found, &why) == 0,
	   "a file that nobody has written is not summed again");
	ok(maptable_verify_all(generation, NULL, &found, &why) < 0, "but where it is not known");
	turn("users.cdb");
	turn(MANIFEST_FILE);
	unlinkat(generation, "users.more.cdb", 0);
	ok(maptable_verify_all(generation, &known, &found, &why) < 0 &&
	           strncmp(why.text, "manifest.cdb of the current generation is damaged", 49) == 0,
	   "the manifest is, always: else a lost file would be one that there is not");
	turn(MANIFEST_FILE);
	ok(maptable_verify_all(generation, &known, &found, &why) < 0 &&
	           strncmp(why.text, "users.more.cdb of the current generation is missing", 51) ==
	                   0,
	   "which a whole one names");
}

/* What failed at the beginning, and is over a moment later. */
static void for_a_moment(void)
{
	struct maptable_verifying v;
	struct rlimit usual, none;
	struct reason why;
	int good = 0;

	getrlimit(RLIMIT_NOFILE, &usual);
	none = (struct rlimit){ 0, usual.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	maptable_verify_begin(&v, generation, NULL);
	setrlimit(RLIMIT_NOFILE, &usual);
	for (int file = 0; file < GENERATION_MANIFEST; file++)
		good += maptable_verify(&v, file, NULL, &why) == 0;
	errno = 0;
	ok(good == GENERATION_MANIFEST &&
	           maptable_verify(&v, GENERATION_MANIFEST, NULL, &why) < 0 && errno == EMFILE,
	   "a manifest that could not be opened at the beginning is none to verify by");
	maptable_verify_end(&v);
}

static void without(void)
{
	struct reason why;

	unlinkat(generation, MANIFEST_FILE, 0);
	ok(maptable_verify_all(generation, NULL, NULL, &why) < 0 &&
	           strncmp(why.text, "manifest.cdb of the current generation is missing", 49) == 0,
	   "one that is lost");
}

int main(void)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	if (mkdtemp(directory) == NULL)
		abort();
	generation = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_generation();
	known_before();
	for_a_moment();
	without();
	for (int file = 0; file < GENERATION_FILES; file++) {
		maptable_generation_file(file, name);
		unlinkat(generation, name, 0);
	}
	close(generation);
	rmdir(directory);
	return tap_done();
}
