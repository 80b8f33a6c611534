"""A snapshot of a partition's fold. What it has in common with that of the registry is in `sealing.py`."""

from collections.abc import Iterator, Mapping
from itertools import starmap
from sys import intern
from typing import Final

from msgspec import Struct, json

from ledger.core import backfill
from ledger.core.execution import Ended, Live, State
from ledger.core.history import Past, Was
from ledger.core.ids import ExecutionId, Micros, Token, WorkerId
from ledger.core.letters import Fate
from ledger.core.outcome import Accepted, Rejected
from ledger.core.partition import Partition
from ledger.core.repeats import Keyed
from ledger.core.sealing import Frozen, Seal, chunks_of, chunks_of_named, read_all, seal_of, take_up
from ledger.core.tick import InForce

EndedRow = tuple[Micros, ExecutionId, Token | None, WorkerId | None]


class Chunk(Struct, frozen=True, omit_defaults=True):
    """A part of the state. Ended executions are columns: there are many of them and little to say of each."""

    live: dict[ExecutionId, Live] = {}
    ended: list[EndedRow] = []
    ended_ticks: list[EndedRow] = []
    keys: list[tuple[str, ExecutionId, Micros, Micros]] = []  # see `Keyed`
    of_keys: dict[str, Micros] = {}
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


_chunk: Final = json.Decoder(Chunk)


class FrozenPartition(Frozen):
    def __init__(self, partition: Partition) -> None:
        self._executions = dict(partition.executions)
        self._ended = list(partition.ended)
        self._ended_ticks = list(partition.ended_ticks)
        self._keys = list(partition.keys.items())
        self._of_keys = dict(partition.of_keys)
        self._uniques = [(at, key, one, state) for at, key, one, state in partition.uniques.remembered() if state is not None]
        self._rejections = dict(partition.rejections)
        self._schedules = dict(partition.schedules)
        self._acts = dict(partition.acts)
        self._backfills = dict(partition.backfills)
        self._backfilled = list(partition.backfilled)
        self._bulks = dict(partition.bulks)
        self._letters = dict(partition.letters)
        self._retries = [(old, *new) for old, new in partition.retries.items()]
        self._history = {job_id: past.copy() for job_id, past in partition.history.items()}
        self.seal = seal_of(partition, partition.newest_append, partition.reckons_with)

    def chunks(self) -> Iterator[bytes]:
        live = ((execution_id, state) for execution_id, state in self._executions.items() if not isinstance(state, Ended))
        yield from chunks_of_named("live", live)
        yield from chunks_of("ended", starmap(self._row, self._ended))
        yield from chunks_of("ended_ticks", starmap(self._row, self._ended_ticks))
        yield from chunks_of("keys", ((key, *first) for key, first in self._keys))
        yield from chunks_of_named("of_keys", self._of_keys.items())
        yield from chunks_of("uniques", self._uniques)
        yield from chunks_of_named("rejections", self._rejections.items())
        yield from chunks_of_named("schedules", self._schedules.items())
        yield from chunks_of_named("acts", self._acts.items())
        yield from chunks_of_named("backfills", self._backfills.items())
        yield from chunks_of("backfilled", self._backfilled)
        yield from chunks_of_named("bulks", self._bulks.items())
        yield from chunks_of_named("letters", self._letters.items())
        yield from chunks_of("retries", self._retries)
        pasts = ((job_id, (past.spans, past.unfired.tolist(), past.known_since)) for job_id, past in self._history.items())
        yield from chunks_of_named("history", pasts)

    def _row(self, at: Micros, execution_id: ExecutionId) -> EndedRow:
        state: State | None = self._executions.get(execution_id)
        return (at, execution_id, state.token, state.worker) if isinstance(state, Ended) else (at, execution_id, None, None)


def restore(partition: Partition, seal: Seal, chunks: Mapping[int, bytes]) -> bool:
    """Put the snapshot's state into a fresh partition. False, and nothing changed, if it does not fit."""
    decoded = read_all(partition, seal, chunks, _chunk.decode)
    if decoded is None:
        return False
    for chunk in decoded:
        partition.executions.update(chunk.live)
        for rows, ended in ((chunk.ended, partition.ended), (chunk.ended_ticks, partition.ended_ticks)):
            for at, execution_id, token, worker in rows:
                partition.executions[execution_id] = Ended(token, worker)
                ended.append((at, execution_id))
        for key, execution_id, appended, vouched in chunk.keys:
            partition.keys[key] = Keyed(execution_id, appended, vouched)
            partition.keyed.append((vouched, key))
        partition.of_keys.update(chunk.of_keys)
        for at, key, execution_id, state in chunk.uniques:
            partition.uniques.end(key, execution_id, state or "", at)
        partition.rejections.update(chunk.rejections)
        partition.schedules.update((intern(job_id), schedule) for job_id, schedule in chunk.schedules.items())
        partition.acts.update(chunk.acts)
        partition.backfills.update(chunk.backfills)
        partition.backfilled.update(dict.fromkeys(chunk.backfilled))
        partition.bulks.update(chunk.bulks)
        partition.letters.update(chunk.letters)
        partition.retries.update({old: (new, at) for old, new, at in chunk.retries})
        for job_id, past in chunk.history.items():
            partition.history[job_id] = Past(*past)
    take_up(partition, seal)
    partition.newest_append, partition.reckons_with = seal.newest_append, seal.reckons_with
    partition.index()
    return True
