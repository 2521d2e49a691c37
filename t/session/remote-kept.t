#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""remote with a queued and a dnsd that the test plays: who has a text over a kept connection does not get it twice, and what is our
operator's to correct is not learned as an address that nobody has."""
import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakesmtp import FakeHost
from remotehouse import DNS_NO_DOMAIN, DONE, FAILED, RETRY, RemoteHouse
from tap import done, is_

SETTINGS = "remote.timeout-command 5m\nremote.timeout-idle 5m\n"


def one_of_two_has_it():
    """LMTP, each has an answer to the text of its own. What one is refused may be for the connection's age and is asked again over a
    new one, but not when another has the text by then."""
    def end(recipient):
        return b"550 5.7.1 not over this connection\r\n" if recipient.startswith("no@") else None

    with RemoteHouse(settings=SETTINGS) as remote:
        for first, second in (("yes", "no"), ("no", "yes")):
            with contextlib.closing(FakeHost(answers={"end": end}, lmtp=True)) as host:
                hops = [("127.0.0.1", host.port)]
                remote.send(["before@dept.test"], hops=hops, lmtp=True)
                found = remote.send([f"{first}@dept.test", f"{second}@dept.test"], hops=hops, lmtp=True)
                is_((found["yes@dept.test"][0], found["no@dept.test"][0]), (DONE, RETRY), f"one of two has the text, {first} and {second}: the other waits")
                is_([to for _, to, _, _ in host.messages], [["before@dept.test"], ["yes@dept.test"]], "nobody has it twice")
                is_(host.connections, 1, "and no other connection is opened")


def loop_of_ours():
    """That a domain's mail comes back to this host says nothing of its addresses."""
    with RemoteHouse(settings=SETTINGS) as remote:
        remote.hosts["round.test"] = [(10, "mail.example.test", ["127.0.0.1"])]
        remote.hosts["gone.test"] = DNS_NO_DOMAIN
        for domain, unknown in (("gone", ["a@gone.test"]), ("round", [])):
            found = remote.send([f"a@{domain}.test"], domain=f"{domain}.test")[f"a@{domain}.test"]
            is_((found[0], remote.unknown), (FAILED, unknown), f"{domain}.test: {found[1:]}, and its addresses are {'' if unknown else 'not '}unknown")


one_of_two_has_it()
loop_of_ours()
done()
