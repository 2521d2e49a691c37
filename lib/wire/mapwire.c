/* SPDX-License-Identifier: ISC */
#include "lib/wire/mapwire.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/master.h"

static void refuse(struct mapwire *m, const char *file, const char *why)
{
	log_warn("event=map-refused file=%s reason=\"%s\"", log_quote(view_of(file)),
	         log_text(view_of(why)));
	m->refused = true;
}

static void give_up(struct mapwire *m)
{
	for (int id = 0; id < MAPS; id++) {
		if (m->given[id] == MAPWIRE_ANOTHER)
			map_close(&m->fresh[id]);
		if (m->overlaid[id])
			map_close(&m->overlay[id]);
	}
	memset(m->given, 0, sizeof m->given);
	memset(m->overlaid, 0, sizeof m->overlaid);
	m->refused = false;
}

/* Which of the program's files it is, by its number in a generation; -1: none. */
static int file_of(const struct mapwire *m, const char *file)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	int id;

	for (unsigned n = 0; (id = maptable_file_of(m->program, n)) >= 0; n++) {
		maptable_generation_file(id, name);
		if (strcmp(name, file) == 0)
			return id;
		maptable_generation_file(GENERATION_OVERLAYS + id, name);
		if (strcmp(name, file) == 0)
			return GENERATION_OVERLAYS + id;
	}
	return -1;
}

static void take_overlay(struct mapwire *m, int id, const char *file, int fd)
{
	struct reason why;

	m->overlaid[id] = map_open(&m->overlay[id], fd, file, &why) == 0;
	if (m->overlaid[id])
		return;
	refuse(m, file, why.text);
	close(fd);
}

static void take_file(struct mapwire *m, const char *file, int fd)
{
	int number = file_of(m, file), id = number < 0 ? MAPS : maptable_of_file(number);
	struct reason why;

	if (id == MAPS || (number == id ? m->given[id] != MAPWIRE_NONE : m->overlaid[id])) {
		refuse(m, file, "it is not expected");
		close(fd);
	} else if (number != id) {
		take_overlay(m, id, file, fd);
	} else if (map_is_of(&m->maps[id], fd)) {
		m->given[id] = MAPWIRE_SAME;
		close(fd);
	} else if (map_open(&m->fresh[id], fd, file, &why) != 0) {
		refuse(m, file, why.text);
		close(fd);
	} else {
		m->given[id] = MAPWIRE_ANOTHER;
	}
}

static bool has_all(struct mapwire *m)
{
	int id;

	for (unsigned n = 0; (id = maptable_file_of(m->program, n)) >= 0; n++)
		if (!m->given[id])
			refuse(m, maptable[id].name, "it was not given");
	return !m->refused;
}

static void take_map(struct mapwire *m, int id)
{
	if (m->given[id] == MAPWIRE_ANOTHER) {
		map_close(&m->maps[id]);
		m->maps[id] = m->fresh[id];
	} else {
		map_unlay(&m->maps[id]);
	}
	if (m->overlaid[id])
		map_lay(&m->maps[id], &m->overlay[id]);
}

static bool take(struct mapwire *m)
{
	if (!has_all(m)) {
		give_up(m);
		return false;
	}
	for (int id = 0; id < MAPS; id++)
		if (m->given[id])
			take_map(m, id);
	memset(m->given, 0, sizeof m->given);
	memset(m->overlaid, 0, sizeof m->overlaid);
	m->taken();
	return true;
}

bool mapwire_answer(struct mapwire *m, int master)
{
	static struct wire_out out;

	if (!m->owes)
		return true;
	master_taken_put(&out, (int)getpid(), m->round, m->answer);
	enum wire_result r = wire_send_now(master, &out);

	if (r == WIRE_AGAIN)
		return false;
	if (r != WIRE_OK)
		log_warn("event=maps-untold reason=\"%s\"", log_text(view_of(wire_reason(r))));
	m->owes = false;
	return true;
}

/* One of before that is still owed is of no use any more. */
static void owe(struct mapwire *m, uint32_t round, bool taken)
{
	m->owes = true;
	m->round = round;
	m->answer = taken;
}

bool mapwire_said(struct mapwire *m, int master, struct wire_in *in)
{
	char file[MASTER_FILE_MAX];
	uint32_t round;
	int fd, pid;

	if (in->type == MASTER_MAP && master_map_get(in, file, &fd))
		take_file(m, file, fd);
	else if (in->type != MASTER_MAPS || !master_round_get(in, &pid, &round))
		log_warn("event=bad-message peer=master type=%d", in->type);
	else if (pid != (int)getpid())
		give_up(m);
	else
		owe(m, round, take(m));
	return mapwire_answer(m, master);
}
