#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""msmtp sends and mpop fetches: plain, STARTTLS, TLS; the corpus through both byte for byte."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, complete, corpus, fill, maildir, need, same, version, wait_delivered, well)  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

need("msmtp", "mpop")
TEMPORARY, PERMANENT, PASSWORD = 75, 65, 77  # sysexits.h

messages = corpus()
some = corpus(every=4)

with House("--users", "4", "--set", "auth.failure-delay 0") as house, Home() as home:
    note(version(home, "msmtp", "--version"))
    note(version(home, "mpop", "--version"))
    tls = f"tls on\ntls_trust_file {house.env['CA']}\n"
    login = f"auth on\nuser {address('u0002')}\npassword pw\n"
    accounts = {
        "plain": ("SMTP", ""),
        "starttls": ("SUBMISSION", tls + "tls_starttls on\n" + login),
        "tls": ("SUBMISSIONS", tls + "tls_starttls off\n" + login.replace("auth on", "auth login")),
        "wrong": ("SUBMISSIONS", tls + "tls_starttls off\n" + login.replace("password pw", "password wrong")),
    }
    common = (f"host localhost\nfrom {address('u0002')}\ndomain client.test\nset_date_header off\nset_msgid_header off\nset_from_header off\n"
              "remove_bcc_headers off\n")
    home.write(".msmtprc", "".join(f"account {name}\nport {house.port(service)}\n{common}{more}\n"
                                   for name, (service, more) in accounts.items()))

    def msmtp(account, data, *to):
        return home.run("msmtp", "-a", account, "--", *to, text=False, input=data)

    for account, user, set_ in (("plain", "u0001", some), ("starttls", "u0003", complete(some)), ("tls", "u0004", complete(some))):
        failed = [(name, answer.stderr) for name, data in set_.items()
                  for answer in [msmtp(account, data, address(user))] if answer.returncode]
        ok(not failed, f"msmtp sends {len(set_)} messages, {account}", failed[:3])
        wait_delivered(house, user, len(set_))
        same("they came as they were sent", maildir(house.mailbox(user)), set_)
    hello = b"Subject: x\r\n\r\nx\r\n"
    is_(msmtp("wrong", hello, address("u0001")).returncode, PASSWORD, "a wrong password is refused")
    is_(msmtp("plain", hello, "x@far.test").returncode, PERMANENT, "relaying is refused")
    is_(msmtp("plain", hello, address("nobody")).returncode, PERMANENT, "an unknown mailbox is refused")
    answer = home.run("msmtp", "-a", "tls", "--serverinfo")
    ok("SIZE" in answer.stdout and "PIPELINING" in answer.stdout and "AUTH" in answer.stdout, "--serverinfo reads our EHLO", answer.stdout)

    fill(house, "u0002", messages)
    ways = {"plain": ("POP3", "tls off\n"), "stls": ("POP3", tls + "tls_starttls on\n"), "tls": ("POP3S", tls + "tls_starttls off\n")}

    def mpop(way, *words, password="pw"):
        service, more = ways[way]
        home.write(".mpoprc", f"account {way}\nhost localhost\nport {house.port(service)}\nuser {address('u0002')}\n"
                   f"password {password}\nauth user\nkeep on\nonly_new on\nreceived_header off\nuidls_file {home / ('uidls-' + way)}\n"
                   f"delivery maildir {home / way}\n{more}")
        return home.run("mpop", *words, way)

    for way in ways:
        for part in ("cur", "new", "tmp"):
            (home / way / part).mkdir(parents=True)
        well(mpop(way), f"mpop fetches, {way}")
        same("byte for byte", maildir(home / way), messages)
        well(mpop(way), "once more")
        is_(len(maildir(home / way)), len(messages), "it has seen all UIDLs before: nothing comes twice")
    fill(house, "u0002", {"one": b"Subject: one more\r\n\r\n.\r\n..\r\n"})
    well(mpop("tls"), "one more message")
    is_(len(maildir(home / "tls")), len(messages) + 1, "and just that one comes")
    is_(mpop("tls", password="wrong").returncode, PASSWORD, "a wrong password is refused")
    well(mpop("tls", "--keep=off", "--only-new=off"), "fetched and deleted")
    is_(maildir(house.mailbox("u0002")), [], "the mailbox is empty")

done()
