#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The wall clock leaps under queued, forward and back, while it runs and between two starts: no mail waits for the size of the
leap, none expires early, none is lost, and what has had its time does expire."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

DAY = 86400
FAST = "queue.retry-first 200ms\nqueue.retry-max 1s\n"


class Remote:
    """Defers until it is told to take."""

    def __init__(self, house, taking=False):
        self.taking, self.seen, self.taken = taking, {}, []
        house.answers["remote"] = self.answer
        house.agents["remote"].answer = self.answer

    def answer(self, job):
        self.seen[job.id] = self.seen.get(job.id, 0) + 1
        if self.taking:
            self.taken.append(job.id)
        return DONE if self.taking else RETRY


def log_of(house, event, id):
    return [line for line in house.program.log().splitlines() if f"id={id} event={event}" in line]


def poke(house):
    """The sleep until the next timer is as long as it was: a question ends it."""
    return house.list()


def strands_nothing(so, scratch):
    """Deferred while the clock is ahead, then it is set right."""
    for name, ahead in (("a day", DAY), ("a minute", 60), ("minus a day", -DAY)):
        with stopper.Clock(so, scratch / "page") as clock, House(FAST) as house:
            remote = Remote(house)
            before = house.write(["a@far.test"])
            ok(house.wait_for(lambda: remote.seen.get(before, 0) >= 2), f"the clock leaps by {name}: one message waits")
            clock.leap(ahead)
            during = house.write(["b@far.test"])
            ok(house.wait_for(lambda: remote.seen.get(during, 0) >= 2 and remote.seen[before] >= 4), "during the leap both are retried")
            clock.leap(-ahead)
            after = house.write(["c@far.test"])
            now = dict(remote.seen)
            ok(house.wait_for(lambda: all(remote.seen.get(id, 0) > now.get(id, 0) for id in (before, during, after))),
               "and when it is set back")
            listed = {e["id"]: e["next"] for e in house.list() if e["state"] == "d"}
            ok(all(abs(t - time.time()) < 60 for t in listed.values()), "the list has the times of the clock that is right", listed)
            remote.taking = True
            ok(house.wait_for(lambda: house.files() == []), "all three are delivered", house.program.log())


def expires_nothing_early(so, scratch):
    for name, first, then in (("5.2 days behind, then right", -5.2 * DAY, 5.2 * DAY), ("right, then 5.2 days ahead", 0, 5.2 * DAY)):
        for restart in (False, True):
            with stopper.Clock(so, scratch / "page") as clock, House(FAST.replace("1s", "300ms")) as house:
                clock.leap(first)
                remote = Remote(house)
                id = house.write(["a@far.test"])
                ok(house.wait_for(lambda: remote.seen.get(id, 0) >= 1), f"{name}{', and a restart' if restart else ''}: one waits")
                if restart:
                    house.stop()
                clock.leap(then)
                if restart:
                    house.restart()
                before = remote.seen[id]
                ok(house.wait_for(lambda: remote.seen[id] >= before + 3), "it is retried", house.program.log())
                is_(log_of(house, "fail", id), [], "and does not expire")
                remote.taking = True
                ok(house.wait_for(lambda: house.files() == []), "it is delivered")


def expires_in_time(so, scratch):
    with stopper.Clock(so, scratch / "page") as clock, House("queue.retry-first 100ms\nqueue.retry-max 100ms\nqueue.lifetime 5d\n") as house:
        remote = Remote(house)
        old = house.write(["a@far.test"])
        ok(house.wait_for(lambda: remote.seen.get(old, 0) >= 6), "a message is tried")
        clock.leap(5.1 * DAY, forward=5.1 * DAY)
        fresh = house.write(["b@far.test"])
        ok(house.wait_for(lambda: poke(house) and log_of(house, "fail", old)), "when the days have passed by both clocks it expires", house.program.log())
        ok("status=5.4.7" in log_of(house, "fail", old)[0], "as expired")
        ok(house.wait_for(lambda: remote.seen.get(fresh, 0) >= 2) and not log_of(house, "fail", fresh), "a fresh one does not")


def delays_notice(so, scratch):
    with stopper.Clock(so, scratch / "page") as clock, House(FAST + "queue.delay-notice 4h\n") as house:
        remote = Remote(house)
        id = house.write(["a@far.test"])
        ok(house.wait_for(lambda: remote.seen.get(id, 0) >= 1), "one waits")
        clock.leap(DAY)
        now = remote.seen[id]
        ok(house.wait_for(lambda: remote.seen[id] >= now + 2) and house.agents["bounce"].none(0), "a leap makes no delay notice")
        clock.leap(0, forward=5 * 3600)
        ok(house.wait_for(lambda: poke(house) and not house.agents["bounce"].none(0.01)), "four hours do")
        is_(house.agents["bounce"].job().report, REPORT_DELAYED, "one of them")


def torn_files(so, scratch):
    with stopper.Clock(so, scratch / "page") as clock, House() as house:
        kept = house.writer()
        id = kept.open()
        kept.write(MESSAGE)
        house.kill()
        house.restart()
        torn = house.directory / "queue" / "torn" / id
        ok(torn.exists(), "an incomplete file is in torn/")
        clock.leap(30 * DAY, forward=60)
        poke(house)
        house.stop()
        house.restart()
        poke(house)
        ok(torn.exists(), "a leap, and a start after it, do not remove it")
        clock.leap(-29 * DAY, forward=3700)
        poke(house)
        ok(torn.exists(), "nor does an hour with less than queue.torn-keep")
        clock.leap(8 * DAY, forward=3700)
        ok(house.wait_for(lambda: poke(house) is not None and not torn.exists()), "after queue.torn-keep it goes")
        ok(f"event=torn-removed name=torn/{id} " in house.program.log(), "and the log says so", house.program.log())


def main():
    with House(agents=False) as scratch:
        so = stopper.build(scratch.directory, "clock")
        for test in (strands_nothing, expires_nothing_early, expires_in_time, delays_notice, torn_files):
            test(so, scratch.directory)
    done()


main()
