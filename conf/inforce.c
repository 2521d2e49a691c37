/* SPDX-License-Identifier: ISC */
#include "conf/inforce.h"

#include <stdio.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/changes.h"
#include "conf/load.h"
#include "lib/conf/generation.h"

static int open_map(const struct model *m, enum map_id id, long *number, struct map *out)
{
	const char *state = m->settings.directory_state;
	long used = ask_generation(&m->settings);

	*number = used > 0 ? used : generation_number(state);
	int generation = *number > 0 ? generation_open_number(state, *number, NULL) : -1;
	int result = generation < 0 ? -1 : changes_open_of(generation, id, out, NULL);

	if (generation >= 0)
		close(generation);
	return result;
}

static void print_entry(long number, struct view key, struct view value)
{
	struct text key_text, words;

	text_init(&key_text, MAP_KEY_MAX + 64);
	text_init(&words, MODEL_VALUE_MAX);
	map_kinds[MAP_USERS].show(key, value, &key_text, &words);
	printf("not in force: generation %ld has %s\n", number, text_string(&words));
	text_free(&key_text);
	text_free(&words);
}

/* key and compiled: as the texts have it. */
static void print_difference(const struct model *m, struct view key, struct view compiled)
{
	struct map users;
	struct view value;
	long number;

	if (open_map(m, MAP_USERS, &number, &users) != 0) {
		printf("not in force: there is no whole generation; run posthouse build\n");
		return;
	}
	enum map_result found = map_get(&users, key, &value);

	if (found != MAP_FOUND)
		printf("not in force: generation %ld %s\n", number,
		       found == MAP_MISSING ? "does not have this user" : "is damaged");
	else if (!view_equal(value, compiled))
		print_entry(number, key, value);
	map_close(&users);
}

int inforce_current_is_older(const struct settings *s, long used, struct reason *why)
{
	long current = generation_number(s->directory_state);

	if (used <= 0 || current <= 0 || current >= used)
		return -1;
	int newer = generation_open_number(s->directory_state, used, NULL);

	if (newer >= 0) {
		close(newer);
		fail(why,
		     "generation %ld is current, the running server uses the newer %ld; run "
		     "posthouse rollback %ld to make that one current, or posthouse reload to use %ld",
		     current, used, used, current);
	} else {
		fail(why,
		     "generation %ld is current, the running server uses the newer %ld, which is "
		     "not there any more; run posthouse build --reload to use what the texts say, "
		     "or posthouse reload to use %ld",
		     current, used, current);
	}
	return 0;
}

void inforce_print_user(struct model *m, const char *address)
{
	struct text key;
	struct view compiled;

	text_init(&key, MAP_KEY_MAX);
	if (mapkey_address(view_of(address), view_of(m->settings.mail_domain), &key, NULL) == 0 &&
	    model_find(m, MAP_USERS, text_view(&key), &compiled))
		print_difference(m, text_view(&key), compiled);
	text_free(&key);
}

void inforce_warn(const struct model *m, enum map_id id)
{
	struct map compiled;
	long number;

	/* Of an ordinary user's house another one does not know the default owner. */
	if ((id == MAP_USERS && house_is_anothers(m)) || open_map(m, id, &number, &compiled) != 0)
		return;
	size_t count = changes_count_in(m, id, &compiled);

	map_close(&compiled);
	if (count)
		fprintf(stderr,
		        "posthouse: not in force as it is shown: generation %ld has %zu other entr%s in "
		        "%s.map\n",
		        number, count, count == 1 ? "y" : "ies", maptable[id].name);
}
