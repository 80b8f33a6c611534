"""What a caller says about one submit, and the command it becomes."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from operator import attrgetter
from types import NoneType
from typing import Final

import pydantic
from msgspec import Struct, ValidationError, convert, structs

from ledger.config.fields import check_job_name
from ledger.config.settings import Execution
from ledger.core.durations import parse_duration_ms
from ledger.core.ids import Micros
from ledger.core.instants import check_instant
from ledger.core.options import Options, check_options
from ledger.core.refusal import Refused
from ledger.core.request import Submit
from ledger.core.said import check_said
from ledger.submitting.encoding import encode_data, no_text
from ledger.submitting.naming import fresh_command_id, keyed_command_id
from ledger.submitting.unique import unique_of

Duration = str | timedelta
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Submission(Struct, frozen=True, forbid_unknown_fields=True):
    """One wish to run a job.

    `delay`, `start_deadline`: "90s" or a timedelta. `run_at`: an aware datetime or an ISO text; not together with `delay`. `options`: a
    mapping with the names of the YAML (`timeout`, `attempts`, ...). `unique`: a `Unique`, a mapping with its fields, or the names of the
    data's fields alone. They are checked when the command is made."""

    job: str
    data: object = None
    tenant: str | None = None
    exclusive_key: str | None = None
    idempotency_key: str | None = None
    delay: object = None
    run_at: object = None
    start_deadline: object = None
    priority: int | None = None
    labels: dict[str, str] | None = None
    options: object = None
    correlation_id: str | None = None
    trace_id: str | None = None
    reason: str | None = None
    unique: object = None


_SAID: Final = attrgetter("tenant", "exclusive_key", "idempotency_key", "correlation_id", "trace_id", "reason")
_USUAL: Final = frozenset({str, NoneType})

Wish = Submission | Mapping[str, object] | tuple[str, object]


def submission_of(wish: Wish) -> Submission:
    """Whatever a caller of `submit_many` may hand in. Raises `Refused` with a near miss."""
    if isinstance(wish, Submission):
        return wish
    if isinstance(wish, tuple):
        try:
            return Submission(*wish)
        except TypeError:
            raise Refused("invalid", f"a tuple of {len(wish)} is no submit: hand in (job, data)") from None
    if type(wish) is not dict and not isinstance(wish, Mapping):
        raise Refused("invalid", f"a {type(wish).__name__} is no submit: hand in a mapping with `job` and `data`, or a Submission")
    return _converted(wish)


def _converted(wish: Mapping[str, object]) -> Submission:
    try:
        return convert(wish, Submission)
    except (ValidationError, UnicodeEncodeError) as error:
        known = Submission.__struct_fields__
        unknown = [name for name in wish if name not in known]
        if unknown:
            near = get_close_matches(str(unknown[0]), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
            raise Refused("invalid", f"a submit has no field {unknown[0]!r}{hint}") from None
        raise Refused("invalid", f"this is no submit: {error}") from None


def command_of(wish: Submission, *, actor: str | None = None, answer: str | None = None, follow: bool = False) -> Submit:
    """The command. Raises `Refused` for what no control would accept."""
    job, key = wish.job, wish.idempotency_key
    if wish.priority is not None or wish.labels is not None or not _USUAL.issuperset(map(type, _SAID(wish))):
        _check_types(wish)
    try:
        check_job_name(job)
    except ValueError as error:
        raise Refused("invalid", str(error)) from None
    check_said(actor, wish.reason)
    try:
        command_id = fresh_command_id() if key is None else keyed_command_id(job, wish.tenant, wish.exclusive_key, key)
    except UnicodeEncodeError as error:
        raise no_text(error) from None
    data = encode_data(wish.data)
    return Submit(
        command_id,
        job,
        data,
        wish.tenant,
        wish.exclusive_key,
        key,
        wish.priority,
        None if wish.delay is None else _milliseconds("delay", wish.delay),
        None if wish.run_at is None else _instant(wish),
        None if wish.options is None and wish.start_deadline is None else _options(wish),
        wish.labels,
        actor,
        wish.reason,
        wish.correlation_id,
        wish.trace_id,
        None,
        answer,
        follow,
        None if wish.unique is None else unique_of(wish.unique, data),
    )


def _check_types(wish: Submission) -> None:
    _converted({name: value for name, value in structs.asdict(wish).items() if name not in ("job", "data")} | {"job": ""})
    if wish.labels is not None and "" in wish.labels:
        raise Refused("invalid", "labels: one has no name")


def _instant(wish: Submission) -> Micros:
    if wish.delay is not None:
        raise Refused("invalid", "`delay` and `run_at` both say when: keep one")
    moment = wish.run_at
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise Refused("invalid", f"run_at {wish.run_at!r} is no instant: write it as 2026-10-25T09:00:00Z") from None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Refused("invalid", f"run_at {wish.run_at!r} has no time zone: write it as 2026-10-25T09:00:00Z")
    instant = Micros((moment - _EPOCH) // timedelta(microseconds=1))
    check_instant("run_at", instant)
    return instant


def _milliseconds(field: str, value: object) -> int:
    if isinstance(value, timedelta):
        return parse_duration_ms(value / timedelta(milliseconds=1), field=field)
    if not isinstance(value, str):
        raise Refused("invalid_duration", f"{field} {value!r}: say its unit, as in '90s', or give a timedelta")
    return parse_duration_ms(value, field=field)


def _options(wish: Submission) -> Options | None:
    options = None if wish.options is None else checked_options(wish.options)
    if wish.start_deadline is None:
        return options
    return structs.replace(options or Options(), start_deadline_ms=_milliseconds("start_deadline", wish.start_deadline))


def checked_options(given: object) -> Options | None:
    """Options as a caller gives them: made already, or a mapping with the names of the YAML. Raises `Refused`."""
    if not isinstance(given, Options):
        return options_of(_execution(given))
    check_options(given)
    return given


def _execution(options: object) -> Execution:
    try:
        return Execution.model_validate(options)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused("invalid", f"options.{where}: {first['msg']}; there are {', '.join(Execution.model_fields)}") from None


def options_of(written: Execution) -> Options | None:
    """Options as a command carries them; None where nothing is said."""
    options = Options(
        timeout_ms=_ms(written.timeout),
        start_deadline_ms=_ms(written.start_deadline),
        attempts=written.attempts,
        backoff=written.backoff,
        backoff_first_ms=_ms(written.backoff_first),
        backoff_max_ms=_ms(written.backoff_max),
        busy=written.busy,
        priority=written.priority,
    )
    return None if options == Options() else options


def _ms(duration: str | None) -> int | None:
    return None if duration is None else parse_duration_ms(duration)
