#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued is ended, as by kill -9, before and after every call by which it changes the disk or says something; then it is started
again.  What was acknowledged is delivered, to everybody; what was not is delivered whole or not at all; nothing stays behind.
queue/INTERNALS has the table of these steps."""
import itertools
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, note, ok  # noqa: E402

SETTINGS = "queue.retry-first 100ms\nqueue.retry-max 100ms\n"
CALLS = ("openat", "pwrite", "sendmsg", "unlinkat")
WANTED = {"one@example.test", "two@example.test", "far@far.test"}


class Run:
    """One message to an alias of two and to a host that answers at the second attempt."""

    def __init__(self, house, write):
        self.house, self.write, self.acknowledged, self.delivered, self.attempts = house, write, False, [], 0
        house.book["alias@example.test"] = [(MAILBOX, "one@example.test", 0), (MAILBOX, "two@example.test", 0)]
        house.answers.update(local=self.deliver, remote=self.remote)
        house.agents["remote"].answer = self.remote

    def deliver(self, job):
        self.delivered += [(address, job.bytes()) for address in job.addresses]
        return DONE

    def remote(self, job):
        self.attempts += 1
        return RETRY if self.attempts == 1 else self.deliver(job)

    def submit(self):
        try:
            self.write(self.house, ["alias@example.test", "far@far.test"])
            self.acknowledged = True
        except (OSError, EOFError, AttributeError):
            pass


def is_dead(house):
    return house.program.process.poll() is not None


def over(house):
    return is_dead(house) or house.files() == []


def one(so, directory, at, write):
    """Returns whether queued was ended there at all."""
    with stopper.Stopping(so, at):
        house = House(SETTINGS, directory=directory)
    house.program.signal(signal.SIGUSR1)
    run = Run(house, write)
    run.submit()
    house.wait_for(lambda: over(house))
    # The last file goes an instant before an end that stands behind its removal: an orderly stop is behind both.
    house.program.signal(signal.SIGTERM)
    if house.program.wait() == 0:
        house.kill()
        return False
    house.close_wires()
    house.restart()
    ended = house.wait_for(lambda: house.files() == [])
    got = {address for address, _ in run.delivered}
    whole = all(data == MESSAGE for _, data in run.delivered)
    damaged = aside(house)[0]
    good = ended and whole and not damaged and (got == WANTED or (not run.acknowledged and not got))
    ok(good, f"{at}: {'acknowledged' if run.acknowledged else 'not acknowledged'}, {len(run.delivered)} deliveries",
       f"ended {ended} whole {whole} damaged {damaged} got {got}\n{house.program.log()[-1500:]}" if not good else None)
    house.kill()
    return True


def aside(house):
    """damaged/ and torn/."""
    return tuple(sorted(os.listdir(house.directory / "queue" / name)) for name in ("damaged", "torn"))


def recovering(so, directory, at):
    """The same while it recovers: a waiting message, an empty one, an open one, a torn one and a
    damaged one."""
    house = House(SETTINGS.replace("100ms", "1h"), directory=directory)
    waiting = house.write(["a@far.test"])
    house.agents["remote"].job().finish(RETRY)
    house.wait_for(lambda: b"\nattempt " in house.path(waiting).read_bytes())
    damaged = house.write(["b@far.test"])
    torn = house.writer()
    torn_id = torn.open()
    torn.write(MESSAGE)
    torn.recipients(["c@far.test"])
    torn.commit()
    house.writer().open()
    unfinished = house.writer()
    unfinished_id = unfinished.open()
    unfinished.write(MESSAGE)
    house.kill()
    # Of what was live the text is not read again, of the other it is.
    house.path(damaged).write_bytes(house.path(damaged).read_bytes().replace(b"sender@example.test", b"gender@example.test"))
    house.path(torn_id).write_bytes(house.path(torn_id).read_bytes().replace(b"hello", b"jello"))
    house.close_wires()
    stopped = False
    try:
        with stopper.Stopping(so, at, armed=True):
            house.start()
    except (RuntimeError, OSError):
        stopped = True
    if not stopped and is_dead(house):
        stopped = True
    house.kill()
    house.restart()
    kept = aside(house)
    good = house.files() == [waiting] and kept == ([damaged], sorted([torn_id, unfinished_id])) and house.list()[0]["state"] == "d"
    if stopped:
        ok(good, f"{at} while recovering", f"files {house.files()} kept {kept}\n{house.program.log()[-1500:]}" if not good else None)
    house.kill()
    for name in ("damaged", "torn"):
        for path in (house.directory / "queue" / name).iterdir():
            path.unlink()
    return stopped


def main():
    with House(agents=False) as scratch:
        so = stopper.build(scratch.directory)
        steps = 0
        for call, write in itertools.product(CALLS, (House.write, House.write_at_once)):
            number = 1
            while all([one(so, fresh(scratch), f"{call}:{number}:{side}", write) for side in ("before", "after")]):
                number += 1
                steps += 2
            ok(number > 1, f"queued was stopped at each {call}: {number - 1} of them, {write.__name__}")
        note(f"{steps} places")
        for call in ("openat", "renameat2", "linkat", "unlinkat", "fsync"):
            number = 1
            while recovering(so, fresh(scratch), f"{call}:{number}:before") and number < 12:
                number += 1
            ok(number > 1, f"and at each {call} of a recovery")
    done()


def fresh(scratch):
    place = scratch.directory / "house"
    place.mkdir(exist_ok=True)
    for pattern in ("??/*", "damaged/*", "torn/*"):
        for path in (place / "queue").glob(pattern):
            path.unlink()
    (place / "queued.log").unlink(missing_ok=True)
    return place


main()
