#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A program that hangs is noticed, named and replaced, whatever skeleton it is made of; one that only waits for it, or that
master could not hear, is not. Stopped by a signal, a program hangs as one does that is in an endless loop."""
import imaplib
import os
import pathlib
import re
import signal
import smtplib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
import wirehouse  # noqa: E402
from captured import Captured  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

# Short, and yet so long that a busy machine does not make a program look dead.
TIMEOUT_SECONDS = 12
RESIDENT = [name for name in processes.table() if name not in ("pop3d", "imapd", "local")]
# Its hub; its workers' parent: of an agent, of sessions, under a mailbox owner; its own loop.
HANGING = ["logd", "keyd", "queued", "remote", "pickup", "smtpd", "porter", "imapd"]
MASTER_BEAT = ord("b")


def can_send(house, text):
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as smtp:
        smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], f"Subject: {text}\r\n\r\n{text}\r\n")
    return True


def login(house):
    session = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"), timeout=120)
    session.login("u0001@example.test", "pw")
    return session


def tries(house, action):
    def attempt():
        try:
            return action()
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error):
            return None
    found = []
    house.wait_for("it serves again", lambda: found.append(attempt()) or found[-1])
    return found[-1]


def delivered(house):
    box = house.mailbox("u0001")
    return sum(len(list((box / part).iterdir())) for part in ("new", "cur") if (box / part).is_dir())


def pids(house, names):
    return {name: house.pid(name) for name in names}


def stop(pid):
    os.kill(pid, signal.SIGSTOP)


def status(house):
    return house.posthouse("status").stdout


def unresponsive(house):
    return re.findall(r"event=unresponsive program=([\w-]+) pid=(\d+) uid=\d+ duration_ms=(\d+)", house.log())


with House("--set", f"master.heartbeat-timeout {TIMEOUT_SECONDS}s") as house:
    session = login(house)
    before = pids(house, [*RESIDENT, "imapd"])
    for name in HANGING:
        stop(before[name])
    house.wait_for("porter in the status", lambda: re.search(r"^porter .* up \d+s, not answering for \d+s", status(house), re.M))
    ok(True, "status names a program that does not answer")
    house.wait_for("all in the log", lambda: len(unresponsive(house)) >= len(HANGING))
    is_(sorted(name for name, _, _ in unresponsive(house)), sorted(HANGING), "the log names each that hung, and once")
    is_({name: int(pid) for name, pid, _ in unresponsive(house)}, {name: before[name] for name in HANGING}, "by its process")
    ok(min(int(duration) for _, _, duration in unresponsive(house)) >= TIMEOUT_SECONDS * 1000, "none before its time")
    tries(house, lambda: can_send(house, "after"))
    house.wait_for("delivery", lambda: delivered(house) >= 1)
    ok(True, "mail goes on")
    tries(house, lambda: login(house)).logout()
    ok(True, "and mailboxes can be read")
    house.wait_for("all run again", lambda: "not answering" not in status(house) and "not running" not in status(house))
    after = pids(house, RESIDENT)
    is_([name for name in RESIDENT if after[name] == before[name]], [name for name in RESIDENT if name not in HANGING],
        "those that hung are replaced, the others are not")
    for name in HANGING:
        if name != "imapd":
            line = next(line for line in status(house).splitlines() if line.startswith(name + " "))
            ok(line.endswith(", restarted"), f"status says so of {name}", line)
    session.sock.close()

    # What master did not hear while it stood still itself: longer than anybody may be silent.
    said = len(unresponsive(house))
    master = int(house.env["MASTER_PID"])
    stop(master)
    until = time.monotonic() + 2 * TIMEOUT_SECONDS
    house.wait_for("its timeout to pass twice", lambda: time.monotonic() > until)
    os.kill(master, signal.SIGCONT)
    ok("not answering" not in status(house), "master stopped and continued: nobody is said to be silent", status(house))
    stop(after["bounce"])
    house.wait_for("who hangs now", lambda: len(unresponsive(house)) > said)
    is_([name for name, _, _ in unresponsive(house)[said:]], ["bounce"], "and nobody is killed but who hung afterwards")
    house.wait_for("bounce", lambda: "not running" not in status(house))
    is_({name: pid for name, pid in pids(house, RESIDENT).items() if name != "bounce"},
        {name: pid for name, pid in after.items() if name != "bounce"}, "the others are who they were")

    # Stopped for less than that: a debugger looks in.
    stop(after["dnsd"])
    house.wait_for("dnsd in the status", lambda: re.search(r"^dnsd .*, not answering for", status(house), re.M))
    ok("dnsd is not answering; the log says why" in house.posthouse("check").stderr, "check names who does not answer")
    os.kill(after["dnsd"], signal.SIGCONT)
    house.wait_for("dnsd answers", lambda: "not answering" not in status(house))
    is_(house.pid("dnsd"), after["dnsd"], "one that goes on in time is not killed")

    # Who answers without end, in its own name and in another's.
    captured = Captured(house, "resolved")
    try:
        for number in range(600):
            wirehouse.send(captured.wires["master"], wirehouse.Out(MASTER_BEAT).u32(captured.pid if number % 2 else 1))
        house.wait_for("the flood in the log", lambda: f"event=bad-message peer=resolved type={MASTER_BEAT}" in house.log())
        ok(house.log().count(f"peer=resolved type={MASTER_BEAT}") < 60, "a program that answers without end fills no log")
    finally:
        captured.release()
    house.wait_for("resolved runs again", lambda: "not re" not in status(house) and "not running" not in status(house))
    tries(house, lambda: can_send(house, "at last"))
    house.wait_for("delivery", lambda: delivered(house) >= 2)
    ok(True, "and mail goes on")
done()
