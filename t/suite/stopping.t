#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""While posthouse stops no door is open behind which nobody is: who comes over the network is refused, what local programs send is left
in the drop directory, and sent after the next start."""
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_  # noqa: E402

SERVICES = ("SMTP", "SUBMISSION", "IMAP", "POP3")


def sendmail(house, subject):
    return subprocess.run([house.directory / "bin/sendmail", "u0001@example.test"], input=f"Subject: {subject}\n\nx\n".encode(),
                          capture_output=True, check=False,
                          env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": str(house.directory / "bin")})


def connects(house, service):
    try:
        socket.create_connection((house.env["HOST"], house.port(service))).close()
    except OSError as error:
        return type(error).__name__
    return "taken"


def delivered(house):
    box = house.mailbox("u0001")
    return sorted(line for part in ("new", "cur") if (box / part).is_dir() for f in (box / part).iterdir()
                  for line in f.read_text().splitlines() if line.startswith("Subject:"))


with House("--users", "2") as house:
    drop, submit = house.directory / "drop", house.directory / "run/submit"
    is_([connects(house, service) for service in SERVICES], ["taken"] * 4, "while it runs, all that come are taken")
    porter, remote = house.pid("porter"), house.pid("remote")
    for held in (porter, remote):
        os.kill(held, signal.SIGSTOP)  # the stop lasts as long as these are not continued
    stop = subprocess.Popen([house.directory / "bin/posthouse", "-c", house.env["CONF"], "stop"], stdin=subprocess.DEVNULL)
    house.wait_for("the stop", lambda: "event=stopping" in house.log())
    house.wait_for("the end of the submission socket", lambda: not submit.exists())
    is_([connects(house, service) for service in SERVICES], ["ConnectionRefusedError"] * 4, "who comes now is refused at once")
    got = [sendmail(house, f"during {n}") for n in range(3)]
    is_([(g.returncode, g.stderr) for g in got], [(0, b"")] * 3, "sendmail succeeds")
    is_(len([n for n in os.listdir(drop) if n[0] != "."]), 3, "with what it stored in the drop directory")
    said = house.posthouse("status").stdout
    is_(said.splitlines()[1], "state        stopping", "status says that it is stopping")
    check = house.posthouse("check")
    is_([line for line in check.stderr.splitlines() if " is not running" in line], [], "check does not take it for a fault that programs have ended")
    is_(check.stdout.splitlines()[-1].rpartition("; ")[2], "posthouse is stopping", "and says so too")
    again = house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
    is_((again.returncode, again.stderr), (111, "posthouse: posthouse is stopping; start it when it has stopped (posthouse stop waits for that)\n"),
        "nor is it started, or called running")
    edit = house.posthouse("user", "set", "u0002@example.test", "state=locked")
    is_((edit.returncode, edit.stderr), (0, "posthouse: posthouse is stopping; the next start uses this\n"), "an edit is made")
    for held in (porter, remote):
        os.kill(held, signal.SIGCONT)
    is_(stop.wait(), 0, "the stop ends")
    is_(sendmail(house, "after").returncode, 0, "after it sendmail succeeds too")
    for path in drop.iterdir():
        if path.name[0] != ".":
            os.chown(path, -1, drop.stat().st_gid if os.getuid() == 0 else -1)  # the drop of a test is not set-gid
    house.start("--as-it-is")
    house.wait_for("all four", lambda: len(delivered(house)) == 4)
    shown = house.posthouse("user", "show", "u0002@example.test").stdout
    is_(("state locked\n" in shown, "not in force" in shown), (True, False), "the edit is in force")
    is_(delivered(house), ["Subject: after", "Subject: during 0", "Subject: during 1", "Subject: during 2"], "all of it arrives, once")
done()
