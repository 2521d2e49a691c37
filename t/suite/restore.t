#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A mailbox that is put back from a backup, seen through IMAP: no UID names two messages, in folders that had none at the backup either."""
import imaplib
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402


def session(house):
    client = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"), timeout=120)
    client.login("u0001@example.test", "pw")
    return client


def append(house, folder, count=3):
    """UIDVALIDITY and UID of each."""
    client = session(house)
    answers = [client.append(folder, None, None, b"Subject: x\r\n\r\nx\r\n")[1][0] for _ in range(count)]
    client.logout()
    return [tuple(map(int, re.search(rb"APPENDUID (\d+) (\d+)", answer).groups())) for answer in answers]


with House("--users", "1") as house:
    home, backup = house.mailbox("u0001").parent, house.directory / "backup"
    client = session(house)
    client.create("Work")
    for folder in ("INBOX", "Work"):
        client.select(folder)
    client.logout()
    ok((home / "posthouse.reserved").stat().st_size == 192, "the record is there with the home's folders")
    subprocess.run(["cp", "-a", home, backup], check=True)
    given = {"INBOX": [], "Work": []}
    for turn in range(3):
        for folder, seen in given.items():
            seen += append(house, folder)
        if turn == 1:
            shutil.rmtree(home)
        subprocess.run(["cp", "-a", f"{backup}/.", f"{home}/"] if turn != 1 else ["cp", "-a", backup, home], check=True)
    for folder, seen in given.items():
        seen += append(house, folder)
        is_((len(set(seen)), len({validity for validity, _ in seen})), (12, 1), f"{folder}, put back three times: each UID once: {seen}")
    before = append(house, "Work", 1)[0][1]
    (home / "posthouse.reserved").chmod(0o640)
    after = append(house, "Work", 1)[0][1]
    ok(2**20 < after - before < 2**20 + 10000, f"another mode may be a restore, the first of this file: {before}, {after}")
    house.stop()
    ok("sandbox-violation" not in house.log(), "the sandbox allows what that takes")
done()
