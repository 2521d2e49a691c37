#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""kill -9 of any program at any time: no acknowledged message is lost, and the house mends itself.

Senders send without pause while programs, chosen in turn, parents and workers alike, are killed; then the senders
stop, and every message that was answered 250 must be in its mailbox (twice is allowed, POP3 and IMAP must serve),
with an empty queue and without anybody's hand.  The last victim is master.
"""
import imaplib
import os
import pathlib
import poplib
import re
import signal
import smtplib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from processes import table  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

VICTIMS = [name for name in table() if name not in ("pop3d", "imapd")]
ROUNDS, SENDERS = 3, 4
SENT_BETWEEN = 12  # messages that go through between two kills

# No attempt but the first is made within the time of this test: what a death spoils is repeated by itself.
house = House("--users", "4", "--set", "queue.retry-first 1h")
acknowledged, tried = set(), 0
lock, moved = threading.Lock(), threading.Condition()
stopping = threading.Event()


def sender(number):
    global tried
    while not stopping.is_set():
        try:
            with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as smtp:
                while not stopping.is_set():
                    with lock:
                        tried += 1
                        name = f"m{tried:06d}"
                    smtp.sendmail("a@elsewhere.test", [f"u000{1 + tried % 4}@example.test"],
                                  f"Subject: {name}\r\nMessage-ID: <{name}@test>\r\n\r\n{name}\r\n" + "x" * 2000 + "\r\n")
                    with moved:
                        acknowledged.add(name)
                        moved.notify_all()
        except (OSError, smtplib.SMTPException):
            # Refused or cut off: not acknowledged. The next connection succeeds when the house serves again.
            with moved:
                moved.wait(0.05)


def wait_progress(count):
    with moved:
        wanted = len(acknowledged) + count
        return moved.wait_for(lambda: len(acknowledged) >= wanted, 300)


def processes(program):
    """The program's parent and its workers."""
    parents = house._command("pid", house.directory, program, check=False).split()
    pids = []
    for pid in parents:
        try:
            pids += pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            pass
        pids.append(pid)
    return [int(pid) for pid in pids]


def kill_one(program, round_number):
    """Another of its processes in each round: first a worker if it has any, then the parent."""
    pids = processes(program)
    if not pids:
        return False
    pid = pids[0] if round_number % 2 == 0 else pids[-1]
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def is_program(pid):
    """Alive, and not just waiting to be reaped."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def delivered():
    names = {}
    for user in range(1, 5):
        box = house.mailbox(f"u000{user}")
        for part in ("new", "cur"):
            for path in (box / part).glob("*") if (box / part).is_dir() else []:
                found = re.search(rb"^Subject: (m\d+)", path.read_bytes(), re.M)
                if found:
                    names[found[1].decode()] = names.get(found[1].decode(), 0) + 1
    return names


with house:
    threads = [threading.Thread(target=sender, args=(n,), daemon=True) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    ok(wait_progress(SENT_BETWEEN), "mail flows")
    for round_number in range(ROUNDS):
        killed = 0
        for program in VICTIMS:
            killed += kill_one(program, round_number)
            if not wait_progress(SENT_BETWEEN):
                ok(False, f"mail flows again after {program} was killed", house.log()[-3000:])
        ok(killed >= len(VICTIMS) - 1, f"round {round_number + 1}: {killed} programs killed, and mail went on after each")
    master = int(house.env["MASTER_PID"])
    children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
    os.kill(master, signal.SIGKILL)
    house.wait_for("the house falls with its master", lambda: not any(is_program(pid) for pid in children))
    stopping.set()
    for thread in threads:
        thread.join(300)
    house.restart()
    house.wait_for("the queue empties by itself", house.queue_is_empty, 300)
    found = delivered()
    lost = sorted(acknowledged - set(found))
    is_(lost, [], "every acknowledged message is in its mailbox")
    note(f"{tried} tried, {len(acknowledged)} acknowledged, {sum(found.values()) - len(found)} delivered twice")
    with imaplib.IMAP4(house.env["HOST"], house.port("IMAP")) as imap:
        imap.login("u0001@example.test", "pw")
        count = int(imap.select("INBOX")[1][0])
    pop = poplib.POP3(house.env["HOST"], house.port("POP3"), timeout=120)
    pop.user("u0001@example.test")
    pop.pass_("pw")
    is_((count, pop.stat()[0]), (len(list(house.mailbox("u0001").glob("[nc]*/*"))),) * 2, "IMAP and POP3 serve them all")
    pop.quit()

done()
