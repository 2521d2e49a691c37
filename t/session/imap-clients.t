#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd with clients that act like clients: Python's imaplib, several sessions on one mailbox (RFC 2180), IDLE, literals
that wait, limits, time-outs, a stop, an index that vanishes, real mail byte for byte, memory of an idle session."""
import imaplib
import os
import pathlib
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import imaphouse
from house import CORPUS
from tap import done, is_, note, ok, skip
from waiting import comes

MESSAGE = b"From: a@b.test\r\nSubject: test\r\n\r\nbody\r\n"
IDLE_PSS_KB_MAX = 500  # Dovecot's figure


def python_client(imapd):
    m = imapd.imaplib("python")
    is_(m.state, "AUTH", "imaplib takes the session")
    is_(m.create("Archive")[0], "OK", "create")
    is_(m.append("Archive", r"(\Seen)", imaplib.Time2Internaldate(1e9), MESSAGE)[0], "OK", "append")
    is_(m.select("Archive"), ("OK", [b"1"]), "select")
    kind, data = m.fetch("1", "(UID FLAGS INTERNALDATE BODY[])")
    is_((kind, data[0][1]), ("OK", MESSAGE), "fetch: the message")
    ok(b"09-Sep-2001" in data[0][0] or b" 9-Sep-2001" in data[0][0], "fetch: its date", data)
    is_(m.search(None, "SUBJECT", '"test"'), ("OK", [b"1"]), "search")
    is_(m.uid("STORE", "1", "+FLAGS", r"(\Deleted)")[0], "OK", "uid store")
    is_(m.uid("COPY", "1", "INBOX")[0], "OK", "uid copy")
    is_(m.expunge(), ("OK", [b"1"]), "expunge")
    is_(m.status("INBOX", "(MESSAGES)"), ("OK", [b"INBOX (MESSAGES 1)"]), "status")
    is_(m.list()[0], "OK", "list")
    is_(m.namespace(), ("OK", [b'(("" ".")) NIL NIL']), "namespace")
    is_(m.rename("Archive", "Old")[0], "OK", "rename")
    is_(m.delete("Old")[0], "OK", "delete")
    is_(m.logout()[0], "BYE", "logout")


def pending_input(imapd):
    """What the client sent behind its LOGIN came with the session."""
    c = imapd.client("pending", tag="login x.1", pending=b"a NOOP\r\nb NO")
    c.send(b"OP\r\n")
    is_([c.line(), c.line()], [b"a OK Noop completed\r\n", b"b OK Noop completed\r\n"], "pending input is served")
    c.close()


def announced(imapd):
    """The answer to the login tells what CAPABILITY tells."""
    c = imapd.client("announced")
    told = re.search(rb"^\* (CAPABILITY [^\r]*)\r\n", c.ok("CAPABILITY"))[1]
    is_(c.greeting, b"login OK [" + told + b"] Logged in\r\n", "the capabilities in the greeting")
    c.close()


def unreadable(imapd):
    """What cannot be read is not told as gone: a client would forget it."""
    c = imapd.client("unreadable")
    for n in range(1, 4):
        c.append("INBOX", MESSAGE.replace(b"test", b"number %d" % n))
    c.ok("SELECT INBOX")
    [file] = [f for f in (imapd.home("unreadable") / "Maildir/cur").iterdir() if b"number 2" in f.read_bytes()]
    file.unlink()
    file.symlink_to(file.name)
    got = c.command("FETCH 1:3 BODY.PEEK[]")
    ok(got.count(b" FETCH (") == 2 and b"* 2 FETCH" not in got, "a message that cannot be read is left out", got)
    ok(b"NO [SERVERBUG] Some of the messages cannot be read" in got and b"EXPUNGEISSUED" not in got, "and is told as what it is", got)
    log = imapd.program.log()
    ok("event=fetch-failed account=unreadable@example.test message=2 reason=" in log, "the log says why", log[-300:])
    c.close()


def two_sessions(imapd):
    a, b = imapd.client("two"), imapd.client("two")
    for _ in range(3):
        a.append("INBOX", MESSAGE)
    a.ok("SELECT INBOX")
    is_(re.findall(rb"\* (\d+) RECENT", b.ok("SELECT INBOX")), [b"0"], "only the first session has them as recent")
    b.ok(r"STORE 2 +FLAGS (\Deleted keyword)")
    b.ok("EXPUNGE")
    got = a.ok("FETCH 1:3 (UID FLAGS)")
    ok(b"EXPUNGE" not in got and b"* 3 FETCH" in got, "no EXPUNGE behind FETCH: the numbers hold", got)
    got = a.command("FETCH 1:3 BODY.PEEK[]")
    ok(got.count(b" FETCH ") == 2 and b" OK [EXPUNGEISSUED]" in got and b"* 2 FETCH" not in got,
       "a message that is gone is left out and told with NO", got)
    got = a.command("STORE 3 +FLAGS (\\Flagged)")
    ok(b"EXPUNGE" not in got, "no EXPUNGE behind STORE", got)
    got = a.ok("NOOP")
    ok(b"* 2 EXPUNGE\r\n" in got, "NOOP tells it", got)
    got = b.ok("NOOP")
    ok(re.search(rb"\* 2 FETCH \(FLAGS \([^)]*\\Flagged", got), "the other's flags are told", got)
    b.append("INBOX", MESSAGE)
    ok(b"* 3 EXISTS" in a.ok("UID FETCH 1 UID"), "new mail is told behind any command")
    b.ok("CREATE box")
    a.ok("SELECT box")
    b.ok("DELETE box")
    got = a.command("NOOP")
    ok(b"* BYE" in got, "the selected mailbox is deleted by another: BYE", got)
    a.close()
    b.close()


def gone(imapd):
    """What another session has removed, and this one was not told of: RFC 2180 sections 4.2 and 4.4."""
    a, b = imapd.client("gone"), imapd.client("gone")
    for _ in range(5):
        a.append("INBOX", MESSAGE)
    a.ok("CREATE copies")

    def remove(number):
        """The numbers of a hold until then."""
        a.ok("SELECT INBOX")
        b.ok("SELECT INBOX")
        b.ok(f"STORE {number} +FLAGS.SILENT (\\Deleted)")
        b.ok("EXPUNGE")

    remove(2)
    got = a.command("STORE 2 +FLAGS (\\Answered)")
    ok(b" NO [EXPUNGEISSUED]" in got and b"FETCH" not in got, "STORE of what is gone is no success", got)
    got = a.command("STORE 2:3 +FLAGS (\\Answered)")
    ok(b" NO [EXPUNGEISSUED]" in got and b"* 3 FETCH" in got and b"* 2 FETCH" not in got, "what is left has its flags", got)
    ok(b"* 2 " not in a.ok("STORE 2:3 -FLAGS.SILENT (\\Answered)"), "silently it is OK")
    got = a.command("COPY 2 copies")
    ok(b" NO [EXPUNGEISSUED]" in got and b"COPYUID" not in got, "COPY of what is gone is none either", got)
    remove(2)
    got = a.command("COPY 1:3 copies")
    ok(b"* NO [EXPUNGEISSUED]" in got and re.search(rb"\[COPYUID \d+ 1,4 1:2\]", got), "the others are copied, and it is said", got)
    remove(2)
    got = a.command("MOVE 2 copies")
    ok(b" NO [EXPUNGEISSUED]" in got, "and so with MOVE", got)
    remove(2)
    a.ok("UID STORE 5 +FLAGS (\\Answered)")
    a.ok("UID COPY 5 copies")
    is_(re.search(rb"MESSAGES (\d+)", a.ok("STATUS copies (MESSAGES)"))[1], b"2", "UIDs that are gone are ignored")
    a.close()
    b.close()


def idle(imapd):
    a, b = imapd.client("idle"), imapd.client("idle")
    a.ok("SELECT INBOX")
    a.send(b"i IDLE\r\n")
    is_(a.line(), b"+ idling\r\n", "IDLE goes on")
    for i in range(5):
        b.append("INBOX", MESSAGE)
        sent = time.monotonic()
        lines = [a.line(), a.line()]
        note(f"noticed {(time.monotonic() - sent) * 1000:.1f} ms after the other's OK")
        is_(lines, [b"* %d EXISTS\r\n" % (i + 1), b"* %d RECENT\r\n" % (i + 1)], "new mail is told to an idling client")
    maildir = imapd.home("idle") / "Maildir"
    (maildir / "tmp" / "x").write_bytes(MESSAGE)
    started = time.monotonic()
    os.rename(maildir / "tmp" / "x", maildir / "new" / "1.foreign")
    is_(a.line(), b"* 6 EXISTS\r\n", "mail that another program put into new/ is told")
    note(f"foreign delivery noticed after {(time.monotonic() - started) * 1000:.1f} ms")
    a.line()
    b.ok("SELECT INBOX")
    b.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
    ok(rb"* 2 FETCH (FLAGS (\Deleted" in a.line(), "flags are told")
    b.ok("EXPUNGE")
    is_(a.line(), b"* 2 EXPUNGE\r\n", "an expunge is told")
    a.send(b"DONE\r\n")
    ok(a.until(b"i ").endswith(b"i OK Idle completed\r\n"), "DONE ends it")
    a.send(b"j IDLE\r\n")
    a.line()
    a.send(b"NOOP\r\n")
    ok(a.until(b"j ").endswith(b"j BAD IDLE: expected DONE\r\n"), "anything else is BAD")
    a.close()
    b.close()


def literals(imapd):
    c = imapd.client("literals")
    is_(c.command("SELECT {5}", b"INBOX\r\n").split(b" ")[-2:], [b"Select", b"completed\r\n"], "a literal that waits")
    is_(c.command("SELECT {600000}"), b"t2 BAD The command is too large\r\n", "one that is too large is not asked for")
    is_(c.command(b"SELECT {600000+}\r\n" + b"x" * 600000), b"t3 BAD The command is too large\r\n",
        "one that comes unasked is passed over")
    big = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 200000
    c.append("INBOX", big, r"(\Seen)")
    got = c.ok("FETCH 1 (RFC822.SIZE BODY[])")
    ok(big in got, "a message of 3.6 MB goes in and out")
    ok(c.command("APPEND INBOX {99999999}").endswith(b"NO [TOOBIG] The message is larger than 52428800 bytes\r\n"),
       "message.size-max holds for APPEND")
    ok(c.command("APPEND INBOX {3}", b"a\0b\r\n").endswith(b" BAD APPEND: NUL in message\r\n"), "a NUL is refused")
    c.send(b"x APPEND INBOX {100+}\r\nonly half")
    c.close()
    d = imapd.client("literals")
    ok(b"* 1 EXISTS" in d.ok("SELECT INBOX"), "a message that was not sent whole is not there")
    until = time.monotonic() + imaphouse.w.PATIENCE_SECONDS  # the other session sees the end of its client by itself
    while list((imapd.home("literals") / "Maildir" / "tmp").iterdir()) and time.monotonic() < until:
        d.ok("NOOP")
    is_(list((imapd.home("literals") / "Maildir" / "tmp").iterdir()), [], "nor left in tmp")
    d.close()


def limits(imapd):
    c = imapd.client("limits")
    for over in (1, 1000000):
        c.send(b"a NOOP " + b"x" * (65536 - 7 + over) + b"\r\n")
        ok(c.line().startswith(b"a BAD Line too long"), f"a line {over} over its limit")
    c.send(b"a NOOP " + b"x" * 70000 + b" {8+}\r\nx NOOP\r\n\r\n")
    ok(c.line().startswith(b"a BAD Line too long"), "and what its literal holds is no command")
    got = c.command(b"NOOP " + b"x" * (65536 - 8))
    ok(got.endswith(b"BAD NOOP: invalid arguments\r\n"), "a line at its limit is read", got)
    ok(c.ok("NOOP") == b"", "the session goes on")
    c.send(b"a NOOP\nb NOOP\r\n")
    ok(c.line().startswith(b"a BAD Line too long, or with a bare CR") and c.line().startswith(b"b BAD Line too long, or with a bare CR"),
       "a bare LF is refused with what follows it, and both are answered")
    c.ok("NOOP")
    c.send(b"a NO\0OP\r\nb NO\rOP\r\nc\0 NOOP\r\n")
    is_([c.line()[:6] for _ in range(3)], [b"a BAD ", b"b BAD ", b"* BAD "], "a NUL, a bare CR")
    c.send(b"a APPEND INBOX {2+}\r\nx\r\n\r\nb NOOP\r\n")
    is_([c.line()[:6] for _ in range(2)], [b"a BAD ", b"b OK N"], "APPEND with a literal one octet short")
    c.ok("NOOP")
    data = b""
    for i in range(25):
        try:
            c.send(b"x%d NONSENSE\r\n" % i)
        except OSError:
            break
    while True:
        line = c.line()
        data += line
        if not line:
            break
    ok(b"* BYE Too many errors\r\n" in data and data.count(b" BAD ") == 20, "too many errors: BYE", data)
    c.close()
    c = imapd.client("limits")
    got = c.command("SEARCH " + "NOT " * 3900 + "ALL")
    ok(b"BAD SEARCH requires a selected mailbox" in got, "SEARCH wants a mailbox")
    c.ok("SELECT INBOX")
    is_(c.ok("SEARCH " + "NOT " * 3900 + "ALL"), b"* SEARCH\r\n", "deep nesting is answered")
    ok(b"BAD" in c.command("SEARCH " + "OR ALL " * 2000 + "ALL" + " " + "(" * 30 + "ALL" + ")" * 30), "lists too deep are refused")
    c.close()
    os.makedirs(imapd.home("small"))
    c = imapd.client("small", quota=1000)
    ok(b"NO [OVERQUOTA]" in c.command("APPEND INBOX {2000+}\r\n" + "x" * 2000), "the quota is kept")
    ok(b"OK" in c.command("APPEND INBOX {500+}\r\n" + "x" * 500), "what fits is taken")
    c.close()


def index_lost(imapd):
    c = imapd.client("lost")
    for i in range(5):
        c.append("INBOX", MESSAGE, r"(\Seen word)" if i % 2 else "")
    c.ok("SELECT INBOX")
    c.ok(r"STORE 2 +FLAGS.SILENT (\Deleted)")
    c.ok("EXPUNGE")
    before = c.ok("UID FETCH 1:* (UID FLAGS BODYSTRUCTURE)").replace(rb" \Recent", b"").replace(rb"\Recent", b"")
    validity = re.search(rb"UIDVALIDITY (\d+)", c.ok("STATUS INBOX (UIDVALIDITY)")).group(1)
    c.close()
    maildir = imapd.home("lost") / "Maildir"
    gone = [p for p in maildir.iterdir() if p.is_file() and "index" in p.name]
    ok(gone, "there is an index to lose", list(maildir.iterdir()))
    for damage in ("removed", "cut", "scribbled"):
        for path in [p for p in maildir.iterdir() if p.is_file() and "index" in p.name]:
            if damage == "removed":
                path.unlink()
            elif damage == "cut":
                os.truncate(path, path.stat().st_size // 2)
            else:
                data = bytearray(path.read_bytes())
                for i in range(8, len(data), 7):
                    data[i] ^= 0x55
                path.write_bytes(data)
        c = imapd.client("lost")
        c.ok("SELECT INBOX")
        after = c.ok("UID FETCH 1:* (UID FLAGS BODYSTRUCTURE)").replace(rb" \Recent", b"").replace(rb"\Recent", b"")
        now = re.search(rb"UIDVALIDITY (\d+)", c.ok("STATUS INBOX (UIDVALIDITY)")).group(1)
        ok(now != validity or after == before, f"index {damage}: the same UIDs, or another UIDVALIDITY", f"{before}\n{after}")
        ok(after.count(b"FETCH") == 4, f"index {damage}: no message is lost")
        validity, before = now, after
        c.close()


def foreign_messages(imapd):
    """Files that other programs left, with bare LF."""
    maildir = imapd.home("foreign") / "Maildir"
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    (maildir / "cur" / "1.x:2,S").write_bytes(MESSAGE.replace(b"\r\n", b"\n"))
    (maildir / "new" / "2.x").write_bytes(b"From: x@y.test\n\n")
    c = imapd.client("foreign")
    c.ok("SELECT INBOX")
    got = c.ok("FETCH 1:2 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (subject)] BODY.PEEK[]<5.10>)")
    is_(got, b"* 1 FETCH (RFC822.SIZE %d BODY[] {%d}\r\n%s BODY[TEXT] {6}\r\nbody\r\n BODY[HEADER.FIELDS (subject)] {17}\r\n"
        b"Subject: test\r\n\r\n BODY[]<5> {10}\r\n a@b.test\r)\r\n"
        b"* 2 FETCH (RFC822.SIZE 18 BODY[] {18}\r\nFrom: x@y.test\r\n\r\n BODY[TEXT] {0}\r\n BODY[HEADER.FIELDS (subject)] {2}\r\n\r\n"
        b" BODY[]<5> {10}\r\n x@y.test\r)\r\n" % (len(MESSAGE), len(MESSAGE), MESSAGE), "bare LF is served as CRLF")
    c.close()


def real_mail(imapd):
    if not CORPUS.is_dir():
        skip("real mail", "no corpus (SHARED_CORPUS)")
        return
    files = sorted(p for p in CORPUS.rglob("*.eml"))
    c = imapd.client("real")
    texts = []
    for path in files:
        data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").replace(b"\0", b"")
        texts.append(data)
        c.append("INBOX", data)
    c.ok("SELECT INBOX")
    wrong = []
    for n, data in enumerate(texts, 1):
        got = c.ok(f"FETCH {n} (RFC822.SIZE BODY.PEEK[])")
        if got != b"* %d FETCH (RFC822.SIZE %d BODY[] {%d}\r\n%s)\r\n" % (n, len(data), len(data), data):
            wrong.append(files[n - 1].name)
    is_(wrong, [], f"{len(files)} real messages come out as they went in")
    wrong = []
    for n, data in enumerate(texts, 1):
        got = c.ok(f"FETCH {n} (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
        head = re.search(rb"BODY\[HEADER\] \{(\d+)\}\r\n", got)
        size = int(head.group(1))
        body = got[head.end() + size:]
        body = body[body.index(b"\r\n") + 2:-3]
        if got[head.end():head.end() + size] + body != data:
            wrong.append(files[n - 1].name)
    is_(wrong, [], "header and text are the message")
    first = c.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
    ok(first.count(b"BODYSTRUCTURE (") == len(files) and first == c.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)"),
       "ENVELOPE and BODYSTRUCTURE of all, made and kept alike")
    ok(balanced(first), "their parentheses are balanced")
    c.close()


def balanced(data):
    """Are all parentheses outside of strings closed?"""
    depth = 0
    for part in re.finditer(rb'"(?:[^"\\]|\\.)*"|\{(\d+)\}\r\n|[()]', strip_literals(data), re.S):
        depth += {b"(": 1, b")": -1}.get(part.group(0), 0)
        if depth < 0:
            return False
    return depth == 0


def strip_literals(data):
    out, at = b"", 0
    for m in iter(lambda: re.compile(rb"\{(\d+)\}\r\n").search(data, at), None):
        out += data[at:m.start()] + b'""'
        at = m.end() + int(m.group(1))
    return out + data[at:]


def pss_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])


def memory(imapd):
    if "sanitize" in (imaphouse.w.build_directory() / "config.mak").read_text():
        skip("memory of an idle session", "a sanitizer build")
        return
    if os.geteuid() != 0:
        skip("memory of an idle session", "of a process that is not dumpable only root is told")
        return
    clients = [imapd.client("memory") for _ in range(10)]
    for c in clients:
        c.append("INBOX", MESSAGE)
        c.ok("SELECT INBOX")
        c.ok("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)")
        c.send(b"i IDLE\r\n")
        c.line()
    children = pathlib.Path(f"/proc/{imapd.program.process.pid}/task/{imapd.program.process.pid}/children").read_text().split()
    # The buffers go back after a moment of silence; what is asked for here is a state, which may take its time.
    seen = []

    def is_small():
        seen.append(sorted(pss_kb(pid) for pid in children)[len(children) // 2])
        return seen[-1] <= IDLE_PSS_KB_MAX
    ok(comes(is_small, imaphouse.w.PATIENCE_SECONDS), f"an idle session costs no more than {IDLE_PSS_KB_MAX} KB (PSS {seen[-1]} KB)")
    for c in clients:
        c.close()


def endings():
    with imaphouse.Imapd("imapd.timeout 1s\n") as imapd:
        c = imapd.client("silent")
        is_(c.until(b"nothing"), b"* BYE Autologout; idle for too long\r\n", "a silent client is sent away")
        is_(c.token.recv(1), b"", "its token is closed")
        c = imapd.client("silent")
        c.send(b"a SELECT {10}\r\n")
        c.line()
        ok(b"* BYE Autologout" in c.until(b"nothing"), "one that does not finish its command too")
    with imaphouse.Imapd() as imapd:
        c = imapd.client("stop")
        c.ok("SELECT INBOX")
        imapd.program.signal(signal.SIGTERM)
        is_(c.until(b"nothing"), b"* BYE Server shutting down\r\n", "a stop says goodbye")
        is_(imapd.program.wait(), 0, "and ends in order")


def main():
    os.environ["TZ"] = "UTC"
    with imaphouse.Imapd() as imapd:
        for test in (python_client, pending_input, announced, unreadable, two_sessions, gone, idle, literals, limits, index_lost, foreign_messages, real_mail, memory):
            test(imapd)
    endings()
    done()


main()
