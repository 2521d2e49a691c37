/* SPDX-License-Identifier: ISC */
/* Wire messages of the queue's room: the first byte chooses the decoder, the rest is what a
 * captured sibling sends. */
#include <stdlib.h>
#include <string.h>

#include "lib/wire/control.h"
#include "lib/wire/job.h"
#include "lib/wire/owner.h"
#include "lib/wire/submit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void terminated(const char *s, size_t size)
{
	if (memchr(s, '\0', size) == NULL)
		abort();
}

static void decode(unsigned which, struct wire_in *in)
{
	static struct job job;
	static struct job_recipient recipient;
	static struct job_result result;
	static struct control_entry entry;
	static struct envelope envelope;
	static struct spool_message written;
	static struct envelope_recipient to;
	static struct spool_refusal refusal;
	static struct submit_envelope submit;
	static struct submit_result verdict;
	static struct resolve_target target;
	static struct resolve_refusal unavailable;
	static char text[CONTROL_LINE_MAX];
	uint8_t code;

	switch (which) {
	case 0:
		if (job_get(in, &job))
			terminated(job.envelope.sender, sizeof job.envelope.sender);
		break;
	case 1:
		if (job_recipient_get(in, &recipient))
			terminated(recipient.mailbox.home, sizeof recipient.mailbox.home);
		break;
	case 2:
		if (job_result_get(in, &result) && result.outcome > JOB_FAILED)
			abort();
		break;
	case 3:
		while (in->rest.len && control_entry_get(in, &entry))
			terminated(entry.sender, sizeof entry.sender);
		break;
	case 4:
		if (spool_commit_get(in, &envelope, &written) && envelope.origin > ENVELOPE_RELAY)
			abort();
		break;
	case 5: (void)!envelope_recipient_get(in, &to); break;
	case 6: (void)!spool_refusal_get(in, &refusal); break;
	case 7: (void)!submit_envelope_get(in, &submit); break;
	case 8: (void)!submit_result_get(in, &verdict); break;
	case 9:
		if (resolve_target_get(in, &target) && target.route.hop_count > RESOLVE_HOPS_MAX)
			abort();
		break;
	case 11:
		while (in->rest.len && resolve_refusal_get(in, &unavailable))
			if (unavailable.kind >= RESOLVE_REFUSAL_KINDS || !unavailable.key[0])
				abort();
		break;
	case 10: (void)!control_end_get(in, &code, text); break;
	default: break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view rest;
	struct wire_in in = { 0 };

	if (size == 0 || size > WIRE_MESSAGE_MAX)
		return 0;
	in.rest = (struct view){ (const char *)data + 1, size - 1 };
	decode(data[0] % 11, &in);
	rest = (struct view){ (const char *)data, size };
	while (submit_frame_next(&rest, &in) > 0)
		decode(in.type % 11, &in);
	return 0;
}
