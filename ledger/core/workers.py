"""What a worker says of itself in its sign of life, and how it is asked to go. In Redis and best effort, never in the log."""

from typing import Final

from msgspec import DecodeError, Struct, json

from ledger.core.limits import Limit

DRAIN: Final = "drain"  # the key `drain:WORKER`; its value says who asked
ASKED_FOR_MS: Final = 86_400_000  # so long a worker that is away may still find it


class About(Struct, frozen=True, omit_defaults=True):
    """A runner process; `running` as of its last renewal."""

    queue: str = ""
    host: str = ""
    pid: int = 0
    slots: int = 0
    since: float = 0.0  # by its wall clock, in seconds since 1970
    version: str = ""  # of jobledger
    jobs: dict[str, int] = {}  # its handlers and the newest version each understands
    limits: list[Limit] = []  # of its handlers, over all workers
    running: int = 0
    draining: bool = False


_encode = json.Encoder().encode
_decoder: Final = json.Decoder(About)


def encode_about(about: About) -> bytes:
    return _encode(about)


def decode_about(value: bytes) -> About:
    """What cannot be read, of a worker of another release, is a worker of whom nothing is known."""
    try:
        return _decoder.decode(value)
    except DecodeError:
        return About()
