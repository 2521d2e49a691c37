/* SPDX-License-Identifier: ISC */
#include "imapd/content.h"

void content_begin(struct content *c, struct folder *folder, uint32_t seq)
{
	*c = (struct content){ .folder = folder, .seq = seq };
	text_init(&c->head, HEADER_BYTES_MAX);
}

enum store_result content_open(struct content *c, struct reason *why)
{
	if (c->open)
		return STORE_OK;
	enum store_result result = message_open(c->folder, c->seq, &c->message, why);

	c->open = result == STORE_OK;
	return result;
}

/* Takes the first piece for the header when it holds all of it. */
static enum store_result header_from_front(struct content *c, struct reason *why)
{
	enum store_result result = message_read(&c->message, 0, CONTENT_HEAD_BYTES, &c->head, why);

	if (result != STORE_OK)
		return result;
	size_t length = header_length(text_view(&c->head), c->head.len);

	c->has_header = length < c->head.len || c->head.len == c->message.size;
	c->header = view_take(text_view(&c->head), length);
	return STORE_OK;
}

enum store_result content_header(struct content *c, struct reason *why)
{
	if (c->has_header)
		return STORE_OK;
	enum store_result result = content_open(c, why);

	if (result == STORE_OK && !c->message.converts)
		result = header_from_front(c, why);
	if (result == STORE_OK && !c->has_header)
		result = content_whole(c, why);
	return result;
}

enum store_result content_whole(struct content *c, struct reason *why)
{
	if (c->has_whole)
		return STORE_OK;
	enum store_result result = content_open(c, why);

	if (result == STORE_OK)
		result = message_view(&c->message, &c->whole, why);
	if (result != STORE_OK)
		return result;
	c->has_whole = c->has_header = true;
	c->header = view_take(c->whole, header_length(c->whole, c->whole.len));
	return STORE_OK;
}

enum store_result content_mime(struct content *c, struct reason *why)
{
	if (c->has_mime)
		return STORE_OK;
	enum store_result result = content_whole(c, why);

	if (result != STORE_OK)
		return result;
	c->arena.limit = MIME_ARENA_BYTES;
	if (!mime_parse(&c->arena, c->whole, &c->mime)) {
		fail(why, "no memory for a message's structure");
		return STORE_FAILED;
	}
	c->has_mime = true;
	return STORE_OK;
}

void content_end(struct content *c)
{
	arena_clear(&c->arena);
	text_free(&c->head);
	if (c->open)
		message_close(&c->message);
	c->open = c->has_header = c->has_whole = c->has_mime = false;
}
