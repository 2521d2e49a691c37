#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""local with a queued that the test plays: mailboxes made, bytes exact, loops, quotas, trouble, stop."""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from localhouse import DONE, FAILED, JOB_BEGIN, MESSAGE, OWN_FAULT, RETRY, Local
from tap import done, is_, ok


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
        is_({outcome for outcome, _ in h.results().values()}, {OWN_FAULT}, f"an unreadable message: all {count} recipients wait")
    is_([name for name in names if (h.root / name / "Maildir/new").is_dir() and new(h.root / name)], [], "and none has got anything")


def trouble(h):
    carl = h.root / "carl"
    count = len(new(carl))
    is_(h.deliver(home=carl, claims=len(MESSAGE) + 1)[0], OWN_FAULT, "a file shorter than queued said")
    is_(h.deliver(home=carl, claims=10**9)[0], OWN_FAULT, "much shorter")
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
        is_((h.deliver(message=MESSAGE + body, checksum=MESSAGE + body + b"x"), h.damaged), ((OWN_FAULT, "4.3.0"), 1), f"a {name} message with another checksum waits")
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
