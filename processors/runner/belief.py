"""Which offers are still believed. One older than the life of a claim proves nothing: its attempt may have ended, and its claim with it."""

from collections.abc import Callable
from typing import Final

import structlog

from processors.broker_clock import BrokerClock
from processors.runner.attempt import Attempt
from processors.runner.claims import LIFE_IN_LEASES

log = structlog.get_logger(__name__)
SAY_EVERY: Final = 1.0  # seconds


class Belief:
    """`lease` in seconds. Counts what it does not believe, and says so now and then."""

    def __init__(self, clock: BrokerClock, lease: float, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._life_us = round(LIFE_IN_LEASES * lease * 1_000_000)
        self._monotonic = monotonic
        self._dropped = 0  # since it was said last
        self._said = -SAY_EVERY

    def oldest_ms(self) -> int:
        """When the oldest offer was made that is believed now, in milliseconds of the broker's time; asked once a batch."""
        now = self._clock.now()
        return 0 if now is None else (now - self._life_us) // 1000

    def holds(self, attempt: Attempt, oldest_ms: int) -> bool:
        if attempt.offered_ms >= oldest_ms:
            return True
        self._dropped += 1
        return False

    def say_what_was_dropped(self) -> None:
        now = self._monotonic()
        if self._dropped and now - self._said >= SAY_EVERY:
            self._said = now
            log.info(
                "offers that are too old were dropped; those that still stand are made again", action="offers.old", count=self._dropped
            )
            self._dropped = 0
