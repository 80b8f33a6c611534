"""Where an export goes, and what an audit keeps: to a file that takes its name once it is whole, and straight into whatever is no file."""

import os
import stat
import threading
from pathlib import Path

import pytest
from msgspec import json

from ledger.cli.audit import keep
from ledger.cli.ledger_export import opened
from ledger.core.audit_saved import SAVED_VERSION, SavedAudit
from ledger.core.refusal import Refused
from tests.unit.cli.test_program import run

OLD, NEW = b"a whole backup of yesterday\n", b"a whole backup of today\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "backup.jsonl"
    file.write_bytes(OLD)
    return file


def test_it_takes_its_name_once_it_is_whole(file: Path) -> None:
    with opened(file) as out:
        out.write(NEW)
        assert file.read_bytes() == OLD
    assert file.read_bytes() == NEW
    assert list(file.parent.iterdir()) == [file]


def test_one_that_breaks_off_leaves_what_was_there(file: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(file) as out:
        out.write(b"half of " + NEW)
        raise ZeroDivisionError
    assert file.read_bytes() == OLD
    assert list(file.parent.iterdir()) == [file]


def test_of_two_at_a_time_each_is_whole(file: Path) -> None:
    with opened(file) as slow:
        slow.write(NEW[:5])
        with opened(file) as quick:
            quick.write(b"a whole backup of tonight\n")
        assert file.read_bytes() == b"a whole backup of tonight\n"
        slow.write(NEW[5:])
    assert file.read_bytes() == NEW
    assert list(file.parent.iterdir()) == [file]


def test_who_may_read_the_file_is_who_might_before(file: Path) -> None:
    file.chmod(0o600)
    with opened(file) as out:
        assert [stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()] == [0o600, 0o600]
        out.write(NEW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_still_names_the_file_that_it_named(file: Path) -> None:
    link = file.parent / "latest"
    link.symlink_to(file)
    with opened(link) as out:
        out.write(NEW)
    assert link.is_symlink()
    assert file.read_bytes() == NEW


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with opened(pipe) as out:
        out.write(NEW)
    reader.join(10)
    assert read == [NEW]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_what_an_audit_keeps_for_the_next_one_is_written_so_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = SavedAudit(SAVED_VERSION, "a log", 0, {}, {}, [], [], [])
    link = file.parent / "latest"
    link.symlink_to(file)
    keep(link, saved)
    assert link.is_symlink()
    assert json.decode(file.read_bytes(), type=SavedAudit) == saved
    keep(file.parent, saved)
    assert "cannot be written" in capsys.readouterr().err


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be written"), opened(tmp_path / "nowhere" / "backup.jsonl"):
        pass


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "jobledger.yaml").write_text("prefix: a\n")
    ended = run("ledger", "export", name, cwd=tmp_path)
    assert (ended.returncode, "is a folder" in ended.stderr) == (2, True)
