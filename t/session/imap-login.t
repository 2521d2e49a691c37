#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imap-login between porter and authd, both played here: golden sessions, whole and byte by byte, hand-over, STARTTLS, limits."""
import itertools
import os
import pathlib
import select
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wireauth as a
import wirehouse as w
from loginhouse import LoginHouse
from tap import done, is_, ok

CAPABILITY = b"* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID"
SECURE = CAPABILITY + b" AUTH=PLAIN AUTH=LOGIN\r\n"
CLEAR = CAPABILITY + b" STARTTLS LOGINDISABLED\r\n"
BYE = b"* BYE logging out\r\n"

# name, with TLS?, what the client says, what it hears; each ends with the client's leaving.
GOLDEN = [
    ("CAPABILITY and LOGOUT", True, b"a CAPABILITY\r\nb LOGOUT\r\n", SECURE + b"a OK done\r\n" + BYE + b"b OK done\r\n"),
    ("in clear", False, b"a capability\r\nb logout\r\n", CLEAR + b"a OK done\r\n" + BYE + b"b OK done\r\n"),
    ("NOOP and ID", True, b'a NOOP\r\nb ID ("name" "x")\r\nc ID NIL\r\n',
     b'a OK done\r\n* ID ("name" "posthouse")\r\nb OK done\r\n* ID ("name" "posthouse")\r\nc OK done\r\n'),
    ("a blank at the end", True, b"a CAPABILITY \r\nb NOOP  \r\nc ID NIL \r\nd LOGOUT \r\n",
     SECURE + b'a OK done\r\nb OK done\r\n* ID ("name" "posthouse")\r\nc OK done\r\n' + BYE + b"d OK done\r\n"),
    ("LOGIN in clear", False, b"a LOGIN anna pw\r\n", b"a NO [PRIVACYREQUIRED] this command requires TLS: use STARTTLS first\r\n"),
    ("AUTHENTICATE in clear", False, b"a AUTHENTICATE PLAIN\r\n",
     b"a NO [PRIVACYREQUIRED] this mechanism requires TLS: use STARTTLS first\r\n"),
    ("STARTTLS with TLS", True, b"a STARTTLS\r\n", b"a BAD TLS is already active\r\n"),
    ("an unknown mechanism", True, b"a AUTHENTICATE NTLM\r\n", b"a NO unsupported mechanism\r\n"),
    ("a command of imapd's", True, b"a SELECT INBOX\r\n", b"a BAD unknown command, or not allowed before login\r\n"),
    ("missing and superfluous arguments", True, b"a LOGIN\r\nb NOOP x\r\n",
     b"a BAD missing argument\r\nb BAD unexpected argument\r\n"),
    ("LOGIN with one argument", True, b"a LOGIN anna\r\n", b"a BAD LOGIN requires a user name and a password\r\n"),
    ("LOGIN with three", True, b"a LOGIN anna pw x\r\n", b"a BAD LOGIN requires a user name and a password\r\n"),
    ("an open quote", True, b'a LOGIN "anna pw\r\n', b"a BAD LOGIN requires a user name and a password\r\n"),
    ("a bad escape", True, b'a LOGIN "an\\na" pw\r\n', b"a BAD LOGIN requires a user name and a password\r\n"),
    ("a NUL in a literal", True, b"a LOGIN {2+}\r\na\0 pw\r\n", b"a BAD LOGIN requires a user name and a password\r\n"),
    ("no base64", True, b"a AUTHENTICATE PLAIN ***\r\n", b"a BAD malformed base64\r\n"),
    ("a literal that is too large", True, b"a LOGIN {4097}\r\nb NOOP\r\n", b"a NO [TOOBIG] literal too large\r\nb OK done\r\n"),
    ("one that comes unasked", True, b"a LOGIN {4097+}\r\nb NOOP\r\n", b"* BYE [TOOBIG] literal too large\r\n"),
    ("one that is beyond numbers", True, b"a LOGIN {99999999999}\r\n",
     b"a BAD invalid command: line too long, missing tag or invalid character\r\n"),
]
NOT_A_COMMAND = b"* BAD invalid command: line too long, missing tag or invalid character\r\n"
WITH_A_TAG = b"a" + NOT_A_COMMAND[1:]
GOLDEN += [(f"not a command: {line[:20]!r}", True, line + b"\r\na NOOP\r\n", NOT_A_COMMAND + b"a OK done\r\n") for line in (
    b"", b" NOOP", b"+ NOOP", b"* NOOP", b"a+b NOOP", b"t" * 200 + b" NOOP", b"\xff NOOP")]
# What is wrong with a line is told with its tag (RFC 3501 section 7.1.3); behind a bare LF no line is taken for a command.
GOLDEN += [(f"a line with a fault: {line[:20]!r}", True, line + b"\r\na NOOP\r\n", WITH_A_TAG + b"a OK done\r\n") for line in (
    b"a", b"a NO\0OP", b"a " + b"x" * 17000, b"a " + b"x" * 200000)]
GOLDEN.append(("bare LF", True, b"a NOOP\nb NOOP\r\na NOOP\r\n", WITH_A_TAG + b"b" + NOT_A_COMMAND[1:] + b"a OK done\r\n"))
GOLDEN.append(("too many errors", True, b"a X\r\n" * 30, b"a BAD unknown command, or not allowed before login\r\n" * 10 + b"* BYE too many errors\r\n"))

PLAIN = "AGFubmEAcHc="
NO = b"NO [AUTHENTICATIONFAILED] wrong user or password\r\n"


def test_golden(house):
    for name, tls, said, heard in GOLDEN:
        for pieces in ((said,), [said[i:i + 1] for i in range(len(said))]):
            if len(pieces) > 5000:
                continue
            got = house.converse(a.IMAP, pieces, tls)
            is_(got, heard, f"{name}{', byte by byte' if len(pieces) > 1 else ''}")


def test_greeting(house):
    service, clear, secured, busy, timeout, unavailable, stopping, early = house.announcement
    is_(service, a.IMAP, "the greeting is for IMAP")
    is_(clear, "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID STARTTLS LOGINDISABLED] posthouse ready\r\n", "in clear")
    is_(secured, "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN] posthouse ready\r\n", "with TLS")
    ok(busy.startswith("* BYE"), "and a word for when it is full")
    is_(timeout, "* BYE timeout, closing connection\r\n", "and one for who says nothing")
    is_((unavailable, stopping, early), ("* BYE [UNAVAILABLE] service not available, try again later\r\n", "* BYE server shutting down\r\n",
                                         "* BYE protocol error: command before the greeting\r\n"), "and for the other reasons")


def test_login_forms(house):
    """Every way to say anna and pw; authd says no, so that one session can try them all."""
    ways = [b"LOGIN anna pw", b'LOGIN "anna" "pw"', b"LOGIN {4+}\r\nanna {2+}\r\npw", b'LOGIN anna {2+}\r\npw', b'login {4+}\r\nanna "pw"',
            b"LOGIN anna pw ", b'LOGIN "anna" "pw"  ', b"LOGIN anna {2+}\r\npw "]
    for way in ways:
        with house.session(a.IMAP) as s:
            s.say(b"a " + way + b"\r\n")
            begin = s.auth_begin()
            is_((begin.mechanism, begin.initial, begin.tag, begin.service, begin.tls), ("PLAIN", b"\0anna\0pw", "a", a.IMAP, 1), f"{way!r}")
            s.auth_result(a.DENIED)
            is_(s.hear(len(b"a " + NO)), b"a " + NO, "and the answer")
            s.close_begin(begin)
    with house.session(a.IMAP) as s:
        s.say(b"a LOGIN {4}\r\n")
        is_(s.hear(7), b"+ ready", "a literal is waited for")
        s.hear(2)
        s.say(b"anna {2}\r\n")
        s.hear(9)
        s.say(b"pw\r\n")
        is_(s.auth_begin(close=True).initial, b"\0anna\0pw", "LOGIN with literals")
        s.auth_result(a.FORBIDDEN)
        is_(s.line(), b"a NO [AUTHORIZATIONFAILED] this account may not use IMAP\r\n", "an account without the right")
        s.say(b'b LOGIN "a\\"n\\\\a" ""\r\n')
        is_(s.auth_begin(close=True).initial, b'\0a"n\\a\0', "escapes, and an empty password")
        s.auth_result(a.TEMPORARY)
        is_(s.line(), b"b NO [UNAVAILABLE] authentication is temporarily unavailable, try again later\r\n", "not now")
        s.say(f"c AUTHENTICATE plain {PLAIN}\r\n".encode())
        is_(s.auth_begin(close=True, dial=True).initial, b"\0anna\0pw", "an initial response, over a new line")
        s.auth_result(a.MALFORMED)
        is_(s.line(), b"c BAD invalid response\r\n", "malformed")
        s.say(b"e LOGIN anna {3+}\r\npw \r\n")
        is_(s.auth_begin(close=True).initial, b"\0anna\0pw ", "a literal keeps its blank")
        s.auth_result(a.DENIED)
        is_(s.line(), b"e " + NO, "denied")
        s.say(f"f AUTHENTICATE PLAIN {PLAIN} \r\n".encode())
        is_(s.auth_begin(close=True).initial, b"\0anna\0pw", "a blank behind the initial response")
        s.auth_result(a.DENIED)
        is_(s.line(), b"f " + NO, "denied")
        s.say(b"d AUTHENTICATE PLAIN =\r\n")
        is_(s.auth_begin(close=True).initial, b"", "an empty initial response")
        s.auth_result(a.DENIED)
        is_(s.line(), b"d " + NO, "denied")


def test_challenges(house):
    with house.session(a.IMAP) as s:
        s.say(b"a AUTHENTICATE LOGIN\r\n")
        is_(s.auth_begin(close=True).initial, None, "no initial response")
        is_(s.auth_challenge(b"Username:", b"YW5uYQ==\r\n"), b"+ VXNlcm5hbWU6\r\n", "the challenge in base64")
        is_(s.auth_heard(), (a.ANSWER, b"anna"), "and the answer out of it")
        is_(s.auth_challenge(b"Password:", b"*\r\n"), b"+ UGFzc3dvcmQ6\r\n", "the next")
        is_(s.auth_heard()[0], a.CANCEL, "given up")
        is_(s.line(), b"a BAD authentication cancelled\r\n", "and told so")
        s.say(b"b AUTHENTICATE PLAIN\r\n")
        s.auth_begin(close=True)
        is_(s.auth_challenge(b"", b"!!!\r\n"), b"+ \r\n", "an empty challenge")
        is_(s.auth_heard()[0], a.CANCEL, "what is no base64 gives up")
        is_(s.line(), b"b BAD malformed base64\r\n", "and is told so")


def test_hand_over(house):
    with house.session(a.IMAP) as s:
        s.say(b"a1 LOGIN anna pw\r\na2 SELECT INBOX\r\na3 NO")
        begin = s.auth_begin()
        is_((begin.tag, begin.pending, begin.id), ("a1", b"a2 SELECT INBOX\r\na3 NO", 7), "what was sent behind goes along")
        ok(begin.token is not None, "and the token")
        s.auth_result(a.OK, handed_over=True)
        is_(s.porter_heard(), [a.HANDED_OVER, 2], "porter hears that it is handed over, and that the worker is free")
        begin.socket.sendall(b"a1 OK\r\n")
        is_(s.hear(7), b"a1 OK\r\n", "the mailbox program answers")
        begin.socket.close()
        os.close(begin.token)
        is_(s.rest(), b"", "and nobody else holds the client")
        ok(s.token_closed(), "or the token")


def test_replaced_authd(house):
    """One reload behind the other, each between the line and the question."""
    with house.session(a.IMAP) as s:
        s.say(b"a LOGIN anna pw\r\n")
        s.auth_begin(close=True)
        for n in range(3):
            s.auth_gone()
            s.auth_begin(close=True, dial=True)
        s.auth_gone()
        s.auth_deaf()
        s.auth_begin(close=True, dial=True)
        s.auth_result(a.DENIED)
        is_(s.line(), b"a NO [AUTHENTICATIONFAILED] wrong user or password\r\n", "an authd that was replaced is asked no more, its successors are")


def test_lost_authd(house):
    """It has heard of the client, and ends without a word: nobody knows what it did."""
    for challenged, passed_on in itertools.product((False, True), repeat=2):
        with house.session(a.IMAP) as s:
            s.say(b"a AUTHENTICATE PLAIN\r\n" if challenged else b"a LOGIN anna pw\r\n")
            begin = s.auth_begin()
            if challenged:
                s.auth_challenge(b"", f"{PLAIN}\r\n".encode())
                s.auth_heard()
            if not passed_on:
                s.close_begin(begin)
            house.authd_line.close()
            house.authd_line = None
            name = f"authd is lost {'after a challenge' if challenged else 'at once'}, the client {'is' if passed_on else 'was not'} passed on"
            is_(s.porter_heard(), [a.HANDED_OVER, w.WIRE_DONE], f"{name}: it is left to whoever has it")
            ok(not select.select([house.authd], [], [], 0)[0], "and no other authd is asked")
            if passed_on:
                begin.socket.sendall(b"a OK\r\n")
                is_(s.line(), b"a OK\r\n", "who alone answers")
                s.close_begin(begin)
            is_(s.rest(), b"", "and nobody else holds it")
            ok(s.token_closed(), "or the token")


def test_progress(house):
    """What waits for authd is not silent, and who is asked is."""
    stands, busy = 0, 2
    with house.session(a.IMAP) as s:
        s.say(b"a LOGIN anna pw\r\n")
        s.auth_begin(close=True)
        s.auth_result(a.DENIED)
        s.line()
        s.say(b"b AUTHENTICATE PLAIN\r\n")
        s.auth_begin(close=True)
        s.auth_challenge(b"", b"AGEAYg==\r\n")
        s.auth_heard()
        s.auth_result(a.DENIED)
        s.line()
        s.say(b"c LOGOUT\r\n")
        s.rest()
    is_(house.told, [busy, stands, busy, stands, busy, stands], "porter hears when authd is asked, and when the client is to speak")
    with house.session(a.IMAP) as s:
        s.say(b"a LOGIN anna pw\r\n")
        s.auth_begin(close=True)
        s.auth_result(a.OK, handed_over=True)
        s.porter_heard()
    is_(house.told, [busy], "no more of who has logged in")
    with house.session(a.IMAP) as s:
        asked = 0
        while asked < 50 and not select.select([house.line], [], [], 0.2)[0]:
            s.say(b"a NOOP\r\n")
            s.line()
            asked += 1
        ok(0 < asked < 50, "and now and then that a client has spoken", asked)


def test_failures(house):
    with house.session(a.IMAP) as s:
        for n in range(5):
            s.say(b"a LOGIN anna pw\r\n")
            s.auth_begin(close=True)
            s.auth_result(a.DENIED)
            is_(s.line(), b"a " + NO, f"attempt {n + 1}")
        is_(s.rest(), b"* BYE too many errors\r\n", "no sixth")


def test_starttls(house):
    with house.session(a.IMAP, tls=False) as s:
        s.say(b"a STARTTLS\r\n")
        is_(s.line(), b"a OK begin TLS\r\n", "the go-ahead")
        s.secure()
        s.say(b"b CAPABILITY\r\n")
        is_(s.line(), SECURE, "what is offered with TLS")
        is_(s.line(), b"b OK done\r\n", "done")
        s.say(b"c LOGIN anna pw\r\n")
        begin = s.auth_begin(close=True)
        is_((begin.tls, begin.session_tls["version"]), (1, "TLSv1.3"), "authd hears of it")
        s.auth_result(a.DENIED)
        s.line()
    with house.session(a.IMAP, tls=False) as s:
        s.say(b"a STARTTLS\r\nb LOGIN anna pw\r\n")
        is_(s.rest(), b"a OK begin TLS\r\n", "what was sent behind STARTTLS in clear ends the session")
    with house.session(a.IMAP, tls=False) as s:
        s.say(b"a STARTTLS\r\n")
        s.line()
        s.not_secured()
        is_(s.rest(), b"", "a handshake that failed ends it")
    is_(house.converse(a.IMAP, [b"a STARTTLS\r\n"], False, tls_offered=False), b"a BAD TLS is not available\r\n", "no TLS here")


def test_time(house):
    with house.session(a.IMAP) as s:
        is_(s.rest(), b"* BYE timeout, closing connection\r\n", "a client that says nothing")
    with house.session(a.IMAP) as s:
        s.say(b"a LOGIN {10}\r\n")
        is_(s.line(), b"+ ready\r\n", "or only promises")
        is_(s.rest(), b"* BYE timeout, closing connection\r\n", "is sent away")


def test_stop(house):
    with house.session(a.IMAP) as s:
        s.say(b"a NOOP\r\n")
        s.line()
        house.program.signal(signal.SIGTERM)
        is_(s.rest(), b"* BYE server shutting down\r\n", "a client is told of the end")
    is_(house.program.wait(), 0, "and the program ends")


with LoginHouse("imap-login") as the_house:
    for test in (test_greeting, test_golden, test_login_forms, test_challenges, test_hand_over, test_replaced_authd, test_lost_authd, test_progress, test_failures, test_starttls):
        test(the_house)
    test_stop(the_house)
with LoginHouse("imap-login", "login.timeout 10s\n") as the_house:
    test_time(the_house)
with LoginHouse("imap-login", "auth.without-tls yes\n") as the_house:
    ok("AUTH=PLAIN" in the_house.announcement[1] and "LOGINDISABLED" not in the_house.announcement[1], "auth.without-tls offers it in clear")
done()
