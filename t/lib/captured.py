#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A captured program: what somebody has who owns a process of the house.

capture(house, "smtpd") puts this file in the program's place; master starts it with the program's descriptors, and
it hands them to the test, which says over them what it likes.  release() puts the real program back and waits for it.
"""
import array
import ctypes
import os
import pathlib
import signal
import socket
import sys

import processes

PIDFD_GETFD = 438  # the same number on every machine
PATIENCE_SECONDS = 120  # only a hang takes longer
SOCKET, NAMES_MAX, FDS_MAX = "captured.sock", 65536, 64


class Captured:
    def __init__(self, house, program):
        self.house, self.program = house, program
        self.link = pathlib.Path(house.env["BIN"]) / program
        self.real = os.readlink(self.link)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(house.directory / SOCKET))
        listener.listen()
        listener.settimeout(PATIENCE_SECONDS)
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
        self.house.wait_for(f"another {self.program}", lambda: self.house.pid(self.program) != self.pid)


class CapturedWorker:
    """A worker of a running service: stopped, its sockets in our hands. Needs the right to take them (root)."""

    def __init__(self, house, program):
        parent = house.pid(program)
        workers = [p for p in processes.below(parent) if p.parent == parent and p.name == program and p.status["State"][0] == "S"]
        self.pid = max(p.pid for p in workers)
        handle = os.pidfd_open(self.pid)
        try:
            os.close(self._take(handle, 2))  # PermissionError: not root; the worker is not harmed then
            os.kill(self.pid, signal.SIGSTOP)
            ends = [socket.socket(fileno=self._take(handle, fd)) for fd, what in
                    sorted(processes.Process(self.pid).descriptors().items()) if fd > 2 and what.startswith("socket:")]
        finally:
            os.close(handle)
        ends = [end for end in ends if end.type == socket.SOCK_SEQPACKET]
        for end in ends:
            end.settimeout(PATIENCE_SECONDS)
        self.parent = next(end for end in ends if self._is_parents(end))
        self.others = [end for end in ends if end is not self.parent]

    @staticmethod
    def _take(handle, fd):
        taken = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, handle, fd, 0)
        if taken < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return taken

    @staticmethod
    def _is_parents(end):
        """Asked for a line (lib/wire/dial.h) its parent gives one; everybody else hangs up."""
        end.send(b"\x01\0")
        try:
            data, rights, _, _ = end.recvmsg(100, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            return False
        for _, _, raw in rights:
            os.close(array.array("i", raw)[0])
        return data == b"\x02\0"

    def release(self):
        os.kill(self.pid, signal.SIGKILL)
        for end in [self.parent, *self.others]:
            end.close()


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
