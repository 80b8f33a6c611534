"""The watchdog: what ends a process, and what does not."""

from dataclasses import dataclass

import pytest

from processors.pulse import Pulse
from processors.watchdog import Limits, Watchdog


@dataclass
class Watched:
    """A process in the hands of a test. Times count from its beginning."""

    crashed: bool = False
    ready: bool = True
    stuck_since: float | None = None
    stall: float = 20
    stopped: int = 0

    def __post_init__(self) -> None:
        self.dog = Watchdog(
            crashed=lambda: self.crashed,
            ready=lambda: self.ready,
            stuck_since=self._stuck,
            stopped=lambda: self.stopped,
            limits=Limits(90, self.stall, 120),
        )
        self.began = self.dog._began

    def _stuck(self) -> float | None:
        return None if self.stuck_since is None else self.began + self.stuck_since

    def at(self, seconds: float) -> str | None:
        return self.dog.verdict(self.began + seconds)


def test_a_process_that_is_well_goes_on() -> None:
    assert Watched().at(19) is None


@pytest.mark.parametrize(
    ("watched", "seconds", "why"),
    [
        (Watched(crashed=True), 1, "Faust crashed"),
        (Watched(ready=False), 91, "not ready within 90 s"),
        (Watched(), 21, "the event loop did not move for 20 s"),
        (Watched(stuck_since=1, stall=1000), 122, "work, but no progress for 120 s"),
    ],
    ids=["crashed", "never ready", "stalled", "stuck"],
)
def test_what_ends_it(watched: Watched, seconds: float, why: str) -> None:
    assert watched.at(seconds) == why


@pytest.mark.parametrize("watched", [Watched(ready=False), Watched(), Watched(stuck_since=0)])
def test_a_process_that_was_stopped_is_judged_from_when_it_woke(watched: Watched) -> None:
    watched.dog.overslept(watched.began + 1000)
    assert watched.at(1019) is None


async def test_a_loop_that_stops_as_it_should_need_not_beat() -> None:
    watched = Watched()
    beating = watched.dog.beat()
    beating.send(None)
    beating.close()
    assert watched.at(100) is None


def test_it_says_what_it_sees() -> None:
    watched = Watched(stuck_since=1.0, stopped=2)
    assert watched.dog.pulse(watched.began + 4.0) == Pulse(True, stalled=4.0, behind=3.0, stopped=2)
