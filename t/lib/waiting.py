# SPDX-License-Identifier: ISC
"""The one loop that polls: for what no file descriptor can announce."""
import time

PAUSE_SECONDS = 0.02


def comes(condition, seconds):
    """Has the condition come to hold in this time? Asked once more when the time is over."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
