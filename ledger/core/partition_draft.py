"""Decisions of one partition of `events`: submits, run-nows, reports, timers, losses, ticks; on top of the fold and the registry."""

from collections.abc import Sequence
from itertools import chain
from typing import assert_never

from msgspec import structs

from ledger.core import execution, outcome, request, tick
from ledger.core.bodies import NOTHING
from ledger.core.definition import Job, Registry, Version, check_names
from ledger.core.draft import Delivered, Draft, Forward, NeedsFacts
from ledger.core.execution import MILLISECOND, Ended, KeptOptions, Options, Report, Requested, State, kept
from ledger.core.ids import (
    Address,
    ExecutionId,
    Micros,
    exclusive_key,
    execution_of_command,
    execution_of_key,
    execution_of_tick,
    partition_for,
    partition_of,
    partition_of_hash,
    routing_key,
)
from ledger.core.outcome import Answer
from ledger.core.partition import Partition, deduplication_key, rejection_key
from ledger.core.refusal import Refused
from ledger.core.wire import LARGEST_RESULT, Event

MOST_LABELS = 32
LONGEST_MS = 10 * 366 * 86_400_000
LATEST = 32_503_680_000_000_000  # the year 3000, in microseconds


def home_of(job: Job, partitions: int) -> int:
    """The partition where a job's ticks and executions live, with whatever they exclude."""
    return partition_for(routing_key(job.job_id, job.job_name, job.tenant, job.exclusive_scope, job.exclusive_key, True, ""), partitions)


class PartitionDraft(Draft[Partition]):
    """`facts_are_fresh`: the registry was read to its present end after these commands came, so a refusal for want of facts is final."""

    def __init__(self, partition: Partition, registry: Registry, at: Micros, *, facts_are_fresh: bool = False) -> None:
        super().__init__(partition.head, at)
        self.partition = partition
        self.registry = registry
        self.facts_are_fresh = facts_are_fresh
        self.executions: dict[ExecutionId, State] = {}
        self.keys: dict[str, tuple[ExecutionId, Micros]] = {}
        self.rejections: dict[str, outcome.Rejected] = {}
        self.schedules: dict[str, tick.InForce | None] = {}
        self.runs: dict[str, list[ExecutionId]] = {}
        self.adopts_up_to: Address | None = None
        self._here = f"-{partition.number}"  # what the ids of executions that live here end with

    def registry_position(self) -> Address | None:
        """Moves on only when all consequences of the registry in this partition are appended."""
        return self.adopts_up_to or self.head.registry

    # What this draft and the fold know together

    def state_of(self, execution_id: ExecutionId) -> State | None:
        return self.executions.get(execution_id) or self.partition.executions.get(execution_id)

    def schedule_of(self, job_id: str) -> tick.InForce | None:
        return self.schedules[job_id] if job_id in self.schedules else self.partition.schedules.get(job_id)

    def running(self, job_id: str) -> ExecutionId | None:
        """An execution of the job that is not terminal, the oldest, or None."""
        live = chain(self.partition.runs.get(job_id, {}), self.runs.get(job_id, []))
        for execution_id in live:
            if not isinstance(self.state_of(execution_id), Ended):
                return execution_id
        return None

    def preview(self, event: Event, address: Address) -> State | None:
        if isinstance(event, execution.Event):
            before = self.state_of(event.execution_id)
            after = execution.evolve(before, event, self.partition.epoch, address, self.at)
            if after is not None:
                self.executions[event.execution_id] = after
            if type(event) is Requested:
                self._preview_request(event)
            return after
        if isinstance(event, tick.Event):
            self.schedules[event.job_id] = tick.evolve(event, self.schedule_of(event.job_id), self.at)
        elif isinstance(event, outcome.Rejected):
            self.rejections[rejection_key(event.tenant, event.command_type, event.command_id)] = event
        return None

    def _preview_request(self, event: Requested) -> None:
        if event.kind != "on_demand":
            self.runs.setdefault(event.job_id, []).append(event.execution_id)
        if event.idempotency_key is not None:
            key = deduplication_key(event.tenant, event.job_id, event.exclusive_key, event.idempotency_key)
            self.keys[key] = (event.execution_id, event.requested_at)
        if event.tick_at is not None and event.trigger == "schedule" and (schedule := self.schedule_of(event.job_id)) is not None:
            self.schedules[event.job_id] = tick.decided(schedule, event.tick_at, fired=1)

    # Decisions

    def decide(self, delivered: Delivered) -> Sequence[Event]:
        command = delivered.item
        match command:
            case Report():
                return self._decide_report(command)
            case request.Submit() | request.RunNow():
                return self._decide_request(command, delivered)
            case request.Return():
                self.effects.returned += [(execution_id, command.reason) for execution_id in command.execution_ids]
                return []
            case _:
                raise TypeError(f"{type(command).__name__} does not belong to this topic")

    def decide_timer(self, execution_id: ExecutionId) -> list[Event]:
        """A delay is over, or a start deadline has passed; nothing if it is not so."""
        state = self.state_of(execution_id)
        expired = execution.decide(execution.Expire(execution_id), state, self.at)
        return list(expired or execution.decide(execution.BecomeDue(execution_id), state, self.at))

    def decide_loss(self, loss: execution.Lose) -> list[Event]:
        return list(execution.decide(loss, self.state_of(loss.execution_id), self.at))

    def _decide_report(self, report: Report) -> Sequence[Event]:
        if not report.execution_id.endswith(self._here):
            home = partition_of(report.execution_id)
            if home is not None and home != self.partition.number and home < self.partition.partitions:
                return self._forward(report, report.execution_id, home)
        if (size := len(memoryview(report.result))) > LARGEST_RESULT:
            detail = f"the result has {size} bytes, at most {LARGEST_RESULT} are kept"
            report = structs.replace(
                report, outcome="failed", result=NOTHING, error_type="ResultTooLarge", error_message=detail, retry_after_ms=None
            )
        return execution.decide(_bounded(report), self.state_of(report.execution_id), self.at)

    def _forward(self, command: request.Submit | request.RunNow | Report, name: str, home: int) -> list[Event]:
        self.effects.forwards.append(Forward(home, command))
        return [outcome.Forwarded(name, tag_of(command), home)]

    def _decide_request(self, command: request.Submit | request.RunNow, delivered: Delivered) -> list[Event]:
        tenant = command.tenant if isinstance(command, request.Submit) else None
        if (rejected := self._known_rejection(command, tenant)) is not None:
            self._answer_rejected(command, rejected)
            return []
        try:
            if isinstance(command, request.Submit):
                return self._decide_submit(command, delivered.appended, delivered.hashed)
            return self._decide_run_now(command)
        except Refused as refused:
            event = outcome.Rejected(
                command.command_id, tag_of(command), refused.reason, refused.detail, command.job_id, tenant, command.actor
            )
            self._answer_rejected(command, event)
            return [event]

    def _known_rejection(self, command: request.Submit | request.RunNow, tenant: str | None) -> outcome.Rejected | None:
        if not self.rejections and not self.partition.rejections:
            return None
        known = rejection_key(tenant, tag_of(command), command.command_id)
        return self.rejections.get(known) or self.partition.rejections.get(known)

    def _answer_rejected(self, command: request.Submit | request.RunNow, event: outcome.Rejected) -> None:
        self.answer(command.answer, Answer(command.command_id, "rejected", reason=event.reason, detail=event.detail))

    def _decide_submit(self, submit: request.Submit, appended: Micros, hashed: int) -> list[Event]:
        job, version = self._wanted(submit)
        if job.kind != "on_demand":
            raise Refused("not_on_demand", f"{job.job_id} is a {job.kind} job: `jobledger run {job.job_id}` runs it now")
        exclusive = exclusive_key(job.job_id, job.job_name, submit.tenant, job.exclusive_scope, submit.exclusive_key)
        partitions = self.partition.partitions
        home = partition_of_hash(hashed, partitions) if exclusive is None else partition_for(exclusive, partitions)
        if home != self.partition.number:
            return self._forward(submit, submit.command_id, home)
        execution_id, is_known = self._identify(submit, exclusive, appended)
        if is_known:
            self._answer_request(submit, execution_id, repeated=True)
            return []
        _check_bounds(submit)
        options = _merged(version.options, submit.options)
        run_at = submit.run_at if submit.delay_ms is None else Micros(self.at + submit.delay_ms * MILLISECOND)
        self._answer_request(submit, execution_id, repeated=False)
        return [
            Requested(
                execution_id,
                job.job_id,
                job.job_name,
                version.number,
                job.kind,
                job.queue,
                appended,
                command_id=submit.command_id,
                tenant=submit.tenant,
                exclusive_key=exclusive,
                idempotency_key=submit.idempotency_key,
                priority=submit.priority,
                data=submit.data,
                options=options,
                labels=submit.labels,
                run_at=run_at,
                start_deadline=_start_deadline(options, Micros(max(self.at, run_at or 0))),
                actor=submit.actor,
                reason=submit.reason,
                correlation_id=submit.correlation_id,
                trace_id=submit.trace_id,
            )
        ]

    def _identify(self, submit: request.Submit, exclusive: str | None, appended: Micros) -> tuple[ExecutionId, bool]:
        """The execution of this submit, and whether an earlier one, which this repeats, asked for it."""
        number = self.partition.number
        if submit.idempotency_key is None:
            execution_id = execution_of_command(submit.command_id, submit.tenant, "submit", number)
            return execution_id, self.state_of(execution_id) is not None
        key = deduplication_key(submit.tenant, submit.job_id, exclusive, submit.idempotency_key)
        first = self.keys.get(key) or self.partition.keys.get(key)
        if first is not None and appended - first[1] <= self.partition.window:
            return first[0], True
        at = Address(self.seq, len(self.events))
        return execution_of_key(submit.idempotency_key, submit.tenant, self.at, at, number), False

    def _decide_run_now(self, command: request.RunNow) -> list[Event]:
        job, version = self._wanted(command)
        home = home_of(job, self.partition.partitions)
        if home != self.partition.number:
            return self._forward(command, command.command_id, home)
        execution_id = execution_of_command(command.command_id, None, "run_now", home)
        if self.state_of(execution_id) is not None:
            self._answer_request(command, execution_id, repeated=True)
            return []
        self._answer_request(command, execution_id, repeated=False)
        requested = self._request_of(job, version, execution_id)
        return [
            structs.replace(
                requested,
                trigger="run_now",
                command_id=command.command_id,
                data=command.data,
                actor=command.actor,
                reason=command.reason,
                correlation_id=command.correlation_id,
                trace_id=command.trace_id,
            )
        ]

    def _request_of(self, job: Job, version: Version, execution_id: ExecutionId) -> Requested:
        exclusive = exclusive_key(job.job_id, job.job_name, job.tenant, job.exclusive_scope, job.exclusive_key)
        return Requested(
            execution_id,
            job.job_id,
            job.job_name,
            version.number,
            job.kind,
            job.queue,
            self.at,
            tenant=job.tenant,
            exclusive_key=exclusive,
            options=kept(version.options),
            start_deadline=_start_deadline(version.options, self.at),
        )

    def _wanted(self, command: request.Submit | request.RunNow) -> tuple[Job, Version]:
        """The job and its version in force. What the registry does not know here, it may know at its present end."""
        if command.after is not None and command.after > self.registry.at:
            self._look_again()
            raise Refused("registry_position_unknown", f"the registry ends at {self.registry.at}, before {command.after}")
        job = self.registry.jobs.get(command.job_id)
        if job is None or job.state != "active" or job.current is None:
            self._look_again()
            if job is not None and job.state == "retired":
                raise Refused("retired", f"{command.job_id} is retired")
            raise Refused("unknown_job", f"no job is called {command.job_id}: `jobledger jobs list` shows what there is")
        return job, job.current

    def _look_again(self) -> None:
        if not self.facts_are_fresh:
            raise NeedsFacts

    def _answer_request(self, command: request.Submit | request.RunNow, execution_id: ExecutionId, *, repeated: bool) -> None:
        if command.answer is None:
            return
        self.answer(command.answer, Answer(command.command_id, "repeated" if repeated else "accepted", execution_id))
        if command.follow:
            self.effects.followers.append((execution_id, command.answer))

    # Schedules

    def fire(self, job: Job, version: Version, verdicts: tick.Verdicts) -> list[Event]:
        """The outcomes of a job's due ticks: at most one runs at a time, the rest is skipped, and each leaves its reason."""
        events: list[Event] = [
            tick.Missed(job.job_id, job.job_name, version.number, first, last, count, reason, job.tenant)
            for reason, first, last, count in verdicts.missed
        ]
        busy = self.running(job.job_id)
        for tick_at in verdicts.to_fire:
            if busy is not None:
                events.append(tick.Skipped(job.job_id, job.job_name, version.number, tick_at, tick_at, 1, "overlap", job.tenant, busy))
                continue
            busy = execution_of_tick(job.job_id, tick_at, self.partition.number)
            events.append(structs.replace(self._request_of(job, version, busy), trigger="schedule", tick_at=tick_at, due_at=tick_at))
        return events


def tag_of(command: request.Submit | request.RunNow | Report) -> str:
    """The stored name of a command's type."""
    match command:
        case request.Submit():
            return "execution.submit.v1"
        case request.RunNow():
            return "job.run_now.v1"
        case Report():
            return "execution.report.v1"
        case _:
            assert_never(command)


def _start_deadline(options: Options | None, start: Micros) -> Micros | None:
    if options is None or options.start_deadline_ms is None:
        return None
    return Micros(start + options.start_deadline_ms * MILLISECOND)


def _merged(version: Options | None, submit: Options | None) -> KeptOptions | None:
    """What the submit says goes before what the version says."""
    if version is None or submit is None:
        return kept(submit or version)
    return KeptOptions(**structs.asdict(version) | {name: value for name, value in structs.asdict(submit).items() if value is not None})


def _bounded(report: Report) -> Report:
    """Commands come from anybody, and the tables have columns of a size: a figure beyond reason is cut, the report still counts."""
    if (
        0 <= report.ago_ms <= LONGEST_MS
        and 0 <= report.run_ms <= LONGEST_MS
        and 0 <= (report.timeout_ms or 0) <= LONGEST_MS
        and 0 <= (report.retry_after_ms or 0) <= LONGEST_MS
        and 0 <= (report.progress or 0) <= 100
    ):
        return report
    return structs.replace(
        report,
        ago_ms=_within(report.ago_ms),
        run_ms=_within(report.run_ms),
        timeout_ms=None if report.timeout_ms is None else _within(report.timeout_ms),
        retry_after_ms=None if report.retry_after_ms is None else _within(report.retry_after_ms),
        progress=None if report.progress is None else min(max(report.progress, 0), 100),
    )


def _within(figure: int) -> int:
    return min(max(figure, 0), LONGEST_MS)


def _check_bounds(submit: request.Submit) -> None:
    if not 0 <= submit.priority <= 9:
        raise Refused("invalid", f"priority {submit.priority}: 0 (first) to 9")
    if submit.delay_ms is not None and not 0 <= submit.delay_ms <= LONGEST_MS:
        raise Refused("invalid", f"delay_ms {submit.delay_ms}: 0 to ten years")
    if submit.run_at is not None and not 0 <= submit.run_at <= LATEST:
        raise Refused("invalid", f"run_at {submit.run_at}: microseconds since 1970, before the year 3000")
    if submit.labels is not None and len(submit.labels) > MOST_LABELS:
        raise Refused("invalid", f"{len(submit.labels)} labels, at most {MOST_LABELS}")
    names = [("tenant", submit.tenant), ("exclusive_key", submit.exclusive_key), ("idempotency_key", submit.idempotency_key)]
    if submit.labels is not None:
        names += [(f"labels.{label}", f"{label}{text}") for label, text in submit.labels.items()]
    check_names(names)
