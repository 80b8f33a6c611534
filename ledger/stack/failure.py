"""What can go wrong with the stack, as exceptions that carry the exit code of the command line."""

from ledger.core.refusal import Conflict, LedgerError, Unavailable


class StackFailed(LedgerError):
    """The stack could not start, or has ended by itself; the message says why and what to do."""

    exit_code = 1


class FolderBusy(StackFailed, Conflict):
    """Another keeper holds the folder."""

    exit_code = 4


class ServerSilent(StackFailed, Unavailable):
    """Something that has to be reached over the network does not answer."""

    exit_code = 5


def failure(message: str, exit_code: int) -> StackFailed:
    """The exception for a failure that the keeper reported by its exit code."""
    for kind in (FolderBusy, ServerSilent):
        if kind.exit_code == exit_code:
            return kind(message)
    return StackFailed(message)
