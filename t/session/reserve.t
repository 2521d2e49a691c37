#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued: what of the disk and of its memory is promised to the messages that are being written, and who gives it back. On a small
file system of its own, in a mount namespace."""
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import ownmounts  # noqa: E402
from queuehouse import (ENVELOPE_RECIPIENT, SPOOL_COMMIT, SPOOL_RECIPIENT, House, Out, Refused, put_recipient, receive,  # noqa: E402, F401
                        send)
from tap import done, is_, ok  # noqa: E402

MB = 1 << 20
SETTINGS = "queue.space-min 20M\nmessage.size-max 16M\nrecipients-max 50000\n"


class Small(House):
    """The queue on a file system of 100 MB."""

    def __init__(self):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-queued-"))
        (directory / "queue").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100M,mode=700", "tmpfs", directory / "queue"], check=True)
        super().__init__(SETTINGS, directory, agents=False)

    def __exit__(self, *_):
        super().__exit__()
        subprocess.run(["umount", "--lazy", self.directory / "queue"], check=True)
        shutil.rmtree(self.directory)

    def free(self):
        v = os.statvfs(self.directory / "queue")
        return v.f_bavail * v.f_frsize

    def open(self, client, announced=0):
        w = self.writer()
        w.open(announced, client)
        return w


def fill(w, size):
    """As a client that sends and sends, whatever the disk says."""
    try:
        for at in range(0, size, MB):
            os.pwrite(w.fd, b"x" * MB, w.offset + at)
    except OSError:
        pass


def has_word(w):
    return bool(select.select([w.line], [], [], 0)[0])


def growth():
    with Small() as house:
        honest = house.open("203.0.113.7", 10 * MB)
        crowd = [house.open(f"192.0.2.{i + 1}") for i in range(9)]
        for w in crowd:
            fill(w, 14 * MB)
        ok(house.wait_for(lambda: house.free() >= 30 * MB), "what was written beyond promises and queue.space-min is free again", house.free())
        id, words = crowd[0].ended()
        is_((id, words), (crowd[0].id, (False, "4.3.1", "the queue's disk is nearly full, try again later")), "the oldest is told so")
        is_(os.fstat(crowd[0].fd).st_size, 0, "whoever keeps its descriptor has nothing in it")
        ok(id not in house.files(), "and its file is gone")
        ok("event=message-ended" in house.program.log(), "and the log says so")
        send(crowd[0].line, put_recipient(Out(SPOOL_RECIPIENT), ("late@example.test", 0, "")))
        crowd[0].open(0, "192.0.2.1")
        ok(crowd[0].id != id, "its line goes on with another message")
        ok(not has_word(honest), "who was promised the room is not ended")
        honest.write(b"y" * 10 * MB)
        honest.recipients(["a@example.test"])
        honest.commit()
        os.fsync(honest.fd)
        honest.live()
        ok(True, "and has it")
        left = [w for w in crowd[1:] if not has_word(w)]
        ok(left, "nor are more ended than need be")
        for w in crowd:
            w.close()
        ok(house.wait_for(lambda: house.files() == [honest.id]), "nothing else stays")


def open_until_refused(house, announced):
    crowd = []
    try:
        while len(crowd) < 20:
            crowd.append(house.open("192.0.2.1", announced))
    except Refused as refused:
        is_(refused.args[:2], (False, "4.3.1"), "what is promised to others is not free, although nothing is written")
    return crowd


def promises():
    with Small() as house:
        crowd = open_until_refused(house, 10 * MB)
        is_(len(crowd), 7, "80 MB are for seven of 10 MB and what we add")
        small = open_until_refused(house, 0)
        ok("event=disk-short" in house.program.log(), "the log says that there is no room")
        newcomer = house.open("203.0.113.7", 10 * MB)
        is_(crowd[0].ended()[0], crowd[0].id, "the oldest of a crowd gives way to somebody else")
        ok(not any(has_word(w) for w in [*crowd[1:], *small, newcomer]), "the oldest alone")


def allocation():
    """Blocks that a writer has taken behind the end of its file."""
    with Small() as house:
        w = house.open("192.0.2.1")
        subprocess.run(["fallocate", "--keep-size", "-l", "90M", f"/proc/self/fd/{w.fd}"], pass_fds=[w.fd], check=True)
        is_(w.ended()[0], w.id, "count as written")
        ok(house.wait_for(lambda: house.free() >= 99 * MB), "and are free again")


def memory():
    with House(SETTINGS, agents=False) as house:
        address = "x" * 64 + "@" + ".".join(["y" * 60] * 3) + ".test"
        packet = Out(SPOOL_RECIPIENT)
        for _ in range(40):
            put_recipient(packet, (address, 0, "rfc822;" + "z" * 400))
        crowd = []
        while not any(has_word(w) for w in crowd) and len(crowd) < 40:
            w = house.writer()
            w.open()
            crowd.append(w)
            for _ in range(1200):
                send(w.line, packet)
            house.counts()  # it has read what came before
        ended = [w for w in crowd if has_word(w)]
        ok(ended, "recipients that nobody commits are bounded", len(crowd))
        is_(ended[0].ended()[1][:2], (False, "4.3.1"), "who has most of them is told to come again")
        status = pathlib.Path(f"/proc/{house.program.process.pid}/status").read_text()
        size = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
        ok(size < 1 << 20, "queued stays small", f"{size} KB")
        print(f"# {size} KB, {len(crowd)} writers")


if ownmounts.is_inner():
    growth()
    promises()
    allocation()
else:
    memory()
    ownmounts.run_inner(__file__, "a small disk")
done()
