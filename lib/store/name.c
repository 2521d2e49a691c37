/* SPDX-License-Identifier: ISC */
#include "lib/store/name.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

enum { HOST_MAX = 64 };

static bool parse_hex(struct view v, uint32_t *out)
{
	uint32_t n = 0;

	if (v.len == 0 || v.len > 8)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		char c = v.data[i];

		if (!byte_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		n = n * 16 + (uint32_t)(byte_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*out = n;
	return n != 0;
}

/* "67405a00.17"; mbsync writes a plain number under the same letter, which is not ours. */
static bool parse_uid(struct view field, struct message_name *out)
{
	struct view validity;
	uint32_t hex;
	uint64_t uid;

	if (!view_cut(&field, '.', &validity) || !parse_hex(validity, &hex) ||
	    !view_number(field, UINT32_MAX, &uid) || uid == 0)
		return false;
	out->validity = hex;
	out->uid = (uint32_t)uid;
	return true;
}

static void parse_suffix(struct view letters, struct message_name *out)
{
	for (size_t i = 0; i < letters.len; i++) {
		char c = letters.data[i];

		if (c >= 'A' && c <= 'Z')
			out->flags |= 1u << (c - 'A');
		else if (c >= 'a' && c <= 'z')
			out->keywords |= 1ull << (c - 'a');
	}
}

/* From the last ":2,": a stem that another program ended with ":2" would make one with the fields
 * behind it. */
static struct view cut_suffix(struct view *name)
{
	for (size_t i = name->len < 3 ? 0 : name->len - 2; i-- > 0;)
		if (memcmp(name->data + i, ":2,", 3) == 0) {
			struct view letters = view_skip(*name, i + 3);

			*name = view_take(*name, i);
			return letters;
		}
	return (struct view){ NULL, 0 };
}

static bool parse_field(struct view field, struct message_name *out)
{
	if (view_starts(field, VIEW("U=")) && parse_uid(view_skip(field, 2), out))
		return true;
	if (view_starts(field, VIEW("S=")))
		out->has_size = view_number(view_skip(field, 2), INT64_MAX, &out->size);
	if (view_starts(field, VIEW("W=")))
		out->has_wire = view_number(view_skip(field, 2), INT64_MAX, &out->wire_size);
	return false;
}

bool name_parse(struct view name, struct message_name *out)
{
	struct view rest = name, field;
	size_t used = 0;
	bool first = true;

	*out = (struct message_name){ 0 };
	if (name.len == 0 || name.data[0] == '.' || name.len > NAME_BYTES_MAX ||
	    view_find(name, '\0') < name.len || view_find(name, '/') < name.len)
		return false;
	parse_suffix(cut_suffix(&rest), out);
	if (rest.len == 0)
		return false;
	while (view_cut(&rest, ',', &field)) {
		if (!first && parse_field(field, out))
			continue;
		if (used + field.len + !first > NAME_STEM_MAX)
			return false;
		if (!first)
			out->stem[used++] = ',';
		memcpy(out->stem + used, field.data, field.len);
		used += field.len;
		first = false;
	}
	out->stem[used] = '\0';
	if (used == 0)
		return false;
	char canonical[NAME_BYTES_MAX + 1];

	name_format(canonical, view_of(out->stem), out->validity, out->uid, out->flags,
	            out->keywords);
	out->canonical = out->uid != 0 && view_equal(name, view_of(canonical));
	return true;
}

void name_format(char *out, struct view stem, uint32_t validity, uint32_t uid, uint32_t flags,
                 uint64_t keywords)
{
	size_t used = string_print(out, NAME_BYTES_MAX + 1, "%.*s,U=%" PRIx32 ".%" PRIu32 ":2,",
	                           VIEW_ARG(stem), validity, uid);

	for (int i = 0; i < NAME_LETTERS && used < NAME_BYTES_MAX; i++)
		if (flags & 1u << i)
			out[used++] = (char)('A' + i);
	for (int i = 0; i < NAME_LETTERS && used < NAME_BYTES_MAX; i++)
		if (keywords & 1ull << i)
			out[used++] = (char)('a' + i);
	out[used] = '\0';
}

/* '/' and ':' cannot stand in a Maildir name; the replacements are the customary ones. */
static void host_name(char *out)
{
	char host[HOST_MAX + 1] = "";
	size_t used = 0;

	gethostname(host, sizeof host - 1);
	for (size_t i = 0; host[i] && used + 4 < HOST_MAX; i++) {
		const char *code = host[i] == '/'   ? "\\057"
		                   : host[i] == ':' ? "\\072"
		                   : host[i] == ',' ? "\\054"
		                                    : NULL;

		if (code == NULL)
			out[used++] = host[i];
		for (; code && *code; code++)
			out[used++] = *code;
	}
	out[used] = '\0';
	if (used == 0)
		string_put(out, HOST_MAX, VIEW("localhost"));
}

static long process; /* asked for once; 0: not yet */

/* Whatever forks: two processes of one number would give the same names. */
static void forget_process(void)
{
	process = 0;
}

void name_unique(char *out)
{
	static char host[HOST_MAX];
	static unsigned counter;
	static bool keeps;
	int64_t now_us = clock_wall_us();

	if (host[0] == '\0') {
		host_name(host);
		keeps = pthread_atfork(NULL, NULL, forget_process) == 0;
	}
	if (process == 0 || !keeps)
		process = (long)getpid();
	string_print(out, NAME_STEM_MAX + 1, "%" PRId64 ".M%06" PRId64 "P%ld_%u.%s",
	             now_us / 1000000, now_us % 1000000, process, counter++, host);
}

void name_add_size(char *stem, uint64_t size, uint64_t wire_size)
{
	size_t used = strlen(stem);

	string_print(stem + used, NAME_STEM_MAX + 1 - used, ",S=%" PRIu64 ",W=%" PRIu64, size,
	             wire_size);
}

int name_order(const char *a, const char *b)
{
	unsigned long long time_a = strtoull(a, NULL, 10), time_b = strtoull(b, NULL, 10);

	if (time_a != time_b)
		return time_a < time_b ? -1 : 1;
	return strcmp(a, b);
}
