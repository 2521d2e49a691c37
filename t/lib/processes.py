# SPDX-License-Identifier: ISC
"""What /proc says of the programs of a running house: for the tests that hold it against master's table."""
import os
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent


class Process:
    def __init__(self, pid):
        self.pid = pid
        place = pathlib.Path(f"/proc/{pid}")
        self.status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines() if ":\t" in line)
        self.name = self.status["Name"]
        self.parent = int(self.status["PPid"])

    def numbers(self, key):
        return [int(n) for n in self.status[key].split()]

    def root(self):
        return os.readlink(f"/proc/{self.pid}/root")

    def environment(self):
        entries = pathlib.Path(f"/proc/{self.pid}/environ").read_text(errors="replace").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    def descriptors(self):
        """What they are: socket:[..], /path, anon_inode:.. ; without those that were closed meanwhile."""
        found = {}
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found[int(fd)] = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            except OSError:
                pass
        return found

    def access(self, fd):
        """The access mode of a descriptor: os.O_RDONLY, O_WRONLY or O_RDWR."""
        flags = re.search(r"flags:\s*(\d+)", pathlib.Path(f"/proc/{self.pid}/fdinfo/{fd}").read_text()).group(1)
        return int(flags, 8) & os.O_ACCMODE


def children(pid):
    """The numbers of the processes that this one started."""
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def below(master):
    """Every process below this one."""
    everyone = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                everyone.append(Process(int(entry)))
            except (OSError, KeyError):
                pass
    found, parents = [], {master}
    while parents:
        children = [p for p in everyone if p.parent in parents]
        found += children
        parents = {p.pid for p in children}
    return found


def table():
    """master/house.c's rows: program -> (account, root)."""
    text = (SOURCE / "master/house.c").read_text()
    return {name: (account, root) for name, account, root in
            re.findall(r'\[HOUSE_\w+\]\s*=\s*\{\s*"([\w-]+)",\s*ACCOUNT_(\w+),\s*ROOT_(\w+)', text)}


def accounts():
    """lib/conf/accounts.def's names in their order, which is that of the numbers from account.base on."""
    return re.findall(r"^ACCOUNT\((\w+)", (SOURCE / "lib/conf/accounts.def").read_text(), re.M)
