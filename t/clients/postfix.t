#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A Postfix on each side: it relays into the house, with STARTTLS, and the house relays into it."""
import email
import pathlib
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, corpus, free_port, maildir, maildir_files, need, need_root, same, send_parallel,  # noqa: E402
                     version, wait_delivered, well)
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

need("postfix", "smtp-source")
need_root("Postfix starts as root only")

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
relay_domains = example.test
transport_maps = inline:{{ {{ example.test = smtp:[127.0.0.1]:{port} }} }}
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = {home}/boxes
virtual_mailbox_maps = inline:{{ {{ box@postfix.test = box/ }} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mail.example.test
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_tls_cert_file = {conf}/certs/house.pem
smtpd_tls_key_file = {conf}/keys/house.pem
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_host_lookup = native
local_header_rewrite_clients =
message_drop_headers =
smtp_line_length_limit = 0
in_flow_delay = 0
minimal_backoff_time = 1s
queue_run_delay = 1s
"""

MASTER = """
127.0.0.1:{listen} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

messages = corpus()
# Postfix puts an empty line before text in a header that is no field, as sendmail does; the house does not.
TAKEN_FOR_BODY = {"odd/019.eml"}
TRACE = (b"return-path", b"delivered-to", b"received", b"x-original-to")
listen = free_port()


class Postfix:
    def __init__(self, house, home):
        self.home, self.directory = home, home / "etc"
        self.directory.mkdir()
        home.directory.chmod(0o755)
        for name in ("queue", "data", "boxes"):
            (home / name).mkdir()
        well(home.run("chown", "postfix", home / "data"), "its directories")
        well(home.run("chown", "65534:65534", home / "boxes"), "its mailboxes")
        facts = {"home": home.directory, "port": house.port("SMTP"), "ca": house.env["CA"], "conf": house.env["CONF"], "listen": listen}
        for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
            home.write(f"etc/{name}", text.format(**facts)).chmod(0o644)

    def __enter__(self):
        well(self.home.run("postfix", "-c", self.directory, "start"), "Postfix starts")
        return self

    def __exit__(self, kind, *_):
        self.home.run("postfix", "-c", self.directory, "stop")
        if kind is not None and (self.home / "log").exists():
            note("\n".join((self.home / "log").read_text(errors="replace").splitlines()[-20:]))
        return False

    def log(self):
        return (self.home / "log").read_text(errors="replace")

    def queue(self):
        return self.home.run("postqueue", "-c", self.directory, "-j").stdout


with House("--users", "4", "--route", f"postfix.test 127.0.0.1:{listen}") as house, Home() as home:
    note(version(home, "postconf", "-d", "mail_version"))
    with Postfix(house, home) as postfix:
        # Into the house.
        to_postfix = lambda _: smtplib.SMTP("127.0.0.1", listen, "client.test", timeout=60)  # noqa: E731
        send_parallel(4, house, messages, "u0001", start=to_postfix)
        wait_delivered(house, "u0001", len(messages))
        same(f"{len(messages)} messages through Postfix into the house", maildir(house.mailbox("u0001")), messages, but=TAKEN_FOR_BODY)
        secure = [path for path in maildir_files(house.mailbox("u0001")) if b"with ESMTPS id" in path.read_bytes()]
        is_(len(secure), len(messages), "all with STARTTLS")
        ok("Verified TLS connection established" in postfix.log(), "and a verified certificate")

        well(home.run("smtp-source", "-s", 10, "-m", 500, "-l", 3000, "-f", "load@elsewhere.test", "-t", address("u0003"),
                      f"127.0.0.1:{listen}"), "500 messages by smtp-source through Postfix")
        wait_delivered(house, "u0003", 500)
        is_(len(maildir_files(house.mailbox("u0003"))), 500, "all arrive, none twice")

        # Unknown mailboxes: each side reports.
        with to_postfix(house) as smtp:
            smtp.sendmail(address("u0002"), [address("nobody"), address("u0004")], b"Subject: half\r\n\r\nhalf\r\n")
        wait_delivered(house, "u0002", 1)
        wait_delivered(house, "u0004", 1)
        report = email.message_from_bytes(maildir_files(house.mailbox("u0002"))[0].read_bytes())
        ok(report.get_content_type() == "multipart/report" and "5.1.1" in report.as_string(), "Postfix reports what we refused")
        is_([one.get("Subject") for one in map(lambda path: email.message_from_bytes(path.read_bytes()),
                                               maildir_files(house.mailbox("u0004")))], ["half"], "the other recipient has it")
        with smtplib.SMTP("127.0.0.1", house.port("SUBMISSION"), timeout=60) as smtp:
            smtp.login(address("u0002"), "pw")
            smtp.sendmail(address("u0002"), ["nobody@postfix.test", "box@postfix.test"], b"Subject: half\r\n\r\nhalf\r\n")
        wait_delivered(house, "u0002", 2)
        texts = [path.read_bytes() for path in maildir_files(house.mailbox("u0002"))]
        ours = [email.message_from_bytes(text) for text in texts if b"nobody@postfix.test" in text]
        ok(len(ours) == 1 and ours[0].get_content_type() == "multipart/report" and "5.1.1" in ours[0].as_string(),
           "we report what Postfix refused")
        box = home / "boxes/box"
        house.wait_for("the other recipient", lambda: len(maildir_files(box)) == 1)
        for path in maildir_files(box):
            path.unlink()

        # Out of the house.
        send_parallel(4, house, messages, "box@postfix.test")
        house.wait_for("all of it in Postfix's mailbox", lambda: len(maildir_files(box)) >= len(messages))
        same(f"{len(messages)} messages through the house into Postfix", maildir(box), messages, TRACE, but=TAKEN_FOR_BODY)
        is_(sum(b"(using TLSv1.3" in path.read_bytes()[:1000] for path in maildir_files(box)), len(messages), "all with STARTTLS")
        is_(postfix.queue().strip(), "", "Postfix has nothing left in its queue")
        house.wait_for("an empty queue", lambda: not [path for path in pathlib.Path(house.env["QUEUE"]).rglob("*")
                                                      if path.is_file() and len(path.name) == 13])
        ok(True, "nor have we")

done()
