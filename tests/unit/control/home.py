"""A registry and one home partition in memory, with a clock that the test moves: what control does, without its servers."""

from collections.abc import Sequence
from itertools import count

from msgspec import structs

from ledger.core import chain, outcome, snapshot, tick, wire
from ledger.core.definition import Register, ScheduleJob
from ledger.core.draft import Delivered
from ledger.core.engines import Engines
from ledger.core.execution import Active, Lose, Report, Requested, Waiting
from ledger.core.ids import NOWHERE, ExecutionId, Micros, Position, WorkerId
from ledger.core.orders import Order
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.registry import RegistryFold, Touched
from ledger.core.registry_draft import RegistryDraft
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.sealing import digest_of, read_final
from ledger.core.writer import Writer
from processors.control.schedules import Schedules
from processors.control.timers import Timers

NOON = Micros(1_800_000_000_000_000)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WORKER = WorkerId("w")


def opening(log: str) -> bytes:
    opened = wire.encode(outcome.Opened("log", 1))
    return wire.encode_commit(chain.Header(1, log, 0, 1, "", 0, NOWHERE, None), [opened])


class Home:
    """Everything at home in one partition. `now` is the broker's time; `deciding` is the product's own, or it without a rule.
    `plans`: the ticks that are due next are planned as soon as it comes to rest. `takes`: microseconds from a commit to the next."""

    def __init__(self, now: int = NOON, deciding: type[PartitionDraft] = PartitionDraft, *, plans: bool = True, takes: int = 0) -> None:
        self.now = now
        self.plans = plans
        self.takes = takes
        self.deciding = deciding
        self.numbers = count(1)
        self.decider, self.facts = RegistryFold(), RegistryFold()
        self.registry_log: list[bytes] = []
        self.deaf = False  # the partition does not hear of the registry
        self.heard: int | None = None  # until when all that workers said is decided; None: until now
        self._append_to_registry(opening("registry"))
        self.facts.feed(self.registry_log[0], 0)
        self.facts.touched = Touched()
        self.log = [opening("events")]
        self.answers: list[outcome.Answer | Order] = []
        self.commands = 0
        self.restart()
        self.ask(Register(self.name(), "beat", "beat", "on_demand", "default", 1, "h"))

    # The registry

    def ask(self, *commands: wire.RegistryCommand) -> list[wire.Event]:
        """Decide in the registry; the partition hears of it unless it is deaf, and acts when `act` is called."""
        draft = RegistryDraft(self.decider, Micros(self.now))
        for command in commands:
            position = Position(len(self.registry_log), draft.position.nth + 1 if draft.taken else 0)
            assert draft.add(Delivered(position, Micros(self.now), command)) == "added"
        self._append_to_registry(draft.record())
        if not self.deaf:
            self.hear()
        return draft.events

    def _append_to_registry(self, record: bytes) -> None:
        self.decider.feed(record, len(self.registry_log))
        self.registry_log.append(record)

    def hear(self) -> None:
        """Follow the registry to its end."""
        for offset in range(self.facts.head.next_offset, len(self.registry_log)):
            self.facts.feed(self.registry_log[offset], offset)
        touched, self.facts.touched = self.facts.touched, Touched()
        self.schedules.notice(touched)

    def schedule(self, job_id: str = "beat:1", **spec: object) -> list[wire.Event]:
        """A user's job of the handler `beat`, every second if nothing else is said."""
        options = {name: spec.pop(name) for name in ("tenant", "exclusive_scope", "exclusive_key", "options", "data") if name in spec}
        written = ScheduleSpec(**(spec if spec.keys() & {"cron", "at", "every_ms"} else {"every_ms": 1000, **spec}))  # type: ignore[arg-type]  # fields by name
        command = ScheduleJob(self.name(), "beat", str(hash((written, str(options)))), written, job_id)
        return self.ask(structs.replace(command, **options))

    def name(self) -> str:
        return f"c{next(self.numbers)}"

    # The partition

    def offer_all(self) -> None:
        """Nobody waits for an offer any more."""
        for queue in self.partition.backlog.queues:
            self.partition.backlog.take(queue, len(self.partition.executions), lambda _: True)

    def restart(self, *, from_snapshot: bool = False) -> None:
        """A new owner: the log is folded from its first commit, or from a snapshot of the former owner."""
        fold = Partition(0, remembered=5000)
        if from_snapshot:
            frozen = snapshot.FrozenPartition(self.partition)
            chunks = list(frozen.chunks())
            seal = read_final(frozen.final(len(chunks), digest_of(chunks)))
            assert seal is not None and snapshot.restore(fold, seal, dict(enumerate(chunks)))
        for offset in range(fold.head.next_offset, len(self.log)):
            fold.feed(self.log[offset], offset)
        self.partition = fold
        self.writer = Writer(fold)
        self.writer.next_offset = self.commands
        self.schedules = Schedules(fold, self.facts.registry, Engines())
        self.schedules.begin()
        self.timers = Timers(fold)

    def draft(self) -> PartitionDraft:
        draft = self.deciding(
            self.partition,
            self.facts.registry,
            Micros(self.now),
            facts_are_fresh=True,
            engines=self.schedules.engines,
            relays_within=SECOND,
        )
        if self.schedules.adopt(draft):
            self.schedules.fire(draft)
            self.timers.decide(draft, Micros(self.now if self.heard is None else self.heard))
        return draft

    def act(self, at: int | None = None, *, lose: bool = False) -> list[wire.Event]:
        """Decide and append until nothing is left to do at this time. `lose`: each draft is dropped once and decided again."""
        self.now = self.now if at is None else at
        events: list[wire.Event] = []
        for _ in range(10_000):
            draft = self.draft()
            if lose:
                self.dropped()
                draft = self.draft()
            if draft.adopts_up_to is not None:
                assert self.writer.fill(draft)
            if not draft.is_worth_a_commit:
                if self.plans:
                    self.plan()
                return events
            self.append(draft)
            self.timers.committed()
            self.schedules.committed({event.job_id for event in draft.events if isinstance(event, tick.Event)})
            self.answers = [answer for _, answer in draft.effects.answers]
            events += draft.events
            self.now += self.takes
        raise AssertionError("it never comes to rest")

    def append(self, draft: PartitionDraft) -> None:
        record = draft.record()
        assert self.writer.confirm(draft, record, len(self.log))
        self.log.append(record)

    def dropped(self) -> None:
        self.timers.dropped()
        self.schedules.dropped()

    def plan(self) -> None:
        due = self.schedules.next_due()
        while due is not None and due > self.now and self.schedules.next_plan() is not None:
            self.schedules.plan(Micros(due - 1))

    def lose(self, worker: WorkerId, most: int = 3) -> list[wire.Event]:
        """The rescuer missed this worker for a lease."""
        draft = self.draft()
        for execution_id in list(self.partition.workers.get(worker, ())):
            draft.include(draft.decide_loss(Lose(execution_id, worker, most)))
        if draft.is_worth_a_commit:
            self.append(draft)
        return [*draft.events, *self.act()]

    def send(self, *commands: wire.Command) -> list[wire.Event]:
        """Commands to the partition, and all that follows."""
        self.writer.deliver(self.commands, Micros(self.now), commands)
        self.commands += 1
        return self.act()

    def report(self, execution_id: ExecutionId, outcome: str = "completed", **more: object) -> list[wire.Event]:
        """A worker tells of the present attempt of this execution."""
        state = self.partition.executions[execution_id]
        assert isinstance(state, Waiting | Active)
        return self.send(Report(execution_id, state.token, WORKER, outcome=outcome, **more))  # type: ignore[arg-type]  # by name

    def start(self, execution_id: ExecutionId) -> None:
        state = self.partition.executions[execution_id]
        assert isinstance(state, Waiting)
        self.send(Report(execution_id, state.token, WORKER))

    def live(self) -> list[ExecutionId]:
        """What of jobs with a schedule is not terminal."""
        return [execution_id for some in self.partition.runs.values() for execution_id in some]

    def finish_all(self) -> None:
        """Everything that can run completes, and what becomes due by that as well."""
        while ready := [name for name in self.live() if isinstance(self.partition.executions[name], Waiting | Active)]:
            for execution_id in ready:
                self.report(execution_id)


def told(events: Sequence[wire.Event], since: int = NOON) -> list[object]:
    """Outcomes of ticks in short: 3 for a tick that fired 3 s after `since`, ("overlap", 4, 6, 3) for a range that did not."""
    short: list[object] = []
    for event in events:
        if isinstance(event, Requested) and event.trigger == "schedule" and event.tick_at is not None:
            short.append(_seconds(event.tick_at - since))
        elif isinstance(event, tick.Skipped | tick.Missed):
            short.append((event.reason, _seconds(event.tick_at - since), _seconds(event.last_tick_at - since), event.count))
    return short


def _seconds(micros: int) -> float:
    return micros // SECOND if micros % SECOND == 0 else micros / SECOND


def counted(events: Sequence[wire.Event]) -> int:
    """How many ticks have their outcome in these events."""
    skipped = sum(event.count for event in events if isinstance(event, tick.Skipped | tick.Missed))
    return skipped + sum(isinstance(event, Requested) and event.trigger == "schedule" for event in events)


def fired(events: Sequence[wire.Event]) -> list[ExecutionId]:
    return [event.execution_id for event in events if isinstance(event, Requested)]
