# SPDX-License-Identifier: ISC
"""remote with a queued and a dnsd that the test plays.

    with RemoteHouse(lines=2, settings="remote.timeout-command 1s\\n") as remote:
        remote.send(["a@far.test"], [("127.0.0.1", 2525)])   # {"a@far.test": (DONE, "2.0.0", "250 ...")}
"""
import hashlib
import pathlib
import queue
import socket
import tempfile
import threading

import wirehouse as w

JOB_BEGIN, JOB_RECIPIENT, JOB_FINISHED = 16, 17, 19
DONE, RETRY, FAILED, OWN_FAULT = range(4)
DNS_HOSTS, DNS_FOUND, DNS_NULL_MX, DNS_NO_DOMAIN, DNS_NO_HOST, DNS_OWN_FAULT = 19, 0, 1, 2, 3, 5
MESSAGE = b"Subject: walk\r\n\r\n..dots\r\nbody\r\n"


class RemoteHouse(w.ProgramHouse):
    """lines: how many jobs may run at once. hosts: domain -> [(preference, name, [addresses])], what dnsd says of it;
    an enum dns_result alone, or None: it dies of the question; or a function that gives that."""

    def __init__(self, lines=1, settings="", hosts=None):
        self.count, self.settings, self.hosts, self.asked = lines, settings, dict(hosts or {}), 0

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.wire, theirs = w.pair()
        self.dns, dns_theirs = w.pair()
        self.dns.settimeout(None)
        self.program = w.Program("remote", {"generation": w.generation(self.directory, self.settings), "queued.job": theirs,
                                            "dnsd.dns": dns_theirs}, self.directory)
        theirs.close()
        dns_theirs.close()
        self.program.wait_ready()
        threading.Thread(target=self._dnsd, daemon=True).start()
        self.lines = queue.Queue()
        self.grow(self.count)
        (self.directory / "message").write_bytes(b"H" * 256 + MESSAGE + b"envelope")
        return self

    def grow(self, count):
        w.send(self.wire, w.Out(w.WIRE_GROW).u32(count))
        for _ in range(count):
            self.lines.put(w.accept(self.wire, "job"))

    def _dnsd(self):
        while True:
            try:
                line = w.accept(self.dns, "dns")
            except (OSError, ValueError):
                return
            line.settimeout(None)
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line):
        try:
            while question := w.receive(line):
                hosts = self.hosts.get(question.string(), DNS_NO_HOST)
                self.asked += 1
                hosts = hosts() if callable(hosts) else hosts
                if hosts is None:
                    line.shutdown(socket.SHUT_RDWR)
                    return
                result, hosts = (hosts, []) if isinstance(hosts, int) else (DNS_FOUND, hosts)
                out = w.Out(DNS_HOSTS).byte(result).view("" if hosts else "nothing").u32(60)
                out.byte(len(hosts))
                for preference, name, addresses in hosts:  # None: they cannot be found out now
                    out.u16(preference).byte(0).byte(addresses is None).view(name).byte(len(addresses or []))
                    for address in addresses or []:
                        out.address(address)
                w.send(line, out)
        except OSError:
            pass

    def send(self, recipients, hops=(), lmtp=False, domain="", attempts=0, checksum=None, message=MESSAGE, ours=False, sender="from@far.test", contested=0):
        """{address: (outcome, status, text)}; of the last one damaged, trouble and said_by too. Without hops the domain's hosts are asked for."""
        line = self.line = self.lines.get()
        begin = (w.Out(JOB_BEGIN).view("1gkq000000000").u64(256).u64(len(message)).u64(0).u64(0)
                 .view(checksum or hashlib.blake2b(message, digest_size=32).digest())
                 .fields(w.ENVELOPE_ONWARD, {"sender": sender}).u64(0).u16(attempts).route(domain, hops, lmtp, ours))
        if message is not MESSAGE:
            (self.directory / "other").write_bytes(b"H" * 256 + message + b"envelope")
        with open(self.directory / ("message" if message is MESSAGE else "other"), "rb") as file:
            w.send(line, begin.byte(0).u64(0).fd(file))
        for index, name in enumerate(recipients):
            w.send(line, w.Out(JOB_RECIPIENT).u32(index).byte(index + 1 == len(recipients))
                   .fields(w.ENVELOPE_RECIPIENT, {"address": name}).u32(0).u32(0).view("").u64(0).byte(contested).view("").view("").view("").u64(0))
        found, last, self.unknown, self.before_text, self.contested = {}, False, [], [], []
        self.found = found  # also what has come of a job that does not end
        while not last:
            packet = w.receive(line)
            if packet is None:
                raise EOFError(f"the agent has died: {self.program.log()}")
            if packet.kind == JOB_FINISHED:
                break
            index, outcome, status, text = packet.u32(), packet.byte(), packet.string(), packet.string()
            self.said_by, _ = packet.string(), packet.byte()
            self.damaged, self.trouble = packet.byte(), packet.byte()
            if packet.byte():
                self.before_text.append(recipients[index])
            if packet.byte():
                self.unknown.append(recipients[index])
            if packet.byte():
                self.contested.append(recipients[index])
            found[recipients[index]], last = (outcome, status, text), packet.byte()
        self.lines.put(line)
        return found

    def workers(self):
        pid = self.program.process.pid
        return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
