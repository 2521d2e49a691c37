#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Delivery to other hosts: next hops and exchangers, partial recipients, retries, reports, TLS, LMTP, odd hosts."""
import email
import pathlib
import smtplib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakedns import FakeDns  # noqa: E402
from fakesmtp import FakeHost  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402


def rcpt_answers(text):
    if "<bad@" in text:
        return b"550 5.1.1 no such user here\r\n"
    if "<later@" in text and not later_is_good:
        return b"450 4.2.1 try later\r\n"
    return None


later_is_good = False
certificate_files = []
dns = FakeDns({
    ("two.test", "MX"): [(20, "b.two.test"), (10, "a.two.test")],
    ("a.two.test", "A"): ["127.0.0.9"],      # nobody listens there
    ("b.two.test", "A"): ["127.0.0.1"],
    ("plain.test", "A"): ["127.0.0.1"],
    ("null.test", "MX"): [(0, ".")],
    ("empty.test", "TXT"): ["x"],
    ("loop.test", "MX"): [(10, "mail.example.test"), (20, "b.two.test")],
}, failing=["shaky.test"])
exchanger = FakeHost()
main_hop = FakeHost(answers={"RCPT": rcpt_answers})
lmtp_hop = FakeHost(lmtp=True, answers={"end": lambda to: b"552 5.2.2 full\r\n" if to.startswith("full@") else None})
old_hop = FakeHost(extensions=[], answers={"EHLO": b"500 what?\r\n"})
busy_hop = FakeHost(answers={"greeting": b"421 4.3.2 busy\r\n"})
mad_hop = FakeHost(answers={"EHLO": b"250-x\r\n" * 10000})


def drip(_):
    """An answer whose lines come each in its time, and which would be complete after minutes."""
    for _ in range(150):
        yield b"250-wait\r\n"
        threading.Event().wait(1)
    yield b"250 fake.test\r\n"


drip_hop = FakeHost(answers={"EHLO": drip})
refusing_hop = FakeHost(answers={"greeting": b"554 5.7.1 not you\r\n"})
deaf_hop = FakeHost(answers={"end": b"close"})
broken_tls_hop = FakeHost(extensions=["STARTTLS", "PIPELINING"], break_tls=True)

domains = {"hop.test": main_hop, "drip.test": drip_hop, "old.test": old_hop, "busy.test": busy_hop, "mad.test": mad_hop, "refusing.test": refusing_hop,
           "deaf.test": deaf_hop, "nottls.test": broken_tls_hop}
options = ["--set", f"dns.server 127.0.0.1:{dns.port}", "--set", f"remote.port {exchanger.port}",
           "--set", "queue.retry-first 1h", "--set", "queue.retry-max 1h", "--set", "remote.timeout-command 60s",
           "--set", "remote.timeout-idle 5m"]
for domain, host in domains.items():
    options += ["--route", f"{domain} 127.0.0.1:{host.port}"]

house = House(*options)


def submit(to, text="hello\r\n", sender="u0001@example.test", headers="Subject: test\r\n"):
    with smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION"), timeout=60) as smtp:
        smtp.login("u0001@example.test", "pw")
        smtp.sendmail(sender, to, f"{headers}\r\n{text}".encode("latin-1"))


def reports():
    """The delivery reports in u0001's mailbox, parsed."""
    box = house.mailbox("u0001")
    files = sorted(f for part in ("new", "cur") if (box / part).is_dir() for f in (box / part).iterdir())
    return [email.message_from_bytes(f.read_bytes()) for f in files]


def wait_report(count):
    house.wait_for(f"{count} reports", lambda: len(reports()) >= count)
    return reports()


def status_of(report):
    part = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"][0]
    rows = part.get_payload()
    return [(row["Final-Recipient"], row["Action"], row["Status"]) for row in rows[1:]]


def queue():
    return house.posthouse("queue", "list").stdout


with house:
    certificate = (f"{house.env['CONF']}/certs/house.pem", f"{house.env['CONF']}/keys/house.pem")

    submit(["x@drip.test"])
    submit(["a@hop.test", "b@hop.test"], ".dot\r\n..two\r\n.\x20\r\n8bit \xe9\r\n")
    sender, to, body, facts = main_hop.wait_messages(1)[0]
    is_((sender, to), ("u0001@example.test", ["a@hop.test", "b@hop.test"]), "one message for both recipients of a hop")
    ok(body.endswith(b"\r\n\r\n.dot\r\n..two\r\n. \r\n8bit \xe9\r\n"), "dots and 8-bit bytes arrive as they were sent", body)
    ok("SIZE=" in facts["mail"], "with its size")

    submit(["good@hop.test", "bad@hop.test", "later@hop.test"])
    main_hop.wait_messages(2)
    is_(main_hop.messages[1][1], ["good@hop.test"], "the good recipient gets it")
    report = wait_report(1)[0]
    is_(status_of(report), [("rfc822; bad@hop.test", "failed", "5.1.1")], "the bad one is reported, and only that one")
    is_(report["Return-Path"], "<>", "from the null sender")
    ok("no such user here" in report.as_string(), "with the other side's words")
    house.wait_for("deferral", lambda: "later@hop.test" in queue())
    ok("try later" in queue(), "the third waits, with the reason in the list", queue())
    later_is_good = True
    is_(house.posthouse("queue", "retry", "to:later@hop.test").returncode, 0, "an admin asks for it now")
    is_(main_hop.wait_messages(3)[2][1], ["later@hop.test"], "and it goes")
    house.wait_for("empty queue", lambda: "later@hop.test" not in queue())

    submit(["x@two.test"])
    is_(exchanger.wait_messages(1)[0][1], ["x@two.test"], "the second exchanger takes over from one that does not answer")
    submit(["x@plain.test"])
    is_(exchanger.wait_messages(2)[1][1], ["x@plain.test"], "without MX the domain itself is the host")
    for name, status in (("null.test", "5.1.10"), ("nowhere.test", "5.1.2"), ("empty.test", "5.4.4"), ("loop.test", "5.3.5")):
        before = len(reports())
        submit([f"x@{name}"])
        is_(status_of(wait_report(before + 1)[-1])[0][2], status, f"{name}: {status}")
    before = len(reports())
    submit(["x@refusing.test"])
    report = wait_report(before + 1)[-1].as_string()
    ok("Remote-MTA: dns; 127.0.0.1\n" in report and "Diagnostic-Code: smtp; 554 5.7.1 not you\n" in report,
       "a host that refuses to talk is named in the report", report)
    submit(["x@shaky.test"])
    house.wait_for("deferral", lambda: "shaky.test" in queue() and "4.4.3" in house.log())
    ok(True, "failing name servers are a reason to wait")

    before = main_hop.connections
    for n in range(20):
        submit([f"n{n}@hop.test"])
        main_hop.wait_messages(4 + n)
    ok(main_hop.connections - before < 10, f"connections are kept for further mail ({main_hop.connections - before} for 20)")

    submit(["x@old.test"])
    is_(old_hop.wait_messages(1)[0][1], ["x@old.test"], "a host that knows only HELO")
    submit(["x@nottls.test"])
    ok(not broken_tls_hop.wait_messages(1)[0][3]["tls"], "a host whose TLS is broken gets it in clear")
    for name in ("busy.test", "mad.test", "deaf.test"):
        submit([f"x@{name}"])
        house.wait_for(f"deferral of {name}", lambda: f"event=deferred to=<x@{name}>" in house.log())
        ok(f"x@{name}" in queue(), f"{name}: kept for later")

    tls_hop = FakeHost(extensions=["STARTTLS", "PIPELINING"], certificate=certificate)
    conf = pathlib.Path(house.env["CONF"])
    (conf / "routes.map").write_text((conf / "routes.map").read_text() + f"tls.test smtp 127.0.0.1:{tls_hop.port}\n"
                                     f"lmtp.test lmtp 127.0.0.1:{lmtp_hop.port}\n")
    ok(house.posthouse("build").returncode == 0 and house.posthouse("reload").returncode == 0, "new routes")
    house.wait_for("the new route", lambda: submit(["x@tls.test"]) is None and tls_hop.wait_messages(1))
    ok(tls_hop.messages[0][3]["tls"], "TLS is used where it is offered")
    before = len(reports())
    submit(["full@lmtp.test", "fine@lmtp.test"])
    is_(lmtp_hop.wait_messages(1)[0][1], ["fine@lmtp.test"], "LMTP answers for each recipient")
    is_(status_of(wait_report(before + 1)[-1]), [("rfc822; full@lmtp.test", "failed", "5.2.2")], "and the failed one is reported")
    house.wait_for("deferral of drip.test", lambda: "event=deferred to=<x@drip.test>" in house.log())
    house.wait_for("its reason", lambda: "EHLO: timeout" in house.log())
    ok(True, "an answer that drips has the time of one answer, not of each line")

done()
