/* SPDX-License-Identifier: ISC */
#include "imapd/summary.h"

#include "imapd/structure.h"

enum { ABSENT = 0xffffffff };

static bool take_length(struct view *rest, uint32_t *out)
{
	if (rest->len < 4)
		return false;
	*out = (uint32_t)number_get_little(rest->data, 4);
	*rest = view_skip(*rest, 4);
	return true;
}

bool summary_decode(struct view bytes, struct summary *out)
{
	*out = (struct summary){ 0 };
	if (bytes.len == 0 || bytes.data[0] != SUMMARY_VERSION)
		return false;
	bytes = view_skip(bytes, 1);
	for (int i = 0; i < SUMMARY_TEXTS; i++) {
		uint32_t length;

		if (!take_length(&bytes, &length) || (length != ABSENT && length > bytes.len))
			return false;
		if (length == ABSENT)
			continue;
		out->text[i] = view_take(bytes, length);
		bytes = view_skip(bytes, length);
	}
	return bytes.len == 0;
}

void summary_encode(const struct summary *summary, struct text *out)
{
	text_add_byte(out, SUMMARY_VERSION);
	for (int i = 0; i < SUMMARY_TEXTS; i++) {
		uint32_t length = summary->text[i].data ? (uint32_t)summary->text[i].len : ABSENT;

		char encoded[4];

		number_put_little(encoded, length, sizeof encoded);
		text_add(out, (struct view){ encoded, sizeof encoded });
		text_add(out, summary->text[i]);
	}
}

/* Structure and envelope are made together: the whole message is in memory then. */
static enum store_result make_all(struct content *c, struct text made[SUMMARY_TEXTS],
                                  struct reason *why)
{
	enum store_result result = content_mime(c, why);

	if (result != STORE_OK)
		return result;
	structure_envelope(&made[SUMMARY_ENVELOPE], c->header);
	structure_body(&made[SUMMARY_BODY], c->whole, c->mime.root, false);
	structure_body(&made[SUMMARY_BODYSTRUCTURE], c->whole, c->mime.root, true);
	return STORE_OK;
}

static enum store_result make_envelope(struct content *c, struct text made[SUMMARY_TEXTS],
                                       struct reason *why)
{
	enum store_result result = content_header(c, why);

	if (result == STORE_OK)
		structure_envelope(&made[SUMMARY_ENVELOPE], c->header);
	return result;
}

static void keep(struct content *c, struct text made[SUMMARY_TEXTS])
{
	struct summary summary = { 0 };
	struct text piece;

	for (int i = 0; i < SUMMARY_TEXTS; i++)
		if (made[i].len && !made[i].full)
			summary.text[i] = text_view(&made[i]);
	text_init(&piece, STORE_CACHE_MAX);
	summary_encode(&summary, &piece);
	if (!piece.full)
		folder_cache_put(c->folder, c->seq, text_view(&piece));
	text_free(&piece);
}

static enum store_result make_and_add(struct content *c, enum summary_text which, struct text *out,
                                      struct reason *why)
{
	struct text made[SUMMARY_TEXTS];
	enum store_result result;

	for (int i = 0; i < SUMMARY_TEXTS; i++)
		text_init(&made[i], STRUCTURE_TEXT_MAX);
	result = which == SUMMARY_ENVELOPE ? make_envelope(c, made, why) : make_all(c, made, why);
	if (result == STORE_OK && (made[which].full || !text_add(out, text_view(&made[which])))) {
		fail(why, "a message's structure is larger than %d bytes", STRUCTURE_TEXT_MAX);
		result = STORE_LIMIT;
	}
	if (result == STORE_OK)
		keep(c, made);
	for (int i = 0; i < SUMMARY_TEXTS; i++)
		text_free(&made[i]);
	return result;
}

enum store_result summary_add(struct content *c, enum summary_text which, struct text *out,
                              struct reason *why)
{
	struct summary kept;

	if (summary_decode(folder_cache_get(c->folder, c->seq), &kept) &&
	    kept.text[which].data != NULL && text_add(out, kept.text[which]))
		return STORE_OK;
	return make_and_add(c, which, out, why);
}
