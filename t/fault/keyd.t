#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A key file of which not all can be read, or none, or that cannot be told to master: half a key is not a key, no keys are not
all keys, and keyd does not start without saying why."""
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
EIO_WORDS = os.strerror(errno.EIO)
for failing, words in ((("behind", 0, "a.pem", 100), "reading key file a.pem: is shorter than expected"),
                       (("behind", errno.EIO, "a.pem", 100), f"reading key file a.pem: {EIO_WORDS}"),
                       (("openat", errno.EMFILE, "."), os.strerror(errno.EMFILE)),
                       (("sendmsg", errno.ENOBUFS, ""), f"telling master that all is in place: {os.strerror(errno.ENOBUFS)}")):
    house.keyd.stop()
    before = len(house.keyd.log())
    with stopper.Failing(so, *failing):
        try:
            house.start_keyd()
            ok(False, f"keyd does not start: {words}")
        except (RuntimeError, OSError):
            ok(" fatal: " in house.keyd.log()[before:] and words in house.keyd.log()[before:], f"keyd does not start: {words}", house.keyd.log())
house.start_keyd()
ok(True, "when the disk is well again it does")
house.stop()
done()
