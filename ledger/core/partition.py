"""The fold of one partition of `events`: its executions, what it remembers against repeats, its schedules, and the indexes over them.

Source: architecture.md, sections 3 to 5.
"""

from collections import deque
from heapq import heappush

from ledger.core import execution, outcome, tick
from ledger.core.backlog import Backlog
from ledger.core.execution import Active, Buffered, Delayed, Ended, Live, Requested, State, Waiting
from ledger.core.fold import LogFold
from ledger.core.ids import Address, ExecutionId, Micros, WorkerId
from ledger.core.wire import Event


class Partition(LogFold):
    """`window`: how long a repeat is known, between broker append times, in microseconds; `remembered`: at most so many of each."""

    def __init__(self, number: int, *, window: int = 3_600_000_000, remembered: int = 500_000) -> None:
        super().__init__("events", number)
        self.number = number
        self.window = window
        self.remembered = remembered
        self.executions: dict[ExecutionId, State] = {}
        self.keys: dict[str, tuple[ExecutionId, Micros]] = {}
        self.rejections: dict[str, outcome.Rejected] = {}
        self.schedules: dict[str, tick.InForce] = {}
        self.ended: deque[tuple[Micros, ExecutionId]] = deque()
        self.keyed: deque[tuple[Micros, str]] = deque()
        self.newest_append = Micros(0)
        self.index()

    def index(self) -> None:
        """Build what is derived from the state alone; after this it is kept up to date event by event."""
        self.backlog = Backlog()
        self.timers: list[tuple[Micros, ExecutionId]] = []
        self.workers: dict[WorkerId, dict[ExecutionId, None]] = {}
        self.runs: dict[str, dict[ExecutionId, None]] = {}
        for execution_id, state in self.executions.items():
            if not isinstance(state, Ended):
                self._track_run(execution_id, state.request)
                self._enter(execution_id, state)

    def evolve(self, event: Event, address: Address, at: Micros, foreseen: State | None = None) -> None:
        if isinstance(event, execution.Event):
            before = self.executions.get(event.execution_id)
            after = foreseen or execution.evolve(before, event, self.epoch, address, at)
            if after is not before and after is not None:
                self._turn(event, before, after, at)
        elif isinstance(event, tick.Event):
            self._evolve_schedule(event, at)
        elif isinstance(event, outcome.Rejected):
            self.rejections[rejection_key(event.tenant, event.command_type, event.command_id)] = event

    def _turn(self, event: execution.Event, before: State | None, after: State, at: Micros) -> None:
        """An execution went from one state to another: the indexes follow."""
        execution_id = event.execution_id
        self.executions[execution_id] = after
        if type(before) is Active:
            if type(after) is Active:
                return  # progress
            self.workers[before.worker].pop(execution_id, None)
        elif type(event) is Requested:
            self._remember(event)
        if isinstance(after, Ended):
            self.ended.append((at, execution_id))
            self._end_run(execution_id, before)
        else:
            self._enter(execution_id, after)

    def _remember(self, event: Requested) -> None:
        self._track_run(event.execution_id, event)
        if event.tick_at is not None and (schedule := self.schedules.get(event.job_id)) is not None and event.trigger == "schedule":
            self.schedules[event.job_id] = tick.decided(schedule, event.tick_at, fired=1)
        if event.trigger == "submit":
            self.newest_append = max(self.newest_append, event.requested_at)
            if event.idempotency_key is not None:
                key = deduplication_key(event.tenant, event.job_id, event.exclusive_key, event.idempotency_key)
                self.keys[key] = (event.execution_id, event.requested_at)
                self.keyed.append((event.requested_at, key))

    def _track_run(self, execution_id: ExecutionId, request: Requested) -> None:
        if request.kind != "on_demand":
            self.runs.setdefault(request.job_id, {})[execution_id] = None

    def _end_run(self, execution_id: ExecutionId, before: State | None) -> None:
        if before is None or isinstance(before, Ended) or before.request.kind == "on_demand":
            return
        runs = self.runs.get(before.request.job_id, {})
        runs.pop(execution_id, None)
        if not runs:
            self.runs.pop(before.request.job_id, None)

    def _enter(self, execution_id: ExecutionId, state: Live) -> None:
        match state:
            case Waiting(request, token):
                self.backlog.add(request.queue, request.priority, request.tenant, (execution_id, token))
                self._await_deadline(execution_id, request)
            case Active(worker=worker):
                self.workers.setdefault(worker, {})[execution_id] = None
            case Delayed(request, until):
                heappush(self.timers, (until, execution_id))
                self._await_deadline(execution_id, request)
            case Buffered(request):
                self._await_deadline(execution_id, request)

    def _await_deadline(self, execution_id: ExecutionId, request: Requested) -> None:
        if request.start_deadline is not None:
            heappush(self.timers, (request.start_deadline, execution_id))

    def _evolve_schedule(self, event: tick.Event, at: Micros) -> None:
        after = tick.evolve(event, self.schedules.get(event.job_id), at)
        if after is None:
            self.schedules.pop(event.job_id, None)
        else:
            self.schedules[event.job_id] = after

    def settle(self, at: Micros) -> None:
        """Forget by the broker's append times, which a control that was away for hours does not change."""
        for worker in [worker for worker, held in self.workers.items() if not held]:
            del self.workers[worker]
        horizon = self.newest_append - self.window
        while self.ended and (self.ended[0][0] < horizon or len(self.ended) > self.remembered):
            self.executions.pop(self.ended.popleft()[1], None)
        while self.keyed and (self.keyed[0][0] < horizon or len(self.keyed) > self.remembered):
            requested_at, key = self.keyed.popleft()
            if (known := self.keys.get(key)) is not None and known[1] == requested_at:
                del self.keys[key]
        while len(self.rejections) > 10_000:
            del self.rejections[next(iter(self.rejections))]


def deduplication_key(tenant: str | None, job_id: str, exclusive_key: str | None, idempotency_key: str) -> str:
    """What an idempotency key is unique among: tenant, job and exclusivity key."""
    return "\0".join((tenant or "", job_id, exclusive_key or "", idempotency_key))


def rejection_key(tenant: str | None, command_type: str, command_id: str) -> str:
    """Command ids are scoped by tenant and act."""
    return "\0".join((tenant or "", command_type, command_id))
