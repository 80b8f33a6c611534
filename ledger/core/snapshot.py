"""A snapshot of a partition's fold: plain bytes in chunks, with a final record that validates them.

Anything that does not fit is ignored and the log is folded from the start. Source: architecture.md, section 5.9.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from msgspec import DecodeError, Struct, json, structs

from ledger.core import backfill
from ledger.core.chain import Head
from ledger.core.execution import Ended, Live, State
from ledger.core.history import Past, Was
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.letters import Fate
from ledger.core.outcome import Accepted, Rejected
from ledger.core.partition import Partition
from ledger.core.tick import InForce

FOLD_VERSION: Final = 9  # another fold of the same events needs another number; older snapshots are ignored then
ENTRIES_PER_CHUNK: Final = 4000
BYTES_PER_CHUNK: Final = 700 * 1024
NUMBERS_PER_CHUNK: Final = 20_000  # of history


EndedRow = tuple[Micros, ExecutionId, Token | None, WorkerId | None]


class Chunk(Struct, frozen=True, omit_defaults=True):
    """A part of the state. Ended executions are columns: there are many of them and little to say of each."""

    live: dict[ExecutionId, Live] = {}
    ended: list[EndedRow] = []
    ended_ticks: list[EndedRow] = []
    keys: list[tuple[str, ExecutionId, Micros]] = []
    uniques: list[tuple[Micros, str, ExecutionId, str | None]] = []  # what ended under a unique key, and how
    rejections: dict[str, Rejected] = {}
    schedules: dict[str, InForce] = {}
    acts: dict[str, Accepted] = {}
    backfills: dict[str, backfill.Running] = {}
    backfilled: list[str] = []
    bulks: dict[str, bool] = {}
    retries: list[tuple[ExecutionId, ExecutionId, Micros]] = []
    letters: dict[str, Fate] = {}
    history: dict[str, tuple[list[Was], list[int], int]] = {}


class Seal(Struct, frozen=True):
    """Written last: says which chunks belong together, and of what they are the state."""

    fold_version: int
    log_id: str
    partitions: int
    epoch: int
    head: Head
    newest_append: Micros
    chunks: int
    digest: str
    reckons_with: tuple[int, str | None] | None = None


_chunk = json.Decoder(Chunk)
_final = json.Decoder(Seal)
_encode = json.Encoder().encode


class Frozen:
    """The state at one commit; the partition may go on meanwhile. Its values are frozen, so copying the indexes is enough."""

    def __init__(self, partition: Partition) -> None:
        self._executions = dict(partition.executions)
        self._ended = list(partition.ended)
        self._ended_ticks = list(partition.ended_ticks)
        self._keys = list(partition.keys.items())
        self._uniques = [(at, key, one, partition.uniques.by_key[key][one]) for at, key, one in partition.uniques.ended]
        self._rejections = dict(partition.rejections)
        self._schedules = dict(partition.schedules)
        self._acts = dict(partition.acts)
        self._backfills = dict(partition.backfills)
        self._backfilled = list(partition.backfilled)
        self._bulks = dict(partition.bulks)
        self._letters = dict(partition.letters)
        self._retries = [(old, *new) for old, new in partition.retries.items()]
        self._history = {job_id: past.copy() for job_id, past in partition.history.items()}
        self._final = Seal(
            FOLD_VERSION,
            partition.log_id or "",
            partition.partitions,
            partition.epoch,
            partition.head,
            partition.newest_append,
            0,
            "",
            partition.reckons_with,
        )

    def chunks(self) -> Iterator[bytes]:
        """The encoded chunks, one at a time, so that who writes them can let others work in between."""
        live: dict[ExecutionId, Live] = {}
        size = 0
        for execution_id, state in self._executions.items():
            if isinstance(state, Ended):
                continue
            live[execution_id] = state
            size += 500 + len(bytes(state.request.data))
            if size > BYTES_PER_CHUNK // 2 or len(live) >= ENTRIES_PER_CHUNK:
                yield _encode(Chunk(live=live))
                live, size = {}, 0
        if live:
            yield _encode(Chunk(live=live))
        for cut in range(0, len(self._ended), ENTRIES_PER_CHUNK):
            yield _encode(Chunk(ended=self._rows(self._ended[cut : cut + ENTRIES_PER_CHUNK])))
        for cut in range(0, len(self._ended_ticks), ENTRIES_PER_CHUNK):
            yield _encode(Chunk(ended_ticks=self._rows(self._ended_ticks[cut : cut + ENTRIES_PER_CHUNK])))
        for cut in range(0, len(self._keys), ENTRIES_PER_CHUNK // 4):
            yield _encode(Chunk(keys=[(key, *first) for key, first in self._keys[cut : cut + ENTRIES_PER_CHUNK // 4]]))
        for cut in range(0, len(self._uniques), ENTRIES_PER_CHUNK // 4):
            yield _encode(Chunk(uniques=self._uniques[cut : cut + ENTRIES_PER_CHUNK // 4]))
        yield from self._small()

    def _small(self) -> Iterator[bytes]:
        rejections = list(self._rejections.items())
        for cut in range(0, len(rejections), 500):
            yield _encode(Chunk(rejections=dict(rejections[cut : cut + 500])))
        schedules = list(self._schedules.items())
        for cut in range(0, len(schedules), ENTRIES_PER_CHUNK):
            yield _encode(Chunk(schedules=dict(schedules[cut : cut + ENTRIES_PER_CHUNK])))
        acts = list(self._acts.items())
        for cut in range(0, len(acts), 500):
            yield _encode(Chunk(acts=dict(acts[cut : cut + 500])))
        if self._backfilled:
            yield _encode(Chunk(backfills=self._backfills, backfilled=self._backfilled))
        if self._bulks:
            yield _encode(Chunk(bulks=self._bulks))
        if self._letters:
            yield _encode(Chunk(letters=self._letters))
        for cut in range(0, len(self._retries), ENTRIES_PER_CHUNK):
            yield _encode(Chunk(retries=self._retries[cut : cut + ENTRIES_PER_CHUNK]))
        yield from self._pasts()

    def _pasts(self) -> Iterator[bytes]:
        history: dict[str, tuple[list[Was], list[int], int]] = {}
        numbers = 0
        for job_id, past in self._history.items():
            history[job_id] = (past.spans, past.unfired.tolist(), past.known_since)
            numbers += 10 + 3 * len(past.spans) + len(past.unfired)
            if numbers > NUMBERS_PER_CHUNK:
                yield _encode(Chunk(history=history))
                history, numbers = {}, 0
        if history:
            yield _encode(Chunk(history=history))

    def _rows(self, ended: list[tuple[Micros, ExecutionId]]) -> list[EndedRow]:
        return [self._row(at, execution_id) for at, execution_id in ended]

    def _row(self, at: Micros, execution_id: ExecutionId) -> EndedRow:
        state: State | None = self._executions.get(execution_id)
        return (at, execution_id, state.token, state.worker) if isinstance(state, Ended) else (at, execution_id, None, None)

    def final(self, chunks: int, digest: str) -> bytes:
        return _encode(structs.replace(self._final, chunks=chunks, digest=digest))


def digest_of(chunks: list[bytes]) -> str:
    """The digest over the digests, so that it can be built chunk by chunk."""
    return sha256(b"".join(sha256(chunk).digest() for chunk in chunks)).hexdigest()


def read_final(record: bytes) -> Seal | None:
    """The final record, if it is one of ours and of this fold."""
    try:
        final = _final.decode(record)
    except DecodeError:
        return None
    return final if final.fold_version == FOLD_VERSION else None


def restore(partition: Partition, final: Seal, chunks: Mapping[int, bytes]) -> bool:
    """Put the snapshot's state into a fresh partition. False, and nothing changed, if it does not fit."""
    if any(number not in chunks for number in range(final.chunks)):
        return False
    ordered = [chunks[number] for number in range(final.chunks)]
    if digest_of(ordered) != final.digest or (final.head.log, final.head.partition) != ("events", partition.number):
        return False
    try:
        decoded = [_chunk.decode(chunk) for chunk in ordered]
    except DecodeError:
        return False
    for chunk in decoded:
        partition.executions.update(chunk.live)
        for rows, ended in ((chunk.ended, partition.ended), (chunk.ended_ticks, partition.ended_ticks)):
            for at, execution_id, token, worker in rows:
                partition.executions[execution_id] = Ended(token, worker)
                ended.append((at, execution_id))
        for key, execution_id, requested_at in chunk.keys:
            partition.keys[key] = (execution_id, requested_at)
            partition.keyed.append((requested_at, key))
        for at, key, execution_id, state in chunk.uniques:
            partition.uniques.end(key, execution_id, state or "", at)
        partition.rejections.update(chunk.rejections)
        partition.schedules.update(chunk.schedules)
        partition.acts.update(chunk.acts)
        partition.backfills.update(chunk.backfills)
        partition.backfilled.update(dict.fromkeys(chunk.backfilled))
        partition.bulks.update(chunk.bulks)
        partition.letters.update(chunk.letters)
        partition.retries.update({old: (new, at) for old, new, at in chunk.retries})
        for job_id, past in chunk.history.items():
            partition.history[job_id] = Past(*past)
    partition.head, partition.newest_append = final.head, final.newest_append
    partition.log_id, partition.partitions, partition.epoch = final.log_id, final.partitions, final.epoch
    partition.reckons_with = final.reckons_with
    partition.index()
    return True
