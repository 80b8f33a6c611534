"""What a draft and the fold of its partition know together: the ground on which everything in a partition is decided."""

from collections.abc import Iterator
from itertools import chain

from ledger.core import backfill, bulk, execution, letters, outcome, request, tick
from ledger.core.backlogs import BacklogLimits, Backlogs
from ledger.core.definition import Job, Registry, Version
from ledger.core.draft import Draft, Forward, NeedsFacts
from ledger.core.engines import Engines
from ledger.core.execution import Active, Buffered, Completed, Ended, Live, Requested, Started, State, line_of, state_at_end
from ledger.core.ids import BEFORE_ALL, Address, ExecutionId, Micros
from ledger.core.letters import Fate
from ledger.core.outcome import Answer
from ledger.core.partition import RUN_ENDS, Partition, holds_its_key
from ledger.core.refusal import Refused
from ledger.core.repeats import Keyed, deduplication_key, keyed, outcome_key
from ledger.core.said import cut_to_fit
from ledger.core.uniqueness import name_of
from ledger.core.wire import Command, Event

Wanting = request.Submit | request.RunNow | request.Act | request.Retry  # of a job
Asked = Wanting | request.Control  # commands of people and programs, each with an id and exactly one outcome


class PartitionView(Draft[Partition]):
    """`facts_are_fresh`: the registry was read to its present end after these commands came, so a refusal for want of facts is final."""

    def __init__(
        self,
        partition: Partition,
        registry: Registry,
        at: Micros,
        *,
        facts_are_fresh: bool = False,
        engines: Engines | None = None,
        backlog_limits: BacklogLimits | None = None,
        relays_within: int = 0,
    ) -> None:
        super().__init__(partition.head, at)
        self.partition = partition
        self.registry = registry
        self.facts_are_fresh = facts_are_fresh
        self.engines = engines or Engines()
        self.backlog_limits = backlog_limits
        self.relays_within = relays_within  # microseconds; see `relay`
        self.backlogs = None if partition.backlogs is None else Backlogs()  # what this draft adds to those of the fold
        self.executions: dict[ExecutionId, State] = {}
        self.keys: dict[str, Keyed] = {}
        self.uniques: dict[str, dict[ExecutionId, str | None]] = {}
        self.outcomes: dict[str, outcome.Rejected | outcome.Accepted] = {}
        self.schedules: dict[str, tick.InForce | None] = {}
        self.runs: dict[str, list[ExecutionId]] = {}
        self.holders: dict[str, ExecutionId | None] = {}
        self.queued: dict[str, list[ExecutionId]] = {}
        self.gave_way: dict[str, list[ExecutionId]] = {}
        self.backfills: dict[str, backfill.Running | None] = {}
        self.bulks: dict[str, bool] = {}
        self.retries: dict[ExecutionId, ExecutionId] = {}
        self.letters: dict[str, Fate] = {}
        self.adopts_up_to: Address | None = None
        self.acknowledges = False  # somebody waits for this partition to name the registry's position
        self._here = f"-{partition.number}"  # what the ids of executions that live here end with

    def registry_position(self) -> Address | None:
        """Moves on only when all consequences of the registry in this partition are appended."""
        return self.adopts_up_to or self.head.registry

    @property
    def is_worth_a_commit(self) -> bool:
        return super().is_worth_a_commit or (self.acknowledges and self.registry_position() != self.head.registry)

    # What is known

    def state_of(self, execution_id: ExecutionId) -> State | None:
        return self.executions.get(execution_id) or self.partition.executions.get(execution_id)

    def schedule_of(self, job_id: str) -> tick.InForce | None:
        return self.schedules[job_id] if job_id in self.schedules else self.partition.schedules.get(job_id)

    def backfill_of(self, backfill_id: str) -> backfill.Running | None:
        return self.backfills[backfill_id] if backfill_id in self.backfills else self.partition.backfills.get(backfill_id)

    def bulk_goes_on(self, bulk_id: str) -> bool | None:
        """None: it was never begun here."""
        return self.bulks[bulk_id] if bulk_id in self.bulks else self.partition.bulks.get(bulk_id)

    def retry_of(self, execution_id: ExecutionId) -> ExecutionId | None:
        """The execution that retries this one already."""
        known = self.partition.retries.get(execution_id)
        return known[0] if known is not None else self.retries.get(execution_id)

    def letter_of(self, letter: str) -> Fate | None:
        """What became of a dead letter."""
        return self.letters.get(letter) or self.partition.letters.get(letter)

    def live(self, job_id: str) -> Iterator[tuple[ExecutionId, Live]]:
        """The executions of a job with a schedule that are not terminal, the oldest first: there may be thousands, and who looks for one of
        them does not look at all."""
        if job_id not in self.partition.runs and job_id not in self.runs:
            return
        for one in chain(self.partition.runs.get(job_id, ()), self.runs.get(job_id, ())):
            state = self.state_of(one)
            if isinstance(state, Live):
                yield one, state

    def holder(self, exclusive_key: str) -> ExecutionId | None:
        """The execution that holds this exclusivity key."""
        return self.holders[exclusive_key] if exclusive_key in self.holders else self.partition.holders.get(exclusive_key)

    def in_line(self, line: str) -> Iterator[tuple[ExecutionId, Buffered]]:
        """Who waits in this line, the oldest first. Who was next, and gave way, is where it was."""
        gave_way = self.gave_way.get(line, ())
        entered = chain(reversed(gave_way), self.partition.buffered.get(line, ()), self.queued.get(line, ()))
        for one in dict.fromkeys(entered) if gave_way else entered:
            state = self.state_of(one)
            if isinstance(state, Buffered):
                yield one, state

    def alike(self, name: str) -> dict[ExecutionId, str | None]:
        """The executions under one unique key, the oldest first, with the state in which each ended."""
        return {**self.partition.uniques.by_key.get(name, {}), **self.uniques.get(name, {})}

    def outcome_of(self, command: Asked) -> outcome.Rejected | outcome.Accepted | None:
        """What became of an act, or of a command that was refused, when it came before."""
        partition = self.partition
        if not self.outcomes and not partition.rejections and not (partition.acts and _has_outcome(command)):
            return None
        key = outcome_key(tenant_of(command), tag_of(command), command.command_id)
        known = self.outcomes.get(key) or partition.rejections.get(key) or partition.acts.get(key)
        # bytes that control could not read may be readable for the control of another release
        return None if isinstance(known, outcome.Rejected) and isinstance(command, request.Redrive) else known

    def wanted(self, command: Wanting) -> tuple[Job, Version]:
        """The job and its version in force. What the registry does not know here, it may know at its present end."""
        if command.after is not None and command.after.seq > self.registry.at.seq:  # its commits are folded as a whole
            self._look_again()
            raise Refused("registry_position_unknown", f"the registry ends at {self.registry.at}, before {command.after}")
        job = self.registry.jobs.get(command.job_id)
        if job is None or job.state != "active" or job.current is None:
            self._look_again()
            if job is not None and job.state == "retired":
                raise Refused("retired", f"{command.job_id} is retired")
            raise Refused("unknown_job", f"no job is called {command.job_id}: `jobledger jobs list` shows what there is")
        return job, job.current

    def check_backlog(self, queue: str, tenant: str | None) -> None:
        """Raises `Refused` where too many wait already."""
        if self.backlog_limits is not None:
            self.backlog_limits.check(queue, tenant, self._waiting, self.partition.partitions)

    def _waiting(self, key: str) -> int:
        parts = (self.partition.backlogs, self.backlogs)
        return sum(part.waiting.get(key, 0) for part in parts if part is not None)

    def _look_again(self) -> None:
        if not self.facts_are_fresh:
            raise NeedsFacts

    # What is told

    def forward(self, command: Command, name: str, home: int) -> list[Event]:
        self.effects.forwards.append(Forward(home, command))
        return [outcome.Forwarded(name, tag_of(command), home)]

    def answer_request(self, command: request.Submit | request.RunNow, execution_id: ExecutionId, *, repeated: bool) -> None:
        if command.answer is None:
            return
        self.answer(command.answer, Answer(command.command_id, "repeated" if repeated else "accepted", execution_id))
        if command.follow:
            self.effects.followers.append((execution_id, command.answer))

    def answer_outcome(self, command: Asked, event: outcome.Rejected | outcome.Accepted) -> None:
        if isinstance(event, outcome.Rejected):
            self.answer(command.answer, Answer(command.command_id, "rejected", reason=event.reason, detail=event.detail))
        else:
            self.answer(command.answer, Answer(command.command_id, event.outcome, event.execution_id, job_id=event.job_id))

    # What later decisions see

    def preview(self, event: Event, address: Address) -> State | None:
        if type(event) is Requested:
            return self._preview_request(event, address)
        if type(event) is Started or type(event) is Completed or isinstance(event, execution.Event):  # a union is asked slowly
            before = self.state_of(event.execution_id)
            after = execution.evolve(before, event, self.partition.epoch, address, self.at)
            if after is not None:
                live = before if isinstance(after, Ended) else after
                request = None if live is None or isinstance(live, Ended) else live.request
                self._preview_turn(event, before, after, request)
            if type(event) in RUN_ENDS and isinstance(before, Active):
                self._preview_end(event, before.request)
            return after
        if isinstance(event, tick.Event):
            self.schedules[event.job_id] = tick.evolve(event, self.schedule_of(event.job_id), self.at)
        elif isinstance(event, outcome.Rejected | outcome.Accepted):
            self.outcomes[outcome_key(event.tenant, event.command_type, event.command_id)] = event
        elif isinstance(event, backfill.Event):
            self.backfills[event.backfill_id] = backfill.evolve(event, self.backfill_of(event.backfill_id))
        elif isinstance(event, bulk.Event):
            self.bulks[event.bulk_id] = isinstance(event, bulk.Begun)
        elif isinstance(event, letters.Event):
            self.letters[event.letter] = letters.fate_of(event)
        return None

    def _preview_turn(self, event: execution.Event, before: State | None, after: State, request: Requested | None) -> None:
        """An execution goes from one state to another. `request`: its own, unless it had ended before."""
        self.executions[event.execution_id] = after
        if self.backlogs is not None:
            self.backlogs.turn(before, after)
        if request is None:
            return
        if request.exclusive_key or type(after) is Buffered:
            self._preview_line(request, after)
        if request.unique_key is not None:
            ended = state_at_end(event) if isinstance(after, Ended) else None
            self.uniques.setdefault(name_of(request), {})[event.execution_id] = ended

    def _preview_line(self, request: Requested, after: State) -> None:
        """Who holds an exclusivity key, and who waits in line."""
        key, execution_id = request.exclusive_key, request.execution_id
        if isinstance(after, Buffered):
            lines = self.gave_way if after.since == BEFORE_ALL else self.queued
            lines.setdefault(line_of(request), []).append(execution_id)
        elif key is None:
            return
        elif isinstance(after, Ended):
            if self.holder(key) == execution_id:
                self.holders[key] = None
        elif holds_its_key(after):
            self.holders[key] = execution_id

    def _preview_request(self, event: Requested, address: Address) -> State | None:
        state = execution.evolve(self.state_of(event.execution_id), event, self.partition.epoch, address, self.at)
        if state is not None:
            self._preview_turn(event, None, state, event)
        if event.kind != "on_demand":
            self.runs.setdefault(event.job_id, []).append(event.execution_id)
        if event.retry_of is not None:
            self.retries[event.retry_of] = event.execution_id
        if event.idempotency_key is not None:
            key = deduplication_key(event.tenant, event.job_id, event.exclusive_key, event.idempotency_key)
            self.keys[key] = keyed(event, self.at)
        if event.tick_at is not None and event.trigger == "schedule" and (schedule := self.schedule_of(event.job_id)) is not None:
            self.schedules[event.job_id] = tick.decided(schedule, event.tick_at, event.next_tick_at, fired=1)
        return state

    def _preview_end(self, event: Event, ended: Requested) -> None:
        if ended.kind != "on_demand" and (schedule := self.schedule_of(ended.job_id)) is not None:
            self.schedules[ended.job_id] = tick.run_ended(schedule, well=type(event) is Completed)


def tag_of(command: Command) -> str:
    """The stored name of a command's type."""
    return str(type(command).__struct_config__.tag)


def _has_outcome(command: Asked) -> bool:
    """Whether it may have been accepted without asking for an execution of its own."""
    return command.unique is not None if isinstance(command, request.Submit) else isinstance(command, request.Act | request.Control)


def tenant_of(command: Asked) -> str | None:
    return command.tenant if isinstance(command, request.Submit) else None


def rejected(command: Asked, refused: Refused) -> outcome.Rejected:
    job_id = command.job_id if isinstance(command, Wanting) else None
    bulk_id = command.bulk_id if isinstance(command, request.OneOfMany) else None
    return outcome.Rejected(
        command.command_id, tag_of(command), refused.reason, refused.detail, job_id, tenant_of(command), cut_to_fit(command.actor), bulk_id
    )
