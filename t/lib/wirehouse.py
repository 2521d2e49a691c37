# SPDX-License-Identifier: ISC
"""For session tests: one program of the house, started as master starts it, with the test in place of its peers.

Out and In put and get the fields of wire messages (lib/wire/wire.h); Program starts a program of the build with named
descriptors (lib/base/program.h); generation() makes a compiled configuration.
"""
import array
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess

import maps as maptable
import waiting

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
WIRE_GREETING, WIRE_GROW, WIRE_DONE, WIRE_ANNOUNCE, WIRE_VERSION = 0, 1, 2, 3, 2
PACKET = 65536
PATIENCE_SECONDS = 120  # only a hang takes longer

# lib/wire/envelope.def, written a second time: name, and "string", "address" or the bytes of a number.
ENVELOPE = [("sender", "string"), ("origin", 1), ("account", "string"), ("client", "address"), ("helo", "string"),
            ("eight_bit", 1), ("hops", 2), ("ret", 1), ("envid", "string")]
ENVELOPE_STAYS = {"origin", "account", "client", "helo", "hops"}
ENVELOPE_ONWARD = [field for field in ENVELOPE if field[0] not in ENVELOPE_STAYS]
ENVELOPE_RECIPIENT = [("notify", 1), ("orcpt", "string"), ("address", "string")]


def build_directory():
    for place in (os.environ.get("POSTHOUSE_BUILD"), os.getcwd(), str(SOURCE)):
        if place and os.path.exists(os.path.join(place, "config.mak")):
            return pathlib.Path(place).resolve()
    raise SystemExit("1..0 # SKIP no build: run ./configure && make")


class Out:
    def __init__(self, kind):
        self.data, self.fds = bytes([kind]), []

    def number(self, n, size):
        self.data += n.to_bytes(size, "little")
        return self

    def byte(self, n):
        return self.number(int(n), 1)

    def u16(self, n):
        return self.number(n, 2)

    def u32(self, n):
        return self.number(n, 4)

    def u64(self, n):
        return self.number(n, 8)

    def view(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.u32(len(data))
        self.data += data
        return self

    def address(self, text, port=0):
        if not text:
            return self.byte(0).u16(port)
        family = 6 if ":" in text else 4
        self.byte(family)
        self.data += socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, text)
        return self.u16(port)

    def fields(self, table, values):
        """The fields of a table below, those that are not given empty."""
        for name, kind in table:
            if kind == "address":
                self.address(values.get(name, ""))
            elif kind == "string":
                self.view(values.get(name, ""))
            else:
                self.number(int(values.get(name, 0)), kind)
        return self

    def route(self, domain="", hops=(), lmtp=False, ours=False):
        """By the mail exchangers of a domain, or hops of (host, port); neither: no way to another host. ours: the
        operator named the domain."""
        self.byte(lmtp).view(domain).byte(ours).byte(len(hops))
        for host, port in hops:
            self.view(host).u16(port)
        return self

    def fd(self, fd):
        self.fds.append(fd if isinstance(fd, int) else fd.fileno())
        return self


class In:
    def __init__(self, data, fds):
        self.kind, self.rest, self.fds = data[0], data[1:], list(fds)

    def number(self, size):
        if len(self.rest) < size:
            raise ValueError("the message is too short")
        n = int.from_bytes(self.rest[:size], "little")
        self.rest = self.rest[size:]
        return n

    def byte(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def view(self):
        n = self.u32()
        if len(self.rest) < n:
            raise ValueError("the message is too short")
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def string(self):
        return self.view().decode()

    def address(self):
        family = self.byte()
        size = {0: 0, 4: 4, 6: 16}[family]
        data, self.rest = self.rest[:size], self.rest[size:]
        text = socket.inet_ntop(socket.AF_INET6 if family == 6 else socket.AF_INET, data) if size else ""
        return text, self.u16()

    def fields(self, table):
        get = {"string": self.string, "address": lambda: self.address()[0]}
        return {name: get[kind]() if kind in get else self.number(kind) for name, kind in table}

    def route(self):
        """LMTP?, the domain, the hops; self.ours: did the operator name the domain?"""
        lmtp, domain, self.ours = self.byte(), self.string(), self.byte()
        return lmtp, domain, [(self.string(), self.u16()) for _ in range(self.byte())]

    def fd(self):
        return self.fds.pop(0)

    def end(self):
        if self.rest or self.fds:
            raise ValueError("the message has more than it should")


def sanitized():
    """Such programs have no jail and no limit of memory, and the system tells of their descriptors."""
    return "-fsanitize" in (build_directory() / "config.mak").read_text()


def pair():
    """The two ends of a wire or line."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.settimeout(PATIENCE_SECONDS)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PACKET)
    return ends


def send(line, out):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", out.fds))] if out.fds else []
    line.sendmsg([out.data], rights)


def receive(line):
    """The next message, or None when the line has ended."""
    data, rights, _, _ = line.recvmsg(PACKET, socket.CMSG_SPACE(4 * 8))
    fds = array.array("i")
    for _, _, raw in rights:
        fds.frombytes(raw[:len(raw) - len(raw) % 4])
    return In(data, fds) if data else None


def dial(wire, protocol, worker=0):
    """What wire_dial does: a line of one's own, or of a worker's by its number, over the shared wire."""
    mine, theirs = pair()
    send(wire, Out(WIRE_GREETING).view(protocol).byte(WIRE_VERSION).u32(worker).fd(theirs))
    theirs.close()
    return mine


def accept(wire, protocol):
    """What wire_accept does: the line of the next one that greets."""
    message = receive(wire)
    if message is None or message.kind != WIRE_GREETING or message.string() != protocol or message.byte() != WIRE_VERSION:
        raise ValueError(f"not a greeting of {protocol}")
    message.u32()  # the worker's number
    line = socket.socket(fileno=message.fd())
    line.settimeout(PATIENCE_SECONDS)
    return line


def generation(directory, settings="", maps=None):
    """Builds a configuration below `directory` (a path); the descriptor of the generation. Certificates that
    are in directory/conf/certs, with keys in directory/conf/keys, are in it."""
    conf, state = directory / "conf", directory / "state"
    conf.mkdir(exist_ok=True)
    for name in ("certs", "keys"):
        (conf / name).mkdir(exist_ok=True, mode=0o700)
    state.mkdir(exist_ok=True)
    text = (f"host.name mail.example.test\ndirectory.state {state}\ndirectory.run {directory}/run\n"
            f"queue.directory {directory}/queue\nmail.root {directory}/mail\nlog.to stderr\n")
    (conf / "posthouse.conf").write_text(text + settings)
    for name in maptable.NAMES:
        (conf / f"{name}.map").write_text((maps or {}).get(name, ""))
        os.chmod(conf / f"{name}.map", 0o600)
    done = subprocess.run([str(build_directory() / "bin/posthouse"), "-c", str(conf), "build"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"posthouse build: {done.stdout}{done.stderr}")
    return os.open(state / "generations" / "current", os.O_RDONLY | os.O_DIRECTORY)


def maker(fd):
    """The process that made the pair, as the kernel keeps it."""
    s = socket.socket(fileno=os.dup(fd))
    pid, = struct.unpack("i8x", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    s.close()
    return pid


def pair_of_another():
    """A pair that a process made which has ended since; its number, and both ends."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ends = pair()
        socket.send_fds(theirs, [b"x"], [end.fileno() for end in ends])
        os._exit(0)
    _, fds, _, _ = socket.recv_fds(mine, 1, 2)
    os.waitpid(pid, 0)
    mine.close()
    theirs.close()
    ends = [socket.socket(fileno=fd) for fd in fds]
    for end in ends:
        end.settimeout(PATIENCE_SECONDS)
    return pid, ends


class ProgramHouse:
    """A program and what the test plays around it, in a directory of its own: `program` and `directory` are made by __enter__."""

    def __exit__(self, kind, value, trace):
        self.program.stop()
        if kind is not None:
            print("\n".join("# " + line for line in self.program.log().splitlines()[-30:]))
        shutil.rmtree(self.directory, ignore_errors=True)


class Program:
    """room/word, with descriptors by name; the log goes to a file whose text is log()."""

    def __init__(self, path, descriptors, directory, identity=None, **variables):
        """identity, as root: (uid, gid, directory to be jailed in); variables: more of the environment."""
        self.tries_what_is_refused = False
        self.log_path = directory / (os.path.basename(path) + ".log")
        self.master, wire = pair()
        fds = {name: fd if isinstance(fd, int) else fd.fileno() for name, fd in descriptors.items()}
        fds["master"] = wire.fileno()
        environment = dict(os.environ, POSTHOUSE_FDS=",".join(f"{name}={fd}" for name, fd in fds.items()), **variables)
        for name in ("POSTHOUSE_UID", "POSTHOUSE_GID", "POSTHOUSE_ROOT"):
            environment.pop(name, None)
        if identity:
            environment.update(zip(("POSTHOUSE_UID", "POSTHOUSE_GID", "POSTHOUSE_ROOT"), map(str, identity)))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(build_directory() / "bin" / path)], env=environment, pass_fds=set(fds.values()),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wire.close()

    def wait_ready(self):
        message = receive(self.master)
        if message is None or message.kind != ord("r"):
            raise RuntimeError(f"not ready: {self.log()}")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, text):
        """Until the log has it."""
        if not waiting.comes(lambda: text in self.log(), PATIENCE_SECONDS):
            raise TimeoutError(f"the log does not say {text}: {self.log()}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE_SECONDS)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if "event=sandbox-violation" in self.log() and not self.tries_what_is_refused:
            raise RuntimeError(f"asked for what its sandbox refuses: {self.log()}")

    def stop_hard(self):
        """For one that no signal ends."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
