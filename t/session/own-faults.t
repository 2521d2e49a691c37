#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued, when what fails is ours: agents that die or say so, a stop, a crash. What the destination did not do is not held
against it: it is repeated within seconds, a few times, and the file knows nothing of it."""
import pathlib
import re
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

MAX = 5  # OWN_RETRY_MAX
HOUR = "queue.retry-first 1h\nqueue.retry-max 1h\n"  # whatever waits for that never comes in a test
SECOND = "queue.retry-first 1s\nqueue.retry-max 1s\n"


def gone(house):
    return house.wait_for(lambda: house.files() == [])


def events(house, id):
    """What the log says of its recipients, in order: ("repeat", address, faults) or ("defer", address, None) ..."""
    found = re.findall(rf"id={id} event=(repeat|defer|deliver|fail) to=<([^>]*)>(?: by=\w+ status=\S+ faults=(\d+))?", house.program.log())
    return [(event, to, int(faults) if faults else None) for event, to, faults in found]


def records(house, id):
    """The words of its log."""
    return re.findall(rb"^(retry|attempt|done|failed|notice) ", house.path(id).read_bytes(), re.M)


def waits_long(house, id):
    """Deferred, for about as long as queue.retry-first says."""
    return house.wait_for(lambda: [e["state"] for e in house.list(id)] == ["d"] and house.list(id)[0]["next"] - time.time() > 1000)


def dies():
    with House(HOUR) as house:
        remote = house.agents["remote"]
        id = house.write(["b@far.test"])
        remote.job().die()
        again = remote.job()
        is_((again.addresses, again.attempts), (["b@far.test"], 0), "what our own agent let fall comes again by itself, and counts as no attempt")
        is_(events(house, id), [("repeat", "b@far.test", 1)], "the log calls it a repeat")
        is_(records(house, id), [], "the file says nothing of it")
        ok('status=4.3.0 faults=1 text="the delivery agent died"' in house.program.log(), "with status and reason", house.program.log())
        send(again.line, Out(JOB_FINISHED))
        again = remote.job()
        again.finish(RETRY, text="mailbox busy")
        ok(waits_long(house, id), "what the other side put off waits as long as it should")
        is_(records(house, id), [b"retry", b"attempt"], "which is in the file")
        is_(events(house, id)[1:], [("repeat", "b@far.test", 2), ("defer", "b@far.test", None)], "one that gives no answer has died as well")


def bounded():
    """A message that kills its agents, and an agent that was taken over and blames the house for everything."""
    for name, fault in (("a message that kills its agent", lambda job: job.die()),
                        ("an agent that always blames us", lambda job: job.finish(OWN_FAULT))):
        with House(SECOND + "queue.concurrency-start 1\n") as house:
            served, heard = [], threading.Event()

            def answer(job):
                if "poison@far.test" not in job.addresses:
                    served.append(job.id)
                    return DONE
                if not heard.is_set():
                    fault(job)
                    return None
                return RETRY
            house.agents["remote"].answer = answer
            id = house.write(["poison@far.test"])
            expected = [("repeat", "poison@far.test", n + 1) for n in range(MAX)] + [("defer", "poison@far.test", None)]
            ok(house.wait_for(lambda: len(events(house, id)) >= MAX + 1), f"{name}: repeated")
            is_(events(house, id)[:MAX + 1], expected, f"{MAX} times, then it waits like any other")
            ok(house.wait_for(lambda: len(events(house, id)) >= MAX + 2), "for its next attempt")
            is_(events(house, id)[MAX + 1][0], "defer", "after which it is not repeated any more")
            others = [house.write([f"o{n}@far.test"]) for n in range(10)]
            ok(house.wait_for(lambda: set(others) <= set(served)), "others to the same destination go meanwhile, one at a time")
            ok("did not respond" not in house.program.log(), "it does not count as being down")
            heard.set()
            ok(house.wait_for(lambda: events(house, id)[-1][0] == "defer" and "status=4.2.0" in house.program.log()), "the destination puts it off")
            heard.clear()
            ok(house.wait_for(lambda: ("repeat", "poison@far.test", 1) in events(house, id)[MAX + 2:]),
               "having been heard it has its repeats again")


def in_company():
    """One of a message's recipients kills its agent: the others of that job get theirs."""
    with House(SECOND) as house:
        def answer(job):
            if "poison@far.test" in job.addresses:
                job.die()
                return None
            return DONE
        house.agents["remote"].answer = answer
        id = house.write(["a@far.test", "poison@far.test", "c@far.test"])
        ok(house.wait_for(lambda: sum(event[0] == "deliver" for event in events(house, id)) == 2), "the others of its job are delivered")
        is_(max(faults for event, to, faults in events(house, id) if to == "c@far.test" and faults), 2, "by themselves, after two faults")


def beside():
    """Of two recipients one is put off by its destination, the other by us: each has its own time."""
    for first in ("near", "far"):
        with House(HOUR) as house:
            remote = house.agents["remote"]
            id = house.write(["a@far.test", "b@near.test"])
            jobs = {job.domain: job for job in (remote.job(), remote.job())}
            put_off, fault = lambda: jobs["far.test"].finish(RETRY), lambda: jobs["near.test"].die()
            for act, to in ((fault, "b@near.test"), (put_off, "a@far.test")) if first == "near" else ((put_off, "a@far.test"), (fault, "b@near.test")):
                act()
                ok(house.wait_for(lambda: any(event[1] == to for event in events(house, id))), f"{to} waits")
            again = remote.job()
            is_(again.addresses, ["b@near.test"], f"{first} first: the one is repeated, alone")
            again.die()
            again = remote.job()
            is_(again.addresses, ["b@near.test"], "also twice")
            again.finish(DONE)
            ok(house.wait_for(lambda: ("deliver", "b@near.test", None) in events(house, id)) and waits_long(house, id), "the other waits its hour")
            is_(records(house, id), [b"retry", b"attempt", b"done"], "one attempt is in the file")


def nobody_is_told():
    with House(SECOND + "queue.lifetime 1s\nqueue.delay-notice 100ms\n") as house:
        told = []
        house.agents["bounce"].answer = lambda job: told.append(job.report) or DONE
        id = house.write(["a@far.test"])
        for _ in range(3):
            house.agents["remote"].job().die()
        house.agents["remote"].job().finish(DONE)
        ok(gone(house), "after three faults, older than queue.lifetime, it is delivered")
        is_((events(house, id)[-1][0], told), ("deliver", []), "no delay notice, no failure")


def stopped():
    with House(HOUR) as house:
        remote = house.agents["remote"]
        id = house.write(["a@far.test"])
        remote.job().finish(RETRY)
        ok(waits_long(house, id), "one waits")
        house.ask(CONTROL_QUEUE_RETRY, "")
        job = remote.job()
        before = records(house, id)
        house.program.signal(signal.SIGTERM)
        job.die()
        is_(house.program.wait(), 0, "an orderly stop in the middle of its second attempt, in which its agent dies")
        house.close_wires()
        is_(records(house, id), before, "writes nothing of it")
        ok((house.directory / "queue/clean").exists(), "and is a clean one")
        house.restart()
        job = house.agents["remote"].job()
        is_((job.id, job.attempts), (id, 1), "the next start tries it at once")
        house.kill()
        house.restart()
        job = house.agents["remote"].job()
        is_((job.id, job.attempts), (id, 1), "after kill -9 too")
        for _ in range(3):
            job.die()
            job = house.agents["remote"].job()
        job.die()
        ok(house.wait_for(lambda: events(house, id)[-1] == ("repeat", "a@far.test", 4)), "it waits for a later repeat")
        house.stop()
        house.restart()
        house.agents["remote"].job().finish(DONE)
        ok(gone(house), "and the start repeats it")


def under_way_at_a_crash():
    """What was put off goes on waiting, what was under way does not."""
    with House(HOUR) as house:
        remote = house.agents["remote"]
        id = house.write(["a@far.test", "b@near.test"])
        for attempt in (1, 2):
            jobs = {job.domain: job for job in (remote.job(), remote.job())}
            jobs["far.test"].finish(RETRY)
            ok(house.wait_for(lambda: b"\nattempt %d " % attempt in house.path(id).read_bytes()),
               f"attempt {attempt}: one is put off, the other under way")
            house.kill()
            house.restart()
            remote = house.agents["remote"]
            job = remote.job()
            is_(job.addresses, ["b@near.test"], "after kill -9 the other is tried at once, alone")
            job.finish(RETRY if attempt == 1 else DONE)
            ok(waits_long(house, id), "the one waits")
            if attempt == 1:
                house.ask(CONTROL_QUEUE_RETRY, "")
        is_([(e["count"], e["recipients"]) for e in house.list(id)], [(1, ["a@far.test"])], "and waits on when the other is done")
        # The report of a failure waits for no attempt.
        id = house.write(["c@far.test", "d@near.test"])
        jobs = {job.domain: job for job in (remote.job(), remote.job())}
        jobs["near.test"].finish(RETRY)
        jobs["far.test"].finish(FAILED)
        house.agents["bounce"].job()
        house.kill()
        house.restart()
        job = house.agents["bounce"].job()
        is_((job.id, job.addresses), (id, ["c@far.test"]), "a report that was under way is made at once")
        job.finish(DONE)
        ok(waits_long(house, id), "while the other recipient waits")


def reports():
    with House(HOUR) as house:
        bounce = house.agents["bounce"]
        id = house.write(["a@far.test"])
        house.agents["remote"].job().finish(FAILED)
        bounce.job().die()
        bounce.job().finish(OWN_FAULT)
        job = bounce.job()
        is_((job.id, records(house, id)), (id, [b"failed"]), "a report whose agent dies, or cannot read, is made again by itself")
        job.finish(RETRY)
        ok(house.wait_for(lambda: b"attempt" in records(house, id)) and waits_long(house, id), "one for which there is no room waits")
        house.ask(CONTROL_QUEUE_RETRY, "")
        bounce.job().finish(DONE)
        ok(gone(house), "until it can be made")
    with House(SECOND) as house:
        made = []
        house.agents["bounce"].answer = lambda job: made.append(job.id) or OWN_FAULT
        id = house.write(["a@far.test"])
        house.agents["remote"].job().finish(FAILED)
        ok(house.wait_for(lambda: b"attempt" in records(house, id)), "one that always fails by our fault")
        is_(len(made), 1 + MAX, f"is repeated {MAX} times, then it waits for the next attempt")


def notice():
    """A delay notice that cannot be made now waits; it is not made again and again."""
    with House(HOUR + "queue.delay-notice 1ms\n") as house:
        made = []
        house.agents["bounce"].answer = lambda job: made.append(job.report) or RETRY
        id = house.write(["a@far.test"])
        house.agents["remote"].job().die()
        house.agents["remote"].job().finish(RETRY)
        ok(house.wait_for(lambda: made), "a delay notice is due, and cannot be made")
        for n in range(3):
            other = house.write([f"o{n}@near.test"])
            house.agents["remote"].job().finish(DONE)
            ok(house.wait_for(lambda: house.files() == [id]), "others go meanwhile")
        is_((made, other in house.files()), ([REPORT_DELAYED], False), "it was tried once")
        ok(waits_long(house, id), "and waits with its message")


def deadly_question():
    """An address that ends resolved keeps nobody else from an answer."""
    with House(HOUR) as house:
        resolver, n = house.resolver, 20
        served = []
        house.agents["remote"].answer = lambda job: served.extend(job.addresses) or DONE
        resolver.deadly = {"poison@near.test", "another@near.test"}
        recipients = [f"a{i}@far.test" for i in range(n)] + ["poison@near.test", "another@near.test"] + [f"b{i}@far.test" for i in range(n)]
        ids = {to: house.write([to]) for to in recipients}
        innocent = sorted(set(recipients) - resolver.deadly)
        ok(house.wait_for(lambda: len(served) >= 2 * n), "all others are resolved and delivered")
        is_(sorted(served), innocent, "once each")
        for to in sorted(resolver.deadly):
            ok(waits_long(house, ids[to]), f"{to} waits like any other")
            is_(events(house, ids[to]), [("defer", to, None)], "the log tells of it")
        ok(max(resolver.asked.count(to) for to in resolver.deadly) <= 8, "having been asked about a few times")
        asked = {to: resolver.asked.count(to) for to in resolver.deadly}
        house.write(["last@far.test"])
        ok(house.wait_for(lambda: "last@far.test" in served), "others go on")
        is_({to: resolver.asked.count(to) for to in resolver.deadly}, asked, "it is left alone until its next attempt")


for test in (deadly_question, dies, bounded, in_company, beside, nobody_is_told, stopped, under_way_at_a_crash, reports, notice):
    test()
done()
