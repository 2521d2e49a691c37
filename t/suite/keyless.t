#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A generation without the private key of its certificate, as a restore leaves it: keyd keeps the one that it has, through each reload, and
TLS goes on, as status says; a reload with another certificate is refused; a start goes on without TLS and says so, as status and check do.
An account can be locked all the same."""
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


def renew(certificate, key):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    key.chmod(0o600)


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("nothing")


# What an edit copies into its generation; of the last it has nothing.
LOSSES = (("another's", other_key), ("garbage", lambda path: path.write_text("garbage\n")), ("a link to nothing", link_to_nothing))


def tls_lines(house):
    return [line for line in house.posthouse("status").stdout.splitlines() if line.startswith("tls ")]


def main():
    with House() as house:
        conf, generations = pathlib.Path(house.env["CONF"]), house.directory / "state/generations"
        certificate = conf / "certs/house.pem"
        dead = f"does not work for {certificate}: its private key is not in the generation"
        is_((secured(house), tls_lines(house)), (True, []), "TLS works, and status has nothing to say of it")

        lost = f"works for {certificate} only until keyd restarts: its private key is not in the generation; put the key back"
        kept, number, keyd = conf / "keys/kept", 0, house.pid("keyd")
        (conf / "keys/house.pem").rename(kept)
        for how, lose in LOSSES:
            lose(generations / "current/keys/house.pem")
            answer = house.posthouse("reload")
            ok(answer.returncode == 0 and f"posthouse: warning: TLS {lost}" in answer.stderr, f"a reload when the key is lost ({how}) says what is so",
               answer.stderr)
            for state in ("locked", "active"):
                edit = house.posthouse("user", "set", "u0001@example.test", f"state={state}", "--only-mine")
                number = int(os.readlink(generations / "current"))
                status = house.posthouse("status").stdout
                ok(edit.returncode == 0 and f"generation   {number}\n" in status and "refused" not in status, "an account is locked", edit.stderr)
            is_((secured(house), house.pid("keyd")), (True, keyd), "TLS works on, with the same keyd")
            is_([line.split(None, 1)[1].startswith(lost) for line in tls_lines(house)], [True], "status says for how long")
        check = house.posthouse("check")
        ok(check.returncode == 100 and f"TLS does not work for {certificate}" in check.stderr, "check misses it", check.stderr)
        house.kill("keyd")
        is_((secured(house), [line.split(None, 1)[1].startswith(dead) for line in tls_lines(house)]), (False, [True]), "another keyd has it not")
        is_(house.posthouse("user", "set", "u0001@example.test", "state=active", "--only-mine").returncode, 0, "which keeps no account from being edited")
        kept.rename(conf / "keys/house.pem")
        is_((house.posthouse("build", "--reload").returncode, tls_lines(house), secured(house)), (0, [], True), "a build with the key mends it")

        texts = {path: path.read_bytes() for path in (certificate, conf / "keys/house.pem")}
        renew(certificate, conf / "keys/house.pem")
        is_(house.posthouse("build").returncode, 0, "the certificate is renewed")
        other_key(generations / "current/keys/house.pem")
        for _ in range(2):
            answer = house.posthouse("reload")
            ok(answer.returncode == 100 and f"TLS would not work for {certificate}: its private key is not in the generation" in answer.stderr,
               "a reload with another's key for another certificate is refused, and says why", answer.stderr)
        ok(secured(house), "TLS works on")
        ok("reload       refused: TLS would not work for" in house.posthouse("status").stdout, "status says what was refused")
        for path, before in texts.items():
            path.write_bytes(before)
        is_(house.posthouse("build", "--reload").returncode, 0, "the one before is back")
        other_key(generations / "current/keys/house.pem")

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
