"""What an export is imported as: the very same log, or one with more partitions that its history is decided again for."""

from collections.abc import Iterator

from ledger.core import growing, outcome, wire
from ledger.core.archive import REGISTRY, Place, places
from ledger.core.definition import Registry
from ledger.core.ids import NOWHERE
from ledger.core.registry import RegistryFold
from ledger.core.wire import Commit
from ledger.kafka.archive_file import ArchiveFile
from ledger.kafka.importing import Source
from ledger.kafka.opening import LogIdentity


def the_same(archive: ArchiveFile) -> Source:
    every = list(places(archive.identity.partitions))
    return Source(
        archive.identity,
        archive.commits,
        lambda: ((place, record) for place in every if place != REGISTRY for record in archive.records(place)),
        lambda: archive.records(REGISTRY),
        {place: archive.head(place).position for place in every},
    )


def grown(archive: ArchiveFile, partitions: int) -> Source:
    """Raises `Refused` if these are not more. About as many commits come of it as there were, and no command is decided in it."""
    former = archive.identity
    epoch = growing.next_epoch(former.epoch, former.partitions, partitions)
    digests = [archive.head(place).digest for place in places(former.partitions)]
    identity = LogIdentity(growing.grown_id(former.log_id, digests, partitions), partitions, epoch)
    opened = outcome.Opened(identity.log_id, partitions, epoch)
    known = _registry(archive)

    def events() -> Iterator[tuple[Place, bytes]]:
        streams = {number: _commits(archive, ("events", number)) for number in range(former.partitions)}
        for number, record in growing.Growth(known, opened).records(streams):
            yield ("events", number), record

    return Source(
        identity,
        archive.commits,
        events,
        lambda: growing.registry(_commits(archive, REGISTRY), opened),
        dict.fromkeys(places(partitions), NOWHERE),
    )


def _commits(archive: ArchiveFile, place: Place) -> Iterator[Commit]:
    for record in archive.records(place):
        yield wire.decode_commit(record)


def _registry(archive: ArchiveFile) -> Registry:
    """All that it says."""
    fold = RegistryFold()
    for offset, record in enumerate(archive.records(REGISTRY)):
        fold.feed(record, offset)
    return fold.registry
