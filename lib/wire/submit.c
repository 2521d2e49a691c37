/* SPDX-License-Identifier: ISC */
#include "lib/wire/submit.h"

#include <string.h>

void submit_envelope_put(struct wire_out *out, const struct submit_envelope *e)
{
	wire_begin(out, SUBMIT_ENVELOPE);
	wire_put_string(out, e->sender);
	wire_put_byte(out, e->sender_given);
	wire_put_string(out, e->full_name);
	wire_put_byte(out, (uint8_t)e->ret);
	wire_put_string(out, e->envid);
}

bool submit_envelope_get(struct wire_in *in, struct submit_envelope *e)
{
	wire_get_string(in, e->sender, sizeof e->sender);
	e->sender_given = wire_get_bool(in);
	wire_get_string(in, e->full_name, sizeof e->full_name);
	e->ret = (char)wire_get_byte(in);
	wire_get_string(in, e->envid, sizeof e->envid);
	return wire_end(in) && (e->ret == 0 || e->ret == 'F' || e->ret == 'H');
}

void submit_recipient_put(struct wire_out *out, const struct envelope_recipient *r)
{
	wire_begin(out, SUBMIT_RECIPIENT);
	wire_put_string(out, r->address);
	wire_put_byte(out, r->notify);
	wire_put_string(out, r->orcpt);
}

bool submit_recipient_get(struct wire_in *in, struct envelope_recipient *r)
{
	memset(r, 0, sizeof *r);
	wire_get_string(in, r->address, sizeof r->address);
	r->notify = wire_get_byte(in);
	wire_get_string(in, r->orcpt, sizeof r->orcpt);
	return wire_end(in) && r->notify < 16;
}

void submit_chunk_put(struct wire_out *out, struct view bytes)
{
	wire_begin(out, SUBMIT_CHUNK);
	wire_put_view(out, bytes);
}

bool submit_chunk_get(struct wire_in *in, struct view *bytes)
{
	*bytes = wire_get_view(in, SUBMIT_CHUNK_MAX);
	return wire_end(in);
}

void submit_result_put(struct wire_out *out, const struct submit_result *r)
{
	wire_begin(out, SUBMIT_RESULT);
	wire_put_byte(out, r->accepted);
	wire_put_byte(out, r->permanent);
	wire_put_string(out, r->text);
}

bool submit_result_get(struct wire_in *in, struct submit_result *r)
{
	r->accepted = wire_get_bool(in);
	r->permanent = wire_get_bool(in);
	wire_get_string(in, r->text, sizeof r->text);
	return wire_end(in);
}

void submit_frame_put(struct text *out, const struct wire_out *message)
{
	char len[4];

	number_put_little(len, message->bytes.len, sizeof len);
	text_add(out, (struct view){ len, sizeof len });
	text_add(out, text_view(&message->bytes));
}

int submit_frame_next(struct view *rest, struct wire_in *in)
{
	if (rest->len < 4)
		return 0;
	size_t len = number_get_little(rest->data, 4);

	if (len == 0 || len > WIRE_MESSAGE_MAX)
		return -1;
	if (rest->len - 4 < len)
		return 0;
	*in = (struct wire_in){ .type = (unsigned char)rest->data[4],
		                .rest = { rest->data + 5, len - 1 } };
	*rest = view_skip(*rest, 4 + len);
	return 1;
}
