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
from house import House  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402


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


def send(house, user, subject):
    subprocess.run(["sendmail", f"{user}@example.test"], executable=f"{house.env['BIN']}/sendmail", text=True, input=f"Subject: {subject}\n\nx\n", check=True,
                   env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"]})


def has(house, user, subject):
    return any(f"Subject: {subject}\n" in path.read_text() for path in house.mailbox(user).glob("new/*"))


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

    domain = mail.resolve() / "gone/example.test"
    with known.open("a") as file:
        file.write(f"volume - {domain}\nvolume - /elsewhere/example.test\n")
    wanted = f"{domain}, below mail.root, had a file system of its own, which is not mounted"
    answer = start(house)
    ok(answer.returncode and wanted in answer.stderr and f"remove the line with this path from {known.parent}/directories" in answer.stderr,
       "nor without a file system that was below mail.root, where its mount point can be made by nobody", answer.stderr)
    check = house.posthouse("check")
    ok(check.returncode == 100 and f"error: {wanted}" in check.stderr and "/elsewhere/" not in check.stderr, "check says so; one of another mail.root is none", check.stderr)
    known.write_text(known.read_text().replace(f"volume - {domain}\n", ""))
    is_(start(house).returncode, 0, "forgotten, it starts")
    is_(house.posthouse("check").returncode, 0, "and check finds nothing")

    house.posthouse("stop")
    home = house.mailbox("u0002").parent.resolve()
    lines = "".join(f"volume - {home}{below}\n" for below in ("/mnt", "/Mail", "/mnt/Maildir"))
    with known.open("a") as file:
        file.write(lines)
    is_(start(house).returncode, 0, "what was mounted in a home, which its user can do, is nothing to a start")
    is_((house.posthouse("check").returncode, ", below mail.root, " in house.posthouse("status").stdout), (0, False), "nor to check and status")
    house.posthouse("stop")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    os.chown(home, mail.stat().st_uid, mail.stat().st_gid)
    known.write_text(known.read_text().replace(lines, f"volume - {home}\n"))
    (home / "stray").mkdir()
    answer = start(house)
    ok(answer.returncode == 0 and f"posthouse: warning: {home}, below mail.root, had a file system of its own, which is not mounted" in answer.stderr,
       "a start without a volume goes on, and says so", answer.stderr)
    is_(oct(home.stat().st_mode & 0o7777), "0o0", "lets nobody into it")
    ok(f"event=volume-missing path={home} mode=0700 " in house.log(), "says so in the log")
    told = f"{home}, below mail.root, had a file system of its own, which is not mounted: the mail for it waits"
    check = house.posthouse("check")
    is_((told in house.posthouse("status").stdout, check.stderr.count(str(home))), (True, 1), "status and check say it too, and advise nothing else")
    send(house, "u0002", "waits")
    send(house, "u0001", "comes")
    house.wait_for("the other's message", lambda: has(house, "u0001", "comes"))
    house.wait_for("a first attempt", lambda: re.search(r"event=defer\S* .*u0002@example.test", house.log()))
    house.posthouse("stop")
    known.write_text(known.read_text().replace(f"volume - {home}\n", ""))
    home.chmod(0o700)
    is_((os.listdir(home), start(house).returncode), (["stray"], 0), "forgotten, and with its mode, it starts")
    house.posthouse("queue", "retry")
    house.wait_for("the message that waited", lambda: has(house, "u0002", "waits"))
    is_(house.posthouse("check").returncode, 0, "and check finds nothing")


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
    is_(house.posthouse("user", "set", "u0002", "state=locked").returncode, 0, "users can be locked all the same")
    house.wait_for("its being shut", lambda: home.stat().st_mode & 0o777 == 0)
    send(house, "u0001", "waits")
    send(house, "u0002", "comes")
    house.wait_for("the other's message", lambda: has(house, "u0002", "comes"))
    house.wait_for("a first attempt", lambda: re.search(r"event=defer\S* .*u0001@example.test", house.log()))
    house.posthouse("stop")
    is_(start(house).returncode, 0, "a start goes on without it")
    is_([path.read_text() for path in home.rglob("new/*") if "Subject: waits" in path.read_text()], [], "nothing is delivered beneath it")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", home], check=True)
    is_(house.posthouse("check").returncode, 0, "mounted again")
    house.posthouse("queue", "retry")
    house.wait_for("what waited", lambda: has(house, "u0001", "waits"))
    is_(oct(home.stat().st_mode & 0o777), "0o700", "the volume's own mode is untouched")
    house.posthouse("stop")
    start(house)
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
    house.wait_for("its being noted at a reload", lambda: mounted in known.read_text())
    (home / "mnt").mkdir()
    (home / "Maildir").mkdir(exist_ok=True)
    for name in ("mnt", "Maildir"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", home / name], check=True)
    house.posthouse("reload")
    house.wait_for("that of its Maildir", lambda: f"volume - {home}/Maildir\n" in known.read_text())
    ok(f"{home}/mnt" not in known.read_text(), "one elsewhere in a home is not noted")
    house.posthouse("stop")
    for name in ("mnt", "Maildir", ""):
        subprocess.run(["umount", home / name], check=True)
    known.write_text("".join(line for line in known.read_text().splitlines(True) if not line.startswith("volume ")))
    home.chmod(0o700)
    shutil.rmtree(home)
    is_(start(house).returncode, 0, "as at the beginning")

    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    mail = pathlib.Path(re.search(r"^mail\.root +(\S+)", conf.read_text(), re.M)[1])
    house.posthouse("stop")
    mail.rename(house.directory / "one")
    shutil.copytree(house.directory / "one", house.directory / "two")
    mail.symlink_to("one")
    roots = {name: house.directory.resolve() / name / "example.test" for name in ("one", "two")}
    for root in roots.values():
        root.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root], check=True)
    start(house)
    is_([f"volume - {root}\n" in known.read_text() for root in roots.values()], [True, False], "mail.root is a symbolic link")
    mail.unlink()
    mail.symlink_to("two")
    house.posthouse("reload")
    house.wait_for("the volume's being noted", lambda: f"volume - {roots['two']}\n" in known.read_text())
    ok(True, "to another directory, those of that one are noted at a reload")
    subprocess.run(["umount", roots["one"]], check=True)
    is_(house.posthouse("check").stderr.count("which is not mounted"), 0, "and those of the other are none")
    subprocess.run(["umount", roots["two"]], check=True)
    house.wait_for("its being shut", lambda: roots["two"].stat().st_mode & 0o777 == 0)
    ok(f"{roots['two']}, below mail.root, had" in house.posthouse("status").stdout, "as the new ones are")
    house.posthouse("stop")

    known.write_text("".join(line for line in known.read_text().splitlines(True) if not line.startswith("volume ")))
    root, volume = house.directory.resolve() / "two", house.directory.resolve() / "volume"
    st = (house.directory / "one").stat()
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={st.st_mode & 0o777:o},uid={st.st_uid},gid={st.st_gid}", "tmpfs", volume], check=True)
    (root / ".posthouse").unlink()
    shutil.copy(house.directory / "one/.posthouse", volume)
    subprocess.run(["mount", "--bind", volume, root], check=True)
    is_((start(house).returncode, f"volume - {root}\n" in known.read_text()), (0, True), "mail.root itself is one")
    send(house, "u0001", "into the volume")
    house.wait_for("a message", lambda: has(house, "u0001", "into the volume"))
    subprocess.run(["umount", "-l", root], check=True)
    house.wait_for("its being shut", lambda: root.stat().st_mode & 0o777 == 0)
    ok(f"{root}, mail.root, had a file system of its own" in house.posthouse("status").stdout, "which is told and shut when it is unmounted")
    send(house, "u0001", "waits for the volume")
    house.wait_for("a first attempt", lambda: "the mailbox cannot be written" in house.posthouse("queue", "list").stdout)
    subprocess.run(["mount", "--bind", volume, root], check=True)
    house.posthouse("queue", "retry")
    house.wait_for("the other", lambda: has(house, "u0001", "waits for the volume"))
    house.posthouse("stop")
    subprocess.run(["umount", root], check=True)
    answer = start(house)
    ok(answer.returncode and "is not the directory that posthouse used before" in answer.stderr, "without it there is no start", answer.stderr)
    root.chmod(0o755)
    shutil.copy(house.directory / "one/.posthouse", root)
    answer = start(house)
    ok(answer.returncode == 0 and "file system" not in answer.stderr and root.stat().st_mode & 0o777 == 0o755, "the same directory without a mount is the same",
       answer.stderr)
    house.posthouse("stop")
    subprocess.run(["umount", volume], check=True)


OWN = ["unshare", "-m", "--propagation", "private"]
if sys.argv[1:] == ["--volumes"]:
    with House("--users", "2") as house:
        volumes(house)
else:
    with House("--users", "2") as house:
        directories(house)
    if os.geteuid() != 0:
        skip("file systems below mail.root", "needs root, to mount some")
    elif not shutil.which("unshare") or subprocess.run([*OWN, "true"], capture_output=True).returncode:
        skip("file systems below mail.root", "no mount namespace")
    else:
        inner = subprocess.run([*OWN, sys.executable, __file__, "--volumes"], capture_output=True, text=True)
        print("".join(f"# {line}\n" for line in (inner.stdout + inner.stderr).splitlines()), end="")
        ok(inner.returncode == 0 and "not ok" not in inner.stdout, "file systems below mail.root")
done()
