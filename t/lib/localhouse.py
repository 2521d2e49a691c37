# SPDX-License-Identifier: ISC
"""local with a queued that the test plays.

    with Local() as house:
        house.deliver("anna@example.test")       # (DONE, "2.0.0")
"""
import hashlib
import os
import pathlib
import tempfile

import wirehouse as w

JOB_BEGIN, JOB_RECIPIENT = 16, 17
DONE, RETRY, FAILED, OWN_FAULT = range(4)
MESSAGE = b"Received: from x\r\nSubject: hello\r\n\r\nbody\r\n..dots\r\n"


class Local(w.ProgramHouse):
    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.root = self.directory / "mail"
        self.root.mkdir()
        self.wire, theirs = w.pair()
        self.generation = w.generation(self.directory)
        self.program = w.Program("local", {"generation": self.generation, "queued.job": theirs}, self.directory)
        theirs.close()
        self.program.wait_ready()
        self.line = self.new_line()
        return self

    def new_line(self):
        w.send(self.wire, w.Out(w.WIRE_GROW).u32(1))
        return w.accept(self.wire, "job")

    def begin(self, message=MESSAGE, extra=b"", sender="from@far.test", claims=None, checksum=None):
        """The job's first message; the file has a header before and an envelope behind, as the queue's have."""
        path = self.directory / "message"
        path.write_bytes(b"H" * 256 + message + extra + (b"" if claims else b"envelope"))
        with open(path, "rb") as file:
            size = claims or len(message)
            w.send(self.line, w.Out(JOB_BEGIN).view("1gkq000000000").u64(256).u64(size).u64(256 + len(message)).u64(len(extra))
                   .view(hashlib.blake2b(message if checksum is None else checksum, digest_size=32).digest())
                   .fields(w.ENVELOPE_ONWARD, {"sender": sender}).u64(0).u16(0).route().byte(0).u64(0).fd(file))

    def recipient(self, index, address, home, last=True, quota=0):
        w.send(self.line, w.Out(JOB_RECIPIENT).u32(index).byte(last).fields(w.ENVELOPE_RECIPIENT, {"address": address})
               .u32(os.getuid()).u32(os.getgid()).view(str(home)).u64(quota).byte(0).view("").view("").view("").u64(0))

    def results(self):
        found = {}
        while (packet := w.receive(self.line)) is not None:
            index, outcome, status = packet.u32(), packet.byte(), packet.string()
            found[index] = (outcome, status)
            packet.string(), packet.string(), packet.byte()
            self.damaged = packet.byte()
            packet.byte(), packet.byte(), packet.byte(), packet.byte()
            if packet.byte():
                return found
        return None

    def deliver(self, address="anna@example.test", home=None, quota=0, **job):
        self.begin(**job)
        self.recipient(0, address, home or self.root / "anna", quota=quota)
        return self.results()[0]
