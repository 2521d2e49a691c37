/* SPDX-License-Identifier: ISC */
/* Names of message files and of folders: what is taken in can be written, and is read back the
 * same. */
#include <stdlib.h>
#include <string.h>

#include "lib/store/name.h"
#include "lib/store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
	if (!good)
		abort();
}

static void check_message(struct view name)
{
	struct message_name first, again;
	char out[NAME_BYTES_MAX + 1];

	if (!name_parse(name, &first))
		return;
	need(strlen(first.stem) > 0 && strlen(first.stem) <= NAME_STEM_MAX);
	name_format(out, view_of(first.stem), 0x12345678, 7, first.flags, first.keywords);
	need(strlen(out) <= NAME_BYTES_MAX && name_parse(view_of(out), &again));
	need(strcmp(first.stem, again.stem) == 0 && again.uid == 7 &&
	     again.validity == 0x12345678 && again.flags == first.flags &&
	     again.keywords == first.keywords && again.canonical);
}

static void check_folder(struct view name)
{
	if (!store_name_valid(name))
		return;
	need(name.len <= STORE_NAME_MAX && name.data[0] != '.' &&
	     memchr(name.data, '/', name.len) == NULL &&
	     memmem(name.data, name.len, "..", 2) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest = { (const char *)data, size }, line;

	while (view_cut(&rest, '\n', &line)) {
		check_message(line);
		check_folder(line);
	}
	return 0;
}
