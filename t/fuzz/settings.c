/* SPDX-License-Identifier: ISC */
/* posthouse.conf: what is accepted is written canonically, and the canonical form is accepted and
 * the same. */
#include <stdlib.h>

#include "lib/conf/maptext.h"
#include "lib/conf/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void canonical(struct settings *s, const struct setting *row)
{
	struct text once, twice;

	text_init(&once, 1 << 16);
	text_init(&twice, 1 << 16);
	setting_format(s, row, &once);
	if (setting_parse(s, view_of(row->key), text_view(&once), NULL) != 0)
		abort();
	setting_format(s, row, &twice);
	if (!view_equal(text_view(&once), text_view(&twice)))
		abort();
	text_free(&once);
	text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct settings s;
	struct maptext m;
	struct maptext_entry e;
	int more;

	settings_default(&s);
	maptext_init(&m, (struct view){ (const char *)data, size });
	while ((more = maptext_next(&m, &arena, &e, NULL)) != 0)
		if (more > 0 && setting_parse(&s, e.key, e.value, NULL) == 0)
			canonical(&s, setting_find(e.key));
	settings_free(&s);
	arena_clear(&arena);
	return 0;
}
