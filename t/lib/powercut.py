# SPDX-License-Identifier: ISC
"""Disks whose power can be cut, for t/fault/powercut.t.

    enter_namespaces()                 everything here happens in mounts, processes and a network of our own, so that
                                       nothing is left however the test ends
    with Disks(place, "ext4", 2) as disks:
        disks.mount(0, "/somewhere"); ...; disks.count(); ...
    cutter = Cutter(disks, seed)
    cutter.cut(n)                      images of what the disks may hold when the power goes after n records
    with mounted(image, "ext4", path): ...

A disk keeps what was written before its last flush. Of what was written after it any part may be there, in any order,
and a write that was under way may be there in part, sector by sector.
"""
import bisect
import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys

import wirehouse

RECORD = struct.Struct("<IIQQ")  # kind, disk, offset, length: powercut-disk.c
WRITE, FLUSH = 1, 2
SECTOR, TORN = 512, 0.2  # of the writes that are kept behind the last flush
# MB; the file system made as small as it lets itself; mount options.
SYSTEMS = {
    "ext4": (192, ["mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"], ""),
    "xfs": (320, ["mkfs.xfs", "-q", "-f", "-K"], ""),
    "btrfs": (320, ["mkfs.btrfs", "-q", "-K", "-m", "single", "-d", "single"], "nodiscard"),
}
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LO_FLAGS_AUTOCLEAR, BLKFLSBUF = 0x4C0A, 0x4C82, 4, 0x1261
MS_BIND, MNT_DETACH = 4096, 2
_libc = ctypes.CDLL(None, use_errno=True)


class CannotMount(Exception):
    pass


# ---- where it happens ----

def program():
    return wirehouse.build_directory() / "t/fault/powercut-disk"


def missing(system):
    """Why there can be no such disk here, or None."""
    if os.geteuid() != 0:
        return "only root can mount"
    if not program().exists():
        return "built without libfuse3 (Debian: libfuse3-dev)"
    for path in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(path, os.O_RDWR))
        except OSError as failed:
            return f"{path}: {failed.strerror}"
    if not shutil.which(SYSTEMS[system][1][0]):
        return f"no {SYSTEMS[system][1][0]} here"
    return None if _kernel_has(system) else f"this kernel has no {system}"


def _kernel_has(system):
    def listed():
        return system in pathlib.Path("/proc/filesystems").read_text().split()
    if not listed() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", system], stderr=subprocess.DEVNULL)
    return listed()


def enter_namespaces():
    """Starts this test again in namespaces of its own; returns there."""
    if os.environ.get("POWERCUT_INSIDE"):
        _loopback_up()
        return None
    words = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode:
        return "no namespaces here"
    os.environ["POWERCUT_INSIDE"] = "1"
    sys.stdout.flush()
    os.execvp(words[0], [*words, sys.executable, *sys.argv])


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def mount(source, target, system=None, flags=0, options=""):
    words = (os.fsencode(source), os.fsencode(target), os.fsencode(system) if system else None)
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None):
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}: {os.strerror(ctypes.get_errno())}")


def unmount(target, detach=False):
    """detach: it goes when its last user does."""
    if _libc.umount2(os.fsencode(target), MNT_DETACH if detach else 0):
        raise OSError(ctypes.get_errno(), f"unmount {target}: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def loop_device(path):
    """A device on this file, which goes with its last user. One for each file: a device that had another one may still
    show that."""
    with open(path, "r+b") as file, open("/dev/loop-control", "r+b", buffering=0) as control:
        while True:
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            name = f"/dev/loop{number}"
            if not os.path.exists(name):  # a container's /dev
                os.mknod(name, stat.S_IFBLK | 0o600, os.makedev(7, number))
            device = os.open(name, os.O_RDWR)
            info = struct.pack("<52xI176x", LO_FLAGS_AUTOCLEAR)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, struct.pack("<II", file.fileno(), 0) + info + bytes(64))
                break
            except OSError as failed:  # somebody else was quicker
                os.close(device)
                if failed.errno != errno.EBUSY:
                    raise
    try:
        fcntl.ioctl(device, BLKFLSBUF)
        yield name
    finally:
        os.close(device)


@contextlib.contextmanager
def mounted(image, system, target):
    with loop_device(image) as device:
        try:
            mount(device, target, system, options=SYSTEMS[system][2])
        except OSError as failed:
            raise CannotMount(str(failed)) from failed
    try:
        yield
    finally:
        unmount(target)


# ---- recording ----

class Disks:
    """`number` disks with a file system each, in a tmpfs at `place`."""

    def __init__(self, place, system, number):
        self.place, self.system, self.number = pathlib.Path(place), system, number
        self.shown = self.place / "disks"

    def __enter__(self):
        self.shown.mkdir()
        for n in range(self.number):
            with open(self.place / f"disk{n}", "wb") as file:
                file.truncate(SYSTEMS[self.system][0] << 20)
            subprocess.run([*SYSTEMS[self.system][1], str(self.place / f"disk{n}")], check=True, stdout=subprocess.DEVNULL)
            copy_sparse(self.place / f"disk{n}", self.place / f"base{n}")
        self.process = subprocess.Popen([str(program()), str(self.shown), str(self.place)], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("powercut-disk does not start")
        with open(self.place / "count", "rb") as file:
            self.page = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        return self

    def __exit__(self, *_):
        self.records = self.count()
        self.page.close()
        unmount(self.shown, detach=True)
        self.process.wait()

    def count(self):
        """Records so far: read it when the answer is there, and the cut after it must keep what was answered."""
        return self.records if self.page.closed else int.from_bytes(self.page[:8], sys.byteorder)

    def mounted(self, number, target):
        return mounted(self.shown / f"disk{number}", self.system, target)


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


# ---- cutting ----

class Cutter:
    """Cuts must come in ascending order: what is flushed is written to the base only once."""

    def __init__(self, disks, seed):
        self.place, self.system, self.random = disks.place, disks.system, random.Random(seed)
        with open(self.place / "log", "rb") as file:
            self.log = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.writes = [[] for _ in range(disks.number)]  # number of the record, offset, length, where its bytes are
        self.flushes = [[] for _ in range(disks.number)]
        at = number = 0
        while at < len(self.log):
            kind, disk, offset, length = RECORD.unpack_from(self.log, at)
            at += RECORD.size
            if kind == WRITE:
                self.writes[disk].append((number, offset, length, at))
            else:
                self.flushes[disk].append(number)
            at += length
            number += 1
        self.bases = [open(self.place / f"base{n}", "r+b", buffering=0) for n in range(disks.number)]
        self.done = [0] * disks.number

    def _kept(self, disk, n):
        """Brings the base to the last flush before n; the writes behind it, of which a part is kept."""
        flush = bisect.bisect_left(self.flushes[disk], n)
        safe = self.flushes[disk][flush - 1] if flush else 0
        writes, at = self.writes[disk], self.done[disk]
        while at < len(writes) and writes[at][0] < safe:
            self._write(self.bases[disk], *writes[at][1:])
            at += 1
        self.done[disk] = at
        end = at
        while end < len(writes) and writes[end][0] < n:
            end += 1
        share = self.random.choice((0, 0.1, 0.5, 0.9, 1))
        return [write for write in writes[at:end] if self.random.random() < share]

    def _write(self, file, offset, length, at):
        os.pwrite(file.fileno(), self.log[at:at + length], offset)

    def _tear(self, file, offset, length, at):
        # btrfs has no journal that would mend a superblock of which a part is old, and disks write 4 KB at once.
        part = 4096 if self.system == "btrfs" else SECTOR
        for piece in range(0, length, part):
            if self.random.random() < 0.5:
                self._write(file, offset + piece, min(part, length - piece), at + piece)

    def cut(self, n, name="cut"):
        """The paths of the images, one for each disk; for the caller to remove."""
        images = []
        for disk, base in enumerate(self.bases):
            kept = self._kept(disk, n)
            images.append(self.place / f"{name}-{n}-{disk}")
            copy_sparse(base.name, images[-1])
            with open(images[-1], "r+b", buffering=0) as file:
                for _, *write in kept:
                    (self._tear if self.random.random() < TORN else self._write)(file, *write)
        return images

    def close(self):
        for base in self.bases:
            base.close()
        self.log.close()
