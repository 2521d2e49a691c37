/* SPDX-License-Identifier: ISC */
/*
 * Keywords: numbers 0..25 are the letters a..z of the file names, up to 63 stand in the index
 * alone. The names are in posthouse.keywords ("0 $Forwarded", a line each) and, a second time, in
 * the index. With both lost a letter keeps its place in the file names without a name; with the
 * index lost, keywords above 25 fall from the messages.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/store/internal.h"

enum { KEYWORDS_FILE_MAX = STORE_KEYWORDS_MAX * (STORE_KEYWORD_NAME_MAX + 8) };

static bool keyword_valid(struct view name)
{
	if (name.len == 0 || name.len > STORE_KEYWORD_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~')
			return false;
	return true;
}

void keyword_set(struct folder *f, unsigned number, struct view name)
{
	if (!keyword_valid(name) ||
	    (f->keywords[number] && view_equal(view_of(f->keywords[number]), name)))
		return;
	free(f->keywords[number]);
	f->keywords[number] = memory_string(name);
}

int keywords_load(struct folder *f)
{
	char bytes[KEYWORDS_FILE_MAX];
	struct view rest, line, number_text;
	uint64_t number;

	enum file_result result = read_small(f->dir, KEYWORDS_FILE, bytes, sizeof bytes);

	if (file_missing(result))
		return 0;
	if (result != FILE_WHOLE)
		return -1;
	rest = view_of(bytes);
	while (view_cut(&rest, '\n', &line))
		if (view_cut(&line, ' ', &number_text) &&
		    view_number(number_text, STORE_KEYWORDS_MAX - 1, &number) &&
		    f->keywords[number] == NULL)
			keyword_set(f, (unsigned)number, line);
	return 0;
}

int keywords_save(struct folder *f)
{
	struct text all;
	int result;

	text_init(&all, KEYWORDS_FILE_MAX);
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		if (f->keywords[n])
			text_format(&all, "%u %s\n", n, f->keywords[n]);
	result = write_atomic(f->dir, KEYWORDS_FILE, text_view(&all), true);
	int kept_errno = errno;

	text_free(&all);
	errno = kept_errno;
	return result;
}

const char *folder_keyword_name(const struct folder *f, unsigned number)
{
	return number < STORE_KEYWORDS_MAX ? f->keywords[number] : NULL;
}

static int find(const struct folder *f, struct view name)
{
	for (int n = 0; n < STORE_KEYWORDS_MAX; n++)
		if (f->keywords[n] && view_equal_nocase(view_of(f->keywords[n]), name))
			return n;
	return -1;
}

/* A letter that messages bear without a name (its name was lost) is not given to another
 * keyword. */
static unsigned free_numbers(struct folder *f, unsigned char out[STORE_KEYWORDS_MAX])
{
	uint64_t used = 0;
	unsigned count = 0;

	for (uint32_t i = 0; i < f->ix.count; i++)
		used |= record_at(f, i)->keywords;
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		if (f->keywords[n] == NULL && !(used & 1ull << n))
			out[count++] = (unsigned char)n;
	return count;
}

/* The bits of those that are there; how many are not. */
static unsigned find_all(const struct folder *f, const struct view *names, unsigned count,
                         uint64_t *bits)
{
	unsigned missing = 0;

	*bits = 0;
	for (unsigned i = 0; i < count; i++) {
		int number = find(f, names[i]);

		if (number >= 0)
			*bits |= 1ull << number;
		else
			missing++;
	}
	return missing;
}

static enum store_result create_locked(struct folder *f, const struct view *names, unsigned count,
                                       struct reason *why)
{
	unsigned char numbers[STORE_KEYWORDS_MAX];
	unsigned made = 0;
	uint64_t bits;

	/* The file is written anew from what is known here: a name that only it has is not lost
	 * with that. */
	if (keywords_load(f) < 0)
		return fail_errno(why, "read " KEYWORDS_FILE), STORE_FAILED;
	unsigned missing = find_all(f, names, count, &bits);

	if (missing > free_numbers(f, numbers)) {
		fail(why, "a mailbox has at most %d keywords", STORE_KEYWORDS_MAX);
		return STORE_LIMIT;
	}
	for (unsigned i = 0; i < count && made < missing; i++) {
		char byte = (char)numbers[made];

		if (find(f, names[i]) >= 0)
			continue;
		keyword_set(f, numbers[made++], names[i]);
		indexlog_put(f, LOG_KEYWORD, &byte, 1, names[i]);
	}
	/* The file first: a name in it that no message bears does no harm. */
	if (made && keywords_save(f) < 0 && errno != ENOSPC && errno != EDQUOT) {
		text_clear(&f->log);
		return fail_errno(why, "write " KEYWORDS_FILE), STORE_FAILED;
	}
	return made && indexlog_commit(f, why) < 0 ? STORE_FAILED : STORE_OK;
}

enum store_result folder_keywords(struct folder *f, const struct view *names, unsigned count,
                                  bool create, uint64_t *bits, struct reason *why)
{
	unsigned missing = find_all(f, names, count, bits);

	if (missing == 0 || !create)
		return STORE_OK;
	for (unsigned i = 0; i < count; i++)
		if (!keyword_valid(names[i]))
			return fail(why, "not a valid keyword"), STORE_BAD_NAME;
	enum store_result result = folder_lock(f, why);

	if (result != STORE_OK)
		return result;
	result = create_locked(f, names, count, why);
	folder_unlock(f);
	find_all(f, names, count, bits);
	return result;
}

int folder_keyword(struct folder *f, struct view name, bool create)
{
	uint64_t bits;

	return folder_keywords(f, &name, 1, create, &bits, NULL) == STORE_OK ? find(f, name) : -1;
}
