#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A read that fails now is not the end: a bad sector, a full table of descriptors. What cannot be read stays where it is and
is taken when it can be; half a message is never a message; the log has the cause."""
import errno
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import pickuphouse  # noqa: E402
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

BIG = MESSAGE + b"a line of text\r\n" * 20000
EIO_WORDS = os.strerror(errno.EIO)


def recovery(so):
    """Two messages of which one has lost the byte that says live (a power cut may take it): with any of their reads failing
    neither goes."""
    with House() as house:
        live, committed = house.write(["a@far.test"], BIG), house.write(["b@far.test"], BIG)
        house.kill()
        path = house.path(committed)
        data = bytearray(path.read_bytes())
        data[41:42] = b"c"
        path.write_bytes(data)
        reads = {}
        for id in (live, committed):
            for skip in range(10):
                before = len(house.program.log())
                with stopper.Failing(so, "pread", errno.EIO, id, skip=skip):
                    house.start()
                kept, log = id in house.files(), house.program.log()[before:]
                told = f"warning: id={id} event=recover-unreadable reason=\"{EIO_WORDS}\"" in log
                house.kill()
                if not told:
                    break
                ok(kept, f"read {skip + 1} of {'a live' if id == live else 'a committed'} one fails: it stays, and the log says why")
            reads[id] = skip
        ok(2 <= reads[live] < reads[committed] < 9, f"header and tail were tried, and of what may be torn the message ({list(reads.values())})", log)
        house.start()
        jobs = [house.agents["remote"].job() for _ in range(2)]
        is_(sorted(job.id for job in jobs), sorted([live, committed]), "when the disk is well again both go on")
        ok(all(job.bytes() == BIG for job in jobs), "whole")


def secret(so):
    with House() as house:
        house.kill()
        before = (house.directory / "queue" / "secret").read_bytes()
        with stopper.Failing(so, "pread", errno.EIO, "secret"):
            try:
                house.start()
                ok(False, "queued does not start with a secret that cannot be read")
            except (RuntimeError, OSError):
                ok(EIO_WORDS in house.program.log(), "queued does not start without its secret, and does not call it damaged",
                   house.program.log())
        is_((house.directory / "queue" / "secret").read_bytes(), before, "the secret is what it was")
        house.start()


def drop_files(so):
    for call, error in (("openat", errno.EMFILE), ("openat", errno.EACCES), ("read", errno.EIO)):
        with pickuphouse.House(started=False) as house:
            house.sendmail("a@example.test", text="Subject: dropped\n\n" + "a line\n" * 60000)
            name, = house.dropped()
            with stopper.Failing(so, call, error, name, skip=1 if call == "read" else 0, times=1):
                house.start()
            later = f"event=drop-later file={name} reason=\"{os.strerror(error)}\""
            ok(house.wait_for(lambda: later in house.program.log()), f"{call}, {errno.errorcode[error]}: pickup says so", house.program.log())
            ok(house.wait_for(lambda: house.live() and not [n for n in house.dropped() if n[0] != "."]),
               "and leaves the drop file: at the next scan, which is soon, it goes", house.program.log())
            ok(len(house.live()) == 1 and house.last().bytes.count(b"a line\r\n") == 60000, "once, whole")


def drop_file_stays(so):
    """A drop file whose message is in the queue, and which cannot be removed, is not sent again and again."""
    with pickuphouse.House(started=False) as house:
        house.sendmail("a@example.test", text="Subject: dropped\n\nonce\n")
        name, = house.dropped()
        with stopper.Failing(so, "unlinkat", errno.EROFS, name, times=2):
            house.start()
        ok(house.wait_for(lambda: f"event=drop-stuck file={name} reason=\"it is sent, and cannot be removed: " in house.program.log()),
           "a drop file that cannot be removed: the log says so", house.program.log())
        ok(house.wait_for(lambda: not any(name in kept for kept in house.dropped())), "it is tried again, and goes when it can")
        is_((len(house.live()), house.program.log().count("event=drop-stuck")), (1, 1), "its message was sent once")
    with pickuphouse.House(started=False) as house:
        house.sendmail("a@example.test", text="Subject: dropped\n\nonce\n")
        name, = house.dropped()
        for turn in range(4):
            with stopper.Failing(so, "unlinkat", errno.EPERM, name):
                house.start()
            house.wait_for(lambda: f".sent-{name}" in house.dropped())
            house.program.signal(signal.SIGHUP)
            house.program.wait()
            house.stop()
        is_((len(house.live()), house.dropped()), (1, [f".sent-{name}"]), "nor by three successors, for it has another name")
        house.start()
        ok(house.wait_for(lambda: house.dropped() == []) and len(house.live()) == 1, "it goes when it can", house.dropped())


def drop_file_immovable(so):
    """What can be neither removed nor renamed would be sent by each successor: it waits until it can be."""
    with pickuphouse.House(started=False) as house:
        house.sendmail("a@example.test", text="Subject: dropped\n\nonce\n")
        name, = house.dropped()
        house.sendmail("a@example.test", text="Subject: other\n\nother\n")
        for turn in range(4):
            with stopper.Failing(so, "renameat2", errno.EPERM, name):
                house.start()
            ok(house.wait_for(lambda: f'event=drop-later file={name} reason="it is not sent, since it could not be removed' in house.program.log()),
               "a drop file that cannot be renamed: the log says that it waits", house.program.log())
            ok(house.wait_for(lambda: [n for n in house.dropped()] == [name]) and len(house.live()) == 1, "and the other is sent", house.dropped())
            house.stop()
        house.start()
        ok(house.wait_for(lambda: house.dropped() == []) and len(house.live()) == 2, "it is sent once, when it can be", house.dropped())


def drop_file_taken(so):
    """One that a pickup had renamed when it was killed."""
    with pickuphouse.House(started=False) as house:
        house.sendmail("a@example.test", text="Subject: dropped\n\nonce\n")
        name, = house.dropped()
        (house.directory / "drop" / name).rename(house.directory / "drop" / f".taken-{name}")
        house.start()
        ok(house.wait_for(lambda: house.dropped() == []) and len(house.live()) == 1, "a drop file under way at a crash is sent", house.dropped())


def crowd_of_unreadable(so):
    """1,500 drop files that cannot be opened hold up nobody, and are told of once."""
    count = 1500
    with pickuphouse.House(started=False) as house:
        for i in range(count):
            (house.directory / "drop" / f"unreadable-{i}").write_bytes(b"x")
        house.sendmail("a@example.test", text="Subject: first\n\nx\n")
        with stopper.Failing(so, "openat", errno.EACCES, "unreadable-"):
            house.start()
        ok(house.wait_for(lambda: len(house.live()) == 1), "a good drop file among 1,500 unreadable ones is taken")
        ok(house.wait_for(lambda: house.program.log().count("event=drop-later") == count), "each of them is in the log")
        (house.directory / "run" / "submit").rename(house.directory / "run" / "elsewhere")
        for more in range(2, 6):
            house.sendmail("a@example.test", text="Subject: another\n\nx\n")
            ok(house.wait_for(lambda: len(house.live()) == more), "what comes later is taken")
        is_((house.program.log().count("event=drop-later"), len(house.dropped())), (count, count), "they stay, told once each")


def configuration(so):
    """A configuration that cannot be opened now is not one that is not there: the message would go astray."""
    with pickuphouse.House() as house:
        for error in (errno.EMFILE, errno.EIO):
            with stopper.Failing(so, "open", error, "posthouse.conf"):
                got = house.sendmail("a@example.test", text="Subject: x\n\nx\n", POSTHOUSE_RUNDIR="", POSTHOUSE_DROPDIR="")
            is_((got.returncode, os.strerror(error) in got.stderr.decode()), (os.EX_TEMPFAIL, True),
                f"sendmail: posthouse.conf cannot be opened ({errno.errorcode[error]}), the caller is told")
        is_((house.live(), house.dropped()), ([], []), "and nothing is sent")


def handing_over(so):
    """sendmail cannot send a part of the message to pickup: it does not wait for an answer that cannot come, and drop stores the message, or the
    caller is told."""
    def send(house, skip, text):
        def end(line):
            while line.recv(1 << 16):
                pass
        door = pickuphouse.Door(house, end, 0)  # a pickup that does not look into the drop directory
        with stopper.Failing(so, "sendmsg", errno.ENOBUFS, "", skip=skip, times=1):
            got = house.sendmail("a@example.test", text=text)
        door.thread.join()
        (house.directory / "run" / "submit").unlink()
        return got

    with pickuphouse.House(started=False) as house:
        for skip in (0, 2, 3):
            got = send(house, skip, "Subject: x\n\n" + "a line\n" * 20000)
            is_((got.returncode, len(house.dropped())), (0, 1), f"sendmail: packet {skip + 1} cannot be sent, the message is left for drop")
            left = house.directory / "drop" / house.dropped()[0]
            is_(left.read_bytes().count(b"a line\r\n"), 20000, "whole")
            left.unlink()
        got = send(house, 3, "Subject: x\n\n" + "a line\n" * (3 << 20))
        is_((got.returncode, "could not be handed to posthouse" in got.stderr.decode(), house.dropped()), (os.EX_TEMPFAIL, True, []),
            "one that is too long to be kept is not, and the caller is told")


def removal(so):
    """A message that is done and whose file cannot be removed: the stop removes it, so that no start sends it again."""
    with stopper.Failing(so, "unlinkat", errno.EIO, "/", times=1), House() as house:
        id = house.write(["a@far.test"])
        remote = house.agents["remote"]
        remote.job().finish(DONE)
        house.program.wait_log(f"id={id} event=remove-failed")
        ok(id in house.files(), "a file that cannot be removed stays")
        house.stop()
        is_(house.files(), [], "until the stop")
        house.restart()
        is_(house.list(), [], "nothing is sent again")


def standard_input(so):
    with pickuphouse.House() as house:
        text = "Subject: x\nTo: b@example.test\n\n" + "a line\n" * 100000
        for skip in (0, 1, 3):
            with stopper.Failing(so, "read", errno.EIO, "stdin", skip=skip):
                got = house.sendmail("-t", "a@example.test", text=text)
            is_((got.returncode, EIO_WORDS in got.stderr.decode()), (os.EX_IOERR, True),
                f"sendmail: read {skip + 1} of standard input fails, the caller is told")
        is_(house.live(), [], "and nothing is sent")
        (house.directory / "conf").mkdir(exist_ok=True)
        house.sendmail("a@example.test", text="Subject: y\n\ny\n")
        is_(len(house.live()), 1, "the next one goes")
    with pickuphouse.House(started=False) as house:
        with stopper.Failing(so, "read", errno.EIO, "stdin", skip=1):
            got = house.sendmail("a@example.test", text=text)
        is_(got.returncode, os.EX_IOERR, "the same while the house is down")
        ok(house.wait_for(lambda: not [n for n in house.dropped() if n[0] != "."]), "nothing is left for pickup", house.dropped())


def main():
    with House(agents=False) as scratch:
        so = stopper.build(scratch.directory, "failing")
        for test in (recovery, secret, drop_files, drop_file_stays, drop_file_immovable, drop_file_taken, crowd_of_unreadable, configuration, standard_input, handing_over, removal):
            test(so)
    done()


main()
