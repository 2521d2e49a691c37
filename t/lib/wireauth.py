# SPDX-License-Identifier: ISC
"""Messages of the protocols "auth", "owner" and "connection" for session tests (lib/wire/auth.h, owner.h, connection.h)."""
import socket

import wirehouse as w

BEGIN, ANSWER, CANCEL, CHALLENGE, RESULT, GONE = range(16, 22)
ANNOUNCE, CLIENT, STARTTLS, SECURED, NOT_SECURED, HANDED_OVER, PROGRESS = range(16, 23)
SMTP, SUBMISSION, POP3, IMAP = range(4)
OK, DENIED, FORBIDDEN, MALFORMED, TEMPORARY = range(5)
OWNER_WORK, POP3D, IMAPD = 16, 0, 1

SESSION_OPEN, SESSION_CHECK, SESSION_END = range(16, 19)


def put_tls(out, on):
    return out.byte(on).view("TLSv1.3" if on else "").view("TLS_AES_128_GCM_SHA256" if on else "").u16(128 if on else 0).view("")


def get_tls(message):
    return {"on": message.byte(), "version": message.string(), "cipher": message.string(), "bits": message.u16(),
            "name": message.string()}


def begin(service, mechanism, initial=None, tls=True, client="192.0.2.1", fd=None, token=None, tag="", pending=b""):
    out = w.Out(BEGIN).byte(service).view(mechanism).byte(initial is not None).view(initial or b"")
    out.address(client).byte(tls)
    if service in (POP3, IMAP):
        out.view(tag).view(pending)
        put_tls(out, tls).u64(7).byte(token is not None).fd(fd)
        if token is not None:
            out.fd(token)
    return out


class Begin:
    """What authd is asked, for tests that play it."""

    def __init__(self, message):
        assert message.kind == BEGIN, message.kind
        self.service, self.mechanism = message.byte(), message.string()
        has_initial, initial = message.byte(), message.view()
        self.initial = initial if has_initial else None
        self.client, self.tls = message.address(), message.byte()
        if self.service in (POP3, IMAP):
            self.tag, self.pending = message.string(), message.view()
            self.session_tls, self.id, has_token = get_tls(message), message.u64(), message.byte()
            self.socket = socket.socket(fileno=message.fd())
            self.token = message.fd() if has_token else None
        message.end()


def result(verdict, address="", handed_over=False, stamp=0):
    return w.Out(RESULT).byte(verdict).view(address).byte(handed_over).u64(stamp)


def get_result(message):
    assert message.kind == RESULT, message.kind
    got = (message.byte(), message.string(), message.byte())
    message.u64()  # the stamp: only authd can tell what it means
    message.end()
    return got


def connection(service, fd, token, tls=False, tls_offered=True):
    out = w.Out(CLIENT).u64(7).byte(service).address("192.0.2.1", 4711).address("192.0.2.2", 143)
    return put_tls(out, tls).byte(tls_offered).byte(token is not None).fd(fd).fd(token)
