"""A seeded world without I/O: writers of one partition, zombies among them, unknown outcomes, late landings, stale and skipped deliveries.

Virtual time, an in-memory log, an in-memory topic of commands with retention. The product's own `Writer`, `Partition` and `PartitionDraft`
are driven; a rule is taken away by handing in a subclass without it. What went wrong is counted in `anomalies`.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec import Raw

from ledger.core import chain, execution, outcome, request, sealing, snapshot, wire
from ledger.core.definition import Job, Registry, Version
from ledger.core.draft import Draft
from ledger.core.execution import Active, Requested, Waiting
from ledger.core.ids import NOWHERE, Address, Micros, Token, WorkerId
from ledger.core.partition import Partition
from ledger.core.partition_draft import PartitionDraft
from ledger.core.refusal import ChainBroken
from ledger.core.writer import Writer

SECOND = 1_000_000
WINDOW = 60 * SECOND
RETENTION = 300 * SECOND
IDENTITY = ("sim", 1)


def registry() -> Registry:
    known = Registry(Address(2, 0))
    known.jobs["noop"] = Job(
        "noop", "noop", "on_demand", "default", state="active", current_version=1, versions=(Version(1, "h", Micros(0)),)
    )
    return known


@dataclass
class Rules:
    """The product's own classes; a test hands in others."""

    writer: type[Writer[Partition]] = Writer
    partition: type[Partition] = Partition
    draft: type[PartitionDraft] = PartitionDraft
    doubt_unknown: bool = True


@dataclass
class Command:
    """A record of commands as it stands in the topic."""

    appended: int
    value: bytes


@dataclass
class Actor:
    world: "World"
    writer: Writer[Partition]
    alive: bool = True
    in_flight: Draft[Partition] | None = None
    bytes_in_flight: bytes = b""


@dataclass
class World:
    rnd: random.Random
    rules: Rules
    log: list[bytes] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    flying: list[tuple[Actor | None, bytes]] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)
    snapshots: list[tuple[bytes, dict[int, bytes]]] = field(default_factory=list)
    sent: list[tuple[request.Submit, int]] = field(default_factory=list)
    now: int = 1_000 * SECOND
    faulty: bool = True
    start: int = 0
    done_with: int = 0
    anomalies: Counter[str] = field(default_factory=Counter)
    wanted: dict[str, str] = field(default_factory=dict)  # command id -> the outcome it must have

    def __post_init__(self) -> None:
        opened = wire.encode(outcome.Opened(*IDENTITY))
        self.log.append(wire.encode_commit(chain.Header(1, "events", 0, 1, "", 0, NOWHERE, None), [opened]))
        self.actors.append(self.new_actor())

    # Actors

    def new_actor(self) -> Actor:
        partition = self.rules.partition(0, window=WINDOW)
        if self.snapshots and self.rnd.random() < 0.7:
            seal, chunks = self.rnd.choice(self.snapshots)
            read = sealing.read_final(seal)
            assert read is not None and snapshot.restore(partition, read, chunks)
        actor = Actor(self, self.rules.writer(partition))
        self.read_log(actor)
        if self.commands_start() > partition.head.position.offset + 1:
            self.anomalies["PLACE LOST TO RETENTION"] += 1
        actor.writer.step_over(self.commands_start())
        return actor

    def commands_start(self) -> int:
        """The first offset that retention has left: old records that somebody has done with are gone."""
        for actor in self.actors:
            draft, inbox = actor.in_flight, actor.writer.inbox
            undone = draft.taken[0] if draft is not None and draft.taken else inbox[0] if inbox else None
            self.done_with = max(self.done_with, undone.position.offset if undone is not None else actor.writer.next_offset)
        while self.start < self.done_with and self.commands[self.start].appended < self.now - RETENTION:
            self.start += 1
        return self.start

    def read_log(self, actor: Actor) -> None:
        fold = actor.writer.fold
        for offset in range(fold.head.next_offset, len(self.log)):
            actor.writer.feed(self.log[offset], offset)
        actor.writer.caught_up()

    def deliver(self, actor: Actor) -> None:
        """Faust: normally the next record; sometimes a stale later one, or an earlier one again."""
        offset = max(actor.writer.next_offset, self.commands_start())
        if self.faulty and self.rnd.random() < 0.1:
            offset += self.rnd.choice((-3, -2, -1, 1, 2, 3))
        if self.commands_start() <= offset < len(self.commands):
            record = self.commands[offset]
            actor.writer.deliver(offset, Micros(record.appended), wire.decode_commands(record.value))

    def decide(self, actor: Actor) -> None:
        if actor.in_flight is not None:
            return
        draft = self.rules.draft(actor.writer.fold, registry(), Micros(self.now), facts_are_fresh=True)
        for timer in list(actor.writer.fold.timers):
            draft.include(draft.decide_timer(timer[1]))
        actor.writer.fill(draft)
        if draft.is_worth_a_commit:
            actor.in_flight, actor.bytes_in_flight = draft, draft.record()
            self.flying.append((actor, actor.bytes_in_flight))

    def land(self) -> None:
        """An append in flight meets its fate: acked, there but unknown, late, or never there."""
        actor, record = self.flying.pop(self.rnd.randrange(len(self.flying)))
        fate = self.rnd.random() if self.faulty else 0.0
        offset: int | None = None
        if fate < 0.88:
            self.log.append(record)
            offset = len(self.log) - 1 if fate < 0.75 else None
        elif fate < 0.94:
            self.flying.append((None, record))
        if actor is not None and actor.alive and actor.in_flight is not None and actor.bytes_in_flight is record:
            self.settle(actor, offset)

    def settle(self, actor: Actor, offset: int | None) -> None:
        draft, actor.in_flight = actor.in_flight, None
        assert draft is not None
        known = offset is not None and actor.writer.confirm(draft, actor.bytes_in_flight, offset)
        if not known:
            if offset is None and not self.rules.doubt_unknown:
                fold = actor.writer.fold
                fold.accept(draft.header(), tuple(draft.events), chain.digest(actor.bytes_in_flight), fold.head.next_offset)
                return
            if offset is None:
                actor.writer.abandon(draft)
            self.read_log(actor)

    # Clients and workers

    def submit(self) -> None:
        items: list[bytes] = []
        for _ in range(self.rnd.randint(1, 3)):
            kind = self.rnd.random()
            recent = [submit for submit, at in self.sent[-20:] if at > self.now - WINDOW // 2]
            if recent and kind < 0.2:
                again = self.rnd.choice(recent)  # nobody resends later than half the window
                items.append(wire.encode(again))
                continue
            command_id = f"c{len(self.commands)}.{len(items)}"
            if kind < 0.3:
                items.append(wire.encode(request.Submit(command_id, "unknown")))
                self.wanted[command_id] = "rejected"
                continue
            if kind < 0.35:
                items.append(b'{"type":"no.such.v1"}')
                continue
            key = f"k{len(self.sent)}" if kind < 0.6 else None
            submit = request.Submit(command_id, "noop", Raw(b"1"), idempotency_key=key, delay_ms=20_000 if kind > 0.95 else None)
            self.sent.append((submit, self.now))
            items.append(wire.encode(submit))
            self.wanted[command_id] = "requested"
        self.commands.append(Command(self.now, b"[" + b",".join(items) + b"]"))

    def report(self, actor: Actor) -> None:
        """A worker tells of something that it was offered; some say it twice, some with an old token."""
        live = [(x, state) for x, state in actor.writer.fold.executions.items() if isinstance(state, Waiting | Active)]
        if not live:
            return
        execution_id, state = self.rnd.choice(live)
        worker = state.worker if isinstance(state, Active) and self.rnd.random() < 0.8 else f"w{self.rnd.randint(1, 3)}"
        ending = self.rnd.random()
        report = execution.Report(
            execution_id,
            state.token if self.rnd.random() < 0.9 else Token(7),
            WorkerId(worker),
            outcome=None if ending < 0.4 else "completed" if ending < 0.8 else "failed",
            retry_after_ms=1000 if ending > 0.9 else None,
        )
        self.commands += [Command(self.now, wire.encode(report))] * self.rnd.choice((1, 1, 2))

    # A run

    def step(self) -> None:
        self.now += self.rnd.choice((0, 0, 1, 1, 2)) * SECOND
        if self.rnd.random() < 0.01:
            self.now += self.rnd.choice((20, 80)) * SECOND
        dice = self.rnd.random()
        live = [actor for actor in self.actors if actor.alive]
        actor = self.rnd.choice(live)
        if dice < 0.15:
            self.submit()
        elif dice < 0.22:
            self.report(actor)
        elif dice < 0.5:
            self.deliver(actor)
        elif dice < 0.75:
            self.decide(actor)
        elif dice < 0.94 and self.flying:
            self.land()
        elif dice < 0.965:
            self.restart(live)
        elif dice < 0.98:
            self.take_snapshot(actor)

    def restart(self, live: list[Actor]) -> None:
        """Everybody dies, or one, or nobody; then another begins. Up to two zombies go on."""
        if self.rnd.random() < 0.5:
            for actor in live:
                actor.alive = False
        elif self.rnd.random() < 0.5:
            live[0].alive = False
        self.actors = [*[actor for actor in self.actors if actor.alive][-2:], self.new_actor()]

    def take_snapshot(self, actor: Actor) -> None:
        frozen = snapshot.FrozenPartition(actor.writer.fold)
        chunks = list(frozen.chunks())
        self.snapshots = [*self.snapshots, (frozen.final(len(chunks), sealing.digest_of(chunks)), dict(enumerate(chunks)))][-3:]

    def run(self, steps: int) -> Counter[str]:
        try:
            for _ in range(steps):
                self.step()
            self.finish()
        except ChainBroken as broken:
            self.anomalies[f"CHAIN BROKEN: {broken.detail.split(':')[0][:30]}"] += 1
        else:
            self.judge()
        return self.anomalies

    def finish(self) -> None:
        """The faults end; what is in flight lands or not; one owner is left and works everything off."""
        self.faulty = False
        for _, record in self.flying:
            if self.rnd.random() < 0.5:
                self.log.append(record)
        self.flying = []
        last = self.new_actor()
        for _ in range(4 * len(self.commands) + 100):
            self.deliver(last)
            self.decide(last)
            if self.flying:
                self.land()
            if last.writer.next_offset >= len(self.commands) and not last.writer.inbox:
                break

    def judge(self) -> None:
        whole = Partition(0, window=WINDOW)
        events: list[wire.Event] = []
        positions = [NOWHERE]
        for offset, record in enumerate(self.log):
            if isinstance(whole.feed(record, offset), chain.Accepted):
                commit = wire.decode_commit(record)
                events += commit.events
                positions.append(commit.position)
        self.anomalies["accepted"] += whole.accepted
        self.anomalies["void"] += whole.voids
        self.anomalies["POSITION FELL"] += sum(later < earlier for earlier, later in pairwise(positions))
        self.judge_snapshots(whole)
        self.judge_events(events)

    def judge_snapshots(self, whole: Partition) -> None:
        for seal, chunks in self.snapshots:
            begun = Partition(0, window=WINDOW)
            read = sealing.read_final(seal)
            assert read is not None and snapshot.restore(begun, read, chunks)
            for offset in range(begun.head.next_offset, len(self.log)):
                begun.feed(self.log[offset], offset)
            self.anomalies["READERS DISAGREE"] += (begun.head, begun.executions, begun.keys) != (whole.head, whole.executions, whole.keys)

    def judge_events(self, events: list[wire.Event]) -> None:
        outcomes = Counter[tuple[str, str]]()
        tokens: dict[str, int] = {}
        terminal = Counter[str]()
        for event in events:
            if isinstance(event, Requested) and event.command_id is not None:
                outcomes["requested", event.command_id] += 1
            elif isinstance(event, outcome.Rejected):
                outcomes["rejected", event.command_id] += 1
            elif isinstance(event, execution.Started):
                self.anomalies["TOKEN FELL"] += event.token <= tokens.get(event.execution_id, -1)
                tokens[event.execution_id] = event.token
            elif isinstance(event, execution.Completed | execution.Failed | execution.Lost | execution.Missed):
                terminal[event.execution_id] += 1
        self.anomalies["TWO ENDS"] += sum(times > 1 for times in terminal.values())
        for command_id, kind in self.wanted.items():
            times = outcomes[kind, command_id]
            self.anomalies["LOST"] += times == 0
            self.anomalies["DOUBLED"] += times > 1


def serious(anomalies: Counter[str]) -> dict[str, int]:
    """What must never happen."""
    return {name: times for name, times in anomalies.items() if times and name[0].isupper()}
