"""Decisions of the registry: jobs, versions, manifests and pauses, each act with exactly one outcome."""

from collections import ChainMap
from typing import Literal, assert_never

from msgspec import structs

from ledger.core import definition, outcome, pause, registering, schedule_spec
from ledger.core.definition import Registry
from ledger.core.draft import Delivered, Draft
from ledger.core.engines import Engines
from ledger.core.ids import Address, Micros, job_id_of
from ledger.core.outcome import Answer
from ledger.core.policies import check_schedule, engine_versions
from ledger.core.refusal import Refused
from ledger.core.registry import Decided, RegistryFold
from ledger.core.said import check_names, check_said, cut_to_fit
from ledger.core.wire import Event, RegistryCommand


class RegistryDraft(Draft[RegistryFold]):
    """Its jobs lie over those of the fold, which it does not change."""

    def __init__(self, fold: RegistryFold, at: Micros, engines: Engines | None = None) -> None:
        super().__init__(fold.head, at)
        self.fold = fold
        self.engines = engines or Engines()
        self.registry = Registry(
            fold.registry.at,
            ChainMap({}, fold.registry.jobs),
            list(fold.registry.manifests),
            fold.registry.pauses.copy(),
            fold.registry.partitions,
        )
        self.decided: dict[str, Decided] = {}

    def registry_position(self) -> Address | None:
        return None

    def preview(self, event: Event, address: Address) -> None:
        match event:
            case definition.Registered() | definition.Versioned() | definition.Retired() | definition.ManifestApplied():
                definition.evolve(self.registry, event, self.at)
            case pause.Began() | pause.Ended():
                pause.evolve(self.registry.pauses, event, address, self.at)
            case outcome.Accepted():
                self.decided[event.command_id] = Decided(event.outcome)
            case outcome.Rejected():
                self.decided[event.command_id] = Decided("rejected", event.reason, event.detail)
            case _:
                pass

    def decide(self, delivered: Delivered) -> list[Event]:
        command = delivered.item
        if not isinstance(command, RegistryCommand):
            raise TypeError(f"{type(command).__name__} does not belong to this topic")
        known = self.decided.get(command.command_id) or self.fold.decided.get(command.command_id)
        if known is not None:
            self._answer(command, known)
            return []
        try:
            events = self._decide(command)
        except Refused as refused:
            self._answer(command, Decided("rejected", refused.reason, refused.detail))
            return [_outcome(command, refused)]
        result = "applied" if events else self._why_nothing(command)
        self._answer(command, Decided(result))
        return [*events, structs.replace(_accepted(command), outcome=result)]

    def _decide(self, command: RegistryCommand) -> list[Event]:
        check_said(command.actor, command.reason)
        if isinstance(command, pause.Pause | pause.Resume):
            check_names((("name", command.name), ("note", command.note if isinstance(command, pause.Pause) else None)))
            if command.scope == "job" and command.name not in self.registry.jobs:
                raise Refused("unknown_job", f"no job is called {command.name}: `jobledger jobs list` shows what there is")
            return list(pause.decide(command, self.registry.pauses))
        events = registering.decide(command, self.registry)
        return [self._stamped(event) if isinstance(event, definition.Versioned) else event for event in events]

    def _stamped(self, event: definition.Versioned) -> definition.Versioned:
        """Commands come from anybody: a schedule that no engine reads, or that has nothing left to fire, is refused here."""
        if event.schedule is None:
            return event
        check_schedule(self.engines.checked(schedule_spec.written_of(event.schedule)), self.at)
        engine, tzdata = engine_versions()
        return structs.replace(event, engine=engine, tzdata=tzdata)

    def _answer(self, command: RegistryCommand, decided: Decided) -> None:
        answer = Answer(command.command_id, reason=decided.reason, detail=decided.detail, job_id=_accepted(command).job_id)
        self.answer(command.answer, structs.replace(answer, outcome=decided.outcome))

    def _why_nothing(self, command: RegistryCommand) -> Literal["unchanged", "stale"]:
        """Nothing was to do: because it is so already, or because something newer is in force."""
        match command:
            case definition.Register(job_id=job_id, job_version=number):
                return "unchanged" if number == definition.AUTO or self.registry.jobs[job_id].version(number) is not None else "stale"
            case definition.ScheduleJob(job_version=number):
                job = self.registry.jobs[_job_id(command)]
                return "unchanged" if number in (definition.AUTO, job.current_version) else "stale"
            case definition.ApplyManifest(digest=digest):
                return "unchanged" if self.registry.manifests[-1:] == [digest] else "stale"
            case definition.Retire() | pause.Pause() | pause.Resume():
                return "unchanged"
            case _:
                assert_never(command)


def _job_id(command: definition.ScheduleJob) -> str:
    return command.job_id or job_id_of(command.job_name, command.tenant, command.name)


def _accepted(command: RegistryCommand) -> outcome.Accepted:
    name, actor = command.command_id, command.actor
    match command:
        case definition.Register():
            return outcome.Accepted(name, "job.register.v1", "applied", command.job_id, command.tenant, actor)
        case definition.ScheduleJob():
            return outcome.Accepted(name, "job.schedule.v1", "applied", _job_id(command), command.tenant, actor)
        case definition.Retire():
            return outcome.Accepted(name, "job.retire.v1", "applied", command.job_id, actor=actor)
        case definition.ApplyManifest():
            return outcome.Accepted(name, "manifest.apply.v1", "applied", actor=actor)
        case pause.Pause() | pause.Resume():
            tag = "pause.begin.v1" if isinstance(command, pause.Pause) else "pause.end.v1"
            job, tenant = (command.name if command.scope == scope else None for scope in ("job", "tenant"))
            return outcome.Accepted(name, tag, "applied", job, tenant, actor)
        case _:
            assert_never(command)


def _outcome(command: RegistryCommand, refused: Refused) -> outcome.Rejected:
    accepted = _accepted(command)
    return outcome.Rejected(
        command.command_id,
        accepted.command_type,
        refused.reason,
        refused.detail,
        accepted.job_id,
        accepted.tenant,
        cut_to_fit(accepted.actor),
    )
