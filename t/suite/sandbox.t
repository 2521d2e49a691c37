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

    rows = processes.table()
    house.wait_for("every program's first line", lambda: all(f" {name}[" in house.log() for name in rows))
    levels = dict(re.findall(r" ([\w-]+)\[\d+\]: event=started .*sandbox=\"([^\"]*)\"", house.log()))
    is_(sorted(set(rows) - set(levels)), [], "every program logs its level")
    is_(len(set(levels.values())), 1, f"which is the same for all: {set(levels.values())}")
    if "seccomp" in next(iter(levels.values())):
        running = processes.below(int(house.env["MASTER_PID"]))
        is_([p.name for p in running if p.status["Seccomp"] != "2" or p.status["NoNewPrivs"] != "1"], [], "and the kernel agrees")
    imap.logout()
    house.stop()
    violations = [line for line in house.log().splitlines() if "sandbox-violation" in line or "signal=31" in line]
    is_(violations, [], "nobody asked for what is refused")
done()
