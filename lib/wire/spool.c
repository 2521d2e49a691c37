/* SPDX-License-Identifier: ISC */
#include "lib/wire/spool.h"

#include <string.h>

#include "lib/wire/address.h"

static void put_open(struct wire_out *out, const struct spool_open *o)
{
	wire_put_u64(out, o->announced_bytes);
	wire_put_address(out, &o->client);
	wire_put_u32(out, o->uid);
	wire_put_string(out, o->id);
}

static void get_open(struct wire_in *in, struct spool_open *o)
{
	o->announced_bytes = wire_get_u64(in);
	wire_get_address(in, &o->client);
	o->uid = wire_get_u32(in);
	wire_get_string(in, o->id, sizeof o->id);
}

void spool_open_put(struct wire_out *out, const struct spool_open *o)
{
	wire_begin(out, SPOOL_OPEN);
	put_open(out, o);
}

bool spool_open_get(struct wire_in *in, struct spool_open *o)
{
	get_open(in, o);
	return wire_end(in);
}

void spool_file_put(struct wire_out *out, const struct spool_file *f)
{
	wire_begin(out, SPOOL_FILE);
	wire_put_string(out, f->id);
	wire_put_string(out, f->next);
	wire_put_u64(out, f->offset);
	wire_put_fd(out, f->fd);
}

bool spool_file_get(struct wire_in *in, struct spool_file *f)
{
	wire_get_string(in, f->id, sizeof f->id);
	wire_get_string(in, f->next, sizeof f->next);
	f->offset = wire_get_u64(in);
	f->fd = wire_get_last_fd(in);
	return f->fd >= 0;
}

void spool_sealed_put(struct wire_out *out, const struct spool_sealed *s)
{
	wire_begin(out, SPOOL_SEALED);
	wire_put_string(out, s->id);
	wire_put_string(out, s->next);
	wire_put_view(out, (struct view){ s->header, sizeof s->header });
	wire_put_fd(out, s->fd);
}

bool spool_sealed_get(struct wire_in *in, struct spool_sealed *s)
{
	wire_get_string(in, s->id, sizeof s->id);
	wire_get_string(in, s->next, sizeof s->next);
	struct view header = wire_get_view(in, sizeof s->header);

	in->bad = in->bad || header.len != sizeof s->header;
	if (!in->bad)
		memcpy(s->header, header.data, sizeof s->header);
	s->fd = wire_get_last_fd(in);
	return s->fd >= 0;
}

static void put_written(struct wire_out *out, const struct envelope *e,
                        const struct spool_message *m)
{
	envelope_put(out, e, ENVELOPE_STAYS);
	wire_put_u64(out, m->bytes);
	wire_put_view(out, (struct view){ (const char *)m->checksum, sizeof m->checksum });
}

void spool_commit_put(struct wire_out *out, const struct envelope *e, const struct spool_message *m)
{
	wire_begin(out, SPOOL_COMMIT);
	put_written(out, e, m);
}

void spool_whole_put(struct wire_out *out, const struct spool_open *o, const struct envelope *e,
                     const struct spool_message *m)
{
	wire_begin(out, SPOOL_WHOLE);
	put_open(out, o);
	put_written(out, e, m);
}

bool spool_whole_get(struct wire_in *in, struct spool_open *o, struct envelope *e,
                     struct spool_message *m)
{
	get_open(in, o);
	return spool_commit_get(in, e, m);
}

bool spool_commit_get(struct wire_in *in, struct envelope *e, struct spool_message *m)
{
	if (!envelope_get(in, e, ENVELOPE_STAYS))
		return false;
	m->bytes = wire_get_u64(in);
	struct view checksum = wire_get_view(in, sizeof m->checksum);

	if (in->bad || checksum.len != sizeof m->checksum)
		return false;
	memcpy(m->checksum, checksum.data, sizeof m->checksum);
	return true;
}

static void put_refusal(struct wire_out *out, const struct spool_refusal *r)
{
	wire_put_byte(out, r->permanent);
	wire_put_string(out, r->status);
	wire_put_string(out, r->text);
}

void spool_refusal_put(struct wire_out *out, const struct spool_refusal *r)
{
	wire_begin(out, SPOOL_REFUSED);
	put_refusal(out, r);
}

bool spool_refusal_get(struct wire_in *in, struct spool_refusal *r)
{
	r->own_fault = false;
	r->permanent = wire_get_bool(in);
	wire_get_string(in, r->status, sizeof r->status);
	wire_get_string(in, r->text, sizeof r->text);
	return wire_end(in);
}

void spool_ended_put(struct wire_out *out, const char *id, const struct spool_refusal *r)
{
	wire_begin(out, SPOOL_ENDED);
	wire_put_string(out, id);
	put_refusal(out, r);
}

bool spool_ended_get(struct wire_in *in, char id[SPOOL_ID_MAX], struct spool_refusal *r)
{
	wire_get_string(in, id, SPOOL_ID_MAX);
	return spool_refusal_get(in, r);
}
