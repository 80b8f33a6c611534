"""From an error to what a person reads and what a script gets. The one place that knows exit codes of errors."""

import os
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Final

from ledger.client.errors import ExecutionEnded
from ledger.core.refusal import Conflict, LedgerError, Refused, Unavailable, Unfit

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
REFUSED: Final = 4
UNREACHABLE: Final = 5
NOT_COMPLETED: Final = 6
DIFFERENCES: Final = 7
OUT_OF_TIME: Final = 124
INTERRUPTED: Final = 130
NO_ROOM: Final = (ENOSPC, EDQUOT, EFBIG)
TRACEBACK: Final = "JOBLEDGER_TRACEBACK"


def exit_code_of(error: BaseException) -> int:
    match error:
        case Unfit():
            return USAGE
        case Refused(reason=reason):
            return NOT_FOUND if reason.startswith("unknown_") else REFUSED
        case Conflict():
            return REFUSED
        case Unavailable():
            return UNREACHABLE
        case ExecutionEnded():
            return NOT_COMPLETED
        case KeyboardInterrupt():
            return INTERRUPTED
    return FAILED


def message_of(error: BaseException) -> str:
    match error:
        case Refused(detail=detail, reason=reason):
            return f"error: {detail} ({reason})"
        case LedgerError():
            return f"error: {error}"
        case OSError() if error.errno in NO_ROOM:
            return f"error: what is written has no room: {error.strerror}; see where stdout goes, and the disk there"
        case KeyboardInterrupt():
            return "interrupted"
    return f"internal error: {type(error).__name__}: {error}\nplease report it; {TRACEBACK}=1 shows where it happened"


def shows_traceback(error: BaseException) -> bool:
    return bool(os.environ.get(TRACEBACK)) and not isinstance(error, KeyboardInterrupt)
