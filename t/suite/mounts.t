#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A queue directory or mail.root that is the one beneath a mount point: posthouse does not start in it, and says what to do."""
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
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


with House() as house:
    known = house.directory / "state/directories"
    mail = pathlib.Path(re.search(r"^mail\.root +(\S+)", (pathlib.Path(house.env["CONF"]) / "posthouse.conf").read_text(), re.M)[1])
    queue = house.directory / "queue"
    ids = {name: path.joinpath(".posthouse").read_text().strip() for name, path in (("queue.directory", queue), ("mail.root", mail))}
    is_(known.read_text(), f"queue.directory {ids['queue.directory']} {queue}\nmail.root {ids['mail.root']} {mail}\n", "a first start gives ids and notes them")
    ok(all(re.fullmatch("[0-9a-f]{32}", one) for one in ids.values()) and len(set(ids.values())) == 2, "which are random", str(ids))
    is_(house.posthouse("check").returncode, 0, "check finds nothing")
    house.restart()
    is_(len(known.read_text().splitlines()), 2, "a restart notes nothing")
    for name, path in (("queue.directory", queue), ("mail.root", mail)):
        house.posthouse("stop")
        volume = beneath(path)
        wanted = f"{name} {path} is not the directory that posthouse used before: its file .posthouse is missing; is its file system not mounted?"
        remedy = f"remove the line with its name from {known.parent}/directories"
        check = house.posthouse("check")
        ok(check.returncode == 100 and f"error: {wanted}" in check.stderr and remedy in check.stderr, f"{name} beneath a mount point: check says so",
           check.stderr)
        answer = start(house)
        ok(answer.returncode and wanted in answer.stderr and remedy in answer.stderr, "it does not start, and says why", answer.stderr)
        is_(os.listdir(path), [], "nothing was made in it")
        (path / ".posthouse").write_text("0" * 32 + "\n")
        ok("its file .posthouse is another one" in start(house).stderr, "nor with another's id")
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
    is_(known.read_text(), f"queue.directory {ids['queue.directory']} {queue}\nmail.root {(mail / '.posthouse').read_text().strip()} {mail}\n", "with the ids there are")
done()
