/* SPDX-License-Identifier: ISC */
/* What answers to RCPT say of the address: the words of real hosts, and what senders do to them. */
#include "deliver/remote/refusal.h"

#include "t/tap.h"

static const struct refusal_parties parties = {
	.sender = "bounces+12=x-y@far.test",
	.recipient = "x@y.test",
	.us = "mail.example.test",
	.host = "mx.y.test",
};

enum { NO = REFUSAL_OTHER, UNKNOWN = REFUSAL_UNKNOWN, SURE = REFUSAL_SURE };

/* The lines of an answer, joined with \n, and the status that is told of it; NULL: its own. */
static const struct row {
	int refusal;
	const char *status, *lines;
} rows[] = {
	/* Exchange, Office 365, outlook.com */
	{ SURE, "5.1.1", "550 5.1.1 User unknown" },
	{ SURE, "5.1.1", "550 5.1.1 RESOLVER.ADR.ExRecipNotFound; not found" },
	{ SURE, "5.1.10",
	  "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient x@y.test not found by SMTP address "
	  "lookup" },
	{ SURE, "5.1.1",
	  "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) "
	  "[DM6NAM11FT053.eop-nam11.prod.protection.outlook.com 2024-01-01T00:00:00.000Z 08DC]" },
	{ SURE, "5.1.1",
	  "550 5.4.1 [x@y.test]: Recipient address rejected: Access denied "
	  "[DB5EUR03FT004.eop-EUR03.prod.protection.outlook.com]" },
	{ SURE, "5.1.1",
	  "550 5.4.1 All recipient addresses rejected : Access denied [eop.outlook.com]" },
	{ UNKNOWN, "5.1.1",
	  "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). "
	  "[BL6PEPF0001AB71.namprd04.prod.outlook.com]" },
	{ NO, NULL, "550 5.4.1 Relay Access Denied" },
	{ NO, NULL, "550 5.7.1 Unable to relay" },
	{ NO, NULL, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain" },
	{ NO, NULL, "550 5.7.64 TenantAttribution; Relay Access Denied SMTP" },
	{ NO, NULL, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]" },
	{ NO, NULL, "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup" },
	{ NO, NULL, "550 5.1.8 Access denied, bad outbound sender" },
	{ NO, NULL, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException" },
	{ NO, NULL,
	  "550 5.2.122 The recipient has exceeded their limit for the number of messages they can "
	  "receive per hour" },
	{ NO, NULL, "550 5.2.1 RecipientThreadLimit exceeded" },
	{ NO, NULL, "501 5.1.3 Invalid address" },
	/* Gmail */
	{ SURE, "5.1.1",
	  "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
	  "550-5.1.1 double-checking the recipient's email address for typos or\n"
	  "550-5.1.1 unnecessary spaces. For more information, go to\n"
	  "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser a640c23a62f3a-ab1si42 - gsmtp" },
	{ SURE, "5.2.1",
	  "550-5.2.1 The email account that you tried to reach is disabled. For more\n"
	  "550-5.2.1 information, go to\n"
	  "550 5.2.1  https://support.google.com/mail/?p=DisabledUser d75a77b69052e-4f - gsmtp" },
	{ SURE, "5.2.1",
	  "550 5.2.1 The email account that you tried to reach is inactive. Learn more at "
	  "https://support.google.com/mail/?p=DisabledUser - gsmtp" },
	{ NO, NULL,
	  "550-5.2.1 The user you are trying to contact is receiving mail at a rate that\n"
	  "550-5.2.1 prevents additional messages from being delivered. For more\n"
	  "550-5.2.1 information, go to\n"
	  "550 5.2.1  https://support.google.com/mail/?p=ReceivingRatePerm - gsmtp" },
	{ NO, NULL,
	  "552-5.2.2 The email account that you tried to reach is over quota and inactive. "
	  "https://support.google.com/mail/?p=OverQuotaPerm - gsmtp\n552 5.2.2 x" },
	{ NO, NULL,
	  "550 5.7.1 Our system has detected that this message is likely unsolicited mail" },
	/* Postfix */
	{ SURE, "5.1.1",
	  "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in local recipient table" },
	{ SURE, "5.1.1",
	  "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in relay recipient table" },
	{ SURE, "5.1.1",
	  "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in virtual mailbox table" },
	{ SURE, "5.1.1", "550 5.1.1 <x@y.test>: Recipient address rejected: y.test" },
	{ SURE, "5.1.1",
	  "550 5.1.0 <x@y.test>: Recipient address rejected: User unknown in virtual alias table" },
	{ SURE, "5.1.6",
	  "550 5.1.6 <x@y.test>: Recipient address rejected: User unknown in local recipient table" },
	{ NO, NULL,
	  "550 5.1.6 <x@y.test>: Recipient address rejected: User has moved to x@z.test" },
	{ NO, NULL, "550 5.1.2 <x@y.test>: Recipient address rejected: Domain not found" },
	{ NO, NULL,
	  "550 5.1.1 <x@y.test>: Recipient address rejected: undeliverable address: host "
	  "mail[10.0.0.1] said: 552 5.2.2 Mailbox full (in reply to RCPT TO command)" },
	{ NO, NULL,
	  "550 5.1.1 <x@y.test>: Recipient address rejected: unverified address: connect to "
	  "10.0.0.1[10.0.0.1]:25: Connection timed out" },
	{ NO, NULL,
	  "550 5.1.0 <a@b.test>: Sender address rejected: User unknown in local recipient table" },
	{ NO, NULL, "554 5.7.1 <x@y.test>: Relay access denied" },
	{ NO, NULL, "554 5.7.1 <x@y.test>: Recipient address rejected: Access denied" },
	{ NO, NULL, "550 5.1.1 <x@y.test>: Recipient address rejected: Access denied" },
	{ NO, NULL,
	  "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org" },
	{ NO, NULL,
	  "550 5.7.23 <x@y.test>: Recipient address rejected: Message rejected due to: SPF" },
	{ NO, NULL, "550 5.1.1 <x@y.test>: Recipient address rejected: Greylisted, try again" },
	{ NO, NULL, "450 4.1.1 <x@y.test>: Recipient address rejected: unverified address" },
	{ NO, NULL, "450 4.1.1 <x@y.test>: Recipient address rejected: User unknown" },
	/* Exim, cPanel */
	{ SURE, "5.1.1", "550 Unrouteable address" },
	{ SURE, "5.1.1", "550 Unknown user" },
	{ SURE, "5.1.1", "550-User unknown\n550 in this house" },
	{ SURE, "5.1.1", "550 No Such User Here" },
	{ SURE, "5.1.1", "550 No such person at this address" },
	{ SURE, "5.1.1", "550 <x@y.test>: Unrouteable address" },
	{ NO, NULL,
	  "550-Verification failed for <a@b.test>\n550-Unrouteable address\n"
	  "550 Sender verify failed" },
	{ NO, NULL,
	  "550-Callout verification failed:\n550 5.1.1 <x@y.test>: Recipient address rejected: "
	  "User unknown" },
	{ NO, NULL, "550 Previous (cached) callout verification failure" },
	{ NO, NULL, "550 relay not permitted" },
	{ NO, NULL, "550 Administrative prohibition" },
	{ NO, NULL, "550 Mailbox is full / Mailbox quota usage exceeded" },
	{ NO, NULL, "550 Rate limit exceeded: no such user may have more" },
	/* sendmail */
	{ SURE, "5.1.1", "550 5.1.1 <x@y.test>... User unknown" },
	{ SURE, "5.1.1", "550 <x@y.test>... User unknown" },
	{ SURE, "5.2.1", "550 5.2.1 <x@y.test>... Mailbox disabled for this recipient" },
	{ NO, NULL, "550 5.1.2 <x@y.test>... Host unknown (Name server: y.test: host not found)" },
	{ NO, NULL, "550 5.7.1 <x@y.test>... Relaying denied" },
	{ NO, NULL, "550 5.7.1 <x@y.test>... User unknown" },
	{ NO, NULL, "553 5.1.8 <a@b.test>... Domain of sender address a@b.test does not exist" },
	{ NO, NULL, "550 5.3.0 <x@y.test>... Rejected" },
	{ NO, NULL, "553 5.3.0 <x@y.test>... Spam blocked" },
	/* qmail, chkuser */
	{ SURE, "5.1.1", "553 sorry, no mailbox here by that name (#5.1.1)" },
	{ SURE, "5.1.1", "550 sorry, no mailbox here by that name. (#5.1.1)" },
	{ SURE, "5.1.1", "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)" },
	{ NO, NULL, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)" },
	{ NO, NULL, "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)" },
	{ NO, NULL, "553 sorry, no such user may relay (#5.7.1)" },
	{ NO, NULL, "550 sorry, invalid MX for sender (#5.1.8)" },
	{ NO, NULL, "571 sorry, you are violating our security policies (#5.7.1 - chkuser)" },
	/* LMTP: Dovecot, Cyrus */
	{ SURE, "5.1.1", "550 5.1.1 <x@y.test> User doesn't exist: x@y.test" },
	{ NO, NULL, "552 5.2.2 <x@y.test> Quota exceeded (mailbox for user is full)" },
	{ NO, NULL, "451 4.3.0 <x@y.test> Temporary internal error" },
	{ SURE, "5.1.1",
	  "550-Mailbox unknown.  Either there is no mailbox associated with this\n"
	  "550-name or you do not have authorization to see it.\n550 5.1.1 User unknown" },
	{ NO, NULL, "552 5.2.2 Over quota" },
	/* Barracuda, Mimecast, Proofpoint */
	{ SURE, "5.1.1", "550 No such user (x@y.test)" },
	{ SURE, "5.1.1", "550 <x@y.test>: Recipient address rejected: No such user (x@y.test)" },
	{ NO, NULL,
	  "554 Service unavailable; Client host [mail.example.test] blocked using Barracuda "
	  "Reputation; http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1" },
	{ SURE, "5.1.1",
	  "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [abc.uk12]" },
	{ NO, NULL,
	  "550 Administrative prohibition - envelope blocked - "
	  "https://community.mimecast.com/docs/DOC-1369#550 [abc.uk12]" },
	{ NO, NULL, "550 Local CT IP Reputation Reject - https://community.mimecast.com/" },
	{ SURE, "5.1.1", "550 5.1.1 <x@y.test>... User Unknown" },
	{ SURE, "5.1.1", "550 Invalid recipient: x@y.test" },
	{ NO, NULL, "550 5.7.0 Local Policy Violation" },
	{ NO, NULL, "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1" },
	/* Zoho, Yahoo, Yandex, Mail.ru, QQ, GMX and IONOS, iCloud, AT&T, Orange, Comcast */
	{ SURE, "5.1.1", "550 5.1.1 User does not exist - <x@y.test>" },
	{ NO, NULL, "552 5.1.1 <x@y.test> Mailbox delivery failure policy error" },
	{ NO, NULL, "550 5.1.1 <x@y.test> Mailbox delivery failure policy error" },
	{ NO, NULL, "554 5.2.1 Too many failures for the recipient" },
	{ UNKNOWN, "5.1.1", "541 5.4.1 Mail rejected by destination domain" },
	{ NO, NULL, "552 1 Requested mail action aborted, mailbox not found" },
	{ NO, NULL, "554 delivery error: dd This user doesn't have a y.test account (x@y.test)" },
	{ NO, NULL, "551 5.3.0 Unknown error" },
	{ NO, NULL, "550 5.7.1 No such user!" },
	{ SURE, "5.1.1",
	  "550 Message was not accepted -- invalid mailbox. Local mailbox x@y.test is unavailable: "
	  "user not found" },
	{ SURE, "5.1.1",
	  "550 Message was not accepted -- invalid mailbox. Local mailbox x@y.test is unavailable: "
	  "account is disabled" },
	{ SURE, "5.1.1", "550 Mailbox not found. http://service.exmail.qq.com/cgi-bin/help" },
	{ NO, NULL, "550 Mailbox unavailable or access denied" },
	{ NO, NULL, "550 Sender frequency limited. http://service.exmail.qq.com/" },
	{ UNKNOWN, "5.1.1", "550 Requested action not taken: mailbox unavailable" },
	{ NO, NULL,
	  "550-Requested action not taken: mailbox unavailable\n"
	  "550 Failure sending mail. Try again later" },
	{ NO, NULL,
	  "550-Requested action not taken: mailbox unavailable\n"
	  "550 invalid DNS MX or A/AAAA resource record" },
	{ NO, NULL,
	  "550 Requested action not taken: mailbox unavailable. Reject due to policy restrictions" },
	{ SURE, "5.1.1", "550 5.1.1 <x@y.test>: user does not exist" },
	{ NO, NULL, "550 5.2.1 This mailbox has been blocked due to inactivity" },
	{ NO, NULL, "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]" },
	{ NO, NULL, "552 5.1.1 x@y.test extended quota violation" },
	{ SURE, "5.1.1", "550 5.1.1 Not our Customer" },
	/* RFC 5321, 3463, 7505 */
	{ SURE, "5.1.1", "551 User not local; please try <x@z.test>" },
	{ NO, NULL, "551 please try <x@z.test>" },
	{ SURE, "5.1.10", "556 5.1.10 null MX" },
	{ NO, NULL, "550 5.4.4 unable to route" },
	{ SURE, "5.1.1", "550 5.4.4 unknown user" },
	{ SURE, "5.1.1", "550 no such user." },
	{ SURE, "5.1.1", "550 x@y.test: Recipient unknown" },
	{ SURE, "5.1.1", "554 No such user (x)" },
	{ SURE, "5.2.1", "550 5.2.1 account disabled" },
	{ NO, NULL, "550 5.2.1 go away" },
	{ NO, NULL, "550 5.2.1 mailbox unavailable" },
	{ SURE, "5.2.1", "550 5.2.1 x@y.test is no longer here" },
	{ UNKNOWN, "5.1.1", "550 5.4.1 Mail rejected by destination domain" },
	{ SURE, "5.1.1", "554 delivery error: dd No such user - x@y.test" },
	{ NO, NULL, "550 5.1.1 x@y.test mailbox full" },
	{ NO, NULL, "550 5.1.7 bad sender" },
	{ NO, NULL, "550 5.1.8 unknown user" },
	{ NO, NULL, "550 5.1.0 sender rejected" },
	{ NO, NULL, "552 mailbox unavailable" },
	{ NO, NULL, "550 5.3.4 too large" },
	{ NO, NULL, "450 unknown user" },
	{ NO, NULL, "503 unknown user" },
	{ NO, NULL, "503 5.1.1 unknown user" },
	{ NO, NULL, "550" },
	{ NO, NULL, "550 " },
	{ NO, NULL, "550 no" },
	{ NO, NULL, "550 5.0.0 no" },
	{ NO, NULL, "550 sender not welcome" },
	{ NO, NULL, "550 no such user, or your SPF record" },
	{ NO, NULL, "550 rejected because 192.0.2.1 is in a black list: no such user" },
	{ NO, NULL, "550 5.1.1 no such user at the moment, come back later" },
	{ NO, NULL, "550 unknown user@z.test" },
	{ NO, NULL, "550 a.user unknown" },
	{ NO, NULL, "550 super-user unknown.host.test" },
};

static enum refusal judge(struct reply *r, const char *lines, const struct refusal_parties *p)
{
	struct view rest = view_of(lines), line;

	reply_clear(r);
	while (view_cut(&rest, '\n', &line))
		if (!reply_line(r, line))
			ok(false, "%s: no reply", lines);
	return refusal_judge(r, p);
}

static void check_hosts(void)
{
	struct refusal_parties other = parties;
	struct reply r;

	other.recipient = NULL;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int refusal = (int)judge(&r, rows[i].lines, &parties);

		if (ok(refusal == rows[i].refusal, "%.*s: %d",
		       (int)view_find(view_of(rows[i].lines), '\n'), rows[i].lines, refusal) &&
		    rows[i].status) {
			refusal_be_precise(&r);
			is_string(r.status, rows[i].status, "its status");
		}
		if (judge(&r, rows[i].lines, &other) != REFUSAL_OTHER)
			ok(false, "%s, but not to RCPT", rows[i].lines);
	}
}

/* Names that no stranger chooses, and what a stranger makes a host say. */
static void check_parties(void)
{
	static const struct {
		int refusal;
		const char *sender, *recipient, *lines;
	} quotes[] = {
		{ SURE, "", "x@y.test", "550 User unknown" },
		{ SURE, "a@b.test", "relay-list@y.test",
		  "550 5.1.1 <relay-list@y.test>: User unknown" },
		{ SURE, "a@b.test", "x@lists.y.test", "550 unknown user at lists.y.test" },
		{ NO, "a@b.test", "policy@y.test", "550 5.1.1 <policy@y.test>: against policy" },
		{ NO, "a@b.test", "sender@y.test", "550 5.1.1 sender unknown" },
		{ SURE, "a@b.test", "x@y.test", "550 mx.y.test: no such user" },
		/* text of a sender's */
		{ NO, "#5.1.1/x@evil.test", "x@y.test",
		  "550 <#5.1.1/x@evil.test>: mail is not taken" },
		{ NO, "/#5.1.1/@evil.test", "x@y.test",
		  "550 </#5.1.1/@evil.test>: mail is not taken" },
		{ NO, "\"(#5.1.1)\"@evil.test", "x@y.test",
		  "550 <\"(#5.1.1)\"@evil.test>: no mail" },
		{ NO, "\"no such user\"@evil.test", "x@y.test",
		  "550 <\"no such user\"@evil.test>: no mail" },
		{ UNKNOWN, "\"no such user\"@evil.test", "x@y.test", "550 no such user: no mail" },
		{ NO, "#5.1.1@evil.test", "x@y.test", "550 #5.1.1 at evil.test: no mail" },
		{ UNKNOWN, "a/b@evil.test", "x@y.test", "550 5.1.1 User unknown" },
		{ NO, "user@evil.test", "x@y.test", "550 mail of user unknown here" },
		{ NO, "unknown@user", "x@y.test", "550 unknown user" },
		{ NO, "5.1.1@evil.test", "x@y.test", "550 5.1.1 is not welcome here" },
		{ NO, "policy@evil.test", "x@y.test", "550 5.1.1 against policy" },
		{ NO, "sender@evil.test", "x@y.test",
		  "550 5.1.1 <sender@evil.test> has no mail for us" },
		/* and ours */
		{ NO, "a@b.test", "x@y.test",
		  "550 no such mail.example.test user unknown.mail.example.test" },
		{ SURE, "a@b.test", "x@y.test", "550 5.1.1 mail.example.test: User unknown" },
	};
	struct reply r;

	for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
		struct refusal_parties p = parties;

		p.sender = quotes[i].sender;
		p.recipient = quotes[i].recipient;
		int refusal = (int)judge(&r, quotes[i].lines, &p);

		ok(refusal == quotes[i].refusal, "<%s> to <%s>: %s: %d", p.sender, p.recipient,
		   quotes[i].lines, refusal);
	}
}

static void check_cut(void)
{
	char line[REPLY_LINE_MAX];
	struct reply r;

	for (int precise = 0; precise < 2; precise++) {
		memset(line, 'x', sizeof line);
		memcpy(line, precise ? "550 5.1.1 unknown " : "550 no such user  ", 18);
		reply_clear(&r);
		ok(reply_line(&r, (struct view){ line, sizeof line }) &&
		           refusal_judge(&r, &parties) == REFUSAL_OTHER,
		   "of words that are cut the rest may be about something else");
	}
}

int main(void)
{
	check_hosts();
	check_parties();
	check_cut();
	return tap_done();
}
