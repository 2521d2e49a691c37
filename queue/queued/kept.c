/* SPDX-License-Identifier: ISC */
/*
 * The file: blocks, each its length (4 bytes, little), its bytes and a keyed sum over these, the
 * time of the stop and the block's number. The first has the version and the times of the 256
 * directories; then come messages by age. A block that is not right ends it.
 *
 * A directory's time is the one of its inode (ctime): no copy or restore can set that.
 */
#include "queue/queued/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/queue/queuelog.h"
#include "queue/queued/ordered.h"

#define NAME    "records"
#define FRESH   ".records.new"
#define VERSION "posthouse queue records 1"

enum {
	SUM_BYTES = 32,
	BLOCK_BYTES = 256 << 10, /* begun anew when another message does not fit */
	PIECE_BLOCKS = 16,       /* are brought to the disk, so that the limit of time counts it */
	TICK_US = KEPT_TICK_MS * 1000
};

_Static_assert((int)WIRE_MESSAGE_MAX <= (int)BLOCK_BYTES, "every message fits into a block");
_Static_assert(sizeof(struct envelope) +
                               KEPT_RECIPIENTS_MAX * (sizeof(struct envelope_recipient) +
                                                      STATUS_MAX + 256 + QUEUE_LOG_TEXT_MAX + 32) <=
                       WIRE_MESSAGE_MAX,
               "and into what the wire carries");

struct sum_of {
	uint64_t stop_us, number;
};

static void make_sum(const struct queue_key *key, const struct sum_of *of, struct view bytes,
                     unsigned char sum[SUM_BYTES])
{
	crypto_generichash_state state;
	char which[16];

	number_put_little(which, of->stop_us, 8);
	number_put_little(which + 8, of->number, 8);
	crypto_generichash_init(&state, key->seal, sizeof key->seal, SUM_BYTES);
	crypto_generichash_update(&state, (const unsigned char *)VERSION, sizeof VERSION);
	crypto_generichash_update(&state, (const unsigned char *)which, sizeof which);
	crypto_generichash_update(&state, (const unsigned char *)bytes.data, bytes.len);
	crypto_generichash_final(&state, sum, SUM_BYTES);
}

/* Microseconds; 0: it cannot be told. */
static uint64_t time_of(const struct disk *d, unsigned directory)
{
	char name[8];
	struct stat st;

	string_print(name, sizeof name, "%02x", directory);
	if (fstatat(d->directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_ctim.tv_sec * 1000000 + (uint64_t)st.st_ctim.tv_nsec / 1000;
}

/* ---- writing ---- */

struct writing {
	struct disk *disk;
	struct sum_of sum;
	int fd;
	struct text block;
	uint64_t space_min_bytes;
	int64_t late_ms;
	bool failed;
};

/* There is time and room for more. */
static bool may_go_on(const struct writing *w)
{
	return clock_ms() < w->late_ms && disk_space(w->disk) >= w->space_min_bytes;
}

static void write_block(struct writing *w)
{
	struct view bytes = text_view(&w->block);
	unsigned char sum[SUM_BYTES];
	char len[4];

	if (bytes.len == 0 || w->failed)
		return;
	number_put_little(len, bytes.len, sizeof len);
	make_sum(&w->disk->key, &w->sum, bytes, sum);
	w->sum.number++;
	w->failed = write_whole(w->fd, len, sizeof len) < 0 ||
	            write_whole(w->fd, bytes.data, bytes.len) < 0 ||
	            write_whole(w->fd, sum, sizeof sum) < 0 ||
	            (w->sum.number % PIECE_BLOCKS == 0 && fdatasync(w->fd) < 0) || !may_go_on(w);
	text_clear(&w->block);
}

static void add_packet(struct writing *w, const struct wire_out *out)
{
	struct view bytes = view_skip(text_view(&out->bytes), 1); /* without the type */

	if (!text_has_room(&w->block, bytes.len))
		write_block(w);
	text_add(&w->block, bytes);
}

static void write_first(struct writing *w, struct wire_out *out)
{
	wire_begin(out, 0);
	wire_put_string(out, VERSION);
	wire_put_u64(out, w->sum.stop_us);
	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++) {
		uint64_t time_us = time_of(w->disk, i);

		wire_put_u64(out, time_us + TICK_US < w->sum.stop_us ? time_us : 0);
	}
	add_packet(w, out);
	write_block(w);
}

/* It does nothing but wait for its next attempt, and its file says so. */
static bool only_waits(const struct message *m)
{
	if (m->held || m->removed || m->in_line || m->admitted || m->damaged || m->away_s ||
	    m->repeats || m->under_way || m->report_wait != REPORT_NOW || m->next.at_ms == 0 ||
	    m->recipient_count > KEPT_RECIPIENTS_MAX)
		return false;
	return message_count(m, RECIPIENT_DEFERRED) > 0 &&
	       message_count(m, RECIPIENT_DEFERRED) + message_count(m, RECIPIENT_GONE) ==
	               m->recipient_count;
}

static void put_recipient(struct wire_out *out, const struct message *m, const struct recipient *r)
{
	static struct envelope_recipient to;
	char text[QUEUE_LOG_TEXT_MAX];

	message_recipient(m, r, &to);
	envelope_recipient_put(out, &to);
	wire_put_byte(out, r->state);
	wire_put_byte(out, r->expanded);
	wire_put_byte(out, r->replaced);
	wire_put_byte(out, r->said != NULL);
	if (r->said == NULL)
		return;
	wire_put_u32(out, r->said_s);
	wire_put_string(out, saying_status(r->said));
	wire_put_string(out, saying_host(r->said));
	/* As much as the file's log has. */
	string_cut(text, sizeof text, view_of(saying_text(r->said)));
	wire_put_string(out, text);
}

static void put_message(struct wire_out *out, const struct message *m)
{
	static struct envelope e;

	message_envelope(m, &e);
	wire_begin(out, 0);
	wire_put_u64(out, m->id);
	wire_put_u64(out, (uint64_t)m->arrived_ms);
	wire_put_u64(out, m->message_bytes);
	wire_put_u64(out, m->log_end);
	wire_put_u64(out, (uint64_t)(clock_wall_ms() + m->next.at_ms - clock_ms()));
	wire_put_u32(out, m->extra_bytes);
	wire_put_u32(out, m->envelope_bytes);
	wire_put_u16(out, (uint16_t)m->attempts);
	wire_put_byte(out, (uint8_t)m->origin);
	wire_put_byte(out, m->noticed);
	envelope_put(out, &e, ENVELOPE_ONWARD);
	wire_put_u16(out, (uint16_t)m->recipient_count);
	for (uint32_t i = 0; i < m->recipient_count; i++)
		put_recipient(out, m, &m->recipients[i]);
}

static void write_messages(struct writing *w, const struct records *records)
{
	struct wire_out out = { 0 };
	struct ordered *o = ordered_new(records);
	uint64_t id;

	write_first(w, &out);
	while (ordered_work(o))
		;
	while (!w->failed && ordered_next(o, &id)) {
		const struct message *m = records_find(records, id);

		if (!only_waits(m))
			continue;
		put_message(&out, m);
		add_packet(w, &out);
	}
	write_block(w);
	ordered_free(&o);
	wire_out_free(&out);
}

uint64_t kept_write(struct disk *d, const struct records *records, uint64_t space_min_bytes)
{
	struct writing w = { .disk = d,
		             .sum = { .stop_us = (uint64_t)clock_wall_us() },
		             .space_min_bytes = space_min_bytes,
		             .late_ms = clock_ms() + KEPT_WRITE_MS };

	kept_forget(d);
	if (records->count < KEPT_MESSAGES_MIN || !may_go_on(&w))
		return 0;
	w.fd = openat(d->directory, FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
	              0600);
	if (w.fd < 0)
		return 0;
	text_init(&w.block, BLOCK_BYTES);
	write_messages(&w, records);
	text_free(&w.block);
	w.failed = w.failed || fdatasync(w.fd) < 0;
	close(w.fd);
	if (!w.failed && renameat(d->directory, FRESH, d->directory, NAME) == 0)
		return w.sum.stop_us;
	unlinkat(d->directory, FRESH, 0);
	return 0;
}

static void forget(const struct disk *d, const char *name)
{
	if (unlinkat(d->directory, name, 0) < 0 && errno != ENOENT)
		log_warn("event=remove-failed name=%s reason=\"%m\"", name);
}

void kept_forget(struct disk *d)
{
	forget(d, NAME);
	forget(d, FRESH);
}

/* ---- reading ---- */

struct kept {
	const struct queue_key *key;
	struct sum_of sum;
	int fd;
	uint64_t at; /* in the file */
	struct text block;
	struct wire_in rest; /* of the block */
	bool holds[QUEUEDIR_DIRECTORIES];
	struct message *next; /* the one that was read; NULL: none yet, or no more */
	int64_t next_wall_ms;
};

static bool read_block(struct kept *k)
{
	unsigned char sum[SUM_BYTES], is[SUM_BYTES];
	unsigned char head[4];

	if (file_read_at(k->fd, head, sizeof head, k->at) != FILE_WHOLE)
		return false;
	size_t len = (size_t)number_get_little((const char *)head, sizeof head);
	char *to =
		len <= BLOCK_BYTES ? (text_clear(&k->block), text_reserve(&k->block, len)) : NULL;

	if (to == NULL || file_read_at(k->fd, to, len, k->at + sizeof head) != FILE_WHOLE ||
	    file_read_at(k->fd, sum, sizeof sum, k->at + sizeof head + len) != FILE_WHOLE)
		return false;
	k->at += sizeof head + len + sizeof sum;
	k->rest = (struct wire_in){ .rest = { to, len } };
	if (k->sum.number == 0) { /* what the sum is of stands in it */
		char version[sizeof VERSION];

		wire_get_string(&k->rest, version, sizeof version);
		k->sum.stop_us = wire_get_u64(&k->rest);
		if (k->rest.bad || strcmp(version, VERSION) != 0)
			return false;
	}
	make_sum(k->key, &k->sum, (struct view){ to, len }, is);
	k->sum.number++;
	return sodium_memcmp(sum, is, sizeof sum) == 0;
}

static bool read_first(struct kept *k, const struct disk *d)
{
	if (d->stop_us == 0 || !read_block(k) || k->sum.stop_us != d->stop_us)
		return false;
	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++) {
		uint64_t time_us = wire_get_u64(&k->rest);

		k->holds[i] = time_us != 0 && time_us == time_of(d, i);
	}
	return wire_end(&k->rest);
}

struct kept *kept_open(struct disk *d)
{
	struct kept *k = memory_get(sizeof *k);

	k->key = &d->key;
	text_init(&k->block, BLOCK_BYTES);
	k->fd = queuedir_open(d->directory, NAME, O_RDONLY);
	if (k->fd < 0 || !read_first(k, d))
		kept_close(&k);
	return k;
}

void kept_close(struct kept **k)
{
	if (*k) {
		text_free(&(*k)->block);
		message_free(&(*k)->next);
		if ((*k)->fd >= 0)
			close((*k)->fd);
		free(*k);
	}
	*k = NULL;
}

static bool get_recipient(struct wire_in *in, struct message *m)
{
	static struct envelope_recipient to;
	char status[STATUS_MAX], host[256], text[QUEUE_LOG_TEXT_MAX];

	if (!envelope_recipient_get(in, &to))
		return false;
	struct recipient *r = message_add_recipient(m, &to);
	uint8_t state = wire_get_byte(in);

	r->expanded = r->final = wire_get_bool(in);
	r->replaced = wire_get_bool(in);
	if (state != RECIPIENT_DEFERRED && state != RECIPIENT_GONE)
		return false;
	recipient_set(m, r, state);
	if (!wire_get_bool(in))
		return !in->bad;
	uint32_t said_s = wire_get_u32(in);

	wire_get_string(in, status, sizeof status);
	wire_get_string(in, host, sizeof host);
	wire_get_string(in, text, sizeof text);
	recipient_say(r, said_s, status, host, text);
	return !in->bad;
}

static bool get_message(struct wire_in *in, struct message *m, int64_t *next_wall_ms)
{
	static struct envelope e;
	struct queue_header h = { .arrived_us = (int64_t)wire_get_u64(in) * 1000 };

	h.message_bytes = wire_get_u64(in);
	uint64_t log_end = wire_get_u64(in);

	*next_wall_ms = (int64_t)wire_get_u64(in);
	h.extra_bytes = wire_get_u32(in);
	h.envelope_bytes = wire_get_u32(in);
	uint16_t attempts = wire_get_u16(in);
	uint8_t origin = wire_get_byte(in);
	bool noticed = wire_get_bool(in);

	if (!envelope_get(in, &e, ENVELOPE_ONWARD))
		return false;
	e.origin = origin;
	message_take_envelope(m, &e, &h);
	m->log_end = log_end;
	m->attempts = attempts;
	m->noticed = noticed;
	for (unsigned left = wire_get_u16(in); left > 0; left--)
		if (!get_recipient(in, m))
			return false;
	return !in->bad;
}

/* false: there is no more, or what is there is not right. */
static bool read_next(struct kept *k)
{
	if (k->fd < 0 || (k->rest.rest.len == 0 && !read_block(k)))
		return false;
	k->next = message_new(wire_get_u64(&k->rest));
	if (get_message(&k->rest, k->next, &k->next_wall_ms))
		return true;
	message_free(&k->next);
	return false;
}

struct message *kept_take(struct kept *k, uint64_t id, int64_t *next_wall_ms)
{
	while (k->next == NULL || k->next->id < id) {
		message_free(&k->next);
		if (!read_next(k)) {
			if (k->fd >= 0)
				close(k->fd);
			k->fd = -1;
			return NULL;
		}
	}
	if (k->next->id != id || !k->holds[queue_id_directory(id)])
		return NULL;
	struct message *m = k->next;

	k->next = NULL;
	*next_wall_ms = k->next_wall_ms;
	return m;
}
