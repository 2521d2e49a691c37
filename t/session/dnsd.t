#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""dnsd's askers: a question, its answer, and what a reload does to those who ask."""
import pathlib
import shutil
import signal
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w  # noqa: E402
from fakedns import FakeDns  # noqa: E402
from tap import done, is_, ok  # noqa: E402

ADDRESS, HOSTS, FOUND = 17, 19, 0


class SlowDns(FakeDns):
    """Does not answer before `go` is set; `asked` is set by the first question."""

    def __init__(self, zones):
        self.asked, self.go = threading.Event(), threading.Event()
        super().__init__(zones)

    def _answer(self, packet):
        self.asked.set()
        self.go.wait()
        return super()._answer(packet)


def ask(line, host):
    w.send(line, w.Out(ADDRESS).view(host))


def result(line):
    message = w.receive(line)
    return None if message is None else (message.kind, message.byte())


directory = pathlib.Path(tempfile.mkdtemp(prefix="dnsd."))
dns = SlowDns({("host.test", "A"): ["192.0.2.1"], ("other.test", "A"): ["192.0.2.2"]})
remote, remotes = w.pair()
smtpd, smtpds = w.pair()
program = w.Program("dnsd", {"remote.dns": remotes, "smtpd.dns": smtpds,
                             "generation": w.generation(directory, f"dns.server 127.0.0.1:{dns.port}\n")}, directory)
try:
    program.wait_ready()
    idle = [w.dial(wire, "dns") for wire in (remote, smtpd, remote, smtpd)]
    busy, at_once = w.dial(remote, "dns"), w.dial(smtpd, "dns")
    ask(busy, "host.test")
    ask(at_once, "host.test")
    ok(dns.asked.wait(w.PATIENCE_SECONDS), "a question reaches the name server")
    program.signal(signal.SIGHUP)
    is_([result(line) for line in idle], [None] * 4, "told of a successor, dnsd lets go of those who wait for nothing")
    is_(program.process.poll(), None, "and stays for those who do")
    dns.go.set()
    is_(result(busy), (HOSTS, FOUND), "a busy asker gets its answer")
    is_(result(at_once), (HOSTS, FOUND), "on the other wire too")
    is_([result(busy), result(at_once)], [None] * 2, "and only then is let go of")
    is_(program.wait(), 0, "with the last of them dnsd ends")
finally:
    program.stop()
    dns.close()
    shutil.rmtree(directory, ignore_errors=True)

done()
