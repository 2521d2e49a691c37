#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A crowd that sends messages without an end to a house whose queue has a small disk: queue.space-min stays free, and mail of others
is accepted meanwhile."""
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from house import House  # noqa: E402
from tap import done, is_, ok, skip_all  # noqa: E402

MB = 1 << 20
DISK, SPACE_MIN, EACH, CROWD = 200 * MB, 64 * MB, 40 * MB, 9
LINES = (b"x" * 98 + b"\r\n") * 5000
OWN = ["unshare", "-m", "--propagation", "private"]


def put_on_small_disk(house):
    """The queue, while the house does not run."""
    queue = house.directory / "queue"
    kept, st = queue.with_name("queue.kept"), queue.stat()
    queue.rename(kept)
    queue.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700,uid={st.st_uid},gid={st.st_gid}", "tmpfs", queue], check=True)
    subprocess.run(["cp", "-a", f"{kept}/.", queue], check=True)


class Endless(threading.Thread):
    """A client of the crowd, which never sends the last dot."""

    def __init__(self, house, number):
        super().__init__()
        self.socket = socket.create_connection((house.env["HOST"], int(house.port("SMTP"))), source_address=(f"127.7.7.{number + 1}", 0))
        self.socket.settimeout(120)
        self.file = self.socket.makefile("rb")
        self.answer, self.sent = None, threading.Event()

    def ask(self, line):
        self.socket.sendall(line + b"\r\n")
        while (answer := self.file.readline())[3:4] == b"-":
            pass
        return answer

    def run(self):
        self.file.readline()
        for line in (b"EHLO crowd.test", b"MAIL FROM:<a@far.test>", b"RCPT TO:<u0001@example.test>", b"DATA"):
            self.answer = self.ask(line)
        try:
            self.socket.sendall(b"x: y\r\n\r\n")
            for _ in range(EACH // len(LINES)):
                self.socket.sendall(LINES)
        except OSError:
            pass
        self.sent.set()
        self.answer = self.file.readline()


def free(house):
    v = os.statvfs(house.directory / "queue")
    return v.f_bavail * v.f_frsize


def crowd():
    with House("--users", "2", "--set", f"queue.space-min {SPACE_MIN}") as house:
        house.stop()
        put_on_small_disk(house)
        house.start("--as-it-is")
        ones = [Endless(house, i) for i in range(CROWD)]
        for one in ones:
            one.start()
        for one in ones:
            one.sent.wait()
        house.wait_for("room", lambda: free(house) >= SPACE_MIN)
        ok(True, "what the crowd has sent leaves queue.space-min free")
        with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), source_address=("127.200.0.1", 0), timeout=120) as smtp:
            is_(smtp.sendmail("b@far.test", ["u0002@example.test"], "Subject: honest\r\n\r\n" + "y" * 70 + "\r\n"), {}, "others' mail is accepted meanwhile")
        house.wait_for("the delivery", lambda: list((house.mailbox("u0002") / "new").glob("*")))
        ok(house.logs("event=message-ended"), "the log says that messages were ended")
        for one in ones:
            try:
                one.socket.sendall(b"\r\n.\r\n")
            except OSError:
                pass
            one.join()
            one.socket.close()
        answers = [one.answer[:9] for one in ones]
        ok(b"452 4.3.1" in answers and set(answers) <= {b"452 4.3.1", b"250 2.0.0", b""}, "which are told so, behind their dot or before", answers)
        house.stop()
        subprocess.run(["umount", "--lazy", house.directory / "queue"], check=True)


if sys.argv[1:] == ["--mounted"]:
    crowd()
    done()
elif os.geteuid() != 0:
    skip_all("needs root, to mount a small disk")
elif not shutil.which("unshare") or subprocess.run([*OWN, "true"], capture_output=True).returncode:
    skip_all("no mount namespace")
else:
    os.execvp(OWN[0], [*OWN, sys.executable, __file__, "--mounted"])
