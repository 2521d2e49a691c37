/* SPDX-License-Identifier: ISC */
/* The text of maps: any bytes are read to their end, every entry lies within the text, words come
 * back. */
#include <stdlib.h>

#include "lib/conf/access.h"
#include "lib/conf/aliases.h"
#include "lib/conf/domains.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/conf/passwords.h"
#include "lib/conf/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
	if (!good)
		abort();
}

/* What a word is written as is read as the same word. */
static void round_trip(struct view word)
{
	struct arena arena = { 0 };
	struct text out;
	struct view rest, again = { "", 0 };

	text_init(&out, 4 * MAPTEXT_ENTRY_MAX);
	maptext_add_word(&out, word);
	rest = text_view(&out);
	need(maptext_word(&rest, &arena, &again, NULL) == 1 && view_equal(word, again) &&
	     view_trim(rest).len == 0);
	text_free(&out);
	arena_clear(&arena);
}

static void words(struct view value, struct arena *arena)
{
	struct view word;

	while (maptext_word(&value, arena, &word, NULL) > 0)
		round_trip(word);
}

/* Each map's parser on the value: what compiles must decode. */
static void values(struct view value, struct arena *arena)
{
	const struct alias_source source = { VIEW("default.test"), arena, NULL, NULL };
	struct text out;
	struct domain d, d2;
	struct user u = { 0 }, u2;
	struct alias a;
	struct route r;
	struct access x, x2;
	struct view hash;

	text_init(&out, VALUE_MAX);
	if (domain_parse(value, arena, &d, NULL) == 0) {
		domain_encode(&d, &out);
		need(domain_decode(text_view(&out), &d2));
	}
	text_clear(&out);
	if (user_parse(value, arena, &u, NULL) == 0) {
		user_encode(&u, &out);
		need(user_decode(text_view(&out), &u2));
	}
	text_clear(&out);
	if (alias_compile(&source, value, &out, NULL) == 0)
		need(alias_decode(text_view(&out), &a));
	text_clear(&out);
	if (route_compile(value, &out, NULL) == 0)
		need(route_decode(text_view(&out), &r));
	text_clear(&out);
	if (access_parse(value, &x, NULL) == 0) {
		access_encode(&x, &out);
		need(access_decode(text_view(&out), &x2));
	}
	password_parse(value, &hash, NULL);
	text_free(&out);
}

/* A key that was normalised is its own normal form. */
static void keys(struct view key)
{
	struct text once, twice;

	text_init(&once, MAP_KEY_MAX);
	text_init(&twice, MAP_KEY_MAX);
	if (maptext_address(key, VIEW("default.test"), &once, NULL) == 0) {
		need(maptext_address(text_view(&once), VIEW(""), &twice, NULL) == 0);
		need(view_equal(text_view(&once), text_view(&twice)));
	}
	text_clear(&once);
	access_key(key, VIEW(""), &once, NULL);
	text_free(&once);
	text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct maptext m;
	struct maptext_entry e;
	size_t end = 0;
	int more, line = 0;

	maptext_init(&m, (struct view){ (const char *)data, size });
	while ((more = maptext_next(&m, &arena, &e, NULL)) != 0) {
		need(e.start >= end && e.end > e.start && e.end <= size && e.line > line);
		end = e.end;
		line = e.line;
		if (more > 0) {
			need(e.key.len > 0);
			keys(e.key);
			words(e.value, &arena);
			values(e.value, &arena);
		}
	}
	arena_clear(&arena);
	return 0;
}
