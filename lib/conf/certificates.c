/* SPDX-License-Identifier: ISC */
#include "lib/conf/certificates.h"

#include "lib/conf/value.h"

/* Keys: "c" and the index; "n" and a name. */

void certificate_key(uint32_t index, struct text *out)
{
	text_add_byte(out, 'c');
	value_put_u32(out, index);
}

void certificate_name_key(struct view name, struct text *out)
{
	text_add_byte(out, 'n');
	for (size_t i = 0; i < name.len; i++)
		text_add_byte(out, byte_lower(name.data[i]));
}

void certificate_encode(const struct certificate *c, struct text *out)
{
	value_put_u32(out, c->index);
	value_put_bytes(out, c->chain);
	value_put_bytes(out, c->key_path);
	value_put_bytes(out, c->key_digest);
	value_put_bytes(out, c->file);
}

bool certificate_decode(struct view value, struct certificate *out)
{
	struct value_reader r = { .rest = value };

	out->index = value_get_u32(&r);
	out->chain = value_get_bytes(&r);
	out->key_path = value_get_bytes(&r);
	out->key_digest = value_get_bytes(&r);
	out->file = value_get_bytes(&r);
	return value_end(&r) && out->key_digest.len == CERTIFICATE_KEY_BYTES;
}

void certificate_index_encode(uint32_t index, struct text *out)
{
	value_put_u32(out, index);
}

enum map_result certificates_at(struct map *m, uint32_t index, struct certificate *out)
{
	struct text key;
	struct view value;

	text_init(&key, 8);
	certificate_key(index, &key);
	enum map_result result = map_get(m, text_view(&key), &value);

	text_free(&key);
	if (result == MAP_FOUND && !certificate_decode(value, out))
		return MAP_DAMAGED;
	return result;
}

enum map_result certificates_find(struct map *m, struct view name, struct certificate *out)
{
	struct view value, parent = view_skip(name, view_find(name, '.'));
	enum map_result result = name.len ? map_get_lower(m, VIEW("n"), name, &value) : MAP_MISSING;

	if (result == MAP_MISSING && parent.len)
		result = map_get_lower(m, VIEW("n*"), parent, &value);
	if (result == MAP_MISSING)
		result = map_get(m, VIEW("n*"), &value);
	if (result != MAP_FOUND)
		return result;
	struct value_reader r = { .rest = value };
	uint32_t index = value_get_u32(&r);

	return value_end(&r) ? certificates_at(m, index, out) : MAP_DAMAGED;
}
