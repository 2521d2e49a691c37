#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Many sessions at once, each in a process of its own: all are served, up to the limit, and the next is told so."""
import pathlib
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

SESSIONS = 180  # more than the lines one process may have with a hub: a parent dials for all its workers

# Of one network not all could be without a transaction: the last are kept for others, and nearly all in use, those who do
# nothing have less time.
with House("--set", f"smtpd.sessions-max {SESSIONS}", "--set", "smtpd.timeout 1h") as house:
    clients = []
    for _ in range(SESSIONS):
        client = smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60)
        is_good = client.ehlo()[0] == 250 and client.mail("a@elsewhere.test")[0] == 250
        clients.append((client, is_good))
    is_(sum(good for _, good in clients), SESSIONS, f"{SESSIONS} sessions at once, each with a transaction")
    ok(all(client.rcpt("u0001@example.test")[0] == 250 for client, _ in clients), "each goes on with it")
    for client, _ in clients:
        client.close()
    house.stop()
    ok("event=wire-refused" not in house.log(), "and no line was refused")

done()
