/* SPDX-License-Identifier: ISC */
/*
 * sendmail: what programs call to send mail; also mailq and newaliases, by name.
 *
 * Runs as its caller, with no privilege at all. It trusts its caller; it reads posthouse.conf
 * (where the house is) and standard input, and writes to the submission socket, where pickup asks
 * the kernel who calls. When the house is down, it hands the message to the helper drop. Who owns
 * it has what its caller has.
 */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/mail/esmtp.h"
#include "lib/queue/ask.h"
#include "queue/submit/sendmail.h"

enum mode { MODE_SEND, MODE_SMTP, MODE_LIST, MODE_ALIASES, MODE_FLUSH };

static int usage(const char *text)
{
	log_warn("%s", text);
	return EX_USAGE;
}

/* The gecos field up to its comma, & being the login name. */
static void take_full_name(struct sending *s)
{
	const struct passwd *p = getpwuid(getuid());
	struct text name;

	if (s->envelope.full_name[0] || p == NULL || p->pw_gecos == NULL)
		return;
	text_init(&name, sizeof s->envelope.full_name - 1);
	for (const char *c = p->pw_gecos; *c && *c != ','; c++) {
		size_t before = name.len;

		if (*c == '&')
			text_add_string(&name, p->pw_name);
		else
			text_add_byte(&name, *c);
		if (*c == '&' && name.len > before)
			name.raw[before] = byte_upper(name.raw[before]);
	}
	/* A display name: cut where it is long. */
	string_cut(s->envelope.full_name, sizeof s->envelope.full_name, text_view_cut(&name));
	text_free(&name);
}

static int take_sender(struct sending *s, const char *given)
{
	struct view v = view_trim(view_of(given));

	if (v.len >= 2 && v.data[0] == '<' && v.data[v.len - 1] == '>')
		v = view_take(view_skip(v, 1), v.len - 2);
	s->envelope.sender_given = true;
	return string_copy(s->envelope.sender, sizeof s->envelope.sender, v)
	               ? EX_OK
	               : usage("-f: the address is too long");
}

static int take_notify(struct sending *s, const char *given)
{
	struct view rest = view_of(given), word;

	s->notify = 0;
	while (view_cut(&rest, ',', &word))
		if (!esmtp_notify_word(view_trim(word), &s->notify))
			return usage(
				"-N takes never, or success, failure and delay separated by commas");
	if (s->notify & ENVELOPE_NOTIFY_NEVER && s->notify != ENVELOPE_NOTIFY_NEVER)
		return usage("-N: never cannot be combined with others");
	return EX_OK;
}

static int take_ret(struct sending *s, const char *given)
{
	if (strcasecmp(given, "full") == 0)
		s->envelope.ret = 'F';
	else if (strcasecmp(given, "hdrs") == 0)
		s->envelope.ret = 'H';
	else
		return usage("-R takes full or hdrs");
	return EX_OK;
}

static int take_envid(struct sending *s, const char *given)
{
	struct text out;

	text_init(&out, sizeof s->envelope.envid - 1);
	esmtp_xtext(&out, view_of(given));
	bool fits = !out.full &&
	            string_copy(s->envelope.envid, sizeof s->envelope.envid, text_view(&out));

	text_free(&out);
	return fits ? EX_OK : usage("-V: the envelope id is too long");
}

static int take_mode(enum mode *mode, const char *given)
{
	switch (given[0]) {
	case 'm': *mode = MODE_SEND; return EX_OK;
	case 's': *mode = MODE_SMTP; return EX_OK;
	case 'p': *mode = MODE_LIST; return EX_OK;
	case 'i': *mode = MODE_ALIASES; return EX_OK;
	case 'd':
	case 'D': return usage("-bd: use posthouse start to start the server");
	default: return usage("-b takes m, s, p or i here");
	}
}

/* -oX: the old single letters, and -O Name=value. Only -oi has a meaning left. */
static void take_option(struct sending *s, const char *given)
{
	if (strcmp(given, "i") == 0 || strcasecmp(given, "IgnoreDots") == 0 ||
	    strcasecmp(given, "IgnoreDots=true") == 0)
		s->dot_is_text = true;
}

/* -q alone asks for another attempt now; an interval was meant for a sendmail that runs queues
 * itself. */
static int take_flush(enum mode *mode, const char *given)
{
	if (given && byte_is_digit(given[0]))
		return usage(
			"-q with an interval: queued retries by itself; the settings are queue.retry-*");
	*mode = MODE_FLUSH;
	return EX_OK;
}

/* Options that mean something to other sendmails are taken and do nothing. */
static int take_options(struct sending *s, enum mode *mode, int argc, char **argv)
{
	int option, code = EX_OK;

	while (code == EX_OK &&
	       (option = getopt(argc, argv,
	                        "A:B:b:C:cd::e:F:f:Gh:IiL:mN:nO:o:p:q::R:r:sTtUV:vX:x")) != -1) {
		switch (option) {
		case 'b': code = take_mode(mode, optarg); break;
		case 'F':
			string_cut(s->envelope.full_name, sizeof s->envelope.full_name,
			           view_of(optarg));
			break;
		case 'f':
		case 'r': code = take_sender(s, optarg); break;
		case 'i': s->dot_is_text = true; break;
		case 'N': code = take_notify(s, optarg); break;
		case 'O':
		case 'o': take_option(s, optarg); break;
		case 'q': code = take_flush(mode, optarg); break;
		case 'R': code = take_ret(s, optarg); break;
		case 't': s->read_recipients = true; break;
		case 'V': code = take_envid(s, optarg); break;
		case '?': return usage("sendmail(8) has the options");
		default: break;
		}
	}
	return code;
}

/* ---- the queue ---- */

static int ask_queue(const struct sending *s, enum mode mode)
{
	struct reason why;
	struct queue_list list = { .out = stdout };
	struct control_counts counts;
	int fd = queue_ask_open(s->paths.run, &why), done = -1;

	if (fd < 0) {
		log_warn("%s", why.text);
		return fd == -EXIT_TEMPORARY ? EX_UNAVAILABLE : EX_NOPERM;
	}
	if (mode == MODE_LIST) {
		done = queue_ask_list(fd, "", queue_list_print, &list, &why);
		if (done == 0)
			queue_list_print_end(&list);
		if (done == 0 && queue_ask_counts(fd, &counts) == 0)
			queue_list_print_counts(&counts, stdout);
	} else if (queue_ask_change(fd, CONTROL_QUEUE_RETRY, "", &why) >= 0) {
		done = 0;
	}
	close(fd);
	if (done == 0)
		return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
	log_warn("%s", why.text);
	return EX_UNAVAILABLE;
}

static int rebuild_aliases(void)
{
	execl(SBINDIR "/posthouse", "posthouse", "build", "--reload", (char *)NULL);
	execlp("posthouse", "posthouse", "build", "--reload", (char *)NULL);
	log_warn("%s/posthouse build: %m", SBINDIR);
	return EX_OSFILE;
}

static enum mode mode_of_name(const char *name)
{
	const char *base = strrchr(name, '/');

	base = base ? base + 1 : name;
	if (strcmp(base, "mailq") == 0)
		return MODE_LIST;
	return strcmp(base, "newaliases") == 0 ? MODE_ALIASES : MODE_SEND;
}

int main(int argc, char **argv)
{
	struct sending s = { .notify = 0 };
	enum mode mode = mode_of_name(argc ? argv[0] : "");

	log_open(mode == MODE_LIST ? "mailq" : mode == MODE_ALIASES ? "newaliases" : "sendmail");
	log_plain();
	log_set_fatal_code(EX_TEMPFAIL);
	int code = take_options(&s, &mode, argc, argv);

	if (code != EX_OK)
		return code;
	struct reason why;

	if (paths_find(&s.paths, true, &why) < 0) {
		log_warn("%s", why.text);
		return EX_TEMPFAIL;
	}
	take_full_name(&s);
	switch (mode) {
	case MODE_SMTP: return send_smtp(&s);
	case MODE_LIST:
	case MODE_FLUSH: return ask_queue(&s, mode);
	case MODE_ALIASES: return rebuild_aliases();
	case MODE_SEND: break;
	}
	return send_message(&s, argv + optind, argc - optind);
}
