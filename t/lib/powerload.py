# SPDX-License-Identifier: ISC
"""Mail of every kind through a whole instance, and a record of what it promised and when, for t/fault/powercut.t.

A promise is: from `since` records of the disk until `until` (None: for ever) this user has this message, in one of these
folders (None: in any, or still in the queue or drop).  Its removal ends a promise when it is asked for, so that nothing is
demanded that may have gone.
"""
import collections
import dataclasses
import hashlib
import imaplib
import os
import poplib
import random
import re
import smtplib
import subprocess
import threading
import traceback

from fakesmtp import FakeHost

IMAP_USERS, POP_USER, PLAIN_USERS = ("u0001", "u0002"), "u0003", ("u0004", "u0005", "u0006")
LOCAL = (*IMAP_USERS, POP_USER, *PLAIN_USERS)
RELAYED, TEAM = "box@far.test", "team@example.test"
TEAM_OF = ("u0004", "u0005", RELAYED)
FOLDERS = ("INBOX", "Work", "Far")  # Far is on the second disk, if there is one
MARK = re.compile(rb"^X-Power-Cut: (\S+)\r?$", re.MULTILINE)


def text(name):
    """The message of this name, always the same, with CRLF."""
    chosen = random.Random(name)
    size = chosen.choice((200, 1500, 4000, 4000, 12000, 60000))
    body = hashlib.shake_128(name.encode()).hexdigest(size // 2)
    lines = [body[at:at + 72] for at in range(0, len(body), 72)]
    head = ["From: <a@elsewhere.test>", "To: <b@example.test>", f"Message-ID: <{name}@load.test>", f"X-Power-Cut: {name}",
            "Date: Fri, 27 Nov 2026 12:00:00 +0000", f"Subject: {name}", ""]
    return "\r\n".join(head + lines + [""]).encode()


def whose(address):
    return address.removesuffix("@example.test")


@dataclasses.dataclass
class Promise:
    user: str
    name: str
    places: frozenset | None
    since: int | None  # None: not yet
    until: int | None = None


class Journal(list):
    """What the relay's next host has taken: (name, recipients, records of the disk by then). It is not on the disk."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def append(self, message):
        _, recipients, data, _ = message
        found = MARK.search(data)
        name = found[1].decode() if found and data.endswith(text(found[1].decode())) else None
        super().append((name, recipients, self.count()))


class Record:
    """What was promised, and all that a check needs to know of the load."""

    def __init__(self, count):
        self.count, self.lock = count, threading.Lock()
        self.promises = []
        self.owners = collections.defaultdict(set)  # name -> who may have it
        self.uids = {}  # user, folder, UIDVALIDITY, UID -> name, since
        self.edits = []  # since; the n-th is of alias edit<n>
        self.removed = {}  # user, name, folder -> since when it should be gone
        self.put_off = collections.Counter()  # what was told to come again while the house reloaded; it was not acknowledged
        self.sink = FakeHost()
        self.sink.messages = Journal(count)

    def offer(self, name, users):
        """Before it is sent: it may arrive, and be removed again, before the answer has been read."""
        with self.lock:
            self.owners[name].update(users)
            offered = [Promise(user, name, None, None) for user in users]
            self.promises += offered
        return offered

    def accepted(self, offered):
        now = self.count()
        for promise in offered:
            promise.since = now

    def promise(self, user, name, places, since, until=None):
        with self.lock:
            self.promises.append(Promise(user, name, frozenset(places), since, until))
            for place in places:
                self.removed.pop((user, name, place), None)

    def has_in(self, user, name, folder):
        """Has it been promised there? What was delivered has only been promised somewhere, the queue included."""
        with self.lock:
            return any(p.user == user and p.name == name and p.places == {folder} and p.until is None for p in self.promises)

    def end(self, user, name, folder, began):
        """A copy goes from this folder; the promise of "anywhere" ends with the last one."""
        with self.lock:
            mine = [p for p in self.promises if p.user == user and p.name == name and p.until is None]
            for p in mine:
                if p.places == {folder}:
                    p.until = began
            if not any(p.places and p.until is None for p in mine):
                for p in mine:
                    p.until = began if p.until is None else p.until

    def acknowledgements(self, kind=None):
        """The moments just behind each; only of smtp, sendmail, drop, a message in a folder, or an edit of a map."""
        told = {name: [p.since for p in self.promises if p.since and not p.places and p.name.startswith(name)]
                for name in ("smtp", "sendmail", "drop")}
        told["folder"] = [p.since for p in self.promises if p.places] + [since for _, since in self.uids.values()]
        told["edit"] = self.edits
        return told[kind] if kind else sum(told.values(), [])

    def told_uid(self, user, folder, validity, uid, name):
        with self.lock:
            self.uids.setdefault((user, folder, validity, uid), (name, self.count()))


def numbers(words):
    """1:3,7 as a list, in its order."""
    for part in words.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


class ImapUser:
    """One session: APPEND, COPY, MOVE, STORE, EXPUNGE between its folders, with all that lands in its INBOX."""

    def __init__(self, load, user):
        self.load, self.record, self.user = load, load.record, user
        self.random = random.Random(user)
        self.validity, self.known = {}, {folder: {} for folder in FOLDERS}  # UID -> name
        self.imap = None
        while self.imap is None:
            try:
                imap = imaplib.IMAP4(load.house.env["HOST"], load.house.port("IMAP"))
                imap.login(f"{user}@example.test", "pw")
                self.imap = imap
            except (imaplib.IMAP4.error, ConnectionError) as failed:
                if isinstance(failed, imaplib.IMAP4.error) and not re.search("EOF|UNAVAILABLE", str(failed)):
                    raise
                self.record.put_off["IMAP"] += 1

    def ask(self, what, result):
        kind, data = result
        if kind != "OK":
            raise RuntimeError(f"{self.user}: {what}: {kind} {data}")
        return data

    def select(self, folder):
        self.ask("SELECT", self.imap.select(folder))
        self.validity[folder] = int(self.imap.response("UIDVALIDITY")[1][0])
        for piece in self.ask("FETCH", self.imap.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (X-Power-Cut)])")):
            if isinstance(piece, tuple):
                uid, found = int(re.search(rb"UID (\d+)", piece[0])[1]), MARK.search(piece[1])
                if found and uid not in self.known[folder]:
                    self.learn(folder, uid, found[1].decode())

    def learn(self, folder, uid, name):
        self.known[folder][uid] = name
        self.record.told_uid(self.user, folder, self.validity[folder], uid, name)

    def append(self, name):
        with self.record.lock:
            self.record.owners[name].add(self.user)
        self.ask("APPEND", self.imap.append("INBOX", r"(\Seen)", None, text(name)))
        self.record.promise(self.user, name, ["INBOX"], self.record.count())
        validity, uid = map(int, self.imap.response("APPENDUID")[1][-1].split())
        self.validity["INBOX"] = validity
        self.learn("INBOX", uid, name)

    def transfer(self, command, source, target, uids):
        moving = command == "MOVE"
        began = self.record.count()
        self.imap.response("COPYUID")  # forget the last one
        self.ask(command, self.imap.uid(command, ",".join(map(str, uids)), target))
        validity, old, new = self.imap.response("COPYUID")[1][-1].decode().split()
        self.validity[target] = int(validity)
        done = self.record.count()
        for before, after in zip(numbers(old), numbers(new)):
            name = self.known[source][before]
            if moving and self.record.has_in(self.user, name, source):
                # Before the end of the old promise, so that no moment is without one; during the command either will do.
                self.record.promise(self.user, name, [source, target], began, done)
            self.record.promise(self.user, name, [target], done)
            if moving:
                self.record.end(self.user, name, source, began)
                del self.known[source][before]
            self.learn(target, after, name)

    def expunge(self, folder, uids):
        self.ask("STORE", self.imap.uid("STORE", ",".join(map(str, uids)), "+FLAGS", r"(\Deleted)"))
        began = self.record.count()
        self.ask("EXPUNGE", self.imap.uid("EXPUNGE", ",".join(map(str, uids))))
        for uid in uids:
            name = self.known[folder].pop(uid)
            self.record.end(self.user, name, folder, began)
            self.record.removed[self.user, name, folder] = self.record.count()

    def some(self, folder, most):
        known = sorted(self.known[folder])
        return sorted(self.random.sample(known, min(len(known), self.random.randint(1, most))))

    def turn(self, number):
        self.append(f"{self.user}-append-{number}")
        self.select("INBOX")
        for command, target in (("MOVE", "Work"), ("COPY", "Work"), ("MOVE", "Far"), ("COPY", "Far")):
            uids = self.some("INBOX", 3)
            if uids:
                self.transfer(command, "INBOX", target, uids)
                if command == "COPY" and number % 2:
                    self.expunge("INBOX", uids)
        for folder in ("Work", "Far"):
            self.select(folder)
            if self.known[folder]:
                self.ask("STORE", self.imap.uid("STORE", ",".join(map(str, self.some(folder, 5))), "+FLAGS", r"(\Flagged)"))
            if number % 3 == 2 and len(self.known[folder]) > 2:
                self.expunge(folder, self.some(folder, 2))
            if number % 3 == 1 and self.known[folder]:
                self.transfer("MOVE", folder, "INBOX", self.some(folder, 2))

    def run(self, stopping, turns):
        number = 0
        while number < turns or not stopping.is_set():
            self.turn(number)
            number += 1
        self.imap.logout()


class Load:
    def __init__(self, house, record, messages, errors):
        self.house, self.record, self.messages, self.errors = house, record, messages, errors

    def addresses(self, sender, number):
        """Each kind in turn."""
        local = f"{LOCAL[(sender + number) % len(LOCAL)]}@example.test"
        other = f"{LOCAL[(sender + number + 1) % len(LOCAL)]}@example.test"
        return ([local], [RELAYED], [local], [TEAM], [local, other, RELAYED])[number % 5]

    def offer(self, name, addresses):
        return self.record.offer(name, [user for a in addresses for user in (TEAM_OF if a == TEAM else (whose(a),))])

    def smtp(self, sender):
        smtp = None
        for number in range(self.messages):
            name, addresses = f"smtp{sender}-{number}", self.addresses(sender, number)
            while addresses:
                offered = {a: self.offer(name, [a]) for a in addresses}
                try:
                    smtp = smtp or smtplib.SMTP(self.house.env["HOST"], self.house.port("SMTP"))
                    refused = smtp.sendmail("a@elsewhere.test", addresses, text(name))
                except smtplib.SMTPRecipientsRefused as failed:
                    refused = failed.recipients
                except (smtplib.SMTPServerDisconnected, ConnectionError):
                    self.record.put_off["SMTP"] += 1
                    smtp = None
                    continue
                if any(code != 451 for code, _ in refused.values()):
                    raise RuntimeError(f"{name}: {refused}")
                self.record.put_off["RCPT"] += len(refused)
                self.record.accepted(p for a in addresses if a not in refused for p in offered[a])
                addresses = list(refused)
        smtp.quit()

    def submit(self, name, addresses):
        """By sendmail: while the house runs through pickup's socket, else into drop."""
        offered = self.offer(name, addresses)
        environment = {**os.environ, "POSTHOUSE_CONF": self.house.env["CONF"], "POSTHOUSE_PROGRAMS": self.house.env["BIN"]}
        sent = subprocess.run([f"{self.house.env['BIN']}/sendmail", "-i", "-f", "u0006@example.test", *addresses],
                              input=text(name).replace(b"\r\n", b"\n"), env=environment, capture_output=True)
        if sent.returncode:
            raise RuntimeError(f"sendmail: {sent.returncode} {sent.stderr}")
        self.record.accepted(offered)

    def sendmail(self, stopping, turns):
        number = 0
        while number < turns or not stopping.is_set():
            self.submit(f"sendmail-{number}", self.addresses(0, number))
            number += 1

    def run_stopped(self, turns):
        """While the house is down."""
        for number in range(turns):
            self.submit(f"drop-{number}", self.addresses(0, number))

    def pop(self, stopping, turns):
        number = 0
        while number < turns or not stopping.is_set():
            try:
                self.fetch()
                number += 1
            except (poplib.error_proto, ConnectionError) as failed:
                if isinstance(failed, poplib.error_proto) and not re.search("EOF|SYS/TEMP", str(failed)):
                    raise
                self.record.put_off["POP3"] += 1

    def fetch(self):
        """A POP3 session that removes what it has read."""
        pop = poplib.POP3(self.house.env["HOST"], self.house.port("POP3"))
        pop.user(f"{POP_USER}@example.test")
        pop.pass_("pw")
        gone = []
        for message in range(1, min(pop.stat()[0], 3) + 1):
            gone.append(MARK.search(b"\r\n".join(pop.retr(message)[1]))[1].decode())
            pop.dele(message)
        began = self.record.count()
        for name in gone:
            self.record.end(POP_USER, name, None, began)
        pop.quit()
        for name in gone:
            self.record.removed[POP_USER, name, "INBOX"] = self.record.count()

    def edit(self, turns):
        for number in range(turns):
            done = self.house.posthouse("alias", "add", f"edit{number}@example.test", "u0004@example.test")
            if done.returncode:
                raise RuntimeError(f"alias add: {done.stdout}{done.stderr}")
            self.record.edits.append(self.record.count())

    def in_threads(self, *works):
        def run(work, words):
            try:
                work(*words)
            except Exception:
                self.errors.append(f"{work.__qualname__}: {traceback.format_exc()}")
        threads = [threading.Thread(target=run, args=(work, words)) for work, *words in works]
        for thread in threads:
            thread.start()
        return threads

    def run(self, senders, turns):
        stopping = threading.Event()
        others = self.in_threads(*((lambda u=user: ImapUser(self, u).run(stopping, turns),) for user in IMAP_USERS),
                                 (self.pop, stopping, turns), (self.sendmail, stopping, turns), (self.edit, self.messages))
        for thread in self.in_threads(*((self.smtp, sender) for sender in range(senders))):
            thread.join()
        stopping.set()
        for thread in others:
            thread.join()
