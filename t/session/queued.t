#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued, with everybody around it played by the test."""
import collections
import fcntl
import hashlib
import itertools
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402
from wirehouse import WIRE_DONE, WIRE_GREETING, WIRE_VERSION, pair_of_another  # noqa: E402


def local_and_remote():
    with House() as house:
        id = house.write(["a@example.test", "b@remote.test"])
        is_(len(id), 13, "an id of 13 characters")
        job = house.local().job()
        is_(job.addresses, ["a@example.test"], "local gets the recipient that is here")
        is_((job.id, job.sender, job.bytes()), (id, "sender@example.test", MESSAGE), "with the message")
        is_(job.recipients[0]["home"], "/mail/x", "and its home")
        far = house.agents["remote"].job()
        is_((far.addresses, far.domain, far.hops), (["b@remote.test"], "remote.test", []), "remote gets the other")
        try:
            os.write(job.fd, b"x")
            ok(False, "the descriptor is read only")
        except OSError:
            ok(True, "the descriptor is read only")
        job.finish(DONE)
        ok(house.files() == [id], "the file stays while a recipient is open")
        far.finish(DONE)
        ok(house.wait_for(lambda: house.files() == []), "and goes with the last one")
        ok(f"id={id} event=queued from=<sender@example.test>" in house.program.log(), "one line when queued")
        ok(f"id={id} event=deliver to=<a@example.test> by=local status=2.0.0" in house.program.log(), "and one for each result")



def repeated():
    """Who is named twice gets it once: in capitals where it is a mailbox, letter for letter elsewhere."""
    with House() as house:
        addresses = ["a@example.test", "b@remote.test", "A@example.test", "c@example.test", "B@remote.test", "b@remote.test", "a@example.test"]
        id = house.write(addresses)
        job, far = house.local().job(), house.agents["remote"].job()
        is_((job.addresses, far.addresses), (["a@example.test", "c@example.test"], ["b@remote.test", "B@remote.test"]), "each person once")
        text = house.path(id).read_bytes()
        is_(text.count(b"\ndone "), 3, "the file says that nothing more is owed to the others")
        job.finish(DONE)
        far.finish(DONE)
        ok(house.wait_for(lambda: house.files() == []), "and the message ends")
        is_(house.program.log().count(f"id={id} event=repeated to="), 3, "each is in the log")
        house.write([("a@example.test", 4, ""), ("a@example.test", 8, "")])
        is_(len(house.local().job().addresses), 2, "who want different reports stay two")


def away():
    """A queue file that is not there for a while, since its directory is being restored, is not a message that has ended."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        remote = house.agents["remote"]
        remote.answer = lambda job: RETRY
        id = house.write(["a@far.test"])
        path, elsewhere = house.path(id), house.directory / "elsewhere"
        ok(house.wait_for(lambda: b"\nattempt " in path.read_bytes()), "a message waits")
        path.rename(elsewhere)
        house.ask(CONTROL_QUEUE_RETRY, id)
        ok(house.wait_for(lambda: f"id={id} event=open-failed" in house.program.log()), "its file is away when it is tried")
        is_([e["id"] for e in house.list()], [id], "it stays in the list")
        elsewhere.rename(path)
        remote.answer = lambda job: DONE
        house.ask(CONTROL_QUEUE_RETRY, id)
        ok(gone(house), "and is delivered when the file is back")


FAST = "queue.retry-first 100ms\nqueue.retry-max 200ms\n"


def away_at_the_end():
    """Nor is it one when its time is over, as that of every message is after days of standstill, however often it is looked for then."""
    with House("queue.retry-first 100ms\nqueue.retry-max 1h\nqueue.lifetime 1s\nqueue.delay-notice 0\n") as house:
        began = time.monotonic()
        house.agents["remote"].answer = lambda job: RETRY
        id = house.write([f"a@d{n}.test" for n in range(20)])
        house.ask(CONTROL_QUEUE_HOLD, id)
        path, elsewhere = house.path(id), house.directory / "elsewhere"
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["h"] and time.monotonic() > began + 2), "a message is held past its time")
        path.rename(elsewhere)
        house.ask(CONTROL_QUEUE_RELEASE, id)
        opens = lambda: house.program.log().count(f"id={id} event=open-failed")  # noqa: E731
        ok(house.wait_for(lambda: opens() > 14), "its file is looked for more than a dozen times")
        is_([e["id"] for e in house.list()], [id], "it stays in the list")
        elsewhere.rename(path)
        house.ask(CONTROL_QUEUE_RETRY, id)
        job = house.agents["bounce"].job()
        is_((job.id, job.report), (id, REPORT_FAILED), "the sender is told when it is back")
        job.finish(DONE)
        ok(gone(house), "and then it goes")


def missing():
    """Nobody waits for a file that was away for queue.retry-max after that; when it comes back, it is kept."""
    with House(FAST + "queue.lifetime 1s\nqueue.delay-notice 0\n") as house:
        house.agents["remote"].answer = lambda job: RETRY
        id = house.write(["a@far.test"])
        path, elsewhere = house.path(id), house.directory / "elsewhere"
        path.rename(elsewhere)
        house.program.wait_log(f"id={id} event=damaged reason=\"its file is missing")
        ok(house.wait_for(lambda: house.list() == []), "it is given up")
        elsewhere.rename(path)
        house.stop()
        is_(house.files(), [id], "its file is nobody's to remove")
        house.restart()
        job = house.agents["remote"].job()
        house.agents["remote"].answer = lambda job: RETRY
        job.finish(RETRY)
        job = house.agents["bounce"].job()
        is_((job.id, job.report), (id, REPORT_FAILED), "the sender is told after the next start")
        job.finish(DONE)
        ok(gone(house), "and then it goes")


def gone(house):
    return house.wait_for(lambda: house.files() == [])


def aliases():
    with House(FAST) as house:
        house.resolver.book["team@example.test"] = [(MAILBOX, "a@example.test", 0), (MAILBOX, "team@example.test", 0),
                                                    (REMOTE, "c@far.test", "far.test")]
        id = house.write(["team@example.test", "a@example.test"])
        seen = []
        while len(seen) < 2:
            job = house.local().job()
            seen += job.addresses
            job.finish(DONE)
        far = house.agents["remote"].job()
        is_(sorted(seen), ["a@example.test", "team@example.test"], "an alias becomes its targets, itself among them, nobody twice")
        is_(far.recipients[0]["orcpt"], "rfc822;team@example.test", "with the address it came from as ORCPT")
        text = house.path(id).read_bytes()
        ok(b"\nnew 0/2 0 " in text and b"\nnew 0/3 0 " in text and b"\nexpanded 0/4/2 *" in text,
           "the expansion is in the file before the deliveries")
        ok(house.wait_for(lambda: b"\ndone " in house.path(id).read_bytes()), "and what is done, while something is open")
        house.kill()
        house.restart()
        far = house.agents["remote"].job()
        is_(far.addresses, ["c@far.test"], "after kill -9 only the open recipient is tried")
        ok(not house.local_ready.is_set(), "and nobody else")
        far.finish(DONE)
        ok(gone(house), "then it is done")
        for alias, orcpt in (("info+news=x@example.test", "rfc822;info+2Bnews+3Dx@example.test"), ("+" * 200 + "@example.test", "")):
            house.resolver.book[alias] = [(REMOTE, "d@far.test", "far.test")]
            house.write([alias])
            job = house.agents["remote"].job()
            is_(job.recipients[0]["orcpt"], orcpt, "ORCPT is xtext" if orcpt else "what is too long as xtext goes without")
            job.finish(DONE)
        ok(gone(house), "and they are done")


def retries():
    with House(FAST) as house:
        id = house.write(["b@far.test"])
        house.agents["remote"].job().finish(RETRY, text="mailbox busy")
        ok(house.wait_for(lambda: house.list() and house.list()[0]["reason"] == "mailbox busy"), "a deferral is listed with its reason")
        second = house.agents["remote"].job()
        is_(second.id, id, "the next attempt comes by itself")
        ok(b"\nattempt 1 " in house.path(id).read_bytes() and b"\nretry 0 " in house.path(id).read_bytes(), "it is in the log")
        second.die()
        third = house.agents["remote"].job()
        is_(third.addresses, ["b@far.test"], "an agent that dies means another attempt")
        send(third.line, Out(JOB_RESULT).u32(77).byte(DONE).view("2.0.0").view("").view("").byte(0).byte(0).byte(0).byte(0).byte(0).byte(0).byte(0))
        fourth = house.agents["remote"].job()
        is_(fourth.id, id, "so does one that answers for a recipient it was not given")
        fourth.finish({})
        house.agents["remote"].job().finish(DONE)
        ok(gone(house), "and one that gives no answer")
        house.resolver.book["later@example.test"] = [(ERROR, "later@example.test", "4.3.0")]
        house.write(["later@example.test"])
        ok(house.wait_for(lambda: house.list() and house.list()[0]["state"] == "d"), "resolved may say: not now")
        house.resolver.book.clear()
        house.local().job().finish(DONE)
        ok(gone(house), "and is asked again")
        house.resolver.book["copy@example.test"] = [(ERROR, "copy@example.test", "4.3.0")]
        house.write(["copy@example.test"])
        ok(house.wait_for(lambda: house.list() and house.list()[0]["state"] == "d"), "not now,")
        house.resolver.book["copy@example.test"] = [(MAILBOX, "copy@example.test", 0), (REMOTE, "b@far.test", "far.test")]
        house.local().job().finish(DONE)
        far = house.agents["remote"].job()
        is_(far.addresses, ["b@far.test"], "then an alias with its own mailbox among its targets: nobody of them is forgotten")
        far.finish(DONE)
        ok(gone(house), "and it is done")


def contested():
    """remote hears how often what a worse host refuses has waited for a better one; calls of an operator's begin anew."""
    with House(FAST) as house:
        id = house.write(["b@far.test"])
        for times, answer in ((0, True), (1, False), (1, True), (2, True)):
            job = house.agents["remote"].job()
            is_(job.recipients[0]["contested"], times, f"{times} such refusals")
            if times == 2:
                is_(house.ask(CONTROL_QUEUE_HOLD, id)[:2], (0, "1"), "held")
            job.finish(RETRY, contested=answer)
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["h"]), "it waits")
        is_(house.ask(CONTROL_QUEUE_RELEASE, "")[:2], (0, "1"), "released")
        job = house.agents["remote"].job()
        is_(job.recipients[0]["contested"], 3, "that changes nothing")
        job.finish(DONE)
        ok(gone(house), "done")
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        house.write(["b@far.test"])
        for times in (0, 0, 0):
            job = house.agents["remote"].job()
            is_(job.recipients[0]["contested"], times, "an operator's retry is no patience")
            job.finish(RETRY, contested=True)
            ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["d"]), "it waits")
            is_(house.ask(CONTROL_QUEUE_RETRY, "")[:2], (0, "1"), "retry")
        house.agents["remote"].job().finish(DONE)
        ok(gone(house), "done")


def waits_over_restart():
    with House("queue.retry-first 3s\nqueue.retry-max 3s\n") as house:
        id = house.write(["b@far.test"])
        house.agents["remote"].job().finish(RETRY)
        ok(house.wait_for(lambda: b"\nattempt 1 " in house.path(id).read_bytes()), "an attempt is planned")
        house.kill()
        house.restart()
        job = house.agents["remote"].job()
        is_(job.id, id, "and made when queued was started anew meanwhile, though nothing else happens")
        job.finish(DONE)
        ok(gone(house), "then it is done")


def long_job():
    """A job that goes on for long after a result, with another host for the others: who has the message does not get it again after a crash."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        id = house.write(["a@far.test", "b@far.test", "c@far.test"])
        job = house.agents["remote"].job()
        job.result(0, DONE)
        job.result(1, RETRY)
        ok(house.wait_for(lambda: b"\ndone 0" in house.path(id).read_bytes()), "a result is written before the job ends")
        house.kill()
        house.restart()
        job = house.agents["remote"].job()
        is_((job.id, job.addresses), (id, ["b@far.test", "c@far.test"]), "after kill -9 those who do not have it are tried")
        job.finish(DONE)
        ok(gone(house), "and it is done")


def strange_agents():
    """One that was taken over takes jobs and says that it is idle; one of a parent that has been replaced stays."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        house.write(["b@far.test"])
        first = house.agents["remote"].job()
        send(first.line, Out(WIRE_DONE))
        again = house.agents["remote"].job()
        is_((again.id, again.line is first.line), (first.id, False), "who is done without a word about the job has lost it, and their line")
        again.finish(DONE)
        ok(gone(house), "another delivers it")
        _, ends = pair_of_another()
        send(house.wires["remote.job"], Out(WIRE_GREETING).view("job").byte(WIRE_VERSION).u32(1).fd(ends[1]))
        is_(receive(again.line), None, "an idle agent is let go when one of another parent has come")
        house.write(["c@far.test"])
        job = Job(ends[0], receive(ends[0]))
        is_(job.addresses, ["c@far.test"], "which is given the jobs")
        job.finish(DONE)
        ok(gone(house), "and does them")


def reports():
    with House(FAST) as house:
        bounce = house.agents["bounce"]
        id = house.write(["a@far.test", ("b@far.test", NEVER, ""), ("c@far.test", 0, "rfc822;orig@x.test")], envid="id1", ret="H")
        house.agents["remote"].job().finish(FAILED, status="5.1.1", text="no such user")
        job = bounce.job()
        is_((job.report, job.sender, job.id), (REPORT_FAILED, "sender@example.test", id), "a failure is reported to the sender")
        is_(job.addresses, ["a@far.test", "c@far.test"], "in one report, without those whose NOTIFY is NEVER")
        is_((job.recipients[0]["status"], job.recipients[0]["text"], job.recipients[1]["orcpt"], job.envid, job.ret),
            ("5.1.1", "no such user", "rfc822;orig@x.test", "id1", ord("H")), "with what is known")
        ok(house.files() == [id], "the message stays until the report is safe")
        job.finish(RETRY)
        job = bounce.job()
        ok(job.report == REPORT_FAILED, "a report that fails is made again")
        job.finish(DONE)
        ok(gone(house), "then the message goes")
        # what is owed survives a crash
        id = house.write(["a@far.test"])
        house.agents["remote"].job().finish(FAILED)
        bounce.job()
        house.kill()
        house.restart()
        job = house.agents["bounce"].job()
        is_((job.id, job.report), (id, REPORT_FAILED), "a report that was owed is owed after kill -9")
        job.finish(DONE)
        ok(gone(house), "once")
        house.resolver.book["x@example.test"] = [(ERROR, "x@example.test", "5.1.1")]
        house.write(["x@example.test"])
        job = house.agents["bounce"].job()
        is_(job.recipients[0]["status"], "5.1.1", "resolved may say no as well")
        job.finish(DONE)
        house.write([("ok@far.test", SUCCESS, ""), ("dsn@dsn.test", SUCCESS, "")])
        for _ in range(2):
            job = house.agents["remote"].job()
            job.finish(DONE, passed_on=job.addresses == ["dsn@dsn.test"])
        job = house.agents["bounce"].job()
        is_((job.report, job.addresses), (REPORT_RELAYED, ["ok@far.test"]), "NOTIFY=SUCCESS: relayed, unless the other host reports")
        job.finish(DONE)
        house.write([("u@example.test", SUCCESS, "")])
        house.local().job().finish(DONE)
        job = house.agents["bounce"].job()
        is_(job.report, REPORT_DELIVERED, "or delivered")
        job.finish(DONE)
        ok(gone(house), "all is reported")


STRANGERS = [(MAILBOX, "u@example.test", FAILED, "5.4.6", "a loop, as a forged Delivered-To makes one"),
             (REMOTE, "u@dept.test", FAILED, "5.1.1", "an unknown user of a department"),
             (REMOTE, "u@dept.test", FAILED, "5.7.1", "a text that a department refuses"),
             (REMOTE, "u@dept.test", FAILED, "5.3.4", "a text that is too long for it")]
# What befalls honest mail for an address that was accepted, with the status that the host gave or remote found.
TROUBLES = {"5.3.2": "a host that shuts down", "5.3.0": "a system in trouble", "5.4.4": "a domain of ours without a host",
            "5.1.2": "a domain of ours that is not found", "5.5.1": "a host that does not speak the protocol",
            "5.3.5": "a domain whose mail leads back here"}


def strangers():
    """Nobody has verified the sender of mail from the network: they may be somebody's victim."""
    with House(FAST) as house:
        for kind, address, outcome, status, what in STRANGERS:
            for origin in (NETWORK, RELAY, AUTHENTICATED):
                id = house.write([address], origin=origin)
                (house.local() if kind == MAILBOX else house.agents["remote"]).job().finish(outcome, status=status, text="no")
                if origin != NETWORK:
                    job = house.agents["bounce"].job()
                    is_((job.id, job.report), (id, REPORT_FAILED), f"{what}: reported to a client that may relay or has an account")
                    job.finish(DONE)
                ok(gone(house), f"{what}: the message goes")
                ok((f"id={id} event=drop from=<sender@example.test> to=<{address}> status={status} " in house.program.log()) == (origin == NETWORK),
                   f"{what}: no report to a stranger, but a line in the log")
        for status, what in TROUBLES.items():
            id = house.write(["u@dept.test"], origin=NETWORK)
            house.agents["remote"].job().finish(FAILED, status=status, text="no")
            job = house.agents["bounce"].job()
            is_((job.id, job.report), (id, REPORT_FAILED), f"{what}: reported to a stranger too")
            job.finish(DONE)
        house.write([("u@dept.test", NEVER, "")], origin=NETWORK, sender="never@example.test")
        house.agents["remote"].job().finish(FAILED)
        ok(gone(house) and "from=<never@example.test> to=<u@dept.test> status" not in house.program.log(), "NOTIFY=NEVER: nothing was dropped")
        house.write(["u@dept.test"], origin=NETWORK, sender="")
        house.agents["remote"].job().finish(FAILED)
        job = house.agents["bounce"].job()
        is_((job.report, job.sender), (REPORT_FAILED, ""), "a report of others that fails is the postmaster's to see, and nobody else's")
        job.finish(DONE)
        ok(gone(house), "all is done")
        ok(house.agents["bounce"].jobs.empty(), "and nobody else was told")


def dead_targets():
    """A target of an alias that does not exist is the postmaster's to correct: told once of each, and to no stranger."""
    with House(FAST) as house:
        remote, bounce, book = house.agents["remote"], house.agents["bounce"], house.resolver.book
        book["gone@example.test"] = [(ERROR, "nosuch@example.test", "5.1.1")]
        id = house.write(["gone@example.test"], origin=NETWORK)
        job = bounce.job()
        is_((job.id, job.report, job.addresses), (id, REPORT_ALIAS, ["nosuch@example.test"]), "an alias that leads nowhere: the postmaster is told")
        job.finish(DONE)
        ok(gone(house), "and the message goes")
        ok(f"id={id} event=fail to=<nosuch@example.test> status=5.1.1 " in house.program.log() and "report=postmaster" in house.program.log()
           and "event=drop" not in house.program.log(), "with a line in the log")
        book["list@example.test"] = [(REMOTE, "dead@far.test", "far.test"), (REMOTE, "spam@far.test", "far.test"), (MAILBOX, "u@example.test", 0)]

        def fail(job):
            for n, to in enumerate(job.addresses):
                job.result(n, FAILED, status="5.1.1" if to == "dead@far.test" else "5.7.1", text="no", last=n + 1 == len(job.addresses))
            os.close(job.fd)
        remote.answer = fail
        house.write([("list@example.test", NEVER, "")], origin=NETWORK)
        house.local().job().finish(DONE)
        job = bounce.job()
        is_((job.report, job.addresses), (REPORT_ALIAS, ["dead@far.test"]), "one of three targets is nowhere: whatever the sender asked for")
        job.finish(RETRY)
        job = bounce.job()
        is_((job.report, job.addresses), (REPORT_ALIAS, ["dead@far.test"]), "a report that could not be made is made again")
        house.kill()
        house.restart()
        house.resolver.book.update(book)
        house.agents["remote"].answer = fail
        job = house.agents["bounce"].job()
        is_((job.report, job.addresses), (REPORT_ALIAS, ["dead@far.test"]), "and is owed after kill -9")
        job.finish(DONE)
        ok(gone(house), "the message goes")
        for n in range(3):
            id = house.write(["list@example.test"], origin=NETWORK)
            house.local().job().finish(DONE)
            ok(gone(house), f"mail {n} of three more for the alias")
            ok(f"id={id} event=drop to=<dead@far.test> reason=\"the postmaster was told before" in house.program.log(), "is no reason to tell it again")
            ok(f"id={id} event=drop from=<sender@example.test> to=<spam@far.test> status=5.7.1 " in house.program.log(),
               "nor is what a host has against the message")
        # (status, before the text, the postmaster's to hear) of a host's refusal of a target, for good: what remote makes of
        # "550 User unknown", "550 5.4.1 Access denied" and others is in t/unit/refusal.c.
        for status, before_text, told in (("5.1.1", True, True), ("5.0.0", True, True), ("5.7.1", True, True), ("5.2.1", True, True),
                                          ("5.7.23", True, True), ("5.1.8", True, True), ("5.2.3", True, False), ("5.3.4", True, False),
                                          ("5.3.5", False, True), ("5.0.0", False, False), ("5.2.1", False, False), ("5.7.1", False, False), ("5.1.1", False, True)):
            target = f"n{status}-{before_text}@far.test"
            book["forward@example.test"] = [(REMOTE, target, "far.test")]
            house.resolver.book.update(book)
            house.agents["remote"].answer = lambda job, s=status, b=before_text: job.finish(FAILED, status=s, before_text=b)
            for turn in range(2):
                id = house.write(["forward@example.test"], origin=NETWORK)
                if told and turn == 0:
                    job = house.agents["bounce"].job()
                    is_((job.id, job.report, job.addresses), (id, REPORT_ALIAS, [target]), f"{status} {'before' if before_text else 'to'} the text")
                    if status == "5.7.1":
                        house.kill()
                        house.restart()
                        house.resolver.book.update(book)
                        job = house.agents["bounce"].job()
                        is_((job.report, job.addresses), (REPORT_ALIAS, [target]), "owed to the postmaster, not to the sender, after kill -9 too")
                        house.agents["remote"].answer = lambda job, s=status, b=before_text: job.finish(FAILED, status=s, before_text=b)
                    job.finish(DONE)
                ok(gone(house), f"{status} {'before' if before_text else 'to'} the text: gone")
                ok((f"id={id} event=drop " in house.program.log()) == (not told or turn > 0), "logged where nobody is told, or the second time")
        ok(house.agents["bounce"].jobs.empty(), "nobody else was told")
        # What is against one message does not keep the postmaster from hearing that nobody is there.
        book["forward@example.test"] = [(REMOTE, "two@far.test", "far.test")]
        house.resolver.book.update(book)
        for status, told in (("5.2.2", True), ("5.1.1", True), ("5.2.2", False)):
            house.agents["remote"].answer = lambda job, s=status: job.finish(FAILED, status=s, before_text=True)
            house.write(["forward@example.test"], origin=NETWORK)
            if told:
                job = house.agents["bounce"].job()
                is_((job.report, job.addresses), (REPORT_ALIAS, ["two@far.test"]), f"{status} is told of a target")
                job.finish(DONE)
            ok(gone(house), "once")
        ok(house.agents["bounce"].jobs.empty(), "each")
        book["forward@example.test"] = [(REMOTE, "null@far.test", "far.test")]
        house.resolver.book.update(book)
        house.agents["remote"].answer = lambda job: job.finish(FAILED, status="5.7.1", text="no")
        for turn in range(2):
            house.write(["forward@example.test"], origin=NETWORK, sender="")
            if turn == 0:
                job = house.agents["bounce"].job()
                is_((job.report, job.addresses), (REPORT_ALIAS, ["null@far.test"]), "of a report of others the postmaster hears, refused as it may be")
                job.finish(DONE)
            ok(gone(house), "and once")
        ok(house.agents["bounce"].jobs.empty(), "for each target")
        book["forward@example.test"] = [(REMOTE, "a@far.test", "far.test"), (ERROR, "off@example.test", "5.2.1")]
        house.resolver.book.update(book)
        house.agents["remote"].answer = lambda job: job.finish(DONE)
        house.write(["forward@example.test"], origin=NETWORK)
        job = house.agents["bounce"].job()
        is_((job.report, job.addresses), (REPORT_ALIAS, ["off@example.test"]), "a mailbox here that is disabled, as a target")
        job.finish(DONE)
        ok(gone(house), "the others have it")
        house.agents["remote"].answer = fail
        house.write(["dead@far.test"], origin=NETWORK)
        ok(gone(house), "an address that a stranger has named")
        ok(house.agents["bounce"].jobs.empty(), "is nobody's to hear of")
        id = house.write(["list@example.test"], origin=AUTHENTICATED)
        house.local().job().finish(DONE)
        job = house.agents["bounce"].job()
        is_((job.report, sorted(job.addresses)), (REPORT_FAILED, ["dead@far.test", "spam@far.test"]), "who has an account is told of all")
        job.finish(DONE)
        ok(gone(house), "all is done")


# Of temporary failures: does a stranger who sent the message hear of it in the end?
TEMPORARY = {"4.2.2": False, "4.7.1": True, "4.1.1": True, "4.6.5": False, "4.4.6": False, "4.3.5": True, "4.1.8": False, "4.4.1": True, "4.2.0": True,
             "4.0.0": True, "4.3.0": True, "4.7.0": True, "4.7.10": True, "4.7.500": True, "4.7.20": False, "4.7.25": True, "4.7.28": True, "4.7.29": False}


def strangers_wait():
    """Temporary failures: for the whole lifetime, then the same."""
    lifetime = 10
    with House(FAST + f"queue.lifetime {lifetime}s\nqueue.delay-notice 300ms\n") as house:
        attempts = collections.Counter()

        def put_off(job):
            status = job.addresses[0].split("@")[0]
            attempts[status] += 1
            job.finish(RETRY, status=status)
        house.agents["remote"].answer = put_off
        began = time.monotonic()
        ids = {status: house.write([f"{status}@dept.test"], origin=NETWORK) for status in TEMPORARY}
        heard = {}
        for _ in range(list(TEMPORARY.values()).count(True)):
            job = house.agents["bounce"].job()
            heard[job.id] = (job.report, job.recipients[0]["status"])
            job.finish(DONE)
        for status, told in TEMPORARY.items():
            is_(heard.get(ids[status]), (REPORT_FAILED, "5.4.7") if told else None,
                f"{status}: reported at the end, without a notice before" if told else f"{status}, which a stranger may bring about: not reported")
        ok(gone(house) and time.monotonic() - began >= lifetime, "the messages go at the end of their lifetime")
        for status, told in TEMPORARY.items():
            ok(attempts[status] >= 3, f"{status}: after more than an attempt ({attempts[status]})")
            ok((f"id={ids[status]} event=drop from=<sender@example.test> to=<{status}@dept.test> status=5.4.7 " in house.program.log()) == (not told),
               "with a line in the log or a report")
        ok(house.agents["bounce"].jobs.empty(), "and nobody was told more")


def nobody_waits():
    """Reports of others that an alias leads to, and that wait until the end: the postmaster hears of the target once, whatever the status."""
    with House(FAST + "queue.lifetime 2s\nqueue.delay-notice 1s\n") as house:
        house.resolver.book["forward@example.test"] = [(REMOTE, "full@far.test", "far.test")]
        house.agents["remote"].answer = lambda job: job.finish(RETRY, status=next(statuses))
        statuses = itertools.cycle(("4.2.2", "4.7.26", "4.4.1"))
        for turn in range(2):
            id = house.write(["forward@example.test"], origin=NETWORK, sender="")
            if turn == 0:
                job = house.agents["bounce"].job()
                is_((job.report, job.recipients[0]["status"]), (REPORT_ALIAS, "5.4.7"), "the postmaster is told, with the header alone")
                job.finish(DONE)
            ok(gone(house), "gone")
            is_(f"id={id} event=drop " in house.program.log(), turn == 1, "the second is told in the log")
        ok(house.agents["bounce"].jobs.empty(), "once")


def lessons():
    """What deliveries teach of recipients is told to resolved, which answers RCPT."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        told = lambda: house.resolver.refusals.get(timeout=WAIT)[1:]  # noqa: E731

        def learn(address, outcome, status, origin=NETWORK, **kwargs):
            house.write([address], origin=origin)
            (house.local() if "example" in address else house.agents["remote"]).job().finish(outcome, status=status, **kwargs)

        learn("full@example.test", RETRY, "4.2.2")
        kind, key, size, left_ms = told()
        is_((kind, key, size), (FULL, "/mail/x", len(MESSAGE)), "a mailbox that was full, by its home, and for which size")
        ok(3600000 < left_ms <= 90 * 60000, f"until the message has been tried again, in an hour and a quarter at most: {left_ms}")
        learn("full@example.test", DONE, "2.0.0")
        is_(told(), (FULL, "/mail/x", len(MESSAGE), 0), "it has room again")
        learn("full@example.test", DONE, "2.0.0")
        learn("full@example.test", RETRY, "4.3.1")
        learn("x@dept.test", RETRY, "4.2.2")
        learn("x@dept.test", FAILED, "5.7.1")
        learn("x@dept.test", FAILED, "5.1.1")  # the answer to the text, say
        learn("x@dept.test", FAILED, "5.7.1", before_text=True)
        learn("x@dept.test", FAILED, "5.1.1", origin=AUTHENTICATED, unknown=True)
        house.agents["bounce"].job().finish(DONE)
        learn("x@dept.test", FAILED, "5.1.1", unknown=True)
        kind, key, size, left_ms = told()
        is_((kind, key), (UNKNOWN, "x@dept.test"), "an address that its host does not know; of all that failed otherwise nothing")
        ok(15 * 60000 < left_ms <= 2 * 3600000, "for an hour or two")
        learn("x@away.test", FAILED, "5.1.2", unknown=True)
        house.agents["bounce"].job().finish(DONE)
        kind, key, size, away_ms = told()
        ok((kind, key) == (UNKNOWN, "x@away.test") and 0 < away_ms <= 15 * 60000, "one of a domain that is not found, for some minutes")
        line = house.resolver.lines[-1]
        line.shutdown(socket.SHUT_RDWR)
        again, *told_again = house.resolver.refusals.get(timeout=WAIT)
        ok(again is not line, "another resolved")
        is_(told_again[:2], [UNKNOWN, "x@dept.test"], "is told it as well, and what is over is not")
        is_(told()[:2], (UNKNOWN, "x@away.test"), "each")
        ok(0 < told_again[3] <= left_ms, "with what is left of its time")
        learn("x@dept.test", DONE, "2.0.0", origin=AUTHENTICATED)
        is_(told(), (UNKNOWN, "x@dept.test", 0, 0), "it is known now")
        ok(house.resolver.refusals.empty(), "and nothing else was said")


def short_lesson():
    with House("queue.retry-first 1m\n") as house:
        house.write(["full@example.test"])
        house.local().job().finish(RETRY, status="4.2.2")
        ok(10 * 60000 < house.resolver.refusals.get(timeout=WAIT)[4] <= 15 * 60000, "a full mailbox is known for some minutes in any case")
        house.ask(CONTROL_QUEUE_REMOVE, "")
        is_(house.resolver.refusals.get(timeout=WAIT)[4], 0, "until the message that waits for room is removed")


def many_lessons():
    """They come bit by bit, the questions of the queue in between."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\nqueue.concurrency-start 20\n") as house:
        house.agents["remote"].answer = lambda job: job.finish(FAILED, status="5.1.1", unknown=True)
        names = [f"{'x' * 60}{n}@dept.test" for n in range(500)]
        for at in range(0, len(names), 100):
            house.write(names[at:at + 100], origin=NETWORK)
        ok(gone(house), "500 unknown addresses")
        is_({house.resolver.refusals.get(timeout=WAIT)[2] for _ in names}, set(names), "all are told")
        house.resolver.lines[-1].shutdown(socket.SHUT_RDWR)
        is_({house.resolver.refusals.get(timeout=WAIT)[2] for _ in names}, set(names), "and again to another resolved")


def no_loops():
    with House(FAST) as house:
        house.write([("a@far.test", NEVER, "")], wire="bounce.spool", sender="")
        house.agents["remote"].job().finish(FAILED)
        job = house.agents["bounce"].job()
        is_((job.report, job.sender), (REPORT_FAILED, ""), "a report that fails is reported to the postmaster")
        job.finish(DONE)
        ok(gone(house), "once")
        house.write([("postmaster@mail.example.test", NEVER, "")], wire="bounce.spool", sender="")
        house.agents["remote"].job().finish(FAILED)
        ok(gone(house), "a report to the postmaster that fails is dropped")
        ok(house.agents["bounce"].none(), "without another one")
        ok("event=drop" in house.program.log(), "and the log says so")


def lifetimes():
    with House(FAST + "queue.lifetime 10s\nqueue.delay-notice 300ms\n") as house:
        remote, seen = house.agents["remote"], []
        remote.answer = lambda job: RETRY
        id = house.write(["a@far.test"])
        delayed = house.agents["bounce"].job()
        is_((delayed.report, delayed.id), (REPORT_DELAYED, id), "after queue.delay-notice the sender is told")
        ok(delayed.gives_up >= delayed.arrived, "and when the queue gives up")
        delayed.finish(DONE)
        last = house.agents["bounce"].job()
        is_((last.report, last.recipients[0]["status"]), (REPORT_FAILED, "5.4.7"), "after queue.lifetime it fails, told once of delay")
        last.finish(DONE)
        ok(gone(house), "and goes")
        ok(seen == [], "that is all")
    with House(FAST + "queue.lifetime 1s\nqueue.delay-notice 0\n") as house:
        for host, text, reported in (("mx.far.test", "450 4.2.1 later", "450 4.2.1 later"),
                                     ("", "no answer", "delivery time expired; last: no answer")):
            house.agents["remote"].answer = lambda job, said={"text": text, "host": host}: job.finish(RETRY, status="4.4.1", **said)
            house.write(["a@far.test"])
            job = house.agents["bounce"].job()
            is_([job.recipients[0][key] for key in ("status", "host", "text")], ["5.4.7", host, reported],
                f"what expired, by \"{host}\": no word of ours is put into a host's mouth")
            job.finish(DONE)
            ok(gone(house), "and goes")


def writers():
    with House("message.size-max 64K\nrecipients-max 100\n", agents=False) as house:
        w = house.writer()
        w.open()
        ok(len(house.files()) == 1, "an open message has its file under its final name")
        w.close()
        ok(gone(house), "which goes when the writer hangs up")
        w = house.writer()
        w.open()
        send(w.line, Out(SPOOL_ABANDON))
        ok(gone(house), "or gives up")
        id = w.open()
        w.write(MESSAGE)
        w.recipients(["a@far.test"])
        w.commit()
        ok(house.path(id).read_bytes()[41:42] == b"c", "committed is a state of the file")
        w.live()
        second = w.open()
        ok(house.path(id).read_bytes()[41:42] == b"l", "live another")
        ok(second > id, "the line takes the next message, with a later id")
        send(w.line, Out(SPOOL_ABANDON))
        for name, act in (("a size that is not the file's", lambda w: w.commit(size=5)),
                          ("another writer's origin", lambda w: w.commit(origin=BOUNCE)),
                          ("a sender with a line end", lambda w: w.commit(sender="a\n@b.test")),
                          ("live before committed", lambda w: (w.live(), w.open())),
                          ("a checksum too short", lambda w: w.commit(checksum=b"x"))):
            w = house.writer()
            w.open()
            w.write(MESSAGE)
            w.recipients(["a@far.test"])
            try:
                act(w)
                ok(False, f"{name} ends the line")
            except (EOFError, ConnectionError):
                ok(True, f"{name} ends the line")
        w = house.writer()
        w.open()
        w.write(MESSAGE)
        try:
            w.commit()
            ok(False, "no recipients: the line ends")
        except (EOFError, ConnectionError):
            ok(True, "no recipients: the line ends")
        try:
            w = house.writer()
            w.open()
            w.recipients([f"r{i}@far.test" for i in range(200)])
            w.write(MESSAGE)
            w.commit()
            ok(False, "too many recipients: the line ends")
        except (EOFError, ConnectionError):
            ok(True, "too many recipients: the line ends")
        for name, announced, data in (("announced", 70000, b""), ("written", 0, b"x" * 140000)):
            w = house.writer()
            try:
                w.open(announced)
                w.write(data)
                w.recipients(["a@far.test"])
                w.commit()
                ok(False, f"too large as {name}")
            except Refused as refused:
                is_(refused.args[:2], (True, "5.3.4"), f"too large as {name}")
        ok(house.wait_for(lambda: house.files() == [id]), "nothing of all that stays")
    with House("queue.space-min 1T\n", agents=False) as house:
        try:
            house.writer().open()
            ok(False, "the disk is nearly full")
        except Refused as refused:
            is_(refused.args[:2], (False, "4.3.1"), "the disk is nearly full")
        ok("event=disk-short" in house.program.log(), "and the log says so")


def windows():
    with House(FAST + "queue.concurrency-start 3\nqueue.concurrency-max 4\n") as house:
        remote = house.agents["remote"]
        for i in range(30):
            house.write([f"u{i}@far.test"])
        jobs = [remote.job() for _ in range(3)]
        ok(remote.none(), "one destination gets concurrency-start jobs at once")
        other = house.write(["x@near.test"])
        job = remote.job()
        is_(job.id, other, "another does not wait behind it")
        job.finish(DONE)
        for job in jobs:
            job.finish(RETRY, trouble=True)
        ok(house.wait_for(lambda: len([e for e in house.list() if e["state"] == "d"]) >= 20), "trouble of the host puts off all that waits for it")
        remote.answer = lambda job: DONE
        ok(gone(house), "and it is tried again")
    with House("queue.concurrency-start 3\n") as house:
        house.write([f"u{i}@far.test" for i in range(250)])
        sizes = [len(house.agents["remote"].job().recipients) for _ in range(3)]
        is_(sorted(sizes), [50, 100, 100], "a job has at most 100 recipients")


def steering():
    with House("queue.retry-first 1h\n") as house:
        remote = house.agents["remote"]
        first = house.write(["a@far.test"], sender="one@example.test")
        remote.job().finish(RETRY, text="not now")
        second = house.write(["b@near.test"], sender="two@example.test")
        remote.job().finish(RETRY)
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["d", "d"]), "two are deferred")
        is_([e["id"] for e in house.list("from:one@example.test")], [first], "a list by sender")
        is_([e["id"] for e in house.list("to:B@near.test")], [second], "by recipient")
        is_([e["id"] for e in house.list("domain:NEAR.test")], [second], "by domain")
        is_([e["recipients"] for e in house.list(first)], [["a@far.test"]], "by id")
        is_(house.ask(CONTROL_QUEUE_LIST, "what")[0], 100, "nothing else")
        is_(house.ask(CONTROL_QUEUE_HOLD, first)[:2], (0, "1"), "hold one")
        is_(house.ask(CONTROL_QUEUE_RETRY, "")[:2], (0, "2"), "retry all")
        job = remote.job()
        is_(job.id, second, "reaches those that are not held")
        job.finish(DONE)
        is_([e["state"] for e in house.list()], ["h"], "the held one stays")
        code, _, lines, fds = house.ask(CONTROL_QUEUE_SHOW, first)
        text = "\n".join(m.string() for m in lines)
        ok(code == 0 and f"id: {first}" in text and "to: <a@far.test> deferred" in text and "not now" in text, "show tells", text)
        is_(os.pread(fds[0], len(MESSAGE), 256), MESSAGE, "and gives the file")
        is_(house.ask(CONTROL_QUEUE_SHOW, "0000000000000")[0], 100, "of a message that is there")
        house.stop()
        ok((house.directory / "queue/clean").exists(), "a clean stop leaves its mark")
        house.restart()
        ok(not (house.directory / "queue/clean").exists(), "which the start takes away")
        is_([e["state"] for e in house.list()], ["h"], "held is held after a restart")
        ok(house.agents["remote"].none(), "and not tried")
        is_(house.ask(CONTROL_QUEUE_RELEASE, "")[:2], (0, "1"), "release")
        job = house.agents["remote"].job()
        is_(house.ask(CONTROL_QUEUE_REMOVE, first)[:2], (0, "1"), "remove while an agent has it")
        is_(house.list(), [], "it is out of the list")
        job.finish(RETRY)
        ok(gone(house), "and gone when the agent is through")


def many():
    import time
    with House("queue.retry-first 1h\n") as house:
        house.agents["remote"].answer = lambda job: RETRY
        w, count = house.writer(), 2000
        for i in range(count):
            w.open()
            w.write(MESSAGE)
            w.recipients([f"u{i}@d{i % 7}.test"])
            w.commit()
            w.live()
            os.close(w.fd)
        ok(house.wait_for(lambda: all(e["state"] == "d" for e in house.list())), "many are deferred")
        begun = time.monotonic()
        entries = house.list()
        is_(len({e["id"] for e in entries}), count, f"and listed ({(time.monotonic() - begun) * 1000:.0f} ms, reading in Python included)")
        is_(house.ask(CONTROL_QUEUE_REMOVE, "domain:d3.test")[:2], (0, str(len([i for i in range(count) if i % 7 == 3]))), "removed by domain")
        house.agents["remote"].answer = lambda job: DONE
        house.ask(CONTROL_QUEUE_RETRY, "")
        ok(gone(house), "and flushed")


def own_envelope():
    """A writer may write the envelope itself; what queued goes by, and seals, is what it was told."""
    with House("queue.retry-first 1h\nqueue.retry-max 1h\n") as house:
        behind = lambda id: house.path(id).read_bytes()[256 + len(MESSAGE):]
        plain = house.write(["a@far.test"])
        house.agents["remote"].job().finish(RETRY)
        envelope = next(behind(plain)[:end + 1] for end in [behind(plain).index(b"a@far.test") + 10])
        lie = envelope.replace(b"a@far.test", b"b@far.test")
        for text, name in ((envelope, "the envelope"), (lie, "another envelope")):
            w = house.writer()
            w.open()
            w.write(MESSAGE)
            os.pwrite(w.fd, text, 256 + len(MESSAGE))
            w.recipients(["a@far.test"])
            w.commit()
            is_(behind(w.id), text, f"{name} that its writer has written stays")
            os.fsync(w.fd)
            w.live()
            job = house.agents["remote"].job()
            is_((job.id, job.addresses), (w.id, ["a@far.test"]), "its recipients are those that queued was told")
            job.finish(RETRY)
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["d"] * 3), "all wait")
        house.kill()
        house.restart()
        is_([e["id"] for e in house.list()], sorted(house.files()), "after a crash those that are whole are there")
        is_((len(house.files()), house.counts()["damaged"]), (2, 1), "and the writer has damaged its own")


def whole():
    """A message that is handed over with one question: its file is empty until its writer has written all of it."""
    with House("queue.retry-first 1h\n") as house:
        remote = house.agents["remote"]

        w = house.writer()
        w.open()
        named = w.next
        ok(re.fullmatch(r"[0-9a-z]{13}", named) and named > w.id, "a file comes with the id of the next message")
        w.abandon()
        is_(w.whole(MESSAGE, ["a@far.test"]), named, "which it gets")
        is_(house.path(named).read_bytes(), b"", "its file is empty")
        is_([e["id"] for e in house.list()], [], "it is not in the queue yet")
        w.write_whole(["a@far.test"])
        w.live()
        job = remote.job()
        is_((job.id, job.addresses, job.bytes()), (named, ["a@far.test"], MESSAGE), "it is delivered")
        job.finish(RETRY)
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["d"]), "or waits")
        house.kill()
        house.restart()
        is_(([e["id"] for e in house.list()], house.counts()["damaged"]), ([named], 0), "also over a crash")
        for name, act in (("an id that it was not told", lambda w: w.whole(MESSAGE, ["a@far.test"], id=named)),
                          ("none", lambda w: w.whole(MESSAGE, ["a@far.test"], id="")),
                          ("no id in thirteen letters", lambda w: house.writer().open(id="0" * 13)),
                          ("one a second time", lambda w: (w.open(id=w.next), w.abandon(), w.open(id=w.next), w.abandon(), w.open(id=w.id))),
                          ("an empty message", lambda w: w.whole(b"", ["a@far.test"])),
                          ("one that is too long for this", lambda w: w.whole(b"x" * 32769, ["a@far.test"])),
                          ("no recipient", lambda w: w.whole(MESSAGE, []))):
            w = house.writer()
            w.open()
            w.abandon()
            try:
                act(w)
                ok(False, name)
            except (EOFError, OSError):
                ok(True, f"{name}: the writer is broken")
        w = house.writer()
        w.open()
        w.abandon()
        w.whole(MESSAGE, ["b@far.test"])
        gone_id = w.id
        w.close()
        ok(house.wait_for(lambda: gone_id not in house.files()), "a writer that goes before it has said that it has synced leaves nothing")
        ok(f"id={gone_id} event=abandoned\n" in house.program.log(), "but the end of what the log has called queued")
        w = house.writer()
        w.open()
        w.abandon()
        w.whole(MESSAGE, ["c@far.test"])
        w.live()
        house.agents["remote"].job().finish(RETRY, damaged=True)
        ok(house.wait_for(lambda: house.counts()["damaged"] == 1), "one that says so and has written nothing has damaged its own")


def kept_connections():
    """Of agents that are idle the one that was last at a destination is given its next message: it may have a connection there."""
    with House("remote.timeout-idle 5m\n") as house:
        remote = house.agents["remote"]

        def send_to(domain):
            house.write([f"a@{domain}"])
            job = remote.job()
            return job.addresses[0].split("@")[1], job

        first = dict([send_to("one.test"), send_to("two.test")])
        ok(first["one.test"].line is not first["two.test"].line, "two agents at two destinations")
        for job in first.values():
            job.finish(DONE)
        for domain in ("one.test", "two.test", "one.test", "two.test", "two.test", "one.test"):
            ok(house.wait_for(lambda: house.list() == []), "all is delivered")
            _, job = send_to(domain)
            ok(job.line is first[domain].line, f"the agent that was at {domain} goes there again")
            job.finish(DONE)
        ok(house.wait_for(lambda: house.list() == []), "all is delivered")
        _, job = send_to("three.test")
        ok(job.line is first["two.test"].line, "who goes elsewhere is the one that has been idle for longest")
        job.finish(DONE)


def another_id():
    """An id is named before there is a file: where none can be made by it the message gets another one."""
    with House("queue.retry-first 1h\n") as house:
        for way in ("whole", "open"):
            for what in ("a directory that cannot be used", "a file that is there"):
                w = house.writer()
                w.open()
                w.abandon()
                named, directory = w.next, house.directory_of(w.next)
                if what.startswith("a file"):
                    (directory / named).write_bytes(b"")
                else:
                    directory.rename(directory.with_name("away"))
                    directory.write_bytes(b"")
                w.whole(MESSAGE, ["a@far.test"]) if way == "whole" else w.open(id=named)
                ok(w.id > named and w.id in house.files(), f"{what}: {way} gets another id")
                if way == "whole":
                    w.write_whole(["a@far.test"])
                    w.live()
                    job = house.agents["remote"].job()
                    is_((job.id, job.bytes()), (w.id, MESSAGE), "and is delivered by that")
                    job.finish(DONE)
                if what.startswith("a file"):
                    (directory / named).unlink()
                else:
                    directory.unlink()
                    directory.with_name("away").rename(directory)


def last_ones():
    """A message that had begun when queued is told to stop has its id, and is taken; there is no next one."""
    with House(agents=False) as house:
        busy, w, new = house.writer(), house.writer(), house.writer()
        busy.open()
        w.open()
        w.abandon()
        house.program.signal(signal.SIGTERM)

        def refuses(writer):
            try:
                writer.open()
                writer.abandon()
            except Refused as refused:
                return refused.args[1] == "4.3.2"
        ok(house.wait_for(lambda: refuses(new)), "queued stops: a new message is refused")
        w.whole(MESSAGE, ["a@far.test"])
        is_(w.next, "", "one that has begun is taken, and names no next one")
        w.write_whole(["a@far.test"])
        w.live()
        ok(refuses(w), "which is refused")
        busy.close()
        is_(house.program.wait(), 0, "it ends")
        is_(house.files(), [w.id], "with the message in the queue")


def said_and_gone():
    """A writer has said 250 as soon as it could send that it has synced: queued hears it, whatever becomes of the line first."""
    with House() as house:
        for name in ("a new line of the same worker ends it", "its writer says nothing"):
            w = house.writer()
            w.line.close()
            w.line = dial(house.wires["smtpd.spool"], "spool", 7)
            w.open()
            w.write(MESSAGE)
            w.recipients(["a@far.test"])
            w.commit()
            os.fsync(w.fd)
            house.program.signal(signal.SIGSTOP)
            newer = dial(house.wires["smtpd.spool"], "spool", 7)
            if "nothing" not in name:
                w.live(heard=False)
            w.close()
            house.program.signal(signal.SIGCONT)
            if "nothing" in name:
                ok(gone(house), f"{name}: it is not taken")
            else:
                job = house.agents["remote"].job()
                is_(job.id, w.id, f"{name}: it is delivered")
                job.finish(DONE)
                ok(gone(house), "once")
            newer.close()


def resolved_goes():
    with House() as house:
        house.resolver.silent = True
        house.write(["a@far.test"])
        ok(house.wait_for(lambda: house.resolver.asked == ["a@far.test"]), "a question is asked")
        house.resolver.silent = False
        house.resolver.lines[-1].shutdown(socket.SHUT_RDWR)
        house.agents["remote"].job().finish(DONE)
        ok(gone(house), "and asked again when resolved is replaced")


def reload():
    with House() as house:
        waiting = house.write(["a@far.test"])
        job = house.agents["remote"].job()
        house.change("queue.space-min 1T\n")
        ok(house.wait_for(lambda: "event=reloaded" in house.program.log()), "new settings are taken")
        try:
            house.writer().open()
            ok(False, "and hold")
        except Refused as refused:
            is_(refused.args[1], "4.3.1", "and hold")
        job.finish(DONE)
        ok(gone(house) and waiting == job.id, "what was on its way goes on")


def owners():
    with House(FAST) as house:
        house.resolver.book["a@example.test"] = [(MAILBOX, "a@example.test", 5001)]
        house.resolver.book["b@example.test"] = [(MAILBOX, "b@example.test", 5002)]
        house.write(["a@example.test", "b@example.test"])
        for uid in (5001, 5002):
            ok(house.wait_for(lambda: f"local-{uid}" in house.agents), f"a local is started for uid {uid}")
            job = house.agents[f"local-{uid}"].job()
            is_((job.recipients[0]["uid"], len(job.recipients)), (uid, 1), "with its own recipient alone")
            job.finish(DONE)
        ok(gone(house), "both are done")
        is_(house.owner_starts, 2, "each was started once")
        old = house.agents["local-5001"]
        old.wire.shutdown(socket.SHUT_RDWR)
        old.wire.close()
        for line in list(old.lines):
            line.shutdown(socket.SHUT_RDWR)
        house.write(["a@example.test"])
        ok(house.wait_for(lambda: house.agents["local-5001"] is not old), "a local that has gone is started again")
        house.agents["local-5001"].job().finish(DONE)
        ok(gone(house), "and works")


def recovery():
    with House("queue.retry-first 1h\n") as house:
        remote = house.agents["remote"]
        waiting = house.write(["a@far.test"])
        remote.job().finish(RETRY)
        ok(house.wait_for(lambda: b"\nattempt " in house.path(waiting).read_bytes()), "one waits")
        fresh = house.write(["b@far.test"])
        remote.job()
        damaged = house.write(["c@far.test"])
        forged = house.write(["d@far.test"])
        w = house.writer()
        open_one = w.open()
        w.write(MESSAGE)
        torn, torn_writer = None, house.writer()
        torn = torn_writer.open()
        torn_writer.write(MESSAGE)
        torn_writer.recipients(["e@far.test"])
        torn_writer.commit()
        house.kill()
        # The text of what was live is not read again: agents find it.
        for id, old, new in ((waiting, b"hello", b"jello"), (damaged, b"sender@", b"gender@"), (forged, b"d@far.test", b"x@far.test"), (torn, b"hello", b"\0\0\0\0\0")):
            data = house.path(id).read_bytes()
            house.path(id).write_bytes(data.replace(old, new))
        with open(house.path(waiting), "ab") as file:
            file.write(b"done 0 1 2.0.0 - - *0123456789abcdef\nhalf a li")
        house.restart()
        is_(house.files(), sorted([waiting, fresh]), "whole messages are live again; open and torn ones are not")
        is_(sorted(os.listdir(house.directory / "queue/damaged")), sorted([damaged, forged]), "what was live and is not whole is kept aside")
        job = house.agents["remote"].job()
        is_(job.id, fresh, "the fresh one is tried at once")
        job.finish(DONE)
        is_([(e["id"], e["state"]) for e in house.list(waiting)], [(waiting, "d")], "the one that waited goes on waiting: a forged record is no record")
        house.ask(CONTROL_QUEUE_RETRY, "")
        house.agents["remote"].job().finish(RETRY)
        ok(house.wait_for(lambda: b"\nattempt 2 " in house.path(waiting).read_bytes()), "its log goes on behind the torn line")
        log = house.program.log()
        is_(sorted(os.listdir(house.directory / "queue/torn")), sorted([open_one, torn]), "these are kept as well")
        ok(f"warning: id={torn} event=recover-torn reason=\"wrong checksum of the message\" kept=torn/{torn}" in log
           and f"warning: id={open_one} event=recover-torn reason=\"no header\"" in log, "with a reason")
        ok(f"warning: id={damaged} event=recover-damaged" in log, "what is damaged is warned of")


def long_answer():
    """Longer than a socket holds."""
    with House() as house:
        id = house.write([f"u{n}@far.test" for n in range(100)])
        left = 100
        while left:
            job = house.agents["remote"].job()
            left -= len(job.recipients)
            job.finish(RETRY, text="x" * 500)
        ok(house.wait_for(lambda: house.list(id)[0]["state"] == "d"), "a hundred recipients wait")
        mine, theirs = pair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        send(house.program.master, Out(MASTER_CONTROL).fd(theirs))
        theirs.close()
        send(mine, Out(CONTROL_QUEUE_SHOW).view(id))
        house.list()  # by then it has begun to answer
        lines = []
        while (m := receive(mine)).kind != CONTROL_END:
            lines.append(m.string())
        is_((m.byte(), sum(line.startswith("to: ") for line in lines), len(m.fds)), (0, 100, 1), "all are shown, then the file comes")


def one_house():
    with House() as house:
        holder = house.directory / "queue/.holder"
        is_(holder.read_text(), f"{house.program.process.pid} {os.getpid()}\n", "the queue's holder is named in it")
        second = wirehouse.Program("queued", {"generation": house.generation, **house.wires}, house.directory)
        second.wait_log("event=waiting setting=queue.directory")
        second.stop()
        holder.write_text(f"{house.program.process.pid} 1\n")
        second = wirehouse.Program("queued", {"generation": house.generation, **house.wires}, house.directory)
        is_(second.wait(), 111, "a queued of another house does not start on it")
        ok(f"queue.directory {house.directory}/queue is in use by process {house.program.process.pid} of another instance (master 1): "
           "stop that one first" in second.log(), "and says who has it", second.log())
        house.kill()
        lock = os.open(house.directory / "queue", os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone = subprocess.Popen(["true"])
        gone.wait()
        for master in (os.getpid(), gone.pid):
            holder.write_text(f"{gone.pid} {master}\n")

            def ends(program):
                program.wait_log(f"event=waiting setting=queue.directory holder={gone.pid}")
                fcntl.flock(lock, fcntl.LOCK_UN)
                program.wait_ready()
            house.program.log_path.write_text("")
            house.start(ends)
            ok(True, "a predecessor, and one whose master is gone, is waited for")
            house.kill()
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(lock)
        house.restart()


def without_master():
    with House() as house:
        late = wirehouse.Program("queued", {"generation": house.generation, **house.wires}, house.directory, POSTHOUSE_MASTER="1")
        is_(late.wait(), 111, "who starts when its master is gone ends")


def damage():
    """A file that changes while its message waits is set aside, with all who wait; an agent's word alone does not do it."""
    with House("queue.retry-first 200ms\nqueue.retry-max 200ms\n") as house:
        remote, claims = house.agents["remote"], []

        def answer(job):
            whole = hashlib.blake2b(job.bytes(), digest_size=32).digest() == job.checksum
            if not whole or job.id in claims:
                job.result(0, DONE if len(job.recipients) > 1 else OWN_FAULT, damaged=len(job.recipients) == 1)
                for n in range(1, len(job.recipients)):
                    job.result(n, OWN_FAULT, damaged=True)
                job.finish({})
                return None
            return RETRY
        remote.answer = answer
        damages = {
            "text": lambda path: path.write_bytes(path.read_bytes().replace(b"hello", b"jello")),
            "truncated": lambda path: os.truncate(path, 280),
            "replaced by another": lambda path: path.write_bytes(other.read_bytes()),
            "replaced by a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
            "header": lambda path: path.write_bytes(bytes(256) + path.read_bytes()[256:]),
        }
        honest = house.write(["other@far.test"])
        other = house.path(honest)
        claims.append(honest)
        for name, damage in damages.items():
            id = house.write(["a@far.test", "b@far.test", "c@example.test"])
            mailbox = house.local().job()
            ok(house.wait_for(lambda: b"\nretry " in house.path(id).read_bytes() or house.list(id)), f"{name}: a message waits")
            damage(house.path(id))
            aside = house.directory / "queue" / "damaged" / id
            ok(house.wait_for(lambda: f"id={id} event=damaged" in house.program.log()), "damaged, it is found when it is delivered", house.program.log())
            mailbox.finish(DONE)
            # The sandbox, where there is one, lets nobody make a FIFO, elsewhere neither: that one stays where it is, and is told of.
            stays = lambda: name == "replaced by a FIFO" and f"id={id} event=set-aside-failed" in house.program.log()  # noqa: E731
            ok(house.wait_for(lambda: stays() or os.path.lexists(aside)), "it is set aside when nobody has it any more", house.program.log())
            is_((house.list(id), id in house.files()), ([], stays()), "and is not in the list")
            if name == "text":
                text = aside.read_bytes()
                ok(b"\ndone 0 " in text and b"\ndone 1 " not in text, "its log says who has it", text)
        ok(house.path(honest).exists() and f"id={honest} event=damaged" not in house.program.log(), "a message that is whole stays, whatever an agent says")


for test in (local_and_remote, repeated, away, away_at_the_end, missing, aliases, retries, contested, waits_over_restart, long_job, strange_agents, reports, strangers, dead_targets, strangers_wait, nobody_waits, lessons, short_lesson, many_lessons, no_loops, lifetimes, writers, own_envelope, whole, another_id, last_ones, said_and_gone, windows, kept_connections, steering, many,
             resolved_goes, reload, owners, recovery, long_answer, one_house, without_master, damage):
    test()
done()
