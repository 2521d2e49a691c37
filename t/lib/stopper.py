# SPDX-License-Identifier: ISC
"""Builds t/fault/NAME.c for LD_PRELOAD: Stopping makes a program end at a call, Failing makes a call fail, Clock
moves its clocks; inject.py gives orders to inject.c."""
import os
import pathlib
import subprocess

import tap
import wirehouse


def build(directory, name="stopper"):
    config = (wirehouse.build_directory() / "config.mak").read_text()
    if wirehouse.sanitized():
        tap.skip_all("the sanitizers want to be loaded before anything else")
    cc = next(line.split("=", 1)[1].strip() for line in config.splitlines() if line.startswith("CC ="))
    path = pathlib.Path(directory) / f"{name}.so"
    subprocess.run([*cc.split(), "-shared", "-fPIC", "-O1", "-o", str(path), str(wirehouse.SOURCE / f"t/fault/{name}.c"), "-ldl"],
                   check=True)
    return path


class Preloading:
    def __init__(self, path, **variables):
        self.variables = {"LD_PRELOAD": str(path), **variables}

    def __enter__(self):
        os.environ.update(self.variables)

    def __exit__(self, *_):
        for name in self.variables:
            os.environ.pop(name, None)


class Stopping(Preloading):
    """with Stopping(so, "pwrite:1:before"): what is started in it ends there."""

    def __init__(self, path, at, armed=False):
        super().__init__(path, STOP_AT=at, **({"STOP_ARMED": "1"} if armed else {}))


class Failing(Preloading):
    """with Failing(so, "pread", errno.EIO, "part of a name"): in what is started in it those calls fail, `times` of them."""

    def __init__(self, path, call, error, part, skip=0, times=-1):
        super().__init__(path, FAIL_CALL=call, FAIL_ERRNO=str(error), FAIL_PATH=part, FAIL_SKIP=str(skip), FAIL_TIMES=str(times))


class Clock(Preloading):
    """with Clock(so, path) as clock: what is started in it has clocks that clock.leap(seconds) moves."""

    def __init__(self, path, page):
        self.page = pathlib.Path(page)
        self.page.write_bytes(bytes(16))
        self.wall = self.forward = 0
        super().__init__(path, CLOCK_PAGE=str(page))

    def __enter__(self):
        super().__enter__()
        return self

    def leap(self, seconds, forward=0):
        """The wall clock, and the one that only goes forward."""
        self.wall, self.forward = self.wall + int(seconds * 1000), self.forward + int(forward * 1000)
        with open(self.page, "r+b") as page:
            page.write(b"".join(n.to_bytes(8, "little", signed=True) for n in (self.wall, self.forward)))
