#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What one user of this machine may take of pickup's connections and of the drop directory: others are served, and nothing is lost."""
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ownmounts  # noqa: E402
from pickuphouse import SUBMIT_READY, House  # noqa: E402
from tap import done, is_, ok  # noqa: E402
from wirehouse import PATIENCE_SECONDS  # noqa: E402

TEMPFAIL = 75
CONNECTIONS_MAX, FILES_MAX, BYTES_MAX = 64, 1000, (256 + 64) << 20  # pickup.c, dropshare.h
ROOT = os.geteuid() == 0
USER, OTHER = (65534, 65533) if ROOT else (os.getuid(), None)



class Crowd:
    """A process of this user that connects as often as it is told."""

    def __init__(self, house, uid, count):
        self.count, path = count, str(house.directory / "run/submit")
        self.said, words = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.said.close()
                self.run(path, uid, words)
            finally:
                os._exit(0)
        words.close()
        self.said.settimeout(PATIENCE_SECONDS)

    def run(self, path, uid, words):
        if ROOT:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        lines, was_let_in = [], 0
        for _ in range(self.count):
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            line.connect(path)
            was_let_in += line.recv(100) == bytes([SUBMIT_READY])
            lines.append(line)
        words.send(b"%d" % was_let_in)
        words.recv(100)
        cut = [line for line in lines if select.select([line], [], [], 0)[0] and not line.recv(100)]
        words.send(b"%d" % len(cut))
        words.recv(100)

    def let_in(self):
        return int(self.said.recv(100))

    def cut(self):
        self.said.send(b"?")
        return int(self.said.recv(100))

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.said.close()


def reachable(house):
    """For other users."""
    for path in (house.directory, house.directory / "run"):
        path.chmod(0o755)
    (house.directory / "run/submit").chmod(0o666)


def connections():
    with House() as house:
        reachable(house)
        crowd = Crowd(house, USER, CONNECTIONS_MAX)
        is_(crowd.let_in(), CONNECTIONS_MAX, f"{CONNECTIONS_MAX} programs of one user are let in")
        more = Crowd(house, USER, 1)
        is_(more.let_in(), 0, "one more of the same is not")
        got = house.sendmail("a@example.test", text="Subject: x\n\nx\n")
        is_((got.returncode, got.stderr), (0, b""), "sendmail's message is taken all the same")
        ok(house.wait_for(house.live), "and sent")
        if ROOT:
            is_(house.dropped(), [], "root's by the socket")
            other = Crowd(house, OTHER, 3)
            is_(other.let_in(), 3, "another user is let in")
            is_((crowd.cut(), other.cut()), (3, 0), "for each one of the crowd gives way")
            other.end()
        ok("event=submit-refused uid=%d" % USER in house.program.log(), "and the log says who had too many")
        for one in (crowd, more):
            one.end()


def patience():
    """Nobody lets sendmail in: pickup stands still."""
    with House() as house:
        house.program.signal(signal.SIGSTOP)
        got = house.sendmail("a@example.test", text="Subject: x\n\nx\n")
        is_((got.returncode, len(house.dropped())), (0, 1), "a pickup that does not answer is not waited for: the message is stored")
        house.program.signal(signal.SIGCONT)
        ok(house.wait_for(house.live) and house.wait_for(lambda: not house.dropped()), "and sent later")
        is_(len(house.live()), 1, "once")


def sendmail_as_user(house, text):
    """With the house not running; as root as somebody else, whom the directory lets in as drop's group would."""
    environment = {**os.environ, "POSTHOUSE_CONF": str(house.directory / "conf"), "POSTHOUSE_PROGRAMS": str(house.build / "bin")}
    as_user = {"user": USER, "group": USER, "extra_groups": []} if ROOT else {}
    return subprocess.run(["sendmail", "a@example.test"], executable=str(house.build / "bin/sendmail"), input=text, capture_output=True,
                          env=environment, cwd="/", **as_user)


def fill(house, names, size=0):
    drop = house.directory / "drop"
    for name in names:
        (drop / name).touch()
        os.truncate(drop / name, size)
        os.chown(drop / name, USER, -1)
    own = drop / f".of-{USER}"
    own.write_text("".join(f"{name.removeprefix('.taken-').removeprefix('.bad-')}\n" for name in names))
    os.chown(own, USER, -1)
    own.chmod(0o600)


def closed_house(settings=""):
    house = House(settings, started=False)
    if ROOT:
        house.directory.chmod(0o755)
        for path in (house.directory / "drop", house.directory / "conf"):
            path.chmod(0o777 if path.name == "drop" else 0o755)
        for path in (house.directory / "conf").iterdir():
            path.chmod(0o644)
    return house


def files():
    with closed_house() as house:
        drop = house.directory / "drop"
        got = sendmail_as_user(house, b"Subject: x\n\nx\n")
        is_((got.returncode, got.stderr), (0, b""), "a message is stored")
        is_((drop / f".of-{USER}").read_text().split(), house.dropped(), "and noted as this user's")
        names = [f"{i}-1-0" for i in range(FILES_MAX - 2)] + [".taken-a-1-0", ".bad-b-1-0"]
        fill(house, names)
        got = sendmail_as_user(house, b"Subject: x\n\nx\n")
        is_(got.returncode, TEMPFAIL, f"{FILES_MAX} files of one user are all that wait")
        ok(b"wait for pickup already" in got.stderr, "and it says so", got.stderr)
        is_(len(house.dropped()), FILES_MAX + 1, "nothing of it is left")
        (drop / ".bad-b-1-0").unlink()
        is_(sendmail_as_user(house, b"Subject: x\n\nx\n").returncode, 0, "where one has gone there is room for one")
        (drop / f".of-{USER}").write_bytes(b"/etc/passwd\n\n..\0\xff\n")
        is_(sendmail_as_user(house, b"Subject: x\n\nx\n").returncode, 0, "nonsense in the list is passed over")
    with closed_house("message.size-max 64K\n") as house:
        fill(house, ["1-1-0"], BYTES_MAX + (1 << 20))
        got = sendmail_as_user(house, b"Subject: x\n\nx\n")
        ok(got.returncode == TEMPFAIL and b"wait for pickup already" in got.stderr, "bytes count too", got.stderr)


def space():
    with closed_house("queue.space-min 1T\n") as house:
        got = house.sendmail("a@example.test", text="Subject: x\n\nx\n")
        ok(got.returncode == TEMPFAIL and b"nearly full" in got.stderr, "no room on the disk", got.stderr)
        is_(house.dropped(), [], "nothing is left")


def space_while_it_is_written():
    with closed_house("queue.space-min 20M\n") as house:
        drop = house.directory / "drop"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=28M,mode=777", "tmpfs", drop], check=True)
        (drop / ".posthouse").write_text("0" * 32 + "\n")
        text = b"Subject: x\n\n" + b"0123456789\n" * (1 << 20)
        got = house.sendmail("a@example.test", text=text)
        ok(got.returncode == TEMPFAIL and b"nearly full" in got.stderr, "the disk fills while it is written", got.stderr)
        is_(house.dropped(), [], "nothing is left")
        is_(house.sendmail("a@example.test", text=text[:1 << 20]).returncode, 0, "what fits is stored")
        subprocess.run(["umount", "--lazy", drop], check=True)


if ownmounts.is_inner():
    space_while_it_is_written()
else:
    connections()
    patience()
    files()
    space()
    ownmounts.run_inner(__file__, "a small disk")
done()
