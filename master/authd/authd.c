/* SPDX-License-Identifier: ISC */
/*
 * authd: checks passwords, and hands mailbox sessions over.
 *
 * Runs as its own user in an empty root, sees no network and opens no file: passwords.cdb (hash,
 * owner, home, rights of every account) is opened before the jail, or given by master when it is
 * another one (mapwire.h). smtpd, pop3-login and imap-login
 * bring it SASL messages over their wires ("auth"); none of them names a user, and each may only
 * speak for its own services. An event loop runs the mechanisms and delays the answers to failures;
 * the hashes are computed by a few worker processes (checker.c), and a password that was right is
 * remembered under a keyed digest (cache.c).
 *
 * On success smtpd learns the account. A POP3 or IMAP client's descriptor goes from here to master,
 * with the owner's uid and home, for pop3d or imapd: nothing else makes master start those under a
 * mailbox owner's uid, which is never 0.
 *
 * Trusts: the compiled map; master. Does not trust the session programs: their messages are bounded
 * and checked. Who owns authd can read the hashes and the passwords that pass through, and open any
 * mailbox; they reach no network and no file. Owning a worker gains the passwords that pass through
 * it, without their names.
 */
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/base/tally.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/wire/auth.h"
#include "lib/wire/hub.h"
#include "lib/wire/mapwire.h"
#include "master/authd/account.h"
#include "master/authd/cache.h"
#include "master/authd/checker.h"
#include "master/authd/delay.h"
#include "master/authd/known.h"
#include "master/authd/mailbox.h"
#include "master/authd/mechanism.h"
#include "master/authd/standing.h"

enum {
	LINES_MAX = SESSION_LINES_MAX,
	SASL_SPARE_MAX = 16 /* four pages each, three of them guards */
};

struct exchange {
	struct line *line;
	struct auth_begin
		begin; /* its views are NULL but for session.pending, which is in `pending` */
	struct text pending;
	struct sasl *sasl; /* sodium memory */
	enum auth_mechanism mechanism;
	bool cached;
	int64_t began_ms;
	char address[AUTH_ADDRESS_MAX]; /* the account that is asked for */
	struct password record;         /* points into `kept` */
	struct text kept;
	bool known, familiar;
	struct check check;
	struct timer delay;
	enum auth_verdict verdict; /* of an answer that waits */
	struct link handover;      /* in authd.handovers, while it waits to go to master */
};

struct line {
	struct hub_line wire;
	struct exchange *exchange; /* NULL: none under way */
};

static struct {
	struct settings settings;
	struct loop *loop;
	struct cache *cache;
	struct delay *delay;
	struct recent *known;
	struct tally busy;     /* those that had to give way */
	struct watch master;   /* for writing while handovers wait for room on its wire */
	struct list handovers; /* first come, first served */
} authd;

/* Which services a wire may speak for. */
static struct door {
	const char *descriptor;
	unsigned services; /* bits of enum connection_service */
	struct hub server;
} doors[] = {
	{ .descriptor = "smtpd.auth",
	  .services = 1 << CONNECTION_SMTP | 1 << CONNECTION_SUBMISSION },
	{ .descriptor = "pop3-login.auth", .services = 1 << CONNECTION_POP3 },
	{ .descriptor = "imap-login.auth", .services = 1 << CONNECTION_IMAP },
};

enum { DOORS = sizeof doors / sizeof doors[0] };

/* ---- exchanges ---- */

/* Wiped, for the next exchanges: to make one and give it back is ten system calls. */
static struct {
	struct sasl *all[SASL_SPARE_MAX];
	unsigned count;
} spare;

/* Sodium memory that a worker, forked while others wait, finds wiped. */
static struct sasl *sasl_new(void)
{
	if (spare.count)
		return spare.all[--spare.count];
	struct sasl *s = sodium_malloc(sizeof *s);
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)s & ~(page_bytes - 1);

	if (s != NULL)
		madvise((void *)first, (uintptr_t)s + sizeof *s - first, MADV_WIPEONFORK);
	return s;
}

static void forget_password(struct exchange *x)
{
	struct sasl *s = x->sasl;

	x->sasl = NULL;
	if (s == NULL)
		return;
	if (spare.count == SASL_SPARE_MAX) {
		sodium_free(s);
		return;
	}
	sodium_memzero(s, sizeof *s);
	spare.all[spare.count++] = s;
}

static void close_client(struct exchange *x)
{
	if (x->begin.session.fd >= 0)
		close(x->begin.session.fd);
	if (x->begin.session.token >= 0)
		close(x->begin.session.token);
	x->begin.session.fd = x->begin.session.token = -1;
}

static void exchange_end(struct exchange **exchange)
{
	struct exchange *x = *exchange;

	if (x == NULL)
		return;
	checker_cancel(&x->check);
	loop_timer_clear(authd.loop, &x->delay);
	list_remove(&x->handover);
	forget_password(x);
	close_client(x);
	text_free(&x->pending);
	text_free(&x->kept);
	free(x);
	*exchange = NULL;
}

static void log_result(const struct exchange *x, enum auth_verdict verdict)
{
	char client[NET_ADDRESS_TEXT_MAX];

	log_info(
		"event=auth service=%s user=<%s> client=%s mechanism=%s tls=%d result=%s cached=%d duration_ms=%lld",
		connection_service_name(x->begin.service), log_quote(view_of(x->address)),
		net_address_text(&x->begin.client, client), auth_mechanism_name(x->mechanism),
		x->begin.tls, auth_verdict_name(verdict), x->cached,
		(long long)(loop_now_ms(authd.loop) - x->began_ms));
}

/* The last message of an exchange. */
static void answer(struct line *line, enum auth_verdict verdict, bool handed_over)
{
	struct auth_result r = { .verdict = verdict, .handed_over = handed_over };
	struct wire_out out = { 0 };

	if (verdict == AUTH_OK && line->exchange && !handed_over) {
		string_put(r.address, sizeof r.address, view_of(line->exchange->address));
		r.stamp = account_stamp(&line->exchange->record);
	}
	exchange_end(&line->exchange);
	auth_result_put(&out, &r);
	hub_line_send(&line->wire, &out);
	wire_out_free(&out);
}

static void answer_due(struct timer *t)
{
	struct exchange *x = loop_owner(t, struct exchange, delay);

	answer(x->line, x->verdict, false);
}

/* Says no after a while. The client's descriptors and the password are not needed for that. An
 * account that may not do this is no guess at a password, but neither shall its client try again
 * and again at full speed. */
static void refuse_later(struct exchange *x, enum auth_verdict verdict)
{
	int64_t now = loop_now_ms(authd.loop), wait_ms = authd.settings.auth_failure_delay_ms;

	if (verdict == AUTH_DENIED)
		wait_ms = delay_failed(authd.delay, &x->begin.client, view_of(x->address), now);
	log_result(x, verdict);
	forget_password(x);
	close_client(x);
	x->verdict = verdict;
	loop_timer_set(authd.loop, &x->delay, now + wait_ms);
}

static void refuse(struct exchange *x, enum auth_verdict verdict)
{
	log_result(x, verdict);
	answer(x->line, verdict, false);
}

/* ---- success ---- */

/* false: master's wire has no room for it now. */
static bool hand_over(struct exchange *x)
{
	const struct mailbox_session session = { &x->begin, x->address, text_view(&x->pending),
		                                 &x->record.user, account_stamp(&x->record) };
	enum wire_result r = mailbox_hand_over(authd.master.fd, &session);

	if (r == WIRE_AGAIN)
		return false;
	if (r == WIRE_OK) {
		log_result(x, AUTH_OK);
		answer(x->line, AUTH_OK, true);
	} else {
		refuse(x, AUTH_TEMPORARY);
	}
	return true;
}

static struct mapwire maps;

/* The answer that a reload waits for comes first. */
static void master_has_room(void)
{
	if (!mapwire_answer(&maps, authd.master.fd))
		return;
	LIST_EACH(x, &authd.handovers, struct exchange, handover)
		if (!hand_over(x))
			return;
	loop_change(authd.loop, &authd.master, LOOP_READ);
}

/* A crowd that logs in at once may fill the wire faster than master empties it: who comes then
 * waits, for as long as their session program does. */
static void hand_over_in_turn(struct exchange *x)
{
	if (authd.handovers.count == 0 && hand_over(x))
		return;
	forget_password(x);
	list_add_last(&authd.handovers, &x->handover);
	loop_change(authd.loop, &authd.master, LOOP_READ | LOOP_WRITE);
}

/* The password is right; is the account? */
static void accept_user(struct exchange *x)
{
	if (!account_may(&x->record.user, x->begin.service)) {
		refuse_later(x, AUTH_FORBIDDEN);
		return;
	}
	known_add(authd.known, &x->begin.client, view_of(x->address), loop_now_ms(authd.loop));
	if (x->begin.session.fd >= 0) {
		hand_over_in_turn(x);
	} else {
		log_result(x, AUTH_OK);
		answer(x->line, AUTH_OK, false);
	}
}

/* ---- the check ---- */

static struct view password_of(const struct exchange *x)
{
	return (struct view){ x->sasl->password, x->sasl->password_len };
}

/* The map may be another one before the exchange is over. */
static void keep_record(struct exchange *x)
{
	struct view hash = x->record.hash, home = x->record.user.home;

	text_init(&x->kept, hash.len + home.len);
	text_add(&x->kept, hash);
	text_add(&x->kept, home);
	x->record.hash = view_take(text_view(&x->kept), hash.len);
	x->record.user.home = view_skip(text_view(&x->kept), hash.len);
}

static void checked(struct check *check, enum hash_result result)
{
	struct exchange *x = loop_owner(check, struct exchange, check);

	if (!x->known || result == HASH_DIFFERS) {
		if (x->familiar)
			delay_failed_familiar(authd.delay, &x->begin.client, view_of(x->address),
			                      loop_now_ms(authd.loop));
		refuse_later(x, AUTH_DENIED);
	} else if (result == HASH_MATCHES) {
		cache_add(authd.cache, view_of(x->address), x->record.hash, password_of(x),
		          loop_now_ms(authd.loop));
		accept_user(x);
	} else {
		log_warn(
			"event=hash-unusable user=<%s> reason=\"unknown scheme, malformed, or over the limits of time and memory\"",
			log_quote(view_of(x->address)));
		refuse(x, AUTH_TEMPORARY);
	}
}

static void tell_busy(struct tally *tally, unsigned count)
{
	(void)tally;
	log_warn("event=auth-busy count=%u reason=\"too many passwords wait to be checked\"",
	         count);
}

/* Whoever has to give way hears of it with the delay of a failure: its client shall not try again
 * at full speed. */
static void let_check(struct exchange *x, enum trust trust)
{
	struct check *out = checker_submit(&x->check, trust, &x->begin.client, x->address);

	if (out == NULL)
		return;
	tally_add(&authd.busy);
	refuse_later(loop_owner(out, struct exchange, check), AUTH_TEMPORARY);
}

static enum trust trust_of(const struct exchange *x, int64_t now_ms)
{
	struct view account = view_of(x->address);
	struct delay_failures failures =
		delay_failures(authd.delay, &x->begin.client, account, now_ms);

	return known_trust(authd.known, &x->begin.client, account, &failures, now_ms);
}

/* Who guesses at others from where this account is known does not lock it out, nor who guesses at
 * it from elsewhere. */
static bool may_guess(const struct exchange *x, enum trust trust, int64_t now_ms)
{
	return delay_lets_guess(authd.delay, &x->begin.client, now_ms) ||
	       (trust == TRUST_FAMILIAR &&
	        delay_lets_familiar(authd.delay, &x->begin.client, view_of(x->address), now_ms));
}

static void check_password(struct exchange *x)
{
	int64_t now = loop_now_ms(authd.loop);

	if (!account_name(x->sasl->user, x->address)) {
		refuse_later(x, AUTH_DENIED);
		return;
	}
	enum map_result found = account_find(x->address, &x->record);

	if (found != MAP_FOUND)
		x->record = (struct password){ .hash = account_hash_for_nobody(x->address) };
	keep_record(x);

	if (found == MAP_DAMAGED) {
		log_warn("event=map-damaged map=passwords user=<%s>",
		         log_quote(view_of(x->address)));
		refuse(x, AUTH_TEMPORARY);
		return;
	}
	x->known = found == MAP_FOUND;
	if (x->known &&
	    cache_has(authd.cache, view_of(x->address), x->record.hash, password_of(x), now)) {
		x->cached = true;
		accept_user(x);
		return;
	}
	enum trust trust = trust_of(x, now);

	if (!may_guess(x, trust, now)) {
		refuse_later(x, AUTH_TEMPORARY);
		return;
	}
	x->familiar = trust == TRUST_FAMILIAR;
	x->check.stored = x->record.hash;
	x->check.password = password_of(x);
	x->check.done = checked;
	let_check(x, trust);
}

static void send_challenge(struct line *line, struct view challenge)
{
	struct wire_out out = { 0 };

	auth_message_put(&out, AUTH_CHALLENGE, challenge);
	hub_line_send(&line->wire, &out);
	wire_out_free(&out);
}

static void step(struct exchange *x, bool has_input, struct view input)
{
	struct view challenge = { "", 0 };

	switch (sasl_step(x->sasl, has_input, input, &challenge)) {
	case SASL_CHALLENGE: send_challenge(x->line, challenge); break;
	case SASL_CHECK: check_password(x); break;
	case SASL_DENIED:
		account_name(x->sasl->user, x->address);
		refuse_later(x, AUTH_DENIED);
		break;
	case SASL_MALFORMED: refuse(x, AUTH_MALFORMED); break;
	}
}

/* ---- what session programs say ---- */

static bool is_allowed(const struct door *door, const struct auth_begin *b)
{
	return door->services & 1u << b->service &&
	       (b->tls || authd.settings.auth_without_tls ||
	        !auth_mechanism_clear_text(auth_mechanism_find(view_of(b->mechanism))));
}

static void begin(struct line *line, struct wire_in *in)
{
	const struct door *door = line->wire.server->context;
	struct exchange *x = memory_get(sizeof *x);

	text_init(&x->pending, AUTH_PENDING_MAX);
	x->began_ms = loop_now_ms(authd.loop);
	x->line = line;
	x->delay.due = answer_due;
	line->exchange = x;
	if (!auth_begin_get(in, &x->begin)) {
		hub_line_drop(&line->wire, "invalid message");
		return;
	}
	struct view initial = x->begin.initial;

	text_add(&x->pending, x->begin.session.pending);
	x->begin.initial = x->begin.session.pending = (struct view){ "", 0 };
	x->mechanism = auth_mechanism_find(view_of(x->begin.mechanism));
	if (x->mechanism == AUTH_MECHANISM_COUNT) {
		answer(line, AUTH_MALFORMED, false);
		return;
	}
	if (!is_allowed(door, &x->begin)) {
		log_warn("event=auth-not-allowed wire=%s service=%s tls=%d", door->descriptor,
		         connection_service_name(x->begin.service), x->begin.tls);
		answer(line, AUTH_MALFORMED, false);
		return;
	}
	x->sasl = sasl_new();
	if (x->sasl == NULL) {
		answer(line, AUTH_TEMPORARY, false);
		return;
	}
	sasl_start(x->sasl, x->mechanism);
	step(x, x->begin.has_initial, initial);
}

static void message(struct hub_line *wire, struct wire_in *in)
{
	struct line *line = loop_owner(wire, struct line, wire);
	struct exchange *x = line->exchange;
	/* An answer is in order only while the mechanism waits for one. */
	bool asked = x != NULL && x->sasl != NULL && !checker_has(&x->check);

	if (in->type == AUTH_BEGIN && x == NULL) {
		begin(line, in);
	} else if (in->type == AUTH_ANSWER && asked) {
		struct auth_answer said;

		if (auth_answer_get(in, &said)) {
			text_clear(&x->pending);
			text_add(&x->pending, said.pending);
			step(x, true, said.bytes);
		} else {
			hub_line_drop(wire, "invalid message");
		}
	} else if (in->type == AUTH_CANCEL && x != NULL && wire_end(in)) {
		exchange_end(&line->exchange);
	} else {
		hub_line_drop(wire, "unexpected message");
	}
	wire_receive_wipe();
}

static void closed(struct hub_line *wire)
{
	exchange_end(&loop_owner(wire, struct line, wire)->exchange);
}

static bool busy(const struct hub_line *wire)
{
	return loop_owner(wire, const struct line, wire)->exchange != NULL;
}

/* ---- what master says ---- */

/* Logins under way end as they began; whoever is let in by the old map is told of by the parents of
 * session programs, and held against the new one. */
static void have_maps(void)
{
	account_renew();
	standing_again("");
}

static struct mapwire maps = { .program = "authd", .taken = have_maps };

static void master_ready(struct watch *w, unsigned events)
{
	struct wire_in in;
	enum wire_result r = events & LOOP_READ ? wire_receive_now(w->fd, &in) : WIRE_AGAIN;

	if (r == WIRE_OK) {
		if (!mapwire_said(&maps, w->fd, &in))
			loop_change(authd.loop, w, LOOP_READ | LOOP_WRITE);
		wire_in_close(&in);
	}
	if (r == WIRE_CLOSED)
		loop_change(authd.loop, w, 0); /* the house ends */
	else if (events & LOOP_WRITE)
		master_has_room();
}

/* ---- the life of the program ---- */

/* A worker needs no map of accounts and no record of who came in; what is remembered it has not
 * even in its memory (program_kept). */
static void forget(void)
{
	cache_free(&authd.cache);
	delay_free(&authd.delay);
	recent_free(&authd.known);
	account_close();
}

static void open_files(void)
{
	settings_inherit(&authd.settings);
	maps.maps = account_open(authd.settings.mail_domain);
}

static unsigned worker_count(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (authd.settings.auth_workers > 0)
		return (unsigned)authd.settings.auth_workers;
	return processors < 1 ? 1 : processors > 64 ? 64 : (unsigned)processors;
}

static void open_doors(void)
{
	for (unsigned i = 0; i < DOORS; i++) {
		struct hub *s = &doors[i].server;
		int fd = program_fd(doors[i].descriptor);

		if (fd < 0)
			continue; /* a house without this service */
		*s = (struct hub){ .loop = authd.loop,
			           .protocol = "auth",
			           .line_size = sizeof(struct line),
			           .lines_max = LINES_MAX,
			           .takes_descriptors = true,
			           .farewell = AUTH_GONE,
			           .workers_max = doors[i].services & (1 << CONNECTION_SMTP)
			                                  ? &authd.settings.smtpd_sessions_max
			                                  : &authd.settings.login_sessions_max,
			           .context = &doors[i],
			           .message = message,
			           .closed = closed,
			           .busy = busy };
		hub_start(s, fd);
	}
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_FORK };

	program_start("authd");
	open_files();
	if (sodium_init() < 0)
		log_fatal("libsodium cannot be initialised");
	unsigned workers = worker_count();
	const size_t cache_len = cache_bytes(CACHE_ENTRIES), delay_len = delay_bytes(DELAY_ENTRIES);
	char *kept = program_kept(cache_len + delay_len + recent_bytes(KNOWN_ENTRIES));

	bounds_confine("authd", &authd.settings, &profile);
	authd.loop = loop_new();
	authd.master = (struct watch){ .fd = program_need_fd("master"), .ready = master_ready };
	fcntl(authd.master.fd, F_SETFL, O_NONBLOCK);
	loop_watch(authd.loop, &authd.master, LOOP_READ);
	checker_start(authd.loop, workers, forget);
	authd.cache = cache_new(CACHE_ENTRIES, authd.settings.auth_cache_lifetime_ms, kept);
	authd.delay =
		delay_new(DELAY_ENTRIES, authd.settings.auth_failure_delay_ms, kept + cache_len);
	authd.known = known_new(KNOWN_ENTRIES, kept + cache_len + delay_len);
	authd.busy = (struct tally){ .loop = authd.loop, .tell = tell_busy };
	open_doors();
	standing_start(authd.loop);
	hubs_serve(authd.loop);
	cache_free(&authd.cache);
	return EXIT_DONE;
}
