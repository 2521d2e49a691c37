#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""porter and keyd as they run in earnest: each under a uid of its own, in an empty root, with the keys readable by root alone.
A handshake there needs nothing that is opened late."""
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from porterhouse import SECURED_GREETING, House, line
from tap import done, is_, skip_all

if os.geteuid() != 0:
    skip_all("needs root: uids and chroot")

UID = 610900


def certificates(conf):
    for kind, how in (("rsa", ["rsa:2048"]), ("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])):
        subprocess.run(["openssl", "req", "-x509", "-newkey", *how, "-nodes", "-keyout", f"keys/{kind}.pem", "-out", f"certs/{kind}.pem",
                        "-days", "30", "-subj", f"/CN={kind}.test", "-addext", f"subjectAltName=DNS:{kind}.test"],
                       cwd=conf, check=True, stderr=subprocess.DEVNULL)
        os.chmod(conf / f"keys/{kind}.pem", 0o600)


with tempfile.TemporaryDirectory() as root:
    h = House(certificates=certificates, identity=(UID, UID, root))
    for program in (h.porter, h.keyd):
        status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
        uids = status.split("Uid:")[1].split("\n")[0].split()
        is_(uids, [str(UID)] * 4, f"{program.process.args[0].split('/')[-1]} has its uid")
        is_(os.readlink(f"/proc/{program.process.pid}/root"), root, "and its jail")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for name in ("rsa.test", "ec.test"):
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
            c.minimum_version = c.maximum_version = version
            s = c.wrap_socket(h.client("imaps"), server_hostname=name)
            is_(line(s), SECURED_GREETING, f"{version.name} with {name}")
            s.close()
    complaints = [text for text in (h.porter.log() + h.keyd.log()).splitlines() if "warning" in text and "event=limit" not in text]
    is_(complaints, [], "and nobody complains")
    h.stop()
done()
