#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""smtpd: golden sessions, each also sent one byte at a time."""
import base64
import hashlib
import pathlib
import re
import select
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import smtphouse
import waiting
from house import CORPUS
from smtphouse import (CONNECTION_PROGRESS, LATER, RELAY, REJECT, RESOLVE_CLIENT, RESOLVE_RECIPIENT, SMTP, SUBMISSION, Client, Smtp,
                       receive_beside)
from tap import done, is_, ok, skip
from wirehouse import PATIENCE_SECONDS, WIRE_DONE, maker, receive

EHLO = r"250-mail.example.test\n250-PIPELINING\n250-SIZE 52428800\n250-STARTTLS\n250-8BITMIME\n250-DSN\n250 ENHANCEDSTATUSCODES"
ID = r"250 2.0.0 queued as \d{13}"
OK_MAIL, OK_RCPT, GO = r"250 2.1.0 .*", r"250 2.1.5 .*", r"354 .*"
LINE = b"z" * 98 + b"\r\n"

# Each: name, options of client(), then what is sent (a string, with its line ends) and the replies to it
# (regular expressions; None: the end of the connection).
SESSIONS = [
    ("a message", {}, [
        ("EHLO me.test\r\n", [EHLO]),
        ("MAIL FROM:<a@far.test>\r\n", [OK_MAIL]),
        ("RCPT TO:<b@example.test>\r\n", [OK_RCPT]),
        ("DATA\r\n", [GO]),
        ("Subject: x\r\n\r\nhello\r\n..dot\r\n.\r\n", [ID]),
        ("QUIT\r\n", [r"221 2.0.0 .*", None])]),
    ("pipelined, two messages, as RFC 2920 has it", {}, [
        ("EHLO me.test\r\n", [EHLO]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n",
         [OK_MAIL, OK_RCPT, r"550 5.1.1 <nobody@example.test> no such mailbox here", GO]),
        ("x: y\r\n\r\none\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n", [ID, OK_MAIL, OK_RCPT, GO]),
        ("x: y\r\n\r\ntwo\r\n.\r\nQUIT\r\n", [ID, r"221 .*", None])]),
    ("HELO, blanks where clients put them, lower case", {}, [
        ("helo me.test\r\n", [r"250 mail.example.test"]),
        ("mail from: <a@far.test> \r\n", [OK_MAIL]),
        ("rcpt to: <Postmaster>\r\n", [r"250 2.1.5 .*|550 .*"]),
        ("rset\r\nnoop\r\nnoop x\r\nvrfy b\r\nhelp\r\nexpn list\r\n",
         [r"250 2.0.0 .*", r"250 2.0.0 .*", r"250 2.0.0 .*", r"252 2.5.2 .*", r"214 2.0.0 .*", r"502 5.5.1 .*"]),
        ("quit\r\n", [r"221 .*", None])]),
    ("order", {}, [
        ("MAIL FROM:<a@far.test>\r\n", [r"503 5.5.1 .*"]),
        ("RCPT TO:<b@example.test>\r\n", [r"503 5.5.1 .*"]),
        ("EHLO me.test\r\n", [EHLO]),
        ("RCPT TO:<b@example.test>\r\n", [r"503 5.5.1 send MAIL first"]),
        ("MAIL FROM:<a@far.test>\r\nMAIL FROM:<a@far.test>\r\n", [OK_MAIL, r"503 5.5.1 .*"]),
        ("DATA\r\n", [r"503 5.5.1 no valid recipients"]),
        ("QUIT\r\n", [r"221 .*", None])]),
    ("EHLO ends a transaction", {}, [
        ("EHLO me.test\r\n", [EHLO]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test>\r\nEHLO me.test\r\n", [OK_MAIL, OK_RCPT, EHLO]),
        ("DATA\r\n", [r"503 5.5.1 .*"]),
        ("RSET\r\nMAIL FROM:<a@far.test>\r\nRSET\r\nRCPT TO:<b@example.test>\r\n",
         [r"250 .*", OK_MAIL, r"250 .*", r"503 .*"])]),
    ("syntax", {}, [
        ("HELO\r\n", [r"501 5.5.4 .*"]),
        ("FOO bar\r\n", [r"500 5.5.1 .*"]),
        ("\r\n", [r"500 .*"]),
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL\r\nRSET x\r\n", [r"501 5.5.4 .*", r"501 5.5.4 .*"]),
        ("HELO me.test\r\n", [r"250 .*"])]),
    ("addresses", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL FROM:<a@@b>\r\nMAIL FROM:<a@b\r\nMAIL FROM:<a@far.test> FOO=1\r\n",
         [r"501 5.1.7 .*", r"501 5.1.7 .*", r"555 5.5.4 .*"])]),
    ("addresses as others have them", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        (f"MAIL FROM:<user+caf_={'x' * 120}=host@far.test>\r\nRSET\r\n", [OK_MAIL, r"250 .*"]),
        ("MAIL FROM:<a..b@far.test>\r\nRSET\r\nMAIL FROM:<.a@far.test>\r\nRSET\r\nMAIL FROM:<name.@far.test>\r\nRSET\r\n",
         [OK_MAIL, r"250 .*"] * 3)]),
    ("a host name with umlauts, from a stranger", {}, [
        ("EHLO M\xdcLLER\r\n", [r"501 5.5.4 .*"])]),
    ("a host name with umlauts, from a user", {"service": SUBMISSION, "tls": True}, [
        ("EHLO M\xdcLLER\r\n", [r"(?s)250-.*"]),
        ("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\r\n", [r"235 2.7.0 .*"]),
        ("MAIL FROM:<anna@example.test>\r\nRCPT TO:<a..b@far.test>\r\n", [OK_MAIL, OK_RCPT])]),
    ("parameters", {}, [
        ("EHLO me.test\r\n", [EHLO]),
        ("MAIL FROM:<a@far.test> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2B1 AUTH=<>\r\nRSET\r\n", [OK_MAIL, r"250 .*"]),
        ("MAIL FROM:<a@far.test> SIZE=99999999999999999999\r\n", [r"552 5.3.4 .*"]),
        ("MAIL FROM:<a@far.test> SIZE=1 SIZE=1\r\n", [r"501 5.5.4 .*"]),
        ("MAIL FROM:<a@far.test> BODY=9BIT\r\n", [r"501 5.5.4 .*"]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test> NOTIFY=NEVER,SUCCESS\r\nRCPT TO:<b@example.test> SIZE=1\r\n",
         [OK_MAIL, r"501 5.5.4 .*", r"555 5.5.4 .*"])]),
    ("who may send, and to whom", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL FROM:<spam@evil.test>\r\n", [r"550 5.7.1 go away"]),
        ("MAIL FROM:<a@far.test>\r\n", [OK_MAIL]),
        ("RCPT TO:<x@far.test>\r\nRCPT TO:<late@example.test>\r\n",
         [r"550 5.7.1 <x@far.test> relaying denied", r"451 4.3.0 .*"]),
        ("RCPT TO:<@example.test:x@far.test>\r\n", [r"550 5.7.1 <x@far.test> relaying denied"])]),
    ("bare LF in a command", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("NOOP\nMAIL FROM:<a@far.test>\r\n", [r"500 5.5.2 .*"]),
        ("NOOP\r\n", [r"250 .*"])]),
    ("bare LF in a message: refused, in step", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n", [OK_MAIL, OK_RCPT, GO]),
        ("x: y\n\r\nz\r\n.\r\nNOOP\r\n", [r"554 5.6.0 .*", r"250 2.0.0 .*"])]),
    ("bare CR in a message: refused, in step", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n", [OK_MAIL, OK_RCPT, GO]),
        ("x: y\r\n\r\na\rb\r\n.\r\nNOOP\r\n", [r"554 5.6.0 .*", r"250 2.0.0 .*"])]),
    ("NUL in a message: refused, in step", {}, [
        ("HELO me.test\r\n", [r"250 .*"]),
        ("MAIL FROM:<a@far.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n", [OK_MAIL, OK_RCPT, GO]),
        ("x: y\r\n\r\na\0b\r\n.\r\nNOOP\r\n", [r"554 5.6.0 .*", r"250 2.0.0 .*"])]),
    ("AUTH on port 25", {"tls": True}, [
        ("EHLO me.test\r\n", [EHLO.replace(r"250-STARTTLS\n", "")]),
        ("AUTH PLAIN\r\n", [r"502 5.5.1 .*"])]),
    ("submission without a password", {"service": SUBMISSION, "tls": True}, [
        ("EHLO me.test\r\n", [r"(?s).*250-AUTH PLAIN LOGIN\n.*"]),
        ("MAIL FROM:<anna@example.test>\r\n", [r"530 5.7.0 .*"])]),
    ("no password without TLS", {"service": SUBMISSION}, [
        ("EHLO me.test\r\n", [EHLO]),
        ("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\r\n", [r"538 5.7.11 .*"])]),
    ("AUTH PLAIN", {"service": SUBMISSION, "tls": True}, [
        ("EHLO me.test\r\n", [r"(?s)250-.*"]),
        ("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHdyb25n\r\n", [r"535 5.7.8 .*"]),
        ("AUTH PLAIN !!!\r\n", [r"501 5.5.2 .*"]),
        ("AUTH FOO\r\n", [r"504 5.5.4 .*"]),
        ("AUTH PLAIN\r\n", [r"334 "]),
        ("*\r\n", [r"501 5.7.0 .*"]),
        ("AUTH PLAIN\r\n", [r"334 "]),
        ("AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\r\n", [r"235 2.7.0 .*"]),
        ("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==\r\n", [r"503 5.5.1 .*"]),
        ("EHLO me.test\r\n", [EHLO.replace(r"250-STARTTLS\n", "")]),
        ("MAIL FROM:<anna@example.test>\r\nRCPT TO:<x@far.test>\r\n", [OK_MAIL, OK_RCPT])]),
    ("AUTH LOGIN", {"service": SUBMISSION, "tls": True}, [
        ("EHLO me.test\r\n", [r"(?s)250-.*"]),
        ("AUTH LOGIN\r\n", [r"334 VXNlcm5hbWU6"]),
        ("YW5uYUBleGFtcGxlLnRlc3Q=\r\n", [r"334 UGFzc3dvcmQ6"]),
        ("c2VjcmV0\r\n", [r"235 2.7.0 .*"])]),
    ("STARTTLS not offered", {"tls_offered": False}, [
        ("EHLO me.test\r\n", [EHLO.replace(r"250-STARTTLS\n", "")]),
        ("STARTTLS\r\n", [r"502 5.5.1 .*"])]),
]

# Every pair of line ends around a lone dot that some server takes for the end of a message.
SMUGGLING = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\r", "\r\n\0.\r\n", "\r\n.\0\r\n"]


def replay(client, steps):
    for sent, replies in steps:
        client.send(sent)
        for want in replies:
            got = client.answer()
            if got is None and want is None:
                continue
            if got is None or want is None or not re.fullmatch(want, got):
                return f"after {sent!r}:\ngot  {got!r}\nwant {want!r}"
    return None


def golden(house):
    for name, options, steps in SESSIONS:
        for slow in (False, True):
            # A byte at a time makes no difference to the answers; what is pipelined is still in one go for smtpd.
            client = house.client(slow=slow, **options)
            wrong = replay(client, steps)
            ok(wrong is None, f"{name}{', one byte at a time' if slow else ''}", wrong)
            client.close()


def smuggling(house):
    for end in SMUGGLING:
        for slow in (False, True):
            client = house.client(slow=slow)
            before = len(house.queue.messages)
            client.ask("EHLO me.test")
            client.say("MAIL FROM:<a@far.test>", "RCPT TO:<b@example.test>", "DATA")
            client.answer(), client.answer(), client.answer()
            client.send(f"x: y\r\n\r\nz{end}MAIL FROM:<evil@far.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
                        "x: smuggled\r\n\r\n.\r\nQUIT\r\n")
            replies = []
            while (reply := client.answer()) is not None:
                replies.append(reply)
            live = [m for m in house.queue.messages[before:] if m.state == "live"]
            fine = not live and replies and re.match(r"554 5.6.0|521 5.6.0", replies[0]) and not any("354" in r for r in replies)
            ok(fine, f"nothing is smuggled with {end!r}{', one byte at a time' if slow else ''}", replies)
            client.close()


def deliver(house, text, client=None, sender="a@far.test", recipients=("b@example.test",), mail="", rcpt=""):
    own = client is None
    if own:
        client = house.client()
        client.ask("EHLO me.test")
    client.say(f"MAIL FROM:<{sender}>{mail}", *[f"RCPT TO:<{r}>{rcpt}" for r in recipients], "DATA")
    answers = [client.answer() for _ in range(len(recipients) + 2)]
    if answers[-1].startswith("354"):
        client.send(text)
        client.send(".\r\n")
        answers.append(client.answer())
    if own:
        client.close()
    return answers[-1]


def whole_message(house):
    answer = deliver(house, "Subject: x\r\n\r\n..dot\r\n.. \r\nend\r\n", mail=" BODY=8BITMIME RET=HDRS ENVID=e1",
                     rcpt=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@old.test")
    message = house.queue.messages[-1]
    ok(re.fullmatch(r"250 2.0.0 queued as " + message.id, answer), "250 names the queue's id", answer)
    is_(message.state, "live", "the message is live when the client is told")
    head, _, rest = message.bytes.partition(b";\r\n\t")
    is_(head.decode(), f"Received: from me.test ([192.0.2.9])\r\n\tby mail.example.test with ESMTP id {message.id}\r\n"
        "\tfor <b@example.test>", "the Received line")
    ok(re.match(rb"\w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n", rest), "its date", rest[:60])
    is_(rest.split(b"\r\n", 1)[1], b"Subject: x\r\n\r\n.dot\r\n. \r\nend\r\n", "the message, byte for byte, dots taken out")
    is_((message.sender, message.helo, message.client, message.eight_bit, chr(message.ret), message.envid),
        ("a@far.test", "me.test", "192.0.2.9", 1, "H", "e1"), "the envelope")
    is_(message.recipients, [("b@example.test", 2 | 8, "rfc822;b+2Bx@old.test")], "its recipient with NOTIFY and ORCPT")
    is_((message.size, message.hops, message.origin), (len(message.bytes), 1, 0), "size, hops, origin")
    import hashlib
    is_(message.checksum, hashlib.blake2b(message.bytes, digest_size=32).digest(), "the checksum is BLAKE2b of the bytes")


def dsn_of_others(house):
    """ENVID and ORCPT that are no xtext: no reason for a bounce, and none is sent on so."""
    for given, orcpt in (("rfc822;a+2b@x", "rfc822;a+2B@x"), ("rfc822;a+b@x", "rfc822;a+2Bb@x"), ("rfc822;a+2Bb@x", "rfc822;a+2Bb@x"),
                         ("nonsense", ""), ("rfc822;" + "x" * 600, "")):
        answer = deliver(house, "Subject: x\r\n\r\nx\r\n", mail=" ENVID=a+2b+", rcpt=f" ORCPT={given}")
        ok(answer.startswith("250 "), f"ORCPT={given[:20]} is accepted", answer)
        message = house.queue.messages[-1]
        is_((message.envid, message.recipients[0][2]), ("a+2B+2B", orcpt), "as xtext, or left out")


def large(house):
    line = b"0123456789" * 97 + b"\r\n"
    body = b"Subject: large\r\n\r\n" + line * 3000 + b".." + b"x" * 65000 + b"\r\n"
    answer = deliver(house, body)
    ok(answer.startswith("250"), "3 MB pass", answer)
    ok(house.queue.messages[-1].bytes.endswith(body.replace(b"\r\n..", b"\r\n.")), "3 MB arrive byte for byte")
    answer = deliver(house, b"X: y\r\n" * 180000 + b"\r\nbody\r\n")
    ok(answer.startswith("552 5.3.4 header exceeds"), "a header over its limit is refused by name", answer)


def limits(house):
    client = house.client()
    client.ask("EHLO me.test")
    answer = deliver(house, b"x: y\r\n\r\n" + b"z" * 70000 + b"\r\n", client)
    ok(answer.startswith("554 5.6.0"), "an over-long line is refused", answer)
    answer = deliver(house, b"x: y\r\n\r\n" + (b"z" * 98 + b"\r\n") * 700, client)
    ok(answer.startswith("552 5.3.4"), "a message over the size limit is refused when it comes", answer)
    answer = client.ask("MAIL FROM:<a@far.test> SIZE=65537")
    ok(answer.startswith("552 5.3.4"), "and before, when it is announced", answer)
    answer = deliver(house, "Received: a\r\n" * 11 + "\r\n", client)
    ok(answer.startswith("554 5.4.6"), "too many hops are a loop", answer)
    answer = deliver(house, "Received: a\r\n" * 10 + "\r\nReceived: in the body\r\n", client)
    ok(answer.startswith("250"), "as many hops as allowed pass, and the body is not counted", answer)
    is_(house.queue.messages[-1].hops, 11, "the hops are told to the queue, ours too")
    client.say("MAIL FROM:<a@far.test>", *["RCPT TO:<b@example.test>"] * 102)
    answers = [client.answer()[:9] for _ in range(103)]
    is_(answers[100:], ["250 2.1.5", "452 4.5.3", "452 4.5.3"], "recipients over the limit wait for another transaction")
    for command, limit in (("NOOP " + "x" * 3000, 2048), ("NOOP " + "x" * 20000, 2048), ("x" * 20000, 2048),
                           ("AUTH PLAIN " + "x" * 20000, 12288), ("auth plain " + "x" * 200000, 12288)):
        is_(client.ask(command), f"500 5.5.6 line longer than {limit} bytes", f"{command[:10]}, {len(command)} bytes: refused by its limit")
    is_(client.ask("NOOP")[:3], "250", "and the session goes on")
    client.close()


def loops(house):
    """A message that says where it has been: found here, it is no report to whoever it says it is from."""
    def answer(text, *recipients):
        return deliver(house, text, recipients=recipients or ["b@example.test"])

    forged = "X: y\r\ndelivered-to: B@Example.test\r\n\r\nhello\r\n"
    is_(answer(forged), "554 5.4.6 mail loop: the message has been in this mailbox before", "a Delivered-To of the recipient")
    house.queue.messages[-1].ended.wait(PATIENCE_SECONDS)
    is_(house.queue.messages[-1].state, "abandoned", "nothing of it stays")
    is_(answer(forged, "b@example.test", "b@example.test")[:9], "554 5.4.6", "of all recipients")
    is_(answer(forged, "c@example.test", "b@example.test")[:3], "250", "of one of two: the other gets it")
    is_(answer(forged, "c@example.test")[:3], "250", "of somebody else")
    is_(answer("Delivered-To: alias@example.test\r\n\r\n", "alias@example.test")[:3], "250", "an alias has no mailbox")
    is_(answer("X: y\r\n\r\nDelivered-To: b@example.test\r\n")[:3], "250", "in the body")
    is_(answer("Delivered-To: c@example.test\r\n" * 99 + forged)[:9], "554 5.4.6", "the hundredth of its kind is looked at")
    is_(answer("Delivered-To: c@example.test\r\n" * 100 + forged)[:3], "250", "and no further one: local will see it")


def quotas(house):
    house.resolver.quotas = {"small@example.test": 1000, "middle@example.test": 5000}

    def answer(size, *recipients):
        return deliver(house, "X: y\r\n\r\n" + "z" * (size - 10) + "\r\n", recipients=recipients)

    is_(answer(1000, "small@example.test")[:3], "250", "a message as large as a whole mailbox")
    is_(answer(1001, "small@example.test"), "552 5.2.3 message exceeds the quota of the mailbox", "one byte more never fits")
    is_(answer(4000, "small@example.test", "middle@example.test")[:3], "250", "it fits into one of two")
    is_(answer(4000, "middle@example.test", "small@example.test")[:3], "250", "whichever comes first")
    is_(answer(5001, "middle@example.test", "small@example.test")[:9], "552 5.2.3", "into neither")
    is_(answer(5001, "middle@example.test", "b@example.test", "small@example.test")[:3], "250", "one has no limit")
    del house.resolver.sizes[:]
    client = house.client()
    client.ask("EHLO me.test")
    client.say("MAIL FROM:<a@far.test> SIZE=77", "RCPT TO:<b@example.test>")
    is_([client.answer()[:3] for _ in range(2)], ["250", "250"], "an announced size")
    is_(house.resolver.sizes[-1], 77, "resolved is told it")
    house.resolver.refusals = {"b@example.test": (REJECT, "5.2.3", "too large"), "c@example.test": (LATER, "4.2.2", "the mailbox is full")}
    is_(client.ask("RCPT TO:<b@example.test>"), "552 5.2.3 <b@example.test> too large", "what will not fit has a code of its own")
    is_(client.ask("RCPT TO:<c@example.test>"), "452 4.2.2 <c@example.test> the mailbox is full", "what does not fit now too")
    house.resolver.refusals = {}
    client.close()
    full = {f"{name}@example.test": (LATER, "4.2.2", "the mailbox is full") for name in "bc"}
    client = house.client()
    client.ask("EHLO me.test")
    for to, size, verdicts, want in (("b", 100000, full, "452 4.2.2 the mailbox is full"), ("b SIZE", 100000, full, "452 4.2.2 the mailbox is full"), ("bc", 100000, full, "452 4.2.2 the mailbox is full"),
                                     ("bd", 100000, full, "250"), ("b", 1000, full, "250"),
                                     ("b", 100000, {"b@example.test": (LATER, "4.3.0", "later")}, "250")):
        client.ask("MAIL FROM:<a@far.test>" + f" SIZE={size}" * (" " in to))
        for name in to.split()[0]:
            client.ask(f"RCPT TO:<{name}@example.test>")
        client.ask("DATA")
        house.resolver.refusals = verdicts
        client.say(*["x" * 98] * (size // 100), ".")
        said = client.answer()
        house.resolver.refusals = {}
        is_(said[:len(want)], want, f"{size} bytes for {to}, where deliveries have found b and c full")
    client.close()


def errors(house):
    client = house.client()
    client.ask("EHLO me.test")
    client.say(*["FOO"] * 8)
    for _ in range(8):
        client.answer()
    log = house.program.log()
    ok(log.count("command=? argument=... ") >= 8 and "argument=FOO" not in log, "refusals are logged, not what is no command: it may be a password")
    client.close()
    client = house.client(service=SUBMISSION, tls=True)
    client.ask("EHLO me.test")
    client.ask("AUTH PLAIN c2VjcmV0LXdvcmQ=")
    client.ask('MAIL FROM:<a"\x01 event=accept>')
    log = house.program.log()
    ok("c2VjcmV0" not in log and "secret" not in log, "what AUTH carries is not logged")
    ok(" event=accept>" not in log and "\x01" not in log, "a stranger cannot write a key into the log")
    for name in ("", "YQBi"):
        client.ask("AUTH LOGIN")
        client.ask(name)
        client.ask("c2VjcmV0")
    for abandoned in ("AUTH LOGIN", "AUTH PLAIN"):
        client.ask(abandoned)
        client.ask("*")
        client.ask("c2VjcmV0")
    client.ask("AUTH NTLM")
    client.ask("c2VjcmV0 x")
    log = house.program.log()
    ok("command=? argument=... " in log and "c2VjcmV0" not in log, "nor what is sent on after AUTH has failed")
    client.close()
    client = house.client()
    client.ask("EHLO me.test")
    client.say("STARTTLS", "MAIL FROM:<evil@far.test>")
    is_(client.answer()[:9], "554 5.5.0", "commands behind STARTTLS are refused")
    is_(client.answer(), None, "and the session ends")
    client = house.client()
    client.ask("EHLO me.test")
    client.say("MAIL FROM:<a@far.test>", "RCPT TO:<b@example.test>", "DATA", "Subject: x", "", "y", ".")
    is_([client.answer()[:3] for _ in range(3)], ["250", "250", "554"], "a message behind DATA without the answer is refused")
    is_(client.answer(), None, "and the session ends")


def starttls(house):
    client = house.client(service=SUBMISSION)
    client.ask("EHLO me.test")
    is_(client.ask("STARTTLS")[:3], "220", "STARTTLS")
    house.starttls(client)
    is_(client.ask("MAIL FROM:<anna@example.test>")[:3], "503", "HELO is forgotten")
    answer = client.ask("EHLO me.test")
    ok("STARTTLS" not in answer and "AUTH PLAIN LOGIN" in answer, "EHLO offers AUTH now, and no STARTTLS", answer)
    is_(client.ask("AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA==")[:3], "235", "AUTH")
    answer = deliver(house, "To: x\r\nBcc: hidden@far.test\r\n more@far.test\r\nFrom: Anna <anna>\r\n\r\nbody\r\n", client,
                     "anna@example.test", ["x@far.test", "y@far.test"])
    message = house.queue.messages[-1]
    ok(answer.startswith("250"), "a submitted message", answer)
    text = message.bytes.decode()
    ok(re.search(r"with ESMTPSA id \w+\r\n\t\(TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits\);\r\n", text),
       "Received: TLS, and no recipient when there are two", text)
    ok("Bcc" not in text and "hidden" not in text and "more@" not in text, "Bcc is taken out", text)
    ok("From: Anna <anna@mail.example.test>\r\n" in text, "From has a domain", text)
    ok(re.search(r"\r\nDate: \w{3}, .*\r\n", text) and f"\r\nMessage-ID: <{message.id}@mail.example.test>\r\n" in text,
       "Date and Message-ID are there", text)
    is_((message.origin, message.account), (1, "anna@example.test"), "the queue is told the account")
    client.close()


def received_id(message):
    return re.search(rb" id (\w+)", message.bytes)[1].decode()


def whole(house):
    """A message whose id queued has named with the one before is handed over at once."""
    client, queue = house.client(), house.queue
    client.ask("EHLO me.test")
    queue.names = True

    def named(act, waited=lambda answer: smtphouse.SPOOL_WHOLE in queue.steps or queue.messages[-1].asked):
        """What is answered where an id has just been named: within SPOOL_ID_FRESH_MS, so that a busy machine may need another turn."""
        answers = []

        def turn():
            deliver(house, "x: names the next\r\n\r\n", client)
            queue.messages, queue.steps.clear()
            answers.append(act())
            return waited(answers[-1])
        waiting.comes(turn, PATIENCE_SECONDS)
        return answers[-1]

    small, long = (lambda: deliver(house, "x: second\r\n\r\n", client)), (lambda: deliver(house, "x: y\r\n\r\n" + ("z" * 70 + "\r\n") * 600, client))
    many = [f"u{n:010}@example.test" for n in range(100)]
    ok(named(small).startswith("250"), "a small message")
    message = queue.messages[-1]
    is_(queue.steps, [smtphouse.SPOOL_WHOLE, smtphouse.SPOOL_LIVE], "is one question")
    file = message.path.read_bytes()
    is_((file[:smtphouse.SPOOL_OFFSET], len(message.bytes)), (b"h" * smtphouse.SPOOL_OFFSET, message.size), "its file has the header it was given, and its text")
    is_(message.checksum, hashlib.blake2b(message.bytes, digest_size=32).digest(), "which is what was announced")
    ok(received_id(message) == message.id and b"x: second" in message.bytes and file.endswith(b"to 0 - b@example.test\n"), "the text has the id, the envelope is behind it", file)
    for act, name in ((long, "longer than what is kept in memory"),
                      (lambda: deliver(house, "x: y\r\n\r\n" + ("z" * 70 + "\r\n") * 416, client, recipients=many), "too long with its envelope")):
        ok(named(act).startswith("250"), f"one that is {name}")
        message = queue.messages[-1]
        is_([step for step in queue.steps if step != smtphouse.SPOOL_RECIPIENT], [smtphouse.SPOOL_OPEN, smtphouse.SPOOL_COMMIT, smtphouse.SPOOL_LIVE], "is written step by step")
        is_(message.checksum, hashlib.blake2b(message.bytes, digest_size=32).digest(), "and whole")
        is_(received_id(message), message.id, "by the id that its text has")

    def refused(step, act, refusal=(False, "4.3.1", "disk full")):
        queue.refuse = {step: refusal}
        answer = act()
        queue.refuse = {}
        return answer
    is_(named(lambda: refused(smtphouse.SPOOL_WHOLE, small)), "452 4.3.1 disk full", "queued refuses it")
    is_(named(lambda: refused(smtphouse.SPOOL_WHOLE, small, (True, "5.3.4", "too large"))), "554 5.3.4 too large", "for good")
    ok(small().startswith("250"), "and takes the next")
    is_(refused(smtphouse.SPOOL_OPEN, lambda: deliver(house, "x: y\r\n\r\n", client, mail=" SIZE=40000")), "452 4.3.1 disk full", "it refuses a file")
    queue.steps.clear()
    ok(small().startswith("250") and queue.messages and queue.steps == [smtphouse.SPOOL_OPEN, smtphouse.SPOOL_COMMIT, smtphouse.SPOOL_LIVE], "the next message has none of the ids that were named before", queue.steps)

    def dies(where, step, act):
        setattr(queue, where, step)
        answer = act()
        setattr(queue, where, None)
        return answer
    for step, where, wanted in ((smtphouse.SPOOL_WHOLE, "hang_up_at", "250"), (smtphouse.SPOOL_WHOLE, "hang_up_behind", "451 4.3.0"), (smtphouse.SPOOL_LIVE, "hang_up_at", "250")):
        ok(named(lambda: dies(where, step, small)).startswith(wanted), f"queued dies: {where} {step}")
        ok(small().startswith("250"), "the next message passes")

    def changed(answer):
        """The id was: what it had waited for is another one."""
        return not answer.startswith("250") or received_id(queue.messages[-1]) != queue.messages[-1].id
    for act, name in ((small, "a small one"), (long, "one that grows")):
        ok(named(lambda: (queue.hang_up(), act())[1], changed).startswith("250"), f"queued is started again before all of it is there: {name} is taken")
        message = queue.messages[-1]
        ok(f"id={message.id} event=id-changed was={received_id(message)}\n" in house.program.log(), "by another id, as the log says")
    for step, where in (("SEALED", small), ("FILE", long)):
        queue.elsewhere = True
        answer = named(where, changed)
        queue.elsewhere = False
        message = queue.messages[-1]
        is_(answer, f"250 2.0.0 queued as {message.id}", f"{step} names another id")
        ok(f"id={message.id} event=id-changed was={received_id(message)}\n" in house.program.log(), "which the log says")
    before = house.program.log().count("event=id-changed")
    is_(named(lambda: (queue.hang_up(), refused(smtphouse.SPOOL_COMMIT, small))[1], lambda answer: smtphouse.SPOOL_COMMIT in queue.steps), "452 4.3.1 disk full", "what is refused by another queued")
    is_(house.program.log().count("event=id-changed"), before, "is not in the queue by any id")
    queue.names = False
    deliver(house, "x: the last that has been named\r\n\r\n", client)
    client.close()


def trouble(house):
    for step, name in ((smtphouse.SPOOL_OPEN, "open"), (smtphouse.SPOOL_COMMIT, "commit")):
        client = house.client()
        client.ask("EHLO me.test")
        house.queue.refuse = {step: (False, "4.3.1", "disk full")}
        answer = deliver(house, "x: y\r\n\r\n", client)
        is_(answer, "452 4.3.1 disk full", f"queued refuses at {name}")
        house.queue.refuse = {step: (True, "5.3.4", "too large")}
        answer = deliver(house, "x: y\r\n\r\n", client)
        is_(answer, "554 5.3.4 too large", f"queued refuses for good at {name}")
        house.queue.refuse = {}
        house.queue.hang_up_at = step
        answer = deliver(house, "x: y\r\n\r\n", client)
        ok(answer.startswith("451 4.3.0"), f"queued dies at {name}", answer)
        house.queue.hang_up_at = None
        answer = deliver(house, "x: y\r\n\r\n", client)
        ok(answer.startswith("250"), "and the next message passes", answer)
        client.close()
    client = house.client()
    client.ask("EHLO me.test")
    house.queue.hang_up_behind = smtphouse.SPOOL_COMMIT
    answer = deliver(house, "x: y\r\n\r\n", client)
    ok(answer.startswith("451 4.3.0"), "queued cannot be told that the message is on the disk", answer)
    house.queue.hang_up_behind, house.queue.hang_up_at = None, smtphouse.SPOOL_LIVE
    answer = deliver(house, "x: y\r\n\r\n", client)
    ok(answer.startswith("250"), "a queued that dies when it was told has it on the disk", answer)
    house.queue.hang_up_at = None
    answer = deliver(house, "x: y\r\n\r\n", client)
    ok(answer.startswith("250"), "and the next message passes", answer)
    for body, kind in ((b"x\r\n", "small"), (LINE * 20000, "large")):
        house.queue.ends = "others need the room"
        answer = deliver(house, b"x: y\r\n\r\n" + body, client)
        is_(answer, "452 4.3.1 others need the room", f"a {kind} message that queued ends is refused for now")
        house.queue.ends = None
        ok(deliver(house, b"x: y\r\n\r\n" + body, client).startswith("250"), "and the next one is another")
    house.queue.ends = "others need the room"
    begun(house).close()  # the client does not wait for it
    house.queue.ends = None
    is_(house.queue.messages[-1].client, ("192.0.2.9", 40000), "queued is told whose message it is")
    ok(deliver(house, "x: y\r\n\r\n").startswith("250"), "nor does the next message take it for its own")
    client = begun(house, client)
    message = house.queue.messages[-1]
    client.send("x: y\r\n\r\nhalf a mess")
    client.close()
    house.program.stop()
    message.ended.wait(PATIENCE_SECONDS)
    is_(message.state, "abandoned", "a client that leaves in the middle leaves nothing")


def begun(house, client=None):
    """A client that may send its text now."""
    client = client or house.client()
    client.ask("EHLO me.test")
    client.say("MAIL FROM:<a@far.test>", "RCPT TO:<b@example.test>", "DATA")
    client.answer(), client.answer(), client.answer()
    return client


def refused_early(house):
    """What will be refused takes up no room while the rest of it comes, and is not read for ever."""
    for text, answer in ((b"x: y\r\n\r\n" + LINE * 700, "552 5.3.4"), (b"x: y\r\n\r\na bare\nLF\r\n", "554 5.6.0"),
                         (b"x: y\r\n\r\na NUL\0\r\n", "554 5.6.0")):
        client = begun(house)
        message = house.queue.messages[-1]
        client.send(text)
        ok(message.ended.wait(PATIENCE_SECONDS), f"{answer}: the file goes before the text has come to its end")
        client.send(LINE * 1000 + b".\r\n")
        ok(client.answer().startswith(answer), "which is waited for")
        is_(client.ask("RSET")[:3], "250", "and the conversation goes on")
        client.close()
        client = begun(house)
        client.send(text)
        sender = threading.Thread(target=client.send, args=(LINE * 400000,))
        sender.start()
        ok(client.answer().startswith(answer), "not for ever")
        is_(client.answer(), None, "and then the connection is closed")
        sender.join()
        client.close()


def slow():
    """Too few bytes for their time, although no wait for the next one is long."""
    with Smtp("smtpd.timeout 3s\nsmtpd.data-rate-min 1M\n") as house:
        client = begun(house)
        message, answers = house.queue.messages[-1], []
        reader = threading.Thread(target=lambda: answers.append(client.answer()))
        reader.start()
        while reader.is_alive():
            client.send("a line\r\n")
            reader.join(0.02)
        is_(answers, ["421 4.4.2 mail.example.test message comes too slowly, closing"], "a text that comes too slowly is told so")
        is_(client.answer(), None, "and left")
        ok(message.ended.wait(PATIENCE_SECONDS), "and its file goes")
        ok("event=slow client=192.0.2.9" in house.program.log(), "and the log knows")
        client.close()
    with Smtp("smtpd.timeout 3s\nsmtpd.data-rate-min 0\n") as house:
        client = begun(house)
        for _ in range(200):
            client.send("a line\r\n")
            time.sleep(0.02)
        client.send(".\r\n")
        ok(client.answer().startswith("250"), "without a least rate it has all the time")
        client.close()


def too_many_errors(house, results):
    """Runs beside the others: its answers come later and later."""
    client = house.client()
    client.ask("EHLO me.test")
    client.say("MAIL FROM:<a@far.test>", *["RCPT TO:<nobody@example.test>"] * 30)
    begun = time.monotonic()
    answers = []
    while (answer := client.answer()) is not None:
        answers.append(answer[:9])
    results.append((answers, time.monotonic() - begun))


def real_mail(house):
    if not CORPUS.is_dir():
        skip("real mail passes byte for byte", "no corpus of real mail (SHARED_CORPUS)")
        return
    client = house.client()
    client.ask("EHLO me.test")
    wrong = []
    paths = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.name != "README.md")
    for path in paths:
        text = re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes())
        if not text.endswith(b"\r\n"):
            text += b"\r\n"
        if b"\0" in text:
            continue
        answer = deliver(house, re.sub(rb"(?m)^\.", b"..", text), client)
        message = house.queue.messages[-1]
        if not answer.startswith("250") or not message.bytes.endswith(text):
            wrong.append(f"{path.name}: {answer}")
    ok(paths and not wrong, f"{len(paths)} real messages pass byte for byte", "\n".join(wrong))
    client.close()


def stopping():
    with Smtp("smtpd.timeout 1s\nsmtpd.reuse 2\n") as house:
        client = house.client()
        client.ask("EHLO me.test")
        is_(client.answer(), "421 4.4.2 mail.example.test timeout, closing", "a silent client is told so")
        is_(client.answer(), None, "and left")
        client = house.client()
        client.ask("EHLO me.test")
        client.say("MAIL FROM:<a@far.test>", "RCPT TO:<b@example.test>", "DATA")
        client.answer(), client.answer(), client.answer()
        client.send("half of a line")
        is_(client.answer(), "421 4.4.2 mail.example.test timeout, closing", "in the middle of a message too")
    with Smtp("smtpd.reuse 2\n") as house:
        client = house.client()
        client.ask("QUIT")
        first = client.worker
        is_(receive_beside(first).kind, WIRE_DONE, "a worker is idle again after its first session")
        house.idle.remove(first)
        client = Client(*house.hand_over(first))
        client.ask("QUIT")
        is_(receive_beside(first), None, "and ends after its second, with smtpd.reuse 2")
        busy = house.client()
        busy.ask("EHLO me.test")
        house.program.signal(signal.SIGTERM)
        is_(busy.answer(), "421 4.3.2 mail.example.test is shutting down", "a stop is told to the client")
        is_(busy.answer(), None, "and its session ends")
        is_(house.program.wait(), 0, "smtpd ends well")


def told(client, busy=False):
    """What the worker tells porter next, but that the client has spoken, or waits; None: it has ended."""
    while (packet := receive(client.worker)) is not None and packet.kind == CONNECTION_PROGRESS:
        before, client.progress = getattr(client, "progress", 0), packet.byte()
        if client.progress == 2 and not busy:
            client.progress = before
        if client.progress != before:
            return client.progress
    return packet and packet.kind


def told_now(client):
    """All that the worker has told porter until now."""
    kinds = []
    while select.select([client.worker], [], [], 0)[0]:
        kinds.append(receive(client.worker).byte())
    return kinds


def progress():
    with Smtp("smtpd.timeout 6s\n") as house:
        known = house.client(service=SUBMISSION, tls=True)
        known.ask("EHLO me.test")
        known.ask("AUTH PLAIN " + base64.b64encode(b"\0anna@example.test\0secret").decode())
        is_(told(known), 1, "porter is told of a login")
        client = house.client()
        client.ask("EHLO me.test")
        for _ in range(3):
            client.ask("MAIL FROM:<a@far.test>")
            client.ask("RSET")
        is_(told(client), 1, "of a transaction, too")
        is_(told(client), 0, "once for several, until the client has been quiet for a while")
        client.ask("MAIL FROM:<a@far.test>")
        client.ask("RCPT TO:<b@example.test>")
        ok(1 not in told_now(client), "another transaction is none when no message has come since")
        client.ask("DATA")
        is_(told(client), 1, "its text is, before any of it is there")
        client.send("x: y\r\n")
        is_(told(client), 0, "in the middle of a message, too, when nothing comes")
        client.send("\r\n.\r\n")
        is_(client.answer()[:3], "250", "the message goes on")
        is_((told(client), told(client)), (1, 0), "and so it is told")
        client.ask("MAIL FROM:<a@far.test>")
        is_(told(client), 1, "a message that was accepted has earned the next transaction")
        client.ask("QUIT")
        is_(told(client), WIRE_DONE, "and nothing more")
        known.ask("QUIT")
        is_(told(known), None, "who has logged in may be quiet")
        house.resolver.client_verdict, house.resolver.wants_name = (REJECT, "5.7.1", "not you"), True
        client = house.client()
        client.ask("EHLO me.test")
        client.ask("MAIL FROM:<a@far.test>")
        is_((told(client, True), told(client, True)), (2, 0), "a client waits for its name to be found: a MAIL that is refused is no progress")
        house.resolver.wants_name = False
        client = house.client(service=SUBMISSION, tls=True)
        client.ask("EHLO me.test")
        client.ask("AUTH PLAIN " + base64.b64encode(b"\0anna@example.test\0wrong").decode())
        is_((told(client, True), told(client, True)), (2, 0), "nor is an AUTH")
        client.ask("NOOP")
        client.ask("QUIT")
        is_(told(client), WIRE_DONE, "and nothing else of it")
        house.resolver.client_verdict = (0, "", "")
    with Smtp("smtpd.timeout 30s\n") as house:
        client = house.client()
        client.ask("EHLO me.test")
        client.ask("MAIL FROM:<a@far.test>")
        is_(told(client), 1, "a transaction once more")
        asked = 0
        while asked < 50 and not select.select([client.worker], [], [], 0.2)[0]:
            client.ask(("NOOP", "VRFY x", "VRFY", "HELP")[asked % 4])
            asked += 1
        ok(asked < 50 and told(client) == 0, "commands that do nothing are no progress", asked)
        client.ask("RCPT TO:<b@example.test>")
        for _ in range(50):
            client.ask("RCPT TO:<b@example.test>")
        heard = told_now(client)
        ok(1 not in heard and len(heard) < 20, "nor are recipients long after their MAIL, and nothing is told of each", heard)


def relaying(house):
    house.resolver.client_verdict = (RELAY, "", "")
    client = house.client(service=SUBMISSION)
    client.ask("EHLO me.test")
    is_(deliver(house, "x: y\r\n\r\n", client, recipients=["x@far.test"])[:3], "250",
        "a client that the access map lets relay submits without a password")
    is_(house.queue.messages[-1].origin, 4, "its mail is not a stranger's")
    house.resolver.client_verdict = (REJECT, "5.7.1", "not you")
    client = house.client()
    client.ask("EHLO me.test")
    is_(client.ask("MAIL FROM:<a@far.test>"), "550 5.7.1 not you", "a client that the access map refuses")
    house.resolver.client_verdict = (0, "", "")
    house.resolver.wants_name = True
    is_(deliver(house, "x: y\r\n\r\n")[:3], "250", "a client whose name is wanted")
    house.resolver.wants_name = False
    ok("client.far.test" in house.resolver.names, "resolved is told it")
    ok(house.queue.messages[-1].bytes.startswith(b"Received: from me.test (client.far.test [192.0.2.9])\r\n"),
       "and it is in the Received line", house.queue.messages[-1].bytes[:80])
    house.resolver.any_sender = True
    house.resolver.questions.clear()
    is_(deliver(house, "x: y\r\n\r\n")[:3], "250", "where no sender is refused")
    is_([q[0] for q in house.resolver.questions], [RESOLVE_CLIENT, RESOLVE_RECIPIENT], "none is asked about")
    house.resolver.any_sender = False


def main():
    with Smtp() as house:
        is_([(a.byte(), maker(a.fds[0]), a.u32(), a.string(), a.string(), a.string()[:9], a.string(), a.string(), a.string(), a.string()) for a in house.announced],
            [(service, house.program.process.pid, 100, "220 mail.example.test ESMTP\r\n", "220 mail.example.test ESMTP\r\n", "421 4.3.2",
              "421 4.4.2 mail.example.test timeout, closing connection\r\n",
              "421 4.3.2 mail.example.test service not available, try again later\r\n", "421 4.3.2 mail.example.test is shutting down\r\n",
              "554 5.5.1 mail.example.test protocol error: command before the greeting\r\n") for service in (SMTP, SUBMISSION)],
            "the greetings, and the words for who is not served or says nothing")
        errors_seen = []
        errors_thread = threading.Thread(target=too_many_errors, args=(house, errors_seen))
        errors_thread.start()
        golden(house)
        smuggling(house)
        whole_message(house)
        dsn_of_others(house)
        large(house)
        loops(house)
        quotas(house)
        errors(house)
        starttls(house)
        real_mail(house)
        errors_thread.join()
        answers, seconds = errors_seen[0]
        is_(answers, ["250 2.1.0"] + ["550 5.1.1"] * 21 + ["421 4.7.0"], "who errs again and again is sent away")
        ok(seconds > 5, "and waits longer each time", seconds)
        relaying(house)
        whole(house)
        trouble(house)
    with Smtp("message.size-max 64K\nreceived.hops-max 10\nrecipients-max 100\n") as house:
        limits(house)
        refused_early(house)
    slow()
    stopping()
    progress()
    done()


main()
