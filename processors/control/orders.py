"""Orders to workers: an attempt that is asked to stop, and one that control counts no more, shall not go on to its end.

Told by Redis publish after the append, as answers are. What is asked to stop is told again until it has ended; what is fenced is told when
it is fenced and whenever its worker still speaks for it. No I/O here.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ledger.core import wire
from ledger.core.execution import Active, AttemptLost, Cancelled, CancelRequested, Lost, ReportRefused
from ledger.core.ids import ExecutionId, WorkerId
from ledger.core.orders import Order
from ledger.core.partition import Partition

AGAIN: Final = 2.0  # seconds until what was asked to stop is told so once more
TOLD: Final = frozenset({AttemptLost, Lost, ReportRefused, CancelRequested, Cancelled})

Addressed = tuple[str, Order]  # with the worker's channel


class Orders:
    """`channel`: where a worker listens."""

    def __init__(self, partition: Partition, channel: Callable[[WorkerId], str]) -> None:
        self._partition = partition
        self._channel = channel
        self._asked: dict[ExecutionId, None] = {}
        self._asked_at = 0.0

    def begin(self) -> None:
        """From the fold: who was asked to stop and has not ended."""
        held = (execution_id for executions in self._partition.workers.values() for execution_id in executions)
        self._asked = dict.fromkeys(one for one in held if self._to_cancel(one) is not None)

    def foresee(self, events: Iterable[wire.Event]) -> list[Addressed]:
        """What is to be told once these events are in the log; asked before that, while the fold knows who performs what they end."""
        told: list[Addressed] = []
        for event in events:
            if type(event) in TOLD and (order := self._order_of(event)) is not None:
                told.append(order)
        return told

    def _order_of(self, event: wire.Event) -> Addressed | None:
        match event:
            case AttemptLost(execution_id, attempt, worker) | Lost(execution_id, attempt, worker):
                return self._channel(worker), Order(execution_id, "fenced", attempt=attempt)
            case ReportRefused(execution_id, token, worker):
                return self._channel(worker), Order(execution_id, "fenced", token)
            case CancelRequested(execution_id, reason):
                self._asked[execution_id] = None
                state = self._partition.executions.get(execution_id)
                return (self._channel(state.worker), _cancel(state, reason)) if isinstance(state, Active) else None
            case Cancelled(execution_id, "terminate_other"):
                state = self._partition.executions.get(execution_id)
                return (self._channel(state.worker), Order(execution_id, "fenced", state.token)) if isinstance(state, Active) else None
        return None

    def again(self, now: float) -> list[Addressed]:
        """To those who were asked a while ago and go on."""
        if not self._asked or now - self._asked_at < AGAIN:
            return []
        self._asked_at = now
        told = {execution_id: self._to_cancel(execution_id) for execution_id in self._asked}
        self._asked = dict.fromkeys(execution_id for execution_id, order in told.items() if order is not None)
        return [order for order in told.values() if order is not None]

    def _to_cancel(self, execution_id: ExecutionId) -> Addressed | None:
        state = self._partition.executions.get(execution_id)
        if not isinstance(state, Active) or state.cancel is None:
            return None
        return self._channel(state.worker), _cancel(state, state.cancel.reason)


def _cancel(state: Active, reason: str) -> Order:
    return Order(state.request.execution_id, "cancelled", state.token, reason=reason)
