"""The fold of one partition of `events`: its executions, what it remembers against repeats, its schedules, and the indexes over them.

Source: architecture.md, sections 3 to 5.
"""

from collections import OrderedDict, deque
from heapq import heappush
from sys import intern

from msgspec import structs

from ledger.core import backfill, bulk, execution, letters, outcome, tick
from ledger.core.backlog import Backlog, Entry
from ledger.core.backlogs import FULL, Backlogs, is_over
from ledger.core.execution import (
    Active,
    Buffered,
    Completed,
    Delayed,
    Ended,
    Failed,
    Live,
    Lost,
    Requested,
    State,
    Waiting,
    begun,
    line_of,
    state_at_end,
)
from ledger.core.fold import LogFold, keep_newest
from ledger.core.history import History
from ledger.core.ids import BEFORE_ALL, KEYED, Address, ExecutionId, Micros, WorkerId
from ledger.core.repeats import Keyed, deduplication_key, keyed, outcome_key, vouched_for
from ledger.core.uniqueness import Uniques, name_of
from ledger.core.wire import Event

REMEMBERED_ACTS = 10_000
MOST_STALE = 10_000  # entries of what went another way
BY_CLOCK = frozenset({"schedule", "backfill"})  # triggers
RUN_ENDS = frozenset({Completed, Failed, Lost})  # what counts for or against a job that pauses itself


class Partition(LogFold):
    """`window`: how long a repeat is known, between broker append times, in microseconds; `remembered`: at most so many of each."""

    def __init__(self, number: int, *, window: int = 3_600_000_000, remembered: int = 500_000, counts_backlogs: bool = False) -> None:
        super().__init__("events", number)
        self.number = number
        self.window = window
        self.remembered = remembered
        self.executions: dict[ExecutionId, State] = {}
        self.keys: dict[str, Keyed] = {}
        self.uniques = Uniques()
        self.rejections: dict[str, outcome.Rejected] = {}
        self.acts: dict[str, outcome.Accepted] = {}
        self.schedules: dict[str, tick.InForce] = {}
        self.history = History()
        self.backfills: dict[str, backfill.Running] = {}
        self.backfilled: dict[str, None] = {}  # every backfill that began, also those that are done
        self.bulks: dict[str, bool] = {}  # every bulk act that began, and whether it goes on
        self.letters: dict[str, letters.Fate] = {}  # dead letters that were acted on
        # Ordered: a plain dict looks for its first among all that went before it.
        self.retries = OrderedDict[ExecutionId, tuple[ExecutionId, Micros]]()  # of what was retried: its retry, and when
        self.reckons_with: tuple[int, str | None] | None = None  # the engine and the zone data of the last owner
        self.of_keys = OrderedDict[str, Micros]()  # when a submit with an idempotency key was refused, or known as another's
        self.ended: deque[tuple[Micros, ExecutionId]] = deque()
        self.ended_ticks: deque[tuple[Micros, ExecutionId]] = deque()  # nobody asked for these by a command that may come again
        self.keyed: deque[tuple[Micros, str]] = deque()
        self.newest_append = Micros(0)
        self.backlogs = Backlogs() if counts_backlogs else None  # where no limit asks for it nothing is counted
        self.index()

    def index(self) -> None:
        """Build what is derived from the state alone; after this it is kept up to date event by event."""
        self.backlog = Backlog()
        self.timers: list[tuple[Micros, ExecutionId]] = []
        self.workers: dict[WorkerId, dict[ExecutionId, None]] = {}
        self.runs: dict[str, dict[ExecutionId, None]] = {}
        self.buffered: dict[str, dict[ExecutionId, None]] = {}  # who waits in line, by line, the oldest first
        self.holders: dict[str, ExecutionId] = {}  # by exclusivity key
        lines: list[Buffered] = []
        self.full = deque((self.head.at, key) for key, refused in self.rejections.items() if refused.reason == FULL)
        if self.backlogs is not None:
            self.backlogs = Backlogs()
        self.stopped = {job_id for job_id, schedule in self.schedules.items() if schedule.stopped is not None}
        for execution_id, state in self.executions.items():
            if not isinstance(state, Ended):
                self._track_run(execution_id, state.request)
                if self.backlogs is not None:
                    self.backlogs.turn(None, state)
                self._track_unique(state.request)
                if isinstance(state, Buffered):
                    lines.append(state)
                else:
                    self._enter(execution_id, state)
        for one in sorted(lines, key=lambda one: one.since):
            self._enter(one.request.execution_id, one)

    def evolve(self, event: Event, address: Address, at: Micros) -> None:
        if isinstance(event, execution.Event):
            after = execution.evolve(self.executions.get(event.execution_id), event, self.epoch, address, at)
            if after is not None:
                self.follow(event, after, at)
        elif isinstance(event, tick.Event):
            self._evolve_schedule(event, at)
        elif isinstance(event, outcome.Rejected):
            key = outcome_key(event.tenant, event.command_type, event.command_id)
            self.rejections[key] = event
            if event.reason == FULL:
                self.full.append((at, key))
            self._remember_of_key(key, at)
        elif isinstance(event, outcome.Accepted):
            key = outcome_key(event.tenant, event.command_type, event.command_id)
            self.acts[key] = event
            self._remember_of_key(key, at)
        elif isinstance(event, backfill.Event):
            self._evolve_backfill(event)
        elif isinstance(event, bulk.Event):
            self.bulks[event.bulk_id] = isinstance(event, bulk.Begun)
        elif isinstance(event, letters.Event):
            self.letters[event.letter] = letters.fate_of(event)
        elif isinstance(event, tick.Rezoned):
            self.reckons_with = (event.engine, event.tzdata)
            self.schedules.update({job_id: structs.replace(state, next_at=None) for job_id, state in self.schedules.items()})

    def _remember_of_key(self, key: str, at: Micros) -> None:
        """See `outcome_key`: where the id of the command follows from an idempotency key, it may be asked for again."""
        if key.rpartition("\0")[2].startswith(KEYED):
            self.of_keys.pop(key, None)  # to be the newest
            self.of_keys[key] = at

    def follow(self, event: execution.Event, after: State, at: Micros) -> None:
        """An execution goes from one state to another, and the indexes with it."""
        execution_id = event.execution_id
        before = self.executions.get(execution_id)
        if after is before:
            return
        self.executions[execution_id] = after
        if self.backlogs is not None:
            self.backlogs.turn(before, after)
        if type(before) is Active:
            if type(after) is Active:
                return  # progress
            self.workers[before.worker].pop(execution_id, None)
        elif type(event) is Requested:
            self._remember(event, at)
        if isinstance(after, Ended):
            by_clock = isinstance(before, Live) and before.request.trigger in BY_CLOCK
            (self.ended_ticks if by_clock else self.ended).append((at, execution_id))
            self._end_run(event, before, at)
        else:
            self._enter(execution_id, after)
            if type(before) is Buffered:
                _take_out(self.buffered, line_of(before.request), execution_id)

    def _remember(self, event: Requested, at: Micros) -> None:
        self._track_run(event.execution_id, event)
        if event.tick_at is not None and (schedule := self.schedules.get(event.job_id)) is not None and event.trigger == "schedule":
            self.schedules[event.job_id] = tick.decided(schedule, event.tick_at, event.next_tick_at, fired=1)
        if event.trigger == "submit":
            self.newest_append = max(self.newest_append, vouched_for(event.requested_at, at))
            if event.idempotency_key is not None:
                key = deduplication_key(event.tenant, event.job_id, event.exclusive_key, event.idempotency_key)
                known = self.keys[key] = keyed(event, at)
                self.keyed.append((known.vouched, key))
            self._track_unique(event)
        elif event.retry_of is not None:
            self.retries[event.retry_of] = (event.execution_id, at)

    def _track_run(self, execution_id: ExecutionId, request: Requested) -> None:
        if request.kind != "on_demand":
            self.runs.setdefault(request.job_id, {})[execution_id] = None

    def _track_unique(self, request: Requested) -> None:
        if request.unique_key is not None:
            self.uniques.ask(name_of(request), request.execution_id)

    def _end_run(self, event: execution.Event, before: State | None, at: Micros) -> None:
        if before is None or isinstance(before, Ended):
            return
        execution_id, request = event.execution_id, before.request
        if request.exclusive_key is not None and self.holders.get(request.exclusive_key) == execution_id:
            del self.holders[request.exclusive_key]
        if request.unique_key is not None:
            self.uniques.end(name_of(request), execution_id, state_at_end(event), at)
        if type(before) is Buffered:
            _take_out(self.buffered, line_of(request), execution_id)
        if request.kind == "on_demand":
            return
        job_id = request.job_id
        _take_out(self.runs, job_id, execution_id)
        if type(event) in RUN_ENDS and (schedule := self.schedules.get(job_id)) is not None:
            self.schedules[job_id] = tick.run_ended(schedule, well=type(event) is Completed)

    def _enter(self, execution_id: ExecutionId, state: Live) -> None:
        if state.request.exclusive_key is not None and holds_its_key(state):
            self.holders[state.request.exclusive_key] = execution_id
        match state:
            case Waiting(request, token):
                self.backlog.add(request.queue, request.priority, request.tenant, (execution_id, token))
                if not begun(state):
                    self._await_deadline(execution_id, request)
            case Active(worker=worker):
                self.workers.setdefault(worker, {})[execution_id] = None
            case Delayed(request, until):
                heappush(self.timers, (until, execution_id))
                if not begun(state):
                    self._await_deadline(execution_id, request)
            case Buffered(request):
                line = self.buffered.setdefault(line_of(request), {})
                if state.since == BEFORE_ALL and line:
                    self.buffered[line_of(request)] = {execution_id: None, **line}
                else:
                    line[execution_id] = None
                self._await_deadline(execution_id, request)

    def _await_deadline(self, execution_id: ExecutionId, request: Requested) -> None:
        if request.start_deadline is not None:
            heappush(self.timers, (request.start_deadline, execution_id))

    def _evolve_schedule(self, event: tick.Event, at: Micros) -> None:
        before = self.schedules.get(event.job_id)
        after = tick.evolve(event, before, at)
        match event:
            case tick.Skipped(tick_at=first, last_tick_at=last) | tick.Missed(tick_at=first, last_tick_at=last) if before is not None:
                self.history.unfired(event.job_id, first, last, before.decided_until)
            case tick.Adopted(engine=engine, tzdata=tzdata):
                self.reckons_with = (engine, tzdata)
        if isinstance(event, tick.Adopted | tick.Dropped) and before is not None:
            self.history.replaced(event.job_id, before)
        if after is None:
            self.schedules.pop(event.job_id, None)
        else:
            self.schedules[intern(event.job_id)] = after
        if after is not None and after.stopped is not None:
            self.stopped.add(event.job_id)
        else:
            self.stopped.discard(event.job_id)

    def _evolve_backfill(self, event: backfill.Event) -> None:
        after = backfill.evolve(event, self.backfills.get(event.backfill_id))
        if after is None:
            self.backfills.pop(event.backfill_id, None)
        else:
            self.backfills[event.backfill_id] = after
            self.backfilled[event.backfill_id] = None

    def settle(self, at: Micros) -> None:
        """Forget by the broker's append times, which a control that was away for hours does not change."""
        for worker in [worker for worker, held in self.workers.items() if not held]:
            del self.workers[worker]
        while self.full and is_over(self.full[0][0], at):
            self.rejections.pop(self.full.popleft()[1], None)
        while self.of_keys and self.of_keys[key := next(iter(self.of_keys))] < at - self.window:  # it may ask again, and is judged anew
            del self.of_keys[key]
            self.rejections.pop(key, None)
            self.acts.pop(key, None)
        horizon = self.newest_append - self.window
        while self.ended and (self.ended[0][0] < horizon or len(self.ended) > self.remembered):
            self.executions.pop(self.ended.popleft()[1], None)
        ticks = self.ended_ticks
        while ticks and (ticks[0][0] < at - self.window or len(ticks) + len(self.ended) > self.remembered):
            self.executions.pop(ticks.popleft()[1], None)
        while self.keyed and (self.keyed[0][0] < horizon or len(self.keyed) > self.remembered):
            vouched, key = self.keyed.popleft()
            if (known := self.keys.get(key)) is None or known.vouched != vouched:
                continue  # its key was asked for again
            if horizon <= known.appended <= self.newest_append and len(self.keyed) < self.remembered:
                self.keys[key] = known._replace(vouched=known.appended)  # the broker's clock was right, as it turned out
                self.keyed.append((known.appended, key))
            else:
                del self.keys[key]
        self.uniques.settle(horizon, self.remembered)
        while self.retries:
            oldest = next(iter(self.retries))
            if self.retries[oldest][1] >= horizon and len(self.retries) <= self.remembered:
                break
            del self.retries[oldest]
        keep_newest(self.of_keys, 2 * REMEMBERED_ACTS)  # no more are known
        keep_newest(self.rejections, REMEMBERED_ACTS)
        keep_newest(self.acts, REMEMBERED_ACTS)
        keep_newest(self.backfilled, REMEMBERED_ACTS)
        keep_newest(self.bulks, REMEMBERED_ACTS)
        keep_newest(self.letters, REMEMBERED_ACTS)
        self._sift()

    def _sift(self) -> None:
        """Entries of what went another way are stepped over in their turn, which may be a month away, or never come."""
        most = MOST_STALE + 4 * len(self.executions)
        if len(self.timers) > most:
            self.timers = sorted({one for one in self.timers if isinstance(self.executions.get(one[1]), Live)})  # as good as a heap
        if self.backlog.entries > most:
            self.backlog.sift(self.is_waiting)

    def is_waiting(self, entry: Entry) -> bool:
        """It waits under this grant."""
        state = self.executions.get(entry[0])
        return isinstance(state, Waiting) and state.token == entry[1]


def holds_its_key(state: Live) -> bool:
    """Others have to wait for it: it may run, runs, or will run again."""
    return not isinstance(state, Buffered) and (not isinstance(state, Delayed) or begun(state))


def _take_out(index: dict[str, dict[ExecutionId, None]], name: str, execution_id: ExecutionId) -> None:
    entries = index.get(name)
    if entries is not None:
        entries.pop(execution_id, None)
        if not entries:
            del index[name]
