/* SPDX-License-Identifier: ISC */
/*
 * Questions to resolved: where does a recipient go (protocol resolve, lib/wire/resolve.h). An
 * answer is lost with nobody: what resolved leaves unanswered is asked again, a question that ends
 * it a few times, by itself in the end, so that it does not keep the others from their answers.
 */
#ifndef QUEUE_QUEUED_RESOLVING_H
#define QUEUE_QUEUED_RESOLVING_H

#include "lib/base/loop.h"
#include "queue/queued/record.h"

enum { RESOLVING_MAX = 256 /* on their way at once: they fit into the socket */ };

struct resolving;

struct resolving_setup {
	struct loop *loop;
	void *context;
	/* All that resolved says of recipient `index`. The callee frees it (found_free), without
	 * what it took over. */
	void (*answered)(void *context, struct message *m, uint32_t index, struct found *found,
	                 unsigned count);
	/* The line leads to another resolved than before. */
	void (*dialled)(void *context);
	/* There may be room for more questions, always after an answer. */
	void (*room)(void *context);
};

struct resolving *resolving_start(const struct resolving_setup *setup);
bool resolving_has_room(const struct resolving *r); /* for a question, now */
/* Only when there is room. The message stays where it is until it is answered or forgotten. */
void resolving_ask(struct resolving *r, struct message *m, uint32_t index);
/* Something that needs no answer; false: it cannot be sent now. */
bool resolving_tell(struct resolving *r, const struct wire_out *out);
void resolving_forget(struct resolving *r, const struct message *m);

#endif
