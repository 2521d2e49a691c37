#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Edits that would do something else than what is asked for: they are refused in words, and nothing is changed."""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from place import Master, Place  # noqa: E402
from tap import done, is_, ok  # noqa: E402


def older_generation():
    """The state directory was restored while the server runs: an edit of the old generation would take addresses away."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n") as p:
        is_((p.run("build"), p.run("build"), p.run("build")), (0, 0, 0), "three generations")
        state = p.directory / "state/generations"
        before = p.read("users.map")
        with Master(p, ["generation   3"]):
            is_(p.run("user", "set", "bert@example.test", "state=locked", "--only-mine"), 0, "the current one runs")
            is_(p.current(), "0004", "it is edited")
            (p.conf / "users.map").write_text(before)
        (state / "current").unlink()
        (state / "current").symlink_to("0002")
        for gone in (False, True):
            if gone:
                shutil.rmtree(state / "0003")
            remedy = "which is not there any more; run posthouse build --reload to use what the texts say" if gone else \
                "run posthouse rollback 3 to make that one current"
            with Master(p, ["generation   3"]):
                is_(p.run("user", "set", "anna@example.test", "state=locked", "--only-mine"), 111, "a newer one runs: refused")
                ok("posthouse: nothing was changed: generation 2 is current, the running server uses the newer 3" in p.err and remedy in p.err,
                   "with what can be done", p.err)
                is_((p.read("users.map"), p.current()), (before, "0002"), "and nothing is changed")
                p.run("check")
                ok("error: generation 2 is current, the running server uses the newer 3" in p.err and remedy in p.err, "check says the same", p.err)
        is_(p.run("user", "set", "anna@example.test", "state=locked", "--only-mine"), 0, "without a running server it is done")


for part in (older_generation,):
    part()
done()
