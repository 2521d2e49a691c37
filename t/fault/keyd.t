#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A key file of which not all can be read: half a key is not a key, and keyd does not start without saying why."""
import errno
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from porterhouse import House  # noqa: E402
from tap import done, ok  # noqa: E402


def certificate(conf):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "keys/a.pem", "-out", "certs/a.pem",
                    "-days", "30", "-subj", "/CN=a.test"], cwd=conf, check=True, stderr=subprocess.DEVNULL)
    os.chmod(conf / "keys/a.pem", 0o600)


house = House(certificates=certificate)
so = stopper.build(house.directory, "failing")
for error, words in ((0, "is shorter than expected"), (errno.EIO, os.strerror(errno.EIO))):
    house.keyd.stop()
    before = len(house.keyd.log())
    with stopper.Failing(so, "behind", error, "a.pem", skip=100):
        try:
            house.start_keyd()
            ok(False, f"keyd does not start: {words}")
        except (RuntimeError, OSError):
            ok(f"reading key file a.pem: {words}" in house.keyd.log()[before:], f"keyd does not start: {words}", house.keyd.log())
house.start_keyd()
ok(True, "when the disk is well again it does")
house.stop()
done()
