# SPDX-License-Identifier: ISC
"""t/fault/inject.c from the side of those who give the orders: the shared page, what there is to fail, and a house in which
it does."""
import collections
import errno
import mmap
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile

import stopper
from house import SOURCE, House

SOURCE_TEXT = (SOURCE / "t/fault/inject.c").read_text()
CALLS = [name for name in re.findall(r"\bCALL\((\w+)\)", SOURCE_TEXT.split("#define CALLS(CALL)")[1].split("clang-format on")[0])]
NUMBERS = {name: int(value) for name, value in re.findall(r"\b(NAME_MAX_HERE|PROGRAMS|FRAMES|PLACES) = (\d+)", SOURCE_TEXT)}
SHORT, END, LIE = -1, -2, -3

HEAD = struct.Struct("<IIIiQIIIIII")  # learning, phase, armed, error, key, skip, times, seen, hits, full, unused
NAMES_AT = HEAD.size
PLACES_AT = NAMES_AT + NUMBERS["PROGRAMS"] * NUMBERS["NAME_MAX_HERE"]
PLACE = struct.Struct(f"<QIIII{NUMBERS['FRAMES']}Q")
SIZE = PLACES_AT + NUMBERS["PLACES"] * PLACE.size

E = errno
FULL = (E.ENOSPC, E.EDQUOT, E.EIO)
FILES = (E.EMFILE, E.ENFILE, E.ENOMEM)
# What each call can come to.
ERRORS = {
    "open": (E.EMFILE, E.EIO, E.ENOSPC), "openat": (E.EMFILE, E.EIO, E.ENOSPC),
    "read": (E.EIO, SHORT, END), "pread": (E.EIO, SHORT, END), "recv": (E.ENOMEM, SHORT),
    "write": (*FULL, SHORT), "pwrite": (*FULL, SHORT), "writev": (*FULL, SHORT), "send": (E.ENOBUFS, SHORT), "sendto": (E.ENOBUFS,),
    "sendmsg": (E.ENOBUFS, E.ENOMEM, E.EMFILE), "recvmsg": (E.ENOMEM, E.EMFILE, END),
    "sendfile": (E.EIO, SHORT), "copy_file_range": (*FULL, SHORT), "fsync": FULL, "fdatasync": FULL, "syncfs": FULL,
    **{name: FULL for name in ("rename", "renameat", "renameat2", "link", "linkat", "symlinkat", "mkdir", "mkdirat", "ftruncate")},
    **{name: (E.EIO,) for name in ("unlink", "unlinkat", "readlinkat", "fchmod", "futimens", "statvfs", "fstatvfs", "readdir", "close")},
    **{name: (E.EIO, E.ENOMEM) for name in ("fstat", "fstatat", "stat")},
    **{name: (E.ENOMEM,) for name in ("fdopendir", "mmap", "malloc", "calloc", "realloc", "posix_memalign", "setsockopt", "poll")},
    **{name: FILES for name in ("accept4", "socket", "socketpair", "pipe2", "epoll_create1", "inotify_init1", "memfd_create")},
    **{name: (E.EMFILE,) for name in ("dup", "dup2", "dup3", "fcntl")},
    "connect": (E.ENOBUFS,), "epoll_ctl": (E.ENOMEM, E.ENOSPC), "inotify_add_watch": (E.ENOSPC, E.ENOMEM),
    "fork": (E.EAGAIN, E.ENOMEM), "flock": (E.ENOLCK, E.ENOMEM),
}

Fault = collections.namedtuple("Fault", "place error skip")


def error_name(error):
    return {SHORT: "short", END: "end", LIE: "lie"}.get(error) or errno.errorcode[error]


class Place(collections.namedtuple("Place", "key program call count phases frames")):
    def where(self, build):
        """The functions that led there, the last first."""
        done = subprocess.run(["addr2line", "-fs", "-e", str(build / "bin" / self.program), *(hex(f - 1) for f in self.frames if f)],
                              capture_output=True, text=True)
        lines = done.stdout.split("\n")[:-1]
        return " < ".join(f"{function} {line.split(' ')[0]}" for function, line in zip(lines[::2], lines[1::2]))


class Page:
    def __init__(self, path, programs):
        self.path, self.programs = pathlib.Path(path), list(programs)
        self.path.write_bytes(bytes(SIZE))
        self.path.chmod(0o666)
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), SIZE)
        size = NUMBERS["NAME_MAX_HERE"]
        for number, name in enumerate(self.programs):
            self.map[NAMES_AT + number * size:NAMES_AT + (number + 1) * size] = name.encode().ljust(size, b"\0")

    def _put(self, at, form, value):
        struct.pack_into(form, self.map, at, value)

    def learn(self, on):
        self._put(0, "<I", int(on))

    def phase(self, number):
        self._put(4, "<I", number)

    def arm(self, fault, times=1):
        self._put(8, "<I", 0)
        self._put(12, "<i", fault.error)
        self._put(16, "<Q", fault.place.key)
        for at, value in ((24, fault.skip), (28, times), (32, 0), (36, 0), (8, 1)):
            self._put(at, "<I", value)

    def disarm(self):
        """How often it was hit."""
        self._put(8, "<I", 0)
        return struct.unpack_from("<I", self.map, 36)[0]

    def places(self):
        found = []
        for n in range(NUMBERS["PLACES"]):
            key, program, call, count, phases, *frames = PLACE.unpack_from(self.map, PLACES_AT + n * PLACE.size)
            if key:
                found.append(Place(key, self.programs[program], CALLS[call], count, phases, tuple(frames)))
        if struct.unpack_from("<I", self.map, 40)[0]:
            raise RuntimeError("more places than the page has rows")
        return sorted(found, key=lambda p: (p.program, p.call, p.frames))


def other_disk():
    """A directory on another file system than a house's; None: there is none, or INJECT_DISKS=1."""
    place = pathlib.Path("/dev/shm")
    there = place.is_dir() and os.access(place, os.W_OK) and place.stat().st_dev != os.stat(tempfile.gettempdir()).st_dev
    return place if there and os.environ.get("INJECT_DISKS") != "1" else None


class Injected(House):
    """A private house with the library in all its programs, and in what run() starts. mail_disk: where its mail is, instead of
    beside its queue."""

    def __init__(self, so, page, *options, files=0, mail_disk=None):
        super().__init__(*options)
        self.elsewhere = tempfile.mkdtemp(prefix="posthouse-mail.", dir=mail_disk) if mail_disk else None
        if self.elsewhere:
            (self.directory / "mail").symlink_to(self.elsewhere)
        self.preloading = stopper.Preloading(so, INJECT_PAGE=str(page.path), **({"INJECT_FILES": str(files)} if files else {}))

    def remove(self):
        for place in filter(None, (self.directory, self.elsewhere)):
            shutil.rmtree(place, ignore_errors=True)

    def start(self, *options):
        with self.preloading:
            super().start(*options)

    def restart(self):
        with self.preloading:
            super().restart()

    def posthouse(self, *words, injected=False, **more):
        if not injected:
            return super().posthouse(*words, **more)
        with self.preloading:
            return super().posthouse(*words, **more)
