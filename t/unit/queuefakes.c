/* SPDX-License-Identifier: ISC */
#include "t/unit/queuefakes.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/wire/dial.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

/* ---- memory (linked with --wrap) ---- */

/*
 * Two stacks without holes: what is forgotten is forgotten whole, and a run that is repeated gets
 * the same addresses, by which messages.c sorts destinations. Freed memory is filled, so that who
 * uses it goes wrong, and a sanitizer sees it.
 */
enum { ARENA_BYTES = 16 << 20, PERMANENT_BYTES = 4 << 20, ALIGN = 16, FREED = 0xdb };

struct block {
	_Alignas(ALIGN) size_t size;
};

static _Alignas(ALIGN) unsigned char permanent[PERMANENT_BYTES], arena[ARENA_BYTES];
static size_t permanent_used, arena_used;
static bool is_permanent;

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
void __real_free(void *p);

void fakes_memory_permanent(void)
{
	is_permanent = true;
}

void fakes_memory_forget(void)
{
	is_permanent = false;
	ASAN_UNPOISON_MEMORY_REGION(arena, arena_used);
	memset(arena, FREED, arena_used);
	arena_used = 0;
}

static bool is_in(const void *p, const unsigned char *stack, size_t size)
{
	return (uintptr_t)p >= (uintptr_t)stack && (uintptr_t)p < (uintptr_t)stack + size;
}

static void *take(bool for_ever, size_t size)
{
	unsigned char *stack = for_ever ? permanent : arena;
	size_t *used = for_ever ? &permanent_used : &arena_used,
	       need = sizeof(struct block) + (size + ALIGN - 1) / ALIGN * ALIGN;
	struct block *b = (struct block *)(void *)(stack + *used);

	if (*used + need > (size_t)(for_ever ? PERMANENT_BYTES : ARENA_BYTES)) {
		printf("Bail out! the fakes' memory is full\n");
		exit(1);
	}
	*used += need;
	b->size = size;
	return b + 1;
}

void *__wrap_malloc(size_t size)
{
	return take(is_permanent, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memset(take(is_permanent, count * size), 0, count * size);
}

void __wrap_free(void *p)
{
	if (is_in(p, arena, sizeof arena)) {
		size_t size = ((struct block *)p - 1)->size;

		memset(p, FREED, size);
		ASAN_POISON_MEMORY_REGION(p, size);
	} else if (p != NULL && !is_in(p, permanent, sizeof permanent))
		__real_free(p);
}

void *__wrap_realloc(void *old, size_t size)
{
	size_t had = old ? ((struct block *)old - 1)->size : 0;
	void *p = take(is_permanent || is_in(old, permanent, sizeof permanent), size);

	if (old != NULL)
		memcpy(p, old, had < size ? had : size);
	__wrap_free(old);
	return p;
}

/* ---- log, clock, program ---- */

bool fakes_log_shown;
int64_t fakes_now_ms;

__attribute__((format(printf, 1, 0))) static void show(const char *format, va_list list)
{
	if (!fakes_log_shown)
		return;
	printf("#         ");
	vprintf(format, list);
	printf("\n");
}

#define SHOW(format)                    \
	do {                            \
		va_list list;           \
		va_start(list, format); \
		show(format, list);     \
		va_end(list);           \
	} while (0)

void log_debug(const char *format, ...)
{
	SHOW(format);
}

void log_info(const char *format, ...)
{
	SHOW(format);
}

void log_warn(const char *format, ...)
{
	SHOW(format);
}

static void end(void)
{
	printf("Bail out! queued ends\n");
	exit(1);
}

void log_fatal(const char *format, ...)
{
	fakes_log_shown = true;
	SHOW(format);
	end();
	abort();
}

void log_panic(const char *format, ...)
{
	fakes_log_shown = true;
	SHOW(format);
	end();
	abort();
}

const char *log_quote(struct view v)
{
	return v.data ? v.data : "";
}

const char *log_text(struct view v)
{
	return log_quote(v);
}

int64_t clock_ms(void)
{
	return fakes_now_ms;
}

int64_t clock_wall_ms(void)
{
	return fakes_now_ms;
}

int64_t clock_wall_us(void)
{
	return fakes_now_ms * 1000;
}

int64_t clock_wall_s(void)
{
	return fakes_now_ms / 1000;
}

int program_need_fd(const char *wire)
{
	return strcmp(wire, "remote.job") == 0 || strcmp(wire, "smtpd.spool") == 0 ? 0 : 1;
}

int dial(const char *wire, const char *protocol)
{
	(void)wire;
	(void)protocol;
	return -1;
}

static const char *random_name(void)
{
	return "none";
}

static uint32_t random_number(void)
{
	return UINT32_MAX / 2;
}

static void random_bytes(void *const bytes, const size_t size)
{
	memset(bytes, 0x55, size);
}

void fakes_no_random(void)
{
	static randombytes_implementation none = { .implementation_name = random_name,
		                                   .random = random_number,
		                                   .buf = random_bytes };

	randombytes_set_implementation(&none);
}

/* ---- the loop ---- */

struct loop {
	struct heap timers;
};

static struct loop the_loop;
struct loop *const fakes_loop = &the_loop;

void fakes_loop_forget(void)
{
	the_loop = (struct loop){ 0 };
}

void loop_timer_set(struct loop *loop, struct timer *t, int64_t at_ms)
{
	heap_set(&loop->timers, &t->entry, at_ms);
}

void loop_timer_clear(struct loop *loop, struct timer *t)
{
	heap_remove(&loop->timers, &t->entry);
}

bool loop_timer_is_set(const struct timer *t)
{
	return t->entry.place != 0;
}

int64_t loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return fakes_now_ms;
}

int64_t fakes_loop_next_ms(void)
{
	struct heap_entry *first = heap_first(&the_loop.timers);

	return first ? first->at_ms : 0;
}

bool fakes_loop_run_due(void)
{
	struct heap_entry *first;
	bool any = false;

	while ((first = heap_first(&the_loop.timers)) != NULL && first->at_ms <= fakes_now_ms) {
		struct timer *t = list_owner(first, struct timer, entry);

		heap_remove(&the_loop.timers, first);
		t->due(t);
		any = true;
	}
	return any;
}

/* ---- the hub ---- */

struct fakes_hub fakes_hubs[FAKES_HUBS];
void (*fakes_sent)(struct hub_line *line, const struct wire_out *out);
void (*fakes_dropped)(const char *why);

void fakes_hubs_forget(void)
{
	memset(fakes_hubs, 0, sizeof fakes_hubs);
}

void hub_start(struct hub *server, int shared_fd)
{
	fakes_hubs[shared_fd].hub = server;
}

void hub_stop(struct hub *server)
{
	(void)server;
}

void hub_want(struct hub *server, unsigned jobs)
{
	for (unsigned i = 0; i < FAKES_HUBS; i++)
		if (fakes_hubs[i].hub == server)
			fakes_hubs[i].wanted = jobs;
}

struct fakes_hub *fakes_hub_of(const struct hub_line *line)
{
	return line->server == fakes_hubs[0].hub ? &fakes_hubs[0] : &fakes_hubs[1];
}

static void note(struct hub_line *line)
{
	list_add_last(&line->server->noted, &line->noted);
}

void hub_set_idle(struct hub_line *line)
{
	note(line);
}

void hub_take(struct hub_line *line)
{
	list_remove(&line->resting);
}

struct hub_line *hub_take_idle(struct hub *server)
{
	struct hub_line *line =
		list_owner_or_null(server->idle_lines.first, struct hub_line, resting);

	if (line != NULL)
		hub_take(line);
	return line;
}

enum wire_result hub_line_send(struct hub_line *line, const struct wire_out *out)
{
	if (line->dropped)
		return WIRE_CLOSED;
	fakes_sent(line, out);
	return WIRE_OK;
}

void hub_line_drop(struct hub_line *line, const char *why)
{
	if (why != NULL)
		fakes_dropped(why);
	fakes_worker_dies(line);
}

unsigned char fakes_unread;

void fakes_worker_dies(struct hub_line *line)
{
	line->unheard = fakes_unread;
	line->dropped = true;
	list_remove(&line->resting);
	note(line);
}

void fakes_worker_comes(struct fakes_hub *h)
{
	struct hub_line *line = __wrap_calloc(1, h->hub->line_size);

	line->process = 1;
	line->server = h->hub;
	list_add_last(&h->hub->lines, &line->all);
	for (unsigned i = 0; i < FAKES_LINES; i++)
		if (h->lines[i] == NULL) {
			h->lines[i] = line;
			break;
		}
	h->wanted = 0;
	h->hub->opened(line);
	if (h->hub->workers)
		note(line);
}

static void close_line(struct hub_line *line)
{
	struct fakes_hub *h = fakes_hub_of(line);

	line->server->closed(line);
	list_remove(&line->all);
	for (unsigned i = 0; i < FAKES_LINES; i++)
		if (h->lines[i] == line)
			h->lines[i] = NULL;
	__wrap_free(line);
}

bool fakes_hubs_run_due(void)
{
	bool any = false;

	for (unsigned i = 0; i < FAKES_HUBS; i++) {
		struct hub *hub = fakes_hubs[i].hub;
		struct link *link;

		while (hub != NULL && (link = list_take_first(&hub->noted)) != NULL) {
			struct hub_line *line = list_owner(link, struct hub_line, noted);

			any = true;
			if (line->dropped) {
				close_line(line);
			} else {
				list_add_first(&hub->idle_lines, &line->resting);
				hub->idle(line);
			}
		}
	}
	return any;
}
