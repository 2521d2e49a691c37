# SPDX-License-Identifier: ISC
"""A small load that uses every program of a house once, and what must be true of it afterwards, whatever failed meanwhile:

    load = Load(house)                     house: with the options of Load.OPTIONS(host)
    round = load.run(phases)               what was sent, asked for, and answered
    load.settle(); round.faults()          a list of words: what is lost, misdelivered, altered ...

Everything acknowledged is there, whole, at the right person; what was refused is not; what broke off may be either.
"""
import hashlib
import os
import poplib
import re
import smtplib
import socket
import ssl
import subprocess

import clients
from fakesmtp import FakeHost
from imaphouse import Client

PHASES = ("start", "smtp", "relay", "submission", "sendmail", "drop", "imap", "pop3", "edit", "settle")
PATIENCE_SECONDS = 120  # only a hang takes longer
DOMAIN = clients.DOMAIN
FOLDERS = {"INBOX": "", "Work": ".Work", "Archive": ".Archive"}
DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"


def message(name, size):
    """Complete, so that nobody mends it, and no other's."""
    seed = hashlib.sha1(name.encode()).hexdigest()
    line = f"{name} {seed} 0123456789 the quick brown fox\r\n"
    head = (f"From: <s@back.test>\r\nTo: somebody: ;\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@test>\r\n"
            f"Subject: {name}\r\n\r\n")
    return (head + line * max(1, size // len(line))).encode()


class Broken(Exception):
    """The conversation ended: what was asked for last may have been done."""


class Imap(Client):
    """Over a connection of its own."""

    def __init__(self, house, user):
        self.socket = socket.create_connection((house.env["HOST"], house.port("IMAP")), timeout=PATIENCE_SECONDS)
        self.token, self.buffer, self.count = self.socket, b"", 0
        if not self.line().startswith(b"* OK"):
            raise Broken
        self.expect(f"LOGIN {clients.address(user)} pw")

    def ask(self, text, *literals):
        """(OK, NO or BAD; all that was answered)"""
        try:
            answer = self.command(text, *literals)
        except (OSError, EOFError) as error:
            raise Broken(text) from error
        found = re.search(rb"(?:^|\r\n)t%d (OK|NO|BAD)[^\r\n]*\r\n$" % self.count, answer)
        if not found:
            raise Broken(text)
        return found[1].decode(), answer

    def expect(self, text, *literals):
        word, answer = self.ask(text, *literals)
        if word != "OK":
            raise Broken(answer)
        return answer

    def messages(self):
        """[(uid, flags, the whole message)] of the selected folder."""
        word, answer = self.ask("UID FETCH 1:* (FLAGS BODY.PEEK[])")
        return [] if word != "OK" else parse_messages(answer)


def parse_messages(answer):
    found = []
    for head in re.finditer(rb"\* \d+ FETCH \(([^{]*)BODY\[\] \{(\d+)\}\r\n", answer):
        data = answer[head.end():head.end() + int(head[2])]
        rest = answer[head.end() + int(head[2]):].split(b"\r\n", 1)[0]
        words = head[1] + rest
        uid, flags = re.search(rb"UID (\d+)", words), re.search(rb"FLAGS \(([^)]*)\)", words)
        found.append((int(uid[1]), flags[1].split() if flags else [], data))
    return found


class Round:
    """What one run of the load did, and what came of it."""

    def __init__(self, load, number):
        self.load, self.house, self.number = load, load.house, number
        self.mail = {}      # name -> {recipient: state}
        self.folders = {}   # name -> {folder: how many may be there}
        self.stays = set()  # wherever it was moved to
        self.flagged = []
        self.data = {}      # name -> bytes
        self.refusals = []  # what was answered to whom
        self.wrong = []     # what no fault excuses
        self.reported = {}  # name -> whether somebody must have had a report
        self.edit = None

    def make(self, word, size=1500):
        name = f"r{self.number:05d}.{word}"
        self.data[name] = message(name, size)
        return name

    def refuse(self, what, answer):
        self.refusals.append(f"{what}: {answer!r}"[:300])

    # ---- SMTP ----

    def transaction(self, smtp, name, recipients, sender):
        """States are known only when the answer to the text was read."""
        states = self.mail[name] = {r: REFUSED for r in recipients}
        code, text = smtp.mail(sender)
        taken = []
        if code == 250:
            for recipient in recipients:
                code, text = smtp.rcpt(recipient)
                if code == 250:
                    taken.append(recipient)
                else:
                    self.refuse(f"RCPT {recipient}", (code, text))
        else:
            self.refuse("MAIL", (code, text))
        if not taken:
            smtp.rset()
            return
        states.update({r: UNKNOWN for r in taken})
        try:
            code, text = smtp.data(self.data[name])
        except smtplib.SMTPDataError as error:
            code, text = error.smtp_code, error.smtp_error
        states.update({r: DONE if code == 250 else REFUSED for r in taken})
        if code != 250:
            self.refuse(f"DATA {name}", (code, text))

    def over_smtp(self, service, transactions, start=lambda smtp: None, sender="s@back.test"):
        try:
            with smtplib.SMTP(self.house.env["HOST"], self.house.port(service), "client.test", timeout=PATIENCE_SECONDS) as smtp:
                smtp.ehlo()
                start(smtp)
                for name, recipients in transactions:
                    self.transaction(smtp, name, recipients, sender)
        except (OSError, smtplib.SMTPException) as error:
            self.broken(f"{service}", error)

    def broken(self, what, error):
        if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
            self.wrong.append(f"hangs: {what}: no answer in {PATIENCE_SECONDS} s")
        self.refuse(what, error)

    def smtp(self):
        a, b = (clients.address(u) for u in ("u0001", "u0002"))
        c = clients.address("u0003")
        self.over_smtp("SMTP", [(self.make("a"), [a]), (self.make("b", 70000), [b, c, "x@far.test"]), (self.make("c", 300), [b])])

    def relay(self):
        refused = self.make("no")
        self.over_smtp("SUBMISSION", [(self.make("far"), ["y@far.test", "z@far.test"]), (refused, ["reject@far.test"])], self.login,
                       clients.address("u0001"))
        self.reported[refused] = self.mail.get(refused, {}).get("reject@far.test", REFUSED)
        self.mail.pop(refused, None)

    def submission(self):
        self.over_smtp("SUBMISSION", [(self.make("sub"), [clients.address("u0003")])], self.login_with_tls, clients.address("u0001"))

    def login_with_tls(self, smtp):
        smtp.starttls(context=self.load.tls)
        smtp.ehlo()
        self.login(smtp)

    @staticmethod
    def login(smtp):
        smtp.login(clients.address("u0001"), "pw")

    # ---- on the machine ----

    def sendmail(self, word="local", **variables):
        """drop is setgid where it is installed; here sendmail has its account."""
        owner = (self.house.directory / "drop").stat()
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        name, to = self.make(word), clients.address("u0001")
        environment = {**os.environ, **self.house.preloading.variables, "POSTHOUSE_CONF": self.house.env["CONF"],
                       "POSTHOUSE_PROGRAMS": self.house.env["BIN"], **variables}
        done = subprocess.run([f"{self.house.env['BIN']}/sendmail", "-f", "s@back.test", to], input=self.data[name], env=environment,
                              capture_output=True, timeout=PATIENCE_SECONDS, **identity)
        state = DONE if done.returncode == 0 else UNKNOWN if b"may or may not have been accepted" in done.stderr else REFUSED
        self.mail[name] = {to: state}
        if done.returncode:
            self.explained("sendmail", done.returncode, done.stderr)

    def drop(self):
        self.sendmail("drop", POSTHOUSE_RUNDIR="/nonexistent")

    def explained(self, what, code, words):
        """A command that fails says why: the log need not."""
        if not words.strip() or code < 0:
            self.wrong.append(f"unexplained: {what} exits {code} and says {words!r}")

    def change(self):
        alias = f"{self.number:05d}@{DOMAIN}"
        done = self.house.posthouse("alias", "add", alias, clients.address("u0006"), injected=True)
        self.edit = (alias, DONE if done.returncode == 0 else UNKNOWN)
        if done.returncode:
            self.explained("alias add", done.returncode, done.stderr)

    # ---- mailboxes ----

    def seed(self, user, word):
        """As another program leaves a message."""
        name, box = self.make(word), self.house.mailbox(user)
        path = box / "new" / f"1700000000.{name}.test"
        path.write_bytes(self.data[name])
        owner = box.stat()
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
        return name

    def imap(self):
        kept, moved = self.seed("u0004", "kept"), self.seed("u0004", "moved")
        self.folders[kept], self.folders[moved] = {"INBOX": {1}}, {"INBOX": {1}}
        self.stays = {kept, moved}
        try:
            client = Imap(self.house, "u0004")
            try:
                self.over_imap(client, kept, moved)
            finally:
                client.close()
        except (Broken, OSError) as error:
            self.broken("IMAP", error)

    def over_imap(self, client, kept, moved):
        client.expect("SELECT INBOX")
        inbox, work = self.make("inbox", 40000), self.make("work")
        for name, folder in ((inbox, "INBOX"), (work, "Work")):
            self.folders[name] = {folder: {0, 1}}
            word, answer = client.ask(f"APPEND {folder} {{{len(self.data[name])}}}", self.data[name] + b"\r\n")
            self.folders[name] = {folder: {int(word == "OK")}}
            self.answered(f"APPEND {folder}", word, answer)
        word, answer = client.ask("UID FETCH 1:* (BODY.PEEK[])")
        self.answered("FETCH", word, answer[-200:])
        uids = {}
        for uid, _, data in parse_messages(answer):
            name = self.load.names.find(data, self.data)
            uids[name] = uid
            if name is None:
                self.wrong.append(f"altered: FETCH gives {data[:300]!r}")
        for number, (name, text, after) in enumerate((
                (kept, "STORE {} +FLAGS (\\Flagged)", {}), (kept, "COPY {} Work", {"Work": {1}}),
                (moved, "MOVE {} Archive", {"INBOX": {0}, "Archive": {1}}), (inbox, "STORE {} +FLAGS (\\Deleted)", {}),
                (inbox, "EXPUNGE {}", {"INBOX": {0}}))):
            if name not in uids or (number == 4 and "OK" != word):
                continue
            before = dict(self.folders[name])
            self.folders[name] = {f: before.get(f, {0}) | after.get(f, before.get(f, {0})) for f in FOLDERS}
            word, answer = client.ask("UID " + text.format(uids[name]))
            self.answered(text, word, answer)
            self.folders[name] = {**before, **after} if word == "OK" else before
            if number == 0 and word == "OK":
                self.flagged.append(name)
        client.ask("LOGOUT")

    def answered(self, what, word, answer):
        if word != "OK":
            self.refuse(what, answer)

    def pop3(self):
        names = [self.seed("u0005", f"p{n}") for n in range(3)]
        for name in names:
            self.folders[name] = {"POP3": {1}}
        try:
            pop = poplib.POP3(self.house.env["HOST"], self.house.port("POP3"), timeout=PATIENCE_SECONDS)
            try:
                self.over_pop3(pop)
            finally:
                pop.close()
        except (OSError, EOFError, poplib.error_proto) as error:
            self.broken("POP3", error)

    def over_pop3(self, pop):
        pop.user(clients.address("u0005"))
        pop.pass_("pw")
        gone = None
        for number in range(1, pop.stat()[0] + 1):
            try:
                lines = pop.retr(number)[1]
            except poplib.error_proto as error:
                if b"EOF" in bytes(str(error), "ascii", "replace"):
                    raise
                self.refuse("RETR", error)
                continue
            name = self.load.names.find(b"\r\n".join(lines) + b"\r\n", self.data)
            if name is None:
                self.wrong.append(f"altered: RETR gives {lines[:8]!r}, {len(lines)} lines")
            elif gone is None:
                pop.dele(number)
                gone = name
                self.folders[gone] = {"POP3": {0, 1}}
        pop.quit()
        if gone:
            self.folders[gone] = {"POP3": {0}}

    # ---- what came of it ----

    def probe(self):
        """The house takes mail again, by the alias if there must be one, with TLS."""
        before = len(self.refusals)
        alias, state = self.edit or (None, None)
        to = alias if state == DONE else clients.address("u0006")
        name = self.make("probe")
        self.over_smtp("SUBMISSION", [(name, [to])], self.login_with_tls, clients.address("u0001"))
        self.mail[name] = {clients.address("u0006"): self.mail.get(name, {}).get(to, REFUSED)}
        if len(self.refusals) > before:
            self.wrong.append(f"does not serve afterwards: {self.refusals[before:]}")
            del self.refusals[before:]

    def faults(self):
        """Call it when the house has settled."""
        wrong, doubled = list(self.wrong), 0
        there = self.load.everything()
        for name, states in self.mail.items():
            for recipient, state in states.items():
                count = there.pop((name, recipient), 0)
                doubled += max(0, count - 1)
                if state == DONE and count == 0:
                    wrong.append(f"lost: {name} for {recipient}")
                if state == REFUSED and count:
                    wrong.append(f"refused, yet there: {name} for {recipient}")
        for name, folders in self.folders.items():
            for folder in (*FOLDERS, "POP3"):
                count, allowed = there.pop((name, folder), 0), folders.get(folder, {0})
                if count not in allowed:
                    wrong.append(f"{'lost' if count < min(allowed) else 'not expected'}: {name} in {folder}: {count}, not {allowed}")
            if name in self.stays and not any(self.load.last.get((name, folder)) for folder in FOLDERS):
                wrong.append(f"lost: {name} is in no folder")
        for name, state in self.reported.items():
            count = there.pop((name, "report to " + clients.address("u0001")), 0)
            doubled += max(0, count - 1)
            if (state == DONE and not count) or (state == REFUSED and count):
                wrong.append(f"report about {name}: {count}, and it was {state}")
        wrong += [f"misdelivered or altered: {name} at {place}" for name, place in there]
        wrong += self.views()
        return wrong, doubled

    def views(self):
        """What a new session sees is what is on disk."""
        wrong = []
        try:
            client = Imap(self.house, "u0004")
            for folder in FOLDERS:
                client.expect(f"SELECT {folder}")
                seen = {}
                for _, flags, data in client.messages():
                    name = self.load.names.find(data, self.data)
                    seen[name] = seen.get(name, 0) + 1
                    if folder == "INBOX" and name in self.flagged and b"\\Flagged" not in flags:
                        wrong.append(f"lost: the flag of {name}")
                disk = {n: c for (n, f), c in self.load.last.items() if f == folder}
                if seen != disk:
                    wrong.append(f"IMAP shows {seen} in {folder}, on disk is {disk}")
            client.close()
        except (Broken, OSError) as error:
            wrong.append(f"IMAP does not serve afterwards: {error!r} {error.__cause__!r}")
        return wrong


class Names:
    """Which message it is, with no more before it than trace fields."""

    def find(self, data, messages):
        found = re.search(rb"(?m)^Subject: (r\d+\.\w+)\r?$", data)
        name = found[1].decode() if found else None
        if name not in messages:
            return None
        rest = data
        while rest != messages[name]:
            field, rest = clients.first_field(rest)
            if field is None or field not in clients.TRACE:
                return None
        return name


class Load:
    def __init__(self, house, host):
        self.house, self.host, self.names = house, host, Names()
        self.rounds = 0
        self.current = None
        self.last = {}
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    @staticmethod
    def host():
        """It refuses one for good, and all of them as long as host.defers."""
        def recipient(line):
            return b"451 4.3.0 not now\r\n" if host.defers else b"550 5.1.1 no such user\r\n" if "reject@" in line else None
        host = FakeHost(answers={"RCPT": recipient})
        host.defers = False
        return host

    @staticmethod
    def options(host):
        return ("--users", "6", "--route", f"far.test 127.0.0.1:{host.port}", "--route", f"back.test 127.0.0.1:{host.port}",
                "--set", "queue.retry-first 100ms", "--set", "queue.retry-max 1s")

    def prepare(self):
        """Mailboxes that exist."""
        for user in ("u0004", "u0005"):
            client = Imap(self.house, user)
            for folder in ("Work", "Archive") if user == "u0004" else ():
                client.expect(f"CREATE {folder}")
            client.close()

    def run(self, phases, page=None):
        self.rounds += 1
        self.current = Round(self, self.rounds)
        for number, name in enumerate(PHASES):
            if name in phases and name not in ("start", "settle"):
                if page:
                    page.phase(number)
                getattr(self.current, "change" if name == "edit" else name)()
        if page:
            page.phase(PHASES.index("settle"))
        return self.current

    def settle(self):
        def is_quiet():
            return not [p for p in (self.house.directory / "drop").iterdir() if not p.name.startswith(".")] and self.house.queue_is_empty()
        self.house.wait_for("an empty queue", is_quiet, PATIENCE_SECONDS)

    def everything(self):
        """{(name or None, recipient or folder): how many}, of mailboxes and of the other host."""
        found = {}

        def add(data, place):
            report = re.match(rb"Return-Path: <>\r\n", data) and re.search(rb"Message-ID: <(r\d+\.\w+)@test>", data)
            key = (report[1].decode(), "report to " + place) if report else (self.names.find(data, self.current.data), place)
            found[key] = found.get(key, 0) + 1
        for user in ("u0001", "u0002", "u0003", "u0006"):
            for path in clients.maildir_files(self.house.mailbox(user)):
                add(path.read_bytes(), clients.address(user))
        for folder, below in FOLDERS.items():
            for path in clients.maildir_files(self.house.mailbox("u0004") / below):
                add(path.read_bytes(), folder)
        for path in clients.maildir_files(self.house.mailbox("u0005")):
            add(path.read_bytes(), "POP3")
        for _, recipients, data, _ in self.host.messages:
            for recipient in recipients:
                add(data, recipient)
        self.last = dict(found)
        return found

    def clear(self):
        for n in range(1, 7):
            for below in ("", ".Work", ".Archive"):
                for path in clients.maildir_files(self.house.mailbox(f"u{n:04d}") / below):
                    path.unlink()
        with self.host.changed:
            self.host.messages.clear()
