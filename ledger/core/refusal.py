"""The families of errors. The family answers one question: who has to act?"""


class LedgerError(Exception):
    """The base of everything that jobledger raises on purpose."""


class Refused(LedgerError):
    """The caller asks for something that cannot be: `reason` is a stable word for programs, `detail` a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Unfit(Refused):
    """What is written cannot be meant, whoever is asked: it is refused before anybody is. A usage error on the command line."""


class Misconfigured(LedgerError):
    """The operator has to change a setting, a file or a topic; raised at start, before anything is done."""


class Undecodable(LedgerError):
    """Bytes that cannot be read as what they claim to be; a command like that becomes a dead letter, `raw` is kept in it."""

    def __init__(self, reason: str, detail: str, raw: bytes | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.raw = raw


class Unavailable(LedgerError):
    """A server is away; the message names its address. Waiting and trying again helps."""


class Conflict(LedgerError):
    """What is stored contradicts what was asked: drift, another log, a broken chain. Both values are in the message."""


class ChainBroken(Conflict):
    """A commit that follows nobody: the partition stops and somebody has to look."""

    def __init__(self, log: str, partition: int, offset: int, detail: str) -> None:
        super().__init__(
            f"{log}[{partition}] is broken at offset {offset}: {detail}. Nothing after it is read; run `jobledger ledger verify`."
        )
        self.log = log
        self.partition = partition
        self.offset = offset
        self.detail = detail
