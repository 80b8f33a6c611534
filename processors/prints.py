"""Where code of users prints: line by line, as its process may be killed, and whether anybody reads there is not what it is about."""

import sys

from ledger.lossy import lossy


def let_go() -> None:
    """From now on a line that is printed here is written at once, and lost where it cannot be: a terminal or a reader that is gone."""
    if (out := sys.__stdout__) is not None:
        sys.stdout = lossy(out.fileno(), out.encoding, out.errors)
    if (err := sys.__stderr__) is not None:
        sys.stderr = lossy(err.fileno(), err.encoding, err.errors)
