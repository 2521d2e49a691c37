/* SPDX-License-Identifier: ISC */
#include "lib/conf/manifest.h"

#include <errno.h>
#include <unistd.h>

#include "lib/conf/generation.h"
#include "lib/conf/value.h"

int manifest_open(int generation, struct map *out, struct reason *detail)
{
	int fd = generation_file(generation, MANIFEST_FILE, NULL);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail_errno(detail, "unreadable");
	if (map_open(out, fd, MANIFEST_FILE, detail) == 0)
		return 1;
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return -1;
}

bool manifest_find(struct map *manifest, const char *file, struct manifest_row *out)
{
	struct view value;
	struct value_reader r;

	if (map_get(manifest, view_of(file), &value) != MAP_FOUND)
		return false;
	r = (struct value_reader){ .rest = value };
	out->generation = value_get_u64(&r);
	out->sum = value_get_u64(&r);
	out->identity = (struct map_identity){ 0 };
	if (r.rest.len) {
		out->identity.device = value_get_u64(&r);
		out->identity.inode = value_get_u64(&r);
		out->identity.size = value_get_u64(&r);
		out->identity.mtime_ns = value_get_u64(&r);
	}
	return value_end(&r);
}

bool manifest_matches(const struct manifest_row *row, const struct map *file)
{
	return file->generation != 0 && file->generation == row->generation &&
	       file->sum == row->sum;
}

void manifest_encode(const struct manifest_row *row, struct text *out)
{
	value_put_u64(out, row->generation);
	value_put_u64(out, row->sum);
	value_put_u64(out, row->identity.device);
	value_put_u64(out, row->identity.inode);
	value_put_u64(out, row->identity.size);
	value_put_u64(out, row->identity.mtime_ns);
}
