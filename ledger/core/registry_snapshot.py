"""A snapshot of the registry's fold: jobs with their versions, manifests, pauses, and what is remembered of acts."""

from collections.abc import Iterator, Mapping
from itertools import chain, starmap
from sys import intern
from typing import Final

from msgspec import Struct, json, structs

from ledger.core.bodies import NOTHING
from ledger.core.definition import Job, Version
from ledger.core.ids import Address, Micros
from ledger.core.pause import Ended, Paused, Span
from ledger.core.registry import Decided, RegistryFold
from ledger.core.sealing import BYTES_PER_CHUNK, Frozen, Seal, chunks_of, chunks_of_named, join, read_all, seal_of, take_up


class Chunk(Struct, frozen=True, omit_defaults=True):
    """A part of the state. What many versions or pauses make too large for a chunk is there several times, each with some of them."""

    jobs: list[Job] = []
    manifests: list[str] = []
    decided: dict[str, Decided] = {}
    standing: list[tuple[Paused, Span]] = []
    former: list[tuple[Paused, list[Span]]] = []
    ended: list[Paused] = []
    resumed: dict[str, tuple[Address, Ended, Micros]] = {}


_chunk: Final = json.Decoder(Chunk)
_encode: Final = json.Encoder().encode


class FrozenRegistry(Frozen):
    def __init__(self, fold: RegistryFold) -> None:
        self.seal = seal_of(fold)
        registry = fold.registry
        self._jobs = list(registry.jobs.values())
        self._manifests = list(registry.manifests)
        self._decided = list(fold.decided.items())
        self._pauses = registry.pauses.copy()

    def chunks(self) -> Iterator[bytes]:
        yield from join("jobs", b"[%b]", chain.from_iterable(map(_of_job, self._jobs)))
        yield from chunks_of("manifests", self._manifests)
        yield from chunks_of_named("decided", self._decided)
        pauses = self._pauses
        yield from chunks_of("standing", pauses.standing.items())
        yield from join("former", b"[%b]", chain.from_iterable(starmap(_of_former, pauses.former.items())))
        yield from chunks_of("ended", pauses.ended)
        yield from chunks_of_named("resumed", pauses.resumed.items())


def _of_job(job: Job) -> Iterator[bytes]:
    whole = _encode(job)
    if len(whole) <= BYTES_PER_CHUNK:
        yield whole
    else:
        for version in job.versions:
            yield _encode(structs.replace(job, versions=(version,)))


def _of_former(paused: Paused, spans: list[Span]) -> Iterator[bytes]:
    whole = _encode((paused, spans))
    if len(whole) <= BYTES_PER_CHUNK:
        yield whole
    else:
        for span in spans:
            yield _encode((paused, [span]))


def restore(fold: RegistryFold, seal: Seal, chunks: Mapping[int, bytes]) -> bool:
    """Put the snapshot's state into a fresh fold, in place: others hold on to its registry. False, and nothing changed, if it does
    not fit."""
    known: dict[Micros, Micros] = {}
    read = read_all(fold, seal, chunks, lambda chunk: _own(_chunk.decode(chunk), known))
    if read is None:
        return False
    registry, pauses = fold.registry, fold.registry.pauses
    for chunk in read:
        for job in chunk.jobs:
            former = registry.jobs.get(job.job_id)
            registry.jobs[job.job_id] = job if former is None else structs.replace(job, versions=(*former.versions, *job.versions))
        registry.manifests += chunk.manifests
        fold.decided.update(chunk.decided)
        pauses.standing.update(chunk.standing)
        for paused, spans in chunk.former:
            pauses.former.setdefault(paused, []).extend(spans)
        pauses.ended.extend(chunk.ended)
        pauses.resumed.update(chunk.resumed)
    registry.at, registry.partitions = Address(seal.head.seq, 0), seal.partitions
    take_up(fold, seal)  # last: this is what others wait for
    return True


def _own(chunk: Chunk, known: dict[Micros, Micros]) -> Chunk:
    return structs.replace(chunk, jobs=[_own_job(job, known) for job in chunk.jobs])


def _own_job(job: Job, known: dict[Micros, Micros]) -> Job:
    """As the fold makes it: what many jobs have in common is there once, and no body holds on to the chunk it came in."""
    at = known.setdefault
    return Job(
        intern(job.job_id),
        intern(job.job_name),
        job.kind,
        intern(job.queue),
        job.exclusive_scope,
        None if job.tenant is None else intern(job.tenant),
        job.state,
        job.current_version,
        at(job.in_force_at, job.in_force_at),
        at(job.retired_at, job.retired_at),
        job.name,
        job.exclusive_key,
        job.exclusive_field,
        job.home,
        tuple(
            Version(
                one.number,
                one.content_hash,
                at(one.accepted_at, one.accepted_at),
                NOTHING if one.data is NOTHING else one.data.copy(),
                one.options,
                one.written,
                one.by_content,
            )
            for one in job.versions
        ),
    )
