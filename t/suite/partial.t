#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An edit compiles the edited entries alone where that is all there is to do, and makes what a build would make."""
import fcntl
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from compiled import entries, overlay  # noqa: E402
from maps import NAMES  # noqa: E402
from place import PROGRAM, Master, Place  # noqa: E402
from tap import done, is_, note, ok, skip  # noqa: E402
from waiting import comes  # noqa: E402

HASH = "$2y$10$" + "a" * 53
USERS = 300
TEXTS = {
    "domains": "example.test mailboxes\nold.test alias-of example.test\nother.test mailboxes\nrelayed.test relay\n",
    "users": "# Users\n\n" + "".join(f"u{i}@example.test{' quota=1G' * (i % 3)}{'   ' * (i % 2)}\n{'# between' if i % 7 == 0 else ''}\n" if i % 5 else
                                   f"U{i}@Example.Test\n    quota=2G\n# in it\n    state=locked\n" for i in range(USERS)).replace("quota=1G quota=1G", "quota=1G"),
    "passwords": "".join(f"u{i} {HASH}\n" for i in range(0, USERS, 2)),
    "aliases": "".join(f"a{i}@example.test u{i}@example.test, u{i + 1}@old.test\n" for i in range(100)) + "all@example.test a1@example.test\n"
               "u11@example.test u11@example.test, u1@example.test\n",
    "routes": "relayed.test smtp mx\n", "access": "192.0.2.0/24 allow\n"}


def settle(p):
    """Texts that were not written a moment ago."""
    for path in p.conf.iterdir():
        old = time.time_ns() - 60 * 10**9
        os.utime(path, ns=(old, old))


def built(**more):
    p = Place(**{**TEXTS, **more})
    p.write("posthouse.conf", p.read("posthouse.conf") + "postmaster u1@example.test\n")
    settle(p)
    return p


def current(p):
    return p.directory / "state/generations/current"


def inode(p, name):
    return (current(p) / name).stat().st_ino


def edited(p, *words, stdin=""):
    """Its code, and whether it was done by entries: then nothing else was written anew."""
    before = inode(p, "settings.cdb")
    code = p.run(*words, stdin=stdin)
    return code, inode(p, "settings.cdb") == before


def same_as_build(p):
    """A build of the texts makes the same of each map, entries and their order, and leaves no overlay."""
    before = {name: entries(current(p), name) for name in NAMES}
    err, code = p.err, p.run("build")
    new = [line for line in p.err.splitlines() if line not in err]
    return code == 0 and not [name for name in NAMES if before[name] != entries(current(p), name) or overlay(current(p), name)], new


def one_by_one():
    """Each kind of edit: is it made by entries (True), and is it what a build makes?"""
    for partial, words, stdin in (
            (True, ("user", "add", "new@example.test", "quota=5G"), "secret-words\n"), (True, ("user", "add", "new", "--no-password"), ""),
            (True, ("user", "passwd", "U7@example.test"), "other-words\n"), (True, ("user", "passwd", "u8@example.test"), "other-words\n"),
            (True, ("user", "set", "u290@example.test", "quota=9G"), ""), (True, ("user", "set", "u299", "state=locked"), ""),
            (True, ("user", "del", "u250@example.test"), ""), (True, ("user", "set", "u0@example.test", "state="), ""),
            (True, ("alias", "add", "x@example.test", "u5@example.test", "u6@old.test", "far@elsewhere.test"), ""),
            (True, ("alias", "add", "y@example.test", "a5@example.test"), ""), (True, ("alias", "set", "a7@example.test", "u9@example.test"), ""),
            (True, ("alias", "del", "a99@example.test"), ""), (True, ("map", "set", "passwords", "u1@example.test", HASH), ""),
            # What others depend on, or is to be warned of or refused, has the whole looked at.
            (False, ("user", "del", "u5@example.test"), ""), (False, ("alias", "set", "a1@example.test", "u3@example.test"), ""),
            (False, ("alias", "add", "@example.test", "u3@example.test"), ""), (False, ("alias", "add", "z@example.test", "nobody@example.test"), ""),
            (False, ("alias", "add", "u3@example.test", "u4@example.test"), ""), (False, ("user", "add", "all@example.test", "--no-password"), ""),
            (False, ("user", "add", "shared", "--no-password", "home=example.test/u2"), ""),
            (True, ("user", "add", "inside", "--no-password", "home=example.test/u2/Mail"), ""),
            (False, ("domain", "add", "more.test"), ""), (False, ("map", "set", "access", "192.0.2.1", "allow"), "")):
        with built() as p:
            is_(p.run("build"), 0, "all is built")
            code, by_entries = edited(p, *words, stdin=stdin)
            is_((code, by_entries), (0, partial), f"{' '.join(words)} is made {'by its entries' if partial else 'with everything looked at'}")
            is_(same_as_build(p), (True, []), "and makes what a build makes")


def not_alone():
    """Something else was changed, and is published with it: everything is looked at."""
    for what, change in (
            ("a text", lambda p: p.write("users.map", p.read("users.map") + "late@example.test\n")),
            ("posthouse.conf", lambda p: p.write("posthouse.conf", p.read("posthouse.conf") + "generations.keep 5\n")),
            ("an included file", lambda p: p.write("list", "u2@example.test\n")),
            ("a map of the generation", lambda p: damage(p, "users.cdb")), ("the manifest", lambda p: damage(p, "manifest.cdb")),
            ("the generation", lambda p: p.run("rollback"))):
        with built(aliases=TEXTS["aliases"] + "listed@example.test include:list\n") as p:
            p.write("list", "u1@example.test\n")
            settle(p)
            is_((p.run("build"), p.run("build")), (0, 0), "all is built")
            is_(edited(p, "alias", "add", "x@example.test", "u5@example.test"), (0, True), "an edit alone")
            change(p)
            code, by_entries = edited(p, "alias", "add", "y@example.test", "u5@example.test")
            is_((code, by_entries), (0, False), f"{what} was changed: not alone")
            is_(same_as_build(p), (True, []), "and it is what a build makes")


def included_since():
    """An edit that includes a file: what changes in it later is published by the next edit."""
    with built() as p:
        p.write("list", "u1@example.test\n")
        settle(p)
        is_(p.run("build"), 0, "all is built")
        is_(edited(p, "alias", "add", "listed@example.test", "include:list"), (0, False), "an alias that includes a file is added")
        is_(edited(p, "alias", "add", "x@example.test", "u5@example.test"), (0, True), "an edit alone")
        p.write("list", "u2@example.test\n")
        is_(edited(p, "alias", "add", "y@example.test", "u5@example.test"), (0, False), "the file was changed: not alone")
        is_(same_as_build(p), (True, []), "and it is what a build makes")


def renamed_host():
    """mail.domain is the host's name when nothing else is said: another name is another configuration."""
    unshare = ["unshare", "-u", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh"]
    if subprocess.run([*unshare, "old.test", "true"], capture_output=True).returncode:
        skip("the host's name", "unshare -u is not allowed")
        return
    with built(domains=TEXTS["domains"].replace("old.test alias-of example.test", "old.test mailboxes\nnew.test mailboxes"),
               aliases="info u1@example.test\n") as p:
        p.write("posthouse.conf", re.sub(r"(host.name|mail.domain) .*\n", "", p.read("posthouse.conf")))
        p.write("passwords.map", "")
        settle(p)

        def named(name, *words):
            return subprocess.run([*unshare, name, str(PROGRAM), "-c", str(p.conf), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        is_(named("old.test", "build").returncode, 0, "all is built")
        got = named("new.test", "alias", "add", "info", "u1@example.test")
        is_((got.returncode, "is in aliases.map already" in got.stderr), (100, True), f"the entry without a domain is seen: {got.stderr}")
        is_(p.read("aliases.map"), "info u1@example.test\n", "and nothing is changed")


def lost_key():
    """A private key that the generation has lost is taken from the configuration by the next edit."""
    if not shutil.which("openssl"):
        skip("a lost key", "no openssl command")
        return
    with built() as p:
        for name in ("certs", "keys"):
            (p.conf / name).mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=mail.example.test",
                        "-keyout", str(p.conf / "keys/mail.pem"), "-out", str(p.conf / "certs/mail.pem")], check=True, capture_output=True)
        (p.conf / "keys/mail.pem").chmod(0o600)
        (p.conf / "keys").chmod(0o700)
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""\n', "tls.certificates certs\n"))
        settle(p)
        is_(p.run("build"), 0, "all is built")
        is_(edited(p, "alias", "add", "x@example.test", "u5@example.test"), (0, True), "an edit alone")
        for change in (lambda path: path.unlink(), lambda path: path.write_text("garbage\n")):
            key = p.directory / "state/generations/current/keys/mail.pem"
            change(key)
            is_(edited(p, "alias", "set", "x@example.test", "u6@example.test"), (0, False), "a key of the generation is lost: not alone")
            key = p.directory / "state/generations/current/keys/mail.pem"
            is_(key.read_bytes() == (p.conf / "keys/mail.pem").read_bytes(), True, "and it is there again")
        is_(edited(p, "alias", "set", "x@example.test", "u7@example.test"), (0, True), "then an edit is alone again")


def is_read(pipe):
    """Has everything that was written to a pipe been read?"""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))) == (0,)


def waiting_edit(p, change, *words):
    """A user is added, and something is changed while the password is waited for."""
    process = subprocess.Popen([str(PROGRAM), "-c", str(p.conf), "user", "add", "late@example.test", "--password-stdin", *words],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.stdin.write("half of")
    process.stdin.flush()
    ok(comes(lambda: is_read(process.stdin), 60), "an edit waits for its password")
    if change:
        change(p)
    said = process.communicate(" it\n")[1]
    return process.returncode, said


def meanwhile():
    """Something was changed while an edit waited for its password: what compiles it is what is published."""
    for what, change in (
            ("nothing", None), ("mail.root", lambda p: p.write("posthouse.conf", p.read("posthouse.conf").replace("/mail\n", "/mail/other\n"))),
            ("a rollback", lambda p: p.run("rollback"))):
        with built() as p:
            is_((p.run("build"), p.run("map", "set", "access", "192.0.2.1", "allow")), (0, 0), "all is built")
            before = inode(p, "settings.cdb")
            code, said = waiting_edit(p, change)
            is_((code, inode(p, "settings.cdb") == before), (0, change is None), f"{what} was changed meanwhile")
            ok(change is None or "this also published" in said, "which is said", said)
            is_(same_as_build(p), (True, []), "and it is what a build makes")
    with built() as p:
        is_((p.run("build"), p.run("map", "set", "access", "192.0.2.1", "allow")), (0, 0), "all is built")
        texts = p.read("users.map"), p.read("passwords.map")
        code, said = waiting_edit(p, lambda p: p.run("rollback"), "--only-mine")
        ok(code == 111 and said.endswith("posthouse: nothing was changed\n"), "a rollback while an edit with --only-mine waits: refused", (code, said))
        is_((p.read("users.map"), p.read("passwords.map"), p.current()), (*texts, "0001"), "and nothing is changed")


def changed_meanwhile():
    """Another's change to the text of an edit that waits is not overwritten."""
    for words in ((), ("--only-mine",)):
        with built() as p:
            is_(p.run("build"), 0, "all is built")
            theirs = p.read("users.map") + "theirs@example.test\n"
            code, said = waiting_edit(p, lambda p: p.write("users.map", theirs), *words)
            is_((code, said), (111, "posthouse: users.map was changed by someone else in the meantime; try again\nposthouse: nothing was changed\n"),
                "a text was changed while an edit waited: refused")
            is_((p.read("users.map") == theirs, p.read("passwords.map") == TEXTS["passwords"], p.current()), (True, True, "0001"), "and nothing is changed")


def without_log():
    """What no build would take no edit takes: the directory of log.to is gone."""
    with built() as p:
        log = p.directory / "log"
        log.mkdir()
        p.write("posthouse.conf", p.read("posthouse.conf") + f"log.to {log}/mail\n")
        settle(p)
        is_(p.run("build"), 0, "all is built")
        log.rmdir()
        is_(p.run("alias", "add", "x@example.test", "u5@example.test"), 100, "log.to's directory is gone: refused")
        ok("log.to" in p.err, "in words", p.err)


class Meanwhile(Master):
    """Does something at the first question after a text was written."""

    def __init__(self, place, name, change):
        super().__init__(place, ["generation   1"])
        self.text, self.change, self.before = lambda: place.read(name), change, place.read(name)

    def end(self, line, code=0, text=""):
        if self.change and self.text() != self.before:
            self.change()
            self.change = None
        Master.end(line, code, text)


def another_writes():
    """A text of an edit is replaced by another's before the generation is complete: it is not what that was built from."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")

        def replace():
            path = p.conf / "passwords.map"
            new = path.with_suffix(".new")
            new.write_text(path.read_text().replace(f"u6 {HASH}", f"u6 {HASH[:-1]}b"))
            new.chmod(0o600)
            is_(new.stat().st_size, path.stat().st_size, "a text of the same size")
            new.replace(path)
        with Meanwhile(p, "passwords.map", replace) as master:
            is_(edited(p, "user", "passwd", "u8", stdin="other-words\n"), (0, True), "an edit")
            is_(master.change, None, "while which another writes")
        is_(edited(p, "user", "passwd", "u4", stdin="other-words\n"), (0, False), "the next one looks at everything")
        is_(same_as_build(p), (True, []), "and makes what a build makes")


def readable():
    """Passwords are not written to a file that others may read."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        before = p.read("passwords.map"), p.current()
        (p.conf / "passwords.map").chmod(0o644)
        is_(p.run("user", "passwd", "u8", stdin="other-words\n"), 100, "passwords.map is readable by others: refused")
        ok("passwords.map: error: readable by other users; run chmod 600" in p.err, "in words", p.err)
        is_((p.read("passwords.map"), p.current()), before, "and nothing is changed")


def damage(p, name):
    path = p.directory / "state/generations/current" / name
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:2060] + b"\xff" + whole[2061:])


def turned(p, name, hidden):
    """One bit in the place; hidden: as a disk does it, without another time."""
    path = p.directory / "state/generations/current" / name
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(2060)
        byte = file.read(1)
        file.seek(2060)
        file.write(bytes([byte[0] ^ 1]))
    if hidden:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def built_elsewhere(p):
    """The same of a copy, so that the overlays stay."""
    before = {name: entries(current(p), name) for name in NAMES}
    generation, state = p.current(), p.directory / "state/generations"
    code = p.run("build")
    same = code == 0 and before == {name: entries(current(p), name) for name in NAMES}
    return p.run("rollback", str(int(generation))) == 0 and same and (state / generation).exists()


def seen_by_commands(p):
    """What list and dump show is what is in the texts: nothing that differs is what diff says."""
    p.run("map", "diff")
    return p.out


def bounds():
    """An overlay has an entry for sixteen of the map's; one that would have more is folded. What has no entry in it is not there."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        most = USERS // 16

        def add(first, count):
            return edited(p, "user", "add", "-", stdin="".join(f"more{i}@example.test\n" for i in range(first, first + count)))
        base = inode(p, "users.cdb")
        is_((add(0, most), len(overlay(current(p), "users")), inode(p, "users.cdb") == base), ((0, True), most, True), "as many as there may be")
        is_((current(p) / "users.more.cdb").stat().st_mode & 0o777, 0o644, "in a file as public as the map's")
        is_((add(most, 1), overlay(current(p), "users"), inode(p, "users.cdb") == base), ((0, True), {}, False), "one more: all are in the map's own file")
        is_((add(most + 1, 1), len(overlay(current(p), "users"))), ((0, True), 1), "and the next has an overlay again")
        is_((edited(p, "user", "del", f"more{most + 1}"), overlay(current(p), "users")), ((0, True), {}), "that is gone with its only entry")
        is_((edited(p, "user", "del", "u250"), overlay(current(p), "users")), ((0, True), {b"u250@example.test": (b"-", b"")}), "a removed one is marked")
        is_((edited(p, "alias", "del", "a99"), [mark for mark, _ in overlay(current(p), "aliases").values()]), ((0, True), [b"-"]), "an alias too")
        is_((edited(p, "alias", "add", "a99", "u9"), [mark for mark, _ in overlay(current(p), "aliases").values()]), ((0, True), [b"+"]), "one that comes back is behind all")
        is_(built_elsewhere(p), True, "as in the text")
        is_(p.run("user", "passwd", "u8", stdin="other-words\n"), 0, "a password is set")
        is_((current(p) / "passwords.more.cdb").stat().st_mode & 0o777, 0o600, "in a file as secret as the map's")
        is_((p.run("alias", "set", "a7@example.test", "u9@example.test"), p.run("user", "set", "u9", "quota=3G", "--only-mine")), (0, 0), "an edit with --only-mine")
        is_([overlay(current(p), name) for name in NAMES], [{}] * len(NAMES), "leaves no overlay")
        is_(seen_by_commands(p), "", "and all is as in the texts")


def remembered():
    """What an edit's checks asked for is known to the next one, however many there were."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        file = inode(p, "asked.cdb")
        is_(edited(p, "alias", "add", "x@example.test", "u250"), (0, True), "an alias")
        is_(inode(p, "asked.cdb") == file, True, "what was asked for before is not written again")
        is_(edited(p, "user", "set", "u249", "quota=7G"), (0, True), "another edit")
        is_(edited(p, "user", "del", "u250")[1], False, "its target does not go without a look at all")
        many = "".join(f"far{i}@example.test f{i}@example.test\n" for i in range(4200))
        users = "".join(f"f{i}@example.test\n" for i in range(4200))
        is_((p.run("user", "add", "-", stdin=users), edited(p, "alias", "add", "-", stdin=many)), (0, (0, True)), "many aliases at once")
        is_(edited(p, "user", "del", "f4199")[1], False, "the last one's target neither")
        is_(same_as_build(p)[0], True, "and all is what a build makes")


def lost():
    """An overlay that was lost, or is another generation's, is no map without it."""
    for what, change in (("lost", pathlib.Path.unlink), ("damaged", lambda path: path.write_bytes(path.read_bytes()[:-3]))):
        with built() as p:
            is_((p.run("build"), p.run("user", "set", "u9", "state=locked")), (0, 0), "all is built, and a user locked")
            change(current(p) / "users.more.cdb")
            p.run("check")
            ok("users.more.cdb of the current generation is" in p.err, f"its overlay is {what}: check says so", p.err)
            is_((p.run("map", "diff", "users"), "run posthouse build" in p.err), (111, True), "so does map diff")
            is_(edited(p, "user", "set", "u10", "quota=1G"), (0, False), "an edit is not alone")
            is_(same_as_build(p), (True, []), "and it is what a build makes")


def verified_once():
    """A file that nobody has written since it was verified is not read for that again; check and build read it."""
    for hidden in (False, True):
        with built() as p:
            is_(p.run("build"), 0, "all is built")
            turned(p, "passwords.cdb", hidden)
            is_(edited(p, "alias", "add", "x@example.test", "u5@example.test"), (0, hidden),
                f"a file of the generation was damaged {'by itself' if hidden else 'by somebody'}: an edit {'does not look' if hidden else 'sees it'}")
            p.run("check")
            is_("passwords.cdb of the current generation is damaged" in p.err, hidden, "check does" if hidden else "and has written it anew")
            before = inode(p, "passwords.cdb")
            is_((p.run("build"), inode(p, "passwords.cdb") != before), (0, hidden), "a build writes a damaged one anew")


def lost_both():
    """Files that were linked have the number of the first build: without manifest and overlays they are no whole generation of before there were any."""
    with built() as p:
        is_((p.run("build"), p.run("user", "set", "u9", "state=locked")), (0, 0), "all is built, and a user locked")
        for name in ("users.more.cdb", "passwords.more.cdb", "manifest.cdb"):
            (current(p) / name).unlink(missing_ok=True)
        p.run("check")
        bad = [line for line in p.err.splitlines() if "of the current generation" in line]
        is_(bad, ["error: manifest.cdb of the current generation is missing or unreadable: No such file or directory; run posthouse build"], "its overlay and the manifest are lost: check says so")
        is_((p.run("map", "diff", "users"), "users.cdb of the current generation is without manifest.cdb, which was lost; run posthouse build" in p.err), (111, True), "so does map diff")
        number = str(int(p.current()))
        is_(p.run("rollback", "1"), 0, "the one before is whole")
        is_((p.run("rollback", number), p.current()), (100, "0001"), "there is no way back to it")
        ok(f"generation {number} cannot be used: manifest.cdb is missing" in p.err, "for the manifest that it lost", p.err)
        is_(edited(p, "user", "set", "u10", "quota=1G"), (0, False), "an edit is not alone")
        is_(same_as_build(p), (True, []), "and it is what a build makes")


def said():
    """What others changed is published by an edit that meets damage, and named, also where nobody can tell whether it was changed."""
    for name, unknown in (("manifest.cdb", ["access.map"]), ("users.more.cdb", ["users.map"]), ("access.cdb", ["access.map"]), ("settings.cdb", ["posthouse.conf"])):
        with built() as p:
            is_((p.run("build"), p.run("user", "set", "u9", "state=locked")), (0, 0), "all is built, and a user locked")
            for text, line in (("posthouse.conf", "generations.keep 5\n"), ("users.map", "late@example.test\n"), ("access.map", "192.0.2.7 reject\n")):
                p.write(text, p.read(text) + line)
            (current(p) / name).unlink()
            is_(p.run("alias", "add", "x@example.test", "u4@example.test"), 0, f"{name} is lost: an edit")
            warning = next((line for line in p.err.splitlines() if "this also published" in line), "")
            ok(all(text in warning for text in ("posthouse.conf", "users.map", "access.map")), "what others changed is named", p.err)
            ok(all(f"{text} (perhaps: what was built of it is damaged)" in warning for text in unknown), "also what perhaps is", p.err)


def named_overlay():
    """What is wrong with an overlay, or with the manifest, is not said of the map's own file."""
    with built() as p:
        is_((p.run("build"), p.run("user", "set", "u9", "state=locked")), (0, 0), "all is built, and a user locked")
        for name, of in (("users.more.cdb", "users"), ("manifest.cdb", "aliases")):
            path = current(p) / name
            whole = path.read_bytes()
            path.write_bytes(whole[:-3])
            p.run("map", "diff", of)
            ok(f"{of}.cdb of the current generation is with a {name} that is damaged" in p.err, f"{name} is damaged, and named", p.err)
            path.write_bytes(whole)


def rotten(p, name, at, bits=1):
    """What a disk does to a byte: nobody wrote the file."""
    path = current(p) / name
    times = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ bits]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def place_in(p, name, key, what):
    """Of a key's record, of its value, of the hash in its slot."""
    data = (current(p) / name).read_bytes()
    at = next(at for at in range(2048, len(data)) if data.startswith(key, at) and struct.unpack_from("<I", data, at - 8) == (len(key),))
    slot = next(slot for slot in range(len(data) - 32 - 8, 2048, -8) if struct.unpack_from("<I", data, slot + 4) == (at - 8,))
    last = at + len(key) + struct.unpack_from("<I", data, at - 4)[0] - 1
    return {"key": at, "value": at + len(key) + 40, "last": last, "slot": slot}[what]


def rotten_map():
    """An edit takes nothing over from a map that a disk has damaged, nor believes that what it does not find there is not there."""
    few = {"domains": TEXTS["domains"].replace("mailboxes", "mailboxes home=%d/%u", 1), "users": "".join(f"u{i}@example.test\n" for i in range(20)), "passwords": "".join(f"u{i} {HASH}\n" for i in range(20)),
           "aliases": "".join(f"a{i}@example.test u{i}@example.test, far.far.away@elsewhere.test\n" for i in range(5))}
    for words, name, key, what in (
            # What folds copies all: with fewer than 16 entries each edit does.
            (("alias", "set", "a3@example.test", "u9"), "aliases.cdb", b"a1@example.test", "value"),
            (("alias", "add", "x@example.test", "u9"), "aliases.cdb", b"a1@example.test", "key"),
            (("alias", "add", "x@example.test", "u9"), "aliases.cdb", b"a1@example.test", "slot"),
            # What is there and not found.
            (("user", "set", "u9", "quota=1G"), "users.cdb", b"u9@example.test", "slot"),
            (("user", "set", "u9", "quota=1G"), "users.cdb", b"u9@example.test", "key"),
            (("user", "del", "u9"), "users.cdb", b"u9@example.test", "slot"),
            (("user", "del", "u9"), "passwords.cdb", b"u9@example.test", "slot"),
            (("user", "set", "u9", "state=locked"), "passwords.cdb", b"u9@example.test", "slot"),
            # A password that a user's entry has written again.
            (("user", "set", "u9", "state=locked"), "passwords.cdb", b"u9@example.test", "value"),
            # What a user's entry goes into, and a domain's.
            (("user", "passwd", "u9"), "users.cdb", b"u9@example.test", "last"), (("map", "set", "passwords", "u9", HASH[:-1] + "b"), "users.cdb", b"u9@example.test", "last"),
            (("user", "set", "u9", "quota=1G"), "domains.cdb", b"example.test", "last"), (("user", "add", "new", "--no-password"), "domains.cdb", b"example.test", "last")):
        with built(**few) as p:
            is_(p.run("build"), 0, "all is built")
            rotten(p, name, place_in(p, name, key, what))
            is_(edited(p, *words, stdin="other-words\n"), (0, False), f"{' '.join(words)}: the {what} of {key.decode()} in {name} is damaged: not alone")
            is_(seen_by_commands(p), "", "what is published is what the texts say")
            is_(same_as_build(p), (True, []), "and what a build makes")
    with built(**few) as p:
        is_(p.run("build"), 0, "all is built")
        rotten(p, "users.cdb", place_in(p, "users.cdb", b"u9@example.test", "last"))
        (current(p) / "users.cdb").chmod(0o640)
        is_(edited(p, "alias", "add", "x", "u9"), (0, False), f"a damaged map that cannot be linked is not copied by an edit of another: {p.err}")
        is_(same_as_build(p), (True, []), "and it is what a build makes")
    with built(**few) as p:
        is_(p.run("build"), 0, "all is built")
        rotten(p, "aliases.cdb", place_in(p, "aliases.cdb", b"a3@example.test", "slot"))
        is_((p.run("alias", "add", "a3@example.test", "u9"), "is in aliases.map already" in p.err), (100, True), "an alias that is there, and not found in the map, is not added again")


def rotten_sieve():
    """What the checks asked for is not taken from a damaged file: an alias would lose its target without a word."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        key, value = struct.unpack_from("<II", (current(p) / "asked.cdb").read_bytes(), 2048)
        for at in range(2048 + 8 + key, 2048 + 8 + key + value):
            rotten(p, "asked.cdb", at, (current(p) / "asked.cdb").read_bytes()[at])
        code, by_entries = edited(p, "user", "del", "u5@example.test")
        is_((code, by_entries), (0, False), "asked.cdb is damaged: a target of an alias does not go alone")


def at_random():
    """Edits in a row, many and one, as a build makes them; what it would warn of is said."""
    draw = random.Random(int(os.environ.get("SEED", "7")))
    note(f"SEED={os.environ.get('SEED', '7')}")
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        wrong, fast, laid, count = [], 0, 0, int(os.environ.get("EDITS", "60"))
        for at in range(count):
            who = [f"u{draw.randrange(USERS + 40)}" for _ in range(draw.choice((1, 1, 1, 5, 40)))]
            names = list(dict.fromkeys(who))
            kind = draw.choice(("user add", "user set", "user del", "alias add", "alias set", "alias del"))
            lines = {"user add": lambda n: f"{n}@example.test quota={draw.randrange(1, 9)}G{draw.choice(('', ' password=' + HASH))}",
                     "user set": lambda n: f"{n} state={draw.choice(('locked', 'ok'))}".replace("state=ok", "state="),
                     "user del": lambda n: n,
                     "alias add": lambda n: f"l{n}@example.test {n}@example.test,u{draw.randrange(USERS)}",
                     "alias set": lambda n: f"l{n} {draw.choice(('l', ''))}{n}, far@elsewhere.test", "alias del": lambda n: f"l{n}@example.test"}
            known = {name: {re.split(r"[ @]", line)[0].lower() for line in p.read(f"{name}.map").splitlines() if line[:1] not in " #"} for name in ("users", "aliases")}
            there = known["users"] if kind.startswith("user") else known["aliases"]
            prefix = "" if kind.startswith("user") else "l"
            names = [n for n in names if ((prefix + n) in there) != kind.endswith("add")]
            if not names:
                continue
            before = p.run("map", "check"), set(warnings(p))
            code, by_entries = edited(p, *kind.split(), "-", stdin="".join(f"{lines[kind](n)}\n" for n in names))
            said = {line for line in warnings(p)}
            p.run("map", "check")
            unsaid = {words for words in warnings(p) if words not in before[1] and words not in said}
            err = p.err
            if "more\n" in err:  # of more than 200 others become the first
                unsaid = set()
            laid += sum(len(overlay(current(p), name)) > 1 for name in ("users", "aliases"))
            seen = seen_by_commands(p)
            p.run("check")
            bad = [line for line in p.err.splitlines() if "of the current generation" in line]
            # Most are kept, so that overlays grow, and are folded by an edit that is too many.
            same = built_elsewhere(p) if draw.random() < 0.7 else same_as_build(p)[0]
            fast += by_entries
            if code != 0 or not same or unsaid or seen or bad:
                wrong.append((at, kind, names, code, by_entries, same, unsaid, seen, bad, err))
        is_(wrong, [], f"{count} edits, {fast} of them by entries, {laid} overlays of more than one")
        ok(fast > count / 4 and laid > count / 10, "some are", (fast, laid))


def limit():
    """More entries than PARTIAL_ENTRIES_MAX are read with everything else."""
    with built() as p:
        is_(p.run("build"), 0, "all is built")
        for count, by_entries in ((100000, True), (100001, False)):
            lines = "".join(f"l{count}-{i}@example.test u5@example.test\n" for i in range(count))
            is_(edited(p, "alias", "add", "-", stdin=lines), (0, by_entries), f"{count} aliases")
        is_(same_as_build(p), (True, []), "all are as a build makes them")


def warnings(p):
    return [re.sub(r"^.*?: warning: ", "", line) for line in p.err.splitlines() if ": warning: " in line]


one_by_one()
not_alone()
included_since()
renamed_host()
lost_key()
meanwhile()
changed_meanwhile()
without_log()
another_writes()
readable()
verified_once()
rotten_map()
rotten_sieve()
bounds()
lost()
lost_both()
said()
named_overlay()
remembered()
at_random()
limit()
done()
