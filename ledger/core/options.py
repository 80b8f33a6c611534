"""Options: how an execution is run, as a job, a version or a submit says it. Source: scheduling.md, section 8."""

from typing import Final, Literal

from msgspec import Struct, structs

from ledger.core.durations import LONGEST_MS
from ledger.core.invalid import quoted
from ledger.core.refusal import Refused

Busy = Literal["wait", "skip", "keep_last"]

DEFAULT_PRIORITY: Final = 5
LAST_PRIORITY: Final = 9
MOST_ATTEMPTS: Final = 1000


class Options(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How an execution is run, as written by a user; what is absent is decided by the handler's declaration, then by the defaults."""

    timeout_ms: int | None = None  # budget of one attempt
    start_deadline_ms: int | None = None  # counted from the request (a tick: from its due time)
    attempts: int | None = None  # including the first
    backoff: Literal["exponential", "fixed"] | None = None
    backoff_first_ms: int | None = None
    backoff_max_ms: int | None = None
    busy: Busy | None = None  # what happens while its exclusivity key is held; absent: it waits
    priority: int | None = None  # 0, first, to 9; absent: 5


class KeptOptions(Options, frozen=True, omit_defaults=True, forbid_unknown_fields=False):
    """The same in an event: a reader that is older than one of its fields reads the rest."""


def kept(options: Options | None) -> KeptOptions | None:
    """Options on their way from a command into an event."""
    return options if options is None or isinstance(options, KeptOptions) else KeptOptions(**structs.asdict(options))


def priority_of(asked: int | None, options: Options | None) -> int:
    """What is asked for goes before what the options say."""
    if asked is None and options is not None:
        asked = options.priority
    return DEFAULT_PRIORITY if asked is None else asked


def check_priority(priority: int | None) -> None:
    if priority is not None and not 0 <= priority <= LAST_PRIORITY:
        raise Refused("invalid", f"priority {quoted(priority)}: 0 (first) to {LAST_PRIORITY}")


def check_options(options: Options | None) -> None:
    """Refuses figures beyond reason: what is reckoned with them goes into the tables."""
    if options is None:
        return
    check_priority(options.priority)
    if options.attempts is not None and not 1 <= options.attempts <= MOST_ATTEMPTS:
        raise Refused("invalid", f"options.attempts {quoted(options.attempts)}: 1 (no retry) to {MOST_ATTEMPTS}, the first included")
    for name in ("timeout_ms", "start_deadline_ms", "backoff_first_ms", "backoff_max_ms"):
        figure: int | None = getattr(options, name)
        if figure is not None and not 0 <= figure <= LONGEST_MS:
            raise Refused("invalid", f"options.{name} {quoted(figure)}: 0 to {LONGEST_MS}, ten years")
