#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""swaks: every way into the house, and those that are shut."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (CORPUS, Home, address, corpus, maildir_files, need, same, maildir, version,  # noqa: E402
                     wait_delivered, well, write_files)
from house import House  # noqa: E402
from tap import done, is_, note, ok, skip, skip_all  # noqa: E402

need("swaks")
if "TLS supported" not in subprocess.run(["swaks", "--support"], capture_output=True, text=True).stdout:
    skip_all("swaks has no TLS here: Net::SSLeay is missing")
# What swaks exits with (its manual, EXIT CODES).
REFUSED_SENDER, REFUSED_RECIPIENT, REFUSED_AUTH = 23, 24, 28

with House("--set", "auth.failure-delay 0") as house, Home() as home:
    note(version(home, "swaks", "--version"))
    VERIFY = ("--tls-verify", "--tls-ca-path", house.env["CA"], "--tls-sni", "mail.example.test")
    USER = ("--auth-user", address("u0002"), "--auth-password", "pw")

    def swaks(service, *words, to=address("u0001"), sender=address("u0002")):
        return home.run("swaks", "--server", house.env["HOST"], "--port", house.port(service), "--ehlo", "client.test",
                        "--from", sender, "--to", to, "--timeout", 50, *words)

    sent = 0

    def goes(name, *words, **more):
        global sent
        well(swaks(*words, **more), name)
        sent += 1

    def refused(name, code, words, reply, **more):
        answer = swaks(*words, **more)
        ok(answer.returncode == code and reply in answer.stdout, name, f"exit {answer.returncode}\n{answer.stdout[-2000:]}")

    goes("plain SMTP", "SMTP")
    goes("HELO instead of EHLO", "SMTP", "--protocol", "SMTP")
    goes("the null sender", "SMTP", sender="<>")
    goes("STARTTLS on the SMTP port", "SMTP", "--tls", *VERIFY)
    for version_ in ("tlsv1_2", "tlsv1_3"):
        goes(f"STARTTLS with {version_}", "SMTP", "--tls", "--tls-protocol", version_, *VERIFY)
    for mechanism in ("PLAIN", "LOGIN"):
        goes(f"submission, STARTTLS, AUTH {mechanism}", "SUBMISSION", "--tls", *VERIFY, "--auth", mechanism, *USER)
        goes(f"submissions, AUTH {mechanism}", "SUBMISSIONS", "--tls-on-connect", *VERIFY, "--auth", mechanism, *USER)
        goes(f"submission, AUTH {mechanism} in clear where that is allowed", "SUBMISSION", "--auth", mechanism, *USER)
    goes("PIPELINING", "SMTP", "--pipeline")
    goes("PIPELINING behind STARTTLS and AUTH", "SUBMISSION", "--tls", *VERIFY, "--pipeline", "--auth", "PLAIN", *USER)
    goes("an attachment", "SMTP", "--attach-type", "text/plain", "--attach", f"@{house.env['CA']}")

    refused("a wrong password", REFUSED_AUTH, ("SUBMISSION", "--tls", "--auth", "PLAIN", "--auth-user", address("u0002"),
                                               "--auth-password", "wrong"), "535 5.7.8")
    refused("a user that is not there", REFUSED_AUTH, ("SUBMISSIONS", "--tls-on-connect", "--auth", "LOGIN", "--auth-user",
                                                       address("nobody"), "--auth-password", "pw"), "535 5.7.8")
    refused("submission without a password", REFUSED_SENDER, ("SUBMISSION", "--tls"), "530 5.7.0")
    refused("somebody else's address as sender", REFUSED_SENDER, ("SUBMISSION", "--tls", "--auth", "PLAIN", *USER), "5.7.1",
            sender=address("u0001"))
    refused("relaying", REFUSED_RECIPIENT, ("SMTP",), "5.7.1", to="someone@far.test", sender="other@far.test")
    refused("relaying in the name of a user here", REFUSED_RECIPIENT, ("SMTP",), "5.7.1", to="someone@far.test")
    refused("an unknown mailbox", REFUSED_RECIPIENT, ("SMTP",), "550 5.1.1", to=address("nobody"))
    wait_delivered(house, "u0001", sent)
    is_(len(maildir_files(house.mailbox("u0001"))), sent, f"{sent} went in, {sent} came out")

    if not CORPUS.is_dir():
        skip("real messages", f"no corpus in {CORPUS}")
    else:
        # swaks ends the last line itself, and turns a \n that is written out (in C, say) into a line end.
        messages = {name: data for name, data in corpus(every=16).items() if b"\\n" not in data}
        for name, path in write_files(home / "corpus", {name: data[:-2] for name, data in messages.items()}).items():
            answer = swaks("SMTP", "--pipeline", "--data", f"@{path}", to=address("u0002"))
            if answer.returncode:
                ok(False, name, answer.stdout[-2000:])
        wait_delivered(house, "u0002", len(messages))
        same(f"{len(messages)} real messages come out as they went in", maildir(house.mailbox("u0002")), messages)

done()
