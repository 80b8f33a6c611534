"""What a runner needs of the world; tests give it another."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from ledger.handlers import RunIn
from processors.broker_clock import BrokerClock
from processors.runner.claims import Claims
from processors.runner.limiting import NO_HOLDERS
from processors.runner.locks import Locks, NoLocks, Renewals
from processors.runner.outbox import Bug
from processors.runner.perform import Perform
from processors.runner.places import Holders
from processors.runner.places import Renewals as HeldRenewals
from processors.runner.sender import Sender

NO_LOCKS: Final = NoLocks()
MOST_THREADS: Final = 1000


class Liveness(Protocol):
    """The sign of life of this worker."""

    def is_held(self) -> bool: ...

    def was_held_for(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Edges:
    """`bug` is told of an error of ours, `stuck` of code that only the end of the process can end, and `overrun` of such code beside which
    another's may run: nothing else is to be waited for. That comes from whatever thread. `threads`: so many plain functions run at the same
    time."""

    claims: Claims
    liveness: Liveness
    sender: Sender
    clock: BrokerClock
    ways: Mapping[RunIn, Perform]
    bug: Bug
    stuck: Callable[[], None]
    overrun: Callable[[], None]
    monotonic: Callable[[], float] = time.monotonic
    threads: int = MOST_THREADS
    locks: Locks = NO_LOCKS
    renewals: Renewals = NO_LOCKS
    holders: Holders = NO_HOLDERS
    held_renewals: HeldRenewals = NO_HOLDERS
