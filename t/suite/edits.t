#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Edits that would do something else than what is asked for: they are refused in words, and nothing is changed."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
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


def changed_domain():
    """mail.domain was changed and not built: what has no domain is one address in the texts, and another in the generation."""
    with Place(domains="example.test mailboxes\nexample.net mailboxes\n", users="anna\nbert@example.test\n",
               aliases="info@example.test anna\n") as p:
        is_(p.run("build"), 0, "all is built")
        p.write("posthouse.conf", p.read("posthouse.conf").replace("mail.domain example.test", "mail.domain example.net"))
        texts = {name: p.read(f"{name}.map") for name in ("users", "aliases", "passwords")}
        words = 'is {0}@example.net by mail.domain of posthouse.conf, but {0}@example.test by that of the current generation; ' \
            'write the whole address, or run posthouse build first'
        for name, edit in (("carl", ("user", "add", "carl")), ("anna", ("user", "set", "anna", "state=locked")), ("anna", ("user", "del", "anna")),
                           ("anna", ("user", "set", "anna@example.test", "state=locked")), ("help", ("alias", "add", "help", "bert@example.test"))):
            is_(p.run(*edit, "--only-mine", stdin="secret\n"), 100, " ".join(edit))
            ok(f'"{name}" ' + words.format(name) in p.err, "is refused, and why", p.err)
        is_(p.run("alias", "add", "all@example.test", "bert@example.test", "anna", "--only-mine"), 100, "a target without a domain")
        ok("aliases.map:2: error: an address without a domain is in example.net by mail.domain of posthouse.conf, but in example.test by that of the "
           "current generation; write the whole address" in p.err, "too", p.err)
        for words in ("printf 'anna state=locked\\nbert@example.test\\n' >", "printf 'bert@example.test\\n' >"):
            is_(p.run("map", "edit", "users", "--only-mine", env={"EDITOR": words}), 100, "one of an edited map")
            ok('users.map:1: error: "anna" is anna@example.net by mail.domain of posthouse.conf' in p.err, "too", p.err)
            pathlib.Path(p.err.split()[-1]).unlink()
        is_({name: p.read(f"{name}.map") for name in texts}, texts, "nothing is changed")
        is_(p.current(), "0001", "nor published")
        is_(p.run("user", "set", "bert@example.test", "state=locked", "--only-mine"), 0, "a whole address is edited")
        is_(p.run("alias", "add", "all@example.test", "bert@example.test", "--only-mine"), 0, "whole addresses too")
        is_(p.run("build"), 0, "when it is built")
        is_(p.run("user", "set", "anna", "state=locked", "--only-mine"), 0, "the short one means what it says")
        p.run("map", "dump", "users")
        ok("anna@example.net uid=5000 gid=5000 home=DIR/mail/example.net/anna state=locked\n" in p.out, "in the new domain", p.out)


def links():
    """A text that is a symbolic link, as into a repository: what it leads to is edited, and it stays a link."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        is_(p.run("build"), 0, "all is built")
        kept = p.directory / "kept"
        kept.mkdir()
        (kept / "second").symlink_to("users.text")
        (p.conf / "users.map").rename(kept / "users.text")
        (kept / "users.text").chmod(0o640)
        (p.conf / "users.map").symlink_to("../kept/second")
        for more in ([], ["--only-mine"]):
            is_(p.run("user", "set", "anna@example.test", f"quota={len(more) + 1}G", *more), 0, " ".join(["an edit", *more]))
            is_((kept / "users.text").read_text(), f"anna@example.test quota={len(more) + 1}G\n", "is in the file that the link leads to")
            ok((p.conf / "users.map").is_symlink() and (kept / "second").is_symlink(), "the links stay")
            is_((kept / "users.text").stat().st_mode & 0o777, 0o640, "and its mode")
        is_(sorted(f.name for f in kept.iterdir()), ["second", "users.text"], "nothing is left beside it")
        (kept / "users.text").unlink()
        is_(p.run("map", "edit", "users", env={"EDITOR": "echo bert@example.test >"}), 111, "a link to nothing")
        ok("posthouse: follow the symbolic link DIR/conf/users.map: No such file or directory\nposthouse: nothing was changed\n" in p.err, "is refused", p.err)
        ok((p.conf / "users.map").is_symlink(), "and not replaced")
        pathlib.Path(p.err.split()[-1]).unlink()


def moved_state():
    """directory.state is changed while the house runs, which takes its generations from the one before: nothing is in force that is made there."""
    with House("--users", "2") as house:
        conf, state, other = pathlib.Path(house.env["CONF"]) / "posthouse.conf", house.directory / "state", house.directory / "state2"
        before, users = conf.read_text(), (conf.parent / "users.map").read_text()
        shutil.copytree(state, other, symlinks=True)
        conf.write_text(before.replace(f"directory.state {state}\n", f"directory.state {other}\n"))
        why = f"directory.state is {other} in posthouse.conf, and the running server takes its generations from {state}: stop it first, and move what is there"
        current = os.readlink(other / "generations/current")
        for words, code in ((("build",), 111), (("build", "--reload"), 111), (("user", "set", "u0002", "state=locked"), 111),
                            (("user", "set", "u0002", "state=locked", "--only-mine"), 111), (("reload",), 100), (("rollback",), 100)):
            answer = house.posthouse(*words)
            ok(answer.returncode == code and f"posthouse: {why}\n" in answer.stderr, " ".join(words) + " is refused", f"{answer.returncode} {answer.stderr}")
        is_((os.readlink(other / "generations/current"), (conf.parent / "users.map").read_text()), (current, users), "and nothing is changed")
        check = house.posthouse("check")
        is_((check.returncode, check.stderr.count(f"error: {why}\n")), (100, 1), "check says so")
        other.rename(house.directory / "aside")
        other.symlink_to("state")
        is_(house.posthouse("user", "set", "u0002", "state=locked").returncode, 0, "another name of the same directory is none")
        is_(house.posthouse("check").returncode, 0, "to check either")
        other.unlink()
        conf.write_text(before)
    with Place() as p:
        p.write("posthouse.conf", "directory.runx /nowhere\n")
        ok(p.run("user", "add", "anna@example.test", "--no-password", "--only-mine") != 0 and "does not say which server it is of" in p.err,
           "nor is the state of the system's house edited", p.err)


for part in (older_generation, changed_domain, links, moved_state):
    part()
done()
