#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A text that was changed just before it was read is not what a generation was built from, however long the build took to publish it."""
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from place import Master, Place  # noqa: E402
from tap import done, is_  # noqa: E402

HOUR_SECONDS = 3600


class Slow(Master):
    """Answers an hour later, once the texts have been read."""

    clock = None

    def end(self, line, code=0, text=""):
        if self.clock:
            self.clock.leap(HOUR_SECONDS)
            self.clock = None
        Master.end(line, code, text)


def by_entries(p, *words):
    path = p.directory / "state/generations/current/settings.cdb"
    before = path.stat().st_ino
    return p.run(*words), path.stat().st_ino == before


def main(library, page):
    for what, settled in (("a minute before", True), ("at the moment when", False)):
        with Place(domains="example.test mailboxes\n", users="u1@example.test\n") as p:
            for path in p.conf.iterdir():
                old = time.time_ns() - 60 * 10**9
                os.utime(path, ns=(old, old))
            if not settled:  # a time to come: a slow machine does not settle it
                late = time.time_ns() + 600 * 10**9
                os.utime(p.conf / "users.map", ns=(late, late))
            with Slow(p, ["generation   0"]) as master, stopper.Clock(library, page) as clock:
                master.clock = clock
                is_(p.run("build"), 0, f"a build takes an hour, of a text that was changed {what} it was read")
                is_(master.clock, None, "and asked what runs meanwhile")
            is_(by_entries(p, "alias", "add", "x@example.test", "u1@example.test"), (0, settled),
                "an edit goes by what was known then")


with tempfile.TemporaryDirectory(prefix="posthouse-t.") as directory:
    main(stopper.build(directory, "clock"), pathlib.Path(directory) / "page")
done()
