#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A crowd that says one byte on each connection: of one network, which leaves the last places to others, and of some, which hold
every session there may be while more wait. Somebody of another network logs in and sends all the same, on each service."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from honest import BUSY, SERVICES, Crowd, is_served  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

SESSIONS, CROWD = 10, 40
ONE = [f"127.7.7.{number}" for number in range(1, 200)]
FIVE = [f"127.{network}.7.{number}" for number in range(1, 20) for network in range(7, 12)]

with House("--users", "1", "--set", f"login.sessions-max {SESSIONS}", "--set", f"smtpd.sessions-max {SESSIONS}") as house:
    for service in SERVICES:
        to = house.env["HOST"], house.port(service)
        crowd = Crowd(*to, ONE, CROWD)
        ok(is_served(service, *to, "127.200.0.1"), f"{service}: with {CROWD} of one network for {SESSIONS} sessions, one of another is served")
        crowd.close()
        crowd = Crowd(*to, FIVE, CROWD)
        ok(is_served(service, *to, "127.200.0.1"), f"and with {CROWD} of five")
        words = b"".join(crowd.said())
        ok(BUSY[service] in words, "some of the crowd have been told that there are too many", words)
        ok(is_served(service, *to, "127.201.0.1"), "and so is the next")
        crowd.close()
    house.stop()
    refused = [line for line in house.log().splitlines() if "event=refused" in line and "client=127.20" in line]
    is_(refused, [], "neither was ever refused")

done()
