#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""posthouse check sees with the eyes of those who must be able to do something, not with root's: what is not theirs to read, to
write or to pass is named with its remedy, and so does a start that fails of it. Who is not root and looks at another's house is
told once what cannot be seen."""
import contextlib
import grp
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from place import PROGRAM, Place  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402

ROOT = os.geteuid() == 0


def everything(path):
    return [path, *path.rglob("*")] if path.is_dir() else [path]


@contextlib.contextmanager
def changed(*paths, mode=None, owner=None):
    """Another mode, or (owner, group), for as long as it lasts."""
    before = [(path, path.stat()) for path in paths]
    for path in reversed(paths):
        if owner:
            os.chown(path, *owner)
        if mode is not None:
            os.chmod(path, mode)
    yield
    for path, st in before:
        if ROOT:
            os.chown(path, st.st_uid, st.st_gid)
        os.chmod(path, st.st_mode & 0o7777)


def check(house):
    said = house.posthouse("check", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
    return said.returncode, said.stdout + said.stderr


def start(house):
    return house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})


def finds(house, words, name, lines=1):
    code, said = check(house)
    ok(code == 100 and words in said, name, f"{words!r} is not in {said!r}")
    is_(len(said.splitlines()), lines, f"{name}: in {lines} line{'' if lines == 1 else 's'}" + ("" if len(said.splitlines()) == lines else said))


def unusable(house, what):
    queue = house.directory / "queue"
    st = queue.stat()
    account = "_phqueue"
    chown = f"chown -R {st.st_uid}:{st.st_gid} {queue} && " if ROOT else ""
    return f"{queue}: error: {what} in it cannot be used by {account}: new mail is deferred, or a start fails; run {chown}chmod -R u+rwX {queue}\n"


def queue(house):
    """Stopped, with a message in it."""
    place = house.directory / "queue"
    messages = [path for path in place.glob("[0-9a-f][0-9a-f]/*") if path.is_file()]
    is_(len(messages), 1, "there is a message")
    directories = [place / f"{number:02x}" for number in range(256)]
    shut = [({"mode": 0}, "mode 000")] + ([({"owner": (0, 0)}, "root's")] if ROOT else [])
    for how, name in shut:
        with changed(place / "secret", **how):
            finds(house, unusable(house, "the secret"), f"the secret: {name}", lines=1 if ROOT else 2)
            failed = start(house)
            ok(failed.returncode and f"fatal: queue.directory {place}: reading the queue's secret: Permission denied; run chown -R " in failed.stderr and
               f" && chmod -R u+rwX {place}\n" in failed.stderr, f"the secret: {name}: the start says what to run", failed.stderr)
        with changed(*directories, **how):
            if ROOT:
                finds(house, unusable(house, "256 directories"), f"256 directories: {name}")
            else:
                ok(unusable(house, "256 directories") in check(house)[1], f"256 directories: {name}")
            failed = start(house)
            ok(failed.returncode and f"fatal: queue.directory {place}: reading the queue's directories: Permission denied; run chown -R " in failed.stderr,
               f"256 directories: {name}: the start says what to run", failed.stderr)
        if not ROOT:
            with changed(place, mode=0):
                ok(unusable(house, "1 directory") in check(house)[1], "a queue directory that cannot be entered", check(house)[1])
        with changed(place / "torn", place / "damaged", **how):
            ok(unusable(house, "2 directories") in check(house)[1], f"damaged and torn: {name}")
        with changed(*messages, **how):
            finds(house, unusable(house, "1 message"), f"a message: {name}")
    directory = next(path for path in directories if path.is_dir() and not list(path.iterdir()))
    directory.rmdir()
    directory.touch()
    ok(f"{place}: error: {directory.name} in it is not a directory, and a start fails; move it away\n" in check(house)[1], "a file instead of one of the 256", check(house)[1])
    directory.unlink()
    directory.mkdir(mode=0o700)
    if ROOT:
        os.chown(directory, *[getattr(place.stat(), name) for name in ("st_uid", "st_gid")])
        with changed(*everything(place), owner=(0, 0)):
            # Only the secret and what is within can still be looked at, once the account may pass the directory itself.
            os.chmod(place, 0o700)
            ok(f"{place}: error: 259 directories, the secret in it cannot be used" in check(house)[1], "a queue that was copied by root", check(house)[1])


def homes(house):
    mail = house.directory / "mail"
    home = house.mailbox("u0001").parent
    uid, gid = home.stat().st_uid, home.stat().st_gid
    whose = f"the mailbox u0001@example.test ({uid}:{gid})"
    for path in (home, home / "Maildir", home / "Maildir/tmp"):
        with changed(path, mode=0o400 if path == home else 0o500):
            finds(house, f"{path}: error: mode is {'0400' if path == home else '0500'}, owner {uid}:{gid}: {whose} ", f"{path.name} is too narrow")
    with changed(home / "Maildir/tmp", mode=0o500):
        finds(house, f"{whose} cannot use it; run chmod u+w\n", "with what to run")
    shutil.rmtree(home)
    is_(check(house)[0], 0, "a home that its owner can make is none")
    with changed(mail, mode=0o551):
        finds(house, f"{mail}: error: mode is 0551, owner {uid}:{gid}: the home of {whose} is missing, and it cannot make it here; run install -d -m "
              f"0700 -o {uid} -g {gid} {home}; 1 more mailbox has the same problem\n", "those that their owners cannot make")
    if ROOT:
        with changed(mail, owner=(0, gid)):
            finds(house, f"the home of {whose} is missing, and it cannot make it here", "in a directory of root's", lines=2)
    conf = pathlib.Path(house.env["CONF"])
    users = (conf / "users.map").read_text()
    (conf / "users.map").write_text(users.replace("home=u", "home=gone/deep/u"))
    house.posthouse("build")
    finds(house, f"{mail}/gone: error: there is no such directory: the home of {whose} cannot be made in it, and its mail waits", "homes whose directory is gone")
    (mail / "gone/deep").mkdir(parents=True)
    if ROOT:
        for path in (mail / "gone", mail / "gone/deep"):
            os.chown(path, uid, gid)
    is_(check(house)[0], 0, "and one that is there")
    with changed(mail / "gone", mode=0):
        finds(house, f"{mail}/gone: error: mode is 0000, owner {uid}:{gid}: {whose} is behind it and cannot be entered; run chmod u+x; 1 more mailbox has the "
              "same problem\n", "which cannot be passed")
    shutil.rmtree(mail / "gone")
    (conf / "users.map").write_text(users)
    house.posthouse("build")


def dropped(house):
    place = house.directory / "drop"
    st = place.stat()
    with changed(place, mode=0o1530):
        finds(house, f"{place}: error: pickup (_phdrop) cannot use it: mail that is stored there is not sent; run chown {st.st_uid}:{st.st_gid} and chmod 1730\n"
              if ROOT else f"{place}: error: pickup (_phdrop) cannot use it", "the drop directory")
    (place / "stored").write_text("x")
    with changed(place / "stored", mode=0o200, owner=(0, 0) if ROOT else None):
        finds(house, f"{place}: error: 1 message in it cannot be read by pickup (_phdrop); run find {place} -type f -exec chgrp -h ", "what was stored there")
    (place / "stored").unlink()


def odd_paths():
    """Each command that is advised names the directory as one word, whatever is in its name."""
    with Place(domains="example.test mailboxes\n") as p:
        spool = p.directory / "a b's $x;é"
        queue, drop = spool / "queue", spool / "drop"
        text = p.read("posthouse.conf").replace(f"{p.directory}/queue", str(queue)).replace(f"{p.directory}/drop", str(drop))
        p.write("posthouse.conf", text + ("account.base 620000\n" if ROOT else ""))
        for path in (queue, drop):
            path.mkdir(parents=True)
        (drop / "stored").write_text("x")
        for path in (p.directory, spool, p.directory / "mail"):
            path.chmod(0o755)
        drop.chmod(0o1730)
        if ROOT:
            os.chown(drop, 620007, 620007)
        (drop / "stored").chmod(0o200)
        queue.chmod(0 if not ROOT else 0o700)
        p.run("check")
        told = p.err.replace("DIR", str(p.directory))
        queue.chmod(0o700)
        commands = [shlex.split(command) for line in told.splitlines() if "; run " in line and str(spool) in line
                    for command in re.split(" && ", line.split("; run ", 1)[1])]
        wanted = [["chown", "-R", "620005:620005", str(queue)]] if ROOT else []
        wanted += [["chmod", "-R", "u+rwX", str(queue)]]
        ok(all(command in commands for command in wanted), "the queue's path is one word", told)
        found = [command for command in commands if command[0] == "find"]
        ok(len(found) == 1 and found[0][1:4] == [str(drop), "-type", "f"], "and the drop directory's", told)


def long_path():
    """A drop directory whose path is as long as can be, with files of two kinds."""
    with Place(domains="example.test mailboxes\n") as p:
        drop = p.directory
        while len(str(drop)) < 780:
            drop /= "d" * 230
        p.write("posthouse.conf", p.read("posthouse.conf").replace(f"drop.directory {p.directory}/drop", f"drop.directory {drop}"))
        drop.mkdir(parents=True)
        for name in (".bad-x", ".sent-x"):
            (drop / name).touch()
        p.run("check")
        told = p.err.replace("DIR", str(p.directory))
        ok(p.code in (0, 100) and told.count(f" in {drop}") == 2, "check tells both, however long the path", f"{p.code} {told}")


def running(house):
    """Directories that became root's meanwhile: check and status say so."""
    if not ROOT:
        skip("a house that runs", "not root")
        return
    place = house.directory / "queue"
    with changed(*[place / f"{number:02x}" for number in range(256)], owner=(0, 0)):
        ok(unusable(house, "256 directories") in check(house)[1], "check sees what a house that runs cannot use", check(house)[1])
        said = house.posthouse("status")
        ok(re.search(rf"^unusable     {place}: 256 directories in it cannot be used by _phqueue: .*; run chown -R ", said.stdout, re.M), "and status", said.stdout)
    is_(check(house)[0], 0, "and nothing else")


def as_another(house, *options):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(house.directory / "bin/posthouse"), "-c", house.env["CONF"], *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def onlooker(house):
    if not ROOT or not shutil.which("setpriv"):
        skip("another's house", "not root, or no setpriv")
        return
    said = as_another(house, "check")
    is_((said.returncode, said.stdout, said.stderr), (0, "", "warning: run as root to look at the private keys, the passwords, the mailboxes and the queue as well, "
        "which this user cannot see\n"), "who may not look is told once, and nothing false")
    said = as_another(house, "status")
    if house.options[-1].startswith("control.group"):
        is_((said.returncode, re.findall(r"^.*(?:unusable|null).*$", said.stdout, re.M)), (0, []), "nor does status of a house that is well, to a member of control.group")
    said = as_another(house, "queue", "check")
    is_((said.returncode, said.stdout, said.stderr), (100, "", "posthouse: run as root to look into the queue, which this user cannot see\n"), "nor does queue check")
    seen = (0, "", "warning: run as root to look at the private keys, the passwords, the mailboxes and the queue as well, which this user cannot see\n")
    conf = pathlib.Path(house.env["CONF"])
    state = pathlib.Path(re.search(r"^directory.state (.*)$", (conf / "posthouse.conf").read_text(), re.M)[1])
    generation = (state / "generations/current").resolve()
    certificate = next((conf / "certs").glob("*.pem"))
    for path, mode in ((certificate, 0o600), (conf / "certs", 0o700), (generation, 0o700), (state / "generations", 0o700)):
        with changed(path, mode=mode):
            said = as_another(house, "check")
            is_((said.returncode, said.stdout, said.stderr), seen, f"{path.name} that may not be read is no fault")
    said = subprocess.run(["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", str(house.directory / "bin/posthouse"), "-c", house.env["CONF"], "check"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    is_((said.returncode, said.stdout, said.stderr), seen, "nor is it one that who is not in control.group cannot ask")
    said = as_another(house, "user", "list")
    is_((said.returncode, said.stdout, said.stderr), (0, "u0001@example.test\nu0002@example.test\n", ""), "the users are shown without a false word")
    is_(as_another(house, "user", "show", "u0001@example.test").stdout, house.posthouse("user", "show", "u0001@example.test").stdout, "and one with the owner")
    said = as_another(house, "build")
    ok(said.returncode and "there is no private key" not in said.stderr and "keys: error: Permission denied" in said.stderr,
       "a build that may not look at keys does not say that there are none", said.stderr)
    with changed(pathlib.Path(house.env["CONF"]) / "posthouse.conf", mode=0o600):
        said = as_another(house, "check")
        is_((said.returncode, said.stderr), (100, f"{house.env['CONF']}/posthouse.conf: error: Permission denied\n"), "without the settings nothing is looked at")
        said = as_another(house, "status")
        ok(said.returncode and f"{house.env['CONF']}/posthouse.conf: error: Permission denied\n" in said.stderr,
           "nor is the house of the defaults asked instead", said.stderr)


def of_another_user():
    """Root looks at an ordinary user's house as that user: nothing in it is of a wrong owner."""
    if not ROOT or not shutil.which("setpriv"):
        skip("an ordinary user's house", "not root, or no setpriv")
        return
    with Place(domains="example.test mailboxes\n", users="anna@example.test\npostmaster@example.test\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf").replace("mailbox.uid 5000\nmailbox.gid 5000\n", "") + f"log.to {p.directory}/log\n" +
                "".join(f'listen.{name} ""\n' for name in ("smtp", "submission", "pop3", "imap")))
        (p.directory / "mail").chmod(0o751)
        for name, mode in (("queue", 0o700), ("drop", 0o1730), ("run", 0o755), ("mail/example.test", 0o711), ("conf/certs", 0o755), ("conf/keys", 0o700)):
            (p.directory / name).mkdir()
            (p.directory / name).chmod(mode)
        for path in everything(p.directory):
            os.chown(path, 65534, 65534)

        def run(*words, root=False):
            who = [] if root else ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            said = subprocess.run([*who, str(PROGRAM), "-c", str(p.conf), *words], capture_output=True, text=True,
                                  env={**os.environ, "POSTHOUSE_PROGRAMS": str(PROGRAM.parent)})
            return said.returncode, said.stdout, said.stderr
        run("build")
        own = run("check")
        is_(own, (0, "no problems found; posthouse is not running\n", ""), "an ordinary user's house")
        is_(run("check", root=True), own, "root's check says what its owner's says")
        is_(run("queue", "check", root=True), run("queue", "check"), "and so does queue check")
        (p.directory / "queue").chmod(0)
        ok("1 directory in it cannot be used" in run("check", root=True)[2], "what the owner cannot use is told to root", run("check", root=True)[2])
        os.chown(p.directory / "state", 0, 0)
        ok("owned by uid 65534, not by uid 0" in run("check", root=True)[2], "one of which only a part is a user's is the system's", run("check", root=True)[2])


def with_accounts(place, programs):
    """check in a system that has all accounts; None where mounts cannot be made. The numbers are those of nobody."""
    table = (pathlib.Path(__file__).resolve().parent.parent.parent / "lib/conf/accounts.def").read_text()
    words = re.findall(r"^ACCOUNT\((\w+),", table, re.M)
    names = ["vmail" if word == "vmail" else f"_ph{word}" for word in words]
    files = {"passwd": "".join(f"{name}:x:{620000 + n}:{620000 + n}::/:/bin/false\n" for n, name in enumerate(names)),
             "group": "".join(f"{name}:x:{620000 + n}:\n" for n, name in enumerate(names))}
    script = ""
    for name, text in files.items():
        (place.directory / name).write_text(pathlib.Path(f"/etc/{name}").read_text() + text)
        script += f"mount --bind {place.directory}/{name} /etc/{name} || exit 77\n"
    script += f"exec {PROGRAM} -c {place.conf} check"
    said = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env={**os.environ, "POSTHOUSE_PROGRAMS": str(programs)})
    for line in said.stderr.splitlines():
        if "unshare" in line or "mount" in line and said.returncode == 77:
            return None
    return said.stderr.replace(str(place.directory), "DIR")


def system():
    """A house of the system, with accounts: what its users need, and who could decide what root runs."""
    if not ROOT or not shutil.which("unshare"):
        skip("a house with accounts", "not root, or no unshare")
        return
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        p.run("build")
        programs, spool, drop = p.directory / "programs", p.directory / "spool", p.directory / "spool/drop"
        p.write("posthouse.conf", p.read("posthouse.conf").replace(f"{p.directory}/drop", str(drop)) + f"log.to {p.directory}/log\n")
        p.run("build")
        group = 620000 + 7
        for path, mode, owner in ((programs, 0o755, 0), (spool, 0o755, 0), (drop, 0o1730, group), (p.directory / "queue", 0o700, 620005),
                                  (p.directory / "mail", 0o751, 5000), (p.directory / "run", 0o755, 0), (p.conf / "certs", 0o755, 0), (p.conf / "keys", 0o700, 0)):
            path.mkdir(exist_ok=True)
            path.chmod(mode)
            os.chown(path, owner, owner)
        for name in sorted(set(os.listdir(PROGRAM.parent)) - {"posthouse"}):
            (programs / name).touch(mode=0o755)
        os.chown(programs / "drop", 0, group)
        (programs / "drop").chmod(0o2755)
        (p.directory / "mail/example.test").mkdir()
        os.chown(p.directory / "mail/example.test", 5000, 5000)
        p.directory.chmod(0o755)
        said = with_accounts(p, programs)
        if said is None:
            skip("a house with accounts", "no mounts here")
            return
        errors = [line for line in said.splitlines() if " error: " in line]
        is_(errors, [], "a house that is as it should be")
        if shutil.which("setpriv"):
            said = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(PROGRAM), "-c", str(p.conf), "check"],
                                  env={**os.environ, "POSTHOUSE_PROGRAMS": str(programs)}, capture_output=True, text=True)
            ok(said.returncode == 0 and " error: " not in said.stderr and said.stderr.count("run as root to look at") == 1,
               "another user finds no ports that are taken, and no other owner of the mailboxes", said.stderr)
        current = (p.directory / "state/generations/current").resolve()
        stored = "users cannot send while the server is not running"
        for name, kind in (("control", "mkdir"), ("master.pid", "mkdir"), ("empty", "touch")):
            getattr(p.directory / "run" / name, kind)()
            said = with_accounts(p, programs)
            ok(f"DIR/run/{name}: error: something else has this name, and posthouse cannot start; remove it\n" in said, f"{name}: another kind of file", said)
            (p.directory / f"run/{name}").unlink() if kind == "touch" else (p.directory / f"run/{name}").rmdir()
        (p.directory / "run").rename(p.directory / "kept")
        ok("DIR/run" not in with_accounts(p, programs), "directory.run is made by a start")
        (p.directory / "kept").rename(p.directory / "run")
        for path, how, words in (
                (drop, {"mode": 0o3730}, "DIR/spool/drop: warning: mode is 3730; run chmod 01730"),
                (p.conf, {"mode": 0o700}, "DIR/conf: error: mode is 0700, owner 0:0: other users cannot enter it; run chmod o+x; other users cannot send mail"),
                (p.conf / "posthouse.conf", {"mode": 0o600}, "DIR/conf/posthouse.conf: error: mode is 0600, owner 0:0: other users cannot read it; run chmod o+r; other users cannot send mail"),
                (programs, {"mode": 0o700}, f"DIR/programs: error: mode is 0700, owner 0:0: other users cannot enter it; run chmod o+x; {stored}"),
                (programs / "drop", {"mode": 0o2750}, f"DIR/programs/drop: error: mode is 2750, owner 0:{group}: other users cannot run it; run chmod o+x; {stored}"),
                (spool, {"mode": 0o700}, f"DIR/spool: error: mode is 0700, owner 0:0: drop(8) cannot enter it; run chmod o+x; {stored}"),
                (drop, {"mode": 0o1700}, f"DIR/spool/drop: error: mode is 1700, owner {group}:{group}: drop(8) cannot write to it; run chmod g+wx; {stored}"),
                (drop, {"owner": (group, 0)}, f"DIR/spool/drop: error: the group is 0: drop(8) cannot write to it; run chgrp {group} and chmod 1730; {stored}"),
                (p.directory, {"mode": 0o700}, "DIR: error: mode is 0700, owner 0:0: the mailbox anna@example.test (5000:5000) is behind it and cannot be entered; run chmod o+x"),
                (programs / "smtpd", {"owner": (65534, 65534)}, "DIR/programs/smtpd: error: owned by uid 65534, who decides what root runs; run chown root"),
                (programs, {"owner": (65534, 65534)}, "DIR/programs: error: owned by uid 65534, who decides what root runs; run chown root"),
                (spool, {"owner": (65534, 65534)}, "DIR/spool: error: owned by uid 65534, who can put another drop.directory in its place; run chown root"),
                (spool, {"mode": 0o777}, "DIR/spool: error: mode is 0777: everybody can put another drop.directory in its place; run chmod o-w"),
                (p.directory, {"mode": 0o777}, "DIR: error: mode is 0777: everybody can put another configuration in its place; run chmod o-w"),
                (current, {"mode": 0o777}, f"DIR/state/generations/{current.name}: error: mode is 0777: others decide what the server does; run chmod go-w"),
                (current, {"owner": (65534, 65534)}, f"DIR/state/generations/{current.name}: error: owned by uid 65534, who decides what the server does; run chown 0"),
                (current / "users.cdb", {"mode": 0o666}, f"DIR/state/generations/{current.name}/users.cdb: error: mode is 0666: others decide what the server does"),
                (programs / "drop", {"mode": 0o2777}, "DIR/programs/drop: error: mode is 2777: others decide what root runs; run chmod go-w")):
            with changed(path, **how):
                said = with_accounts(p, programs)
            ok(words in said, f"{path.name}: {how}", said)


def group_of_another():
    """Root may give the socket to any group, others to one of theirs."""
    if os.geteuid() != 0 and 65534 not in (os.getegid(), *os.getgroups()):
        return ()
    try:
        return ("--set", f"control.group {grp.getgrgid(65534).gr_name}")
    except KeyError:
        return ()


with House("--users", "2", "--route", "far.test 127.0.0.1:1", *group_of_another()) as house:
    subprocess.run([house.directory / "bin/sendmail", "x@far.test"], input=b"Subject: x\n\nx\n", check=True, capture_output=True,
                   env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": str(house.directory / "bin")})
    subprocess.run([house.directory / "bin/sendmail", "u0001@example.test"], input=b"Subject: x\n\nx\n", check=True, capture_output=True,
                   env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": str(house.directory / "bin")})
    house.wait_for("delivery", lambda: list((house.mailbox("u0001") / "new").glob("*")))
    house.wait_for("a message that waits", lambda: "x@far.test" in house.posthouse("queue", "list").stdout and "refused" in house.posthouse("queue", "list").stdout)
    is_(check(house), (0, "no problems found; posthouse is running\n"), "a house that is well")
    running(house)
    onlooker(house)
    house.posthouse("stop")
    is_(check(house), (0, "no problems found; posthouse is not running\n"), "and when it is stopped")
    queue(house)
    homes(house)
    dropped(house)
    is_(check(house), (0, "no problems found; posthouse is not running\n"), "all is put right again")
    house.restart()
odd_paths()
long_path()
system()
of_another_user()
done()
