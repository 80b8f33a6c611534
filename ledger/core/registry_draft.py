"""Decisions of the registry: jobs, versions and manifests, each act with exactly one outcome."""

from msgspec import structs

from ledger.core import definition, outcome
from ledger.core.definition import Registry
from ledger.core.draft import Delivered, Draft
from ledger.core.ids import Address, Micros
from ledger.core.outcome import Answer
from ledger.core.refusal import Refused
from ledger.core.registry import Decided, RegistryFold
from ledger.core.schedule import Schedule
from ledger.core.wire import Event


class RegistryDraft(Draft[RegistryFold]):
    """The first preview copies the registry's index of jobs, not the jobs: they are frozen."""

    def __init__(self, fold: RegistryFold, at: Micros) -> None:
        super().__init__(fold.head, at)
        self.fold = fold
        self.registry = Registry(fold.registry.at, dict(fold.registry.jobs), list(fold.registry.manifests))
        self.decided: dict[str, Decided] = {}

    def registry_position(self) -> Address | None:
        return None

    def preview(self, event: Event, address: Address) -> None:
        match event:
            case definition.Registered() | definition.Versioned() | definition.ManifestApplied():
                definition.evolve(self.registry, event, address, self.at)
            case outcome.Accepted():
                self.decided[event.command_id] = Decided(event.outcome)
            case outcome.Rejected():
                self.decided[event.command_id] = Decided("rejected", event.reason, event.detail)
            case _:
                pass

    def decide(self, delivered: Delivered) -> list[Event]:
        command = delivered.item
        if not isinstance(command, definition.Register | definition.ApplyManifest):
            raise TypeError(f"{type(command).__name__} does not belong to this topic")
        known = self.decided.get(command.command_id) or self.fold.decided.get(command.command_id)
        if known is not None:
            self._answer(command, known)
            return []
        try:
            if isinstance(command, definition.Register) and command.schedule is not None:
                Schedule.from_spec(command.schedule)  # commands come from anybody: what no engine reads is refused here
            events: list[Event] = list(definition.decide(command, self.registry))
        except Refused as refused:
            self._answer(command, Decided("rejected", refused.reason, refused.detail))
            return [_outcome(command, refused)]
        result = "applied" if events else _why_nothing(command, self.registry)
        self._answer(command, Decided(result))
        return [*events, structs.replace(_accepted(command), outcome=result)]

    def _answer(self, command: definition.Command, decided: Decided) -> None:
        answer = Answer(command.command_id, reason=decided.reason, detail=decided.detail)
        self.answer(command.answer, structs.replace(answer, outcome=decided.outcome))


def _why_nothing(command: definition.Command, registry: Registry) -> str:
    """Nothing was to do: because it is so already, or because something newer is in force."""
    match command:
        case definition.Register(job_id=job_id, job_version=number):
            return "unchanged" if number in registry.jobs[job_id].versions else "stale"
        case definition.ApplyManifest(digest=digest):
            return "unchanged" if registry.manifests[-1:] == [digest] else "stale"


def _accepted(command: definition.Command) -> outcome.Accepted:
    match command:
        case definition.Register():
            return outcome.Accepted(command.command_id, "job.register.v1", "applied", command.job_id, command.tenant, command.actor)
        case definition.ApplyManifest():
            return outcome.Accepted(command.command_id, "manifest.apply.v1", "applied", actor=command.actor)


def _outcome(command: definition.Command, refused: Refused) -> outcome.Rejected:
    accepted = _accepted(command)
    return outcome.Rejected(
        command.command_id, accepted.command_type, refused.reason, refused.detail, accepted.job_id, accepted.tenant, accepted.actor
    )
