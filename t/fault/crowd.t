#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Twenty sessions, a sender and a foreign program on one mailbox. Each session keeps a view of its own from what it is told;
at every barrier the views are compared with each other, with what FETCH says, and with the disk. A UID never names another
message, no message comes twice, none is lost but those that somebody removed.

    prove t/fault/crowd.t                         bounded; CROWD_SEED=N another run
    python3 t/fault/crowd.t ROUNDS                as long as wanted, by hand
"""
import collections
import os
import pathlib
import poplib
import random
import re
import smtplib
import sys
import threading
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import address, maildir_files  # noqa: E402
from faultload import Broken, Imap  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

IMAP_SESSIONS, POP3_SESSIONS = 16, 4
ROUNDS, STEPS = 5, 10  # steps of each session between two barriers
MOVED_BY_ALL = 3  # messages that all sessions move, at each barrier
USER = "u0001"
LETTERS = {"S": b"\\Seen", "F": b"\\Flagged", "R": b"\\Answered", "T": b"\\Deleted", "D": b"\\Draft"}
FLAGS = frozenset(LETTERS.values())
SEEN_SECONDS = 60
IDENTITY = re.compile(rb"(?im)^Subject: (m[\w.]+)")


class Book:
    """What all of them know together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.killed, self.gone = set(), set(), set()  # killed: somebody wants it removed; gone: and was told that it is
        self.by_uid, self.by_uidl = {}, {}
        self.wrong, self.counts = [], collections.Counter()

    def new(self, who):
        with self.lock:
            name = f"m{who}.{len(self.sent)}"
            self.sent.add(name)
        return name

    def kill(self, name):
        with self.lock:
            self.killed.add(name)

    def name_of(self, table, key, name):
        with self.lock:
            known = table.setdefault(key, name)
        if known != name:
            self.complain(f"{key} was {known} and is {name}")

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)


def text_of(name):
    return (f"From: <s@elsewhere.test>\r\nTo: somebody: ;\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@test>\r\n"
            f"Subject: {name}\r\n\r\n{name}\r\n").encode()


class Entry:
    def __init__(self):
        self.uid = self.flags = self.name = None


class View(Imap):
    """A session, and its mailbox as it has been told."""

    def __init__(self, house, book):
        self.book, self.entries = book, []
        super().__init__(house, USER)
        self.expect("SELECT INBOX")

    def ask(self, text, *literals):
        """OK, NO or BAD."""
        self.count += 1
        tag = b"t%d " % self.count
        self.send(tag + text.encode() + b"\r\n")
        by_number = text.split()[0] in ("FETCH", "STORE", "SEARCH")
        pending = list(literals)
        while True:
            line = self.answer()
            if line.startswith(b"+ ") and pending:
                self.send(pending.pop(0))
            elif line.startswith(tag):
                self.book.counts[text.replace("UID ", "").split()[0]] += 1
                return line.split(b" ")[1].decode(), line
            elif not line:
                raise Broken(text)
            else:
                self.told(line, by_number)

    def told(self, line, by_number):
        found = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", line)
        if not found:
            return
        number, word = int(found[1]), found[2]
        if word == b"EXISTS":
            if number < len(self.entries):
                self.book.complain(f"EXISTS {number} after {len(self.entries)}")
            self.entries += [Entry() for _ in range(number - len(self.entries))]
        elif not 1 <= number <= len(self.entries):
            self.book.complain(f"{line[:100]!r} in a mailbox of {len(self.entries)}")
        elif word == b"EXPUNGE":
            if by_number:
                self.book.complain("EXPUNGE while a command by numbers is answered")
            gone = self.entries.pop(number - 1)
            if gone.name and gone.name not in self.book.killed:
                self.book.complain(f"{gone.name} was expunged and nobody wanted it")
        else:
            self.fetched(self.entries[number - 1], line)

    def fetched(self, entry, line):
        uid, flags = re.search(rb"UID (\d+)", line), re.search(rb"FLAGS \(([^)]*)\)", line)
        if uid:
            if entry.uid not in (None, int(uid[1])):
                self.book.complain(f"UID {entry.uid} has become {uid[1]!r}")
            entry.uid = int(uid[1])
        if flags:
            entry.flags = frozenset(flags[1].split()) - {b"\\Recent"}
        subject = IDENTITY.search(line)
        if subject:
            entry.name = subject[1].decode()
            self.book.name_of(self.book.by_uid, entry.uid, entry.name)

    def learn(self):
        """What is new."""
        if any(entry.name is None for entry in self.entries):
            self.ask("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")

    def step(self, chooser):
        self.learn()
        known = [entry for entry in self.entries if entry.name]
        act = chooser.randrange(16)
        if act < 3:
            name = self.book.new("append")
            word, _ = self.ask(f"APPEND INBOX {{{len(text_of(name))}}}", text_of(name) + b"\r\n")
            if word != "OK":
                self.book.complain(f"APPEND: {word}")
        elif act == 3 and known:
            entry = chooser.choice(known)
            self.book.kill(entry.name)
            words = self.ask(f"UID STORE {entry.uid} +FLAGS (\\Deleted)")[0], self.ask(f"UID EXPUNGE {entry.uid}")[0]
            if words == ("OK", "OK"):
                self.book.gone.add(entry.name)
        elif act == 4 and known:
            entry = chooser.choice(known)
            self.book.kill(entry.name)
            if self.ask(f"UID MOVE {entry.uid} Other")[0] == "OK":
                self.book.gone.add(entry.name)
        elif act == 5 and known:
            self.ask(f"UID COPY {chooser.choice(known).uid} Other")
        elif act < 13 and known:
            flag = chooser.choice([b"\\Seen", b"\\Flagged", b"\\Answered", b"$Work"]).decode()
            sign, entry = chooser.choice("+-"), chooser.choice(known)
            if chooser.randrange(2):
                self.ask(f"UID STORE {entry.uid} {sign}FLAGS ({flag})")
            else:
                self.ask(f"STORE {self.entries.index(entry) + 1} {sign}FLAGS ({flag})")
        else:
            self.ask(chooser.choice(["NOOP", "CHECK", "FETCH 1:* (UID FLAGS)" if self.entries else "NOOP", "UID SEARCH SEEN"]))

    def settled(self):
        """What it has been told, and what it then asks for, are the same: [(uid, flags, name)]."""
        self.ask("NOOP")
        self.learn()
        before = [(entry.uid, entry.flags) for entry in self.entries]
        for entry in self.entries:
            entry.flags = None
        if self.entries:
            self.ask("FETCH 1:* (UID FLAGS)")
        after = [(entry.uid, entry.flags) for entry in self.entries]
        if before != after:
            differ = [(b, a) for b, a in zip(before, after) if a != b]
            self.book.complain(f"what was told, and what FETCH says: {differ[:5]}, {len(before)} and {len(after)}")
        uids = [entry.uid for entry in self.entries]
        if uids != sorted(set(uids)):
            self.book.complain(f"UIDs do not ascend: {uids}")
        return [(entry.uid, entry.flags, entry.name) for entry in self.entries]


def pop3_step(house, book, chooser):
    try:
        pop = poplib.POP3(house.env["HOST"], house.port("POP3"))
        pop.user(address(USER))
        pop.pass_("pw")
    except poplib.error_proto as error:
        if b"IN-USE" not in error.args[0]:
            book.complain(f"POP3: {error}")
        return
    listed = dict(line.split() for line in pop.uidl()[1])
    for number in chooser.sample(sorted(listed), min(2, len(listed))):
        try:
            lines = pop.retr(int(number))[1]
        except poplib.error_proto:
            continue  # another session has removed it
        name = IDENTITY.search(b"\n".join(lines))[1].decode()
        book.name_of(book.by_uidl, listed[number], name)
        if chooser.randrange(6) == 0:
            book.kill(name)
            pop.dele(int(number))
    pop.quit()
    book.counts["POP3"] += 1


def foreign_step(box, book, chooser):
    """As a delivery agent and mutt do: it knows nothing of UIDs, and renames what it finds."""
    files = [path for path in (box / "cur").iterdir()]
    act, path = chooser.randrange(6), chooser.choice(files) if files else None
    try:
        if act == 0 or path is None:
            deliver(box, book, "new")
        elif act == 1:
            deliver(box, book, "cur")
        elif act == 2:
            waiting = sorted((box / "new").iterdir())
            if waiting:
                waiting[0].rename(box / "cur" / (waiting[0].name.split(":2,")[0] + ":2,S"))
        elif act == 3:
            book.kill(IDENTITY.search(path.read_bytes())[1].decode())
            path.unlink()
        else:
            base, _, letters = path.name.partition(":2,")
            path.rename(path.with_name(base + ":2," + "".join(sorted(set(letters) ^ {chooser.choice("FSR")}))))
    except FileNotFoundError:
        pass  # a session was faster
    book.counts["foreign"] += 1


def deliver(box, book, part):
    name = book.new("foreign")
    path = box / "tmp" / f"1700000000.{name}.foreign"
    path.write_bytes(text_of(name))
    owner = box.stat()
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid)
    path.rename(box / part / (path.name + (":2," if part == "cur" else "")))


def send_step(house, book, _):
    name = book.new("smtp")
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), "client.test") as smtp:
        smtp.sendmail("s@elsewhere.test", [address(USER)], text_of(name))
    book.counts["SMTP"] += 1


def on_disk(box):
    """[(uid, flags, name)] by the names of the files."""
    found = []
    for path in (box / "cur").iterdir():
        uid, letters = re.search(r",U=[0-9a-f]+\.(\d+)", path.name), path.name.partition(":2,")[2]
        found.append((int(uid[1]) if uid else None, frozenset(LETTERS[c] for c in letters if c in LETTERS),
                      IDENTITY.search(path.read_bytes())[1].decode()))
    return sorted(found, key=lambda row: row[0] or 0)


class Crowd:
    def __init__(self, house, rounds, seed):
        self.house, self.book, self.rounds, self.seed = house, Book(), rounds, seed
        self.box, self.moved = house.mailbox(USER), []
        self.sessions = [View(house, self.book) for _ in range(IMAP_SESSIONS)]
        self.steps = [session.step for session in self.sessions]
        self.steps += [lambda chooser: pop3_step(house, self.book, chooser)] * POP3_SESSIONS
        self.steps += [lambda chooser: foreign_step(self.box, self.book, chooser), lambda chooser: send_step(house, self.book, chooser)]

    def run_one(self, number, round):
        chooser = random.Random(f"{self.seed}.{round}.{number}")
        try:
            for _ in range(STEPS):
                self.steps[number](chooser)
        except Exception:
            self.book.complain(f"{number}: {traceback.format_exc()}")

    def round(self, round):
        threads = [threading.Thread(target=self.run_one, args=(n, round)) for n in range(len(self.steps))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.house.wait_for("an empty queue", self.house.queue_is_empty)

    def one_rule(self):
        """Every session moves the same messages at once, as devices with one rule do: one of them moves each."""
        uids = [entry.uid for entry in self.sessions[0].entries][:MOVED_BY_ALL]
        names = [entry.name for entry in self.sessions[0].entries][:MOVED_BY_ALL]
        for name in names:
            self.book.kill(name)
        words, gate = [], threading.Barrier(len(self.sessions))

        def move(session):
            gate.wait()
            for uid in uids:
                words.append(session.ask(f"UID MOVE {uid} Moved")[0])
        threads = [threading.Thread(target=move, args=(session,)) for session in self.sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if set(words) - {"OK"}:
            self.book.complain(f"MOVE by all at once: {collections.Counter(words)}")
        self.moved += names
        there = [IDENTITY.search(path.read_bytes())[1].decode() for path in maildir_files(self.box / ".Moved")]
        if sorted(there) != sorted(self.moved):
            self.book.complain(f"moved by all at once: {collections.Counter(there) - collections.Counter(self.moved)} too many, "
                               f"{collections.Counter(self.moved) - collections.Counter(there)} too few")

    def compare(self):
        """What a foreign program does in the middle of a session's own change is seen some seconds later (lib/store/INTERNALS,
        Change times)."""
        def seen_by_first():
            for session in self.sessions:
                session.ask("NOOP")
            self.sessions[0].learn()
            view = [(entry.uid, entry.flags & FLAGS, entry.name) for entry in self.sessions[0].entries]
            return view == on_disk(self.box)
        try:
            self.house.wait_for("what is on disk", seen_by_first, SEEN_SECONDS)
        except TimeoutError:
            pass  # it is told below
        views = [session.settled() for session in self.sessions]
        for number, view in enumerate(views):
            if view != views[0]:
                self.book.complain(f"session {number} and session 0 differ: {set(view) ^ set(views[0])}")
        disk = on_disk(self.box)
        seen = [(uid, flags & FLAGS, name) for uid, flags, name in views[0]]
        if seen != disk:
            self.book.complain(f"sessions and disk differ: {set(seen) ^ set(disk)}")
        names = [name for _, _, name in disk]
        self.book.wrong += [f"twice: {name}" for name, count in collections.Counter(names).items() if count > 1]
        self.book.wrong += [f"lost: {name}" for name in sorted(self.book.sent - self.book.killed - set(names))]
        self.book.wrong += [f"there again: {name}" for name in sorted(self.book.gone & set(names))]
        self.book.wrong += [f"nobody sent {name}" for name in sorted(set(names) - self.book.sent)]


def main():
    rounds, seed = int(sys.argv[1]) if sys.argv[1:] else ROUNDS, os.environ.get("CROWD_SEED", "1")
    with House("--users", "1", "--set", "imapd.sessions-max 100") as house:
        first = Imap(house, USER)
        first.expect("CREATE Other")
        first.expect("CREATE Moved")
        crowd = Crowd(house, rounds, seed)
        for number in range(rounds):
            crowd.round(number)
            crowd.compare()
            crowd.one_rule()
            if not ok(not crowd.book.wrong, f"round {number + 1}: all views agree with each other and with the disk",
                      "\n".join(crowd.book.wrong[:20])):
                break
        ok(crowd.moved and not crowd.book.wrong, "what all moved at once is there once", "\n".join(crowd.book.wrong[:20]))
        other = [IDENTITY.search(path.read_bytes())[1].decode() for path in maildir_files(crowd.box / ".Other")]
        is_(sorted(set(other) - crowd.book.sent), [], "in the other folder is nothing else")
        pop = poplib.POP3(house.env["HOST"], house.port("POP3"))
        pop.user(address(USER))
        pop.pass_("pw")
        is_(pop.stat()[0], len(list((crowd.box / "cur").iterdir())), "POP3 has as many")
        pop.quit()
        lost = next(path for path in (crowd.box / "cur").iterdir())
        crowd.book.killed.discard(IDENTITY.search(lost.read_bytes())[1].decode())
        lost.unlink()
        before = len(crowd.book.wrong)
        crowd.compare()
        ok(len(crowd.book.wrong) > before, "control: a message that goes, and nobody wanted it, is seen")
        counts = ", ".join(f"{count} {word}" for word, count in sorted(crowd.book.counts.items()))
        note(f"seed {seed}: {len(crowd.book.sent)} messages, {len(crowd.book.killed)} removed, "
             f"{len(crowd.book.by_uid)} UIDs told; {counts}")
        for client in [first, *crowd.sessions]:
            client.close()
    done()


main()
