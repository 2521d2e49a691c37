/* SPDX-License-Identifier: ISC */
#include "lib/wire/envelope.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/wire/address.h"

#define ROW(owner, name, kind_, detail_, way_, line_) \
	{ .kind = ENVELOPE_##kind_,                   \
	  .way = ENVELOPE_##way_,                     \
	  .offset = offsetof(owner, name),            \
	  .size = sizeof((owner *)NULL)->name,        \
	  .detail = (detail_),                        \
	  .line = (line_) },

const struct envelope_field envelope_fields[ENVELOPE_FIELDS] = {
#define ENVELOPE_FIELD(name, declaration, kind, detail, way, line) \
	ROW(struct envelope, name, kind, detail, way, line)
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
};

const struct envelope_field envelope_recipient_fields[RECIPIENT_FIELDS] = {
#define RECIPIENT_FIELD(name, declaration, kind, detail, way, line) \
	ROW(struct envelope_recipient, name, kind, detail, way, line)
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
};

/* ---- one field ---- */

static const void *field_in(const struct envelope_field *f, const void *from)
{
	return (const char *)from + f->offset;
}

static void *field_of(const struct envelope_field *f, void *to)
{
	return (char *)to + f->offset;
}

uint64_t envelope_number(const struct envelope_field *f, const void *from)
{
	const void *at = field_in(f, from);

	switch (f->size) {
	case 1: return *(const uint8_t *)at;
	case 2: return *(const uint16_t *)at;
	case 4: return *(const uint32_t *)at;
	case 8: return *(const uint64_t *)at;
	default: log_panic("an envelope's number of %zu bytes", f->size);
	}
}

static bool is_possible(const struct envelope_field *f, uint64_t number)
{
	uint64_t greatest;

	switch (f->kind) {
	case ENVELOPE_CHOICE: return envelope_word(f, number).len > 0;
	case ENVELOPE_LETTER:
		return number == 0 || (number < 128 && strchr(f->detail, (int)number) != NULL);
	default:
		return view_number(view_of(f->detail), UINT64_MAX, &greatest) && number <= greatest;
	}
}

bool envelope_set_number(const struct envelope_field *f, void *to, uint64_t number)
{
	void *at = field_of(f, to);

	if (!is_possible(f, number))
		return false;
	switch (f->size) {
	case 1: *(uint8_t *)at = (uint8_t)number; break;
	case 2: *(uint16_t *)at = (uint16_t)number; break;
	case 4: *(uint32_t *)at = (uint32_t)number; break;
	case 8: *(uint64_t *)at = number; break;
	default: log_panic("an envelope's number of %zu bytes", f->size);
	}
	return true;
}

struct view envelope_word(const struct envelope_field *f, uint64_t number)
{
	struct view rest = view_of(f->detail), word;

	while (view_cut(&rest, ' ', &word))
		if (number-- == 0)
			return word;
	return VIEW("");
}

int envelope_choice(const struct envelope_field *f, struct view word)
{
	struct view rest = view_of(f->detail), one;

	for (int number = 0; view_cut(&rest, ' ', &one); number++)
		if (view_equal(one, word))
			return number;
	return -1;
}

static bool has_controls(const struct envelope_field *fields, unsigned count, const void *of)
{
	for (unsigned i = 0; i < count; i++)
		if (fields[i].kind == ENVELOPE_TEXT &&
		    view_has_controls(view_of(field_in(&fields[i], of))))
			return true;
	return false;
}

bool envelope_has_controls(const struct envelope *e)
{
	return has_controls(envelope_fields, ENVELOPE_FIELDS, e);
}

bool envelope_recipient_has_controls(const struct envelope_recipient *r)
{
	return has_controls(envelope_recipient_fields, RECIPIENT_FIELDS, r);
}

/* ---- on a wire ---- */

static void put_field(struct wire_out *out, const struct envelope_field *f, const void *from)
{
	uint64_t number;

	if (f->kind == ENVELOPE_TEXT) {
		wire_put_string(out, field_in(f, from));
		return;
	}
	if (f->kind == ENVELOPE_CLIENT) {
		wire_put_address(out, field_in(f, from));
		return;
	}
	number = envelope_number(f, from);
	switch (f->size) {
	case 1: wire_put_byte(out, (uint8_t)number); break;
	case 2: wire_put_u16(out, (uint16_t)number); break;
	case 4: wire_put_u32(out, (uint32_t)number); break;
	default: wire_put_u64(out, number); break;
	}
}

static void get_number(struct wire_in *in, const struct envelope_field *f, void *to)
{
	uint64_t number;

	switch (f->size) {
	case 1: number = wire_get_byte(in); break;
	case 2: number = wire_get_u16(in); break;
	case 4: number = wire_get_u32(in); break;
	default: number = wire_get_u64(in); break;
	}
	if (!in->bad && !envelope_set_number(f, to, number))
		in->bad = true;
}

static void get_field(struct wire_in *in, const struct envelope_field *f, void *to)
{
	if (f->kind == ENVELOPE_TEXT)
		wire_get_string(in, field_of(f, to), f->size);
	else if (f->kind == ENVELOPE_CLIENT)
		wire_get_address(in, field_of(f, to));
	else
		get_number(in, f, to);
}

void envelope_put(struct wire_out *out, const struct envelope *e, enum envelope_way from)
{
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		if (envelope_fields[i].way >= from)
			put_field(out, &envelope_fields[i], e);
}

bool envelope_get(struct wire_in *in, struct envelope *e, enum envelope_way from)
{
	memset(e, 0, sizeof *e);
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		if (envelope_fields[i].way >= from)
			get_field(in, &envelope_fields[i], e);
	return !in->bad;
}

void envelope_recipient_put(struct wire_out *out, const struct envelope_recipient *r)
{
	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++)
		put_field(out, &envelope_recipient_fields[i], r);
}

bool envelope_recipient_get(struct wire_in *in, struct envelope_recipient *r)
{
	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++)
		get_field(in, &envelope_recipient_fields[i], r);
	return !in->bad;
}
