#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The queue's secret is lost, damaged or replaced while the house runs, which goes on with its own: status, check and queue check say so,
what waits is not called damaged, and nothing is taken back that is in service. With the secret put back all is as it was."""
import os
import pathlib
import re
import shutil
import smtplib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

TOLD = "the file `secret' of queue.directory is missing, or not the one that queued uses and has sealed the waiting messages with: put that one back"


def another(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def empty(path):
    path.write_bytes(b"")


def directory(path):
    path.unlink()
    path.mkdir()


def waiting(house):
    return set(re.findall(r"^([0-9a-z]{13})", house.posthouse("queue", "list").stdout, re.M))


def submit(house, subject):
    subprocess.run(["sendmail", "-f", "u0001@example.test", "x@away.test"], executable=f"{house.env['BIN']}/sendmail", text=True, check=True,
                   input=f"Subject: {subject}\n\nx\n", env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"]})


def send(house, *subjects):
    """By one connection: all but the first are sealed before they are written."""
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=300) as smtp:
        for subject in subjects:
            smtp.sendmail("u0001@example.test", [f"{'x' * n}@away.test" for n in range(1, 4)], f"Subject: {subject}\r\n\r\nx\r\n")


with House("--users", "1") as house:
    is_(house.posthouse("map", "set", "routes", "away.test", "smtp", "127.0.0.1:1").returncode, 0, "a host that is not there")
    is_(house.posthouse("map", "set", "access", house.env["HOST"], "relay").returncode, 0, "for whose mail we relay")
    submit(house, 0)
    send(house, 1, 2)
    house.wait_for("three messages that wait", lambda: len(waiting(house)) == 3)
    ids, secret, kept = waiting(house), house.directory / "queue/secret", house.directory / "secret"
    is_((house.posthouse("check").returncode, "secret " in house.posthouse("status").stdout), (0, False), "all is well")
    is_(house.posthouse("queue", "check").stdout, "3 messages verified, 0 taken back, 0 problems\n", "with each of them")
    for lose in (another, empty, directory, os.unlink):
        shutil.copy2(secret, kept)
        lose(secret)
        ok(f"secret       {TOLD}" in house.posthouse("status").stdout, f"{lose.__name__}: status says so")
        check = house.posthouse("check")
        is_((check.returncode, check.stderr.count(f"queue: error: {TOLD}")), (100, 1), "check too")
        for options in ((), ("--unverified", "waiting"), ("--unverified", min(ids))):
            answer = house.posthouse("queue", "check", *options)
            ok(answer.returncode == 100 and f"secret: {TOLD}" in answer.stdout and "0 taken back" in answer.stdout and "taken back unverified" not in answer.stdout,
               " ".join(("queue check", *options)) + " too, and takes nothing back", answer.stdout)
            is_([line for line in answer.stdout.splitlines() if re.match("../", line)], [], "and calls no message damaged")
        if secret.is_dir():
            secret.rmdir()
        kept.replace(secret)
        if os.geteuid() == 0:
            os.chown(secret, (house.directory / "queue").stat().st_uid, (house.directory / "queue").stat().st_gid)
        is_((house.posthouse("check").returncode, "secret " in house.posthouse("status").stdout), (0, False), "put back, it is the one")
    is_(waiting(house), ids, "all wait")
    house.restart()
    is_(waiting(house), ids, "after a restart too")
    is_(house.posthouse("queue", "check").stdout, "3 messages verified, 0 taken back, 0 problems\n", "each of them whole")
done()
