/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over files without libFuzzer: NAME [-n MUTATIONS] FILE|DIRECTORY...
 *
 * Each file as it is, then so many deterministic mutations of it (the same
 * every time: a failure is found again with the same command).  An input that
 * crashes the target is written to ./crash-NAME before, so that it can be kept.
 * With libFuzzer instead: make CC=clang CFLAGS='-g -fsanitize=fuzzer-no-link,address'
 * LDFLAGS=-fsanitize=fuzzer,address FUZZ_DRIVER= t/fuzz/NAME
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/bytes.h"

enum { INPUT_MAX = 1 << 20, NAME_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *current;
static size_t current_size;
static char crash_name[NAME_BYTES];
static unsigned long inputs;

/* What protocols and messages are made of; mutations put these in more often than noise. */
static const char *const tokens[] = {
	"\r\n",
	"\n",
	"\r",
	"\r\n\r\n",
	"--",
	"=?",
	"?=",
	"=",
	"\"",
	"\\",
	"(",
	")",
	"<",
	">",
	"@",
	",",
	";",
	":",
	"*0*=",
	"%",
	"&",
	"-",
	" ",
	"\t",
	"\xff",
	"\xc3\xa9",
	"\xed\xa0\x80",
	"[",
	"]",
	"{1}",
	"boundary=",
	"Content-Type: multipart/x;",
	"Content-Type: message/rfc822\r\n",
	"''",
	"99999999999",
	"0",
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Keeps the input that is about to be the end of us.  Signal-safe calls only. */
static void on_crash(int signal_number)
{
	int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd >= 0 && write(fd, current, current_size) >= 0)
		close(fd);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* A copy of exactly its size, so that a sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	current = copy;
	current_size = size;
	LLVMFuzzerTestOneInput(copy, size);
	inputs++;
	free(copy);
}

/* Puts `with` in place of `gone` bytes at `at`. */
static size_t replace(uint8_t *data, size_t size, size_t at, size_t gone, const void *with,
                      size_t len)
{
	if (size - gone + len > INPUT_MAX)
		return size;
	memmove(data + at + len, data + at + gone, size - at - gone);
	memcpy(data + at, with, len);
	return size - gone + len;
}

static size_t mutate_once(uint8_t *data, size_t size, uint64_t *state)
{
	size_t at = next_random(state) % (size + 1);
	size_t span = next_random(state) % (size - at + 1);
	const char *token = tokens[next_random(state) % (sizeof tokens / sizeof tokens[0])];
	uint8_t copy[256];

	switch (next_random(state) % 6) {
	case 0: /* a byte becomes another */
		if (at < size)
			data[at] = (uint8_t)next_random(state);
		return size;
	case 1: /* some go */
		return replace(data, size, at, span % 64 < span ? span % 64 : span, "", 0);
	case 2: /* the end goes */ return at;
	case 3: /* a piece comes twice */
		span = span < sizeof copy ? span : sizeof copy;
		memcpy(copy, data + at, span);
		return replace(data, size, next_random(state) % (size + 1), 0, copy, span);
	default: return replace(data, size, at, 0, token, strlen(token));
	}
}

static void run_file(const char *name, unsigned long mutations)
{
	static uint8_t original[INPUT_MAX], data[INPUT_MAX];
	int fd = open(name, O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, original, sizeof original);
	uint64_t state = 0x9e3779b97f4a7c15;

	if (got < 0) {
		perror(name);
		exit(1);
	}
	close(fd);
	run(original, (size_t)got);
	for (unsigned long i = 0; i < mutations; i++) {
		size_t size = (size_t)got;
		unsigned times = 1 + (unsigned)(next_random(&state) % 5);

		memcpy(data, original, size);
		while (times-- > 0)
			size = mutate_once(data, size, &state);
		run(data, size);
	}
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A file, or the files of a directory and of those in it, in order of their names. */
static void run_path(const char *path, unsigned long mutations)
{
	struct dirent **entries;
	struct stat st;
	int count;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		run_file(path, mutations);
		return;
	}
	count = scandir(path, &entries, not_hidden, alphasort);
	if (count < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < count; i++) {
		char name[NAME_BYTES];

		snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		run_path(name, mutations);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	const char *word = strrchr(argv[0], '/');
	uint64_t mutations = 0;
	int i = 1;

	snprintf(crash_name, sizeof crash_name, "crash-%s", word ? word + 1 : argv[0]);
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		if (!view_number(view_of(argv[2]), 1000000000, &mutations))
			return 2;
		i = 3;
	}
	for (; i < argc; i++)
		run_path(argv[i], (unsigned long)mutations);
	printf("%lu inputs\n", inputs);
	return 0;
}
