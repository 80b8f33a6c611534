"""Pauses of those who try again: programs that lose a server at the same instant would come back to it at the same instant, each time."""

import random


def spread(pause: float) -> float:
    """Half of it to all of it, in seconds as it is."""
    return pause * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
