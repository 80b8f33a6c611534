"""`immediately`: which versions still owe their run, and that all who ask for it ask for the same one."""

import pytest

from ledger.client.at_once import Moment, owed
from ledger.core.definition import Job, Registry, Version
from ledger.core.ids import Micros

ACCEPTED = Micros(1_800_000_000_000_000)
MINUTE = 60_000_000
WINDOW = 3600.0


def known(number: int = 1) -> Registry:
    return Registry(jobs={"a": Job("a", "a", "system", "default", "job", versions=(Version(number, "h", ACCEPTED),))})


def after(minutes: int, by_the_clock: int | None = None) -> Moment:
    clock = minutes if by_the_clock is None else by_the_clock
    return Moment(Micros(ACCEPTED + minutes * MINUTE), Micros(ACCEPTED + clock * MINUTE))


@pytest.mark.parametrize("registry", [Registry(), known(number=2)])
def test_a_version_that_is_not_stored_yet_is_run(registry: Registry) -> None:
    assert owed([("a", 1)], registry, after(100), WINDOW) == [("a", 1)]


def test_one_that_was_accepted_just_now_is_asked_for_again_as_whoever_stored_it_may_have_died() -> None:
    assert owed([("a", 1)], known(), after(29), WINDOW) == [("a", 1)]


@pytest.mark.parametrize("moment", [after(31), after(0, by_the_clock=31), after(31, by_the_clock=0)])
def test_later_than_half_the_window_nobody_asks(moment: Moment) -> None:
    assert owed([("a", 1)], known(), moment, WINDOW) == []
