"""`jobledger topics apply` and `jobledger ledger tail -f` as a user meets them."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from ledger.config import Settings
from ledger.config.settings import Kafka
from ledger.core import wire
from ledger.kafka.opening import LogIdentity
from tests.services.log.command import command, jobledger
from tests.services.log.writing import append, read_head
from tests.unit.log.chains import commit


def test_topics_are_planned_applied_and_then_good(settings: Settings, tmp_path: Path) -> None:
    planned = jobledger(settings, tmp_path, "topics", "apply", "--plan", "-o", "json")
    assert planned.returncode == 0, planned.stderr
    assert {topic["state"] for topic in json.loads(planned.stdout)["topics"]} == {"missing"}
    assert "not open yet" in planned.stderr
    applied = jobledger(settings, tmp_path, "topics", "apply", "-o", "json")
    assert applied.returncode == 0, applied.stderr
    document = json.loads(applied.stdout)
    assert {topic["state"] for topic in document["topics"]} == {"created"}
    assert document["log"]["partitions"] == 4
    again = jobledger(settings, tmp_path, "topics", "apply", "--plan")
    assert again.returncode == 0
    assert again.stdout.count("good") == 7
    assert document["log"]["log_id"] in again.stderr


def test_a_difference_exits_4_and_shows_both_values(settings: Settings, opened: LogIdentity, tmp_path: Path) -> None:
    other = settings.model_copy(update={"partitions": 5})
    for words in (("topics", "apply"), ("topics", "apply", "--plan")):
        refused = jobledger(other, tmp_path, *words)
        assert refused.returncode == 4
        assert f"{settings.topic('events')}: partitions is 4, has to be 5" in refused.stderr


def test_a_broker_that_is_away_exits_5_and_is_named(settings: Settings, tmp_path: Path, unused_tcp_port: int) -> None:
    away = settings.model_copy(update={"kafka": Kafka(bootstrap=f"127.0.0.1:{unused_tcp_port}")})
    for words in (("topics", "apply"), ("ledger", "verify"), ("ledger", "tail")):
        refused = jobledger(away, tmp_path, *words)
        assert refused.returncode == 5
        assert refused.stderr.startswith(f"error: no Kafka broker answers at 127.0.0.1:{unused_tcp_port}")


@pytest.mark.parametrize("words", [("verify",), ("tail",), ("show", "0", "0")], ids=" ".join)
def test_without_a_log_the_command_that_makes_one_is_named(settings: Settings, tmp_path: Path, words: tuple[str, ...]) -> None:
    refused = jobledger(settings, tmp_path, "ledger", *words)
    assert refused.returncode == 1
    assert "run `jobledger topics apply`" in refused.stderr


async def test_tail_follows_what_comes_until_it_is_interrupted(settings: Settings, opened: LogIdentity, tmp_path: Path) -> None:
    words, environment = command(settings, tmp_path, "ledger", "tail", "-f", "-n", "1")
    tail = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        async with asyncio.timeout(60):
            assert tail.stdout is not None
            assert json.loads(await tail.stdout.readline())["event"]["type"] == "log.opened.v1"
            head = await read_head(settings, "events", 3)
            pretty = wire.encode(commit(2, head.digest, partition=3)).replace(b'{"n":', b'{\n  "n":')
            await append(settings, "events", 3, [pretty])
            line = json.loads(await tail.stdout.readline())
            assert (line["partition"], line["seq"], line["event"]["execution_id"]) == (3, 2, "e2-3")
            tail.send_signal(signal.SIGINT)
            assert await tail.wait() == 130
    finally:
        if tail.returncode is None:
            tail.kill()
            await tail.wait()
