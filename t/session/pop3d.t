#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pop3d: golden sessions (each also a byte at a time), messages exact, the lock, removal at QUIT alone, UIDs for life."""
import os
import pathlib
import re
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from tap import done, is_, ok

OWNER_WORK = 16
PLAIN = b"Subject: one\r\n\r\nfirst\r\nsecond\r\nthird\r\n"
DOTS = b".first\r\n\r\n.\r\n..two\r\nx.y\r\n.\r\nno end"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcd\r\n" * 20000


class Pop3(w.ProgramHouse):
    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.root = self.directory / "mail"
        self.root.mkdir()
        self.generation = w.generation(self.directory, "pop3d.timeout 2s\n")
        self.program = w.Program("pop3d", {"generation": self.generation}, self.directory)
        self.program.wait_ready()
        return self

    def client(self, user="anna", pending=b"", home=None):
        mine, theirs = socket.socketpair()
        token, its_end = socket.socketpair()
        mine.settimeout(w.PATIENCE_SECONDS)
        token.settimeout(w.PATIENCE_SECONDS)
        w.send(self.program.master, w.Out(OWNER_WORK).view(f"{user}@example.test").view(str(home or self.root / user)).view("")
               .view(pending).u64(7).address("127.0.0.1", 4711).byte(0).view("").view("").u16(0).view("").u64(0).u64(0).byte(1)
               .fd(theirs).fd(its_end))
        theirs.close()
        its_end.close()
        return Client(mine, token)

    def mail(self, *messages, user="anna"):
        new = self.root / user / "Maildir/new"
        for part in ("tmp", "new", "cur"):
            (self.root / user / "Maildir" / part).mkdir(parents=True, exist_ok=True)
        for i, message in enumerate(messages):
            (new / f"{1700000000 + i}.M{i}.host").write_bytes(message)

    def files(self, user="anna"):
        return sorted(p.name for part in ("new", "cur") for p in (self.root / user / "Maildir" / part).iterdir())


class Client:
    def __init__(self, sock, token):
        self.sock, self.token, self.buffer = sock, token, b""

    def send(self, data, slow=False):
        for piece in ([data[i:i + 1] for i in range(len(data))] if slow else [data]):
            self.sock.sendall(piece)

    def rest(self):
        """All until the end of the session, which the token tells too."""
        while piece := self.sock.recv(1 << 20):
            self.buffer += piece
        ended = self.token.recv(1) == b""
        self.sock.close()
        self.token.close()
        return self.buffer if ended else None

    def line(self):
        while b"\r\n" not in self.buffer:
            piece = self.sock.recv(65536)
            if not piece:
                return None
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def ask(self, command):
        self.send(command + b"\r\n")
        return self.line()

    def body(self):
        lines = []
        while (line := self.line()) != b".":
            lines.append(line[1:] if line.startswith(b".") else line)
        return lines


GOLDEN = [
    ("STAT, LIST, UIDL",
     "STAT|LIST|list 2|LIST 3|LIST 0|LIST x|LIST 1 2|UIDL 1|UIDL 9|QUIT",
     "+OK logged in|+OK 2 72|+OK|1 38|2 34|.|+OK 2 34|-ERR no such message|-ERR invalid message number|"
     "-ERR invalid message number|-ERR too many arguments|+OK 1 {V}.1|-ERR no such message|+OK bye|"),
    ("RETR and dots",
     "RETR 2|RETR|RETR 3|QUIT",
     "+OK logged in|+OK 34 octets|..first||..|...two|x.y|..|no end|.|-ERR missing message number|-ERR no such message|+OK bye|"),
    ("TOP",
     "TOP 1 0|TOP 1 2|TOP 1 99|TOP 1|TOP 1 x|QUIT",
     "+OK logged in|+OK|Subject: one||.|+OK|Subject: one||first|second|.|+OK|Subject: one||first|second|third|.|"
     "-ERR missing or invalid number of lines|-ERR missing or invalid number of lines|+OK bye|"),
    ("DELE and RSET",
     "DELE 1|DELE 1|RETR 1|LIST|UIDL|STAT|RSET|STAT|NOOP|QUIT",
     "+OK logged in|+OK|-ERR no such message|-ERR no such message|+OK|2 34|.|+OK|2 {V}.2|.|+OK 1 34|+OK|+OK 2 72|+OK|+OK bye|"),
    ("what is no command",
     "|FOO|LAST|USER x|NOOP x|noop |CAPA|QUIT",
     "+OK logged in|-ERR empty command|-ERR unknown command|-ERR unknown command|-ERR unknown command|"
     "-ERR unexpected argument|+OK|+OK|TOP|UIDL|RESP-CODES|AUTH-RESP-CODE|PIPELINING|EXPIRE NEVER|IMPLEMENTATION posthouse|.|+OK bye|"),
]


def validity(h):
    return (h.root / "anna/Maildir/posthouse.uids").read_text().split()[0]


def golden(h):
    h.mail(PLAIN, DOTS)
    first = h.client()
    first.line()
    first.ask(b"QUIT")
    first.rest()
    for name, say, want in GOLDEN:
        bytes_in = say.replace("|", "\r\n").encode() + b"\r\n"
        expected = want.replace("|", "\r\n").replace("{V}", validity(h)).encode()
        for slow in (False, True):
            c = h.client()
            c.send(bytes_in, slow)
            is_(c.rest(), expected, f"{name}{', a byte at a time' if slow else ''}")
        c = h.client(pending=bytes_in)
        is_(c.rest(), expected, f"{name}, sent before the login was over")
    c = h.client()
    c.send(b"NOOP\nSTAT\r\n" + b"x" * 300 + b"\r\nNO\0OP\r\nSTAT\r\nQUIT\r\n")
    lines = c.rest().split(b"\r\n")
    is_([line[:4] for line in lines], [b"+OK ", b"-ERR", b"-ERR", b"-ERR", b"-ERR", b"+OK ", b"+OK ", b""],
        "lines that are none, and one behind a bare LF, which is answered and not obeyed")
    c = h.client()
    c.send(b"X\r\n" * 60)
    ok(c.rest().endswith(b"-ERR too many errors\r\n"), "too many errors end a session")


def messages(h):
    h.mail(PLAIN, b"Subject: lf\n\nline\n.dot\n", BIG, user="bert")
    c = h.client("bert")
    c.line()
    is_(c.ask(b"STAT"), b"+OK 3 %d" % (len(PLAIN) + 27 + len(BIG)), "sizes with CRLF")
    c.ask(b"RETR 2")
    is_(c.body(), [b"Subject: lf", b"", b"line", b".dot"], "a file with LF")
    is_(c.ask(b"RETR 3"), b"+OK %d octets" % len(BIG), "a large one")
    is_(b"\r\n".join(c.body()) + b"\r\n", BIG, "byte for byte")
    c.send(b"RETR 1\r\nRETR 3\r\nRETR 2\r\nQUIT\r\n")
    is_(len(c.rest()), len(BIG) + len(PLAIN) + 28 + 3 * 3 + sum(len(f"+OK {n} octets\r\n") for n in (len(PLAIN), len(BIG), 27)) + 9,
        "pipelined")
    ok(all(name.endswith(":2,S") for name in h.files("bert")), "what was read is seen elsewhere too")


def log_lines(h):
    """The keys of imapd's lines, and what POP3 counts beside them."""
    log = h.program.log()
    ok("event=login service=pop3 account=bert@example.test client=127.0.0.1 tls=0 session=7\n" in log, "a login is logged", log[-500:])
    ok(re.search(r"event=logout service=pop3 account=bert@example\.test bytes_in=\d+ bytes_out=\d{6} retrieved=5 removed=0\n", log),
       "and its end", log[-500:])


def removal(h):
    uids = {}
    c = h.client("bert")
    c.line()
    c.ask(b"UIDL")
    uids = dict(line.split(b" ") for line in c.body())
    c.ask(b"DELE 1")
    c.sock.shutdown(socket.SHUT_WR)
    c.rest()
    is_(len(h.files("bert")), 3, "without QUIT nothing is removed")
    c = h.client("bert")
    c.line()
    c.ask(b"DELE 1")
    is_(c.rest(), b"", "nor at the timeout, which says nothing")
    is_(len(h.files("bert")), 3, "which removes nothing")
    c = h.client("bert")
    other = h.client("bert") if c.line() else None
    ok(other.rest().startswith(b"-ERR [IN-USE]"), "one session at a time")
    c.ask(b"DELE 2")
    h.mail(b"Subject: later\r\n\r\n", user="bert")
    is_(c.ask(b"STAT"), b"+OK 2 %d" % (len(PLAIN) + len(BIG)), "mail that comes meanwhile is for the next session")
    is_(c.ask(b"QUIT"), b"+OK bye", "QUIT")
    c.rest()
    is_(len(h.files("bert")), 3, "removes what was marked")
    for damage in ("posthouse.index", "posthouse.cache"):
        (h.root / "bert/Maildir" / damage).unlink(missing_ok=True)
    c = h.client("bert")
    c.line()
    c.ask(b"UIDL")
    now = dict(line.split(b" ") for line in c.body())
    is_([now[b"1"], now[b"2"]], [uids[b"1"], uids[b"3"]], "the UIDs are those of before, also without the index")
    ok(now[b"3"] not in uids.values(), "a new message has a new one")
    for name in h.files("bert"):
        for part in ("cur", "new"):
            (h.root / "bert/Maildir" / part / name).unlink(missing_ok=True)
    ok(c.ask(b"RETR 1").startswith(b"-ERR [SYS/TEMP]"), "a message that another session removed")
    ok(c.ask(b"STAT").startswith(b"+OK 3 "), "keeps its number")
    c.ask(b"DELE 1")
    is_(c.ask(b"QUIT"), b"+OK bye", "and may be removed")
    c.rest()


def unreadable(h):
    """One message that cannot be read keeps nobody from the others."""
    h.mail(PLAIN, PLAIN, PLAIN, user="broken")
    c = h.client("broken")
    c.line()
    [file] = [f for f in (h.root / "broken/Maildir/cur").iterdir() if ".M1." in f.name]
    file.unlink()
    file.symlink_to(file.name)
    c.send(b"STAT\r\nLIST 3\r\nLIST\r\nRETR 2\r\nRETR 3\r\nDELE 1\r\nQUIT\r\n")
    size = len(file.name)
    is_(c.rest(), b"+OK 3 %d\r\n+OK 3 38\r\n+OK\r\n1 38\r\n2 %d\r\n3 38\r\n.\r\n"
        b"-ERR [SYS/TEMP] mailbox temporarily unavailable\r\n" % (76 + size, size) +
        b"+OK 38 octets\r\n" + PLAIN + b".\r\n+OK\r\n+OK bye\r\n", "a message that cannot be read: the others are served")
    told = [line for line in h.program.log().splitlines() if "event=store-failed account=broken@" in line]
    is_(len(told), 2, "the log says it once, and again where it was asked for")


def refusals(h):
    ok(h.client(home=h.directory / "other").rest().startswith(b"-ERR [SYS/TEMP]"), "a home outside of mail.root")
    is_(h.client("carl", pending=b"STAT\r\nQUIT\r\n").rest(), b"+OK logged in\r\n+OK 0 0\r\n+OK bye\r\n", "a mailbox that is not there yet")
    w.send(h.program.master, w.Out(OWNER_WORK).view("torn"))
    (h.root / "eve").mkdir()
    (h.root / "eve/Maildir").symlink_to(h.root / "anna/Maildir")
    ok(h.client("eve").rest().startswith(b"-ERR [SYS/TEMP]"), "a symbolic link is not followed")
    c = h.client()
    c.line()
    h.program.signal(15)
    is_(c.rest(), b"-ERR [SYS/TEMP] server shutting down\r\n", "a stop is told")
    is_(h.program.wait(), 0, "and orderly")


with Pop3() as house:
    golden(house)
    messages(house)
    log_lines(house)
    removal(house)
    unreadable(house)
    refusals(house)
done()
