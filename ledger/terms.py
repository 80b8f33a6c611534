"""On what terms a handler runs: how often it is tried, what it excludes. Checked where they are written."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

from ledger.core.durations import parse_duration_ms
from ledger.core.refusal import Misconfigured, Refused
from ledger.core.retry import Backoff, Policy

Duration = str | timedelta
ExclusiveScope = Literal["job", "tenant", "key"]
ExclusiveBusy = Literal["wait", "skip", "keep_last"]

_BACKOFFS: Final = get_args(Backoff)
_SCOPES: Final = get_args(ExclusiveScope)
_BUSY: Final = get_args(ExclusiveBusy)


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` includes the first. `on`: only these exceptions are tried again (all, if empty); `never`: these are not."""

    attempts: int = 3
    backoff: Backoff = "exponential"
    first: Duration = "15s"
    maximum: Duration = "1h"
    on: tuple[type[BaseException], ...] = ()
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if not is_whole(self.attempts) or not 1 <= self.attempts <= 1000:
            raise Misconfigured(f"Retry(attempts={self.attempts!r}): a whole number, 1 (no retry) to 1000, the first attempt included")
        _check_choice("Retry(backoff", self.backoff, _BACKOFFS)
        named: dict[str, object] = {"on": self.on, "never": self.never}
        for name, errors in named.items():
            if not isinstance(errors, tuple) or not all(isinstance(one, type) and issubclass(one, BaseException) for one in errors):
                raise Misconfigured(f"Retry({name}={errors!r}): a tuple of exceptions, for example `(KeyError,)`")
        self.policy()

    def policy(self) -> Policy:
        return Policy(self.attempts, self.backoff, milliseconds(self.first, "first"), milliseconds(self.maximum, "maximum"))

    def allows(self, error: BaseException) -> bool:
        """Whether this error is one that another attempt may mend."""
        return not isinstance(error, self.never) and (not self.on or isinstance(error, self.on))


@dataclass(frozen=True, slots=True)
class Exclusive:
    """What this job excludes while it runs, and what becomes of one that comes meanwhile. `field`: where in the data a key is found."""

    scope: ExclusiveScope
    busy: ExclusiveBusy = "wait"
    field: str | None = None  # of the data of a submit that gives no value itself, as `order.account`

    def __post_init__(self) -> None:
        _check_choice("Exclusive(scope", self.scope, _SCOPES)
        _check_choice("Exclusive(busy", self.busy, _BUSY)
        field: object = self.field
        if field is not None and self.scope != "key":
            raise Misconfigured(f"exclusive by {self.scope} with the field {field!r}: a field gives the value for the scope 'key'")
        if field is not None and not (isinstance(field, str) and all(field.split("."))):
            raise Misconfigured(f"Exclusive(field={field!r}): names of the data with a dot between them, as 'order.account'")


def milliseconds(value: object, field: str, *, zero: bool = True) -> int:
    """The milliseconds of a duration in code: a text with its unit or a timedelta, never a bare number."""
    if isinstance(value, timedelta):
        value = f"{round(value.total_seconds() * 1000)}ms"
    if not isinstance(value, str):
        raise Misconfigured(f"{field} is {value!r}: write a text with its unit (`'90s'`) or a timedelta")
    try:
        return parse_duration_ms(value, field=field, zero=zero)
    except Refused as refused:
        raise Misconfigured(refused.detail) from refused


def is_whole(value: object) -> bool:
    """True is no number here."""
    return isinstance(value, int) and not isinstance(value, bool)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise Misconfigured(f"{name}={value!r}): one of {', '.join(map(repr, choices))}")
