/* SPDX-License-Identifier: ISC */
#include "queue/queued/room.h"

#include <sys/stat.h>

#include "lib/base/log.h"
#include "lib/net/address.h"

static struct room_part *part_of(struct reserved *m)
{
	return list_owner(m, struct room_part, reserved);
}

static void know_free(struct room *r)
{
	int64_t now_ms = loop_now_ms(r->loop);

	r->reserve.space_min_bytes = (uint64_t)r->settings->queue_space_min_bytes;
	if (r->free_known_ms && now_ms - r->free_known_ms < ROOM_LOOK_MS)
		return;
	r->free_known_ms = now_ms;
	r->reserve.free_bytes = disk_space(r->disk);
}

static void know_lengths(struct room *r)
{
	enum { BLOCK = 512 };
	struct stat st;

	LIST_EACH(m, &r->reserve.all, struct reserved, link)
		if (fstat(part_of(m)->fd, &st) == 0)
			reserve_grown(&r->reserve, m, (uint64_t)st.st_size,
			              (uint64_t)st.st_blocks * BLOCK);
}

static void look_again(struct room *r)
{
	if (r->reserve.all.count && !loop_timer_is_set(&r->look))
		loop_timer_set(r->loop, &r->look, loop_now_ms(r->loop) + ROOM_LOOK_MS);
}

/* Those who have written more than they were promised go, while there is less than was promised. */
static void look(struct timer *t)
{
	struct room *r = loop_owner(t, struct room, look);
	struct reserved *m;

	r->free_known_ms = 0;
	know_free(r);
	if (reserve_is_near(&r->reserve, (uint64_t)r->settings->message_size_max_bytes))
		know_lengths(r);
	while ((m = reserve_one_too_many(&r->reserve)) != NULL)
		r->end(part_of(m), "the queue's disk is nearly full");
	look_again(r);
}

/* The log says once that space is short, and once that it is not. */
static void tell_space(struct room *r)
{
	bool is_short = !reserve_has_room(&r->reserve, 0);

	if (is_short != r->is_short)
		log_warn("event=%s free_bytes=%llu reserved_bytes=%llu queue.space-min=%llu",
		         is_short ? "disk-short" : "disk-again",
		         (unsigned long long)r->reserve.free_bytes,
		         (unsigned long long)r->reserve.unwritten_bytes,
		         (unsigned long long)r->reserve.space_min_bytes);
	r->is_short = is_short;
}

static void make_room(struct room *r, uint64_t announced_bytes, const struct share_path *owner)
{
	struct reserved *givers[RESERVE_GIVE_WAY_MAX];

	if (reserve_has_room(&r->reserve, announced_bytes))
		return;
	know_lengths(r);
	unsigned count = reserve_giving_way(&r->reserve, announced_bytes, owner, givers);

	for (unsigned i = 0; i < count; i++)
		r->end(part_of(givers[i]), "others need the room on the queue's disk");
}

bool room_take(struct room *r, struct room_part *part, uint64_t announced_bytes,
               const struct share_path *owner)
{
	know_free(r);
	make_room(r, announced_bytes, owner);
	tell_space(r);
	part->fd = -1;
	if (!reserve_has_room(&r->reserve, announced_bytes) ||
	    !reserve_take(&r->reserve, &part->reserved, announced_bytes, owner))
		return false;
	look_again(r);
	return true;
}

void room_give_back(struct room *r, struct room_part *part, bool bytes_too)
{
	reserve_give_back(&r->reserve, &part->reserved, bytes_too);
}

void room_start(struct room *r)
{
	r->look.due = look;
	reserve_init(&r->reserve, NET_OWNERS);
}
