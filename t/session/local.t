#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""local with a queued that the test plays: mailboxes made, bytes exact, loops, quotas, trouble, stop."""
import hashlib
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from tap import done, is_, ok

JOB_BEGIN, JOB_RECIPIENT = 16, 17
DONE, RETRY, FAILED = range(3)
MESSAGE = b"Received: from x\r\nSubject: hello\r\n\r\nbody\r\n..dots\r\n"


class Local(w.ProgramHouse):
    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.root = self.directory / "mail"
        self.root.mkdir()
        self.wire, theirs = w.pair()
        self.generation = w.generation(self.directory)
        self.program = w.Program("local", {"generation": self.generation, "queued.job": theirs}, self.directory)
        theirs.close()
        self.program.wait_ready()
        self.line = self.new_line()
        return self

    def new_line(self):
        w.send(self.wire, w.Out(w.WIRE_GROW).u32(1))
        return w.accept(self.wire, "job")

    def begin(self, message=MESSAGE, extra=b"", sender="from@far.test", claims=None, checksum=None):
        """The job's first message; the file has a header before and an envelope behind, as the queue's have."""
        path = self.directory / "message"
        path.write_bytes(b"H" * 256 + message + extra + (b"" if claims else b"envelope"))
        with open(path, "rb") as file:
            size = claims or len(message)
            w.send(self.line, w.Out(JOB_BEGIN).view("1gkq000000000").u64(256).u64(size).u64(256 + len(message)).u64(len(extra))
                   .view(hashlib.blake2b(message if checksum is None else checksum, digest_size=32).digest())
                   .fields(w.ENVELOPE_ONWARD, {"sender": sender}).u64(0).u16(0).route().byte(0).u64(0).fd(file))

    def recipient(self, index, address, home, last=True, quota=0):
        w.send(self.line, w.Out(JOB_RECIPIENT).u32(index).byte(last).fields(w.ENVELOPE_RECIPIENT, {"address": address})
               .u32(os.getuid()).u32(os.getgid()).view(str(home)).u64(quota).view("").view("").view("").u64(0))

    def results(self):
        found = {}
        while (packet := w.receive(self.line)) is not None:
            index, outcome, status = packet.u32(), packet.byte(), packet.string()
            found[index] = (outcome, status)
            packet.string(), packet.string(), packet.byte()
            self.damaged = packet.byte()
            packet.byte(), packet.byte()
            if packet.byte():
                return found
        return None

    def deliver(self, address="anna@example.test", home=None, quota=0, **job):
        self.begin(**job)
        self.recipient(0, address, home or self.root / "anna", quota=quota)
        return self.results()[0]


def new(home):
    return sorted((home / "Maildir/new").iterdir())


def leftovers(home):
    return list((home / "Maildir/tmp").iterdir())


def deliveries(h):
    anna = h.root / "anna"
    is_(h.deliver(), (DONE, "2.0.0"), "a first message makes the mailbox")
    file = new(anna)[0]
    want = b"Return-Path: <from@far.test>\r\nDelivered-To: anna@example.test\r\n" + MESSAGE
    is_(file.read_bytes(), want, "the message, byte for byte, behind its trace")
    ok(f",S={len(want)},W={len(want)}" in file.name, "its name tells its size")
    is_((anna / "Maildir").stat().st_mode & 0o777, 0o700, "nobody else may look")
    is_(leftovers(anna), [], "nothing stays in tmp")
    file.unlink()
    is_(h.deliver(sender="", extra=b"Authentication-Results: x\r\n"), (DONE, "2.0.0"), "a bounce with extra lines")
    is_(new(anna)[0].read_bytes(), b"Return-Path: <>\r\nDelivered-To: anna@example.test\r\nAuthentication-Results: x\r\n" + MESSAGE,
        "they stand between")
    big = b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * 60000
    new(anna)[0].unlink()
    is_(h.deliver(message=big, extra=b"X: y\r\n"), (DONE, "2.0.0"), "a message beyond the buffer")
    is_(new(anna)[0].read_bytes()[62:], b"\nX: y\r\n" + big, "whole")
    new(anna)[0].unlink()
    h.begin(message=big)
    for i, name in enumerate(("anna", "bert", "carl")):
        h.recipient(i, f"{name}@example.test", h.root / name, last=i == 2)
    is_(h.results(), {i: (DONE, "2.0.0") for i in range(3)}, "three recipients of it")
    ok(all(new(h.root / n)[0].read_bytes().endswith(b"\r\n\r\n" + big[16:]) for n in ("anna", "bert", "carl")), "each whole")
    h.begin()
    for i in range(100):
        h.recipient(i, f"u{i}@example.test", h.root / f"u{i}", last=i == 99)
    is_(len(h.results()), 100, "a job's most recipients")


def refusals(h):
    looped = b"Received: x\r\ndelivered-to:  ANNA@example.test\r\n\r\nx\r\n"
    is_(h.deliver(message=looped), (FAILED, "5.4.6"), "a loop")
    is_(h.deliver(message=b"Subject: x\r\n\r\nDelivered-To: anna@example.test\r\n"), (DONE, "2.0.0"), "in the body it is none")
    is_(h.deliver(sender="a@b.test>\r\nX: <"), (FAILED, "5.1.3"), "no line is written for a stranger")
    is_(h.deliver(home=h.directory / "elsewhere")[0], RETRY, "a home outside of mail.root")
    is_(h.deliver(home=h.root / "x/../../elsewhere")[0], RETRY, "nor by detours")
    ok(not (h.directory / "elsewhere").exists(), "is not made")
    is_(h.deliver(home=h.root / "no/parent")[0], RETRY, "a home whose parent is missing")
    is_(h.deliver(home=h.root / "dora", quota=10), (FAILED, "5.2.3"), "larger than the quota")
    is_(h.deliver(home=h.root / "dora", quota=150), (DONE, "2.0.0"), "within the quota")
    is_(h.deliver(home=h.root / "dora", quota=150), (RETRY, "4.2.2"), "over quota")
    is_(len(new(h.root / "dora")), 1, "and nothing is stored")
    is_(leftovers(h.root / "dora"), [], "not even in tmp")


def nobody_elses(h):
    """After a message that cannot be read: none of its recipients gets what stands in memory of an earlier one."""
    names = [f"few{i}" for i in range(50)]
    for count, claims in ((2, len(MESSAGE) + 1), (50, len(MESSAGE) + 1), (2, 10**6), (50, 10**9)):
        h.deliver(message=b"Subject: for anna only\r\n\r\nthe secret\r\n" * 5)
        h.begin(claims=claims)
        for i, name in enumerate(names[:count]):
            h.recipient(i, f"{name}@example.test", h.root / name, last=i + 1 == count)
        is_({outcome for outcome, _ in h.results().values()}, {RETRY}, f"an unreadable message: all {count} recipients wait")
    is_([name for name in names if (h.root / name / "Maildir/new").is_dir() and new(h.root / name)], [], "and none has got anything")


def trouble(h):
    carl = h.root / "carl"
    count = len(new(carl))
    is_(h.deliver(home=carl, claims=len(MESSAGE) + 1)[0], RETRY, "a file shorter than queued said")
    is_(h.deliver(home=carl, claims=10**9)[0], RETRY, "much shorter")
    is_(len(new(carl)), count, "nothing is delivered of it")
    nobody_elses(h)
    shutil.rmtree(carl / "Maildir/tmp")
    is_(h.deliver(home=carl), (DONE, "2.0.0"), "a missing tmp is made")
    shutil.rmtree(carl / "Maildir/tmp")
    (carl / "Maildir/tmp").write_text("")
    is_(h.deliver(home=carl), (RETRY, "4.3.0"), "a mailbox that cannot be written")
    (h.root / "evil").symlink_to(h.root / "anna")
    (h.root / "eve/Maildir").mkdir(parents=True)
    (h.root / "eve/Maildir/tmp").mkdir()
    (h.root / "eve/Maildir/new").symlink_to(h.root / "anna/Maildir/new")
    before = len(new(h.root / "anna"))
    is_(h.deliver(home=h.root / "eve")[0], RETRY, "new as a symbolic link")
    is_(len(new(h.root / "anna")), before, "is not followed")
    ok("event=delivery-failed" in h.program.log(), "what failed is in the log")
    w.send(h.line, w.Out(JOB_BEGIN).view("torn"))
    is_(w.receive(h.line), None, "a broken message ends the worker")
    h.line = h.new_line()
    is_(h.deliver(), (DONE, "2.0.0"), "and another serves")


def damage(h):
    """What is read is not what came: it is nobody's, and queued hears that."""
    for name, body in (("small", b""), ("large", b"a line of text\r\n" * 20000)):
        before = len(new(h.root / "anna"))
        is_((h.deliver(message=MESSAGE + body, checksum=MESSAGE + body + b"x"), h.damaged), ((RETRY, "4.3.0"), 1), f"a {name} message with another checksum waits")
        is_(len(new(h.root / "anna")), before, "it is not delivered")
        is_((h.deliver(message=MESSAGE + body), h.damaged), ((DONE, "2.0.0"), 0), "the next one is")
    ok("event=unreadable reason=\"the message has a wrong checksum\"" in h.program.log(), "the log says why")


with Local() as house:
    deliveries(house)
    refusals(house)
    trouble(house)
    damage(house)
    house.program.signal(15)
    is_(house.program.wait(), 0, "an orderly stop")
done()
