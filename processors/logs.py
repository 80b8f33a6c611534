"""Logs: structlog and the standard library's loggers through one handler, to stderr, each line with the ids of its attempt."""

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Final, Literal, TextIO

import structlog

from ledger.context import current_attempt

Format = Literal["json", "console"]

_USER_INFO: Final = re.compile(r"(://)[^/@\s\"']+@")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
NOISY: Final = ("aiokafka", "faust", "mode", "asyncio")  # at INFO and below they tell what nobody asked
SELDOM: Final = 30.0  # seconds between two lines of a kind, of a library that says the same at each of its attempts
_OURS: Final = "jobledger"  # the name of our handler, so that a second set-up replaces the first

EventDict = MutableMapping[str, object]


def configure(format: Format = "json", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Set up logging for this process. May be called again; Faust's own set-up is replaced."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name(_OURS)
    handler.addFilter(Seldom("aiokafka"))
    handler.setFormatter(_Formatter(format, (stream or sys.stderr).isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class Seldom(logging.Filter):
    """Lets a library say each kind of thing once in a while, and how often it was said since: while a broker is away, aiokafka tells it
    hundreds of times a second. Of one kind is what has one text with values of the same types: a new kind of error is told at once."""

    def __init__(self, library: str, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(library)
        self._now = now
        self._told: dict[tuple[object, ...], tuple[float, int]] = {}  # by kind: when it was last let through, and how often not since

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):  # of another library
            return True
        values = record.args if isinstance(record.args, tuple) else ()
        kind = (record.name, record.msg, *map(type, values))
        at, kept_back = self._told.get(kind, (-SELDOM, 0))
        if (now := self._now()) - at < SELDOM:
            self._told[kind] = (at, kept_back + 1)
            return False
        self._told[kind] = (now, 0)
        if kept_back:
            record.said_since = kept_back
        return True


def _shared() -> "list[structlog.typing.Processor]":
    """What both kinds of loggers go through."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(),
        add_attempt,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders a line, and takes out what stands before the `@` of any address in it. Tracebacks tell no values of variables: there may be
    secrets among them."""

    def __init__(self, format: Format, colors: bool) -> None:
        renderers: list[structlog.typing.Processor] = (
            [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr, ensure_ascii=False)]
            if format == "json"
            else [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
        )
        super().__init__(foreign_pre_chain=_shared(), processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers])

    def format(self, record: logging.LogRecord) -> str:
        return _USER_INFO.sub(r"\1***@", super().format(record))


def add_attempt(logger: object, method: str, event: EventDict) -> EventDict:
    """Name the attempt whose code is running here, unless the line names another. Nothing is bound beforehand: an attempt that logs nothing
    costs nothing."""
    attempt = current_attempt.get()
    if attempt is None or event.get("execution_id", attempt.execution_id) != attempt.execution_id:
        return event
    event.setdefault("job_id", attempt.job_id)
    event.setdefault("job_name", attempt.job_name)
    event.setdefault("job_version", attempt.job_version)
    event.setdefault("execution_id", attempt.execution_id)
    event.setdefault("attempt", attempt.attempt)
    event.setdefault("tenant", attempt.tenant)
    return event
