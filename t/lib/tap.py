# SPDX-License-Identifier: ISC
"""TAP for tests in Python: ok(), is_(), skip_all(), done()."""
import sys

_state = {"count": 0, "failed": 0}


def ok(good, name, detail=None):
    _state["count"] += 1
    print(f"{'ok' if good else 'not ok'} {_state['count']} - {name}", flush=True)
    if not good:
        _state["failed"] += 1
        if detail is not None:
            for line in str(detail).splitlines():
                print(f"# {line}", flush=True)
    return bool(good)


def is_(got, want, name):
    return ok(got == want, name, f"got:  {got!r}\nwant: {want!r}")


def skip(name, why):
    """One test that cannot be made here."""
    _state["count"] += 1
    print(f"ok {_state['count']} - {name} # SKIP {why}", flush=True)


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def note(text):
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def done():
    print(f"1..{_state['count']}", flush=True)
    sys.exit(1 if _state["failed"] else 0)
