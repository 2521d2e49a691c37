#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd at its limits: answers that grow long stay whole or leave a part out, lines that are too long or broken have their
tagged answer, and one message that cannot be told keeps no other from its reader."""
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import imaphouse
from tap import done, is_, ok

MESSAGE = b"From: a@b.test\r\nSubject: test\r\n\r\nbody\r\n"
SCATTERED = 46000


def scatter(imapd, user, count):
    """A mailbox with every second UID from 2 on: put back with a record of a day ago, behind which all these may have been given."""
    c = imapd.client(user)
    c.ok("SELECT INBOX")
    c.close()
    maildir = imapd.home(user) / "Maildir"
    validity = (maildir / "posthouse.uids").read_text().split()[0].lstrip("0")
    for i in range(1, count + 1):
        os.close(os.open(maildir / f"cur/{i}.a.host,U={validity}.{2 * i}:2,", os.O_CREAT | os.O_WRONLY, 0o600))
    yesterday = time.time() - 86400
    os.utime(imapd.home(user) / "posthouse.reserved", (yesterday, yesterday))
    c = imapd.client(user)
    c.ok("SELECT INBOX")
    c.close()


def expand(text):
    numbers = []
    for part in text.split(b","):
        low, _, high = part.partition(b":")
        numbers += range(int(low), int(high or low) + 1)
    return numbers


def copyuid(imapd):
    scatter(imapd, "scattered", SCATTERED)
    c = imapd.client("scattered")
    c.ok("CREATE Copy")
    c.ok("CREATE Other")
    c.ok("SELECT INBOX")
    c.ok("COPY 1:30000 Copy")
    told = re.search(rb"\[COPYUID \d+ (\S+) (\S+)\] Copy completed", c.tagged)
    is_([expand(told[1]), expand(told[2])], [list(range(2, 60001, 2)), list(range(1, 30001))], "COPYUID of 30,000 scattered messages")
    is_(c.ok("COPY 1:* Copy"), b"", f"COPY of {SCATTERED}, whose UIDs are too many for an answer")
    ok(c.tagged.endswith(b" OK Copy completed\r\n"), "has no COPYUID rather than half of one", c.tagged[:200])
    answer = c.ok("MOVE 1:* Other")
    ok(b"COPYUID" not in answer and answer.count(b" EXPUNGE\r\n") == SCATTERED, "and so MOVE")
    is_(c.ok("STATUS Other (MESSAGES)"), b"* STATUS Other (MESSAGES %d)\r\n" % SCATTERED, "all were moved")
    c.close()


def large_fields(imapd):
    """One field of 5 MB does not make a mailbox unlistable."""
    c = imapd.client("large")
    c.append("INBOX", MESSAGE)
    c.append("INBOX", b"From: a@b.test\r\nSubject: " + b"s" * 5000000 + b"\r\nTo: c@d.test\r\n\r\nbody\r\n")
    c.append("INBOX", b"From: a@b.test\r\nTo: x@y" + b", somebody@example.test" * 300000 + b"\r\n\r\nbody\r\n")
    c.append("INBOX", MESSAGE)
    c.ok("SELECT INBOX")
    for turn in ("made", "from the cache"):
        answer = c.ok("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)")
        is_([int(n) for n in re.findall(rb"^\* (\d+) FETCH", answer, re.M)], [1, 2, 3, 4], f"every message is listed, {turn}")
        ok(b'NIL "c" "d.test"' in answer and len(answer) < 1000000, "with texts that are cut", len(answer))
    ok(len(c.ok("FETCH 2 BODY.PEEK[HEADER]")) > 5000000, "the header itself is whole")
    c.close()


def empty_multipart(imapd):
    c = imapd.client("parts")
    c.append("INBOX", b"Content-Type: multipart/mixed\r\n\r\nnothing\r\n")
    c.append("INBOX", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--x--\r\n")
    c.ok("SELECT INBOX")
    ok(b'"7bit" 0 0)' in c.ok("FETCH 1 BODY"), "a multipart without parts shows one that is empty")
    is_(c.ok("FETCH 1:2 (BODY.PEEK[1] BODY.PEEK[2])"), b'* 1 FETCH (BODY[1] {0}\r\n BODY[2] NIL)\r\n* 2 FETCH (BODY[1] {0}\r\n BODY[2] NIL)\r\n',
        "which is there, and no other")
    is_(c.ok("FETCH 2 (BODY.PEEK[1.1] BODY.PEEK[1.2] BODY.PEEK[1.1.1])"), b"* 2 FETCH (BODY[1.1] {0}\r\n BODY[1.2] NIL BODY[1.1.1] NIL)\r\n", "also below")
    c.close()


def seen_when_sent(imapd):
    """A client that went away in the middle of a message has not seen it."""
    c = imapd.client("seen")
    c.append("INBOX", MESSAGE + b"0123456789abcde\r\n" * 2000000)
    c.append("INBOX", MESSAGE)
    c.ok("SELECT INBOX")
    answer = c.ok("UID FETCH 2 BODY[]")
    ok(answer.endswith(b"body\r\n)\r\n* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))\r\n"), "the flag is told behind the message", answer)
    c.send(b"a FETCH 1 BODY[]\r\n")
    c.line()
    c.close()
    c.token.close()
    d = imapd.client("seen")
    d.ok("SELECT INBOX")
    # The other session ends when it finds its client gone, which it would have to have marked by then.
    is_(d.ok("UID SEARCH SEEN"), b"* SEARCH 2\r\n", "one that was not sent is not seen")
    d.ok("LOGOUT")
    d.close()
    children = pathlib.Path(f"/proc/{imapd.program.process.pid}/task/{imapd.program.process.pid}/children")
    while children.read_text().strip():
        pass
    d = imapd.client("seen")
    d.ok("SELECT INBOX")
    is_(d.ok("UID SEARCH SEEN"), b"* SEARCH 2\r\n", "nor when that session is over")
    d.close()


def gone_for_one(imapd):
    """What another session has removed fails no FETCH (RFC 2180 section 4.1.1)."""
    a, b = imapd.client("gone"), imapd.client("gone")
    for _ in range(3):
        a.append("INBOX", MESSAGE)
    a.ok("SELECT INBOX")
    b.ok("SELECT INBOX")
    a.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
    a.ok("EXPUNGE")
    answer = b.ok("FETCH 1:3 (UID BODY.PEEK[])")
    is_(re.findall(rb"^\* (\d) FETCH \(UID (\d)", answer, re.M), [(b"1", b"1"), (b"3", b"3")], "FETCH tells the rest")
    ok(b" OK [EXPUNGEISSUED] " in b.tagged, "and is OK", b.tagged)
    is_(b.ok("NOOP"), b"* 2 EXPUNGE\r\n", "the EXPUNGE follows")
    a.close()
    b.close()


def keywords(imapd):
    """A mailbox has 64 keywords: a command that needs more says so, and does nothing of it."""
    c = imapd.client("keywords")
    many = " ".join(f"w{i}" for i in range(70))
    c.ok("SELECT INBOX")
    append = "APPEND INBOX (%s) {%d+}\r\n%s" % (many, len(MESSAGE), MESSAGE.decode())
    got = c.command(append)
    ok(b" NO [LIMIT] A mailbox has at most 64 keywords" in got, "APPEND with 70", got)
    c.ok(f"APPEND INBOX () {{{len(MESSAGE)}+}}\r\n{MESSAGE.decode()}")
    ok(b"w0" not in c.ok("SELECT INBOX"), "makes none of them")
    got = c.command(f"STORE 1 +FLAGS (\\Flagged {many})")
    ok(b" NO [LIMIT] A mailbox has at most 64 keywords" in got, "nor STORE", got)
    ok(b"Flagged" not in c.ok("FETCH 1 FLAGS"), "which sets no flag either")
    c.ok("STORE 1 -FLAGS (absent)")
    ok(b"absent" not in c.ok("SELECT INBOX"), "what is taken away is not made for it")
    c.ok("CREATE Full")
    c.ok("SELECT Full")
    c.ok(f"APPEND Full ({' '.join(f'f{i}' for i in range(63))}) {{{len(MESSAGE)}+}}\r\n{MESSAGE.decode()}")
    c.ok("SELECT INBOX")
    c.ok("STORE 1 +FLAGS (one two f5)")
    for command in ("COPY 1 Full", "MOVE 1 Full"):
        got = c.command(command)
        ok(b" NO [LIMIT] " in got and b"at most 64 keywords" in got, f"{command}: two more are too many", got)
    is_(c.ok("STATUS Full (MESSAGES)"), b"* STATUS Full (MESSAGES 1)\r\n", "nothing was copied")
    is_(list((imapd.home("keywords") / "Maildir/.Full/tmp").iterdir()), [], "nor is half copied")
    c.ok("STORE 1 -FLAGS (two)")
    c.ok("COPY 1 Full")
    c.ok("SELECT Full")
    is_(set(re.search(rb"FLAGS \(([^)]*)", c.ok("FETCH 2 FLAGS"))[1].split()), {b"\\Recent", b"f5", b"one"}, "one more has its place, and comes along")
    c.close()


def main():
    os.environ["TZ"] = "UTC"
    with imaphouse.Imapd() as imapd:
        for test in (copyuid, large_fields, empty_multipart, seen_when_sent, gone_for_one, keywords):
            test(imapd)
    done()


main()
