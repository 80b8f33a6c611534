"""Long work on projections: how it is run, and what is said meanwhile."""

import gc
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

import uvloop
from rich.console import Console
from rich.progress import Progress as Bar

from ledger.cli.output import is_plain, talk

T = TypeVar("T")
REPORT_EVERY: Final = 5.0  # seconds


class Meter:
    """Says a rate every few seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._count = 0

    def rate(self, count: int) -> float | None:
        """Since it was said last; None if that is not long ago, or nothing happened."""
        passed = time.monotonic() - self._told
        if passed < REPORT_EVERY or count == self._count:
            return None
        rate = max(0, count - self._count) / passed
        self._told, self._count = time.monotonic(), count
        return rate


class Tell(Protocol):
    def __call__(self, phase: str, records: int, of: int, events: int, left: float | None) -> None: ...


@contextmanager
def told() -> Iterator[Tell]:
    """How far it is: a bar on a terminal, elsewhere a line every few seconds."""
    meter, last = Meter(), ""

    def said(events: int, left: float | None) -> str:
        nonlocal last
        if (rate := meter.rate(events)) is not None:
            last = f"{events} events, {rate:.0f}/s"
        return f"{last}{time_left(left)}" if last else ""

    if not is_plain(sys.stderr.isatty()):
        with Bar(*Bar.get_default_columns(), "{task.fields[said]}", console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None, said="")
            yield lambda phase, records, of, events, left: bar.update(
                task, description=phase, completed=records, total=of, said=said(events, left)
            )
        return

    def tell(phase: str, records: int, of: int, events: int, left: float | None) -> None:
        before, words = last, said(events, left)
        if last != before:
            talk(f"{phase}: {records} of {of} records, {words}")

    yield tell


def time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f", {minutes} min {rest} s left" if minutes else f", {rest} s left"


def folding(work: Coroutine[object, object, T]) -> T:
    """Folding makes millions of small objects that never form cycles: the collector need not look so often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return uvloop.run(work)
