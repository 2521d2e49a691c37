#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs the fuzz targets of lib/conf over their corpus."""
import os
import subprocess

TARGETS = {"maptext": 300, "settings": 300}  # mutations of each corpus file
SECONDS_MAX = 300

here = os.path.dirname(os.path.abspath(__file__))
count = 0


def report(good, what, why=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {what}{why}", flush=True)


def run(name, mutations, where):
    """The target's own word on how many inputs it took, or what it died of."""
    try:
        done = subprocess.run([os.path.join("t", "fuzz", name), "-n", str(mutations), where],
                              capture_output=True, text=True, errors="replace", timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return False, "took too long"
    if done.returncode != 0:
        for line in done.stderr.splitlines()[:40]:
            print("#", line)
    return done.returncode == 0, done.stdout.strip()


for name, mutations in TARGETS.items():
    if not os.path.exists(os.path.join("t", "fuzz", name)):
        report(True, name, " # SKIP not built here (make check builds it)")
        continue
    good, said = run(name, mutations, os.path.join(here, "corpus", name))
    report(good, f"{name}: its corpus, {mutations} mutations each ({said})")
print(f"1..{count}")
