#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A generation without the private key of its certificate, as a restore leaves it: a reload refuses it and TLS goes on, a start goes on
without TLS and says so, as status and check do, and an account can be locked all the same."""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok, skip_all  # noqa: E402

if not shutil.which("openssl"):
    skip_all("no openssl command")


def secured(house):
    """Does a TLS handshake with the IMAP port end well?"""
    context = ssl.create_default_context(cafile=house.env["CA"])
    try:
        with socket.create_connection((house.env["HOST"], house.port("IMAPS"))) as plain, \
                context.wrap_socket(plain, server_hostname="localhost"):
            return True
    except (ssl.SSLError, OSError):
        return False


def greets(house):
    with socket.create_connection((house.env["HOST"], house.port("IMAP"))) as line:
        return line.recv(64).startswith(b"* OK")


def start(house):
    return house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})


def other_key(path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path)], check=True,
                   capture_output=True)
    path.chmod(0o600)


def tls_lines(house):
    return [line for line in house.posthouse("status").stdout.splitlines() if line.startswith("tls ")]


def main():
    with House() as house:
        conf, generations = pathlib.Path(house.env["CONF"]), house.directory / "state/generations"
        certificate = conf / "certs/house.pem"
        dead = f"does not work for {certificate}: its private key is not in the generation"
        is_((secured(house), tls_lines(house)), (True, []), "TLS works, and status has nothing to say of it")

        other_key(generations / "current/keys/house.pem")
        for _ in range(2):
            answer = house.posthouse("reload")
            ok(answer.returncode == 100 and f"TLS would not work for {certificate}: its private key is not in the generation" in answer.stderr,
               "a reload with another's key is refused, and says why", answer.stderr)
        ok(secured(house), "TLS works on")
        ok("reload       refused: TLS would not work for" in house.posthouse("status").stdout, "status says what was refused")

        house.posthouse("stop")
        answer = start(house)
        is_(answer.returncode, 0, "a start goes on with it")
        ok(f"posthouse: warning: TLS {dead}" in answer.stderr, "and says for which certificate TLS is dead", answer.stderr)
        is_((greets(house), secured(house)), (True, False), "the rest works")
        is_([line.split(None, 1)[1].startswith(dead) for line in tls_lines(house)], [True], "status says so")
        check = house.posthouse("check")
        is_((check.returncode, check.stderr.count(f"TLS does not work for {certificate}")), (100, 1), "check too, once")
        house.wait_for("the log", lambda: f"event=key-missing file={certificate} " in house.log())
        ok(True, "and the log")

        for state in ("active", "locked"):  # the second while the keyd of the first is not ready yet
            locked = house.posthouse("user", "set", "u0002@example.test", f"state={state}", "--only-mine")
            is_((locked.returncode, locked.stderr, len(tls_lines(house))), (0, "", 1), "an account is locked all the same")
        ok("refused" not in house.posthouse("status").stdout, "the house has taken it")

        built = house.posthouse("build", "--reload")
        is_((built.returncode, tls_lines(house), secured(house)), (0, [], True), "a build mends it")

        # Restored without the keys, and the certificate was renewed since.
        house.posthouse("stop")
        shutil.rmtree(generations / "current/keys")
        other_key(conf / "keys/house.pem")
        answer = start(house)
        ok(answer.returncode == 0 and f"posthouse: warning: TLS {dead}" in answer.stderr, "a generation without keys, and a renewed key: the same",
           answer.stderr)
        is_(len(tls_lines(house)), 1, "in status too")
        house.posthouse("stop")
    done()


main()
