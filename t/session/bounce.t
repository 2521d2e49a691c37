#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""bounce with a queued that the test plays: the report, and what becomes of it when the disk is full or the message cannot
be read."""
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import smtphouse
import wirehouse as w
from tap import done, is_, ok

JOB_BEGIN, JOB_RECIPIENT = 16, 17
DONE, RETRY, FAILED, OWN_FAULT = range(4)
REPORT_FAILED = 1
BODY = b"a line of text\r\n" * 3000
MESSAGE = b"Subject: hello\r\n\r\n" + BODY


class Queue(smtphouse.Queue):
    """`full`: the file of each report is on a disk without room. `away`: whoever wants one is hung up on."""
    full = away = False

    def step(self, line, packet, message):
        if self.away:
            raise OSError("away")
        if self.full and packet.kind == smtphouse.SPOOL_OPEN:
            with open("/dev/full", "wb") as file:
                w.send(line, w.Out(smtphouse.SPOOL_FILE).view("full").view("").u64(smtphouse.SPOOL_OFFSET).fd(file))
            return smtphouse.Message(0)
        return super().step(line, packet, message)


class Bounce(w.ProgramHouse):
    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.queue = Queue(self.directory)
        self.jobs, jobs = w.pair()
        spool, theirs = w.pair()
        smtphouse.serve(spool, "spool", self.queue.serve)
        self.program = w.Program("bounce", {"generation": w.generation(self.directory),
                                            "queued.job": jobs, "queued.spool": theirs}, self.directory)
        self.program.wait_ready()
        w.send(self.jobs, w.Out(w.WIRE_GROW).u32(1))
        self.line = w.accept(self.jobs, "job")
        return self

    def report(self, message=MESSAGE, claims=None, mode="rb", ret=0):
        """Two recipients have failed: the outcome, status and text of each."""
        path = self.directory / "message"
        path.write_bytes(b"H" * 256 + message)
        size = claims or len(message)
        with open(path, mode) as file:
            w.send(self.line, w.Out(JOB_BEGIN).view("1gkq000000000").u64(256).u64(size).u64(256 + size).u64(0).view(bytes(32))
                   .fields(w.ENVELOPE_ONWARD, {"sender": "from@far.test", "ret": ret}).u64(0).u16(0).route()
                   .byte(REPORT_FAILED).u64(0).fd(file))
        for index in range(2):
            w.send(self.line, w.Out(JOB_RECIPIENT).u32(index).byte(index == 1)
                   .fields(w.ENVELOPE_RECIPIENT, {"address": f"to{index}@example.test"}).u32(0).u32(0).view("").u64(0).byte(0)
                   .view("5.1.1").view("no such user").view("").u64(0))
        found = []
        while (packet := w.receive(self.line)) is not None:
            packet.u32()
            found.append((packet.byte(), packet.string(), packet.string()))
            packet.string(), [packet.byte() for _ in range(6)]
            if packet.byte():
                return found
        return None


def whole(b):
    is_(b.report(), [(DONE, "2.0.0", "reported")] * 2, "a report")
    report = b.queue.messages[-1]
    is_((report.state, report.sender, report.recipients[0][0]), ("live", "", "from@far.test"), "to the sender, from nobody")
    ok(MESSAGE in report.bytes and report.bytes.count(b"Status: 5.1.1\r\n") == 2, "with what happened, and the message")
    b.report(ret=ord("H"))
    ok(b"Subject: hello\r\n" in b.queue.messages[-1].bytes and BODY not in b.queue.messages[-1].bytes, "RET=HDRS: its header")


def disk_full(b):
    b.queue.full = True
    for name, message in (("while the message is copied", MESSAGE), ("at the end", b"Subject: small\r\n\r\n")):
        before = len(b.program.log())
        is_(b.report(message), [(RETRY, "4.3.1", "the queue's disk is full, try again later")] * 2,
            f"the disk is full {name}: later, and that is the reason")
        ok("event=report-failed to=<from@far.test> status=4.3.1 reason=\"the queue's disk is full" in b.program.log()[before:],
           "which the log has", b.program.log()[before:])
    b.queue.full = False


def unreadable(b):
    for words, how in (("is shorter than expected", {"claims": len(MESSAGE) + 1}),
                       (os.strerror(9), {"mode": "ab"})):
        for ret in "FH":
            before, log = len(b.queue.messages), len(b.program.log())
            is_(b.report(ret=ord(ret), **how), [(OWN_FAULT, "4.3.0", f"the message cannot be read: {words}")] * 2,
                f"the message {words} (RET={ret}): the report waits")
            ok("event=report-failed" in b.program.log()[log:] and words in b.program.log()[log:], "and the log says why")
            is_([m.state for m in b.queue.messages[before:] if m.state == "live"], [], "none goes out")
    is_(b.report(), [(DONE, "2.0.0", "reported")] * 2, "when it can be read again the report is made")


def queued_away(b):
    b.queue.away = True
    is_(b.report(), [(OWN_FAULT, "4.3.0", "queued does not respond, try again later")] * 2, "queued has hung up: nobody's fault but ours")
    b.queue.away = False
    is_(b.report(), [(DONE, "2.0.0", "reported")] * 2, "when it is there again the report is made")


for part in (whole, disk_full, unreadable, queued_away):
    with Bounce() as b:
        part(b)
done()
