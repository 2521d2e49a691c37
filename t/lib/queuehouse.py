# SPDX-License-Identifier: ISC
"""queued with writers, a resolved, agents and a master that a test plays.

    with House(settings) as house:
        id = house.write(["a@example.test"], b"Subject: x\\r\\n\\r\\nhello\\r\\n")
        job = house.agents["local"].job()        # waits for one
        job.finish({0: DONE})

Without a script an agent's jobs wait for the test; house.agents["remote"].answer = lambda job: {...} answers them
all by itself.
"""
import fcntl
import hashlib
import os
import pathlib
import queue
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading

import waiting
import wirehouse
from smtphouse import serve
from wirehouse import ENVELOPE, ENVELOPE_ONWARD, ENVELOPE_RECIPIENT, Out, accept, dial, pair, receive, send

(SPOOL_OPEN, SPOOL_FILE, SPOOL_RECIPIENT, SPOOL_COMMIT, SPOOL_COMMITTED, SPOOL_LIVE, SPOOL_ABANDON,
 SPOOL_REFUSED, SPOOL_ENDED, SPOOL_WHOLE, SPOOL_SEALED) = range(16, 27)
RESOLVE_EXPAND, RESOLVE_TARGET, RESOLVE_REFUSALS = 20, 21, 22
FULL, UNKNOWN = 0, 1
JOB_BEGIN, JOB_RECIPIENT, JOB_RESULT, JOB_FINISHED = 16, 17, 18, 19
OWNER_WORK = 16
MASTER_RELOAD, MASTER_CONTROL = 16, 17
(CONTROL_LINE, CONTROL_END, CONTROL_QUEUE_LIST, CONTROL_QUEUE_ENTRY, CONTROL_QUEUE_SHOW, CONTROL_QUEUE_RETRY,
 CONTROL_QUEUE_HOLD, CONTROL_QUEUE_RELEASE, CONTROL_QUEUE_REMOVE) = range(20, 29)
CONTROL_QUEUE, CONTROL_QUEUE_COUNTS, CONTROL_QUEUE_RESTORE, CONTROL_QUEUE_READING = 19, 30, 31, 34
NETWORK, AUTHENTICATED, MACHINE, BOUNCE, RELAY = range(5)
DONE, RETRY, FAILED, OWN_FAULT = range(4)
ERROR, MAILBOX, REMOTE = range(3)
REPORT_NONE, REPORT_FAILED, REPORT_DELAYED, REPORT_DELIVERED, REPORT_RELAYED, REPORT_ALIAS = range(6)
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8
# The agents that are always there, out of the table that queued reads.
AGENTS = re.findall(r"^AGENT\(\w+, (\w+), WIRE,", (pathlib.Path(__file__).resolve().parents[2] / "lib/conf/agents.def").read_text(), re.M)
MESSAGE = b"Received: from test\r\nSubject: x\r\n\r\nhello\r\n"
WAIT = wirehouse.PATIENCE_SECONDS


class Refused(Exception):
    pass


def put_recipient(out, recipient):
    address, notify, orcpt = recipient
    return out.fields(ENVELOPE_RECIPIENT, {"address": address, "notify": notify, "orcpt": orcpt})


class Writer:
    """One line of smtpd, pickup or bounce, one message at a time, each step by itself."""

    def __init__(self, wire):
        self.line = dial(wire, "spool")
        self.kept = []

    def ask(self, out, wanted):
        send(self.line, out)
        answer = receive(self.line)
        if answer is None:
            raise EOFError
        if answer.kind == SPOOL_REFUSED:
            raise Refused(bool(answer.byte()), answer.string(), answer.string())
        assert answer.kind == wanted, answer.kind
        return answer

    def open(self, announced=0, client="192.0.2.1", id=""):
        answer = self.ask(Out(SPOOL_OPEN).u64(announced).address(client, 0).u32(0).view(id), SPOOL_FILE)
        self.id, self.next, self.offset, self.fd = answer.string(), answer.string(), answer.u64(), answer.fd()
        return self.id

    def abandon(self):
        send(self.line, Out(SPOOL_ABANDON))
        os.close(self.fd)

    def whole(self, data, recipients, id=None):
        """All in one question, with the id that was named; the file is empty then, and self.header is for it."""
        self.data, self.kept = data, [(to, 0, "") for to in recipients]
        out = Out(SPOOL_WHOLE).u64(0).address("192.0.2.1", 0).u32(0).view(self.next if id is None else id)
        answer = self.ask(self._written(out), SPOOL_SEALED)
        self.id, self.next, self.header, self.fd = answer.string(), answer.string(), answer.view(), answer.fd()
        return self.id

    def write_whole(self, recipients):
        """What whole() was told: its header, its text, its envelope."""
        envelope = "from sender@example.test\norigin authenticated - 192.0.2.1 client.test\nbody 7bit 1\ndsn - -\n"
        envelope += "".join(f"to 0 - {to}\n" for to in recipients)
        os.pwrite(self.fd, self.header + self.data + envelope.encode(), 0)
        os.fsync(self.fd)

    def write(self, data):
        self.data = data
        os.pwrite(self.fd, data, self.offset)

    def recipients(self, recipients):
        """The last comes with the commit, those before it by themselves: both ways are taken."""
        recipients = [(to, 0, "") if isinstance(to, str) else to for to in recipients]
        for to in recipients[:-1]:
            send(self.line, put_recipient(Out(SPOOL_RECIPIENT), to))
        self.kept = recipients[-1:]

    def commit(self, sender="sender@example.test", origin=AUTHENTICATED, size=None, checksum=None, envid="", ret=0):
        self.ask(self._written(Out(SPOOL_COMMIT), sender, origin, size, checksum, envid, ret), SPOOL_COMMITTED)

    def _written(self, out, sender="sender@example.test", origin=AUTHENTICATED, size=None, checksum=None, envid="", ret=0):
        checksum = hashlib.blake2b(self.data, digest_size=32).digest() if checksum is None else checksum
        out.fields(ENVELOPE, {"origin": origin, "sender": sender, "client": "192.0.2.1",
                                                  "helo": "client.test", "ret": ord(ret) if ret else 0, "envid": envid, "hops": 1})
        out.u64(len(self.data) if size is None else size).view(checksum)
        for to in self.kept:
            put_recipient(out, to)
        self.kept = []
        return out

    def live(self, heard=True):
        """No answer comes; the test goes on when queued has read it, or is gone."""
        send(self.line, Out(SPOOL_LIVE))
        while heard and self.unread() and not select.select([self.line], [], [], 0.0005)[0]:
            pass

    def unread(self):
        """Bytes that queued has not received."""
        return struct.unpack("i", fcntl.ioctl(self.line, termios.TIOCOUTQ, bytes(4)))[0]

    def ended(self):
        """That the message was ended, which comes unasked: its id, and why."""
        answer = receive(self.line)
        assert answer.kind == SPOOL_ENDED, answer.kind
        return answer.string(), (bool(answer.byte()), answer.string(), answer.string())

    def close(self):
        self.line.close()


class Job:
    def __init__(self, line, message):
        self.line, self.finished = line, False
        self.id = message.string()
        self.offset, self.size, self.extra_offset, self.extra_size = (message.u64() for _ in range(4))
        self.checksum = message.view()
        self.__dict__.update(message.fields(ENVELOPE_ONWARD))
        self.arrived, self.attempts, (self.lmtp, self.domain, self.hops) = message.u64(), message.u16(), message.route()
        self.report, self.gives_up = message.byte(), message.u64()
        self.fd = message.fd()
        self.recipients = []
        self.packets = 1
        self.take(message)
        while not self.recipients[-1]["last"]:
            message = receive(line)
            if message is None or message.kind != JOB_RECIPIENT:
                raise ValueError("a job without its end")
            self.packets += 1
            self.take(message)

    def take(self, message):
        while message.rest:
            self.recipients.append(self.recipient(message))
        message.end()

    @staticmethod
    def recipient(m):
        return {"index": m.u32(), "last": m.byte(), **m.fields(ENVELOPE_RECIPIENT),
                "uid": m.u32(), "gid": m.u32(), "home": m.string(), "quota": m.u64(), "contested": m.byte(), "status": m.string(), "text": m.string(),
                "host": m.string(), "attempted": m.u64()}

    @property
    def addresses(self):
        return [r["address"] for r in self.recipients]

    def bytes(self):
        return os.pread(self.fd, self.size, self.offset)

    def result(self, number, outcome, status=None, text="", host="", trouble=False, passed_on=False, damaged=False, unknown=False,
               before_text=False, contested=False, last=False):
        status = status or {DONE: "2.0.0", RETRY: "4.2.0", FAILED: "5.1.1", OWN_FAULT: "4.3.0"}[outcome]
        send(self.line, Out(JOB_RESULT).u32(self.recipients[number]["index"]).byte(outcome).view(status).view(text).view(host)
             .byte(passed_on).byte(damaged).byte(trouble).byte(before_text or unknown).byte(unknown).byte(contested).byte(last))

    def finish(self, outcomes=DONE, **kwargs):
        """One outcome for all (the last result ends the job), or one for each number."""
        for number in range(len(self.recipients)):
            outcome = outcomes if isinstance(outcomes, int) else outcomes.get(number)
            if outcome is not None:
                last = isinstance(outcomes, int) and number + 1 == len(self.recipients)
                self.result(number, outcome, last=last, **kwargs)
        if not isinstance(outcomes, int):
            send(self.line, Out(JOB_FINISHED))
        os.close(self.fd)
        self.finished = True

    def die(self):
        os.close(self.fd)
        self.line.shutdown(socket.SHUT_RDWR)


class Agents:
    """Idle workers of one kind: `count` lines, more when queued asks the parent for them."""

    def __init__(self, wire, count=1, grow=True, answer=None):
        self.wire, self.jobs, self.answer, self.grown = wire, queue.Queue(), answer, 0
        self.grow, self.lines = grow, []
        for _ in range(count):
            self.add()
        threading.Thread(target=self.parent, daemon=True).start()

    def add(self):
        line = dial(self.wire, "job")
        line.settimeout(None)
        self.lines.append(line)
        threading.Thread(target=self.work, args=(line,), daemon=True).start()

    def parent(self):
        try:
            self.wire.settimeout(None)
            while (message := receive(self.wire)) is not None:
                if message.kind == wirehouse.WIRE_GROW:
                    wanted = message.u32()
                    self.grown += wanted
                    for _ in range(min(wanted, 8) if self.grow else 0):
                        self.add()
        except OSError:
            pass

    def work(self, line):
        try:
            while (message := receive(line)) is not None:
                job = Job(line, message)
                if self.answer:
                    outcome = self.answer(job)
                    if outcome is not None:
                        job.finish(outcome)
                        continue
                self.jobs.put(job)
        except (OSError, ValueError):
            pass

    def job(self):
        return self.jobs.get(timeout=WAIT)

    def none(self, seconds=0.3):
        """Is there no job for a while?"""
        try:
            self.jobs.put(self.jobs.get(timeout=seconds))
            return False
        except queue.Empty:
            return True


class Resolver:
    """example.test is here, in mailboxes; the rest is remote by its domain. `book` overrides: address -> list of (kind, address, ...).
    `deadly`: it ends when it is asked about one of these."""

    def __init__(self, wire):
        self.book, self.asked, self.silent, self.deadly = {}, [], False, set()
        self.lines, self.refusals = [], queue.Queue()  # (line, kind, key, size, milliseconds)
        serve(wire, "resolve", self.answer)

    def answer(self, line):
        self.lines.append(line)
        while (packet := receive(line)) is not None:
            if packet.kind == RESOLVE_REFUSALS:
                while packet.rest:
                    self.refusals.put((line, packet.byte(), packet.string(), packet.u64(), packet.u64()))
                packet.end()
                continue
            question, address = packet.u32(), packet.string()
            self.asked.append(address)
            if address in self.deadly:
                line.shutdown(socket.SHUT_RDWR)
                return
            if self.silent:
                continue
            targets = self.book.get(address) or [self.place(address)]
            for i, target in enumerate(targets):
                send(line, self.target(question, i == len(targets) - 1, len(targets) > 1 or target[1] != address, target))

    @staticmethod
    def place(address):
        domain = address.rpartition("@")[2]
        return (MAILBOX, address, 0) if domain == "example.test" else (REMOTE, address, domain)

    @staticmethod
    def target(question, last, expanded, target):
        kind, address, detail = target[:3]
        out = Out(RESOLVE_TARGET).u32(question).byte(last).byte(expanded).byte(kind).view(address)
        uid = detail if kind == MAILBOX else 0
        out.u32(uid or os.getuid()).u32(uid or os.getgid()).view("/mail/x" if kind == MAILBOX else "").u64(0)
        out.route(detail if kind == REMOTE else "")
        return out.view(detail if kind == ERROR else "").view("no such user" if kind == ERROR else "")


class House:
    """`answers`: name of an agent -> what answers its jobs, from the first one on; `book`: the resolver's. Both also
    after a restart."""

    def __init__(self, settings="", directory=None, agents=True):
        self.answers, self.book = {}, {}
        self.keep = directory is not None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="posthouse-queued-"))
        (self.directory / "queue").mkdir(exist_ok=True)
        self.generation = wirehouse.generation(self.directory, settings if "queue.space-min" in settings else "queue.space-min 0\n" + settings)
        self.with_agents = agents
        self.start()

    def start(self, ready=lambda program: program.wait_ready()):
        names = ("smtpd.spool", "pickup.spool", "bounce.spool", "resolved.resolve", *(f"{name}.job" for name in AGENTS))
        self.wires, theirs = {}, {}
        for name in names:
            self.wires[name], theirs[name] = pair()
        self.resolver = Resolver(self.wires["resolved.resolve"])
        self.resolver.book = self.book
        self.agents = {}
        self.program = wirehouse.Program("queued", {"generation": self.generation, **theirs}, self.directory)
        for end in theirs.values():
            end.close()
        ready(self.program)
        if self.with_agents:
            for name in AGENTS:
                self.agents[name] = Agents(self.wires[f"{name}.job"], answer=self.answers.get(name))
        self.local_ready = threading.Event()
        self.owner_starts = 0
        threading.Thread(target=self.master, args=(self.program.master,), daemon=True).start()

    def master(self, line):
        """Starts local when asked."""
        try:
            line.settimeout(None)
            while (message := receive(line)) is not None:
                if message.kind != OWNER_WORK or not self.with_agents:
                    continue
                program, uid = message.byte(), message.u32()
                assert program == 2
                wire = socket.socket(fileno=message.fd())
                self.owner_starts += 1
                self.agents["local"] = self.agents[f"local-{uid}"] = Agents(wire, answer=self.answers.get("local"))
                self.local_ready.set()
        except OSError:
            pass

    def local(self):
        assert self.local_ready.wait(WAIT), "queued did not ask for local"
        return self.agents["local"]

    def writer(self, wire="smtpd.spool"):
        return Writer(self.wires[wire])

    def write(self, recipients, data=MESSAGE, wire="smtpd.spool", **envelope):
        w = self.writer(wire)
        envelope.setdefault("origin", {"smtpd.spool": AUTHENTICATED, "pickup.spool": MACHINE, "bounce.spool": BOUNCE}[wire])
        w.open()
        w.write(data)
        w.recipients(recipients)
        w.commit(**envelope)
        os.fsync(w.fd)
        w.live()
        os.close(w.fd)
        w.close()
        return w.id

    def write_at_once(self, recipients, data=MESSAGE):
        """The same of a message that is handed over whole."""
        w = self.writer()
        w.open()
        w.abandon()
        w.whole(data, recipients)
        w.write_whole(recipients)
        w.live()
        os.close(w.fd)
        w.close()
        return w.id

    def control(self):
        mine, theirs = pair()
        send(self.program.master, Out(MASTER_CONTROL).fd(theirs))
        theirs.close()
        return mine

    def ask(self, kind, text=""):
        line = self.control()
        send(line, Out(kind).view(text))
        lines = []
        while (m := receive(line)).kind != CONTROL_END:
            lines.append(m)
        fds = m.fds
        return m.byte(), m.string(), lines, fds

    def list(self, text=""):
        code, words, packets, _ = self.ask(CONTROL_QUEUE_LIST, text)
        assert code == 0, words
        entries = []
        for p in packets:
            while p.rest:
                entries.append({"id": p.string(), "state": chr(p.byte()), "bytes": p.u64(), "arrived": p.u64(), "next": p.u64(),
                                "sender": p.string(), "count": p.u32(), "recipients": p.string().split("\n"),
                                "reason": p.string()})
        return entries

    def counts(self):
        """What queued says that it does not serve."""
        line = self.control()
        send(line, Out(CONTROL_QUEUE_COUNTS))
        answer = receive(line)
        assert answer.kind == CONTROL_QUEUE_COUNTS, answer.kind
        return dict(zip(("damaged", "torn", "misplaced", "stray", "unreadable", "left", "unwritten"), (answer.u32() for _ in range(7))))

    def files(self):
        return sorted(p.name for p in (self.directory / "queue").glob("??/*"))

    def directory_of(self, id):
        """Where a file of this name stands, also before it does."""
        number = 0
        for letter in id:
            number = number << 5 | "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
        return self.directory / "queue" / f"{number >> 32 & 0xff:02x}"

    def path(self, id):
        return next((self.directory / "queue").glob(f"??/{id}"))

    def wait_for(self, what, seconds=WAIT):
        """Polls a condition on the outside of the house (files, log), which has no event to wait for."""
        return waiting.comes(what, seconds)

    def kill(self):
        self.program.signal(signal.SIGKILL)
        self.program.wait()
        self.close_wires()

    def change(self, settings):
        """A new generation, and the word of it to queued."""
        self.generation = wirehouse.generation(self.directory, settings)
        settings_fd = os.open("settings.cdb", os.O_RDONLY, dir_fd=self.generation)
        send(self.program.master, Out(MASTER_RELOAD).fd(settings_fd))
        os.close(settings_fd)

    def close_wires(self):
        for wire in self.wires.values():
            try:
                wire.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            wire.close()

    def stop(self):
        self.program.stop()
        self.close_wires()

    def restart(self):
        """After stop() or kill()."""
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Without ceremony: stop() waits for agents that are in a job."""
        if self.program.process.poll() is None:
            self.kill()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)


class Control(threading.Thread):
    """RUNDIR/control, as master serves it for questions to queued."""

    def __init__(self, house):
        super().__init__(daemon=True)
        (house.directory / "run").mkdir(exist_ok=True)
        self.path, self.house = house.directory / "run" / "control", house
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(self.path))
        self.socket.listen(8)
        self.start()

    def run(self):
        try:
            while True:
                line, _ = self.socket.accept()
                if (question := receive(line)) is not None and question.kind == CONTROL_QUEUE:
                    send(self.house.program.master, Out(MASTER_CONTROL).fd(line))
                    send(line, Out(CONTROL_END).byte(0).view(""))
                line.close()
        except OSError:
            pass

    def end(self):
        self.path.unlink()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def posthouse(place, *words):
    """queue check and others: exit code and what it says."""
    got = subprocess.run([str(wirehouse.build_directory() / "bin/posthouse"), "-c", str(place / "conf"), *words], capture_output=True, text=True)
    return got.returncode, got.stdout + got.stderr
