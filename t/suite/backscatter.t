#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A stranger names a victim as the sender of mail that fails: refused before 250 or dropped with a line in the log, and
the victim hears nothing. Who has an account does."""
import email
import pathlib
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakedns import FakeDns  # noqa: E402
from fakesmtp import FakeHost  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

VICTIM = "victim@far.test"
DROPPED = "event=drop from=<victim@far.test> to=<{}> status={}"


def department_rcpt(text):
    if "<real@" in text or real_is_known and "<nosuch@" in text:
        return None
    return ANSWERS.get(text.split("<")[1].split("@")[0].rstrip("2"), b"550 5.1.1 who is that\r\n")


real_is_known = False
ANSWERS = {"shy": b"550 sender not welcome\r\n", "rate": b"550 5.2.1 The user is receiving mail at a rate that prevents additional messages\r\n",
           "over": b"552 5.1.1 recipient overquota\r\n", "stock": b"550 Requested action not taken: mailbox unavailable\r\n", "exim": b"550 Unrouteable address\r\n", "edge": b"550 5.4.1 Recipient address rejected: Access denied\r\n",
           "off": b"550 5.2.1 account disabled\r\n", "relay": b"550 5.7.1 relaying denied\r\n"}
victims_host = FakeHost()
department = FakeHost(answers={"RCPT": department_rcpt, "end": lambda _: b"554 5.7.1 spam\r\n" if refuse_texts else None})
refuse_texts = False
dns = FakeDns({("null.test", "MX"): [(0, ".")], ("round.test", "MX"): [(10, "mail.example.test")]})
options = ["--set", f"dns.server 127.0.0.1:{dns.port}", "--set", "postmaster u0003@example.test"]
for setting in ("queue.retry-first 200ms", "queue.retry-max 400ms", "queue.lifetime 4s", "queue.delay-notice 500ms"):
    options += ["--set", setting]
for domain, host in (("far.test", victims_host), ("dept.test", department)):
    options += ["--route", f"{domain} 127.0.0.1:{host.port}"]
house = House("--users", "3", *options)


def reply_of(smtp, to, text, size):
    """The first that is no 2yz or 3yz, or the last."""
    for step in (lambda: smtp.mail(smtp.sender, [f"SIZE={size}"] if size else []),
                 *(lambda one=one: smtp.rcpt(one) for one in to), lambda: smtp.data(text)):
        try:
            code, words = step()
        except smtplib.SMTPDataError as refused:
            code, words = refused.smtp_code, refused.smtp_error
        if code >= 400:
            break
    return f"{code} {words.decode().split()[0]}"


def send(*to, text="Subject: x\r\n\r\nhello\r\n", size=None, account=None, sender=VICTIM):
    with smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION" if account else "SMTP"), timeout=300) as smtp:
        smtp.sender = sender if account is None else "u0001@example.test"
        smtp.ehlo()
        if account:
            smtp.login(account, "pw")
        return reply_of(smtp, [one if "@" in one else f"{one}@example.test" for one in to], text, size)


def change(name, key, value):
    p = house.posthouse("map", "set", name, key, value)
    if p.returncode:
        raise RuntimeError(p.stderr)


def wait_log(words):
    house.wait_for(words, lambda: words in house.log())
    return True


def mails(user):
    box = house.mailbox(user)
    return [email.message_from_bytes(f.read_bytes()) for part in ("new", "cur") if (box / part).is_dir() for f in (box / part).iterdir()]


def forged_delivered_to():
    forged = "Delivered-To: u0002@example.test\r\nSubject: forged\r\n\r\nspam\r\n"
    is_(send("u0002", text=forged), "554 5.4.6", "a forged Delivered-To is refused")
    is_(send("u0003", "u0002", text=forged), "250 2.0.0", "that of one recipient of two is not")
    house.wait_for("the other's mail", lambda: len(mails("u0003")) == 1)
    ok(wait_log(DROPPED.format("u0002@example.test", "5.4.6")), "they get nothing, and nobody a report")
    is_(len(mails("u0002")), 0, "nothing arrived there")


def dead_alias():
    change("aliases", "gone@example.test", "nosuch@example.test")
    is_(send("gone"), "550 5.1.1", "an alias that leads nowhere is refused")


def dead_target():
    """An alias that leads to an address that its host, or DNS, does not know: the first mail is taken, the postmaster hears of it, further
    mail is refused."""
    for name, target, status in (("left", "left@dept.test", "5.1.1"), ("null", "x@null.test", "5.1.10"), ("bare", "exim2@dept.test", "5.1.1"),
                                 ("cloud", "edge2@dept.test", "5.1.1"), ("away", "off2@dept.test", "5.2.1")):
        change("aliases", f"{name}@example.test", target)
        before = len(alias_reports())
        is_(send(name), "250 2.0.0", f"mail for an alias of {target} is taken")
        house.wait_for("the report", lambda: len(alias_reports()) > before)
        is_([(row["Original-Recipient"], row["Final-Recipient"], row["Status"]) for row in alias_reports()
             if row["Final-Recipient"].endswith(target)],
            [(f"rfc822;{name}@example.test", f"rfc822; {target}", status)], "the postmaster is told, with the alias and the target")
        ok(wait_log(f"event=fail to=<{target}> status={status} "), "the log says why")
        house.wait_for("550", lambda: send(name) == "550 5.1.1")
        ok(True, "further mail is refused at RCPT")
        change("aliases", f"{name}@example.test", f"{target}, u0001@example.test")
        ids = len(alias_reports())
        is_(send(name), "250 2.0.0", "where another target takes it, it is taken")
        ok(wait_log(f"event=drop to=<{target}> reason=\"the postmaster was told before"), "and nobody is told again")
        is_(len(alias_reports()), ids, "by no report")
    change("aliases", "relay@example.test", "relay@dept.test")
    before = len(alias_reports())
    is_(send("relay"), "250 2.0.0", "an alias whose target is refused for another reason")
    house.wait_for("the report", lambda: len(alias_reports()) > before)
    is_([row["Status"] for row in alias_reports() if row["Final-Recipient"] == "rfc822; relay@dept.test"], ["5.7.1"], "the postmaster is told of that too")
    is_(send("relay"), "250 2.0.0", "further mail is taken: that speaks of us, or of the sender")
    change("aliases", "typo@example.test", "x@nowhere.test")
    is_(send("typo", sender=""), "250 2.0.0", "an alias of a domain that does not exist")
    ok(wait_log("event=fail to=<x@nowhere.test> status=5.1.2 "), "fails")
    house.wait_for("550", lambda: send("typo", sender="") == "550 5.1.1")
    ok(True, "and is refused at RCPT from then on")


def alias_reports():
    return [row for mail in mails("u0003") if mail["Subject"] == "A target of an alias accepts no mail" for part in mail.walk()
            if part.get_content_type() == "message/delivery-status" for row in part.get_payload()[1:]]


def over_quota():
    change("users", "u0002@example.test", "home=u0002 quota=20K")
    text = "Subject: fill\r\n\r\n" + ("x" * 70 + "\r\n") * 200
    is_(send("u0002", text=text, size=30000), "552 5.2.3", "what is larger than the mailbox is refused when it is announced")
    is_(send("u0002", text=text * 2), "552 5.2.3", "and when it was not")
    is_(send("u0002", text=text), "250 2.0.0", "the mailbox is filled")
    house.wait_for("the mail", lambda: len(mails("u0002")) == 1)
    is_(send("u0002", text=text), "250 2.0.0", "that it is full is not known yet")
    house.wait_for("452", lambda: send("u0002", text=text) == "452 4.2.2")
    is_(send("u0002"), "452 4.2.2", "then further mail is refused, whatever its size")
    is_(send("u0002", text=text, account="u0001@example.test"), "250 2.0.0", "but not that of an account, which is told what becomes of it")
    ok(wait_log(DROPPED.format("u0002@example.test", "5.4.7")), "what was taken is dropped at the end of its lifetime")


def department_unknown():
    global refuse_texts, real_is_known
    is_(send("nosuch@dept.test"), "250 2.0.0", "an address of a department is taken once")
    ok(wait_log(DROPPED.format("nosuch@dept.test", "5.1.1")), "and dropped when its server does not know it")
    house.wait_for("550", lambda: send("nosuch@dept.test") == "550 5.1.1")
    ok(True, "then it is refused")
    is_(house.posthouse("reload").returncode, 0, "a reload")
    house.wait_for("550", lambda: send("nosuch@dept.test") == "550 5.1.1")
    ok(True, "changes nothing")
    for name, status in (("exim", "5.1.1"), ("edge", "5.1.1"), ("off", "5.2.1")):
        is_(send(f"{name}@dept.test"), "250 2.0.0", f"one of whom it is said in another way: {ANSWERS[name].strip().decode()}")
        ok(wait_log(DROPPED.format(f"{name}@dept.test", status)), "is dropped once")
        house.wait_for("550", lambda name=name: send(f"{name}@dept.test") == "550 5.1.1")
        ok(True, "and refused from then on")
    for name, status in (("shy", "5.0.0"), ("rate", "5.2.1"), ("over", "5.1.1"), ("stock", "5.1.1")):
        is_(send(f"{name}@dept.test"), "250 2.0.0", f"what may be the sender's fault or the moment's: {ANSWERS[name].strip().decode()}")
        ok(wait_log(DROPPED.format(f"{name}@dept.test", status)), "is dropped as well")
        is_(send(f"{name}@dept.test"), "250 2.0.0", "but refuses nobody else")
    refuse_texts = True
    is_(send("real@dept.test"), "250 2.0.0", "a text")
    ok(wait_log(DROPPED.format("real@dept.test", "5.7.1")), "that the department refuses is dropped")
    refuse_texts = False
    is_(send("real@dept.test"), "250 2.0.0", "and the next one is taken")
    house.wait_for("the next one", lambda: any(to == ["real@dept.test"] for _, to, _, _ in department.messages))
    is_(send("nosuch@dept.test", account="u0001@example.test"), "250 2.0.0", "an account may write to whom the department does not know")
    house.wait_for("the report", lambda: reports())
    real_is_known = True


def our_own_loops():
    """What our maps or DNS lead round is no doing of the sender: told, when it was taken."""
    for alias, targets in (("a1", "a2, a3"), ("a2", "a1, a3"), ("a3", "a1, a2")):
        change("aliases", f"{alias}@example.test", targets)
    is_(send("a1"), "451 4.3.5", "a loop of three aliases is not taken")
    added = house.posthouse("domain", "add", "round.test", "relay")
    ok("round.test has no route in routes.map" in added.stderr, "a department without a route: a warning", added.stderr)
    before = len(victims_host.messages)
    is_(send("x@round.test"), "250 2.0.0", "whose mail exchanger is this server: taken")
    victims_host.wait_messages(before + 1)
    sender, to, text, _ = victims_host.messages[before]
    is_((sender, to), ("", [VICTIM]), "and told at the end of the lifetime")
    ok(b"rfc822; x@round.test" in text, "of whom", text)


def reports():
    return {row["Final-Recipient"] for mail in mails("u0001") for part in mail.walk()
            if part.get_content_type() == "message/delivery-status" for row in part.get_payload()[1:] if row["Action"] == "failed"}


with house:
    forged_delivered_to()
    dead_alias()
    department_unknown()
    dead_target()
    over_quota()
    house.wait_for("the reports", lambda: len(reports()) == 2)
    is_(reports(), {"rfc822; nosuch@dept.test", "rfc822; u0002@example.test"}, "the account has its reports")
    is_(send("nosuch@dept.test", account="u0001@example.test"), "250 2.0.0", "the department knows the address now")
    house.wait_for("250", lambda: send("nosuch@dept.test") == "250 2.0.0")
    ok(True, "so do we, when mail for it was delivered")
    is_(send(VICTIM, account="u0001@example.test"), "250 2.0.0", "the victim gets mail")
    victims_host.wait_messages(1)
    house.wait_for("an empty queue", lambda: "queue is empty" in house.posthouse("queue", "list").stdout.lower())
    is_([sender for sender, _, _, _ in victims_host.messages], ["u0001@example.test"], "that was all of it")
    our_own_loops()
done()
