"""What settings and handlers declare together: the jobs to register, each checked against the other side. Pure.

`job_version` 0 is `version: auto`: numbered by content in the registry. Source: scheduling.md, sections 2 (registry check) and 4.
"""

from dataclasses import dataclass, field

from msgspec import Raw, structs

from ledger.client.content import content_hash, content_of
from ledger.config import Settings
from ledger.config.jobs import number_of
from ledger.config.settings import Execution, Job, SystemJob
from ledger.core.bodies import NOTHING
from ledger.core.definition import AUTO, LARGEST_VERSION, Scope
from ledger.core.execution import Kind
from ledger.core.options import Options
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.schedule_spec import ScheduleSpec
from ledger.handlers import Handler, Jobs, near_miss
from ledger.submitting.encoding import encode_data
from ledger.submitting.submission import options_of


@dataclass(frozen=True, slots=True)
class Declared:
    """A job and the version of it that is wanted."""

    job_id: str
    job_name: str
    kind: Kind
    queue: str
    job_version: int
    exclusive_scope: Scope = "none"
    data: Raw = field(default_factory=lambda: NOTHING)
    options: Options | None = None
    schedule: ScheduleSpec | None = None
    immediately: bool = False  # one run-now once this version is accepted
    understood: tuple[int, int] = (1, LARGEST_VERSION)  # by the handler, for what is numbered by content
    place: str = ""  # of the handler
    exclusive_field: str | None = None

    @property
    def content_hash(self) -> str:
        return content_hash(self.data, self.options, self.schedule)

    @property
    def content(self) -> dict[str, object]:
        return content_of(self.data, self.options, self.schedule)


def declared(settings: Settings, jobs: Jobs) -> list[Declared]:
    """All jobs, system jobs last. Raises `Misconfigured` with every mismatch."""
    problems: list[str] = []
    wanted = [one for job in settings.jobs if (one := _of_job(job, jobs, problems)) is not None]
    wanted += [_implied(handler) for handler in _unnamed(settings, jobs, problems)]
    wanted += [one for job in settings.system_jobs if (one := _of_system_job(job, jobs, problems)) is not None]
    for one in wanted:
        if one.queue not in settings.queues:
            near = near_miss(one.queue, list(settings.queues))
            problems.append(f"job {one.job_id!r} waits in the queue {one.queue!r}, which `queues` does not have{near}")
    if problems:
        raise Misconfigured("the settings and the handlers do not fit together:\n" + "\n".join(f"  {problem}" for problem in problems))
    return wanted


def _of_job(job: Job, jobs: Jobs, problems: list[str]) -> Declared | None:
    handler = _handler(job.name, f"`jobs` names {job.name!r}", jobs, problems)
    if handler is None:
        return None
    declared_scope = handler.exclusive.scope if handler.exclusive is not None else None
    if job.exclusive is not None and declared_scope is not None and job.exclusive != declared_scope:
        problems.append(f"job {job.name!r} is exclusive by {job.exclusive!r} in the settings and by {declared_scope!r} at {handler.place}")
    version = handler.version if job.version is None else number_of(job.version)
    _check_version(f"job {job.name!r}", version, handler, problems)
    scope = job.exclusive or declared_scope or "none"
    queue, options = job.queue or handler.queue, _options(job.options, handler)
    return Declared(
        job.name,
        job.name,
        "on_demand",
        queue,
        version,
        scope,
        options=options,
        understood=_understood(handler),
        place=handler.place,
        exclusive_field=_field(handler),
    )


def _field(handler: Handler) -> str | None:
    return None if handler.exclusive is None else handler.exclusive.field


def _options(written: Execution, handler: Handler) -> Options | None:
    """As written; what happens when busy is control's to know, so the handler's word for it goes along."""
    options = options_of(written)
    if handler.exclusive is None or handler.exclusive.busy == "wait" or written.busy is not None:
        return options
    return structs.replace(options or Options(), busy=handler.exclusive.busy)


def _implied(handler: Handler) -> Declared:
    scope = handler.exclusive.scope if handler.exclusive is not None else "none"
    options = _options(Execution(), handler)
    return Declared(
        handler.name, handler.name, "on_demand", handler.queue, handler.version, scope, options=options, exclusive_field=_field(handler)
    )


def _unnamed(settings: Settings, jobs: Jobs, problems: list[str]) -> list[Handler]:
    """Handlers that the settings do not name: fine where they say `configured=False`."""
    named = {job.name for job in settings.jobs} | {job.job or job.name for job in settings.system_jobs}
    taken = {job.name for job in settings.system_jobs}
    implied = []
    for handler in jobs:
        if handler.name in named:
            continue
        if handler.configured:
            problems.append(
                f"the handler {handler.name!r} at {handler.place} is in neither `jobs` nor `system_jobs`: "
                "name it there, or declare it with configured=False"
            )
        elif handler.name in taken:
            problems.append(f"a system job has the name of the handler {handler.name!r} at {handler.place}, but another handler: rename it")
        else:
            implied.append(handler)
    return implied


def _of_system_job(job: SystemJob, jobs: Jobs, problems: list[str]) -> Declared | None:
    name = job.job or job.name
    handler = _handler(name, f"the system job {job.name!r} is run by {name!r}", jobs, problems)
    if handler is None:
        return None
    version = number_of(job.version)
    _check_version(f"system job {job.name!r}", version, handler, problems)
    try:
        data = encode_data(job.data)
    except Refused as refused:
        problems.append(f"system job {job.name!r}: {refused.detail}")
        return None
    scope = job.exclusive or "job"
    options = _options(job.options, handler)
    understood = _understood(handler)
    return Declared(
        job.name, name, "system", handler.queue, version, scope, data, options, job.spec, job.immediately, understood, handler.place
    )


def _understood(handler: Handler) -> tuple[int, int]:
    return handler.minimal_supported_version, handler.version


def _handler(name: str, who: str, jobs: Jobs, problems: list[str]) -> Handler | None:
    handler = jobs.get(name)
    if handler is None:
        problems.append(f"{who}, but no handler is called so{near_miss(name, [one.name for one in jobs])}")
    return handler


def _check_version(who: str, version: int, handler: Handler, problems: list[str]) -> None:
    if version != AUTO and not handler.minimal_supported_version <= version <= handler.version:
        understood = f"{handler.minimal_supported_version} to {handler.version}"
        problems.append(f"{who} has version {version}, but the handler at {handler.place} understands {understood}")
