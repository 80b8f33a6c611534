"""What a handler submits: named after its execution, so that another attempt of it which submits the same asks for nothing new."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import TypedDict

from ledger.core.ids import acting
from ledger.core.offers import Offer
from ledger.core.options import Options
from ledger.core.refusal import Refused
from ledger.core.request import Submit
from ledger.submitting.submission import command_of, submission_of
from ledger.submitting.unique import Unique


class Wish(TypedDict, total=False):
    """The options of a submit from inside an attempt: those of `Ledger.submit`, and `key`."""

    key: str
    tenant: str | None
    exclusive_key: str | None
    idempotency_key: str | None
    delay: str | timedelta | None
    run_at: datetime | str | None
    start_deadline: str | timedelta | None
    priority: int | None
    labels: dict[str, str] | None
    options: Mapping[str, object] | Options | None
    unique: Unique | str | Sequence[str] | None
    reason: str | None
    correlation_id: str | None
    trace_id: str | None


class Children:
    """Of one attempt. The same submit has the same name in each attempt: the n-th of its job, or the `key` it is given."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._counts: dict[str, Iterator[int]] = {}

    def command(self, job: str, data: object, wish: Wish) -> Submit:
        """Safe from any thread. Raises `Refused`."""
        offer = self._offer
        given: dict[str, object] = {
            "tenant": offer.tenant,
            "correlation_id": offer.correlation_id or offer.execution_id,
            "trace_id": offer.trace_id,
            "idempotency_key": None,
            **wish,
        }
        key = given.pop("key", None)
        if key is not None and given["idempotency_key"] is not None:
            raise Refused("invalid", "`key` and `idempotency_key` both name a submit: keep one; `key` counts inside this execution alone")
        if given["idempotency_key"] is None:
            # without the number of the partition, which another takes the place of when the log grows
            execution = offer.execution_id.rpartition("-")[0]
            given["idempotency_key"] = f"{execution}/{key}" if key is not None else f"{execution}#{next(self._counter(job))}"
        return command_of(submission_of({"job": job, "data": data, **given}), actor=acting(offer.execution_id))

    def _counter(self, job: str) -> Iterator[int]:
        return self._counts.setdefault(job, count(1))
