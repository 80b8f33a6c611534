"""What a caller says about a user's job with a schedule, and the command it becomes. Pure but for the fresh command id."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Final, get_args

from msgspec import Struct, ValidationError, convert

from ledger.client.content import content_hash
from ledger.client.names import check_name, check_text
from ledger.core.bodies import NOTHING
from ledger.core.cron import Dst
from ledger.core.definition import AUTO, LARGEST_VERSION, ScheduleJob, Scope
from ledger.core.ids import job_id_of
from ledger.core.invalid import Invalid
from ledger.core.policy_text import one_of, with_policies
from ledger.core.refusal import Refused
from ledger.core.schedule import Schedule
from ledger.core.schedule_spec import ScheduleSpec
from ledger.submitting.encoding import encode_data
from ledger.submitting.naming import fresh_command_id
from ledger.submitting.submission import checked_options

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


class Scheduling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One user's job: a handler, when it runs, and with what.

    Its id follows from (`job`, `tenant`, `name`) unless `job_id` gives one, so scheduling it again means the same job. One of `cron` (an
    expression or several), `every` and `at`. Durations are "90s" or timedeltas; instants ISO texts or datetimes, without an offset read
    in `timezone`. `version`: absent, it is numbered by its content. They are checked when the command is made."""

    job: str
    name: str | None = None
    cron: object = None
    every: object = None
    at: object = None
    offset: object = None
    timezone: str | None = None
    dst: str = "vixie"
    start: object = None
    end: object = None
    exclude: object = ()
    limit: object = None
    jitter: object = None
    overlap: object = None
    catchup_window: object = None
    coalesce: object = None
    pause_on_failure: object = None
    tenant: str | None = None
    data: object = NOTHING
    exclusive: str = "tenant"
    exclusive_key: str | None = None
    queue: str | None = None
    version: int | None = None
    options: object = None
    job_id: str | None = None
    reason: str | None = None


Plan = Scheduling | Mapping[str, object]


def scheduling_of(plan: Plan) -> Scheduling:
    """Whatever a caller of `schedule_many` may hand in. Raises `Refused` with a near miss."""
    if isinstance(plan, Scheduling):
        return plan
    if not isinstance(plan, Mapping):
        raise Refused("invalid", f"a {type(plan).__name__} is no schedule: hand in a mapping with `job` and `cron`, or a Scheduling")
    try:
        return convert(plan, Scheduling)
    except (ValidationError, UnicodeEncodeError) as error:
        known = Scheduling.__struct_fields__
        unknown = [name for name in plan if name not in known]
        if unknown:
            near = get_close_matches(str(unknown[0]), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise Refused("invalid", f"a schedule has no field {unknown[0]!r}{hint}") from None
        raise Refused("invalid", f"this is no schedule: {error}") from None


def schedule_of(plan: Scheduling) -> tuple[ScheduleSpec, tuple[str, ...]]:
    """The spec, and warnings of what is probably not meant. Raises `Invalid`."""
    schedule = Schedule(
        cron=_crons(plan.cron),
        every=_duration("every", plan.every),
        at=_moment("at", plan.at),
        offset=_duration("offset", plan.offset),
        timezone=plan.timezone,
        dst=one_of("dst", plan.dst, DSTS),
        start=_day("start", plan.start),
        end=_day("end", plan.end),
        exclude=_excluded(plan.exclude),
    )
    spec = with_policies(
        schedule.spec,
        overlap=plan.overlap,
        catchup_window=plan.catchup_window,
        coalesce=plan.coalesce,
        limit=plan.limit,
        jitter=plan.jitter,
        pause_on_failure=plan.pause_on_failure,
    )
    return spec, schedule.warnings


def command_of(plan: Scheduling, actor: str | None = None) -> ScheduleJob:
    """Raises `Refused` for what no control would accept."""
    check_name(plan.job, "job")
    for field, value in (("name", plan.name), ("job_id", plan.job_id), ("queue", plan.queue)):
        if value is not None:
            check_name(value, field)
    if plan.tenant is not None:
        check_text(plan.tenant, "tenant", "'acme'")
    scope = one_of("exclusive", plan.exclusive, SCOPES)
    _check_key(scope, plan.exclusive_key)
    spec, _ = schedule_of(plan)
    data = NOTHING if plan.data is NOTHING else encode_data(plan.data)
    options = None if plan.options is None else checked_options(plan.options)
    return ScheduleJob(
        fresh_command_id(),
        plan.job,
        content_hash(data, options, spec),
        spec,
        plan.job_id,
        plan.name,
        plan.tenant,
        plan.queue,
        _version(plan.version),
        scope,
        plan.exclusive_key,
        data,
        options,
        actor,
        plan.reason,
    )


def id_of(plan: Scheduling) -> str:
    """The id of the job that this schedules."""
    return plan.job_id or job_id_of(plan.job, plan.tenant, plan.name)


DSTS: Final[tuple[Dst, ...]] = get_args(Dst)


def _check_key(scope: Scope, key: str | None) -> None:
    if key is not None:
        check_text(key, "exclusive_key", "'account-7'")
    if (scope == "key") != (key is not None):
        why = "belongs to exclusive='key' alone" if key is not None else "has to be given with exclusive='key'"
        raise Invalid("invalid_schedule", "exclusive_key", key, why, "exclusive='key', exclusive_key='account-7'")


def _version(version: int | None) -> int:
    if version is None:
        return AUTO
    if not 1 <= version <= LARGEST_VERSION:
        raise Invalid("invalid_schedule", "version", version, f"is not from 1 to {LARGEST_VERSION}", "2, or none to number by content")
    return version


def _crons(value: object) -> str | list[str] | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list | tuple):
        raise Invalid("invalid_schedule", "cron", value, f"is of type {type(value).__name__}, not a text (quote it in YAML)", "'0 6 * * *'")
    return list(value)


def _duration(field: str, value: object) -> str | timedelta | None:
    if value is None or isinstance(value, str | timedelta):
        return value
    why = f"is of type {type(value).__name__}: say its unit, and quote it in YAML (15:00 is a number there)"
    raise Invalid("invalid_schedule", field, value, why, "'15m'")


def _moment(field: str, value: object) -> str | datetime | None:
    if value is None or isinstance(value, str | datetime):
        return value
    raise Invalid("invalid_schedule", field, value, f"is of type {type(value).__name__}, not an instant", "'2026-10-25T09:00:00'")


def _day(field: str, value: object) -> str | date | None:
    if isinstance(value, date):
        return value
    return _moment(field, value)


def _excluded(value: object) -> list[str | date]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise Invalid("invalid_schedule", "exclude", value, "is not a list", "['2026-12-25', '* 0-5 * * *']")
    return list(value)
