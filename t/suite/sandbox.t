#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every program of a running house is in the sandbox, as the log says and as the kernel says; and mail goes through it
without anybody asking for what is refused."""
import imaplib
import os
import pathlib
import poplib
import re
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes
from house import House
from tap import done, is_, ok, skip_all

if not os.path.exists("/proc/self/status"):
    skip_all("needs /proc")

# Whose children are workers, and how many sockets one holds at most: its parent's and its hub's line, those it has asked
# for, the log's, and its client or host.
SERVICES = {"smtpd": 8, "pop3-login": 5, "imap-login": 5, "remote": 5, "bounce": 4, "local": 3, "imapd": 3, "pop3d": 3,
            "dnsd": 3, "authd": 2}
FORKS_NOT, MEMORY_MOST, DESCRIPTORS_MOST, DESCRIPTORS_MOST_OF_SENDERS = 0, 4 << 30, 256, 4096


def limits(pid):
    """Soft limits by name; None: unlimited."""
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): None if line[26:47].strip() == "unlimited" else int(line[26:47]) for line in lines}


def check_workers(house, running):
    parents = {p.pid: p.name for p in running}
    workers = [p for p in running if parents.get(p.parent) == p.name and p.name in SERVICES]
    seen = {p.name for p in workers}
    is_(sorted({"smtpd", "pop3-login", "imap-login", "remote", "bounce", "local", "imapd", "authd", "dnsd"} - seen), [],
        "a worker of every service is there")
    is_([p.name for p in workers if int(p.status.get("Seccomp_filters", "2")) < 2], [], "each has a filter below its parent's")
    def descriptors_most(p):
        return DESCRIPTORS_MOST_OF_SENDERS if p.name in ("smtpd", "pop3-login", "imap-login") else DESCRIPTORS_MOST

    for key, most in (("Max processes", lambda p: FORKS_NOT), ("Max address space", lambda p: MEMORY_MOST),
                      ("Max open files", descriptors_most)):
        is_([(p.name, limits(p.pid)[key]) for p in workers if limits(p.pid)[key] is None or limits(p.pid)[key] > most(p)], [],
            f"with its limit: {key}")
    if os.geteuid() != 0:
        ok(True, "what workers hold # SKIP only root may look at their descriptors")
        return
    log_is_file = not processes.Process(house.pid("smtpd")).descriptors().get(2, "").startswith(("pipe:", "socket:"))
    if not log_is_file:
        is_([(p.name, limits(p.pid)["Max file size"]) for p in workers
             if p.name not in ("imapd", "pop3d", "local") and limits(p.pid)["Max file size"] is None], [],
            "and one on the size of files")
    held = {}
    for p in workers:
        held[p.name] = [what for fd, what in p.descriptors().items() if fd > 2]
    is_({name: what for name, what in held.items() if sum(one.startswith("socket:") for one in what) > SERVICES[name]}, {},
        "none holds more sockets than it needs")
    is_([name for name, what in held.items() if any("anon_inode:[eventpoll]" in one for one in what)], [],
        "nor its parent's loop")
    wires = {what for p in running if p.name in SERVICES and parents.get(p.parent) != p.name for what in p.descriptors().values()
             if what.startswith("socket:")}
    is_([(p.name, fd) for p in workers for fd, what in p.descriptors().items() if what in wires and fd > 2], [],
        "and no wire that is its parent's")


with House("--users", "2") as house:
    host = house.env["HOST"]
    with smtplib.SMTP(host, house.port("SUBMISSION"), timeout=60) as smtp:
        smtp.login("u0001@example.test", "pw")
        smtp.sendmail("u0001@example.test", ["u0002@example.test", "nobody@example.test"][:1], "Subject: x\r\n\r\nx\r\n")
    house.wait_for("delivery", lambda: list((house.mailbox("u0002") / "new").glob("*")))
    pop = poplib.POP3(host, house.port("POP3"), timeout=60)
    pop.user("u0002@example.test")
    pop.pass_("pw")
    is_(len(pop.list()[1]), 1, "POP3 reads it")
    pop.quit()
    imap = imaplib.IMAP4(host, house.port("IMAP"))
    imap.login("u0002@example.test", "pw")
    imap.select()
    ok(b"Subject: x" in imap.fetch("1", "(BODY[])")[1][0][1], "IMAP reads it")

    with smtplib.SMTP(host, house.port("SUBMISSION"), timeout=60) as smtp:
        smtp.login("u0001@example.test", "pw")
        smtp.sendmail("u0001@example.test", ["x@nowhere.invalid"], "Subject: to dnsd\r\n\r\nx\r\n")
    house.wait_for("a question to dnsd", lambda: any(p.name == "dnsd" and p.parent == house.pid("dnsd")
                                                     for p in processes.below(int(house.env["MASTER_PID"]))))

    rows = processes.table()
    found = lambda: dict(re.findall(r" ([\w-]+)\[\d+\]: event=started .*sandbox=\"([^\"]*)\"", house.log()))  # noqa: E731
    house.wait_for("every program's level in the log", lambda: set(rows) <= set(found()))
    levels = found()
    ok(True, "every program logs its level")
    is_(len(set(levels.values())), 1, f"which is the same for all: {set(levels.values())}")
    if "seccomp" in next(iter(levels.values())):
        running = processes.below(int(house.env["MASTER_PID"]))
        is_([p.name for p in running if p.status["Seccomp"] != "2" or p.status["NoNewPrivs"] != "1"], [], "and the kernel agrees")
        check_workers(house, running)
    imap.logout()
    house.stop()
    violations = [line for line in house.log().splitlines() if "sandbox-violation" in line or "signal=31" in line]
    is_(violations, [], "nobody asked for what is refused")
done()
