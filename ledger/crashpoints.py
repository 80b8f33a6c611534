"""Named points at which a test may let a process die, as `kill -9` would: JOBLEDGER_CRASH_AT=control:after-append, or ...:3 (third)."""

import os
from collections import Counter

CRASH_AT = "JOBLEDGER_CRASH_AT"
EXIT_KILLED = 137
_passed: Counter[str] = Counter()  # the only module state of ours: the environment it reads is as global


def crash_point(name: str) -> None:
    """Ends the process here if the environment names this point; only tests set it."""
    wanted = os.environ.get(CRASH_AT)
    if wanted is None or not wanted.startswith(name):
        return
    times = wanted[len(name) :].lstrip(":") or "1"
    _passed[name] += 1
    if times.isdecimal() and _passed[name] >= int(times):
        os._exit(EXIT_KILLED)
