#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Without a descriptor or memory nothing can be said of a destination: what is delivered then is repeated soon, and nobody is
blamed for it."""
import contextlib
import errno
import os
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from fakesmtp import FakeHost  # noqa: E402
from localhouse import DONE, OWN_FAULT, RETRY, Local  # noqa: E402
from queuehouse import House  # noqa: E402
from remotehouse import RemoteHouse  # noqa: E402
from tap import done, is_, ok  # noqa: E402


@contextlib.contextmanager
def failing(house, *what):
    """The house, in whose programs that call fails once."""
    with stopper.Failing(*what, times=1):
        house.__enter__()
    with contextlib.ExitStack() as stack:
        stack.push(house)
        yield house


def mailbox(so):
    for error, outcome in ((errno.EMFILE, OWN_FAULT), (errno.ENFILE, OWN_FAULT), (errno.ENOMEM, OWN_FAULT), (errno.EIO, RETRY), (errno.EACCES, RETRY)):
        with failing(Local(), so, "openat", error, ",S=") as house:  # in the name of the file in tmp
            is_(house.deliver(), (outcome, "4.3.0"), f"{os.strerror(error)}: {'our own' if outcome == OWN_FAULT else 'the mailbox'}")
            is_(house.deliver(), (DONE, "2.0.0"), "the next one is delivered")


def connection(so):
    host = FakeHost()
    for error, outcome in ((errno.EMFILE, OWN_FAULT), (errno.ENOBUFS, OWN_FAULT), (errno.EPERM, RETRY)):
        with failing(RemoteHouse(settings="remote.timeout-idle 1ms\n"), so, "socket", error, "any") as house:
            found = house.send(["a@far.test"], [("127.0.0.1", host.port)])["a@far.test"]
            is_((found[:2], house.trouble), ((outcome, "4.3.0" if outcome == OWN_FAULT else "4.4.1"), outcome == RETRY), f"{os.strerror(error)}: whose fault")
            is_(house.send(["a@far.test"], [("127.0.0.1", host.port)])["a@far.test"][0], DONE, "the next one is sent")


def queue_file(so):
    with House("queue.retry-first 1h\n", agents=False) as house:
        id = house.write(["a@far.test"])
        house.kill()
        house.with_agents = True
        with stopper.Failing(so, "openat", errno.EMFILE, id, skip=1, times=1):  # the start has read it then
            house.start()
        job = house.agents["remote"].job()
        is_(job.id, id, "a queue file that cannot be opened now is opened soon")
        is_(re.findall(rf'id={id} event=(repeat) .* faults=(\d) text="([^"]*)"', house.program.log()),
            [("repeat", "1", "the queue file cannot be opened")], "the log says so")
        job.finish(DONE)
        ok(house.wait_for(lambda: house.files() == []), "and its message delivered")


with tempfile.TemporaryDirectory() as scratch:
    preload = stopper.build(scratch, "failing")
    mailbox(preload)
    connection(preload)
    queue_file(preload)
done()
