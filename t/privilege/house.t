#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The house as root starts it, held against master/house.c: every process has the uid of its row and no other, its jail,
the sandbox, and no descriptor of a file that it should not have."""
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

if os.geteuid() != 0:
    skip_all("needs root: uids and chroot")
if not os.path.exists("/proc/self/status"):
    skip_all("needs /proc")

# Regular files and directories that may be open for good: what, and for writing?
FILES = {
    "logd": [(r"/log$", True)],
    "authd": [(r"/passwords\.cdb$", False), (r"^/memfd:authd ", True)],  # master/kept.h
    "resolved": [(r"/(users|domains|aliases|routes|access|settings)\.cdb$", False)],
    "porter": [(r"/tls\.cdb$", False), (r"^/memfd:porter ", True)],
    "keyd": [(r"/keys(/|$)", False)],
    "queued": [(r"/queue(/|$)", True)],
    "pickup": [(r"/drop(/|$)", True)],
    "imapd": [(r"/mail/u0001(/|$)", True)],
    "pop3d": [(r"/mail/u0001(/|$)", True)],
    "local": [(r"/mail/u0001(/|$)", True), (r"/queue/", False)],
}


def check_files(process, house):
    wrong = []
    for fd, target in process.descriptors().items():
        if not target.startswith("/") or target == "/dev/null":
            continue
        rule = next((rule for rule in FILES.get(process.name, []) if re.search(rule[0], target)), None)
        if rule is None or (process.access(fd) != os.O_RDONLY and not rule[1]):
            wrong.append(f"{fd} -> {target}")
    return wrong


def check(process, house, rows, uids):
    account, root = rows[process.name]
    what = f"{process.name}[{'parent' if process.parent == int(house.env['MASTER_PID']) else 'worker'}]"
    is_(set(process.numbers("Uid")), {uids[account]}, f"{what} is {account}, really and for good")
    is_((set(process.numbers("Gid")), process.status["Groups"].split()), ({uids[account]}, []), f"{what} has no other group")
    is_([process.status[f"Cap{kind}"] for kind in ("Prm", "Eff", "Inh", "Amb")], ["0" * 16] * 4, f"{what} has no capability")
    is_(process.status["NoNewPrivs"], "1", f"{what} gains none")
    is_(process.status.get("Seccomp"), "2", f"{what} has a filter of system calls")
    jail = process.root()
    if root == "NONE":
        is_(jail, "/", f"{what} has no jail, but the sandbox")
    else:
        ok(jail.startswith(str(house.directory)), f"{what} is in its jail", jail)
    if root == "EMPTY":
        st = os.stat(jail)
        ok(os.listdir(jail) == [] and st.st_uid == 0 and not st.st_mode & 0o022, f"{what}: which is empty and root's")
    is_(check_files(process, house), [], f"{what} holds no file it should not")
    if process.parent != int(house.env["MASTER_PID"]):
        is_(parents_wires(process), [], f"{what} holds no wire that is its parent's")
        is_([target for target in process.descriptors().values() if target.startswith("/memfd:")], [], f"{what} nor what its parent keeps for a successor")


def parents_wires(process):
    """A worker with the wire on which clients, jobs or sessions of others come could take them, and end it for all."""
    parent = processes.Process(process.parent)
    given = dict(entry.split("=") for entry in parent.environment()["POSTHOUSE_FDS"].split(","))
    ends = {parent.descriptors().get(int(fd)): name for name, fd in given.items()
            if name == "master" or name.endswith(".connection") or name == "queued.job"}
    return sorted(ends[target] for target in set(process.descriptors().values()) if target in ends)


with House("--users", "2") as house:
    # Everybody at work: sessions that stay open, and a delivery.
    smtp = smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60)
    smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n")
    house.wait_for("delivery", lambda: list((house.mailbox("u0001") / "new").glob("*")))
    imap = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"))
    waiting = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"))
    waiting.noop()
    pop = poplib.POP3(house.env["HOST"], house.port("POP3"), timeout=60)
    pop.user("u0001")
    imap.login("u0001@example.test", "pw")
    imap.select()
    rows, base = processes.table(), 610000
    uids = {name: base + number for number, name in enumerate(processes.accounts())}
    running = processes.below(int(house.env["MASTER_PID"]))
    names = {process.name for process in running}
    is_(sorted(names - set(rows)), [], "there are no other programs")
    is_(sorted(name for name in rows if name not in names and name not in ("pop3d", "local")), [], "and all are there")
    for process in sorted(running, key=lambda p: p.name):
        check(process, house, rows, uids)
    pop.pass_("pw")
    for process in processes.below(int(house.env["MASTER_PID"])):
        if process.name == "pop3d":
            check(process, house, rows, uids)
    for session in (imap.logout, waiting.logout, pop.quit, smtp.quit):
        session()
    house.stop()
    violations = [line for line in house.log().splitlines() if "sandbox-violation" in line or "signal=31" in line]
    is_(violations, [], "nobody asked for what is refused")
done()
