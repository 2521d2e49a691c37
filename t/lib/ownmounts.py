# SPDX-License-Identifier: ISC
"""A part of a test that mounts file systems: run by itself in a mount namespace of its own, which ends with it."""
import os
import shutil
import subprocess
import sys

from tap import ok, skip

OWN = ["unshare", "-m", "--propagation", "private"]
WORD = "--mounted"


def is_inner():
    """Is this the run in the namespace?"""
    return sys.argv[1:] == [WORD]


def run_inner(script, what):
    """Runs the script once more, where is_inner() holds; what: the words of its one result here."""
    if os.geteuid() != 0:
        skip(what, "needs root, to mount a file system")
    elif not shutil.which("unshare") or subprocess.run([*OWN, "true"], capture_output=True).returncode:
        skip(what, "no mount namespace")
    else:
        inner = subprocess.run([*OWN, sys.executable, script, WORD], capture_output=True, text=True)
        print("".join(f"# {line}\n" for line in (inner.stdout + inner.stderr).splitlines()), end="")
        ok(inner.returncode == 0 and "not ok" not in inner.stdout, what)
