#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A house that has too few descriptors for its TLS clients, or for its mailbox owners: some of them are refused, and it
lives on."""
import os
import pathlib
import poplib
import resource
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House, SOURCE  # noqa: E402
from tap import done, is_, ok, skip_all  # noqa: E402

# master itself needs some hundred: both ends of each wire, and of each pipe to the log.
CLIENTS, FEW = 90, 140


class Poor(House):
    """Started under a hard limit of descriptors that no program of it can raise."""

    def _command(self, *words, check=True):
        done = subprocess.run([sys.executable, str(SOURCE / "t/house"), *map(str, words)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW)))
        if check and done.returncode:
            raise RuntimeError(f"t/house {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout


def connect(house):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s = socket.create_connection((house.env["HOST"], house.port("IMAPS")), timeout=120)
    try:
        return context.wrap_socket(s)
    except OSError:
        s.close()
        return None


# The kernel counts descriptors under way between programs for the user, and holds the sum against the limit of the
# one that sends, unless it is root: the tests beside this one would decide.
if os.geteuid() != 0:
    skip_all("needs root: other tests of the same user have descriptors under way")

with Poor("--set", "porter.clients-per-address 1000") as house:
    porter = house.pid("porter")
    greeted = []
    for _ in range(CLIENTS):
        client = connect(house)
        if client is None:
            break
        try:
            if client.recv(1000).startswith(b"* OK"):
                greeted.append(client)
        except OSError:
            break
    ok(len(greeted) > 10, f"{len(greeted)} TLS clients are greeted")
    served = refused = 0
    for client in greeted:
        try:
            client.sendall(b"a CAPABILITY\r\n")
        except OSError:
            pass
    for client in greeted:
        try:
            answer = client.recv(1000)
        except OSError:
            answer = b""
        served += answer.startswith(b"* CAPABILITY")
        refused += not answer.startswith(b"* CAPABILITY")
    for client in greeted:  # only now: what one leaves another would get
        client.close()
    ok(served > 0 and refused > 0, f"when they speak {served} are served and {refused} are not")
    is_(house.pid("porter"), porter, "porter is the same process")
    house.wait_for("its word", lambda: "event=relay-failed" in house.log())
    lines = house.log().count("event=relay-failed")
    ok(0 < lines < 30, f"and says so about once a second ({lines} lines)")

    def again():
        client = connect(house)
        if client is None:
            return False
        try:
            client.sendall(b"a LOGOUT\r\n")
            return b"a OK" in b"".join(iter(lambda: client.recv(1000), b""))
        except OSError:
            return False
    house.wait_for("a client that comes later", again)
    ok(True, "a client that comes when the others have left is served")

# Each with a uid, and so with a process, of their own.
OWNERS = 40
with Poor("--users", OWNERS) as house:
    users = pathlib.Path(house.env["CONF"]) / "users.map"
    rows = users.read_text().splitlines()
    for number in range(OWNERS):
        rows[number] += f" uid={620000 + number} gid={620000 + number}"
        home = pathlib.Path(house.env["MAILROOT"]) / f"u{number + 1:04d}"
        home.mkdir(mode=0o700)
        os.chown(home, 620000 + number, 620000 + number)
    users.write_text("\n".join(rows) + "\n")
    is_((house.posthouse("build").returncode, house.posthouse("reload").returncode), (0, 0), "mailboxes with owners of their own")
    master = int(house.env["MASTER_PID"])

    def login(number):
        try:
            client = poplib.POP3(house.env["HOST"], house.port("POP3"), timeout=120)
            client.user(f"u{number + 1:04d}@example.test")
            client.pass_("pw")
            client.stat()
            return client
        except (OSError, EOFError, poplib.error_proto):
            return None
    sessions = [client for client in map(login, range(OWNERS)) if client]
    ok(0 < len(sessions) < OWNERS, f"of {OWNERS} owners {len(sessions)} are served")
    house.wait_for("the refusal's word", lambda: 'reason="too many programs of mailbox owners"' in house.log())
    ok(os.path.exists(f"/proc/{master}") and house.logs("event=limit owners="), "the others are refused, and the log says so")
    # One whose client was not given to it in the end is there until it has heard so.
    house.wait_for("the end of the others", lambda: house.posthouse("status").stdout.count("pop3d ") <= len(sessions))
    status = house.posthouse("status")
    is_((status.returncode, status.stdout.count("pop3d ")), (0, len(sessions)), "status shows those that are served")
    for client in sessions:
        client.quit()

done()
