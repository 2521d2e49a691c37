# SPDX-License-Identifier: ISC
"""The conversations of t/suite/client-walk.t, and what may have become of their messages.

Each kind has a script (clientwalk.py), seeds what it needs, and judges a conversation by what was sent and heard in it.
"""
import base64
import itertools
import pathlib
import re

from clients import address
from clientwalk import CODE, POP3_ASKS, POP3_LINE, POP3_LINES, Child, Hear, Line, Say, Secure

TO_BOTH, TO_ONE = ("u0001", "u0002"), ("u0003",)
PATIENT = ("close", "half", "reset", "rest", "rest_and_reset", "rest_and_listen")
SHORT = ("silence", "deaf")
LARGE = b"0123456789 the quick brown fox jumps over the lazy dog and sleeps at last\r\n" * 14000  # a megabyte
# So many of them fill what the kernel takes for a client that does not read.
UNREAD = 3 * int(pathlib.Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2]) // len(LARGE) + 4


def text_of(name, sender="s@elsewhere.test"):
    return (f"From: <{sender}>\r\nTo: somebody: ;\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@test>\r\n"
            f"Subject: {name}\r\n\r\n{name} begins\r\n.{name} with a dot\r\n.\r\n{name} ends\r\n").encode()


def name_of(data):
    found = re.search(rb"(?m)^Subject: (c\d+\.\w+)\r$", data)
    return found[1].decode() if found else None


# ---- SMTP ----

def on_the_wire(text):
    return re.sub(rb"(?m)^\.", b"..", text) + b".\r\n"


def torn(text):
    """Behind each dot that begins a line, and around its end."""
    dots = [found.start() for found in re.finditer(rb"(?m)^\.", text)]
    return {at + more for at in dots for more in (0, 1, 2)} | {1, len(text) - 2}


def joined(pieces, cuts=()):
    """In one, which is broken off behind each too."""
    return Say(b"".join(pieces), {*itertools.accumulate(map(len, pieces)), *cuts})


def envelope(recipients, sender):
    return [b"MAIL FROM:<%s>\r\n" % sender] + [b"RCPT TO:<%s>\r\n" % address(user).encode() for user in recipients] + [b"DATA\r\n"]


class Smtp:
    """Two messages: to two, and to one. way_in: what comes before them. Without a service it is sendmail -bs."""
    kind = "smtp"
    extras = (b"\r\n", b".\r\n", b"RSET\r\n", b"MAIL FROM:<x@elsewhere.test>\r\n", b"QUIT\r\n", b"NOOP\n", b"x" * 3000 + b"\r\n")

    def __init__(self, name, service, pipelining, way_in=(), sender="s@elsewhere.test", secured=False, ways=PATIENT + SHORT):
        self.name, self.service, self.pipelining, self.way_in = name, service, pipelining, way_in
        self.sender, self.secured, self.ways = sender, secured, ways

    def line(self, house, narrow=False):
        return Line(house, self.service, narrow) if self.service else Child(house)

    def messages(self, conversation):
        return {f"{conversation}.a": TO_BOTH, f"{conversation}.b": TO_ONE}

    def wire(self, name):
        return on_the_wire(text_of(name, self.sender))

    def script(self, conversation):
        actions = [Secure()] if self.secured else []
        actions += [Hear(CODE, b"220"), Say(b"EHLO c.test\r\n"), Hear(CODE, b"250"), *self.way_in]
        behind = b""
        for name, recipients in self.messages(conversation).items():
            lines, text = envelope(recipients, self.sender.encode()), self.wire(name)
            # Where DATA is sent already, a line too many would be the first of the text.
            answers = [Hear(CODE, b"250", extra=not self.pipelining) for _ in lines[1:]] + [Hear(CODE, b"354", extra=False)]
            if self.pipelining:
                actions += [joined([behind, *lines], torn(behind) if behind else ())]
                actions += [Hear(CODE, b"250", extra=False)] * bool(behind) + answers
                behind = text
            else:
                actions += [each for line, answer in zip(lines, answers) for each in (Say(line), answer)]
                actions += [Say(text, torn(text)), Hear(CODE, b"250")]
        if self.pipelining:
            actions += [Say(behind + b"QUIT\r\n", torn(behind) | {len(behind)}), Hear(CODE, b"250")]
        else:
            actions += [Say(b"QUIT\r\n")]
        return actions + [Hear(CODE, b"221", extra=False)]

    def judge(self, walked, world):
        talk, wrong = walked.talk, []
        taken = re.findall(rb"(?m)^250 2\.0\.0 (?:queued as )?(\w{13})\r$", talk.heard)
        sent = [name for name in self.messages(walked.name) if self.wire(name) in talk.sent]
        there = {name: world.mail.get(name, {}) for name in self.messages(walked.name)}
        for name, to in self.messages(walked.name).items():
            if there[name] and name not in sent:
                wrong.append(f"{name} was not sent whole, and is at {sorted(there[name])}")
            elif there[name] and sorted(there[name]) != sorted(to):
                wrong.append(f"{name} is at {sorted(there[name])}, not at {to}")
            wrong += [f"{name} is at {user} {len(ids)} times" for user, ids in there[name].items() if len(ids) > 1]
        ids = {each.encode() for copies in there.values() for found in copies.values() for each in found}
        wrong += [f"{each.decode()} was taken, and is nowhere" for each in taken if each not in ids]
        if walked.way == "half" and len(taken) != len(sent):
            wrong.append(f"{len(sent)} messages were sent whole, {len(taken)} answered 250")
        return wrong


def b64(text):
    return base64.b64encode(text.encode())


def plain(user):
    return b64(f"\0{address(user)}\0pw")


USER = address("u0001")
LOGIN = [Say(b"AUTH LOGIN\r\n"), Hear(CODE, b"334"), Say(b64(USER) + b"\r\n"), Hear(CODE, b"334"),
         Say(b64("pw") + b"\r\n"), Hear(CODE, b"235")]
PLAIN = [Say(b"AUTH PLAIN " + plain("u0001") + b"\r\n"), Hear(CODE, b"235")]
STARTTLS = [Say(b"STARTTLS\r\n"), Hear(CODE, b"220"), Secure(), Say(b"EHLO c.test\r\n"), Hear(CODE, b"250")]


# ---- POP3 ----

class Pop3:
    """Three messages, of which two are marked."""
    kind, extras = "pop3", (b"\r\n", b".\r\n", b"RSET\r\n", b"QUIT\r\n", b"DELE 2\r\n", b"x" * 3000 + b"\r\n")

    def __init__(self, name, service, starttls=False, secured=False, sasl=False, gorges=0):
        self.name, self.service, self.starttls, self.secured, self.sasl, self.gorges = name, service, starttls, secured, sasl, gorges
        self.ways = ("deaf",) if gorges else PATIENT + SHORT

    def line(self, house, narrow=False):
        return Line(house, self.service, narrow)

    def seed(self, house, walked, seeder):
        for number in (1, 2, 3):
            seeder.deliver(house.mailbox(walked.user), "", number,
                           text_of(f"{walked.name}.{number}") + LARGE * bool(self.gorges and number == 1))

    def script(self, conversation, user="u0000"):
        actions = [Secure()] if self.secured else []
        actions += [Hear(POP3_LINE, b"+OK")]
        if self.starttls:
            actions += [Say(b"STLS\r\n"), Hear(POP3_LINE, b"+OK"), Secure()]
        if self.sasl:
            actions += [Say(b"AUTH PLAIN\r\n"), Hear(POP3_ASKS, b"+"), Say(plain(user) + b"\r\n"), Hear(POP3_LINE, b"+OK")]
        else:
            actions += [Say(f"USER {address(user)}\r\n".encode()), Hear(POP3_LINE, b"+OK")]
            actions += [Say(b"PASS pw\r\n"), Hear(POP3_LINE, b"+OK")]
        if self.gorges:
            return actions + [Say(b"DELE 3\r\n" + b"RETR 1\r\n" * self.gorges + b"DELE 1\r\nQUIT\r\n")]
        for text, answer in (("STAT", POP3_LINE), ("UIDL", POP3_LINES), ("DELE 1", POP3_LINE), ("RETR 2", POP3_LINES),
                             ("DELE 3", POP3_LINE), ("QUIT", POP3_LINE)):
            actions += [Say(text.encode() + b"\r\n"), Hear(answer, b"+OK", extra=text != "QUIT")]
        return actions

    def judge(self, walked, world):
        talk = walked.talk
        marked, logged_in, quit_with = set(), False, None
        for line in re.findall(rb"([^\n]*)\r\n", talk.sent):
            if line in (b"PASS pw", plain(walked.user)):
                logged_in = True
            elif not logged_in and line == b"QUIT":
                break
            elif line.startswith(b"DELE ") and logged_in:
                marked.add(int(line[5:]))
            elif line == b"RSET":
                marked = set()
            elif line == b"QUIT":
                quit_with = marked
                break
        gone = {1, 2, 3} - {int(name.split(".")[1]) for name in world.maildrop(walked.user)}
        told = b"+OK bye" in talk.heard and quit_with is not None
        if self.gorges:
            quit_with = None  # it is behind what nobody has read
        allowed = [quit_with] if told and b"+OK logged in" in talk.heard else [set()] if quit_with is None else [set(), quit_with]
        wrong = [] if gone in allowed else [f"gone are {gone}, allowed is {allowed}"]
        if walked.hears_all and quit_with is not None and not told:
            wrong.append("QUIT has no answer")
        return wrong


# ---- IMAP ----

def tagged(tag):
    return re.compile(rb"(?m)^%s (OK|NO|BAD)[^\r\n]*\r\n" % tag.encode())


GO_AHEAD = re.compile(rb"(?m)^(\+) [^\r\n]*\r\n|^\w+ (NO|BAD)[^\r\n]*\r\n")
GREETING = re.compile(rb"(?m)^\* (OK|BYE)[^\r\n]*\r\n")


class ImapCommand:
    """effect(folders): what it changes in {folder: {name: flags}}; a folder that is None does not exist."""

    def __init__(self, tag, text, effect=None, literal=None, synchronising=True, behind=None):
        self.tag, self.effect = tag, effect
        head = f"{tag} {text}".encode()
        if literal is None:
            self.pieces = [head + b"\r\n"]
        elif synchronising:
            self.pieces = [head + b" {%d}\r\n" % len(literal), literal + b"\r\n"]
        else:
            self.pieces = [head + b" {%d+}\r\n" % len(literal) + literal + b"\r\n"]
        if behind is not None:
            self.pieces.append(behind)
        self.bytes = b"".join(self.pieces)

    def actions(self):
        found = []
        for piece in self.pieces[:-1]:
            found += [Say(piece), Hear(GO_AHEAD, b"+")]
        ends = {at.end() for at in re.finditer(rb"\r\n", self.pieces[-1])}
        return found + [Say(self.pieces[-1], ends | {len(self.pieces[-1]) - 2}), Hear(tagged(self.tag), b"OK")]


class ImapWalk:
    """In a folder of its own with three messages, and another that it makes."""
    kind = "imap"
    extras = (b" \r\n", b".\r\n", b"DONE\r\n", b"x NOOP\r\n", b"x LOGOUT\r\n", b"x" * 9000 + b"\r\n",
              b"x APPEND INBOX {999999999+}\r\n")

    def __init__(self, name, commands, service="IMAP", starttls=False, secured=False, gorges=False):
        self.name, self.commands, self.service = name, commands, service
        self.starttls, self.secured, self.gorges = starttls, secured, gorges
        self.ways = ("deaf",) if gorges else PATIENT + SHORT

    def line(self, house, narrow=False):
        return Line(house, self.service, narrow)

    def seed(self, house, walked, seeder):
        for number in (1, 2, 3):
            seeder.deliver(house.mailbox(walked.user), f".{walked.name}i", number,
                           text_of(f"{walked.name}.{number}") + LARGE * bool(self.gorges and number == 1))

    def script(self, conversation, user="u0000"):
        actions = [Secure()] if self.secured else []
        actions += [Hear(GREETING, b"OK")]
        if self.starttls:
            actions += [Say(b"s STARTTLS\r\n"), Hear(tagged("s"), b"OK"), Secure()]
        if self.secured:
            actions += [Say(b"l AUTHENTICATE PLAIN\r\n"), Hear(GO_AHEAD, b"+"), Say(plain(user) + b"\r\n"), Hear(tagged("l"), b"OK")]
        else:
            actions += ImapCommand("l", f"LOGIN {address(user)} pw").actions()
        commands = self.commands(conversation)
        if self.gorges:
            return actions + [Say(b"".join(command.bytes for command in commands))]
        for command in commands:
            actions += command.actions()
        actions[-1].extra = False
        return actions

    def judge(self, walked, world):
        talk, wrong = walked.talk, []
        allowed = [{"i": {f"{walked.name}.{n}": frozenset() for n in (1, 2, 3)}, "o": None}]
        for command in self.commands(walked.name):
            answer = tagged(command.tag).search(talk.heard)
            whole = command.bytes in talk.sent
            if answer and not whole and answer[1] == b"OK":
                wrong.append(f"{command.tag} was not sent whole, and is answered OK")
            if walked.hears_all and whole and not answer:
                wrong.append(f"{command.tag} has no answer")
            if command.effect is None or not whole or self.gorges or (answer and answer[1] != b"OK"):
                continue
            after = {folder: None if names is None else dict(names) for folder, names in allowed[-1].items()}
            command.effect(after, walked.name)
            allowed = [after] if answer else [*allowed, after]
        found = world.folders(walked)
        if found not in allowed:
            wrong.append(f"there is {found}, allowed is {allowed}")
        return wrong


def make_other(folders, _):
    folders["o"] = {}


def append(folder, number, *flags):
    def effect(folders, name):
        if folders[folder] is not None:
            folders[folder][f"{name}.{number}"] = frozenset(flags)
    return effect


def flag(number, *flags):
    def effect(folders, name):
        folders["i"][f"{name}.{number}"] |= set(flags)
    return effect


def copy(number):
    def effect(folders, name):
        if folders["o"] is not None:
            folders["o"][f"{name}.{number}"] = folders["i"][f"{name}.{number}"]
    return effect


def move(number):
    def effect(folders, name):
        if folders["o"] is not None:
            folders["o"][f"{name}.{number}"] = folders["i"].pop(f"{name}.{number}")
    return effect


def expunge(folders, _):
    folders["i"] = {name: flags for name, flags in folders["i"].items() if b"\\Deleted" not in flags}


def appends(name):
    return [ImapCommand("a1", f"CREATE {name}o", make_other),
            ImapCommand("a2", f"APPEND {name}i (\\Flagged)", append("i", 4, b"\\Flagged"), text_of(f"{name}.4")),
            ImapCommand("a3", f"APPEND {name}o", append("o", 5), text_of(f"{name}.5"), synchronising=False),
            ImapCommand("a4", "LOGOUT")]


def changes(name):
    return [ImapCommand("b1", f"CREATE {name}o", make_other), ImapCommand("b2", f"SELECT {name}i"),
            ImapCommand("b3", "STORE 1 +FLAGS (\\Flagged)", flag(1, b"\\Flagged")), ImapCommand("b4", f"COPY 1 {name}o", copy(1)),
            ImapCommand("b5", f"MOVE 2 {name}o", move(2)),
            ImapCommand("b6", "UID STORE 3 +FLAGS.SILENT (\\Deleted)", flag(3, b"\\Deleted")),
            ImapCommand("b7", "EXPUNGE", expunge), ImapCommand("b8", "LOGOUT")]


def idles(name):
    return [ImapCommand("c1", f"SELECT {name}i"), ImapCommand("c2", "IDLE", behind=b"DONE\r\n"),
            ImapCommand("c3", "STORE 2 FLAGS (\\Seen)", flag(2, b"\\Seen")), ImapCommand("c4", "LOGOUT")]


def gorges(name):
    return ([ImapCommand("d1", f"SELECT {name}i")] + [ImapCommand(f"d2{n}", "FETCH 1 BODY.PEEK[]") for n in range(UNREAD)] +
            [ImapCommand("d3", "STORE 1:* FLAGS (\\Deleted)", flag(1, b"\\Deleted")), ImapCommand("d4", "EXPUNGE", expunge)])


SCRIPTS = [
    Smtp("SMTP, in turn", "SMTP", False),
    Smtp("SMTP, pipelining", "SMTP", True),
    Smtp("submission, AUTH LOGIN, in turn", "SUBMISSION", False, LOGIN, USER),
    Smtp("submission, STARTTLS and AUTH PLAIN, pipelining", "SUBMISSION", True, STARTTLS + PLAIN, USER),
    Smtp("submission, TLS first and AUTH LOGIN, in turn", "SUBMISSIONS", False, LOGIN, USER, secured=True),
    Smtp("sendmail -bs, in turn", None, False, ways=("close", "half", "rest", "rest_and_listen")),
    Smtp("sendmail -bs, pipelining", None, True, ways=("close", "half", "rest", "rest_and_listen")),
    Pop3("POP3", "POP3"),
    Pop3("POP3, STLS", "POP3", starttls=True),
    Pop3("POP3, TLS first, AUTH PLAIN", "POP3S", secured=True, sasl=True),
    Pop3("POP3, much that is not read", "POP3", gorges=UNREAD),
    ImapWalk("IMAP, APPEND", appends),
    ImapWalk("IMAP, STORE, COPY, MOVE, EXPUNGE", changes),
    ImapWalk("IMAP, IDLE", idles),
    ImapWalk("IMAP, STARTTLS, APPEND", appends, starttls=True),
    ImapWalk("IMAP, TLS first, AUTHENTICATE, STORE, COPY, MOVE, EXPUNGE", changes, "IMAPS", secured=True),
    ImapWalk("IMAP, much that is not read", gorges, gorges=True),
]
