/* SPDX-License-Identifier: ISC */
/*
 * What the start finds, and makes of it. Nothing that has a byte in it is removed: what damage
 * looks like, and what a writer has left that was told nothing, cannot be told apart by the bytes.
 *
 *	all checksums right       live again; also with a wrong state byte, which is mended
 *
 * After a clean stop, which leaves nothing but whole files:
 *	anything else             damaged by the disk or a hand: to damaged/, with a warning
 *
 * After a crash:
 *	no byte at all            its writer was told nothing; removed
 *	no header                 an open one, as far as one can see; to torn/
 *	committed, a sum wrong    torn before its writer's sync returned, likewise
 *	anything else             it was whole once, since the live byte is written after the
 *	                          sync: to damaged/, with a warning
 *
 * The message bytes are read again only where a crash may have torn them: not after a clean stop,
 * and not where the live byte says that they were on the disk before it.
 */
#include "queue/queued/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/queue/queuelog.h"
#include "lib/queue/verify.h"
#include "queue/queued/kept.h"

struct recovery {
	struct recovery_setup with;
	uint64_t clean_until; /* ids up to this one are of before a clean stop; 0: none */
	bool over, serving;
	struct queue_verified file; /* the one in work */
	uint64_t *ids;              /* in the order of arrival */
	unsigned char *looked_at;   /* of each */
	struct kept *kept;          /* NULL: there is nothing more of it */
	size_t id_count, next, left;
	int64_t begun_ms;
	unsigned whole, removed, torn, damaged;
	unsigned from_one; /* file, what a clean stop kept, instead of their own */
};

static bool take_recipient(void *context, const struct envelope_recipient *to)
{
	struct message *m = context;

	if (m->recipient_count >= SPOOL_RECIPIENTS_MAX)
		return false;
	message_add_recipient(m, to);
	return true;
}

/* ---- the log, again ---- */

struct replay {
	struct message *m;
	uint32_t provisional; /* new recipients not yet confirmed by QUEUE_EXPANDED begin here */
	uint32_t alias;       /* which they came from */
	int64_t next_wall_ms;
};

static void outcome_of(struct recipient *r, const struct queue_log *l)
{
	recipient_say(r, l->time_s, l->status, l->host, l->text);
}

/* A further attempt was planned, and of whom the last one put off it says nothing: he was under way
 * in it, or has been forgotten in a crash. */
static void attempt_of(struct replay *p)
{
	for (uint32_t i = 0; i < p->provisional; i++) {
		struct recipient *r = &p->m->recipients[i];

		if (r->state == RECIPIENT_DEFERRED && !r->tried)
			recipient_set(p->m, r, RECIPIENT_NEW);
		r->tried = false;
	}
}

/* Recipients from number `first` on are of an expansion whose end was never written, or of one of
 * which a record is missing: none of them is delivered to, the alias is resolved again. */
static void forget_from(struct replay *p, uint32_t first)
{
	message_cut_recipients(p->m, first);
}

/* Of one that began for another alias no end will come. */
static void begin_expansion(struct replay *p, const struct queue_log *l)
{
	if (p->alias != l->index)
		forget_from(p, p->provisional);
	p->alias = l->index;
}

/* A power cut may leave any of the records that were written together. What is missing shows in the
 * numbers: a gap is not closed by the next one, and what an earlier attempt at the same expansion
 * left is begun anew. */
static void take_new(struct replay *p, const struct queue_log *l)
{
	begin_expansion(p, l);
	if (l->number >= p->provisional)
		forget_from(p, l->number);
	if (l->number == 0 || l->number == p->m->recipient_count) {
		struct recipient *r = message_add_recipient(p->m, &l->recipient);

		r->final = r->expanded = true;
	}
}

/* Records of recipients that are then unknown have no effect: they are tried again under the
 * numbers that they get. */
static void take_expanded(struct replay *p, struct recipient *r, const struct queue_log *l)
{
	begin_expansion(p, l);
	if (l->number != 0 && (l->number != p->m->recipient_count || l->first != p->provisional)) {
		forget_from(p, p->provisional);
		return;
	}
	recipient_set(p->m, r, RECIPIENT_GONE);
	r->replaced = true;
	p->provisional = p->m->recipient_count;
}

/* A record about a recipient that does not exist is not ours. */
static void apply(struct replay *p, const struct queue_log *l)
{
	struct message *m = p->m;
	struct recipient *r = l->index < p->provisional ? &m->recipients[l->index] : NULL;
	bool about_recipient = l->event == QUEUE_EXPANDED || l->event == QUEUE_DONE ||
	                       l->event == QUEUE_RETRY || l->event == QUEUE_FAILED ||
	                       l->event == QUEUE_SUCCESS || l->event == QUEUE_NEW;

	if (about_recipient && r == NULL)
		return;
	switch (l->event) {
	case QUEUE_NEW: take_new(p, l); break;
	case QUEUE_EXPANDED: take_expanded(p, r, l); break;
	case QUEUE_DONE: recipient_set(m, r, RECIPIENT_GONE); break;
	case QUEUE_RETRY:
		outcome_of(r, l);
		recipient_set(m, r, RECIPIENT_DEFERRED);
		r->tried = true;
		break;
	case QUEUE_FAILED:
		outcome_of(r, l);
		recipient_set(m, r, RECIPIENT_FAILED);
		break;
	case QUEUE_SUCCESS:
		outcome_of(r, l);
		r->relayed = l->number == 1;
		recipient_set(m, r, RECIPIENT_SUCCESS);
		break;
	case QUEUE_NOTICE: m->noticed = true; break;
	case QUEUE_ATTEMPT:
		attempt_of(p);
		m->attempts = (uint16_t)(l->number > UINT16_MAX ? UINT16_MAX : l->number);
		p->next_wall_ms = l->time_s * 1000;
		break;
	case QUEUE_HOLD: m->held = true; break;
	case QUEUE_RELEASE: m->held = false; break;
	case QUEUE_EVENTS: break;
	}
}

static void replay_log(struct recovery *r, struct message *m, struct view log,
                       int64_t *next_wall_ms)
{
	static struct queue_log l;
	struct replay p = { .m = m, .provisional = m->recipient_count };
	struct view rest = log;
	unsigned bad = 0;

	while (queue_log_next(&rest, &r->with.disk->key, m->id, &l, &bad))
		apply(&p, &l);
	forget_from(&p, p.provisional);
	/* A last line without its end is written over. */
	m->log_end += log.len - rest.len;
	*next_wall_ms = p.next_wall_ms;
	if (bad) {
		char id[QUEUE_ID_CHARS + 1];

		queue_id_text(m->id, id);
		log_warn("id=%s event=log-torn records=%u", id, bad);
	}
}

static int take_whole(struct recovery *r, uint64_t id)
{
	static struct envelope e;
	const struct queue_header *h = &r->file.header;
	struct message *m = message_new(id);
	struct view tail = text_view(&r->file.tail);
	int64_t next_wall_ms = 0;

	if (!queue_envelope_decode(view_take(tail, h->envelope_bytes), &e, take_recipient, m)) {
		message_free(&m);
		return -1;
	}
	message_take_envelope(m, &e, h);
	replay_log(r, m, view_skip(tail, h->envelope_bytes), &next_wall_ms);
	r->with.found(r->with.context, m, next_wall_ms);
	r->whole++;
	return 0;
}

static void set_aside(struct recovery *r, uint64_t id, const char *name, enum queuedir_place place,
                      const char *reason)
{
	const char *event = place == QUEUEDIR_TORN ? "event=recover-torn" : "event=recover-damaged";
	char to[QUEUEDIR_NAME_MAX];

	if (disk_set_aside(r->with.disk, id, place, to) < 0)
		log_warn("id=%s %s reason=\"%s, and it cannot be moved: %m\"", name, event,
		         log_text(view_of(reason)));
	else
		log_warn("id=%s %s reason=\"%s\" kept=%s", name, event, log_text(view_of(reason)),
		         to);
	if (place == QUEUEDIR_TORN)
		r->torn++;
	else
		r->damaged++;
}

static void leave_unreadable(struct recovery *r, uint64_t id, const char *name, const char *reason,
                             bool stray)
{
	char path[QUEUEDIR_NAME_MAX];

	queuedir_name(id, path);
	log_warn("id=%s event=%s reason=\"%s\"", name, stray ? "stray-file" : "recover-unreadable",
	         log_text(view_of(reason)));
	disk_note_odd(r->with.disk, stray ? QUEUEDIR_STRAY : QUEUEDIR_UNREADABLE, path);
}

/* All its checksums are right. Synced, as the byte says. */
static void mend_state(struct recovery *r, uint64_t id, const char *name)
{
	char path[QUEUEDIR_NAME_MAX];

	queuedir_name(id, path);
	int fd = queuedir_open(r->with.disk->directory, path, O_WRONLY);

	if (fd < 0 || fsync(fd) < 0 || queuedir_make_live(fd) < 0)
		log_warn("event=live-mark-failed reason=\"%m\"");
	log_warn("id=%s event=recover-mended reason=\"invalid state byte\"", name);
	if (fd >= 0)
		close(fd);
}

static bool is_clean(const struct recovery *r, uint64_t id)
{
	return id <= r->clean_until;
}

static void take_or_set_aside(struct recovery *r, uint64_t id, const char *name)
{
	const struct queue_verified *v = &r->file;
	const char *reason = queue_verdict_text(v);

	if (queue_verified_whole(v)) {
		if (v->verdict == QUEUE_STATE_WRONG)
			mend_state(r, id, name);
		/* Sealed by us, yet not as we write it: a later version's. */
		if (take_whole(r, id) < 0)
			set_aside(r, id, name, QUEUEDIR_DAMAGED, "unknown field in the envelope");
	} else if (v->verdict == QUEUE_UNREADABLE) {
		leave_unreadable(r, id, name, reason, false);
	} else if (!is_clean(r, id) && v->verdict == QUEUE_EMPTY) {
		log_info("id=%s event=recover-removed reason=\"%s\"", name,
		         log_text(view_of(reason)));
		disk_remove(r->with.disk, id);
		r->removed++;
	} else {
		bool torn = v->verdict == QUEUE_NO_HEADER || v->state == QUEUE_COMMITTED;

		set_aside(r, id, name, torn && !is_clean(r, id) ? QUEUEDIR_TORN : QUEUEDIR_DAMAGED,
		          reason);
	}
}

static void examine_one(struct recovery *r, uint64_t id)
{
	char name[QUEUE_ID_CHARS + 1];
	int fd = disk_reader(r->with.disk, id), error = errno;

	queue_id_text(id, name);
	if (fd < 0) {
		leave_unreadable(r, id, name, queuedir_error(error), queuedir_is_stray(error));
		return;
	}
	queue_verify(&r->file, fd, id, &r->with.disk->key,
	             is_clean(r, id) ? QUEUE_READ_ENDS : QUEUE_READ_UNSYNCED);
	close(fd);
	take_or_set_aside(r, id, name);
}

static void keep_id(void *context, uint64_t id)
{
	struct recovery *r = context;

	r->ids = memory_grow_for(r->ids, r->id_count, sizeof *r->ids);
	r->ids[r->id_count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* New ids are greater than those of all files that are there, wherever the clock stands: they come
 * behind them, and what is made is never one of those. One that ends the numbers, which nobody has
 * made, is passed over; no file is written over for its sake. */
static void begin_ids_behind(struct recovery *r)
{
	enum { YEARS_LEFT_BITS = 58 }; /* of the end of the numbers, two years */
	uint64_t end = UINT64_MAX - (UINT64_C(1) << YEARS_LEFT_BITS);
	struct disk *d = r->with.disk;

	for (size_t i = 0; i < r->id_count; i++)
		if (r->ids[i] < end && r->ids[i] > d->last_id)
			d->last_id = r->ids[i];
	if (r->clean_until < end && r->clean_until > d->last_id)
		d->last_id = r->clean_until;
}

static void free_lists(struct recovery *r)
{
	free(r->ids);
	free(r->looked_at);
	r->ids = NULL;
	r->looked_at = NULL;
	r->id_count = r->next = 0;
	kept_close(&r->kept);
	queue_verified_free(&r->file);
}

struct recovery *recovery_begin(const struct recovery_setup *setup, struct reason *why)
{
	struct recovery *r = memory_get(sizeof *r);

	r->with = *setup;
	r->begun_ms = clock_ms();
	queue_verified_init(&r->file);
	r->clean_until = disk_was_clean(setup->disk);
	if (disk_scan(setup->disk, keep_id, r, why) < 0) {
		free_lists(r);
		free(r);
		return NULL;
	}
	/* Examining moves files, so that the names were collected first. */
	if (r->id_count)
		qsort(r->ids, r->id_count, sizeof *r->ids, compare_ids);
	r->looked_at = memory_get(r->id_count + 1);
	r->left = r->id_count;
	if (r->clean_until == UINT64_MAX)
		r->kept = kept_open(setup->disk);
	begin_ids_behind(r);
	setup->disk->unknown = r->left > 0 && r->clean_until != UINT64_MAX;
	return r;
}

/* What is made from now on may be torn by a crash: the mark holds for what is older, as long as
 * that is not known. */
int recovery_serve(struct recovery *r, struct reason *why)
{
	struct disk *d = r->with.disk;

	r->serving = true;
	if (!r->over && r->clean_until == UINT64_MAX && disk_limit_clean_mark(d, d->last_id) == 0)
		return 0;
	bool limited = r->clean_until != 0 && r->clean_until != UINT64_MAX;

	return !r->over && limited ? 0 : disk_forget_clean_mark(d, why);
}

static void end_recovery(struct recovery *r)
{
	struct reason why;

	r->over = true;
	r->with.disk->unknown = false;
	free_lists(r);
	log_info(
		"event=recovered messages=%u removed=%u torn=%u damaged=%u clean=%s kept=%u duration_ms=%lld",
		r->whole, r->removed, r->torn, r->damaged, r->clean_until ? "yes" : "no",
		r->from_one, (long long)(clock_ms() - r->begun_ms));
	/* It speaks of what is known now; should it stay, it is right for these. */
	if (r->serving && disk_forget_clean_mark(r->with.disk, &why) < 0)
		log_warn("event=clean-mark-failed reason=\"%s\"", log_text(view_of(why.text)));
}

static void mark(struct recovery *r, size_t i)
{
	r->looked_at[i] = true;
	r->left--;
}

static void look_at(struct recovery *r, size_t i)
{
	mark(r, i);
	examine_one(r, r->ids[i]);
}

/* In order: who asks for one before its turn has it from its file. */
static bool take_kept(struct recovery *r, size_t i)
{
	int64_t next_wall_ms = 0;
	struct message *m = r->kept ? kept_take(r->kept, r->ids[i], &next_wall_ms) : NULL;

	if (m == NULL)
		return false;
	r->looked_at[i] = true;
	r->left--;
	r->with.found(r->with.context, m, next_wall_ms);
	r->whole++;
	r->from_one++;
	return true;
}

bool recovery_step(struct recovery *r)
{
	while (r->next < r->id_count && r->looked_at[r->next])
		r->next++;
	if (r->next < r->id_count) {
		if (!take_kept(r, r->next))
			look_at(r, r->next);
	} else if (!r->over)
		end_recovery(r);
	return !r->over;
}

static const uint64_t *find_unread(const struct recovery *r, uint64_t id)
{
	const uint64_t *at = NULL;

	if (r->id_count)
		at = bsearch(&id, r->ids, r->id_count, sizeof *r->ids, compare_ids);
	return at && !r->looked_at[at - r->ids] ? at : NULL;
}

bool recovery_is_unread(const struct recovery *r, uint64_t id)
{
	return find_unread(r, id) != NULL;
}

void recovery_look_at(struct recovery *r, uint64_t id)
{
	const uint64_t *at = find_unread(r, id);

	if (at)
		look_at(r, (size_t)(at - r->ids));
}

uint32_t recovery_left(const struct recovery *r, uint32_t *all)
{
	*all = (uint32_t)r->id_count;
	return (uint32_t)r->left;
}

/* A hand may have set it aside, and brought it back, between its name and the look at it. */
static void need_not_look_at(struct recovery *r, uint64_t id)
{
	const uint64_t *at = find_unread(r, id);

	if (at)
		mark(r, (size_t)(at - r->ids));
}

int recover_one(struct recovery *start, const struct recovery_setup *setup, uint64_t id,
                struct reason *why)
{
	struct recovery r = { .with = *setup };
	int fd = disk_reader(setup->disk, id), taken = -1;

	if (fd < 0)
		return fail(why, "%s", queuedir_error(errno));
	queue_verified_init(&r.file);
	queue_verify(&r.file, fd, id, &setup->disk->key, QUEUE_READ_ALL);
	close(fd);
	if (r.file.verdict != QUEUE_WHOLE)
		fail(why, "%s", queue_verdict_text(&r.file));
	else if (take_whole(&r, id) < 0)
		fail(why, "unknown field in the envelope");
	else
		taken = 0;
	queue_verified_free(&r.file);
	if (taken == 0)
		need_not_look_at(start, id);
	return taken;
}
