"""What the actors of a process share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from ledger.config import Settings
from ledger.kafka.opening import LogIdentity
from processors.broker_clock import BrokerClock
from processors.control.appender import Appender
from processors.control.dead_letters import DeadLetters

Seek = Callable[[str, int, int], Awaitable[None]]  # topic, partition, offset
End = Callable[[str, int], int | None]  # topic, partition -> the offset behind its last record, as far as those who deliver know


@dataclass(frozen=True, slots=True)
class Edges:
    """`identity`: of the log that the topics held when the process started."""

    settings: Settings
    identity: LogIdentity
    clock: BrokerClock
    redis: Redis
    seek: Seek
    end: End
    dead_letters: DeadLetters
    forwards: Appender
