"""Where the kernel has no death signal a killed keeper leaves its servers behind: the next start in the folder ends them."""

import os
import subprocess
from pathlib import Path

import pytest

from ledger.stack.failure import FolderBusy
from ledger.stack.folder_lock import holder, note_pids, take
from ledger.stack.layout import Layout


def left_behind(layout: Layout) -> "subprocess.Popen[bytes]":
    """Holds the folder's lock, as every server does; the keeper's number in it is nobody's."""
    lock = take(layout)
    server = subprocess.Popen(["/bin/sleep", "600"], pass_fds=(lock,))
    os.pwrite(lock, b"999999999", 0)
    os.close(lock)
    return server


def test_servers_that_were_left_behind_are_ended(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with left_behind(layout) as server:
        note_pids(layout, {str(server.pid): "sleep"})
        os.close(take(layout, dying=0.1))
        assert server.wait(5) == -9
    assert holder(layout) is None


def test_a_number_that_went_to_another_program_is_left_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with left_behind(layout) as server:
        note_pids(layout, {str(server.pid): "java"})
        with pytest.raises(FolderBusy, match=f"do not end: see {layout.pids} for their pids"):
            take(layout, dying=0.1, ending=0.1)
        assert server.poll() is None
        server.kill()
