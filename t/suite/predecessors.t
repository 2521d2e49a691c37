#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Programs that were replaced finish their last clients, and are not many: past a number the one with the fewest ends, and never
the one that serves now."""
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
import settings  # noqa: E402
import wirehouse  # noqa: E402
from house import House  # noqa: E402
from lineclient import LineClient  # noqa: E402
from tap import done, is_, ok  # noqa: E402

FEWEST = 3 if os.geteuid() == 0 or wirehouse.sanitized() else 0  # whom the system tells nothing of another's descriptors takes the oldest
MOST = int(re.search(r"PREDECESSORS_MAX = (\d+)", (settings.SOURCE / "master/predecessors.h").read_text())[1])


def porters(house):
    master = int(house.env["MASTER_PID"])
    return [p.pid for p in processes.below(master) if p.parent == master and p.name == "porter"]


def replace_porter(house):
    """Until the one of before has heard of it, it may still take a client."""
    before = house.pid("porter")
    house.other_binaries("porter")
    code = house.posthouse("reload").returncode
    house.wait_for("it to retire", lambda: f"porter[{before}]: event=retiring" in house.log())
    return code


def ended(house):
    return [int(pid) for pid in re.findall(r"event=predecessor-ended program=porter pid=(\d+)", house.log())]


def goes_on(client):
    return client.ask("a NOOP").startswith("a OK")


with House("--set", "porter.clients-per-address 1000", "--set", "porter.clients-per-network 1000") as house:
    crowds, codes, pids = [], [], []
    for number in range(MOST):
        crowds.append([LineClient(house, "IMAP") for _ in range(1 if number == FEWEST else 2)])
        pids.append(house.pid("porter"))
        codes.append(replace_porter(house))
    live = house.pid("porter")
    is_((codes, len(porters(house))), ([0] * MOST, MOST + 1), f"{MOST} predecessors, each with clients")
    is_(ended(house), [], "none is asked to end")
    clients = [LineClient(house, "IMAP") for _ in range(2)]
    is_(replace_porter(house), 0, "one more")
    house.wait_for("the log to say so", lambda: ended(house))
    is_(ended(house), [pids[FEWEST]], "the one with the fewest clients is")
    house.wait_for("its end", lambda: pids[FEWEST] not in porters(house))
    crowds[FEWEST][0].line()
    is_(crowds[FEWEST][0].line(), "", "whose client is told and leaves")
    is_([n for n, crowd in enumerate(crowds) if n != FEWEST and not all(map(goes_on, crowd))], [], "those of all others go on")
    ok(all(map(goes_on, clients)), "so do those of the last")
    with LineClient(house, "IMAP") as client:
        ok(goes_on(client) and house.pid("porter") not in (live, *pids), "the one that serves now serves")
    for client in [client for crowd in [clients, *crowds] for client in crowd]:
        client.close()
    house.wait_for("the predecessors to end", lambda: len(porters(house)) == 1)
    ok("event=died" not in house.log(), "all end when their clients are gone")
done()
