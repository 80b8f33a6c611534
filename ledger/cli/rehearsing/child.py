"""The other side of a rehearsal: this very code with another `tzdata` package before it, asked over pipes.

First a line with the version of the zone data; then, for each line of (spec, after), one with its firings: as a digest, or in full.
"""

import sys
from hashlib import sha256
from typing import Final

from msgspec import Struct, json

from ledger.cli.rehearsing.moved import firings_of
from ledger.core.refusal import Refused
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tzif import tzdata_version

encode: Final = json.Encoder().encode


class Question(Struct, frozen=True):
    spec: ScheduleSpec
    after: int
    in_full: bool = False


class Answered(Struct, frozen=True, omit_defaults=True):
    """`refused`: why the other side cannot read the schedule (a zone it does not have)."""

    digest: str = ""
    firings: tuple[int, ...] = ()
    refused: str | None = None


def digest_of(firings: list[int]) -> str:
    return sha256(encode(firings)).hexdigest()


def answer(question: Question) -> Answered:
    try:
        firings = firings_of(question.spec, question.after)
    except Refused as refused:
        return Answered(refused=refused.detail)
    return Answered(firings=tuple(firings)) if question.in_full else Answered(digest_of(firings))


def main() -> None:
    out = sys.stdout.buffer
    out.write(encode(tzdata_version()) + b"\n")
    out.flush()
    for line in sys.stdin.buffer:
        out.write(encode(answer(json.decode(line, type=Question))) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
