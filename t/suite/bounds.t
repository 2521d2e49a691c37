#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""lib/conf/bounds.def against a running house: each program has the limits that its row says, and uses at most half of them while it
works."""
import contextlib
import imaplib
import os
import pathlib
import poplib
import re
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes
import settings
import wirehouse
from house import SOURCE, House
from tap import done, is_, ok, skip, skip_all

if not os.path.exists("/proc/self/limits"):
    skip_all("needs /proc")
ROOT = os.geteuid() == 0
SESSIONS = 20
MIB = 1 << 20
NAMES = {"SMTPD": "smtpd.sessions-max", "LOGIN": "login.sessions-max", "POP3D": "pop3d.sessions-max", "IMAPD": "imapd.sessions-max",
         "LOCAL": "local.agents-max", "REMOTE": "remote.agents-max", "CLIENTS": "porter.clients-max", "RELAYS": "porter.sessions"}


def rows(house):
    """program -> (memory in bytes, descriptors, processes or None, bytes of a file or None), as the table says for these settings."""
    values = {row[2]: row[3] for row in settings.rows() if row[0] == "setting"}
    conf = (pathlib.Path(house.env["CONF"]) / "posthouse.conf").read_text()
    values.update(re.findall(r"^(\S+) +(\S+)$", conf, re.M))
    known = {name: int(values[key]) for name, key in NAMES.items()}
    known["NO_BOUND"] = None
    files = {"NONE": 0, "MESSAGE": (50 + 64) * MIB, "LARGE": 4096 * MIB, "ANY": None}
    found = {}
    for name, *columns, file in re.findall(r'^BOUND\("([\w-]+)", ([^,]+), ([^,]+), ([^,]+), (\w+)\)$', (SOURCE / "lib/conf/bounds.def").read_text(), re.M):
        memory, descriptors, count = (eval(text.replace("/", "//"), {}, known) for text in columns)
        found[name] = memory * MIB, descriptors, count, files[file]
    return found


def readers():
    """A program whose row has a setting is replaced when that changes."""
    known = {row[2]: row[6].split() for row in settings.rows() if row[0] == "setting"}
    missing = [(program, key) for program, row in re.findall(r'^BOUND\("([\w-]+)", (.*)\)$', (SOURCE / "lib/conf/bounds.def").read_text(), re.M)
               for name, key in NAMES.items() if re.search(rf"\b{name}\b", row) and program not in known[key]]
    is_(missing, [], "who is bounded by a setting is one of its readers")


def limits(pid):
    """Hard limits by name; None: unlimited."""
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): None if line[47:68].strip() == "unlimited" else int(line[47:68]) for line in lines}


def running(house):
    return processes.below(int(house.env["MASTER_PID"]))


def not_above(value, bound):
    return bound is None or (value is not None and value <= bound)


def held(house, table):
    all_of_them = running(house)
    parents = {p.pid: p.name for p in all_of_them}
    is_(sorted(set(table) - {p.name for p in all_of_them}), [], "every program of the table runs")
    is_(sorted({p.name for p in all_of_them} - set(table)), [], "and no other")
    for column, key in enumerate(("Max data size", "Max open files", "Max processes", "Max file size")):
        if key == "Max processes" and not ROOT:
            skip(key, "the processes of a private instance are its user's")
            continue
        if key == "Max data size" and wirehouse.sanitized():
            skip(key, "the sanitizers need more")
            continue
        wrong = [(p.name, limits(p.pid)[key], table[p.name][column]) for p in all_of_them
                 if not not_above(limits(p.pid)[key], table[p.name][column])]
        is_(wrong, [], f"{key}: nobody has more than the table says")
    workers = [p for p in all_of_them if parents.get(p.parent) == p.name]
    ok(workers and (wirehouse.sanitized() or not [p.name for p in workers if limits(p.pid)["Max address space"] is None]), "workers have less still")
    is_([p.name for p in all_of_them if p not in workers and limits(p.pid)["Max open files"] < min(table[p.name][1], 4096)], [],
        "parents have what it says")


def master_held(house, table):
    """Its own limit is the soft one, since those that it starts would inherit another; half of it is left."""
    master = processes.Process(int(house.env["MASTER_PID"]))
    line = next(line for line in pathlib.Path(f"/proc/{master.pid}/limits").read_text().splitlines() if line.startswith("Max data size"))
    if wirehouse.sanitized():
        skip("master has the memory that its row says", "the sanitizers need more")
    else:
        is_(line[26:47].strip(), str(table[0]), "master has the memory that its row says")
    data = used(master)["Max data size"]
    print(f"# master: Max data size {data}")
    ok(wirehouse.sanitized() or 2 * data < table[0], "and uses less than half of it")


def used(p):
    numbers = {key: int(p.status[key].split()[0]) for key in ("VmData", "VmPeak")}
    return {"Max data size": numbers["VmData"] << 10, "Max address space": numbers["VmPeak"] << 10,
            "Max open files": len(p.descriptors()) if ROOT else 0}


def half(house):
    """Under the present load."""
    above, most = [], {}
    for p in running(house):
        bounds = limits(p.pid)
        for key, value in used(p).items():
            if bounds[key] is not None and 2 * value > bounds[key]:
                above.append((p.name, key, value, bounds[key]))
            most[p.name, key] = max(most.get((p.name, key), 0), value)
    is_(above, [], "nobody uses more than half of a limit")
    for (name, key), value in sorted(most.items()):
        print(f"# {name}: {key} {value}")
    if ROOT:
        uids = {}
        for p in running(house):
            uids.setdefault(p.numbers("Uid")[0], []).append(p)
        is_([(ps[0].name, len(ps)) for ps in uids.values() for p in ps
             if limits(p.pid)["Max processes"] and 2 * len(ps) > limits(p.pid)["Max processes"]], [], "nor of the processes")


with House("--users", "3") as house, contextlib.ExitStack() as open_ones:
    host = house.env["HOST"]
    large = "Subject: large\r\n\r\n" + ("0123456789" * 7 + "\r\n") * 100000
    for i in range(SESSIONS):
        smtp = open_ones.enter_context(smtplib.SMTP(host, house.port("SUBMISSION"), timeout=120))
        smtp.login("u0001@example.test", "pw")
        smtp.sendmail("u0001@example.test", ["u0002@example.test"], large if i == 0 else "Subject: x\r\n\r\nx\r\n")
        imap = imaplib.IMAP4(host, house.port("IMAP"), timeout=120)
        imap.login("u0002@example.test", "pw")
        imap.select()
        imap.search(None, "TEXT", "x")
        open_ones.callback(imap.logout)
    pop = poplib.POP3(host, house.port("POP3"), timeout=120)
    pop.user("u0003@example.test")
    pop.pass_("pw")
    open_ones.callback(pop.quit)
    smtp.sendmail("u0001@example.test", ["u0002@example.test", "x@nowhere.invalid"], "Subject: to dnsd\r\n\r\nx\r\n")
    house.wait_for("deliveries", lambda: len(list((house.mailbox("u0002") / "new").glob("*")) + list((house.mailbox("u0002") / "cur").glob("*"))) > SESSIONS)
    house.wait_for("a worker of dnsd", lambda: any(p.name == "dnsd" and p.parent == house.pid("dnsd") for p in running(house)))
    table = rows(house)
    readers()
    master_held(house, table.pop("master"))
    held(house, table)
    half(house)
    is_([line for line in house.log().splitlines() if "event=limit-reached" in line], [], "no limit was reached")
done()
