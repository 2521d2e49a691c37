/* SPDX-License-Identifier: ISC */
/* The loop over epoll.  A system without it gets a file of its own beside this one. */
#include "lib/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

enum { LOOP_BATCH = 64, LOOP_SIGNALS_MAX = 65 };

struct loop {
	int epoll;
	bool stopped;
	int64_t now_ms;
	/* Watches by slot: an event names a slot, and a slot emptied in the same
	 * batch is seen to be empty, so that freed objects are never touched. */
	struct watch **slots;
	unsigned *free_slots;
	unsigned slot_count, slot_cap, free_count;
	struct epoll_event batch[LOOP_BATCH];
	int batch_count;
	struct heap timers;
	struct list deferred;
	struct watch signal_watch;
	struct {
		void (*caught)(int, void *);
		void *context;
	} signals[LOOP_SIGNALS_MAX];
};

static int signal_pipe[2] = { -1, -1 };
static bool is_caught[LOOP_SIGNALS_MAX];

struct loop *loop_new(void)
{
	struct loop *loop = memory_get(sizeof *loop);

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		log_fatal("epoll_create1: %m");
	loop->slot_count = 1; /* slot 0 means none */
	loop->now_ms = clock_ms();
	return loop;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	close((*loop)->epoll);
	free((*loop)->slots);
	free((*loop)->free_slots);
	heap_free(&(*loop)->timers);
	free(*loop);
	*loop = NULL;
}

static unsigned slot_take(struct loop *loop)
{
	if (loop->free_count)
		return loop->free_slots[--loop->free_count];
	if (loop->slot_count >= loop->slot_cap) {
		loop->slot_cap = loop->slot_cap ? loop->slot_cap * 2 : 64;
		loop->slots = memory_grow(loop->slots, loop->slot_cap * sizeof *loop->slots);
		loop->free_slots =
			memory_grow(loop->free_slots, loop->slot_cap * sizeof *loop->free_slots);
	}
	return loop->slot_count++;
}

static uint32_t epoll_mask(unsigned events)
{
	return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) |
	       (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0u);
}

int loop_try_watch(struct loop *loop, struct watch *w, unsigned events)
{
	struct epoll_event e = { .events = epoll_mask(events) };

	w->slot = slot_take(loop);
	w->events = events;
	loop->slots[w->slot] = w;
	e.data.u64 = w->slot;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, w->fd, &e) == 0)
		return 0;
	loop->slots[w->slot] = NULL;
	loop->free_slots[loop->free_count++] = w->slot;
	w->slot = 0;
	return -1;
}

void loop_watch(struct loop *loop, struct watch *w, unsigned events)
{
	if (loop_try_watch(loop, w, events) < 0)
		log_fatal("epoll_ctl add %d: %m", w->fd);
}

void loop_change(struct loop *loop, struct watch *w, unsigned events)
{
	struct epoll_event e = { .events = epoll_mask(events) };

	if (w->slot == 0 || w->events == events)
		return;
	w->events = events;
	e.data.u64 = w->slot;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, w->fd, &e) < 0)
		log_fatal("epoll_ctl change %d: %m", w->fd);
}

void loop_unwatch(struct loop *loop, struct watch *w)
{
	if (w->slot == 0)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	/* What this batch still holds for the slot must not reach its next tenant. */
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.u64 == w->slot)
			loop->batch[i].data.u64 = 0;
	loop->slots[w->slot] = NULL;
	loop->free_slots[loop->free_count++] = w->slot;
	w->slot = 0;
}

bool loop_is_watched(const struct watch *w)
{
	return w->slot != 0;
}

void loop_timer_set(struct loop *loop, struct timer *t, int64_t at_ms)
{
	heap_set(&loop->timers, &t->entry, at_ms);
}

bool loop_timer_is_set(const struct timer *t)
{
	return t->entry.place != 0;
}

void loop_timer_clear(struct loop *loop, struct timer *t)
{
	heap_remove(&loop->timers, &t->entry);
}

void loop_defer(struct loop *loop, struct deferred *d)
{
	list_add_last(&loop->deferred, &d->link);
}

void loop_defer_clear(struct deferred *d)
{
	list_remove(&d->link);
}

static void run_deferred(struct loop *loop)
{
	struct link *link;

	while (!loop->stopped && (link = list_take_first(&loop->deferred)) != NULL) {
		struct deferred *d = list_owner(link, struct deferred, link);

		d->run(d);
	}
}

static void run_timers(struct loop *loop)
{
	struct heap_entry *first;

	while (!loop->stopped && (first = heap_first(&loop->timers)) != NULL &&
	       first->at_ms <= loop->now_ms) {
		struct timer *t = list_owner(first, struct timer, entry);

		loop_timer_clear(loop, t);
		t->due(t);
		run_deferred(loop);
	}
}

static int wait_ms(const struct loop *loop)
{
	const struct heap_entry *first = heap_first(&loop->timers);

	if (first == NULL)
		return -1;
	int64_t left = first->at_ms - clock_ms();

	if (left < 0)
		return 0;
	return left > 3600000 ? 3600000 : (int)left;
}

static unsigned events_of(uint32_t mask)
{
	return (mask & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? LOOP_READ : 0u) |
	       (mask & (EPOLLOUT | EPOLLERR) ? LOOP_WRITE : 0u) |
	       (mask & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0u);
}

void loop_run(struct loop *loop)
{
	loop->stopped = false;
	run_deferred(loop);
	while (!loop->stopped) {
		loop->batch_count = 0;
		int n = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, wait_ms(loop));

		if (n < 0 && errno != EINTR)
			log_fatal("epoll_wait: %m");
		loop->batch_count = n < 0 ? 0 : n;
		loop->now_ms = clock_ms();
		for (int i = 0; i < loop->batch_count && !loop->stopped; i++) {
			struct watch *w = loop->batch[i].data.u64
			                          ? loop->slots[loop->batch[i].data.u64]
			                          : NULL;

			if (w == NULL)
				continue;
			unsigned events =
				events_of(loop->batch[i].events) & (w->events | LOOP_HANGUP);

			if (events)
				w->ready(w, events);
			run_deferred(loop);
		}
		run_timers(loop);
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

int64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

static void on_signal(int number)
{
	int kept_errno = errno;
	unsigned char byte = (unsigned char)number;
	ssize_t done = write(signal_pipe[1], &byte, 1);

	(void)done; /* a full pipe already wakes the loop */
	errno = kept_errno;
}

static void signals_ready(struct watch *w, unsigned events)
{
	struct loop *loop = loop_owner(w, struct loop, signal_watch);
	unsigned char bytes[64];
	ssize_t n = read(w->fd, bytes, sizeof bytes);

	(void)events;
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i] < LOOP_SIGNALS_MAX && loop->signals[bytes[i]].caught)
			loop->signals[bytes[i]].caught(bytes[i], loop->signals[bytes[i]].context);
}

void loop_signal(struct loop *loop, int signal_number, void (*caught)(int, void *), void *context)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (signal_number < 1 || signal_number >= LOOP_SIGNALS_MAX)
		log_panic("loop_signal: no signal %d", signal_number);
	if (loop->signal_watch.slot == 0) {
		if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
			log_fatal("pipe: %m");
		loop->signal_watch.fd = signal_pipe[0];
		loop->signal_watch.ready = signals_ready;
		loop_watch(loop, &loop->signal_watch, LOOP_READ);
	}
	loop->signals[signal_number].caught = caught;
	loop->signals[signal_number].context = context;
	is_caught[signal_number] = true;
	sigaction(signal_number, &action, NULL);
}

pid_t loop_fork(void)
{
	sigset_t all, old;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid_t pid = fork();

	if (pid == 0)
		log_forked();
	for (int number = 1; pid == 0 && number < LOOP_SIGNALS_MAX; number++)
		if (is_caught[number])
			signal(number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}
