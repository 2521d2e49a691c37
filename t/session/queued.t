#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued, with everybody around it played by the test."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402


def local_and_remote():
    with House() as house:
        id = house.write(["a@example.test", "b@remote.test"])
        is_(len(id), 13, "an id of 13 characters")
        job = house.local().job()
        is_(job.addresses, ["a@example.test"], "local gets the recipient that is here")
        is_((job.id, job.sender, job.bytes()), (id, "sender@example.test", MESSAGE), "with the message")
        is_(job.recipients[0]["home"], "/mail/x", "and its home")
        far = house.agents["remote"].job()
        is_((far.addresses, far.destination, far.mx), (["b@remote.test"], "remote.test", 1), "remote gets the other")
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


local_and_remote()
done()
