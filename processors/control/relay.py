"""Relayed executions, until a word is heard of them: their workers are told by Redis publish, and again where nothing came back.

Best effort, and volatile: a new owner tells all that it finds once more, and a worker says of what it knows already that it does. Who never
hears of it loses it to the rescuer only by dying. No I/O here.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from ledger.core.definition import Registry
from ledger.core.draft import Delivered
from ledger.core.execution import Active, Report, Started
from ledger.core.ids import ExecutionId, Micros, WorkerId
from ledger.core.orders import Order
from ledger.core.outcome import Answer
from ledger.core.partition import Partition
from ledger.core.wire import Event
from processors.control.offering import grant_of
from processors.control.orders import Addressed

SOON: Final = 0.02  # seconds from telling a start to its end, if the job is a short one: those of one commit come back together
MOST_TOGETHER: Final = 200  # reports that are worth a commit in any case
AGAIN: Final = 2.0  # seconds without a word until it is told once more


class Relay:
    """`channel`: where a worker listens."""

    def __init__(self, partition: Partition, registry: Registry, channel: Callable[[WorkerId], str]) -> None:
        self._partition = partition
        self._registry = registry
        self._channel = channel
        self._untold: dict[ExecutionId, float] = {}  # and when it was told last

    def __bool__(self) -> bool:
        """Something is to be heard of."""
        return bool(self._untold)

    def begin(self) -> None:
        """From the fold: what was relayed and runs, as far as is known."""
        held = (execution_id for executions in self._partition.workers.values() for execution_id in executions)
        self._untold = {one: -AGAIN for one in held if (state := self._state(one)) is not None and state.relayed}

    def tell(self, execution_ids: Iterable[ExecutionId], at: Micros, now: float) -> list[Addressed]:
        """What has to be told of these, which are in the log now."""
        told: list[Addressed] = []
        for execution_id in execution_ids:
            if (state := self._state(execution_id)) is not None:
                self._untold[execution_id] = now
                order = Order(execution_id, "next", state.token, offer=grant_of(state, self._registry), at=at)
                told.append((self._channel(state.worker), order))
        return told

    def heard(self, events: Iterable[Event], answers: Sequence[tuple[str, Answer | Order]]) -> None:
        """What happened, and what is answered to workers that said that they know."""
        for event in events:
            execution_id = getattr(event, "execution_id", None)
            if execution_id in self._untold and type(event) is not Started:
                del self._untold[execution_id]
        for _, answer in answers:
            if isinstance(answer, Order) and answer.why == "accepted":
                self._untold.pop(answer.execution_id, None)

    def comes_soon(self, inbox: Collection[Delivered], now: float) -> float:
        """Seconds within which more of what was told lately may end. None to wait for if the inbox holds all of it or is empty, or if
        somebody waits there for more than a relay."""
        if not inbox or len(inbox) > MOST_TOGETHER:
            return 0.0
        ended: set[ExecutionId] = set()
        for one in inbox:
            if not isinstance(one.item, Report) or not one.item.takes_next:
                return 0.0
            ended.add(one.item.execution_id)
        told_last = max((told_at for one, told_at in self._untold.items() if one not in ended), default=-AGAIN)
        return max(0.0, told_last + SOON - now)

    def again(self, at: Micros, now: float) -> list[Addressed]:
        """To those who said nothing for a while."""
        due = [one for one, told_at in self._untold.items() if now - told_at >= AGAIN]
        for one in due:
            del self._untold[one]
        return self.tell(due, at, now)

    def _state(self, execution_id: ExecutionId) -> Active | None:
        state = self._partition.executions.get(execution_id)
        return state if isinstance(state, Active) else None
