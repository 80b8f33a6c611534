"""What becomes of the ticks that are due: made up, missed, skipped, or to be fired if nothing of their job stands in their way.

Pure arithmetic on nominal instants: a range of ticks is reckoned, never enumerated, however long it is. Source: scheduling.md, section 6.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from ledger.core.ids import Micros
from ledger.core.instants import MILLISECOND
from ledger.core.pause import Span
from ledger.core.schedule_spec import ScheduleSpec
from ledger.core.tick import ON_TIME, MissReason, SkipReason

AT_ONCE: Final = 100  # late ticks that are made up one by one (`coalesce: all`) in one decision; the rest follows in the next
EVER: Final = 2**62


class Ticks(Protocol):
    """The engine of a schedule, as far as it is needed here."""

    def next_us(self, after: int) -> int | None: ...

    def between_us(self, after: int, until: int) -> Iterator[int]: ...

    def count_us(self, after: int, until: int) -> int: ...

    def latest_us(self, after: int, until: int) -> int | None: ...


class Range(Struct, frozen=True):
    """So many ticks in a row, the first and the last of them."""

    first: Micros
    last: Micros
    count: int


class Miss(NamedTuple):
    reason: MissReason
    ticks: Range


class Skip(NamedTuple):
    reason: SkipReason
    ticks: Range


class Fire(NamedTuple):
    tick_at: Micros


Verdict = Miss | Skip | Fire


class Bar(NamedTuple):
    """No tick in [first, last] fires, for this reason."""

    first: int
    last: int
    reason: SkipReason


class Piece(NamedTuple):
    """A part of what is due, (after, until], all of it barred or none."""

    after: int
    until: int
    reason: SkipReason | None


class Judged(NamedTuple):
    """The verdicts in the order of their ticks, and the tick after them. `whole`: none that was asked for is left for another decision."""

    verdicts: list[Verdict]
    whole: bool
    following: int | None


def judge(
    ticks: Ticks, policy: ScheduleSpec, after: int, until: int, now: int, bars: Sequence[Bar] = (), first: int | None = None
) -> Judged:
    """The ticks in (after, until]. `now`: the time of decision less the jitter of the job, so that nominal instants compare with it.
    `first`: the first after `after`, where it is known."""
    following = ticks.next_us(after) if first is None else first
    if following is None or following > until:
        return Judged([], True, following)
    if not bars and following >= now - ON_TIME:  # nothing is late: nearly always
        fires: list[Verdict] = []
        while following is not None and following <= until:
            fires.append(Fire(Micros(following)))
            following = ticks.next_us(following)
        return Judged(fires, True, following)
    verdicts, whole = _judge_pieces(ticks, policy, after, until, now, bars)
    last = verdicts[-1]
    return Judged(verdicts, whole, ticks.next_us(last.tick_at if isinstance(last, Fire) else last.ticks.last))


def _judge_pieces(ticks: Ticks, policy: ScheduleSpec, after: int, until: int, now: int, bars: Sequence[Bar]) -> tuple[list[Verdict], bool]:
    pieces = list(_cut(after, until, bars))
    late = [piece for piece in pieces if piece.reason is None and _late(ticks, policy, piece, now) is not None]
    chosen = late[-1] if policy.coalesce == "latest" and late else late[0] if late else None
    verdicts: list[Verdict] = []
    for piece in pieces:
        if piece.reason is not None:
            if (barred := _range(ticks, piece.after, piece.until)) is not None:
                verdicts.append(Skip(piece.reason, barred))
            continue
        old_until = min(piece.until, _too_old(policy, now))
        if (old := _range(ticks, piece.after, old_until)) is not None:
            verdicts.append(Miss("catchup_window", old))
        if policy.coalesce == "all":
            made_up = list(islice(ticks.between_us(max(piece.after, old_until), min(piece.until, now - ON_TIME - 1)), AT_ONCE + 1))
            verdicts += [Fire(Micros(one)) for one in made_up[:AT_ONCE]]
            if len(made_up) > AT_ONCE:
                return verdicts, False
        elif (lately := _late(ticks, policy, piece, now)) is not None:
            verdicts += _coalesced(ticks, lately, policy, piece is chosen)
        verdicts += [Fire(Micros(one)) for one in ticks.between_us(max(piece.after, now - ON_TIME - 1), piece.until)]
    return verdicts, True


def _too_old(policy: ScheduleSpec, now: int) -> int:
    """Ticks up to here are too old to be made up."""
    return now - policy.catchup_window_ms * MILLISECOND - 1


def _late(ticks: Ticks, policy: ScheduleSpec, piece: Piece, now: int) -> Range | None:
    return _range(ticks, max(piece.after, _too_old(policy, now)), min(piece.until, now - ON_TIME - 1))


def _coalesced(ticks: Ticks, late: Range, policy: ScheduleSpec, is_chosen: bool) -> list[Verdict]:
    """Of several late ticks one is made up."""
    if not is_chosen:
        return [Miss("coalesced", late)]
    if late.count == 1:
        return [Fire(late.first)]
    if policy.coalesce == "earliest":
        second = ticks.next_us(late.first)
        return [Fire(late.first), Miss("coalesced", Range(Micros(second or late.last), late.last, late.count - 1))]
    last_but_one = ticks.latest_us(late.first - 1, late.last - 1)
    return [Miss("coalesced", Range(late.first, Micros(last_but_one or late.first), late.count - 1)), Fire(late.last)]


def _range(ticks: Ticks, after: int, until: int) -> Range | None:
    """The ticks in (after, until]."""
    if after >= until or (first := ticks.next_us(after)) is None or first > until:
        return None
    last = ticks.latest_us(first - 1, until) or first
    return Range(Micros(first), Micros(last), ticks.count_us(after, until) if last != first else 1)


def _cut(after: int, until: int, bars: Sequence[Bar]) -> Iterator[Piece]:
    """(after, until] in pieces. `bars` are in order and do not overlap."""
    for bar in bars:
        if bar.last <= after:
            continue
        if bar.first > until:
            break
        if bar.first - 1 > after:
            yield Piece(after, bar.first - 1, None)
        end = min(bar.last, until)
        yield Piece(max(after, bar.first - 1), end, bar.reason)
        after = end
    if after < until:
        yield Piece(after, until, None)


def bars_of(spans: Iterable[Span], to_skip: Sequence[Micros], after: int, until: int) -> list[Bar]:
    """What bars ticks in (after, until]: pauses, and single ticks by hand, which go before a pause."""
    bars: list[Bar] = []
    for first, last in _joined(spans, after, until):
        for tick_at in to_skip:
            if first <= tick_at <= last:
                if first < tick_at:
                    bars.append(Bar(first, tick_at - 1, "paused"))
                first = tick_at + 1
        if first <= last:
            bars.append(Bar(first, last, "paused"))
    bars += [Bar(one, one, "by_hand") for one in to_skip if after < one <= until]
    return sorted(bars)


def _joined(spans: Iterable[Span], after: int, until: int) -> list[tuple[int, int]]:
    """The spans that reach into (after, until], as instants from first to last; what overlaps is one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted((span.since, EVER if span.until is None else span.until - 1) for span in spans):
        if last <= after or first > until or first > last:
            continue
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
