#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3-login between porter and authd, both played here: golden sessions, whole and byte by byte, hand-over, STLS, limits."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wireauth as a
from loginhouse import LoginHouse
from tap import done, is_, ok

ALWAYS = b"+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
SECURE = ALWAYS + b"USER\r\nSASL PLAIN LOGIN\r\nIMPLEMENTATION posthouse\r\n.\r\n"
CLEAR = ALWAYS + b"STLS\r\nIMPLEMENTATION posthouse\r\n.\r\n"
NOT_A_LINE = b"-ERR invalid line: too long, or with a bare CR, bare LF or NUL\r\n"
UNKNOWN = b"-ERR unknown command, or not allowed before login\r\n"
BYE = b"+OK bye\r\n"

GOLDEN = [
    ("CAPA and QUIT", True, b"CAPA\r\nQUIT\r\n", SECURE + BYE),
    ("in clear", False, b"capa\r\nquit\r\n", CLEAR + BYE),
    ("AUTH lists", True, b"AUTH\r\n", b"+OK\r\nPLAIN\r\nLOGIN\r\n.\r\n"),
    ("AUTH lists nothing in clear", False, b"AUTH\r\n", b"+OK\r\n.\r\n"),
    ("USER in clear", False, b"USER anna\r\nPASS pw\r\n", b"-ERR this command requires TLS: use STLS first\r\n" * 2),
    ("AUTH in clear", False, b"AUTH PLAIN\r\n", b"-ERR this mechanism requires TLS: use STLS first\r\n"),
    ("PASS without USER", True, b"PASS pw\r\n", b"-ERR send USER first\r\n"),
    ("no argument", True, b"USER\r\nUSER \r\nPASS\r\n", b"-ERR missing argument\r\n" * 3),
    ("an argument too many", True, b"QUIT now\r\nCAPA x\r\n", b"-ERR unexpected argument\r\n" * 2),
    ("commands of pop3d's", True, b"STAT\r\nNOOP\r\nRETR 1\r\nAPOP anna x\r\n", UNKNOWN * 4),
    ("STLS with TLS", True, b"STLS\r\n", b"-ERR TLS is already active\r\n"),
    ("an unknown mechanism", True, b"AUTH NTLM\r\n", b"-ERR unsupported mechanism\r\n"),
    ("no base64", True, b"AUTH PLAIN ***\r\n", b"-ERR malformed base64\r\n"),
    ("an empty line", True, b"\r\nQUIT\r\n", UNKNOWN + BYE),
    ("a NUL", True, b"QU\0IT\r\nQUIT\r\n", NOT_A_LINE + BYE),
    ("a long line", True, b"USER " + b"x" * 17000 + b"\r\nQUIT\r\n", NOT_A_LINE + BYE),
    ("too many errors", True, b"X\r\n" * 30, UNKNOWN * 10 + b"-ERR too many errors\r\n"),
]
DENIED = b"-ERR [AUTH] wrong user or password\r\n"


def test_golden(house):
    for name, tls, said, heard in GOLDEN:
        for pieces in ((said,), [said[i:i + 1] for i in range(len(said))]):
            if len(pieces) > 5000:
                continue
            is_(house.converse(a.POP3, pieces, tls), heard, f"{name}{', byte by byte' if len(pieces) > 1 else ''}")


def test_greeting(house):
    service, clear, secured, busy, timeout, unavailable, stopping, early = house.announcement
    is_((service, clear, secured), (a.POP3, "+OK posthouse ready\r\n", "+OK posthouse ready\r\n"), "the greeting")
    ok(busy.startswith("-ERR"), "and a word for when it is full")
    is_(timeout, "-ERR timeout, closing connection\r\n", "and one for who says nothing")
    is_((unavailable, stopping, early), ("-ERR [SYS/TEMP] service not available, try again later\r\n",
                                         "-ERR [SYS/TEMP] server shutting down\r\n",
                                         "-ERR protocol error: command before the greeting\r\n"), "and for the other reasons")


def test_login(house):
    with house.session(a.POP3) as s:
        s.say(b"USER anna b\r\nPASS p w \r\n")
        is_(s.line(), b"+OK\r\n", "USER is always welcome")
        begin = s.auth_begin(close=True)
        is_((begin.mechanism, begin.initial, begin.tag, begin.service), ("PLAIN", b"\0anna b\0p w ", "", a.POP3), "USER and PASS with spaces")
        s.auth_result(a.DENIED)
        is_(s.line(), DENIED, "denied")
        s.say(b"PASS pw\r\n")
        is_(s.line(), b"-ERR send USER first\r\n", "USER has to be said again")
        s.say(b"USER anna\r\nPASS pw\r\n")
        s.line()
        s.auth_begin(close=True)
        s.auth_result(a.FORBIDDEN)
        is_(s.line(), b"-ERR [AUTH] this account may not use POP3\r\n", "an account without the right")
        s.say(b"AUTH PLAIN AGFubmEAcHc=\r\n")
        is_(s.auth_begin(close=True).initial, b"\0anna\0pw", "an initial response")
        s.auth_result(a.TEMPORARY)
        is_(s.line(), b"-ERR [SYS/TEMP] authentication is temporarily unavailable, try again later\r\n", "not now")
        s.say(b"AUTH LOGIN\r\n")
        s.auth_begin(close=True, dial=True)
        is_(s.auth_challenge(b"Username:", b"YW5uYQ==\r\n"), b"+ VXNlcm5hbWU6\r\n", "a challenge")
        is_(s.auth_heard(), (a.ANSWER, b"anna"), "and its answer")
        is_(s.auth_challenge(b"Password:", b"*\r\n"), b"+ UGFzc3dvcmQ6\r\n", "the next")
        is_(s.auth_heard()[0], a.CANCEL, "given up")
        is_(s.line(), b"-ERR authentication cancelled\r\n", "and told so")
        s.say(b"USER " + b"x" * 1000 + b"\r\nPASS pw\r\n")
        s.line()
        is_(s.auth_begin(close=True).initial, b"\0@\0pw", "a name that is too long is nobody's, and costs what any costs")
        s.auth_result(a.DENIED)
        s.line()


def test_hand_over(house):
    with house.session(a.POP3) as s:
        s.say(b"USER anna\r\n")
        s.line()
        s.say(b"PASS pw\r\nSTAT\r\n")
        begin = s.auth_begin()
        is_((begin.tag, begin.pending), ("", b"STAT\r\n"), "what was sent behind goes along")
        s.auth_result(a.OK, handed_over=True)
        is_(s.porter_heard(), [a.HANDED_OVER, 2], "porter hears that it is handed over, and that the worker is free")
        begin.socket.sendall(b"+OK 0 0\r\n")
        is_(s.line(), b"+OK 0 0\r\n", "the mailbox program answers")
        begin.socket.close()
        os.close(begin.token)
        is_(s.rest(), b"", "and nobody else holds the client")
    with house.session(a.POP3) as s:
        s.say(b"PASS pw\r\n")
        is_(s.line(), b"-ERR send USER first\r\n", "the next client does not inherit a name")


def test_failures(house):
    with house.session(a.POP3) as s:
        for n in range(5):
            s.say(b"USER anna\r\nPASS pw\r\n")
            s.line()
            s.auth_begin(close=True)
            s.auth_result(a.DENIED)
            is_(s.line(), DENIED, f"attempt {n + 1}")
        is_(s.rest(), b"-ERR too many errors\r\n", "no sixth")


def test_stls(house):
    with house.session(a.POP3, tls=False) as s:
        s.say(b"STLS\r\n")
        is_(s.line(), b"+OK begin TLS\r\n", "the go-ahead")
        s.secure()
        s.say(b"USER anna\r\nPASS pw\r\n")
        is_(s.line(), b"+OK\r\n", "USER is allowed now")
        is_(s.auth_begin(close=True).tls, 1, "authd hears of it")
        s.auth_result(a.DENIED)
        s.line()
    with house.session(a.POP3, tls=False) as s:
        s.say(b"STLS\r\nUSER anna\r\n")
        is_(s.rest(), b"+OK begin TLS\r\n", "what was sent behind STLS in clear ends the session")
    is_(house.converse(a.POP3, [b"STLS\r\n"], False, tls_offered=False), b"-ERR TLS is not available\r\n", "no TLS here")


def test_stop(house):
    with house.session(a.POP3) as s:
        s.say(b"AUTH\r\n")
        s.line()
        house.program.signal(signal.SIGTERM)
        ok(s.rest().endswith(b"-ERR [SYS/TEMP] server shutting down\r\n"), "a client is told of the end")
    is_(house.program.wait(), 0, "and the program ends")


with LoginHouse("pop3-login") as the_house:
    for test in (test_greeting, test_golden, test_login, test_hand_over, test_failures, test_stls, test_stop):
        test(the_house)
with LoginHouse("pop3-login", "login.timeout 10s\n") as the_house:
    with the_house.session(a.POP3) as slow:
        is_(slow.rest(), b"-ERR timeout, closing connection\r\n", "a client that says nothing is sent away")
done()
