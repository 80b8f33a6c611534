"""Events as CloudEvents 1.0, on their way out. Mechanical: everything follows from the commit, and from the request of the execution.

Source: interfaces.md, section 5.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from re import compile as regular
from typing import Final, Literal

from msgspec import Raw, Struct

from ledger.core import backfill, bulk, causes, definition, execution, letters, outcome, pause, tick, wire
from ledger.core.causes import Cause, Story
from ledger.core.consequences import ENDS
from ledger.core.ids import ExecutionId
from ledger.core.wire import Commit, Event

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TRACE: Final = regular("[0-9a-f]{32}")
_PARENT: Final = regular("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_OF_A_JOB: Final = execution.Requested | tick.Event | backfill.Event | definition.Event | pause.Event | outcome.Accepted | outcome.Rejected
_OF_A_COMMAND: Final = outcome.Accepted | outcome.Rejected | outcome.Forwarded


class CloudEvent(Struct, frozen=True, omit_defaults=True):
    """Names that stand together in lower case are CloudEvents' own way to write extensions."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str
    sequence: str
    data: Raw
    subject: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    partitionkey: str | None = None
    traceparent: str | None = None
    datacontenttype: str = ""


class _Known(Struct):
    """Of an execution that has not ended."""

    request: execution.Requested
    story: Story


class Outgoing:
    """Of one partition of a log, fed with its commits in order. Remembers the executions that have not ended."""

    def __init__(self, log_id: str, log: str, partition: int) -> None:
        self._source = f"/jobledger/{log_id}" if log == "events" else f"/jobledger/{log_id}/{log}"  # ids are unique within a source
        self._partition = partition
        self._known: dict[ExecutionId, _Known] = {}

    def of(self, commit: Commit, appended_ms: int = 0) -> Iterator[bytes]:
        """Each event of the commit as a line of JSON. `appended_ms`: the time of one that says none itself, as the one that opens a log."""
        time = (_EPOCH + timedelta(microseconds=commit.at or appended_ms * 1000)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        for nth, event in enumerate(commit.events):
            yield wire.encode_line(self._event(commit, nth, event, time))

    def _event(self, commit: Commit, nth: int, event: Event, time: str) -> CloudEvent:
        known = self._of_execution(event) if isinstance(event, execution.Event) else None
        cause = _cause(commit, nth, event, known)
        named = f"{self._partition}-{commit.seq}-{nth}"
        tag, data = _split(event)
        return CloudEvent(
            "1.0",
            named,
            self._source,
            f"dev.jobledger.{tag}",
            time,
            f"{commit.seq:015d}.{nth:03d}",
            data,
            _subject(event, known),
            _correlation(event, known),
            None if cause is None else cause.kind if cause.name is None else f"{cause.kind}/{cause.name}",
            _key(event, known),
            None if known is None else _traceparent(known.request.trace_id, f"{self._source}/{named}"),
            "application/json",
        )

    def _of_execution(self, event: execution.Event) -> _Known | None:
        if isinstance(event, execution.Requested):
            known: _Known | None = _Known(event, Story())
            self._known[event.execution_id] = known  # type: ignore[assignment]  # it is one
            return known
        known = self._known.get(event.execution_id)
        if type(event) in ENDS:
            self._known.pop(event.execution_id, None)
        return known


def _cause(commit: Commit, nth: int, event: Event, known: _Known | None) -> Cause | None:
    if known is not None:
        return known.story.cause(commit.events, nth)
    return causes.cause_of_job(commit.events, nth) if isinstance(event, _OF_A_JOB) else None


def _split(event: Event) -> tuple[str, Raw]:
    """The stored name of the event's type, and the rest of it."""
    tag = str(type(event).__struct_config__.tag)
    rest = wire.encode(event)[len(f'{{"type":"{tag}"') :]
    return tag, Raw(b"{" + rest.removeprefix(b","))


def _subject(event: Event, known: _Known | None) -> str | None:
    if isinstance(event, execution.Event):
        job = "" if known is None else f"jobs/{known.request.job_id}/"  # a late word on what has ended does not say of which job
        return f"{job}executions/{event.execution_id}"
    if isinstance(event, _OF_A_COMMAND):
        return f"commands/{event.command_id}"
    if isinstance(event, tick.Event | backfill.Event | definition.Registered | definition.Versioned | definition.Retired):
        return f"jobs/{event.job_id}"
    if isinstance(event, pause.Event):
        return f"pauses/{event.scope}/{event.name}"
    if isinstance(event, letters.Event):
        return f"letters/{event.letter}"
    return f"bulk/{event.bulk_id}" if isinstance(event, bulk.Event) else None


def _correlation(event: Event, known: _Known | None) -> str | None:
    if isinstance(event, execution.Event):
        return event.execution_id if known is None else known.request.correlation_id or event.execution_id
    return event.command_id if isinstance(event, _OF_A_COMMAND) else None


def _key(event: Event, known: _Known | None) -> str | None:
    """What decided the partition, where the event says it."""
    if known is not None:
        request = known.request
        return request.exclusive_key or (request.command_id if request.kind == "on_demand" else request.job_id)
    return event.job_id if isinstance(event, tick.Event | backfill.Event) else None


def _traceparent(trace_id: str | None, named: str) -> str | None:
    """As W3C Trace Context writes it; a trace id alone gets a span of its own for each event."""
    if trace_id is None or _PARENT.fullmatch(trace_id):
        return trace_id
    if not _TRACE.fullmatch(trace_id):
        return None
    return f"00-{trace_id}-{blake2b(named.encode(), digest_size=8).hexdigest()}-01"
