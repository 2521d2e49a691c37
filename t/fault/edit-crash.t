#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An edit that is killed at any of its calls leaves the generation of before or of after, and texts that the next edit works with."""
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from place import Place  # noqa: E402
from tap import done, is_, ok  # noqa: E402

CALLS = ("openat", "fsync", "renameat", "linkat", "unlinkat")
HASH = "$2y$10$" + "a" * 53


def settle(p):
    for path in p.conf.iterdir():
        old = time.time_ns() - 60 * 10**9
        os.utime(path, ns=(old, old))


def dumps(p):
    result = []
    for name in ("users", "passwords", "aliases"):
        p.run("map", "dump", name)
        result.append(p.out)
    return result


def faults(p):
    p.run("check")
    return [line for line in p.err.splitlines() if "of the current generation" in line]


def killed(preload, words, stdin):
    """At each call in turn, until one runs to its end."""
    wrong, stops, ended = [], 0, set()
    with Place(domains="example.test mailboxes\n", users="".join(f"u{i}@example.test\n" for i in range(200)),
               passwords="".join(f"u{i}@example.test {HASH}\n" for i in range(200)), aliases="a@example.test u1@example.test\n") as p:
        settle(p)
        is_(p.run("build"), 0, "all is built")
        texts = {path.name: path.read_bytes() for path in p.conf.iterdir()}
        before, first = dumps(p), p.current()
        is_(p.run(*words, stdin=stdin), 0, f"{' '.join(words)}: whole")
        after = dumps(p)
        for call in CALLS:
            for when in ("before", "after"):
                at = 0
                code = 1
                while code:
                    at += 1 + at // 5
                    for name, text in texts.items():
                        (p.conf / name).write_bytes(text)
                    settle(p)
                    p.run("rollback", str(int(first)))
                    p.run("build")
                    with stopper.Stopping(preload, f"{call}:{at}:{when}", armed=True):
                        code = p.run(*words, stdin=stdin)
                    stops += code != 0
                    found, bad = dumps(p), faults(p)
                    ended.add(found == after)
                    again = p.run("user", "set", "u7@example.test", "quota=1G"), p.run("build"), faults(p)
                    if found not in (before, after) or bad or again != (0, 0, []):
                        wrong.append((call, when, at, code, found in (before, after), bad, again, p.err))
    is_(wrong, [], f"killed at {stops} places: before or after, and never between")
    ok(stops > 10 and ended == {False, True}, "both are seen", (stops, ended))


with tempfile.TemporaryDirectory(prefix="posthouse-t.") as directory:
    library = stopper.build(directory)
    killed(library, ("user", "add", "-"), f"new1@example.test password={HASH}\nnew2@example.test\n")
    killed(library, ("alias", "set", "a@example.test", "u2@example.test"), "")
done()
