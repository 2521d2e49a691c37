#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Where memory runs short for sendmail, or a read of a drop file ends early for pickup, no message is lost of which it was said
that it is taken."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from pickuphouse import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

TEMPFAIL, LOADERS = 75, 127
LIMIT_KB = 20000


def large():
    text = b"Subject: large\n\n" + (b"z" * 71 + b"\n") * (15000000 // 72)
    with House() as house:
        environment = {**os.environ, "POSTHOUSE_CONF": str(house.directory / "conf"), "POSTHOUSE_PROGRAMS": str(house.build / "bin")}
        got = subprocess.run(["sh", "-c", f'ulimit -v {LIMIT_KB}; exec "$0" "$@"', str(house.build / "bin/sendmail"), "a@example.test"],
                             input=text, capture_output=True, env=environment)
        is_((got.returncode, got.stderr), (0, b""), "a message that is larger than what there is of memory goes to pickup")
        ok(house.live() and house.last().bytes.endswith(text[16:].replace(b"\n", b"\r\n")), "whole")


def exit_code(so):
    with House() as house:
        codes = []
        while not codes or codes[-1] != 0:
            with stopper.Failing(so, "memory", 12, "any", skip=len(codes)):
                got = house.sendmail("a@example.test", text="Subject: x\n\nx\n")
            codes.append(got.returncode)
        # The C library itself ends some of them, in its look for users, by a signal or with its loader's 127.
        is_({code for code in codes[:-1] if code >= 0 and code != LOADERS}, {TEMPFAIL}, f"without memory after 0 to {len(codes) - 2} allocations sendmail says: try again")


def read_that_ends(so):
    """Each read of a drop file seems to be at its end, once."""
    text = b"Subject: x\n\n" + b"0123456789\n" * 60000  # three reads
    for skip in (0, 100, 300000):
        with House(started=False) as house:
            house.sendmail("a@example.test", text=text)
            name = house.dropped()[0]
            with stopper.Failing(so, "behind", 0, f"{name}", skip=skip):
                house.start()
            house.program.wait_log(f"event=drop-later file={name}")
            is_((house.dropped(), house.live()), ([name], []), f"a drop file whose read ends at {skip} stays")
            house.stop()
            house.start()
            ok(house.wait_for(lambda: house.live() and not house.dropped()), "and is taken when it can be read")


with tempfile.TemporaryDirectory(prefix="posthouse-short-") as place:
    so = stopper.build(place, "failing")
    large()
    exit_code(so)
    read_that_ends(so)
done()
