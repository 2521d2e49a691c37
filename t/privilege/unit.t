#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The service unit: the whole house runs with no more capabilities than it gives, and systemd finds little to blame."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import SOURCE, House
from tap import done, is_, ok, skip, skip_all

UNIT = (SOURCE / "conf/posthouse.service.in").read_text()
EXPOSURE_MAX = 4.5


def capabilities():
    return re.search(r"^CapabilityBoundingSet=(.*)$", UNIT, flags=re.M)[1].split()


def bounded():
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in capabilities())
    return ["setpriv", "--bounding-set", "-all," + kept, "--inh-caps", "-all", "--no-new-privs"]


class BoundedHouse(House):
    """t/house, and so master, under the unit's bounding set."""

    def _command(self, *words, check=True):
        run = subprocess.run([*bounded(), sys.executable, str(SOURCE / "t/house"), *map(str, words)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and run.returncode:
            raise RuntimeError(f"t/house {words[0]}: {run.stdout}{run.stderr}")
        return run.stdout


def exposure(directory):
    text = UNIT
    for name in ("libexecdir", "localstatedir", "sbindir"):
        text = text.replace(f"@{name}@", "/usr")
    unit = directory / "posthouse.service"
    unit.write_text(text)
    return subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True)


if os.geteuid() != 0:
    skip_all("needs root: capabilities and uids")
if shutil.which("setpriv") is None:
    skip_all("needs setpriv")

with BoundedHouse() as house:
    status = pathlib.Path(f"/proc/{house.env['MASTER_PID']}/status").read_text()
    held = int(re.search(r"CapBnd:\t(\w+)", status)[1], 16)
    is_(bin(held).count("1"), len(capabilities()), "master has the unit's capabilities and no other")
    is_(re.search(r"NoNewPrivs:\t(\d)", status)[1], "1", "and gains none")
    walk = subprocess.run([sys.executable, str(SOURCE / "t/walk"), str(house.directory), "u0001@example.test", "pw",
                           "u0002@example.test", "pw"], capture_output=True, text=True)
    is_(walk.returncode, 0, "a message goes all the way")
    is_(house.posthouse("reload").returncode, 0, "a reload")
    is_(house.posthouse("check").returncode, 0, "and nothing is wrong")

    result = exposure(house.directory) if shutil.which("systemd-analyze") else None
    found = result and re.search(r"Overall exposure level for posthouse.service: ([\d.]+)", result.stdout)
    if found:
        ok(float(found[1]) < EXPOSURE_MAX, f"systemd-analyze security: {found[1]}", result.stdout)
    else:
        skip("systemd-analyze security", "no systemd-analyze that does it --offline")
done()
