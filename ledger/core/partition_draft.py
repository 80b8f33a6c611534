"""Decisions of one partition of `events`: submits, run-nows, reports, timers, losses, ticks; on top of the fold and the registry."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import structs

from ledger.core import acts, controls, executing, execution, request, unique_submits
from ledger.core.bodies import NOTHING, check_key, exclusive_value
from ledger.core.consequences import followed
from ledger.core.draft import Delivered
from ledger.core.exclusivity import admit, became_due
from ledger.core.execution import Active, Delayed, Report, Requested, Started, State
from ledger.core.ids import (
    Address,
    ExecutionId,
    Micros,
    exclusive_key,
    execution_of_command,
    execution_of_key,
    murmur2_of_all,
    partition_for,
    partition_of,
    partition_of_hash,
)
from ledger.core.instants import MILLISECOND, check_instant, deadline_after
from ledger.core.invalid import quoted
from ledger.core.options import KeptOptions, Options, check_options, check_priority, kept, priority_of
from ledger.core.orders import Order
from ledger.core.outcome import Accepted
from ledger.core.partition_view import Asked, PartitionView, rejected, tag_of
from ledger.core.refusal import Refused
from ledger.core.relay import relayed
from ledger.core.repeats import deduplication_key
from ledger.core.said import check_names, check_said
from ledger.core.uniqueness import Unique, routing_name, unique_name
from ledger.core.wire import LARGEST_RESULT, NAME, Event

MOST_LABELS = 32
LONGEST_MS = 10 * 366 * 86_400_000


class PartitionDraft(PartitionView):
    """Decides the commands of one partition, and what its timers and its rescuer bring."""

    _hashes: Mapping[str, int] = MappingProxyType({})  # of the submits that come next

    def expect(self, coming: Iterable[Delivered]) -> None:
        names = [item.command_id for delivered in coming if type(item := delivered.item) is request.Submit]
        self._hashes = dict(zip(names, murmur2_of_all(names), strict=True))

    def decide(self, delivered: Delivered) -> Sequence[Event]:
        command = delivered.item
        match command:
            case Report():
                return self._decide_report(command, delivered.appended)
            case request.Submit() | request.RunNow() | request.Backfill() | request.SkipTick():
                return self._decide_asked(command, delivered)
            case request.Cancel() | request.Retry() | request.BeginBulk() | request.FinishBulk() | request.Redrive() | request.Discard():
                return self._decide_asked(command, delivered)
            case request.Return(limit=str(limit)):
                self.effects.limited += [(execution_id, limit, _within(command.wait_ms)) for execution_id in command.execution_ids]
                return []
            case request.Return():
                self.effects.returned += [(execution_id, command.reason) for execution_id in command.execution_ids]
                return []
            case _:
                raise TypeError(f"{type(command).__name__} does not belong to this topic")

    def decide_timer(self, execution_id: ExecutionId) -> Sequence[Event]:
        """A delay is over, or a start deadline has passed; nothing if it is not so."""
        state = self.state_of(execution_id)
        expired = executing.decide(execution.Expire(execution_id), state, self.at)
        if not expired and isinstance(state, Delayed) and state.until <= self.at:
            return became_due(self, state)
        return followed(self, expired)

    def decide_loss(self, loss: execution.Lose | execution.GiveUp) -> Sequence[Event]:
        """Its worker is gone, or there is none for it."""
        return followed(self, executing.decide(loss, self.state_of(loss.execution_id), self.at))

    def _decide_report(self, report: Report, appended: Micros) -> Sequence[Event]:
        if not report.execution_id.endswith(self._here):
            home = partition_of(report.execution_id)
            if home is not None and home != self.partition.number and home < self.partition.partitions:
                return self.forward(report, report.execution_id, home)
        if report.result is not NOTHING and (size := len(memoryview(report.result))) > LARGEST_RESULT:
            detail = f"the result has {size} bytes, at most {LARGEST_RESULT} are kept"
            report = structs.replace(
                report, outcome="failed", result=NOTHING, error_type="ResultTooLarge", error_message=detail, retry_after_ms=None
            )
        report = _bounded(report)
        state = self.state_of(report.execution_id)
        events = executing.decide(report, state, self.at)
        if report.answer is not None and says_only_its_start(report):
            self._answer_start(report, events, state)
        following = followed(self, events)
        return relayed(self, report, state, following, appended) if report.takes_next else following

    def _answer_start(self, report: Report, events: Sequence[Event], state: State | None) -> None:
        """Exclusive code begins only after this answer, and who hears none asks again. A refusal is told by control's orders."""
        accepted = isinstance(state, Active) and (state.token, state.worker) == (report.token, report.worker)
        if report.answer is not None and (accepted or any(type(event) is Started for event in events)):
            self.effects.answers.append((report.answer, Order(report.execution_id, "accepted", report.token)))

    def _decide_asked(self, command: Asked, delivered: Delivered) -> Sequence[Event]:
        if (known := self.outcome_of(command)) is not None:
            self.answer_outcome(command, known)
            return []
        try:
            match command:
                case request.Submit():
                    return self._decide_submit(command, delivered.appended)
                case request.RunNow():
                    return acts.run_now(self, command)
                case (
                    request.Cancel() | request.Retry() | request.BeginBulk() | request.FinishBulk() | request.Redrive() | request.Discard()
                ):
                    return controls.decide(self, command)
                case _:
                    return acts.decide(self, command)
        except Refused as refused:
            event = rejected(command, refused)
            self.answer_outcome(command, event)
            return [event]

    def _decide_submit(self, submit: request.Submit, appended: Micros) -> list[Event]:
        job, version = self.wanted(submit)
        if job.kind != "on_demand":
            raise Refused("not_on_demand", f"{job.job_id} is a {job.kind} job: `jobledger run {job.job_id}` runs it now")
        value = exclusive_value(submit.exclusive_key, submit.data, job.exclusive_field)
        exclusive = exclusive_key(job.job_id, job.job_name, submit.tenant, job.exclusive_scope, value)
        partitions = self.partition.partitions
        if exclusive is not None:
            home = partition_for(exclusive, partitions)
        elif submit.unique is None:
            hashed = self._hashes.get(submit.command_id)
            home = partition_for(submit.command_id, partitions) if hashed is None else partition_of_hash(hashed, partitions)
        else:
            home = partition_for(routing_name(submit.tenant, submit.job_id, submit.unique.key), partitions)
        if home != self.partition.number:
            return self.forward(submit, submit.command_id, home)
        execution_id, is_known = self._identify(submit, exclusive, appended)
        if is_known:
            self.answer_request(submit, execution_id, repeated=True)
            return []
        check_key(submit.exclusive_key, job.job_id, job.exclusive_scope)
        _check_bounds(submit)
        gone: list[Event] = []  # those whose place it takes
        if (unique := submit.unique) is not None:
            name = unique_name(submit.tenant, submit.job_id, exclusive, unique.key)
            if unique.on_conflict == "replace":
                gone += unique_submits.replaced(self, name, unique, execution_id)
            elif (known := self._known_alike(submit, unique, name)) is not None:
                return [known]
        self.check_backlog(job.queue, submit.tenant)
        options = _merged(version.options, submit.options)
        run_at = submit.run_at if submit.delay_ms is None else Micros(self.at + submit.delay_ms * MILLISECOND)
        self.answer_request(submit, execution_id, repeated=False)
        requested = Requested(
            execution_id,
            job.job_id,
            job.job_name,
            version.number,
            job.kind,
            job.queue,
            appended,
            "submit",
            submit.command_id,  # by place as far as it goes: by name it takes three times as long
            submit.tenant,
            exclusive,
            submit.idempotency_key,
            priority_of(submit.priority, options),
            submit.data,
            options,
            submit.labels,
            run_at,
            _start_deadline(options, Micros(max(self.at, run_at or 0))),
            actor=submit.actor,
            reason=submit.reason,
            correlation_id=submit.correlation_id,
            trace_id=submit.trace_id,
            unique_key=None if submit.unique is None else submit.unique.key,
        )
        return admit(self, requested, gone)

    def _known_alike(self, submit: request.Submit, unique: Unique, name: str) -> Accepted | None:
        """Somebody asked for the same already: this submit is answered with that execution. Raises `Refused` where it shall be refused."""
        first = next(unique_submits.conflicts(self, name, unique), None)
        if first is None:
            return None
        if unique.on_conflict == "reject":
            raise unique_submits.not_unique(first[0], first[2])
        known = Accepted(submit.command_id, tag_of(submit), "unchanged", submit.job_id, submit.tenant, submit.actor, first[0])
        self.answer_outcome(submit, known)
        return known

    def _identify(self, submit: request.Submit, exclusive: str | None, appended: Micros) -> tuple[ExecutionId, bool]:
        """The execution of this submit, and whether an earlier one, which this repeats, asked for it."""
        number = self.partition.number
        if submit.idempotency_key is None:
            execution_id = execution_of_command(submit.command_id, submit.tenant, "submit", number)
            return execution_id, self.state_of(execution_id) is not None
        key = deduplication_key(submit.tenant, submit.job_id, exclusive, submit.idempotency_key)
        first = self.keys.get(key) or self.partition.keys.get(key)
        if first is not None and first.is_repeated(appended, self.at, self.partition.window):
            return first.execution_id, True
        at = Address(self.seq, len(self.events))
        return execution_of_key(submit.idempotency_key, submit.tenant, self.at, at, number), False


def says_only_its_start(report: Report) -> bool:
    return report.outcome is None and report.progress is None


def _start_deadline(options: Options | None, start: Micros) -> Micros | None:
    if options is None or options.start_deadline_ms is None:
        return None
    return deadline_after(start, options.start_deadline_ms)


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
    check_said(submit.actor, submit.reason)
    check_priority(submit.priority)
    check_options(submit.options)
    if submit.delay_ms is not None and not 0 <= submit.delay_ms <= LONGEST_MS:
        raise Refused("invalid", f"delay_ms {quoted(submit.delay_ms)}: 0 to {LONGEST_MS}, ten years")
    check_instant("run_at", submit.run_at)
    if submit.labels is not None and len(submit.labels) > MOST_LABELS:
        raise Refused("invalid", f"{len(submit.labels)} labels, at most {MOST_LABELS}")
    names = [("tenant", submit.tenant), ("exclusive_key", submit.exclusive_key), ("idempotency_key", submit.idempotency_key)]
    if submit.labels is not None:
        names += [(f"labels.{label}", f"{label}{text}") for label, text in submit.labels.items()]
    check_names(names)
    if submit.unique is not None and NAME.fullmatch(submit.unique.key) is None:
        raise Refused("invalid", f"unique.key {submit.unique.key[:200]!r}: 1 to 200 of A-Z a-z 0-9 . _ : ~ / @ -")
