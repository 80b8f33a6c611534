"""`jobledger config`: what is understood, where it came from, and what is probably not meant."""

import json
from pathlib import Path

import pytest

from ledger.cli.main import run
from tests.unit.cli.conftest import Call

TEXT = """
prefix: shop
redis: {url: 'redis://:hunter2@r:1'}
system_jobs:
  - {name: clean, cron: '0 3 * * *', catchup: {coalesce: all}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobledger.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBLEDGER_PARTITIONS", "8")
    monkeypatch.setenv("JOBLEDGER_PROFILES", "nowhere")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_show_with_origins(call: Call) -> None:
    ended = call("config", "show", "--origin")
    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    assert lines[:3] == ["KEY VALUE ORIGIN", "prefix shop jobledger.yaml:2", "partitions 8 environment variable JOBLEDGER_PARTITIONS"]
    assert "redis.url redis://***@r:1 jobledger.yaml:3" in lines
    assert "kafka.replication 1 default" in lines
    assert "hunter2" not in ended.stdout
    assert ended.stderr == "warning: profile 'nowhere': there is no file jobledger-nowhere.yaml\n"


@pytest.mark.usefixtures("folder")
def test_all_settings_are_shown_without_secrets(call: Call) -> None:
    ended = call("config", "show", "-o", "json")
    shown = json.loads(ended.stdout)
    assert (shown["prefix"], shown["partitions"], shown["redis"]["url"]) == ("shop", 8, "redis://***@r:1")
    assert shown["database"]["url"] == "postgresql://***@127.0.0.1:5432/postgres"
    assert "hunter2" not in ended.stdout and ended.stderr.startswith("warning: profile 'nowhere'")


@pytest.mark.usefixtures("folder")
def test_origins_for_programs(call: Call) -> None:
    rows = json.loads(call("config", "show", "--origin", "-o", "json").stdout)
    assert rows[0] == {"key": "prefix", "value": "shop", "origin": "jobledger.yaml:2"}


@pytest.mark.usefixtures("folder")
def test_check_warns_of_what_is_probably_not_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == 0
    said = capsys.readouterr()
    assert said.out == "0 jobs, 1 system jobs; no `app` is named, so handlers were not compared\n"
    for words in ("profile 'nowhere'", "a fixed hour without a time zone", "catchup.coalesce 'all' with overlap 'skip' runs one of them"):
        assert words in said.err


def test_check_tells_every_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jobledger.yaml").write_text("prefx: a\nkafka: {replication: 0}")
    assert run(["config", "check"]) == 1
    said = capsys.readouterr().err
    assert "jobledger.yaml:1: prefx: there is no such key; did you mean `prefix`?" in said
    assert "jobledger.yaml:2: kafka.replication: has to be at least 1, not 0" in said


def test_schema_is_json(call: Call) -> None:
    schema = json.loads(call("config", "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "SystemJob" in schema["$defs"]
