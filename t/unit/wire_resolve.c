/* SPDX-License-Identifier: ISC */
/* The resolve protocol: what is put is what is got, and nothing torn is taken. */
#include "lib/wire/resolve.h"

#include "t/said.h"
#include "t/torn.h"

static struct resolve_question question;
static struct resolve_answer answer;
static struct resolve_target target;
static struct resolve_refusal refusal;
static uint32_t expand_number;
static char expand_address[RESOLVE_ADDRESS_MAX];

static bool get_question(struct wire_in *in)
{
	return resolve_question_get(in, &question);
}

static bool get_answer(struct wire_in *in)
{
	return resolve_answer_get(in, &answer);
}

static bool get_expand(struct wire_in *in)
{
	return resolve_expand_get(in, &expand_number, expand_address);
}

static bool get_target(struct wire_in *in)
{
	return resolve_target_get(in, &target);
}

static bool again(const struct wire_out *out, bool (*get)(struct wire_in *))
{
	struct wire_in in = { .rest = view_skip(text_view(&out->bytes), 1) };

	return get(&in);
}

static void targets(struct wire_out *out)
{
	static const struct resolve_target t = {
		.question = 9,
		.last = true,
		.expanded = true,
		.agent = AGENT_REMOTE,
		.address = "x@example.org",
		.mailbox = { .uid = 5000,
		             .gid = 5001,
		             .home = "/var/mail/x",
		             .quota_bytes = 1ULL << 33 },
		.route = { .lmtp = true,
		           .ours = true,
		           .domain = "example.org",
		           .hops = { { "mail.example.org", 24 }, { "[2001:db8::1]", 25 } },
		           .hop_count = 2 },
		.status = "5.1.1",
		.text = "no such mailbox",
	};

	resolve_target_put(out, &t);
	torn("a target", out, get_target);
	ok(again(out, get_target) && target.question == 9 && target.last && target.expanded &&
	           target.agent == AGENT_REMOTE && target.route.lmtp && target.route.ours &&
	           strcmp(target.route.domain, "example.org") == 0 &&
	           strcmp(target.route.hops[1].host, "[2001:db8::1]") == 0 &&
	           target.route.hops[1].port == 25 && target.route.hop_count == 2 &&
	           target.mailbox.quota_bytes == t.mailbox.quota_bytes &&
	           target.mailbox.uid == 5000 && target.mailbox.gid == 5001 &&
	           strcmp(target.mailbox.home, t.mailbox.home) == 0 &&
	           strcmp(target.text, t.text) == 0,
	   "every field of a target came through");

	static struct resolve_target wrong;

	wrong = t;
	wrong.agent = AGENT_BOUNCE;
	resolve_target_put(out, &wrong);
	ok(!again(out, get_target), "no target leads to the writer of reports");
	wrong.agent = AGENTS;
	resolve_target_put(out, &wrong);
	ok(!again(out, get_target), "nor to an agent that is in no table");
}

static bool get_refusal(struct wire_in *in)
{
	return resolve_refusal_get(in, &refusal) && wire_end(in);
}

static void refusals(struct wire_out *out)
{
	struct resolve_refusal r = { RESOLVE_ADDRESS_UNKNOWN, "x@dept.test", 1ULL << 40, 7200000 };

	wire_begin(out, RESOLVE_REFUSALS);
	resolve_refusal_put(out, &r);
	torn("a refusal", out, get_refusal);
	ok(again(out, get_refusal) && refusal.kind == r.kind && strcmp(refusal.key, r.key) == 0 &&
	           refusal.size_bytes == r.size_bytes && refusal.left_ms == r.left_ms,
	   "every field of a refusal came through");
	r.kind = RESOLVE_REFUSAL_KINDS;
	wire_begin(out, RESOLVE_REFUSALS);
	resolve_refusal_put(out, &r);
	ok(!again(out, get_refusal), "an unknown kind is refused");
	r = (struct resolve_refusal){ RESOLVE_MAILBOX_FULL, "", 0, 0 };
	wire_begin(out, RESOLVE_REFUSALS);
	resolve_refusal_put(out, &r);
	ok(!again(out, get_refusal), "and one of nobody");
	string_put(r.key, sizeof r.key, VIEW("/mail/a"));
	r.left_ms = UINT64_MAX;
	wire_begin(out, RESOLVE_REFUSALS);
	resolve_refusal_put(out, &r);
	ok(!again(out, get_refusal), "and one for ever");
}

/* Nonsense instead of an answer, and not even that. */
static void no_answer(void)
{
	struct resolve_question q = { .recipient = "you@b.test" };
	struct resolve_answer a;
	struct wire_out out = { 0 };
	int ends[2];

	wire_pair(ends);
	wire_begin(&out, WIRE_VERSION);
	wire_send(ends[1], &out);
	wire_out_free(&out);
	said_begin();
	said_here();
	resolve_ask(&ends[0], RESOLVE_RECIPIENT, &q, &a);
	ok(a.verdict == RESOLVE_LATER && ends[0] == -1, "nonsense is no answer, and ends the line");
	ok(said("event=resolve-lost reason=\"invalid response\""), "and the log knows");
	close(ends[1]);
}

int main(void)
{
	struct wire_out out = { 0 };
	struct resolve_question q = { 7,
		                      { .family = 4, .bytes = { 192, 0, 2, 1 } },
		                      "host.test",
		                      true,
		                      "me@a.test",
		                      "me@a.test",
		                      "you@b.test",
		                      1ULL << 40 };
	struct resolve_answer a = { 7,    RESOLVE_REJECT, "5.1.1", "no such mailbox", true,
		                    true, "you@b.test",   true,    1ULL << 41 };

	resolve_question_put(&out, RESOLVE_RECIPIENT, &q);
	torn("a question", &out, get_question);
	ok(again(&out, get_question) && question.submission &&
	           strcmp(question.recipient, q.recipient) == 0 &&
	           strcmp(question.client_name, "host.test") == 0 &&
	           question.size_bytes == q.size_bytes &&
	           net_address_equal(&question.client, &q.client),
	   "every field of a question came through");
	resolve_answer_put(&out, &a);
	torn("an answer", &out, get_answer);
	ok(again(&out, get_answer) && strcmp(answer.normal, "you@b.test") == 0 && answer.mailbox &&
	           answer.size_max_bytes == a.size_max_bytes,
	   "the answer came through");
	string_put(a.text, sizeof a.text, VIEW("two\r\n250 lines"));
	resolve_answer_put(&out, &a);
	ok(!again(&out, get_answer), "an answer of two lines is refused");
	resolve_expand_put(&out, 3, VIEW("x@y.test"));
	torn("an expansion", &out, get_expand);
	ok(again(&out, get_expand) && expand_number == 3 && strcmp(expand_address, "x@y.test") == 0,
	   "the expansion came through");
	targets(&out);
	refusals(&out);
	wire_out_free(&out);
	no_answer();
	return tap_done();
}
