#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A map that did not change is the same file in the next generation; the manifest says which files belong together."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from maps import NAMES  # noqa: E402
from place import Place  # noqa: E402
from tap import done, is_, ok  # noqa: E402

TEXTS = {"domains": "example.test mailboxes\n", "users": "anna@example.test\nbert@example.test\n",
         "aliases": "info@example.test anna@example.test\n", "access": "192.0.2.0/24 allow\n"}


def inodes(p):
    current = p.directory / "state/generations/current"
    return {name: (current / f"{name}.cdb").stat().st_ino for name in NAMES}


def changed(p, *words, stdin=""):
    before = inodes(p)
    is_(p.run(*words, stdin=stdin), 0, " ".join(words))
    after = inodes(p)
    return {name for name in NAMES if before[name] != after[name]}


def faults(p):
    p.run("check")
    return [line for line in p.err.splitlines() if "of the current generation" in line]


def edits():
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        is_(changed(p, "build"), set(), "a build of the same texts links every map")
        for more in ([], ["--only-mine"]):
            is_(changed(p, "alias", "set", "info@example.test", "bert@example.test" if more else "anna", *more),
                {"aliases"} if more else set(), "an alias, or the same one in other words")
            is_(changed(p, "user", "passwd", "anna@example.test", "--password-stdin", *more, stdin="secret-words\n"), {"passwords"}, "a password")
            is_(changed(p, "user", "set", "anna@example.test", f"quota={2 + len(more)}M", *more), {"users", "passwords"},
                "a user, whom passwords.cdb repeats")
            is_(faults(p), [], "the generation is whole")
        p.run("map", "dump", "aliases")
        is_(p.out, "info@example.test bert@example.test\n", "and says what the texts say")
        is_((p.run("rollback"), p.run("rollback", "1")), (0, 0), "earlier ones can be used still")
        is_(faults(p), [], "and are whole")
        p.run("map", "dump", "users")
        ok("quota" not in p.out, "with what they had", p.out)


def not_linked():
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        current = p.directory / "state/generations/current"
        path = current / "users.cdb"
        whole = path.read_bytes()
        path.write_bytes(whole[:2060] + b"\xff" + whole[2061:])
        is_(changed(p, "build"), {"users"}, "a damaged map is made anew")
        is_(path.read_bytes()[:-32], whole[:-32], "as it was")
        os.chmod(current / "passwords.cdb", 0o644)
        os.chmod(current / "aliases.cdb", 0o666)
        is_(changed(p, "build"), {"passwords", "aliases"}, "a secret that others may read and a map that they may write are not taken over")
        is_([oct((current / f"{name}.cdb").stat().st_mode) for name in ("passwords", "aliases")], ["0o100600", "0o100644"], "but made as they should be")


def together():
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        current = p.directory / "state/generations/current"
        old = (current / "aliases.cdb").read_bytes()
        is_(p.run("alias", "add", "all@example.test", "anna@example.test"), 0, "an alias more")
        kept = (current / "aliases.cdb").read_bytes()
        (current / "aliases.cdb").write_bytes(old)
        is_(faults(p), ["error: aliases.cdb of the current generation is of another generation than the other files; run posthouse build"],
            "the map of the generation before is none of this one")
        (current / "aliases.cdb").write_bytes(kept)
        is_(faults(p), [], "its own is")
        manifest = (current / "manifest.cdb").read_bytes()
        (current / "manifest.cdb").write_bytes(manifest[:2060] + b"\xff" + manifest[2061:])
        is_([line for line in faults(p) if "manifest.cdb of the current generation is damaged" not in line], [], "a damaged manifest is named, and nothing else")
        ok(len(faults(p)) == 1, "once")
        (current / "manifest.cdb").unlink()
        is_(faults(p), ["error: manifest.cdb of the current generation is missing or unreadable: No such file or directory; run posthouse build"],
            "without one nobody knows that they belong together")
        is_(p.run("build"), 0, "a build")
        is_(faults(p), [], "mends that")
        # As it is restored from a backup that keeps no links.
        state = p.directory / "state"
        shutil.copytree(state, p.directory / "copy", symlinks=True)
        shutil.rmtree(state)
        (p.directory / "copy").rename(state)
        is_(faults(p), [], "copies are as good as links")
        is_(changed(p, "build"), set(), "and linked by the next build")


edits()
not_linked()
together()
done()
