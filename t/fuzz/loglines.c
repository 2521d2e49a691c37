/* SPDX-License-Identifier: ISC */
/* What a captured program may write into its pipe: each line of the log is its own, visible, and
 * the same however the bytes come. */
#include <stdlib.h>
#include <string.h>

#include "master/logd/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct view bytes, size_t piece, enum lines_form form, struct text *out)
{
	static const struct lines_moment moments[] = {
		[LINES_FILE] = { .form = LINES_FILE, .wall_ms = 1800000000000, .stamp = "T" },
		[LINES_SYSTEM] = { .form = LINES_SYSTEM, .stamp = "T" },
	};
	struct lines lines;

	lines_start(&lines, VIEW("smtpd"));
	for (; bytes.len; bytes = view_skip(bytes, piece))
		lines_take(&lines, view_take(bytes, piece), &moments[form], out);
	lines_end(&lines, &moments[form], out);
	lines_free(&lines);
}

static void check(struct view lines, enum lines_form form)
{
	struct view line;

	if (lines.len && lines.data[lines.len - 1] != '\n')
		abort();
	while (view_cut(&lines, '\n', &line)) {
		size_t front = view_find(line, form == LINES_SYSTEM ? '>' : ' ');

		/* Our stamp or the writer's, or the priority. */
		if (front >= LOG_STAMP_MAX)
			abort();
		line = view_skip(line, front + 1);
		if (!view_starts(line, VIEW("smtpd")) || line.len > 4 * LOG_LINE_MAX + 64)
			abort();
		for (size_t i = 0; i < line.len; i++)
			if (line.data[i] < ' ' || line.data[i] > '~')
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size ? data[0] + 1u : 1;
	struct view bytes = { (const char *)data, size };

	for (enum lines_form form = LINES_FILE; form <= LINES_SYSTEM; form++) {
		struct text whole, pieces;

		text_init(&whole, 64u << 20);
		text_init(&pieces, 64u << 20);
		run(bytes, size ? size : 1, form, &whole);
		run(bytes, piece, form, &pieces);
		check(text_view(&whole), form);
		if (!view_equal(text_view(&whole), text_view(&pieces)))
			abort();
		text_free(&whole);
		text_free(&pieces);
	}
	return 0;
}
