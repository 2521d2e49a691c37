/* SPDX-License-Identifier: ISC */
#include "queue/queued/reserve.h"

void reserve_init(struct reserve *r, unsigned owner_levels)
{
	*r = (struct reserve){ .open = shares_new(owner_levels), .over = shares_new(owner_levels) };
}

static uint64_t promise_for(uint64_t announced_bytes)
{
	return announced_bytes + RESERVE_BESIDE_BYTES;
}

static uint64_t unwritten(const struct reserved *m)
{
	return m->promised_bytes > m->written_bytes ? m->promised_bytes - m->written_bytes : 0;
}

/* What is free beyond the promises; never below 0. */
static uint64_t room(const struct reserve *r)
{
	uint64_t spoken_for = r->space_min_bytes + r->unwritten_bytes;

	return r->free_bytes > spoken_for ? r->free_bytes - spoken_for : 0;
}

bool reserve_has_room(const struct reserve *r, uint64_t announced_bytes)
{
	return room(r) >= promise_for(announced_bytes);
}

bool reserve_is_near(const struct reserve *r, uint64_t message_max_bytes)
{
	return r->free_bytes < r->space_min_bytes + (r->all.count + 1) * message_max_bytes;
}

bool reserve_take(struct reserve *r, struct reserved *m, uint64_t announced_bytes,
                  const struct share_path *owner)
{
	if (!shares_add(r->open, owner, &m->open))
		return false;
	m->owner = *owner;
	m->promised_bytes = promise_for(announced_bytes);
	m->written_bytes = 0;
	r->unwritten_bytes += m->promised_bytes;
	list_add_last(&r->all, &m->link);
	return true;
}

static bool is_over(const struct reserved *m, uint64_t file_bytes, uint64_t allocated_bytes)
{
	return file_bytes > m->promised_bytes ||
	       (allocated_bytes > m->promised_bytes &&
	        allocated_bytes > RESERVE_AHEAD_TIMES * file_bytes + RESERVE_AHEAD_BYTES);
}

void reserve_grown(struct reserve *r, struct reserved *m, uint64_t file_bytes,
                   uint64_t allocated_bytes)
{
	r->unwritten_bytes -= unwritten(m);
	m->written_bytes = allocated_bytes > file_bytes ? allocated_bytes : file_bytes;
	r->unwritten_bytes += unwritten(m);
	/* One that there is no memory for is found at the next look. */
	if (is_over(m, file_bytes, allocated_bytes) && m->over.owner == NULL)
		shares_add(r->over, &m->owner, &m->over);
}

void reserve_give_back(struct reserve *r, struct reserved *m, bool bytes_too)
{
	if (m->link.list == NULL)
		return;
	r->unwritten_bytes -= unwritten(m);
	if (bytes_too)
		r->free_bytes += m->written_bytes;
	list_remove(&m->link);
	shares_remove(&m->open);
	shares_remove(&m->over);
	m->promised_bytes = m->written_bytes = 0;
}

struct reserved *reserve_one_too_many(const struct reserve *r)
{
	struct share *share = shares_oldest_of_heaviest(r->over);

	if (r->free_bytes >= r->space_min_bytes + r->unwritten_bytes || share == NULL)
		return NULL;
	return list_owner(share, struct reserved, over);
}

/* As if it had been ended. */
static void take_away(struct reserve *r, struct reserved *m)
{
	shares_remove(&m->open);
	r->free_bytes += m->written_bytes;
	r->unwritten_bytes -= unwritten(m);
}

/* One that there is no memory for gives way to nobody any more. */
static void put_back(struct reserve *r, struct reserved *m, uint64_t came)
{
	shares_put_back(r->open, &m->owner, &m->open, came);
	r->free_bytes -= m->written_bytes;
	r->unwritten_bytes += unwritten(m);
}

unsigned reserve_giving_way(struct reserve *r, uint64_t announced_bytes,
                            const struct share_path *newcomer,
                            struct reserved *givers[RESERVE_GIVE_WAY_MAX])
{
	uint64_t came[RESERVE_GIVE_WAY_MAX];
	unsigned count = 0;
	struct share *share;

	while (count < RESERVE_GIVE_WAY_MAX && !reserve_has_room(r, announced_bytes) &&
	       (share = shares_giving_way(r->open, newcomer)) != NULL) {
		givers[count] = list_owner(share, struct reserved, open);
		came[count] = share->came;
		take_away(r, givers[count++]);
	}
	bool is_enough = reserve_has_room(r, announced_bytes);

	for (unsigned i = count; i > 0; i--)
		put_back(r, givers[i - 1], came[i - 1]);
	return is_enough ? count : 0;
}
