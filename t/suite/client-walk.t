#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Our servers facing a client that goes wrong at every single point of a conversation, in every way: SMTP, submission, sendmail
-bs, POP3, IMAP. What has become of its messages is held against what it has sent and been told, by content and person; and the
house is as it was before. WALK=smtp,imap: only these.
"""
import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from clients import TRACE, first_field, maildir_files  # noqa: E402
from clientwalk import WAYS, Child, Hear, Secure, held, points, queue_files, wait_until_nothing, walk  # noqa: E402
from faultload import Imap  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402
from walkscripts import LARGE, PATIENT, SCRIPTS, SHORT, TO_BOTH, TO_ONE, name_of, text_of  # noqa: E402

CLIENTS, SILENT_CLIENTS = 12, 100
IMAP_USERS = [f"u{n:04d}" for n in range(4, 12)]
FIRST_POP3_USER = 12
UNWALKED = (b"CHUNKING", b"MULTIAPPEND", b"CATENATE", b"REPLACE", b"BINARY")
TIMES = ("auth.failure-delay 0",)  # a line too many can be a password
SHORT_TIMES = ("smtpd.timeout 2s", "pop3d.timeout 2s", "imapd.timeout 2s", "login.timeout 2s", "porter.idle-timeout 2s")
EXPECTED = r"event=(starttls-injection|limit) "
RESIDENT_BUT = {"pop3d", "imapd", "local"}  # they end when they have been idle for long


# ---- all of them ----

class Walked:
    """One conversation of a kind, and what was said in it."""

    def __init__(self, number, kind, point, way, extra=b""):
        self.name, self.kind, self.point, self.way, self.extra = f"c{number:05d}", kind, point, way, extra
        self.user = self.talk = None
        self.hears_all = way == "half" or (way == "rest_and_listen" and not extra)

    def __str__(self):
        return f"{self.name}, {self.kind.name}, {self.point}, {self.way} {self.extra[:20]!r}"

    def run(self, house):
        script = self.kind.script(self.name) if self.user is None else self.kind.script(self.name, self.user)
        self.talk = walk(self.kind.line(house, self.way == "deaf"), script, self.point, WAYS[self.way], self.extra)


def all_points(kind, numbers, ways):
    """Every point in every way, and behind every answer each line too many."""
    script, ways, found = kind.script("c00000"), [way for way in ways if way in kind.ways], []
    for point in points(script):
        # Behind half a record nothing is heard before the server's patience ends.
        found += [Walked(next(numbers), kind, point, way) for way in ways
                  if not (point[1] == "torn" and way in ("half", "rest_and_listen"))]
        action = script[point[0]]
        if any(isinstance(each, Secure) for each in script[:point[0] + 1]) and "close" in ways:
            found.append(Walked(next(numbers), kind, point, "notify"))
        if isinstance(action, Hear) and action.extra and "rest_and_listen" in ways:
            found += [Walked(next(numbers), kind, point, "rest_and_listen", extra) for extra in kind.extras]
    return found


class Seeder:
    """Puts messages where a delivery agent puts them."""

    def __init__(self, house):
        self.owner = pathlib.Path(house.env["MAILROOT"]).stat()

    def own(self, path):
        if os.geteuid() == 0:
            os.chown(path, self.owner.st_uid, self.owner.st_gid)

    def deliver(self, box, folder, number, data):
        place = box / folder
        for each in (box.parent, *(top / part for top in (box, place) for part in ("", "new", "cur", "tmp"))):
            if not each.exists():
                each.mkdir(mode=0o700)
                self.own(each)
        path = place / "new" / f"170000000{number}.{number}.test"
        path.write_bytes(data)
        self.own(path)


class World:
    """What there is, after all of them."""

    def __init__(self, house, walked):
        self.house, self.strange = house, []
        self.mail = collections.defaultdict(lambda: collections.defaultdict(list))  # name -> {user: [id]}
        known = {name: text_of(name, each.kind.sender) for each in walked if each.kind.kind == "smtp"
                 for name in each.kind.messages(each.name)}
        for user in (*TO_BOTH, *TO_ONE):
            for path in maildir_files(house.mailbox(user)):
                self.take(user, path.read_bytes(), known)
        mailboxes, drop = pathlib.Path(house.env["MAILROOT"]), house.directory / "drop"
        for pattern in ("*/Maildir/tmp/*", "*/Maildir/.*/tmp/*"):
            self.strange += [f"left behind: {path}" for path in mailboxes.glob(pattern)]
        self.strange += [f"left behind: {path}" for path in drop.iterdir() if path.name not in (".holder", ".posthouse")]
        self.sessions = {}

    def take(self, user, data, known):
        received = re.search(rb"\bid (\w{13})\b", data)
        rest, name = data, name_of(data)
        while rest != known.get(name):
            field, rest = first_field(rest)
            if field not in TRACE:
                self.strange.append(f"{user}: {data!r}")
                return
        self.mail[name][user].append(received[1].decode())

    def maildrop(self, user):
        return sorted(name_of(path.read_bytes()) for path in maildir_files(self.house.mailbox(user)))

    def folders(self, walked):
        """As a new session sees them; what it shows is what was put there."""
        if walked.user not in self.sessions:
            self.sessions[walked.user] = Imap(self.house, walked.user)
        session, found = self.sessions[walked.user], {}
        for folder in "io":
            word, _ = session.ask(f"EXAMINE {walked.name}{folder}")
            found[folder] = None
            if word == "OK":
                found[folder] = {}
                for _, flags, data in session.messages():
                    name = name_of(data)
                    if data.replace(LARGE, b"") != text_of(name or ""):
                        self.strange.append(f"{walked}: {data!r}")
                    if name in found[folder]:
                        self.strange.append(f"{walked}: {name} is there twice")
                    found[folder][name] = frozenset(flags) - {b"\\Recent"}
        return found

    def close(self):
        for session in self.sessions.values():
            session.close()


def of_mailboxes(house):
    """Processes, each with one session."""
    found = []
    for parent in processes.children(int(house.env["MASTER_PID"])):
        with contextlib.suppress(OSError):  # it has just ended, having been idle
            if pathlib.Path(f"/proc/{parent}/comm").read_text().strip() in ("pop3d", "imapd"):
                found += processes.children(parent)
    return found


def sessions(house):
    """Connections that a program of the house still has, sessions of mailboxes, people who are logged in."""
    return held(house) + of_mailboxes(house) + house.posthouse("who").stdout.splitlines()


def unfinished(house):
    """And mail under way."""
    listed = house.posthouse("queue", "list").stdout
    return sessions(house) + ([] if "Mail queue is empty" in listed else [listed]) + queue_files(house)


def settle(house, walked):
    """Every session ends by itself, whatever its client still holds open, and all that was taken is delivered."""
    wait_until_nothing(lambda: sessions(house), "sessions that stay", house)
    for each in walked:
        if each.way == "deaf":
            each.talk.line.close()
        if isinstance(each.talk.line, Child):
            each.talk.line.ended()
    # Twice: between porter, whose client has gone, and the queue a session may just be on its way.
    wait_until_nothing(lambda: unfinished(house) or unfinished(house), "what is not finished", house)


def programs(house):
    names = re.findall(r"^([\w-]+) +pid (\d+) ", house.posthouse("status").stdout, re.M)
    return {name: pid for name, pid in names if name not in RESIDENT_BUT}


def run_all(house, walked, clients):
    """What has become of it."""
    seeder, users, pop3_user = Seeder(house), itertools.cycle(IMAP_USERS), itertools.count(FIRST_POP3_USER)
    for each in walked:
        if each.kind.kind != "smtp":
            each.user = next(users) if each.kind.kind == "imap" else f"u{next(pop3_user):04d}"
            each.kind.seed(house, each, seeder)
    before = programs(house)
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda each: each.run(house), walked))
    settle(house, walked)
    is_(programs(house), before, f"the programs are those of before {len(walked)} conversations")
    return World(house, walked)


def tell(house, walked, world, patient):
    for kind in SCRIPTS:
        mine = [each for each in walked if each.kind is kind]
        if not mine:
            continue
        wrong = [f"{each}: {complaint}\nsent {each.talk.sent[-300:]!r}\nheard {each.talk.heard[-300:]!r}"
                 for each in mine for complaint in kind.judge(each, world)]
        if patient:
            wrong += [f"{each}: answered {each.talk.surprise!r}" for each in mine if each.talk.surprise]
        what = "each breaking off elsewhere" if patient else "silent or not reading"
        ok(not wrong, f"{kind.name}: {len(mine)} conversations, {what}", f"{len(wrong)} are wrong\n" + "\n".join(wrong[:8]))
    is_(world.strange, [], "nothing else has come, nothing altered, nothing half")
    world.close()


def log_is_clean(house):
    house.stop()
    log, expected = house.log(), EXPECTED
    if "LeakSanitizer has encountered a fatal error" in log:  # it cannot look at a process that has changed its uid, which then ends so
        expected += "|event=worker-died pid=\\d+ exit=1$"
    bad = [line for line in log.splitlines() if re.search(r" (fatal|panic|warning): ", line) and not re.search(expected, line)]
    is_(bad, [], "the log tells of no program that died, and warns of nothing but what was said before TLS")


class Nothing:
    """A world in which everything has gone."""
    mail = {}

    def maildrop(self, _):
        return []

    def folders(self, _):
        return {"i": {}, "o": None}


def controls(walked, world):
    """The judges see what is wrong; and what the servers offer is what is walked."""
    whole = {each.kind: each for each in walked if each.way == "half"}  # the last of each kind
    is_([kind.name for kind, last in whole.items() if not kind.judge(last, Nothing())], [], "control: what is gone is missed")
    begun = next((each for each in walked if each.kind.kind == "smtp" and each.way == "close"), None)
    if begun:
        world.mail[f"{begun.name}.a"]["u0001"].append("x")
        ok(begun.kind.judge(begun, world), "control: what was not sent is too much")
    heard = b"".join(each.talk.heard for each in walked)
    is_([word for word in UNWALKED if word in heard], [], "no way to hand in a message is offered that is not walked here")


def users_of(walked):
    return FIRST_POP3_USER + sum(each.kind.kind == "pop3" for each in walked)


def select(ways):
    numbers, only = itertools.count(1), os.environ.get("WALK", "smtp,pop3,imap").split(",")
    return [each for kind in SCRIPTS if kind.kind in only for each in all_points(kind, numbers, ways)]


def settings(rows):
    return [word for row in rows for word in ("--set", row)]


def main():
    patient, short = select(PATIENT), select(SHORT)
    with House("--users", str(users_of(patient)), *settings(TIMES)) as house, \
            House("--users", str(users_of(short)), *settings(TIMES + SHORT_TIMES)) as hasty, \
            concurrent.futures.ThreadPoolExecutor(1) as beside:
        silent = beside.submit(run_all, hasty, short, SILENT_CLIENTS)
        world = run_all(house, patient, CLIENTS)
        tell(house, patient, world, True)
        controls(patient, world)
        tell(hasty, short, silent.result(), False)
        log_is_clean(house)
        log_is_clean(hasty)
    note(f"{len(patient)} conversations that break off, {len(short)} that fall silent or do not read, "
         f"{sum(each.talk.surprise is not None for each in short)} of them too slow for the time limits of two seconds")


main()
done()
