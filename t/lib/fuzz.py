# SPDX-License-Identifier: ISC
"""Runs fuzz targets of the build over their corpus with the bounded driver (t/fuzz/driver.c); speaks TAP."""
import os
import subprocess

SECONDS_MAX = 300
HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "..", "fuzz", "corpus")


def real_mail():
    """A directory of real mail beside the repository, or None."""
    place = os.environ.get("SHARED_CORPUS") or os.path.join(HERE, "..", "..", "..", "shared", "corpus")
    return place if os.path.isdir(place) else None


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


def main(targets, with_real_mail=False):
    """targets: name -> mutations of each corpus file."""
    count = 0

    def report(good, what, why=""):
        nonlocal count
        count += 1
        print(f"{'ok' if good else 'not ok'} {count} - {what}{why}", flush=True)

    for name, mutations in targets.items():
        if not os.path.exists(os.path.join("t", "fuzz", name)):
            report(True, name, " # SKIP not built here (make check builds it)")
            continue
        good, said = run(name, mutations, os.path.join(CORPUS, name))
        report(good, f"{name}: its corpus, {mutations} mutations each ({said})")
        if with_real_mail and real_mail():
            good, said = run(name, 1, real_mail())
            report(good, f"{name}: real mail ({said})")
        elif with_real_mail:
            report(True, f"{name}: real mail", " # SKIP no corpus of real mail (SHARED_CORPUS)")
    print(f"1..{count}")
