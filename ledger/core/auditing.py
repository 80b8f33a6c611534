"""What has to add up in a log: commands, ticks, executions, attempts. Fed with the commits of one partition in order; pure.

Told is what does not: never raised, and never only counted. Source: architecture.md, section 2; scheduling.md, section 6.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from ledger.core import execution, outcome, tick
from ledger.core.audit_saved import REMEMBERED, SavedPartition, SavedSchedule, Sent, bare, name_of
from ledger.core.audit_totals import Totals
from ledger.core.chain import Head, Header
from ledger.core.definition import Registry
from ledger.core.engines import Engines, version_of
from ledger.core.execution import Active, Ended, Live, Requested
from ledger.core.ids import Address, ExecutionId, Micros
from ledger.core.repeats import Keyed, keyed
from ledger.core.stretches import Moved, Stretch, TakenOver, until_of
from ledger.core.wire import Event

_OF_AN_ATTEMPT: Final = (
    execution.Completed
    | execution.Failed
    | execution.AttemptFailed
    | execution.HandedBack
    | execution.AttemptLost
    | execution.Lost
    | execution.Cancelled
)
UNJUDGED: Final = "of other zone data"  # ticks that control decided by them, and that this program would not have expected so


@dataclass(slots=True)
class InForce:
    """A schedule as the home partition says it fires: how many ticks of it have an outcome, and the last of them."""

    stretch: Stretch
    decided_until: int
    outcomes: int = 0
    fired: int = 0


class PartitionAudit:
    """`registry` and `moves`: all that the registry says, read before. Memory: what is live, and 60 bytes of what ended. `window`: how long
    a repeat is known by its command or idempotency key, in microseconds; later the same is a new wish."""

    def __init__(
        self,
        partition: int,
        epoch: int,
        registry: Registry,
        moves: Mapping[str, Sequence[Moved]],
        totals: Totals,
        window: int = 3_600_000_000,
    ) -> None:
        self._window = window
        self._keyed = OrderedDict[int, Keyed]()  # the commands with a key, and when they were accepted; of this run
        self._partition, self._epoch = partition, epoch
        self._registry, self._moves, self._totals = registry, moves, totals
        self._engines = Engines()
        self._live: dict[ExecutionId, Live] = {}
        self._ended: set[int] = set()
        self._accepted = OrderedDict[int, Micros]()  # the commands without one; a plain dict looks for its first among all that went before
        self._ended_last = deque[int](maxlen=REMEMBERED)
        self._schedules: dict[str, InForce] = {}

    def go_on(self, saved: SavedPartition) -> None:
        """What is fed from now on stands behind what was audited then."""
        self._epoch, self._live = saved.epoch, dict(saved.live)
        self._ended_last.extend(saved.ended)
        self._ended, self._accepted = set(saved.ended), OrderedDict(saved.accepted)
        for job_id, one in saved.schedules.items():
            stretch = Stretch(one.job_version, one.since, None, one.tzdata)
            self._schedules[job_id] = InForce(stretch, one.decided_until, one.outcomes, one.fired)

    def saved(self, head: Head, offset: int) -> SavedPartition:
        """Before `end`."""
        schedules = {
            job_id: SavedSchedule(
                one.stretch.job_version, one.stretch.since, one.decided_until, one.outcomes, one.fired, one.stretch.tzdata
            )
            for job_id, one in self._schedules.items()
        }
        live = {name: structs.replace(state, request=bare(state.request)) for name, state in self._live.items()}
        accepted = list(self._accepted.items())[-REMEMBERED:]
        return SavedPartition(head, offset, self._epoch, live, list(self._ended_last), accepted, schedules)

    def feed(self, header: Header, events: Sequence[Event]) -> None:
        self._totals.last_at = max(self._totals.last_at, header.at)
        for index, event in enumerate(events):
            if isinstance(event, execution.Event):
                self._of_execution(header, index, event)
            elif isinstance(event, tick.Event):
                self._of_schedule(header, index, event)
            elif isinstance(event, outcome.Event):
                self._of_command(header, event)
            elif isinstance(event, tick.Rezoned):
                self._rezone(event)

    def end(self) -> None:
        """There are no more commits."""
        figures = self._totals.figures
        before = figures.copy()
        for job_id, state in self._schedules.items():
            self._settle(job_id, state, state.decided_until)
        figures["live"] += len(self._live)
        figures["running"] += sum(isinstance(state, Active) for state in self._live.values())
        self._totals.at_end += figures - before

    # Commands

    def _of_command(self, header: Header, event: outcome.Event) -> None:
        figures = self._totals.figures
        match event:
            case outcome.Accepted():
                figures["acts"] += 1
                self._totals.answer(self._partition, event.command_id)
            case outcome.Rejected():
                figures["rejected"] += 1
                self._totals.answer(self._partition, event.command_id)
            case outcome.Forwarded():
                self._totals.forwarded.append(Sent(event.command_id, event.partition, header.at))
            case outcome.DeadLettered():
                figures["dead letters"] += 1
            case outcome.Opened():
                self._epoch = event.epoch

    def _asked(self, event: Requested, at: Micros) -> None:
        if event.command_id is None or event.trigger not in ("submit", "run_now"):
            return
        self._totals.figures["submits"] += 1
        self._totals.answer(self._partition, event.command_id)
        name = name_of("\0".join((event.command_id, event.tenant or "", event.trigger)))
        now = keyed(event, at)
        if event.idempotency_key is None:
            asked = self._accepted.pop(name, None)
            is_repeat = asked is not None and now.vouched - asked <= self._window
            self._accepted[name] = now.vouched
        else:
            before = self._keyed.pop(name, None)
            is_repeat = before is not None and before.is_repeated(event.requested_at, at, self._window)
            self._keyed[name] = now
        self._forget(now.vouched)
        if is_repeat:
            self._totals.differ("commands", f"command {event.command_id}", f"it was accepted twice, the second as {event.execution_id}")
        else:
            self._ended.discard(name_of(event.execution_id))  # of the same command, which was forgotten: it comes to be once more

    def _forget(self, now: Micros) -> None:
        while self._keyed and now - self._keyed[oldest := next(iter(self._keyed))].vouched > self._window:
            del self._keyed[oldest]
        while self._accepted and now - self._accepted[oldest := next(iter(self._accepted))] > self._window:
            del self._accepted[oldest]

    # Executions and attempts

    def _of_execution(self, header: Header, index: int, event: execution.Event) -> None:
        named = event.execution_id
        before = self._live.get(named)
        if isinstance(event, Requested):
            self._asked(event, Micros(header.at))
            self._totals.figures["executions"] += 1
            if event.trigger == "schedule" and event.tick_at is not None:
                self._count(header, index, event.job_id, event.job_version, (event.tick_at, event.tick_at, 1), "fired")
        elif isinstance(event, execution.ReportRefused):
            return
        if before is None and (not isinstance(event, Requested) or name_of(named) in self._ended):
            what = "has ended already" if name_of(named) in self._ended else "was never requested"
            self._totals.differ("executions", self._place(header, index), f"{type(event).__name__} of {named}, which {what}")
            return
        try:
            after = execution.evolve(before, event, self._epoch, Address(header.seq, index), Micros(header.at))
        except AssertionError:  # how `evolve` says that no decision of ours leads to this
            is_ = type(before).__name__.lower()
            self._totals.differ("executions", self._place(header, index), f"{type(event).__name__} of {named}, which is {is_}")
            return
        self._attempt(header, index, event, before, after)
        if isinstance(after, Live):
            self._live[named] = after
        elif isinstance(after, Ended):
            self._live.pop(named, None)
            name = name_of(named)
            self._ended.add(name)
            self._ended_last.append(name)
            self._totals.figures["terminal"] += 1

    def _attempt(self, header: Header, index: int, event: execution.Event, before: Live | None, after: execution.State | None) -> None:
        figures = self._totals.figures
        if isinstance(event, execution.Started) and isinstance(before, execution.Waiting):
            figures["started"] += 1
            if (event.token, event.attempt) != (before.token, before.attempt):
                what = f"attempt {event.attempt} of {event.execution_id} started with token {event.token}"
                self._totals.differ("attempts", self._place(header, index), f"{what}, granted was attempt {before.attempt}, {before.token}")
        elif isinstance(event, execution.Cancelled) and event.attempt and not isinstance(before, Active):
            what = f"attempt {event.attempt} of {event.execution_id} was cancelled, and none was under way"
            self._totals.differ("attempts", self._place(header, index), what)
        elif isinstance(before, Active) and not isinstance(after, Active):
            figures["attempts ended"] += 1
            told = event.attempt or before.attempt if isinstance(event, _OF_AN_ATTEMPT) else before.attempt
            if told != before.attempt:
                what = f"{type(event).__name__} of attempt {told} of {event.execution_id}, while attempt {before.attempt} runs"
                self._totals.differ("attempts", self._place(header, index), what)

    # Ticks

    def _of_schedule(self, header: Header, index: int, event: tick.Event) -> None:
        match event:
            case tick.Adopted():
                self._replace(header, index, event.job_id, event.since, event.job_version)
                stretch = Stretch(event.job_version, event.since, None, event.tzdata)
                self._schedules[event.job_id] = InForce(stretch, event.since, fired=event.fired)
            case tick.Dropped():
                self._replace(header, index, event.job_id, header.at, None)
            case tick.Skipped() | tick.Missed():
                name = "skipped" if isinstance(event, tick.Skipped) else "missed"
                ticks = (event.tick_at, event.last_tick_at, event.count)
                self._count(header, index, event.job_id, event.job_version, ticks, name)
            case _:
                pass

    def _replace(self, header: Header, index: int, job_id: str, since: int, job_version: int | None) -> None:
        former = self._schedules.pop(job_id, None)
        if former is None:
            return
        taken = TakenOver(header.at, header.seq, index, since, job_version, header.registry)
        self._settle(job_id, former, max(former.decided_until, until_of(former.stretch, taken, self._moves.get(job_id, ()))))

    def _rezone(self, event: tick.Rezoned) -> None:
        """The ticks after this follow other zone data; those before are judged by themselves."""
        for job_id, state in self._schedules.items():
            self._settle(job_id, state, state.decided_until)
            stretch = Stretch(state.stretch.job_version, state.decided_until, None, event.tzdata)
            self._schedules[job_id] = InForce(stretch, state.decided_until, fired=state.fired)

    def _count(self, header: Header, index: int, job_id: str, version: int, ticks: tuple[int, int, int], name: str) -> None:
        first, last, count = ticks
        self._totals.figures[name] += count
        state = self._schedules.get(job_id)
        if state is None or state.stretch.job_version != version:
            what = f"a tick of {job_id} version {version} was decided, whose schedule is not in force"
            self._totals.differ("ticks", self._place(header, index), what)
            return
        if first <= state.decided_until:
            self._totals.differ("ticks", self._place(header, index), f"tick {first} of {job_id} has its outcome already")
        state.decided_until = max(state.decided_until, last)
        state.outcomes += count
        state.fired += count if name == "fired" else 0

    def _settle(self, job_id: str, state: InForce, until: int) -> None:
        """All that was expected has an outcome, and nothing else has."""
        found = version_of(self._registry, job_id, state.stretch.job_version)
        engine = None if found is None else self._engines.of(found[1].written)
        if engine is None:
            what = f"version {state.stretch.job_version} has no schedule that this program can read"
            self._totals.differ("ticks", f"job {job_id}", what)
            return
        if engine.spec.is_spent(state.fired):
            until = state.decided_until
        expected = engine.count_us(state.stretch.since, until) if until > state.stretch.since else 0
        if expected != state.outcomes and state.stretch.is_by_others(engine.spec.timezone):
            expected = state.outcomes  # only a program with those zone data could tell
            self._totals.figures[UNJUDGED] += expected
        self._totals.figures["expected"] += expected
        if expected != state.outcomes:
            span = f"({state.stretch.since}, {until}]"
            what = f"version {state.stretch.job_version} expected {expected} ticks in {span}, {state.outcomes} have an outcome"
            self._totals.differ("ticks", f"job {job_id}", f"{what}: `jobledger why {job_id}` shows which")

    def _place(self, header: Header, index: int) -> str:
        return f"events[{self._partition}] seq {header.seq} index {index}"
