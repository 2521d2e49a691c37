#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A captured program: what somebody has who owns a process of the house.

capture(house, "smtpd") puts this file in the program's place; master starts it with the program's descriptors, and
it hands them to the test, which says over them what it likes.  release() puts the real program back.
"""
import array
import os
import pathlib
import signal
import socket
import sys

SOCKET, NAMES_MAX, FDS_MAX = "captured.sock", 65536, 64


class Captured:
    def __init__(self, house, program):
        self.house, self.program = house, program
        self.link = pathlib.Path(house.env["BIN"]) / program
        self.real = os.readlink(self.link)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(house.directory / SOCKET))
        listener.listen()
        listener.settimeout(60)
        self.link.unlink()
        self.link.symlink_to(pathlib.Path(__file__).resolve())
        os.kill(house.pid(program), signal.SIGKILL)
        self.line, _ = listener.accept()
        listener.close()
        os.unlink(house.directory / SOCKET)
        data, rights, _, _ = self.line.recvmsg(NAMES_MAX, socket.CMSG_SPACE(4 * FDS_MAX))
        fds = array.array("i")
        for _, _, raw in rights:
            fds.frombytes(raw)
        pid, *names = data.decode().split()
        self.pid = int(pid)
        self.fds = dict(zip(names, fds))
        self.wires = {name: socket.socket(fileno=os.dup(fd)) for name, fd in self.fds.items()
                      if name not in ("generation", "log")}

    def release(self):
        self.link.unlink()
        self.link.symlink_to(self.real)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for wire in [*self.wires.values(), self.line]:
            wire.close()
        for fd in self.fds.values():
            os.close(fd)


def main():
    """In the place of the program."""
    fds = dict(entry.split("=") for entry in os.environ["POSTHOUSE_FDS"].split(","))
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.connect(str(pathlib.Path(sys.argv[0]).parent.parent / SOCKET))
    rights = array.array("i", map(int, fds.values()))
    line.sendmsg([" ".join([str(os.getpid()), *fds]).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    line.recv(1)  # until the test lets go


if __name__ == "__main__":
    main()
