#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Directories beneath a mount point whose file system is not there: posthouse does not start, drop leaves nothing in them, and both
say what to do. The same of a file system below mail.root."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ownmounts  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402


def beneath(path):
    """What a mount point has when its volume is not there: an empty directory of the same owner and mode."""
    volume, st = path.with_name(path.name + ".volume"), path.stat()
    path.rename(volume)
    path.mkdir()
    os.chown(path, st.st_uid, st.st_gid)
    path.chmod(st.st_mode & 0o7777)
    return volume


def start(house):
    return house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})


def drop(house, subject):
    """sendmail as it is while the house does not run."""
    group = {"group": (house.directory / "drop").stat().st_gid} if os.geteuid() == 0 else {}  # as a set-gid drop has it
    return subprocess.run(["sendmail", "u0001@example.test"], **group, executable=f"{house.env['BIN']}/sendmail", text=True, capture_output=True,
                          input=f"Subject: {subject}\n\nx\n", env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": house.env["BIN"]})


def nothing_advised(house, path, wanted):
    """Who makes a home beneath the mount point of a volume, or chowns that, lets mail in that the volume will hide."""
    check = house.posthouse("check")
    lines = [line for line in check.stderr.splitlines() if str(path) in line]
    ok(check.returncode == 100 and len(lines) == 1 and wanted in lines[0], "check names the volume once, and advises nothing beneath it", check.stderr)


def directories(house):
    known = house.directory / "state/directories"
    mail = pathlib.Path(re.search(r"^mail\.root +(\S+)", (pathlib.Path(house.env["CONF"]) / "posthouse.conf").read_text(), re.M)[1])
    queue, dropped = house.directory / "queue", house.directory / "drop"
    places = (("queue.directory", queue), ("drop.directory", dropped), ("mail.root", mail))
    ids = {name: path.joinpath(".posthouse").read_text().strip() for name, path in places}
    all_known = "".join(f"{name} {ids[name]} {path}\n" for name, path in places)
    is_(known.read_text(), all_known, "a first start gives ids and notes them")
    ok(all(re.fullmatch("[0-9a-f]{32}", one) for one in ids.values()) and len(set(ids.values())) == 3, "which are random", str(ids))
    is_(house.posthouse("check").returncode, 0, "check finds nothing")
    house.restart()
    is_(len(known.read_text().splitlines()), 3, "a restart notes nothing")
    for name, path in places:
        house.posthouse("stop")
        volume = beneath(path)
        wanted = f"{name} {path} is not the directory that posthouse used before: its file .posthouse is missing; is its file system not mounted?"
        remedy = f"remove the line with its name from {known.parent}/directories"
        check = house.posthouse("check")
        ok(check.returncode == 100 and f"error: {wanted}" in check.stderr and remedy in check.stderr, f"{name} beneath a mount point: check says so",
           check.stderr)
        answer = start(house)
        ok(answer.returncode and wanted in answer.stderr and remedy in answer.stderr, "it does not start, and says why", answer.stderr)
        if path == dropped:
            left = drop(house, "hidden")
            ok(left.returncode == 75 and wanted in left.stderr and remedy in left.stderr, "sendmail tells its caller to come back, and why", left.stderr)
        is_(os.listdir(path), [], "nothing was made in it")
        (path / ".posthouse").write_text("0" * 32 + "\n")
        ok("its file .posthouse is another one" in start(house).stderr, "nor with another's id")
        if path == dropped:
            is_(drop(house, "hidden").returncode, 75, "nor does sendmail leave mail in it")
            is_(os.listdir(path), [".posthouse"], "none at all")
        (path / ".posthouse").unlink()
        os.mkfifo(path / ".posthouse")
        ok("is missing" in start(house).stderr, "nor is it kept by what is no file")
        shutil.rmtree(path)
        volume.rename(path)
        is_(start(house).returncode, 0, "mounted, it starts")
        is_(house.posthouse("check").returncode, 0, "and check finds nothing")

    house.posthouse("stop")
    (mail / ".posthouse").unlink()
    ok("is missing" in start(house).stderr, "a restore without the file is asked about")
    known.write_text("".join(line for line in known.read_text().splitlines(True) if not line.startswith("mail.root ")))
    is_(start(house).returncode, 0, "and taken once the line is removed")
    ok(f"mail.root {(mail / '.posthouse').read_text().strip()} {mail}\n" in known.read_text(), "with a new id")
    house.posthouse("stop")
    known.unlink()
    is_(start(house).returncode, 0, "an upgrade, whose state knows of none, takes what is there")
    is_(known.read_text(), all_known.replace(ids["mail.root"], (mail / ".posthouse").read_text().strip()), "with the ids there are")

    house.posthouse("stop")
    (dropped / ".posthouse").unlink()
    known.write_text("".join(line for line in known.read_text().splitlines(True) if not line.startswith("drop.directory ")))
    is_(drop(house, "upgraded").returncode, 0, "before the first start of a version that marks it the drop directory takes mail as it did")
    is_(start(house).returncode, 0, "and is marked then")
    house.wait_for("the message", lambda: any("Subject: upgraded" in path.read_text() for path in house.mailbox("u0001").glob("new/*")))
    is_((oct(known.stat().st_mode), oct((dropped / ".posthouse").stat().st_mode)), (oct(0o100644), oct(0o100644)), "so that all can see it")

    other, conf = house.directory / "drop2", pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    text = conf.read_text()
    shutil.copytree(dropped, other, ignore=lambda directory, names: names)
    shutil.copystat(dropped, other)
    os.chown(other, dropped.stat().st_uid, dropped.stat().st_gid)
    conf.write_text(text.replace(f"drop.directory {dropped}\n", f"drop.directory {other}\n"))
    is_(house.posthouse("build", "--reload").returncode, 0, "a reload with another drop directory")
    ok(f"drop.directory {(other / '.posthouse').read_text().strip()} {other}\n" in known.read_text(), "marks it")
    conf.write_text(text)
    is_(house.posthouse("build", "--reload").returncode, 0, "and back")

    house.posthouse("stop")
    (house.directory / "state/generations/current").rename(house.directory / "state/generations/away")
    (dropped / ".posthouse").rename(house.directory / "mark")
    known.rename(house.directory / "state/aside")
    left = drop(house, "hidden")
    ok(left.returncode == 75 and "is no directory that posthouse was started with: its file .posthouse is missing" in left.stderr,
       "where nothing is known, a drop directory without a mark is none", left.stderr)
    (house.directory / "mark").rename(dropped / ".posthouse")
    is_(drop(house, "marked").returncode, 0, "and with one it is")
    (house.directory / "state/generations/away").rename(house.directory / "state/generations/current")
    (house.directory / "state/aside").rename(known)
    is_(start(house).returncode, 0, "as before")

    house.posthouse("stop")
    mail.rename(house.directory / "mail.away")
    answer = start(house)
    ok(answer.returncode and f"open mail.root {mail}: No such file or directory" in answer.stderr, "without mail.root it does not start, and says why", answer.stderr)
    (house.directory / "mail.away").rename(mail)

    domain = mail.resolve() / "example.test"
    with known.open("a") as file:
        file.write(f"volume - {domain}\nvolume - /elsewhere/example.test\n")
    wanted = f"{domain}, below mail.root, had a file system of its own, which is not mounted"
    answer = start(house)
    ok(answer.returncode and wanted in answer.stderr and f"remove the line with this path from {known.parent}/directories" in answer.stderr,
       "nor without a file system that was below mail.root", answer.stderr)
    check = house.posthouse("check")
    ok(check.returncode == 100 and f"error: {wanted}" in check.stderr and "/elsewhere/" not in check.stderr, "check says so; one of another mail.root is none", check.stderr)
    if os.geteuid() == 0:
        users = conf.with_name("users.map")
        text = users.read_text()
        users.write_text(f"{text}beneath@example.test home=example.test/beneath\n")
        house.posthouse("build")
        domain.mkdir(mode=0o755)
        nothing_advised(house, domain, wanted)
        domain.rmdir()
        users.write_text(text)
        house.posthouse("build")
    deep = mail.resolve() / ("a" * 200) / ("b" * 200) / ("c" * 60)
    with known.open("a") as file:
        file.write(f"volume - {deep}\n")
    added = house.posthouse("user", "add", "deep@example.test", f"home={deep.relative_to(mail.resolve())}/deep", "--no-password")
    ok(str(deep)[:400] in added.stderr and not (mail / ("a" * 200)).exists(), "user add makes nothing on one, however long its path", added.stderr)
    is_(max(map(len, added.stderr.splitlines())), len("posthouse: warning: ") + 511, "and says as much of the reason as there is")
    house.posthouse("user", "del", "deep@example.test")
    known.write_text(known.read_text().replace(f"volume - {deep}\n", ""))
    known.write_text(known.read_text().replace(f"volume - {domain}\n", ""))
    is_(start(house).returncode, 0, "forgotten, it starts")
    is_(house.posthouse("check").returncode, 0, "and check finds nothing")

    house.posthouse("stop")
    text = "".join(line for line in known.read_text().splitlines(True) if not line.startswith("drop.directory "))
    known.write_text(text + "volume - /elsewhere/" + "x" * (DIRECTORIES_MAX - len(text) - 40) + "\n")
    is_(start(house).returncode, 0, "with a list that has no room for another line")
    house.posthouse("stop")
    ok(house.logs("event=unmarked setting=directory.state", 'reason="File too large"'), "the log says so, and why")


DIRECTORIES_MAX = 4 << 20  # KNOWN_MAX, lib/conf/places.c


def volumes(house):
    """In a mount namespace of its own, as root."""
    known = house.directory / "state/directories"
    is_(drop(house, "first").returncode, 0, "a message for the first user")
    house.wait_for("the message", lambda: any(house.mailbox("u0001").glob("new/*")))
    home = house.mailbox("u0001").parent.resolve()
    mounted, wanted = f"volume - {home}\n", f"{home}, below mail.root, had a file system of its own, which is not mounted"
    house.posthouse("stop")
    st = home.stat()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=20m,mode={st.st_mode & 0o7777:o},uid={st.st_uid},gid={st.st_gid}", "tmpfs", home], check=True)
    answer = start(house)
    ok(answer.returncode == 0, "with a home on a file system of its own", answer.stderr)
    is_(known.read_text().count(mounted), 1, "the start notes it")
    is_(house.posthouse("reload").returncode, 0, "a reload")
    is_(known.read_text().count("volume - "), 1, "notes it once")
    is_(house.posthouse("check").returncode, 0, "check finds nothing")
    subprocess.run(["umount", "-l", home], check=True)
    ok(wanted in house.posthouse("status").stdout, "unmounted under the running house: status says so")
    check = house.posthouse("check")
    is_((check.returncode, check.stderr.count(wanted)), (100, 1), "and check, once")
    os.chown(home, 0, 0)
    home.chmod(0o755)
    nothing_advised(house, home, wanted)
    os.chown(home, st.st_uid, st.st_gid)
    home.chmod(st.st_mode & 0o7777)
    is_(house.posthouse("user", "set", "u0002", "state=locked").returncode, 0, "users can be locked all the same")
    house.posthouse("stop")
    ok(wanted in start(house).stderr, "and a start is refused")
    maildir, mail_known = home / "Maildir", known.read_text()
    os.chown(maildir, 0, 0)
    known.write_text(mail_known.replace(mounted, f"volume - {maildir}\n"))
    nothing_advised(house, maildir, wanted.replace(f"{home},", f"{maildir},"))
    os.chown(maildir, st.st_uid, st.st_gid)
    known.write_text(mail_known)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", home], check=True)
    is_(start(house).returncode, 0, "mounted again, it starts")
    house.posthouse("stop")
    subprocess.run(["umount", home], check=True)
    subprocess.run(["mount", "--bind", home, home], check=True)
    known.write_text(known.read_text().replace(mounted, ""))
    is_(start(house).returncode, 0, "a directory that is mounted on itself")
    ok(mounted not in known.read_text(), "is no file system of its own")
    house.posthouse("stop")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", home], check=True)
    is_(start(house).returncode, 0, "started")
    ok(mounted in known.read_text(), "one on top of that is")
    house.posthouse("stop")
    subprocess.run(["umount", home], check=True)
    subprocess.run(["umount", home], check=True)
    known.write_text(known.read_text().replace(mounted, ""))
    start(house)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", home], check=True)
    is_(house.posthouse("reload").returncode, 0, "one that is mounted while the house runs")
    ok(mounted in known.read_text(), "is noted at a reload")
    house.posthouse("stop")
    subprocess.run(["umount", home], check=True)


if ownmounts.is_inner():
    with House("--users", "2") as house:
        volumes(house)
else:
    with House("--users", "2") as house:
        directories(house)
    ownmounts.run_inner(__file__, "file systems below mail.root")
done()
