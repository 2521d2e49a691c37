#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pickup, drop and sendmail are ended at each call: what sendmail reported as taken arrives, at worst twice."""
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from pickuphouse import House  # noqa: E402
from tap import done, ok  # noqa: E402

TEXT = "Subject: x\n\nwhole\n"


def arrived(house):
    return [m for m in house.live() if m.bytes.endswith(b"\r\n\r\nwhole\r\n")]


def from_drop(so, at):
    with House(started=False) as house:
        house.sendmail("a@example.test", text=TEXT)
        try:
            with stopper.Stopping(so, at, armed=True):
                house.start()
        except (RuntimeError, OSError):
            pass
        house.wait_for(lambda: house.program.process.poll() is not None or (house.live() and not house.dropped()))
        stopped = house.program.process.poll() is not None
        if stopped:
            house.stop()
            house.start()
            ok(house.wait_for(lambda: arrived(house) and not house.dropped()) and len(arrived(house)) == len(house.live()) <= 2,
               f"a dropped message, pickup stopped at {at}", house.program.log())
        return stopped


def by_socket(so, at):
    with House(started=False) as house:
        with stopper.Stopping(so, at):
            house.start()
        house.program.signal(signal.SIGUSR1)
        taken = house.sendmail("a@example.test", text=TEXT).returncode == 0
        house.program.signal(signal.SIGTERM)
        stopped = house.program.wait() != 0
        left = [name for name in house.dropped() if name[0] != "."]
        ok(not taken or arrived(house) or left, f"by the socket, pickup stopped at {at}: {'taken' if taken else 'not taken'}")
        if left:  # pickup had certainly not taken it
            house.stop()
            house.start()
            ok(taken and house.wait_for(lambda: arrived(house) and not house.dropped()) and len(arrived(house)) == 1, "left for drop, and sent once",
               house.program.log())
        return stopped


def sendmail_with_drop(house, so, orders):
    """drop alone gets the library."""
    wrapper = house.directory / "drop-wrapper" / "drop"
    wrapper.parent.mkdir()
    wrapper.write_text(f"#!/bin/sh\nLD_PRELOAD={so} {orders} exec {os.path.join(house.build, 'bin', 'drop')}\n")
    wrapper.chmod(0o755)
    environment = dict(os.environ, POSTHOUSE_CONF=str(house.directory / "conf"), POSTHOUSE_PROGRAMS=str(wrapper.parent))
    return subprocess.run([os.path.join(house.build, "bin/sendmail"), "a@example.test"], input=TEXT.encode(), capture_output=True,
                          env=environment)


def unsynced(so):
    """What is not on disk is not reported as stored, and not sent as well where pickup has not taken it."""
    for before, step in ((0, "its bytes"), (1, "its name")):
        with House(started=False) as house:
            got = sendmail_with_drop(house, so, f"FAIL_CALL=fsync FAIL_ERRNO=5 FAIL_PATH=.new- FAIL_SKIP={before}")
            ok(got.returncode == os.EX_TEMPFAIL and b"Input/output error" in got.stderr,
               f"drop cannot sync {step}: the caller keeps the message, and is told why", f"{got.returncode} {got.stderr}")
            left = [name for name in house.dropped() if name != ".posthouse"]
            ok(not left, "and it is taken back", left)


def dropping(so, at):
    with House(started=False) as house:
        got = sendmail_with_drop(house, so, f"STOP_AT={at} STOP_ARMED=1")
        names = [n for n in house.dropped() if n[0] != "."]
        house.start()
        if got.returncode == 0 or names:
            good = house.wait_for(lambda: len(arrived(house)) == 1)
        else:
            good = house.sendmail("b@example.test", text=TEXT).returncode == 0 and len(house.live()) == 1
        ok(good, f"drop stopped at {at}: {'taken' if got.returncode == 0 else 'not taken'}", house.program.log())
        return got.returncode != 0


def main():
    with House(started=False) as scratch:
        so = stopper.build(scratch.directory)
        unsynced(stopper.build(scratch.directory, "failing"))
        for run, calls in ((from_drop, ("sendmsg", "fsync", "unlinkat")), (by_socket, ("sendmsg", "fsync")),
                           (dropping, ("openat", "fsync", "renameat"))):
            for call in calls:
                number = 1
                while any([run(so, f"{call}:{number}:{side}") for side in ("before", "after")]) and number < 30:
                    number += 1
                ok(number > 1, f"{run.__name__}: stopped at each {call}")
    done()


main()
