#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Many entries from standard input are one edit: all of them, or none and every wrong line by its number."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from place import Place  # noqa: E402
from tap import done, is_, ok  # noqa: E402

TEXTS = {"domains": "example.test mailboxes\n", "users": "anna@example.test\nbert@example.test quota=1M", "aliases": "# lists\ninfo@example.test anna\n"}
HASH = "$2y$10$" + "a" * 53


def texts(p):
    return {name: p.read(f"{name}.map") for name in ("domains", "users", "passwords", "aliases")}, p.current()


def dump(p, name):
    p.run("map", "dump", name)
    return p.out


def lines(p, *words, stdin):
    return p.run(*words, "-", stdin=stdin)


def all_of_them():
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        is_(lines(p, "user", "add", stdin=f"# new\ncarl@example.test quota=2M password={HASH}\n\n\"odd one\"@example.test\n  quota=3M\n  home=odd\ndora\n"),
            0, "users are added")
        is_((p.err, p.current()), ("", "0002"), "in one generation")
        is_(p.read("users.map"), "anna@example.test\nbert@example.test quota=1M\ncarl@example.test quota=2M\n\"odd one\"@example.test quota=3M home=odd\n"
            "dora\n", "behind the others")
        is_(p.read("passwords.map"), f"carl@example.test {HASH}\n", "with the password of the one who has one")
        is_({path.name for path in (p.directory / "mail/example.test").iterdir()}, {"carl", "dora"}, "and homes")
        ok("home=DIR/mail/odd" in dump(p, "users"), "the continued line is whole", p.out)
        is_(lines(p, "user", "set", stdin=f"bert@example.test quota= state=locked\ncarl@example.test password={HASH[:-1]}b\ndora@example.test\n"), 0, "they are changed")
        is_(p.read("users.map").splitlines()[1:3], ["bert@example.test state=locked", "carl@example.test quota=2M"], "in their places")
        is_(p.read("passwords.map"), f"carl@example.test {HASH[:-1]}b\n", "the password too")
        is_(lines(p, "user", "del", stdin="carl@example.test\ndora@example.test\n"), 0, "they are removed")
        is_(p.out, "the mail of 2 users stays in the homes\n", "what stays is said")
        is_((p.read("users.map"), p.read("passwords.map")),
            ("anna@example.test\nbert@example.test state=locked\n\"odd one\"@example.test quota=3M home=odd\n", ""), "with their passwords")
        is_(lines(p, "alias", "add", stdin="all@example.test anna,bert\n@example.test anna@example.test,\n   other@elsewhere.test\ngone@example.test :fail: moved  away\n"),
            0, "aliases are added")
        is_(p.read("aliases.map"), "# lists\ninfo@example.test anna\nall@example.test anna,bert\n@example.test anna@example.test, other@elsewhere.test\n"
            "gone@example.test :fail: moved  away\n", "as the lines have them")
        is_(lines(p, "alias", "set", stdin="INFO@example.test bert\nmore@example.test anna\n"), 0, "and set")
        is_(p.read("aliases.map").splitlines()[1], "info@example.test bert", "in their places, with their names")
        is_(lines(p, "alias", "del", stdin="all@example.test\n@example.test\ngone@example.test\n"), 0, "and removed")
        is_(p.read("aliases.map"), "# lists\ninfo@example.test bert\nmore@example.test anna\n", "comments stay")
        is_(lines(p, "domain", "add", stdin="one.test\ntwo.test alias-of example.test\n"), 0, "domains are added")
        is_(lines(p, "domain", "set", stdin="one.test alias-of example.test\n"), 0, "set")
        is_(p.run("domain", "set", "two.test", "alias-of", "example.test"), 0, "one too")
        is_(p.read("domains.map"), "example.test mailboxes\none.test alias-of example.test\ntwo.test alias-of example.test\n", "as they shall be")
        is_(lines(p, "domain", "del", stdin="one.test\ntwo.test\n"), 0, "and removed")
        before = texts(p)
        is_(lines(p, "user", "add", stdin="# nobody\n\n"), 0, "no lines")
        is_(texts(p), before, "change nothing")


def or_none():
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        before = texts(p)
        for words, stdin, wrong in (
                (("user", "add"), f"carl@example.test\nanna@example.test\n.x@example.test\ncarl@example.test\nd@example.test password=plain\n e\n",
                 {2: "user anna@example.test already exists", 3: "many mail servers refuse such an address", 4: "user carl@example.test already exists",
                  5: "unknown form of password hash"}),
                (("user", "add"), "# a comment\ncarl@gone.test\ndora@example.test\nemil@example.test quota=much\n",
                 {2: "gone.test is not in domains.map", 4: "quota: \"much\" is not a size"}),
                (("user", "set"), "anna@example.test quota=1G\ncarl@example.test quota=1G\n", {2: "there is no user carl@example.test in users.map"}),
                (("user", "set"), "bert@example.test quota=1G\nanna@example.test state=asleep\n", {2: "state"}),
                (("user", "del"), "bert@example.test\ncarl@example.test\nanna@example.test really\n",
                 {2: "there is no user carl@example.test", 3: "a line names who is removed, and nothing else"}),
                (("alias", "add"), "all@example.test anna\ninfo@example.test bert\nx@example.test\n",
                 {2: "\"info@example.test\" is in aliases.map already: anna", 3: "its value is missing"}),
                (("alias", "add"), "all@example.test anna\nx@gone.test anna\n", {2: "gone.test is not in domains.map"}),
                (("alias", "del"), "info@example.test\nnone@example.test\n", {2: "\"none@example.test\" is not in aliases.map"}),
                (("domain", "add"), "one.test\nexample.test relay\ntwo.test\\\n", {2: "is in domains.map already", 3: "is not a domain"}),
                (("domain", "del"), "example.test\n", {})):
            for more in ([], ["--only-mine"]):
                is_(lines(p, *words, *more, stdin=stdin), 100, f"{' '.join(words + tuple(more))}: {stdin!r}")
                for number, said in wrong.items():
                    ok(any(line.startswith(f"standard input:{number}: error: ") and said in line for line in p.err.splitlines()), f"line {number}: {said}", p.err)
                is_(len([line for line in p.err.splitlines() if line.startswith("standard input:")]), len(wrong), "and no other")
                ok(p.err.endswith("posthouse: nothing was changed\n"), "nothing was changed", p.err)
                is_(texts(p), before, "nothing is")
        is_(lines(p, "alias", "add", stdin="#" * (1 << 26) + "\n"), 100, "a byte more than 64 MB")
        is_(p.err, "posthouse: standard input has more than 67108864 bytes; give it in parts\n", "is too much")
        is_(p.run("alias", "add", "x@example.test"), 100, "one without a target")
        is_(p.err, "usage: posthouse alias add ADDRESS TARGET...\n", "is none")


def only_mine():
    """What others wrote and did not build stays out, though many entries are edited."""
    with Place(**TEXTS) as p:
        is_(p.run("build"), 0, "all is built")
        p.write("users.map", p.read("users.map") + "\nwaiting@example.test\nbroken@gone.test\n")
        is_(lines(p, "user", "add", "--only-mine", stdin="carl@example.test\ndora@example.test\n"), 0, "users are added")
        is_([line.split()[0] for line in dump(p, "users").splitlines()],
            ["anna@example.test", "bert@example.test", "carl@example.test", "dora@example.test"], "and nobody else")
        is_(lines(p, "user", "set", "--only-mine", stdin="anna@example.test\nbert@example.test quota=1M\ncarl@example.test state=locked\n"), 0, "and changed")
        ok(dump(p, "users").count("state=locked") == 1 and "waiting" not in p.out, "alone", p.out)


all_of_them()
or_none()
only_mine()
done()
