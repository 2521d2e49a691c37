#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What queued writes without a sync is written back aside: after a delivery its own process syncs the queue's file system,
says when the disk fails, and is replaced when it dies; queued goes on meanwhile."""
import errno
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

EIO_WORDS = os.strerror(errno.EIO)


def children(house):
    pid = house.program.process.pid
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def failures(house):
    return house.program.log().count(f"warning: event=writeback-failed reason=\"{EIO_WORDS}\"")


def test(so):
    with stopper.Failing(so, "syncfs", errno.EIO, "queue", times=2), House() as house:
        house.agents["remote"].answer = lambda job: DONE
        first = children(house)
        is_(len(first), 1, "queued has one process of its own")
        house.write(["a@far.test"])
        ok(house.wait_for(lambda: house.files() == []), "a message is delivered and its file goes")
        ok(house.wait_for(lambda: failures(house) == 1), "this is synced aside; that the disk fails is in the log", house.program.log())
        house.write(["a@far.test"])
        ok(house.wait_for(lambda: failures(house) == 2), "the next change is synced again", house.program.log())
        os.kill(first[0], signal.SIGKILL)
        ok(house.wait_for(lambda: f"event=worker-died pid={first[0]} " in house.program.log()), "the process dies", house.program.log())
        house.write(["a@far.test"])
        ok(house.wait_for(lambda: house.files() == []), "mail goes on without it")
        ok(house.wait_for(lambda: children(house) not in ([], first)), "and there is another", house.program.log())


def main():
    with House(agents=False) as scratch:
        test(stopper.build(scratch.directory, "failing"))
    done()


main()
