"""What a probe is told of `jobledger projections run`."""

import asyncio
import socket
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger.cli.projections_probe import Folding
from ledger.config import Settings
from ledger.config.settings import Database, Kafka
from processors.probe import Reply, answer
from processors.servers import Servers
from projections.consumer import Progress
from tests.unit.cli.conftest import Call

SETTINGS = Settings(kafka=Kafka(bootstrap="127.0.0.1:1"), database=Database(url=SecretStr("postgresql://ann:secret@db:5432/x")))


def folding(progress: Progress | None, stop: asyncio.Event | None = None) -> Folding:
    made = Folding(SETTINGS, stop or asyncio.Event())
    made.progress = progress
    return made


def ready(kept: Folding) -> Reply:
    return answer(kept, "/readyz?verbose", time.monotonic())


@pytest.mark.parametrize(
    ("progress", "status", "words"),
    [
        (None, 503, "[-] projections: starting; pid "),
        (Progress(behind=1000), 200, "[+] projections: ready; pid "),
        (Progress(stopped=("events[2] is broken",)), 503, "[-] projections: partitions that stopped: 1; its log says why"),
    ],
    ids=["starting", "following", "stopped"],
)
def test_it_is_ready_once_it_follows_and_while_no_partition_stopped(progress: Progress | None, status: int, words: str) -> None:
    told = ready(folding(progress))
    assert (told.status, words in told.body) == (status, True), told.body


def test_it_is_not_ready_when_it_is_told_to_end() -> None:
    stop = asyncio.Event()
    stop.set()
    assert ready(folding(Progress(), stop)).body.endswith("\nstopping\n")


@pytest.mark.parametrize(("progress", "silent"), [(None, ()), (Progress(), ()), (Progress(away="it does not answer"), ("db:5432/x",))])
async def test_the_servers_that_it_needs_are_kafka_and_postgres(progress: Progress | None, silent: tuple[str, ...]) -> None:
    assert await folding(progress).look() == [Servers("kafka", 1, ("127.0.0.1:1",)), Servers("postgres", 1, silent)]


def test_where_the_port_is_taken_nothing_is_begun(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobledger.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("projections", "run", "--probe-port", str(port))
    assert (ended.code, f"--probe-port {port}: 127.0.0.1:{port} cannot be used" in ended.stderr) == (1, True), ended.stderr
