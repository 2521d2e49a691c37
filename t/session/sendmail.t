#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""sendmail, drop and pickup: what programs hand in comes out at queued."""
import os
import pathlib
import pwd
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import smtphouse  # noqa: E402
import wirehouse as w  # noqa: E402
from pickuphouse import Door, House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

ENVELOPE, RECIPIENT, CHUNK, END, RESULT, READY = range(16, 22)
USAGE, DATAERR, NOUSER, UNAVAILABLE, TEMPFAIL = 64, 65, 67, 69, 75


def header(message):
    return message.bytes.split(b"\r\n\r\n", 1)[0].decode()


def arguments():
    with House() as house:
        is_(house.sendmail("a@example.test", "b@far.test", text="Subject: x\n\nhello\n").returncode, 0, "two recipients")
        m = house.last()
        is_([r[0] for r in m.recipients], ["a@example.test", "b@far.test"], "both arrive")
        login = pwd.getpwuid(os.getuid()).pw_name
        is_((m.sender, m.account, m.origin), (f"{login}@example.test", f"{login}@example.test", 2), "the sender is the login name at mail.domain")
        ok(m.bytes.endswith(b"\r\n\r\nhello\r\n"), "lines end with CR LF", m.bytes)
        head = header(m)
        ok(head.startswith("Received: by mail.example.test (posthouse, from " + login + f" uid {os.getuid()})"), "Received is first", head)
        ok(all(f"\n{name}:" in head for name in ("Date", "Message-ID", "From", "Subject")), "what is missing is added", head)
        house.sendmail("-f", "boss@example.test", "-F", 'A "B" C', "a@example.test", text="To: you\r\n\r\nx\r\ny")
        m = house.last()
        is_(m.sender, "boss@example.test", "-f")
        ok('From: "A \\"B\\" C" <boss@example.test>' in header(m), "-F", header(m))
        ok(m.bytes.endswith(b"\r\n\r\nx\r\ny\r\n"), "CR LF stays, a last line gets its end", m.bytes)
        for null in ("", "<>"):
            house.sendmail("-f", null, "a@example.test", text="\n")
            is_(house.last().sender, "", f"-f '{null}' is the null sender")
        house.sendmail("joe", text="\n")
        is_(house.last().recipients[0][0], "joe@example.test", "a name without a domain is ours")
        house.sendmail("a@example.test, B <b@example.test>", text="\n")
        is_([r[0] for r in house.last().recipients], ["a@example.test", "b@example.test"], "an argument may be a list")
        house.sendmail("-N", "success,failure", "-R", "hdrs", "-V", "id 1", "a@example.test", text="\n")
        m = house.last()
        is_((m.recipients[0][1], m.ret, m.envid), (6, ord("H"), "id+201"), "-N -R -V")
        for options in (["-oi"], ["-i"]):
            house.sendmail(*options, "a@example.test", text="S: x\n\na\n.\nb\n")
            ok(house.last().bytes.endswith(b"a\r\n.\r\nb\r\n"), f"{options[0]}: a lone dot is text")
        house.sendmail("a@example.test", text="S: x\n\na\n.\nb\n")
        ok(house.last().bytes.endswith(b"\r\n\r\na\r\n"), "else it ends the message")
        for options in (["-oem", "-om", "-odi", "-v"], ["-B8BITMIME"], ["-h", "3"], ["-p", "ESMTP"], ["-G", "-n", "-U"], ["-O", "DeliveryMode=b"]):
            is_(house.sendmail(*options, "--", "a@example.test", text="\n").returncode, 0, f"{' '.join(options)} is taken")
        before = len(house.queue.messages)
        for options, code in (([], USAGE), (["-bd"], USAGE), (["-q15m"], USAGE), (["-N", "often", "a@example.test"], USAGE),
                              (["-R", "x", "a@example.test"], USAGE), (["x" * 270 + "@example.test"], DATAERR), (["a@example.test b@example.test"], DATAERR)):
            got = house.sendmail(*options, text="\n")
            ok(got.returncode == code and got.stderr, f"{' '.join(options)[:30]} is refused with {got.returncode}", got.stderr)
        is_(len(house.live()), len([m for m in house.queue.messages[:before] if m.state == 'live']), "nothing of that is sent")
        got = house.sendmail("nobody@example.test", text="\n")
        is_((got.returncode, b"no such mailbox" in got.stderr), (NOUSER, True), "an unknown recipient alone is told at once")
        is_(house.sendmail("nobody@example.test", "a@example.test", text="\n").returncode, 0, "beside a good one it goes to queued")
        is_(len(house.last().recipients), 2, "which will report it")
        big = b"Subject: big\n\n" + b"0123456789" * 30 + b"\n"
        data = big[:14] + big[14:] * 3000
        is_(house.sendmail("a@example.test", text=data).returncode, 0, "a large message")
        ok(house.last().bytes.split(b"\r\n\r\n", 1)[1] == data[14:].replace(b"\n", b"\r\n"), "comes through whole")
        house.sendmail("a@example.test", text=b"Subject: \xe4\n\n\xc3\xa4\n")
        is_(house.last().eight_bit, 1, "8-bit bytes are seen")
        got = house.sendmail("-i", "-t", text=b"To: a@exam\0ple.test\nSub\0ject: Cron\n\0\nout\0put\n\0.\n" + b"\0" * 70000 + b"x" * 20000 + b"\0")
        is_(got.returncode, 0, "a text with a NUL is sent, as cron's")
        ok("\nSubject: Cron\r" in header(house.last()) and house.last().bytes.endswith(b"\r\n\r\noutput\r\n.\r\n" + b"x" * 20000 + b"\r\n"),
           "without the NULs of header and body", house.last().bytes[:600])
        is_(house.last().recipients[0][0], "a@example.test", "nor those of its recipients")
        before = len(house.live())
        talk = house.sendmail("-bs", text=b"EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<a@example.test>\r\nDATA\r\n\r\na\0b\r\n.\r\nQUIT\r\n")
        ok(b"NUL in message" in talk.stdout and len(house.live()) == before, "-bs refuses one", talk.stdout)
        for bad, named in (("\u00fc@far.test", "@far.test: invalid"), ("b c@far.test", "c@far.test")):
            got = house.sendmail("-t", text=f"To: a@example.test, {bad}\n\nx\n")
            ok(got.returncode and named in got.stderr.decode() and len(house.live()) == before,
               f"one address of several that is none: nobody gets it, and it is named: {got.stderr}")


def recipients_from_header():
    with House() as house:
        text = ("From: x@example.test\nTo: a@example.test, \"B, C\" <b@far.test>,\n group: c@example.test;\nCc: d\n"
                "Bcc: e@example.test\nSubject: x\n\nhello\n")
        is_(house.sendmail("-t", text=text).returncode, 0, "-t")
        m = house.last()
        is_([r[0] for r in m.recipients], ["a@example.test", "b@far.test", "c@example.test", "d@example.test", "e@example.test"],
            "To, Cc and Bcc")
        ok("Bcc" not in header(m), "Bcc is taken out")
        house.sendmail("-t", text="To: old@example.test\nResent-To: new@example.test\n\nx\n")
        is_([r[0] for r in house.last().recipients], ["new@example.test"], "Resent- fields go before")
        house.sendmail("-ti", "more@example.test", text="To: a@example.test\n\nx\n.\n")
        is_([r[0] for r in house.last().recipients], ["more@example.test", "a@example.test"], "arguments are added")
        # Nothing is cut: lines and headers of any length arrive whole, or are refused by name.
        H = "Date: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <x@y>\nFrom: a@example.test\n"
        for name, text in (("a header line of 200,000 bytes", f"{H}X: {'x' * 200000}\n\nbody\n"),
                           ("a body line of 4 MB", f"{H}\n{'x' * (4 << 20)}\nthe end\n"),
                           ("a body line of 4 MB less one", f"{H}\n{'x' * ((4 << 20) - 1)}\nthe end\n"),
                           ("a line of two pieces less one", f"{H}\n{'x' * 32767}\nthe end\n"),
                           ("a CR at the end of a piece", f"{H}\n{'x' * 16383}\r\nthe end\n"),
                           ("a dot at the beginning of a piece", f"{H}\n{'x' * 16384}.\nthe end\n")):
            is_(house.sendmail("-i", "a@example.test", text=text).returncode, 0, name)
            want = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
            got = house.last().bytes.split(b"\r\n", 3)[3]
            ok(got == want, f"{name} arrives whole", f"{len(got)} bytes of {len(want)}")
        for name, body in (("a text without a header", "a" * 200000 + "\n"), ("lines without an empty one", "line of text\n" * 150000)):
            is_(house.sendmail("-i", "a@example.test", text=body).returncode, 0, name)
            ok(house.last().bytes.endswith(b"\r\n\r\n" + body.replace("\n", "\r\n").encode()), f"{name} arrives whole")
        many = "".join(f"X-{n}: {'y' * 80}\n" for n in range(20000))
        for options in (["a@example.test"], ["-t"]):
            got = house.sendmail("-i", *options, text=f"To: a@example.test\n{many}\nbody\n")
            ok(got.returncode != 0 and b"header" in got.stderr, f"a header over the limit is refused by name ({options[0]})", got.stderr)
        talk = house.sendmail("-bs", text="EHLO x\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<a@example.test>\r\nDATA\r\n"
                              f"{H}\r\n{'z' * 1500000}\r\n.\r\nNOOP {'n' * 100000}\r\nNOOP\r\nQUIT\r\n")
        ok(house.last().bytes.endswith(b"\r\n\r\n" + b"z" * 1500000 + b"\r\n"), "-bs: a line of 1.5 MB arrives whole", talk.stdout[-300:])
        ok(b"500 5.5.2 line too long\r\n250 2.0.0 ok\r\n221" in talk.stdout, "a command line that is too long is one error", talk.stdout[-300:])
        before = len(house.queue.messages)
        for value in ('"A" <a@example.test> "B" <b@example.test>', "<a@example.test> <b@example.test>", "John Doe a@example.test"):
            got = house.sendmail("-t", text=f"To: {value}\n\nx\n")
            ok(got.returncode == DATAERR and b"comma" in got.stderr, f"a list without its comma is refused: {value}", got.stderr)
        is_(len(house.live()), len([m for m in house.queue.messages[:before] if m.state == 'live']), "and goes to nobody")
        is_(house.sendmail("-t", text="Subject: x\n\nTo: a@example.test\n").returncode, USAGE, "the body names nobody")
        house.sendmail("-t", text="From root Mon Jan  1 00:00:00 2001\nTo: a@example.test\n\nx\n")
        ok("From root" not in header(house.last()), "a mailbox separator is left out")


def smtp():
    with House() as house:
        got = house.sendmail("-bs", text="MAIL FROM:<a@example.test>\r\nEHLO me\r\nRCPT TO:<b@example.test>\r\nMAIL FROM:<a@example.test> BODY=8BITMIME\r\n"
                             "RCPT TO:<b@example.test>\r\nRCPT TO:<c@far.test> NOTIFY=NEVER\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"
                             "RSET\r\nNOPE\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n\r\n.\r\nQUIT\r\n")
        codes = [line[:3].decode() for line in got.stdout.split(b"\r\n") if line[3:4] == b" "]
        is_(codes, ["220", "503", "250", "503", "250", "250", "250", "354", "250", "250", "500", "250", "250", "354", "554", "221"],
            "-bs answers")
        is_(got.returncode, 0, "and ends well")
        m = house.live()[0]
        is_((m.sender, [r[0] for r in m.recipients]), ("a@example.test", ["b@example.test", "c@far.test"]), "the envelope arrives")
        ok(m.bytes.endswith(b"\r\n\r\n.dot\r\n"), "dots are unstuffed", m.bytes)
        cut = house.sendmail("-bs", text="HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.test>\r\nDATA\r\nhalf\r\n")
        ok(len(house.live()) == 1 and cut.returncode == 0, "a message without its dot is none")
        for cut in (".", ".\r"):
            house.sendmail("-bs", text="HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.test>\r\nDATA\r\nhalf\r\n" + cut)
            is_(len(house.live()), 1, f"nor is one that ends in {cut!r}: the next may be another dot")
        texts, closing = len(house.live()), b"521 5.6.0 ambiguous end of message: a dot between different line ends, closing\r\n"
        for end, text, arrives in (
                ("\r\n", "a\r\n.\r\n", b"a\r\n"), ("\r\n", ".\r\n", b""), ("\r\n", "a\n.\nRSET\nb\r\n.\r\n", b"a\r\n.\r\nRSET\r\nb\r\n"),
                ("\r\n", "a\n..b\r\n..c\r\n.\r\n", b"a\r\n..b\r\n.c\r\n"), ("\r\n", "a\n.\r\nRSET\r\n.\r\n", None),
                ("\r\n", "a\r\n.\nRSET\r\n.\r\n", None), ("\r\n", ".\nRSET\r\n.\r\n", None), ("\n", "a\n.\n", b"a\r\n"), ("\n", ".\n", b""),
                ("\n", "a\r\n.\n", b"a\r\n"), ("\n", "..a\r\n..b\n.\n", b".a\r\n.b\r\n"), ("\n", "a\n.\r\nRSET\n.\n", None),
                ("\n", ".\r\n", None), ("\r\n", "x" * 16384 + "\r\n.\r\n", b"x" * 16384 + b"\r\n"),
                ("\r\n", "x" * 16383 + "\r\n.\r\n", b"x" * 16383 + b"\r\n"), ("\r\n", "x" * 16384 + "\n.\r\n", None),
                ("\r\n", "x" * 16384 + ".\r\ny\r\n.\r\n", b"x" * 16384 + b".\r\ny\r\n")):
            says = ["HELO x", "MAIL FROM:<>", "RCPT TO:<a@example.test>", "DATA"]
            talk = house.sendmail("-bs", text="".join(line + end for line in says) + "Subject: x" + end * 2 + text + "QUIT" + end)
            name = f"lines that end with {end!r}, {len(text)} bytes {text[-24:]!r}"
            texts += arrives is not None
            is_(len(house.live()), texts, f"{name}: {'arrives' if arrives is not None else 'nothing arrives'}")
            if arrives is None:
                ok(talk.stdout.endswith(closing), "and the session ends", talk.stdout)
            else:
                is_(house.live()[-1].bytes.split(b"\r\n\r\n", 1)[1], arrives, "as it is")
                ok(talk.stdout.endswith(b"\r\n221 2.0.0 bye\r\n"), "and the next command is one", talk.stdout)
        torn = house.sendmail("-bs", text="HELO x\r\nNOOP")
        ok(torn.stdout.endswith(b"250 localhost\r\n"), "a command without its end is none", torn.stdout)


def stray():
    """What is no file does not stop the others, and is moved or told of once."""
    with House(started=False) as house:
        house.sendmail("a@example.test", text="Subject: dropped\n\nx\n")
        os.mkfifo(house.directory / "drop" / "fifo")
        (house.directory / "drop" / ".bad-link").write_bytes(b"an earlier one")
        os.symlink("/etc/passwd", house.directory / "drop" / "link")
        house.start()
        ok(house.wait_for(lambda: house.live()), "with a FIFO in the drop directory mail is taken")
        ok(house.wait_for(lambda: ".bad-link.1" in house.dropped() or "event=drop-stuck file=link" in house.program.log()), "a link is set aside", house.dropped())
        is_((house.directory / "drop" / ".bad-link").read_bytes(), b"an earlier one", "not over what was set aside before")
        for _ in range(2):
            (house.directory / "drop" / ".new-x").write_bytes(b"")
            (house.directory / "drop" / ".new-x").rename(house.directory / "drop" / ".x")  # seen: another scan
            house.sendmail("a@example.test", text="Subject: again\n\nx\n")
        log = house.program.log()
        moved = "fifo" not in house.dropped()
        is_(log.count("event=drop-refused file=fifo") + log.count("event=drop-stuck file=fifo"), 1, "the FIFO is told of once")
        ok(moved == ("kept=.bad-fifo" in log), "and is where the log says", f"{house.dropped()}\n{log}")


def limits():
    with House("message.size-max 64K\nrecipients-max 100\nreceived.hops-max 10\n") as house:
        is_(house.sendmail("a@example.test", text="x: y\n\n" + "0123456789\n" * 10000).returncode, UNAVAILABLE, "too large")
        is_(house.sendmail(*[f"r{i}@example.test" for i in range(150)], text="\n").returncode, UNAVAILABLE, "too many recipients")
        is_(house.sendmail("a@example.test", text="Received: x\n" * 20 + "\n").returncode, UNAVAILABLE, "a loop")
        house.queue.refuse = {16: (False, "4.3.1", "the disk is full")}
        got = house.sendmail("a@example.test", text="\n")
        is_((got.returncode, b"4.3.1" in got.stderr), (TEMPFAIL, True), "queued's refusal is passed on")
        is_(house.live(), [], "nothing of all that is queued")


def down():
    with House(started=False) as house:
        got = house.sendmail("-f", "boss@example.test", "a@example.test", "nobody@example.test", text="Subject: dropped\n\nx\n")
        is_((got.returncode, got.stderr), (0, b""), "while the house is down, mail is left")
        names = house.dropped()
        ok(len(names) == 1 and not names[0].startswith("."), "in the drop directory", names)
        (house.directory / "drop" / "torn").write_bytes((house.directory / "drop" / names[0]).read_bytes()[:-3])
        (house.directory / "drop" / "nonsense").write_bytes(b"\xff" * 100)
        os.symlink("/etc/passwd", house.directory / "drop" / "link")
        house.start()
        ok(house.wait_for(lambda: house.live()), "and taken at the start")
        m = house.live()[0]
        is_((m.sender, [r[0] for r in m.recipients]), ("boss@example.test", ["a@example.test", "nobody@example.test"]),
            "whole; unknown recipients are queued's to report")
        ok(house.wait_for(lambda: house.dropped() == [".bad-link", ".bad-nonsense", ".bad-torn"]), "what is none is set aside", house.dropped())
        house.queue.refuse = {16: (False, "4.3.1", "the disk is full")}
        (house.directory / "run" / "submit").rename(house.directory / "run" / "elsewhere")
        is_(house.sendmail("b@example.test", text="\n").returncode, 0, "left while pickup runs")
        ok(house.wait_for(lambda: "event=drop-later" in house.program.log()), "it is seen at once")
        ok(len(house.live()) == 1 and len([n for n in house.dropped() if n[0] != "."]) == 1, "and stays as long as queued refuses",
           f"{len(house.live())} {house.dropped()}\n{house.program.log()}")
        house.queue.refuse = {}
        house.sendmail("c@example.test", text="\n")
        ok(house.wait_for(lambda: len(house.live()) == 3), "then it goes")
        house.stop()
        os.environ["POSTHOUSE_DROPDIR"] = "/nonexistent"
        is_(house.sendmail("a@example.test", text="\n").returncode, TEMPFAIL, "without a drop directory the caller is told")
        os.environ.pop("POSTHOUSE_DROPDIR")


def unfinished():
    """.new-NAME, a day old: what is whole may have been reported as stored before a power cut took its name back."""
    with House(started=False) as house:
        drop = house.directory / "drop"
        house.sendmail("a@example.test", text="Subject: whole\n\nx\n")
        good = drop / house.dropped()[0]
        whole = good.read_bytes()
        flipped = bytearray(whole)
        flipped[whole.index(b"whole")] ^= 1
        good.rename(drop / f".new-{good.name}")
        for name, data in ((f".new-{good.name}", whole), (".new-young", whole), (".new-cut", whole[:-60]), (".new-empty", b""),
                           (".new-flipped", bytes(flipped)), (".new-nonsense", b"\xff" * 100)):
            (drop / name).write_bytes(data)
            if name != ".new-young":
                os.utime(drop / name, (time.time() - 2 * 86400,) * 2)
        house.start()
        ok(house.wait_for(lambda: house.live() and house.dropped() == [".bad-.new-flipped", ".bad-.new-nonsense", ".new-young"]),
           "of files that drop did not finish the whole one is sent, the damaged are kept, the incomplete removed", house.dropped())
        is_(len(house.live()), 1, "once")
        log = house.program.log()
        ok(all(f'event=drop-unfinished file={name} reason="{what}' in log for name, what in
               ((good.name, "whole"), ("cut", "incomplete"), ("empty", "incomplete"))), "the log says so", log)


MARK, SUM_BYTES = b"posthouse-drop 2\n", 32


def damaged_drops():
    """Each bit of a drop file, each length of it: nothing but the file as drop left it is sent."""
    with House(started=False) as house:
        drop = house.directory / "drop"
        house.sendmail("-f", "u0002@example.test", "u0001@example.test", text="Subject: for one\n\nthe text\n")
        good = drop / house.dropped()[0]
        whole = good.read_bytes()
        ok(whole.startswith(MARK) and len(whole) < 300, "a drop file begins with its form", whole)
        good.unlink()
        damaged = {}
        for bit in range(len(whole) * 8):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << bit % 8
            damaged[f"bit{bit}"] = bytes(data)
        damaged.update({f"cut{size}": whole[:size] for size in range(len(whole))})
        damaged.update({"more": whole + b"\0", "twice": whole + whole, "sumless": whole[:-SUM_BYTES], "markless": whole[len(MARK):]})
        for name, data in damaged.items():
            (drop / name).write_bytes(data)
        house.start()
        ok(house.wait_for(lambda: all(name.startswith(".bad-") for name in house.dropped())), "all that is damaged is set aside",
           [name for name in house.dropped() if not name.startswith(".bad-")])
        is_((len(house.dropped()), [(m.recipients, m.bytes) for m in house.live()]), (len(damaged), []), "and none of it is sent")
        at = whole.index(b"u0001@") + 4
        house.program.wait_log(f'event=drop-refused file=bit{at * 8 + 1} reason="wrong checksum')
        ok(True, "another recipient is named as damage")
        house.stop()
        for name in house.dropped():
            (drop / name).unlink()
        (drop / "whole").write_bytes(whole)
        (drop / "older").write_bytes(whole[len(MARK):-SUM_BYTES])
        house.start()
        ok(house.wait_for(lambda: not house.dropped()), "the whole one is taken, and one that an older drop left without a sum", house.dropped())
        is_([(m.recipients[0][0], m.bytes.endswith(b"the text\r\n")) for m in house.live()], [("u0001@example.test", True)] * 2, "both to whom they are for")


def reload_and_names():
    with House() as house:
        is_(house.sendmail(name="mailq").returncode, UNAVAILABLE, "mailq without a house says so")
        is_(house.sendmail("-q").returncode, UNAVAILABLE, "so does -q")
        house.program.signal(signal.SIGHUP)
        is_(house.program.wait(), 0, "on SIGHUP pickup leaves the socket to its successor and ends")


class Submitting:
    """A sendmail in the middle of its message."""

    def __init__(self, house):
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(w.PATIENCE_SECONDS)
        self.line.connect(str(house.directory / "run" / "submit"))
        assert w.receive(self.line).kind == READY
        w.send(self.line, w.Out(ENVELOPE).view("a@example.test").byte(1).view("").byte(0).view(""))
        w.send(self.line, w.Out(RECIPIENT).view("b@example.test").byte(0).view(""))
        w.send(self.line, w.Out(CHUNK).view("Subject: half\r\n\r\n"))

    def finish(self):
        """Was it accepted?"""
        w.send(self.line, w.Out(CHUNK).view("whole\r\n"))
        w.send(self.line, w.Out(END))
        answer = w.receive(self.line)
        return answer is not None and (answer.kind, answer.byte()) == (RESULT, 1)


def reload_in_the_middle():
    with House() as house:
        submitting = [Submitting(house) for _ in range(3)]
        ok(house.wait_for(lambda: len(house.queue.messages) == 3), "three programs submit")
        house.program.signal(signal.SIGHUP)
        ok(submitting[0].finish() and submitting[1].finish(), "on SIGHUP pickup finishes with those who are in the middle")
        (house.directory / "run" / "submit").rename(house.directory / "run" / "elsewhere")
        house.sendmail("c@example.test", text="Subject: left\n\nx\n")
        ok(not house.wait_for(lambda: not house.dropped(), 1), "what is left meanwhile is its successor's")
        is_(house.program.process.poll(), None, "it stays for the last one")
        ok(submitting[2].finish() and len(house.live()) == 3, "who is answered too")
        for one in submitting:
            one.line.close()
        is_(house.program.wait(), 0, "and ends when all have left")


def refuse(line):
    w.send(line, w.Out(RESULT).byte(0).byte(1).view("5.1.1 not here"))


def nobody_behind_the_door():
    """Whoever listened ends before it has read the end of the message: it is left in the drop directory, whole; else the caller is
    told that nobody knows."""
    text = b"Subject: left\n\n" + b"0123456789\n" * 20000
    for name, how, packets, code in (("who is not let in", None, 0, 0), ("of whom nothing is read", lambda line: None, 0, 0),
                                     ("whose envelope alone is read", lambda line: None, 2, 0),
                                     ("who is refused before the end", refuse, 1, NOUSER)):
        with House(started=False) as house:
            door = Door(house, how, packets)
            got = house.sendmail("a@example.test", text=text)
            door.thread.join()
            left = [(house.directory / "drop" / name).read_bytes() for name in house.dropped()]
            is_((got.returncode, len(left)), (code, code == 0), f"{name}")
            if left:
                ok(left[0].startswith(MARK) and left[0].count(b"0123456789\r\n") > 19990, "is stored, whole", got.stderr)
                (house.directory / "run" / "submit").unlink()
                house.start()
                ok(house.wait_for(lambda: house.live()), "and sent")
                is_((house.last().recipients[0][0], house.last().bytes.split(b"\r\n\r\n", 1)[1]),
                    ("a@example.test", text[15:].replace(b"\n", b"\r\n")), "as it was given")
            else:
                ok(b"5.1.1 not here" in got.stderr, "is told why", got.stderr)
    with House(started=False) as house:
        def read_all(line):
            while line.recv(1 << 16)[:1] != bytes([END]):
                pass
        door = Door(house, read_all, 0)
        got = house.sendmail("a@example.test", text=text)
        door.thread.join()
        is_((got.returncode, house.dropped()), (TEMPFAIL, []), "whose message was read to its end is not stored, it may be sent already")
        ok(b"may or may not" in got.stderr, "and told so", got.stderr)
    with House(started=False) as house:
        door = Door(house, lambda line: None, 2)
        got = house.sendmail("a@example.test", text=b"Subject: x\n\n" + b"0123456789\n" * (2 << 20))
        door.thread.join()
        is_((got.returncode, house.dropped()), (TEMPFAIL, []), "what is too long to be kept is given back")
        ok(b"it is not accepted" in got.stderr, "to be sent again", got.stderr)


def long_names():
    """Nothing is cut that means something: a From with the longest name and address is whole, a path that is too long is an error."""
    domain = "d" * 56 + ".example.test"
    with House(f"mail.domain {domain}\n") as house:
        sender = "s" * (319 - 1 - len(domain))
        is_(house.sendmail("-f", sender[:250], "-F", '"' * 255, "a@" + domain, text="\n").returncode, 0, "the longest name and sender")
        ok(f'" <{sender[:250]}@{domain}>' in header(house.last()), "From is whole", header(house.last())[-700:])
        house.sendmail("-F", "N" * 300, "a@" + domain, text="\n")
        ok('From: "' + "N" * 252 + '..." <' in header(house.last()), "a name that is too long is cut and shows it", header(house.last()))
        before = len(house.queue.messages)
        for variable in ("POSTHOUSE_RUNDIR", "POSTHOUSE_PROGRAMS"):
            got = house.sendmail("a@" + domain, text="\n", **{variable: "/" + "p" * 2000})
            ok(got.returncode != 0 and b"is longer than 1023 bytes" in got.stderr, f"{variable} that is too long is refused by name", got.stderr)
        is_((len(house.queue.messages), house.dropped()), (before, []), "and nothing is sent to where its beginning leads")


def last_answer():
    """queued hangs up behind the end of a message: it may be in the queue."""
    for step, where in ((smtphouse.SPOOL_COMMIT, "hang_up_at"), (smtphouse.SPOOL_COMMIT, "hang_up_behind")):
        with House() as house:
            setattr(house.queue, where, step)
            got = house.sendmail("a@example.test", text="\n")
            is_((got.returncode, b"may or may not have been accepted" in got.stderr), (TEMPFAIL, True), f"queued is gone ({where} step {step}): {got.stderr}")


for test in (arguments, last_answer, recipients_from_header, long_names, smtp, limits, stray, down, unfinished, damaged_drops, reload_and_names, reload_in_the_middle,
             nobody_behind_the_door):
    test()
done()
