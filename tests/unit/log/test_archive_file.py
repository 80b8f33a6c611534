"""An export as a file is read twice: what cannot be, and what was changed in between, is said so."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.core.archive import Place, places
from ledger.core.refusal import Conflict, Refused
from ledger.kafka.archive_file import ArchiveFile
from tests.unit.log.archives import archive_of
from tests.unit.log.chains import chain_of

LOGS: dict[Place, list[bytes]] = {
    ("registry", 0): chain_of(3, log="registry"),
    **{("events", number): chain_of(4 + number, partition=number) for number in range(4)},
}
GOOD = b"".join(archive_of(LOGS))


def read(archive: ArchiveFile) -> dict[Place, list[bytes]]:
    return {place: list(archive.records(place)) for place in places(4)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "backup.jsonl"
    file.write_bytes(GOOD)
    return file


def test_what_was_exported_is_read_again(file: Path) -> None:
    assert read(ArchiveFile(file)) == LOGS


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(GOOD[:3000]),
        lambda file: file.write_bytes(b"x" * len(GOOD)),
        lambda file: file.write_bytes(GOOD.replace(b'"commit":{"v"', b'"base64":"%","x":{"v"')),
        lambda file: file.write_bytes(GOOD.replace(b'"n":7', b'"n":8')),
        lambda file: file.write_bytes(GOOD.replace(b'{"v":1', b'{"v":9')),
    ],
    ids=["gone", "cut short", "something else", "no base64", "another last commit", "of the future"],
)
def test_a_file_that_was_changed_after_the_check_is_a_conflict(file: Path, change: Callable[[Path], object]) -> None:
    archive = ArchiveFile(file)
    change(file)
    with pytest.raises(Conflict, match=f"{file} was changed while it was read"):
        read(archive)


def test_what_can_be_read_only_once_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.open("wb").close())
    writer.start()
    with pytest.raises(Refused, match="unpack it to a file"):
        ArchiveFile(pipe)
    writer.join(10)
