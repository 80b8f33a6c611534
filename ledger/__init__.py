"""jobledger: jobs on Kafka, with an event log as the database of record.

Each public name is loaded when it is first used, so that `import ledger` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ledger.client.acted import Acted as Acted
    from ledger.client.bulk_frame import BulkDone as BulkDone
    from ledger.client.errors import ExecutionCancelled as ExecutionCancelled
    from ledger.client.errors import ExecutionEnded as ExecutionEnded
    from ledger.client.errors import ExecutionFailed as ExecutionFailed
    from ledger.client.errors import ExecutionSkipped as ExecutionSkipped
    from ledger.client.errors import Undecided as Undecided
    from ledger.client.handle import ExecutionHandle as ExecutionHandle
    from ledger.client.handle import Update as Update
    from ledger.client.ledger import Ledger as Ledger
    from ledger.client.scheduling import Scheduling as Scheduling
    from ledger.config.settings import Settings as Settings
    from ledger.context import AttemptCancelled as AttemptCancelled
    from ledger.context import Cancel as Cancel
    from ledger.context import Context as Context
    from ledger.context import ProcessDied as ProcessDied
    from ledger.context import Snooze as Snooze
    from ledger.context import Submitted as Submitted
    from ledger.context import UnrecoverableError as UnrecoverableError
    from ledger.core.refusal import Conflict as Conflict
    from ledger.core.refusal import LedgerError as LedgerError
    from ledger.core.refusal import Misconfigured as Misconfigured
    from ledger.core.refusal import Refused as Refused
    from ledger.core.refusal import Unavailable as Unavailable
    from ledger.handlers import CallNext as CallNext
    from ledger.handlers import Jobs as Jobs
    from ledger.submitting.submission import Submission as Submission
    from ledger.submitting.unique import Unique as Unique
    from ledger.terms import Exclusive as Exclusive
    from ledger.terms import Retry as Retry
    from ledger.version import __version__ as __version__
    from projections.rows import ExecutionFilter as ExecutionFilter

_HOMES: Final = {
    "ledger.client.acted": ("Acted",),
    "ledger.client.bulk_frame": ("BulkDone",),
    "ledger.client.errors": ("ExecutionCancelled", "ExecutionEnded", "ExecutionFailed", "ExecutionSkipped", "Undecided"),
    "ledger.client.handle": ("ExecutionHandle", "Update"),
    "ledger.client.ledger": ("Ledger",),
    "ledger.client.scheduling": ("Scheduling",),
    "ledger.submitting.submission": ("Submission",),
    "ledger.submitting.unique": ("Unique",),
    "ledger.config.settings": ("Settings",),
    "ledger.context": ("AttemptCancelled", "Cancel", "Context", "ProcessDied", "Snooze", "Submitted", "UnrecoverableError"),
    "ledger.core.refusal": ("Conflict", "LedgerError", "Misconfigured", "Refused", "Unavailable"),
    "ledger.handlers": ("CallNext", "Jobs"),
    "ledger.terms": ("Exclusive", "Retry"),
    "ledger.version": ("__version__",),
    "projections.rows": ("ExecutionFilter",),
}
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Acted",
    "AttemptCancelled",
    "BulkDone",
    "CallNext",
    "Cancel",
    "Conflict",
    "Context",
    "Exclusive",
    "ExecutionCancelled",
    "ExecutionEnded",
    "ExecutionFailed",
    "ExecutionFilter",
    "ExecutionHandle",
    "ExecutionSkipped",
    "Jobs",
    "Ledger",
    "LedgerError",
    "Misconfigured",
    "ProcessDied",
    "Refused",
    "Retry",
    "Scheduling",
    "Settings",
    "Snooze",
    "Submission",
    "Submitted",
    "Unavailable",
    "Undecided",
    "Unique",
    "UnrecoverableError",
    "Update",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
