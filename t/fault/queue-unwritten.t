#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A job ends while its queue file is away, or cannot be written: what queued knows of it stays known, status and queue check
say so, and it is written as soon as that is possible, at the latest by an orderly stop.  Nobody gets the message again."""
import errno
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok, skip  # noqa: E402

SETTINGS = "queue.retry-first 1h\nqueue.retry-max 1h\n"
NOW = {0: DONE, 1: RETRY}


class Away:
    """The directory of a message's file, elsewhere for a while."""

    def __init__(self, house, id):
        self.place = house.path(id).parent
        self.elsewhere = self.place.with_name(f"_{self.place.name}")
        self.place.rename(self.elsewhere)

    def back(self):
        self.elsewhere.rename(self.place)


def addresses(house):
    """Who is tried when everybody is."""
    house.ask(CONTROL_QUEUE_RETRY, "")
    return house.agents["remote"].job().addresses


def over(so):
    """All are delivered to; the file cannot be removed since it is away."""
    with House(SETTINGS) as house:
        control = Control(house)
        id = house.write(["a@far.test"])
        job = house.agents["remote"].job()
        away = Away(house, id)
        job.finish(DONE)
        house.program.wait_log(f"id={id} event=remove-failed")
        is_((house.counts()["left"], house.counts()["unwritten"]), (0, 1), "delivered, and its file is away: counted")
        code, said = posthouse(house.directory, "queue", "list")
        ok("Not up to date on disk: 1 message (see posthouse queue check)" in said, "queue list says so", said)
        code, said = posthouse(house.directory, "check")
        ok("in the queue: 1 not up to date on disk" in said, "posthouse check too", said)
        if os.getuid() == 0:
            skip("and queue check", "root would read the queue as an account that this machine need not have")
        else:
            code, said = posthouse(house.directory, "queue", "check")
            ok(code == 100 and "1 message: what has been delivered cannot be written to the file" in said, "and queue check", said)
        away.back()
        ok(house.wait_for(lambda: house.files() == []), "as soon as it is back it is removed", house.program.log())
        is_(sum(house.counts().values()), 0, "and no longer counted")
        id = house.write(["a@far.test"])
        job = house.agents["remote"].job()
        away = Away(house, id)
        job.finish(DONE)
        house.program.wait_log(f"id={id} event=remove-failed")
        away.back()
        house.stop()
        is_(house.files(), [], "an orderly stop removes it")
        id = house.restart() or house.write(["a@far.test"])
        job = house.agents["remote"].job()
        away = Away(house, id)
        job.finish(DONE)
        house.program.wait_log(f"id={id} event=remove-failed")
        house.stop()
        ok(f"id={id} event=unwritten" in house.program.log(), "a stop that cannot either says so", house.program.log())
        away.back()
        control.end()


def going_on(so):
    """Another recipient waits."""
    with House(SETTINGS) as house:
        id = house.write(["a@far.test", "b@far.test"])
        job = house.agents["remote"].job()
        away = Away(house, id)
        job.finish(NOW)
        house.program.wait_log(f"id={id} event=log-failed")
        is_(house.counts()["unwritten"], 1, "a record finds no file: counted")
        away.back()
        house.program.wait_log(f"id={id} event=log-written")
        is_(sum(house.counts().values()), 0, "and written as soon as it is back")
        house.kill()
        house.restart()
        is_(addresses(house), ["b@far.test"], "even after a crash nobody gets it again")


def older(so):
    """An older copy is put over the file: a record behind its end would be none."""
    with House(SETTINGS) as house:
        id = house.write(["a@far.test", "b@far.test", "c@far.test"])
        old = house.path(id).read_bytes()
        house.agents["remote"].job().finish({0: DONE, 1: RETRY, 2: RETRY})
        ok(house.wait_for(lambda: house.path(id).stat().st_size > len(old)), "a record is written")
        house.path(id).write_bytes(old)
        house.ask(CONTROL_QUEUE_RETRY, "")
        house.agents["remote"].job().finish({0: DONE, 1: RETRY})
        house.program.wait_log(f"id={id} event=log-written")
        house.stop()
        house.restart()
        is_(addresses(house), ["c@far.test"], "an older copy put over the file: nobody gets it again")


def removed(so):
    """A delivery of it runs: the file stays until that has ended, and says so itself."""
    with House(SETTINGS) as house:
        house.write(["a@far.test", "b@far.test"])
        house.agents["remote"].job()
        is_(house.ask(CONTROL_QUEUE_REMOVE, "")[:2], (0, "1"), "removed while a delivery runs")
        house.kill()
        house.restart()
        ok(house.wait_for(lambda: house.files() == []), "after a crash it is removed", house.program.log())
        house.write(["c@far.test"])
        is_(house.agents["remote"].job().addresses, ["c@far.test"], "and not sent")


def removed_while_away(so):
    """The same where the file was away when that was to be said in it."""
    with House(SETTINGS) as house:
        id = house.write(["a@far.test", "b@far.test"])
        house.agents["remote"].job()
        away = Away(house, id)
        is_(house.ask(CONTROL_QUEUE_REMOVE, "")[:2], (0, "1"), "removed while a delivery runs, and its file is away")
        house.program.wait_log(f"id={id} event=log-failed")
        away.back()
        house.program.wait_log(f"id={id} event=log-written")
        house.kill()
        house.restart()
        house.write(["c@far.test"])
        is_(house.agents["remote"].job().addresses, ["c@far.test"], "when it is back its removal is written: after a crash it is not sent")
        ok(house.wait_for(lambda: id not in house.files()), "and removed", house.program.log())


def errors(so):
    """Whatever the error: the stop writes it. The writer, the job and the record open the file, one after the other."""
    for error in (errno.EACCES, errno.ENOSPC, errno.EIO, errno.EMFILE):
        with stopper.Failing(so, "openat", error, "/", skip=2, times=1):
            house = House(SETTINGS)
        with house:  # of the next start nothing fails
            id = house.write(["a@far.test", "b@far.test"])
            house.agents["remote"].job().finish(NOW)
            house.program.wait_log(f"id={id} event=log-failed reason=\"{os.strerror(error)}\"")
            house.stop()
            ok(f"id={id} event=log-written" in house.program.log(), f"{errno.errorcode[error]}: what was not written is, by the stop", house.program.log())
            house.restart()
            is_(addresses(house), ["b@far.test"], "nobody gets it again")


def alias(so):
    """The expansion is not written either: its targets are not told apart from others without it."""
    with stopper.Failing(so, "openat", errno.EACCES, "/", skip=1, times=1):
        house = House(SETTINGS)
    with house:  # of the next start nothing fails
        house.book["list@far.test"] = [(REMOTE, "a@far.test", "far.test"), (REMOTE, "b@far.test", "far.test")]
        id = house.write(["list@far.test"])
        job = house.agents["remote"].job()
        house.program.wait_log(f"id={id} event=log-failed")
        is_(job.addresses, ["a@far.test", "b@far.test"], "an alias whose expansion cannot be written is delivered to all the same")
        job.finish(NOW)
        house.program.wait_log(f"id={id} event=log-written")
        house.kill()
        house.restart()
        is_(addresses(house), ["b@far.test"], "and nobody of it gets the message again")


def operator(so):
    """A word of the operator that cannot be written."""
    with House(SETTINGS) as house:
        id = house.write(["a@far.test"])
        house.agents["remote"].job().finish(RETRY)
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["d"]), "a message that waits")
        away = Away(house, id)
        house.ask(CONTROL_QUEUE_HOLD, id)
        house.program.wait_log(f"id={id} event=log-failed")
        away.back()
        house.stop()
        house.restart()
        is_([e["state"] for e in house.list()], ["h"], "is held after a stop, though its file was away")
        away = Away(house, id)
        house.ask(CONTROL_QUEUE_REMOVE, id)
        house.program.wait_log(f"id={id} event=remove-failed")
        away.back()
        house.stop()
        is_(house.files(), [], "and removed by the next one")


def main():
    with House(agents=False) as scratch:
        so = stopper.build(scratch.directory, "failing")
        for test in (over, going_on, older, removed, removed_while_away, errors, alias, operator):
            test(so)
    done()


main()
