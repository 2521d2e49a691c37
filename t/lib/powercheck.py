# SPDX-License-Identifier: ISC
"""What a power cut has left, against what was promised (powerload.py), for t/fault/powercut.t: once as the files stand
there, and once after a start of the house."""
import collections
import imaplib
import pathlib
import poplib
import re
import smtplib

from powerload import (FOLDERS, IMAP_USERS, LOCAL, MARK, POP_USER, RELAYED, TEAM, TEAM_OF, text, whose)

EDITS_ASKED = 20  # the last; a session that asks for more is closed
UID_IN_NAME = re.compile(r",U=([0-9a-f]+)\.(\d+)")
FIGURES = ("starts", "checks", "lost", "torn", "misdelivered", "reused", "edits", "doubled", "returned", "uids")


class Figures(collections.Counter):
    def __init__(self):
        super().__init__()
        self.stories = []  # the first of what was lost, torn ...

    def bad(self, kind, story):
        self[kind] += 1
        if len(self.stories) < 20:
            self.stories.append(f"{kind}: {story}")

    def __str__(self):
        return ", ".join(f"{self[name]} {name}" for name in FIGURES)


def read_queue_file(data):
    """The message's name, and the recipients for whom something is still to be done."""
    sizes = [int(n) for n in data[49:83].split()]
    message = data[256:256 + sizes[0]]
    lines = data[256 + sizes[0] + sizes[1]:].decode("latin-1").split("\n")
    recipients, new = {}, {}
    for line in lines:
        words = line.split(" ")
        if words[0] == "to":
            recipients[len(recipients)] = words[3]
        elif words[0] == "new" and words[-1].startswith("*"):
            new[int(words[1].split("/")[1])] = words[4]
        elif words[0] == "expanded" and words[-1].startswith("*"):
            alias, count, first = map(int, words[1].split("/"))
            if all(n in new for n in range(first, count)):  # else it is resolved again
                recipients[alias] = None
                recipients.update((n, new[n]) for n in range(first, count))
        elif words[0] in ("done", "failed", "success") and words[-1].startswith("*"):
            recipients[int(words[1])] = None
    found = MARK.search(message)
    return found[1].decode() if found else None, [r for r in recipients.values() if r]


class Found:
    """What stands in an instance's directories."""

    def __init__(self, house, record, figures, n):
        self.house, self.record, self.figures, self.cut = house, record, figures, n
        self.boxes = collections.defaultdict(list)  # user, name -> the folder of each copy
        self.waiting = collections.defaultdict(set)  # name -> users for whom it is in the queue or in drop

    def look_at_mail(self):
        for user in LOCAL:
            maildir = self.house.mailbox(user)
            for folder in FOLDERS:
                place = maildir if folder == "INBOX" else maildir / f".{folder}"
                for part in ("new", "cur"):
                    for path in (place / part).glob("*"):
                        self.message(user, folder, path)

    def message(self, user, folder, path):
        data = path.read_bytes()
        found = MARK.search(data)
        name = found[1].decode() if found else None
        if name is None or not data.endswith(text(name)):
            self.figures.bad("torn", f"{user} {folder} {path.name}: {len(data)} bytes, {name}")
            return
        if user not in self.record.owners[name]:
            self.figures.bad("misdelivered", f"{name} is in {user} {folder}")
        self.boxes[user, name].append(folder)
        stamp = UID_IN_NAME.search(path.name)
        if stamp:
            self.uid(user, folder, int(stamp[1], 16), int(stamp[2]), name)

    def uid(self, user, folder, validity, uid, name):
        told, since = self.record.uids.get((user, folder, validity, uid), (None, None))
        if told is not None and since <= self.cut:
            self.figures["uids"] += 1
            if told != name:
                self.figures.bad("reused", f"{user} {folder} {validity} {uid} was {told}, is {name}")

    def look_at_queue(self):
        """Only what verifies counts: posthouse queue check names what does not."""
        place = pathlib.Path(self.house.env["QUEUE"])
        told = self.house.posthouse("queue", "check").stdout
        bad = {pathlib.Path(line.split(":")[0]).name for line in told.splitlines() if ": " in line}
        for path in place.glob("[0-9a-f][0-9a-f]/*"):
            if path.name not in bad:
                name, recipients = read_queue_file(path.read_bytes())
                self.wait(name, recipients)
        for path in (self.house.directory / "drop").glob("[0-9]*"):
            found = MARK.search(path.read_bytes())
            if found:
                self.waiting[found[1].decode()] |= self.record.owners[found[1].decode()]

    def wait(self, name, recipients):
        for address in recipients:
            self.waiting[name].update(TEAM_OF if address == TEAM else (whose(address),))


def check_promises(found, record, figures, n, taken, moment):
    """taken: {(name, address)} that the next host had."""
    for p in record.promises:
        if p.since is None or p.since > n or (p.until is not None and n > p.until):
            continue
        figures["checks"] += 1
        there = set(found.boxes.get((p.user, p.name), ()))
        if p.places is not None:
            good = bool(there & p.places)
        else:
            good = bool(there) or p.user in found.waiting[p.name] or (p.user == RELAYED and (p.name, RELAYED) in taken)
        if not good:
            figures.bad("lost", f"{moment} {n}: {p.user} {p.name} in {sorted(p.places or ['any'])} since {p.since}, "
                                f"is in {sorted(there)}")
    for (user, name, folder), since in record.removed.items():
        figures["returned"] += since <= n and folder in found.boxes.get((user, name), ())


def check_edits(house, record, figures, n):
    acknowledged = sum(since <= n for since in record.edits)
    text_there = (house.directory / "conf/aliases.map").read_text()
    there = re.findall(r"^edit(\d+)@example\.test u0004@example\.test$", text_there, re.MULTILINE)
    figures["checks"] += acknowledged
    figures["edits"] += acknowledged
    # An edit that was not yet answered may be there; the others are there whole, in their order.
    if sorted(map(int, there)) != list(range(len(there))) or len(there) < acknowledged or TEAM not in text_there:
        figures.bad("lost", f"{n}: {acknowledged} edits of a map, there are {there}")
    return acknowledged


def check_files(house, record, figures, n):
    """Without a start."""
    found = Found(house, record, figures, n)
    found.look_at_mail()
    found.look_at_queue()
    taken = {(name, a) for name, to, since in list.copy(record.sink.messages) if since <= n for a in to}
    check_promises(found, record, figures, n, taken, "cut")
    check_edits(house, record, figures, n)


def doubled(messages):
    """What the next host was given more than once, and how often."""
    count = collections.Counter((name, a) for name, to, _ in messages for a in to)
    return {key: many for key, many in count.items() if many > 1}


def check_start(house, record, figures, n):
    """Starts the house on what is there, lets it finish its work, and asks it."""
    messages = record.sink.messages
    before = [(name, a) for name, to, since in list.copy(messages) if since <= n for a in to]
    mark = len(messages)
    house._command("start", house.directory, "--as-it-is")
    try:
        drop = house.directory / "drop"
        house.wait_for("drop and the queue are empty", lambda: not any(drop.glob("[0-9]*")) and
                       house.posthouse("queue", "list").stdout.startswith("Mail queue is empty"))
        check_served(house, record, figures, n)
    finally:
        house.stop()
    received = before + [(name, a) for name, to, _ in list.copy(messages)[mark:] for a in to]
    del messages[mark:]
    found = Found(house, record, figures, n)
    found.look_at_mail()
    check_promises(found, record, figures, n, set(received), "start")
    figures["doubled"] += sum(many - 1 for many in collections.Counter(received).values())
    figures["doubled"] += sum(len(folders) - 1 for (user, _), folders in found.boxes.items() if user not in IMAP_USERS)
    figures.update(torn=sum(name is None for name, _ in received))


def check_served(house, record, figures, n):
    """As its clients see it: UIDs, POP3, the edited map."""
    for user in IMAP_USERS:
        with imaplib.IMAP4(house.env["HOST"], house.port("IMAP")) as imap:
            imap.login(f"{user}@example.test", "pw")
            for folder in FOLDERS:
                if imap.select(folder)[0] == "OK":
                    check_uids(imap, user, folder, record, figures, n)
    pop = poplib.POP3(house.env["HOST"], house.port("POP3"))
    pop.user(f"{POP_USER}@example.test")
    pop.pass_("pw")
    served, there = pop.stat()[0], len(list(house.mailbox(POP_USER).glob("[nc]*/*")))
    figures["checks"] += 1
    if served != there:
        figures.bad("lost", f"start {n}: POP3 serves {served} messages of {there}")
    pop.quit()
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP")) as smtp:
        edits = sum(since <= n for since in record.edits)
        for number in range(max(0, edits - EDITS_ASKED), edits):
            smtp.ehlo_or_helo_if_needed()
            smtp.mail("a@elsewhere.test")
            figures["checks"] += 1
            code, words = smtp.rcpt(f"edit{number}@example.test")
            if code != 250:
                figures.bad("lost", f"{n}: edit {number} is not served: {code} {words}")
            smtp.rset()


def check_uids(imap, user, folder, record, figures, n):
    validity = int(imap.response("UIDVALIDITY")[1][0])
    for piece in imap.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (X-Power-Cut)])")[1]:
        if not isinstance(piece, tuple):
            continue
        uid, found = int(re.search(rb"UID (\d+)", piece[0])[1]), MARK.search(piece[1])
        told, since = record.uids.get((user, folder, validity, uid), (None, None))
        if told is not None and since <= n:
            figures["uids"] += 1
            if not found or found[1].decode() != told:
                figures.bad("reused", f"start {n}: {user} {folder} {validity} {uid} was {told}, is {found and found[1]}")
