"""Step 1, take: a record of the work topic becomes attempts. Never raises, never waits: it runs inside Faust's iteration."""

from typing import Protocol

import structlog

from ledger.core import wire
from ledger.core.ids import ExecutionId, Token
from ledger.core.offers import Offers
from ledger.core.refusal import Undecodable
from processors.runner.attempt import Attempt

log = structlog.get_logger(__name__)


class Record(Protocol):
    """A Kafka record as it was delivered. `appended_ms` is the broker's append time."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def appended_ms(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


def take(record: Record, claim_prefix: str, now: float) -> list[Attempt]:
    """The attempts that the record offers, in order. What cannot be read is passed over aloud: it holds no fact, only an invitation,
    and control makes it again when no start comes."""
    try:
        offers = wire.decode_offers(record.value)
    except Undecodable as error:
        log.error(
            "a record of offers cannot be read; control will offer its executions again",
            action="offers.unreadable",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=error.reason,
            detail=error.detail,
        )
        return []
    return attempts_of(offers, claim_prefix, record.appended_ms, now)


def attempts_of(offers: Offers, claim_prefix: str, offered_ms: int, now: float) -> list[Attempt]:
    """In order. `offered_ms`: the broker's time when they were offered."""
    return [
        Attempt(offer, offers.partition, claim_of(claim_prefix, offer.execution_id, offer.token), offered_ms, now)
        for offer in offers.offers
    ]


def claim_of(prefix: str, execution_id: ExecutionId, token: Token) -> str:
    """The Redis key that says who performs this grant."""
    return f"{prefix}{execution_id}:{token}"
